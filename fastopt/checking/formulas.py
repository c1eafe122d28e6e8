"""check_rule and check_loss: what the author of an own rule or loss runs."""

import importlib.util
import platform
import re
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from fastopt import rules
from fastopt.checking.check import gradcheck
from fastopt.checking.report import GradcheckError
from fastopt.engines import choose
from fastopt.losses import has_curvature


class Check(NamedTuple):
    name: str
    ok: bool
    detail: str = ""


@dataclass
class FormulaReport:
    """Outcome of check_rule or check_loss; true if every check passed."""

    subject: str
    checks: list = field(default_factory=list)

    @property
    def ok(self):
        return all(c.ok for c in self.checks)

    @property
    def causes(self):
        return [f"{c.name}: {c.detail}" for c in self.checks if not c.ok]

    rows = ()

    def __bool__(self):
        return self.ok

    def __str__(self):
        return self.text()

    def add(self, name, ok, detail=""):
        self.checks.append(Check(name, bool(ok), detail))
        return bool(ok)

    def headline(self):
        bad = sum(not c.ok for c in self.checks)
        return f"{self.subject}: " + (
            f"{bad} of {len(self.checks)} checks FAILED" if bad else "all checks passed"
        )

    def _notes(self):
        return [f"  {c}" for c in self.causes]

    def text(self):
        lines = [self.headline()]
        for c in self.checks:
            lines.append(f"  {'ok  ' if c.ok else 'FAIL'} {c.name}" + (f": {c.detail}" if c.detail else ""))
        return "\n".join(lines)

    def to_dict(self):
        checks = [c._asdict() for c in self.checks]
        return {"subject": self.subject, "ok": self.ok, "checks": checks}


def _finished(report, raise_exception):
    if raise_exception and not report.ok:
        raise GradcheckError(report)
    return report


def check_rule(rule, *, steps=20, raise_exception=True):
    """Check a rule, e.g. fo.check_rule(MyRule(lr=0.1)): a FormulaReport.

    The formula on whole arrays; the dtype it returns; the same bits on every back end that has the rule,
    float32 and float64, odd sizes; whether its loop became packed instructions without double precision.
    """
    rule = rules.checked(rule)
    report = FormulaReport(type(rule).__name__)
    good, elementwise = _coefficients(report, rule), rules.is_elementwise(rule)
    for dtype in ("float32", "float64"):
        good = good and (not elementwise or _promotion(report, rule, np.dtype(dtype)))
    if good:
        for dtype in ("float32", "float64"):
            _same_bits(report, rule, dtype, steps)
        if elementwise:
            _packed(report, rule)
    return _finished(report, raise_exception)


def _coefficients(report, rule):
    try:
        sets = [rule.coefficients(rule, float(t)) for t in (1, 2, 1000)]
    except Exception as error:  # an author's formula may raise anything
        return report.add("coefficients", False, f"raised {type(error).__name__}: {error}")
    lengths = {len(k) for k in sets}
    finite = all(np.isfinite(np.array(k, float)).all() for k in sets)
    detail = "" if finite and len(lengths) == 1 else "not finite, or not as many at t = 1, 2 and 1000"
    return report.add("coefficients are finite at t = 1, 2, 1000", not detail, detail)


def _promotion(report, rule, dtype):
    """One update on arrays: the result has the dtype, shape and number of slots of its input."""
    rng = np.random.default_rng(0)
    p, g = (rng.standard_normal(64).astype(dtype) for _ in range(2))
    slots = tuple(np.full(64, start, dtype) for start in rules.initial(rule))
    k = tuple(np.array(rule.coefficients(rule, 1.0)).astype(dtype))
    name = f"update keeps {dtype}"
    try:
        new, state = rule.update(rule, k, p, g, slots)
    except Exception as error:  # an author's formula may raise anything
        return report.add(name, False, f"raised {type(error).__name__}: {error}")
    if len(state) != len(slots):
        return report.add(name, False, f"returns {len(state)} slots, expected {len(slots)}: {rule.slots}")
    for what, array in (("p", new), *zip(rule.slots, state, strict=True)):
        if np.shape(array) != p.shape or array.dtype != dtype:
            found = f"{getattr(array, 'dtype', type(array).__name__)}{np.shape(array)}"
            hint = "a float64 constant? make it a coefficient"
            return report.add(name, False, f"{what} becomes {found} ({hint})")
    return report.add(name, True)


def _same_bits(report, rule, dtype, steps):
    names = ["numpy"]
    names += ["numba"] if choose.has_numba() else []
    names += ["c"] if choose.has_c() and rules.is_in_c(rule) else []
    runs = {}
    for name in names:
        for threads in (1, 2) if name != "numpy" else (1,):
            try:
                runs[f"{name}, {threads} thread{'s' * (threads > 1)}"] = _run(
                    rule, dtype, name, steps, threads
                )
            except Exception as error:  # compilation of an author's formula may raise anything
                first = str(error).strip().splitlines()[-1:] or [""]
                report.add(
                    f"compiles for {dtype} ({name})", False, f"{type(error).__name__}: {first[0][:300]}"
                )
                return
    reference = runs.pop("numpy, 1 thread")
    for name, result in runs.items():
        same = all(np.array_equal(a, b, equal_nan=True) for a, b in zip(reference, result, strict=True))
        detail = "" if same else _first_difference(reference, result)
        report.add(f"same bits as the formula on NumPy arrays, {dtype} ({name})", same, detail)


