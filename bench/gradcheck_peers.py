"""The same wrong and right gradients before every checker: prints the table of docs/gradcheck.md.

    python bench/gradcheck_peers.py [--quick] [--json FILE]

Peers where installed: torch.autograd.gradcheck (slow and fast mode), autograd.test_util.check_grads,
scipy.optimize.check_grad. Each gets f and the gradient as NumPy functions, wrapped as its users would.
scipy returns a norm and leaves the limit to its user: here atol + rtol*|gradient|, as for the others.
"""

import argparse
import json
import sys
import time
from pathlib import Path

import numpy as np

sys.path[:0] = [str(Path(__file__).parents[1] / "tests"), str(Path(__file__).parents[1])]

import gradient_cases

from fastopt.checking import gradcheck


def ours(f, grad, x, atol, rtol):
    report = gradcheck(f, grad, x, atol=atol, rtol=rtol, raise_exception=False)
    named = [r.index for r in report.rows[:5] if r.verdict == "wrong"]
    return bool(report), named


def torch_checker(fast):
    import torch

    def check(f, grad, x, atol, rtol):
        class Function(torch.autograd.Function):
            @staticmethod
            def forward(ctx, t):
                ctx.save_for_backward(t)
                return torch.tensor(float(f(t.detach().numpy())), dtype=t.dtype)

            @staticmethod
            def backward(ctx, g):
                (t,) = ctx.saved_tensors
                return g * torch.from_numpy(
                    np.array(grad(t.detach().numpy()), dtype=t.detach().numpy().dtype)
                )

        t = torch.from_numpy(x.copy()).requires_grad_()
        options = {"fast_mode": fast, "raise_exception": False, "atol": atol, "rtol": rtol}
        return bool(torch.autograd.gradcheck(Function.apply, (t,), **options)), None

    return check


def autograd_checker():
    from autograd.extend import defvjp, primitive
    from autograd.test_util import check_vjp

    def check(f, grad, x, atol, rtol):
        g = primitive(lambda x: float(f(x)))
        defvjp(g, lambda ans, x: lambda v: v * np.asarray(grad(x)))
        try:
            check_vjp(g, x.copy())  # its tolerance is fixed: 1e-6 relative along one random direction
        except AssertionError:
            return False, None
        return True, None

    return check


def scipy_checker():
    from scipy.optimize import check_grad

    def check(f, grad, x, atol, rtol):
        flat = x.astype(np.float64).ravel()
        shaped = x.shape
        error = check_grad(
            lambda v: float(f(v.reshape(shaped).astype(x.dtype))),
            lambda v: np.asarray(grad(v.reshape(shaped).astype(x.dtype))).ravel(),
            flat,
        )
        return bool(error <= atol + rtol * np.linalg.norm(np.asarray(grad(x)))), None

    return check


CHECKERS = {
    "fastopt": lambda: ours,
    "torch": lambda: torch_checker(False),
    "torch fast": lambda: torch_checker(True),
    "autograd": autograd_checker,
    "scipy": scipy_checker,
}


def _kinks(count):
    """Right gradients (0 at the kink) at points on kinks."""
    for j in range(count):
        x = np.random.default_rng([3, j]).normal(size=8)
        x[j % 8] = 0
        yield gradient_cases.Problem("relu", lambda x: np.maximum(x, 0).sum(), lambda x: (x > 0) * 1.0, x)


def _single(count):
    for j in range(count):
        make = gradient_cases.PROBLEMS[j % len(gradient_cases.PROBLEMS)]
        yield make(gradient_cases.Single(np.random.default_rng([7, j])))


def rows(quick):
    """(name, cases (f, grad, x, tolerance, wrong entries), whether they are right)"""
    share = 10 if quick else 1
    mutants = gradient_cases.mutants(200)[::share]
    default = [c for c in mutants if c.tolerance is gradient_cases.DEFAULT]
    tight = [c for c in mutants if c.tolerance is gradient_cases.TIGHT]
    right = gradient_cases.correct(200)[::share]

    def plain(cases):
        return [(c.problem.f, c.grad, c.problem.x, c.tolerance, c.wrong) for c in cases]

    def problems(found):
        return [(p.f, p.grad, p.x, gradient_cases.DEFAULT, None) for p in found]

    yield "mutants, default tolerances", plain(default), False
    yield "mutants, 1e-6 at rtol 1e-7", plain(tight), False
    yield "right, float64", plain(right), True
    yield "right, on kinks", problems(_kinks(40 // share)), True
    yield "right, float32", problems(_single(200 // share)), True


def table(quick):
    checkers = {}
    for name, make in CHECKERS.items():
        try:
            checkers[name] = make()
        except ImportError:
            continue
    result = []
    for title, cases, right in rows(quick):
        line = {"cases": title, "count": len(cases)}
        for name, check in checkers.items():
            good, named, seconds = 0, 0, time.perf_counter()
            for f, grad, x, tolerance, wrong in cases:
                try:
                    passed, found = check(f, grad, x, **tolerance)
                except Exception as error:  # a peer that gives up has not answered
                    line.setdefault("errors", {})[name] = f"{type(error).__name__}: {error}"[:200]
                    continue
                good += passed == right
                if found is not None and wrong is not None:
                    named += any(int(np.ravel_multi_index(i, x.shape)) in wrong for i in found)
            line[name] = {"good": good, "seconds": time.perf_counter() - seconds}
            if name == "fastopt" and not right:
                line[name]["named"] = named
        result.append(line)
    return list(checkers), result


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--quick", action="store_true", help="a tenth of the cases")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    names, lines = table(options.quick)
    print("| cases (answered rightly) | " + " | ".join(names) + " |")
    print("|---|" + "---|" * len(names))
    for line in lines:
        cells = []
        for name in names:
            cell = line[name]
            extra = f", {cell['named']} named" if "named" in cell else ""
            cells.append(f"{cell['good']}/{line['count']}{extra} ({cell['seconds']:.1f} s)")
        print(f"| {line['cases']} | " + " | ".join(cells) + " |")
    if options.json:
        options.json.write_text(json.dumps(lines))


if __name__ == "__main__":
    main()
