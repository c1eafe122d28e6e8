"""Optima of each solver against scikit-learn's at a tolerance of 1e-12, on a9a, letter and 5,000 rows of MNIST.

    python bench/solver_optima.py [--data FOLDER] [--only NAME]

A line a solver: the largest difference of a coefficient, the relative one of the objective, what the report says.
"""

import argparse
import warnings
from pathlib import Path

import numpy as np
from solver_problems import labels_of, letter, mnist

import fastopt as fo
from fastopt.solvers import solve

warnings.simplefilter("ignore")


def reference(X, y, C, solver):
    from sklearn.linear_model import LogisticRegression

    model = LogisticRegression(C=C, solver=solver, tol=1e-12, max_iter=20_000).fit(X, y)
    return model.coef_, model.intercept_


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, default=Path(__file__).resolve().parents[2] / "shared" / "data")
    parser.add_argument("--only", default="")
    options = parser.parse_args()
    folder = options.data
    sets = {
        "a9a": (lambda: labels_of(folder / "a9a.svm.xz"), fo.Logistic(), "newton-cholesky"),
        "letter": (lambda: letter(folder), fo.Softmax(), "newton-cholesky"),
        "MNIST 5,000": (lambda: mnist(folder, 5000), fo.Softmax(), "lbfgs"),
    }
    for name, (load, loss, theirs) in sets.items():
        if options.only not in name:
            continue
        X, y = load()
        objective = fo.Objective(loss, X, y, l2=1 / (2 * X.shape[0]))
        coefficients, intercept = reference(X, y, 1.0, theirs)
        best = objective.value(np.asarray(coefficients, float), np.asarray(intercept, float))
        print(f"{name}: scikit-learn {theirs} {best:.15g}")
        for solver in ("auto", "lbfgs", "newton", "prox-newton"):
            if objective.classes * objective.features > 2500 and solver == "prox-newton":
                continue
            W, b, report = solve(objective, solver, max_iter=5000)
            print(f"    {np.abs(W - coefficients).max():8.1e} {report.objective / best - 1:9.1e}  "
                  f"{str(report).splitlines()[0]}", flush=True)  # fmt: skip


if __name__ == "__main__":
    main()