def _run(rule, dtype, backend, steps, threads):
    from fastopt.optimizer import Optimizer

    rng = np.random.default_rng(1)
    large = choose.shared_from(rule) + 13
    results = []
    for sizes, count in (((1, 7, 1003), steps), ((large,), 2)):
        params = [rng.standard_normal(n).astype(dtype) for n in sizes]
        optimizer = Optimizer(params, rule, backend=backend, threads=threads, nonfinite="allow")
        for _ in range(count):
            optimizer.step([rng.standard_normal(n).astype(dtype) for n in sizes])
        results += params
    return results


def _first_difference(reference, result):
    for k, (a, b) in enumerate(zip(reference, result, strict=True)):
        where = np.flatnonzero(~((a == b) | (np.isnan(a) & np.isnan(b))))
        if where.size:
            i = where[0]
            return f"array {k}, element {i}: {b[i]!r} instead of {a[i]!r}; {where.size} elements differ"
    return ""


def _packed(report, rule):
    if not choose.has_numba() or not re.search("x86|amd64", platform.machine(), re.I):
        return
    from fastopt.kernels.language.assembly import step_instructions

    found = step_instructions(type(rule), "float32", len(rule.coefficients(rule, 1.0)))
    packed = {i for i in found if re.fullmatch(r"(add|sub|mul|div|sqrt|max|min)ps", i)}
    report.add(
        "the loop is vectorised", packed, "" if packed else "no packed instruction: a branch in update?"
    )
    double = {i for i in found if re.fullmatch(r"(add|sub|mul|div|sqrt|max|min)[ps]d|cvt[ps]s2[ps]d", i)}
    detail = f"float64 instructions in the float32 loop: {', '.join(sorted(double))}" if double else ""
    report.add("no double precision in the float32 loop", not double, detail)


def check_loss(loss, *, raise_exception=True):
    """Check a loss, e.g. fo.check_loss(MyLoss()): a FormulaReport.

    Derivatives against differences of the losses at random scores, at scores on kinks and at large ones, for
    1, 2, 3 and 7 classes; the dtype returned; then value_and_grad on every back end against the formula
    and against the numeric gradient.
    """
    if isinstance(loss, type) or not hasattr(loss, "_fields") or not hasattr(loss, "rows"):
        raise TypeError(f"loss must be a loss's value, such as fo.Softmax(), not {loss!r:.60}")
    report = FormulaReport(type(loss).__name__)
    for classes in (1, 2, 3, 7):
        _rows_against_differences(report, loss, classes)
    if report.ok and has_curvature(loss):
        for classes in (1, 3):
            _curvature_against_differences(report, loss, classes)
    for dtype in (np.float32, np.float64):
        _loss_dtype(report, loss, np.dtype(dtype))
    if report.ok:
        _value_and_grad(report, loss)
    return _finished(report, raise_exception)


def rows(loss, scores, y):
    """(loss of each row, derivatives by the scores) of scores (n, classes) by the formula itself."""
    k = tuple(float(v) for v in loss)
    d = np.zeros((scores.shape[1], scores.shape[0]), scores.dtype)
    s = np.ascontiguousarray(scores.T)
    return loss.rows(k, s, y, d), d.T


def labels(loss, classes, n, rng):
    """Labels as the formula sees them: with one score, y - 1 for a "binary" loss, numbers for a "real" one."""
    if classes > 1:
        return rng.integers(0, classes, n)
    if loss.one_row == "real":
        return rng.normal(size=n)
    return rng.integers(0, 2, n) - 1 if loss.one_row == "binary" else np.zeros(n, np.int64)


def _finite(loss, scores, y):
    """The scores, or as large ones as the loss is finite at (an exponential overflows at 700)."""
    with np.errstate(all="ignore"):
        for _ in range(3):
            try:
                if np.isfinite(rows(loss, scores, y)[0]).all():
                    break
            except Exception:  # an author's formula may raise anything; the check meets it again
                break
            scores = scores / 10
    return scores


def _rows_against_differences(report, loss, classes):
    rng = np.random.default_rng(classes)
    n = 12
    y = labels(loss, classes, n, rng)
    points = {
        "random scores": rng.normal(size=(n, classes)) * 2,
        "scores on kinks": rng.integers(-2, 3, (n, classes)).astype(float),
        "large scores": _finite(loss, rng.normal(size=(n, classes)) * 500, y),
    }
    for name, scores in points.items():
        name = f"derivatives, {classes} class{'es' * (classes > 1)}, {name}"
        try:
            result = gradcheck(
                lambda s: rows(loss, s, y)[0].sum(),
                lambda s: rows(loss, s, y)[1],
                scores,
                raise_exception=False,
                allow_undecided="large" in name,  # one huge row drowns the others in the sum
            )
        except Exception as error:  # an author's formula may raise anything
            report.add(name, False, f"{type(error).__name__}: {error}")
            return
        detail = "" if result else "; ".join([result.verdict, *result.causes])
        if result and result.counts["subgradients"]:
            detail = f"{result.counts['subgradients']} subgradients"
        report.add(name, result.ok, detail)


