"""What "auto" chooses, against the fastest of all solvers, on a grid of shapes.

    python bench/solver_choice.py [--rounds 3] [--limit 5] [--record tests/solver_costs.json]

Each solver that takes the problem runs to the default tolerance, the least of the rounds counts; dual ascent, whose
tolerance is a gap, is not among them where a gradient can be. --record writes the seconds that the tests ask the
choice about.
"""

import argparse
import json
import time
import warnings
from pathlib import Path

import numpy as np
from scipy import sparse

import fastopt as fo
from fastopt.solvers import solve
from fastopt.solvers.choose import check_choice, choose_solver

warnings.simplefilter("ignore")
# rows, features, classes, density
SHAPES = [
    (200, 5, 3, 1), (1000, 10, 2, 1), (1000, 10, 10, 1), (1000, 100, 2, 1), (1000, 100, 10, 1), (500, 1000, 2, 1),
    (500, 1000, 5, 1), (10_000, 20, 2, 1), (10_000, 20, 10, 1), (10_000, 100, 2, 1), (10_000, 100, 10, 1),
    (10_000, 500, 2, 1), (100_000, 20, 2, 1), (100_000, 20, 10, 1), (100_000, 50, 3, 1), (1000, 100, 2, 0.1),
    (10_000, 100, 2, 0.1), (10_000, 1000, 2, 0.01), (20_000, 1000, 5, 0.01), (20_000, 10_000, 2, 0.001),
    (5000, 20_000, 5, 0.002), (30_000, 120, 2, 0.11),
]  # fmt: skip
PENALTIES = [(0.0, 1e-4), (0.0, 1e-2), (1e-3, 0.0)]  # l1, l2


def rows_of(n, features, classes, density, seed=0):
    """(X, y) of a softmax on some of the features."""
    rng = np.random.default_rng(seed)
    if density < 1:
        X = sparse.csr_array(
            sparse.random(n, features, density, "csr", rng=rng, data_rvs=lambda k: 3 * rng.normal(size=k))
        )
        X.indices, X.indptr = X.indices.astype(np.int32), X.indptr.astype(np.int32)
    else:
        X = rng.normal(size=(n, features))
    used = min(features, 20)
    scores = np.asarray(X[:, :used] @ rng.normal(size=(used, max(classes, 2))))
    y = (scores + rng.gumbel(size=scores.shape)).argmax(axis=1)
    y[:classes] = np.arange(classes)
    return X, y


def objective_of(X, y, classes, l1, l2, threads=1):
    loss = fo.Softmax() if classes > 2 else fo.Logistic()
    return fo.Objective(loss, X, y, penalty=fo.ElasticNet(l1, l2), threads=threads)


def seconds_of(objective, rounds, limit):
    """{solver: seconds}; 1,000 where it did not converge."""
    found = {}
    for _ in range(rounds):
        for name in ("lbfgs", "newton", "prox-newton"):
            if found.get(name, 0) > limit or (name == "prox-newton" and not objective.penalty.l1):
                continue
            try:
                check_choice(name, objective, False)
            except ValueError:
                continue
            began = time.perf_counter()
            report = solve(objective, name, max_seconds=limit).report
            seconds = time.perf_counter() - began if report.converged else 1000.0
            found[name] = min(found.get(name, np.inf), seconds)
    return found


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--limit", type=float, default=5.0, help="seconds of a run")
    parser.add_argument("--record", type=Path)
    options = parser.parse_args()
    worst, recorded = 1.0, []
    for shape in SHAPES:
        X, y = rows_of(*shape)
        for l1, l2 in PENALTIES:
            objective = objective_of(X, y, shape[2], l1, l2)
            costs, name = seconds_of(objective, options.rounds, options.limit), choose_solver(objective)
            ratio = costs[name] / min(costs.values())
            worst = max(worst, ratio)
            recorded.append({"shape": shape, "l1": l1, "l2": l2, "seconds": costs})
            shown = ", ".join(f"{solver} {seconds:.4f}" for solver, seconds in costs.items())
            print(f"{'{:>7} x {:<6} {:2} classes, density {:5}'.format(*shape)} l1 {l1:g} l2 {l2:g}: {shown}; "
                  f"auto {name} {ratio:.2f}", flush=True)  # fmt: skip
    print(f"worst: {worst:.2f} times the best")
    if options.record:
        options.record.write_text("[\n" + ",\n".join(map(json.dumps, recorded)) + "\n]\n")


if __name__ == "__main__":
    main()
