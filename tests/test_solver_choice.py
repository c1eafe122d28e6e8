"""What "auto" takes, held against recorded seconds of all solvers (bench/solver_choice.py --record writes them)."""

import json
from pathlib import Path

import numpy as np
import pytest

import fastopt as fo
from fastopt.solvers.choose import choose_solver
from fastopt.solvers.notes import nearly_independent

sparse = pytest.importorskip("scipy.sparse")

COSTS = json.loads((Path(__file__).parent / "solver_costs.json").read_text())


def objective_of(n, features, classes, density, l1, l2):
    rng = np.random.default_rng(0)
    if density == 1:
        X = rng.normal(size=(n, features))
    else:
        a_row = max(1, round(features * density))
        columns = rng.integers(0, features, n * a_row).astype(np.int32)
        X = sparse.csr_array((np.ones(n * a_row), columns, np.arange(0, n * a_row + 1, a_row)), (n, features))
    loss = fo.Softmax() if classes > 2 else fo.Logistic()
    return fo.Objective(loss, X, np.arange(n) % classes, penalty=fo.ElasticNet(l1, l2), threads=1)


@pytest.mark.parametrize("recorded", COSTS, ids=lambda r: "-".join(map(str, (*r["shape"], r["l1"], r["l2"]))))
def test_the_choice_takes_at_most_half_as_long_again_as_the_best(recorded):
    name = choose_solver(objective_of(*recorded["shape"], recorded["l1"], recorded["l2"]))
    assert recorded["seconds"][name] <= 1.5 * min(recorded["seconds"].values())


def test_dependent_features_are_told_from_independent_ones(rng):
    """OWL-QN is for features that hardly depend on each other."""
    X = rng.normal(size=(500, 40))
    y = np.arange(500) % 10
    for rows, solver in ((X, "lbfgs"), (X + 2 * X[:, :1], "prox-newton"), (X * np.r_[np.ones(39), 1e3], "prox-newton"),
                         (X + 100, "prox-newton")):  # fmt: skip
        objective = fo.Objective(fo.Softmax(), rows, y, penalty=fo.L1(1e-3))
        assert (
            nearly_independent(objective.rows) == (solver == "lbfgs") and choose_solver(objective) == solver
        )