def _curvature_against_differences(report, loss, classes):
    """curvature times a direction against differences of the derivatives; rows at kinks are left out."""
    rng, name = np.random.default_rng(classes), f"curvature, {classes} class{'es' * (classes > 1)}"
    n, h = 64, 1e-5
    scores, v, y = (
        rng.normal(size=(n, classes)) * 2,
        rng.normal(size=(n, classes)),
        labels(loss, classes, n, rng),
    )
    d = np.zeros((classes, n))
    try:
        loss.curvature(tuple(map(float, loss)), scores.T.copy(), y, v.T.copy(), d)
    except Exception as error:  # an author's formula may raise anything
        report.add(name, False, f"{type(error).__name__}: {error}")
        return
    at = [rows(loss, scores + t * v, y)[1] for t in (-h, 0.0, h)]
    left, right = (at[1] - at[0]) / h, (at[2] - at[1]) / h
    smooth = (np.abs(left - right) < 1e-3 * (1 + np.abs(left))).all(axis=1)
    off = np.abs(d.T - (left + right) / 2)[smooth]
    row = int(np.flatnonzero(smooth)[off.max(axis=1).argmax()]) if smooth.any() else 0
    good = smooth.any() and off.max() < 1e-4 * (1 + np.abs(d).max())
    detail = "" if good else (
        f"at scores {scores[row].round(3)}, y {y[row]}, direction {v[row].round(3)} it gives {d[:, row].round(5)}, "
        f"differences of the derivatives {((left + right) / 2)[row].round(5)}"
    )  # fmt: skip
    report.add(name, good, detail)


def _loss_dtype(report, loss, dtype):
    rng = np.random.default_rng(0)
    scores, y = rng.normal(size=(16, 3)), rng.integers(0, 3, 16)
    value, d = rows(loss, scores.astype(dtype), y)
    exact, exact_d = rows(loss, scores, y)
    tolerance = 64 * np.finfo(dtype).eps
    good = value.dtype == dtype and value.shape == (16,)
    detail = (
        ""
        if good
        else f"rows returns {value.dtype}{value.shape}, expected {dtype}(16,): a float64 array in it?"
    )
    report.add(f"rows keeps {dtype}", good, detail)
    near = np.allclose(value, exact, tolerance, tolerance) and np.allclose(d, exact_d, tolerance, tolerance)
    report.add(f"rows is accurate in {dtype}", near)


def _value_and_grad(report, loss):
    from fastopt.checking.linear import numeric_linear_gradient

    rng = np.random.default_rng(0)
    for classes in (1, 5):
        W, b, X = rng.normal(size=(classes, 9)), rng.normal(size=classes), rng.normal(size=(70, 9))
        X *= rng.random(X.shape) < 0.6
        y = labels(loss, classes, 70, rng)
        y = y + 1 if classes == 1 and loss.one_row == "binary" else y
        weight = rng.integers(1, 4, 70).astype(float)
        numeric = numeric_linear_gradient(loss, W, X, y, b, l2=0.1, sample_weight=weight)
        for backend in ["numpy"] + ["numba"] * choose.has_numba() + ["c"] * (choose.has_c() and _in_c(loss)):
            for dtype in ("float64", "float32"):
                for kind in ["dense"] + ["CSR"] * (importlib.util.find_spec("scipy") is not None):
                    name = (
                        f"value_and_grad, {classes} class{'es' * (classes > 1)}, {backend}, {dtype}, {kind}"
                    )
                    _one_back_end(report, name, loss, (W, X, y, b, weight), dtype, kind, backend, numeric)


def _one_back_end(report, name, loss, problem, dtype, kind, backend, numeric):
    from fastopt.linear import value_and_grad

    W, X, y, b, weight = (a if a.dtype.kind == "i" else a.astype(dtype) for a in problem)
    if kind == "CSR":
        from scipy.sparse import csr_array

        X = csr_array(X)
    try:
        _, dW, db = value_and_grad(loss, W, X, y, b, l2=0.1, sample_weight=weight, backend=backend)
    except Exception as error:  # compilation of an author's formula may raise anything
        report.add(name, False, f"{type(error).__name__}: {str(error).strip()[:300]}")
        return
    off = max(np.abs(dW - numeric[0]).max(), np.abs(db - numeric[1]).max())
    good = off < (1e-4 if dtype == "float32" else 1e-6)
    report.add(name, good, "" if good else f"differs by {off:.2g} from the numeric gradient")


def _in_c(loss):
    from fastopt.losses import IN_C

    return type(loss) in IN_C
