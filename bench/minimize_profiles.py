"""Moré and Wild's 53 problems and 30 of Moré, Garbow and Hillstrom: how many are solved, by whom, after how much.

    python bench/minimize_profiles.py [folder]      a table, and profiles.svg in the folder (default: here)

Solved to a tolerance: f(x) <= f* + tolerance * (f(x0) - f*), f* the least value that any solver found
(Moré & Wild 2009). All get the same functions and gradients; evaluations are counted by the functions.
"""

import sys
from pathlib import Path

import numpy as np
from scipy import optimize

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))
from minimize_problems import more_garbow_hillstrom, more_wild

import fastopt as fo

LIMIT = 2000
TOLERANCES = (1e-3, 1e-5, 1e-8)
SOLVERS = {
    "fastopt lbfgs": ("fo", "lbfgs"),
    "scipy L-BFGS-B": ("scipy", "L-BFGS-B"),
    "fastopt bfgs": ("fo", "bfgs"),
    "scipy BFGS": ("scipy", "BFGS"),
    "fastopt newton": ("fo", "newton"),
    "scipy trust-exact": ("scipy", "trust-exact"),
}


def trace(problem, solver):
    """The least value after each evaluation, up to LIMIT of them."""
    values, least = [], np.inf

    def fun(x):
        nonlocal least
        f = problem.value(x)
        least = min(least, f) if np.isfinite(f) else least
        values.append(least)
        if len(values) >= LIMIT:
            raise StopIteration
        return f

    who, method = solver
    hess = problem.hessian if method in ("newton", "trust-exact") else None
    try:
        if who == "fo":
            fo.minimize(
                fun, problem.start, jac=problem.gradient, hess=hess, method=method, gtol=1e-10, maxiter=LIMIT
            )
        else:
            options = {"maxiter": LIMIT, "gtol": 1e-10}
            if method == "L-BFGS-B":
                options.update(ftol=0, maxfun=LIMIT)
            optimize.minimize(
                fun, problem.start, jac=problem.gradient, hess=hess, method=method, options=options
            )
    except (StopIteration, ValueError, np.linalg.LinAlgError, FloatingPointError, OverflowError):
        pass
    return np.array(values or [np.inf])


def evaluations(traces, tolerance):
    """(problems, solvers): evaluations until solved, inf where it never was."""
    result = np.full((len(traces), len(SOLVERS)), np.inf)
    for i, row in enumerate(traces):
        lowest, start = min(t[-1] for t in row), row[0][0]
        for j, t in enumerate(row):
            reached = np.flatnonzero(t <= lowest + tolerance * (start - lowest))
            if reached.size:
                result[i, j] = reached[0] + 1
    return result


def picture(counts, sizes, path):
    """Performance profiles (Dolan & Moré 2002) above, data profiles (Moré & Wild 2009) below."""
    import matplotlib

    matplotlib.use("svg")
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(2, len(TOLERANCES), figsize=(12, 7), sharey=True)
    for column, tolerance in enumerate(TOLERANCES):
        c = counts[tolerance]
        ratios = c / np.min(c, axis=1, keepdims=True)
        simplices = c / (sizes[:, None] + 1)
        for j, name in enumerate(SOLVERS):
            style = dict(color=f"C{j // 2}", linestyle="-" if j % 2 == 0 else "--", label=name)
            for row, (values, grid) in enumerate(
                ((ratios, np.geomspace(1, 64, 200)), (simplices, np.linspace(0, 60, 200)))
            ):
                axes[row, column].plot(grid, [np.mean(values[:, j] <= a) for a in grid], **style)
        axes[0, column].set(
            xscale="log", title=f"tolerance {tolerance:g}", xlabel="evaluations / least of all"
        )
        axes[1, column].set(xlabel="evaluations / (n + 1)")
    axes[0, 0].set_ylabel("share of problems solved")
    axes[1, 0].set_ylabel("share of problems solved")
    axes[0, 0].legend(fontsize=8)
    figure.tight_layout()
    figure.savefig(path)


def main():
    folder = Path(sys.argv[1] if len(sys.argv) > 1 else ".")
    for title, problems in (
        ("Moré and Wild", list(more_wild())),
        ("Moré, Garbow and Hillstrom", more_garbow_hillstrom()),
    ):
        traces = [[trace(p, s) for s in SOLVERS.values()] for p in problems]
        counts = {tolerance: evaluations(traces, tolerance) for tolerance in TOLERANCES}
        print(f"{title}: problems solved of {len(problems)}, at " + ", ".join(f"{t:g}" for t in TOLERANCES))
        for j, name in enumerate(SOLVERS):
            solved = [int(np.isfinite(counts[t][:, j]).sum()) for t in TOLERANCES]
            print(f"  {name:18} {solved}   median evaluations {np.median(counts[1e-5][:, j]):g}")
        for i, p in enumerate(problems):
            lost = [name for j, name in enumerate(SOLVERS) if not np.isfinite(counts[1e-8][i, j])]
            if lost:
                print(f"    {p.name}: not to 1e-8 by {', '.join(lost)}")
        if title == "Moré and Wild":
            picture(counts, np.array([p.start.size for p in problems]), folder / "profiles.svg")


if __name__ == "__main__":
    main()
