"""Losses of targets that have kinks: dual ascent against scikit-learn's liblinear and a quadratic program written out."""

import numpy as np
import pytest

import fastopt as fo
from fastopt.solvers import solve

sparse = pytest.importorskip("scipy.sparse")
pytest.importorskip("numba")


@pytest.fixture
def given(rng):
    X = rng.normal(size=(300, 6))
    return X, X @ rng.normal(size=6) * 3 + rng.standard_t(2, size=300)


@pytest.mark.parametrize("form", [np.asarray, sparse.csr_array])
@pytest.mark.parametrize("l2", [1e-3, 1e-1])
def test_epsilon_insensitive_is_liblinears(form, l2, given):
    svm = pytest.importorskip("sklearn.svm")
    X, y = given
    solution = solve(
        fo.Objective(fo.EpsilonInsensitive(0.5), form(X), y, penalty=fo.L2(l2), fit_intercept=False),
        tol=1e-10,
    )
    model = svm.LinearSVR(epsilon=0.5, C=1 / (2 * l2 * 300), fit_intercept=False, tol=1e-12, max_iter=100_000)
    np.testing.assert_allclose(solution.W[0], model.fit(X, y).coef_, atol=1e-5)
    assert solution.report.converged and solution.report.solver == "dual"


@pytest.mark.parametrize("q", [0.2, 0.5, 0.9])
def test_quantile_with_an_intercept_is_the_quadratic_program(q, rng):
    optimize = pytest.importorskip("scipy.optimize")
    X = rng.normal(size=(25, 3))
    y = X @ [1, 2, 3] + rng.normal(size=25) + 5
    solution = solve(fo.Objective(fo.Quantile(q), X, y, penalty=fo.L2(0.05)), tol=1e-11, max_iter=3000)
    beyond = lambda v: X @ v[:3] + v[3] - y  # noqa: E731
    found = optimize.minimize(
        lambda v: v[4:].mean() + 0.05 * v[:3] @ v[:3],
        np.r_[np.zeros(3), 5, np.full(25, 10.0)],
        constraints=[{"type": "ineq", "fun": lambda v: v[4:] + q * beyond(v)},
                     {"type": "ineq", "fun": lambda v: v[4:] - (1 - q) * beyond(v)}],
        method="SLSQP", options={"ftol": 1e-14, "maxiter": 500},
    )  # fmt: skip
    assert solution.report.objective == pytest.approx(found.fun, rel=1e-9)
    np.testing.assert_allclose(np.r_[solution.W[0], solution.b], found.x[:4], atol=1e-5)


@pytest.mark.parametrize("loss", [fo.EpsilonInsensitive(0.2), fo.Quantile(0.3)], ids=str)
def test_the_gap_is_above_what_is_missing(loss, given):
    """Targets far from 0, weights and an intercept: the lower bound stays below the optimum."""
    X, y = given
    objective = fo.Objective(
        loss, X, y + 1000, penalty=fo.L2(0.01), sample_weight=np.linspace(0.0, 2.0, len(y)), threads=1
    )
    best = solve(objective, tol=1e-9).report
    early = solve(objective, tol=1e-2).report
    assert best.converged and early.objective * (1 - early.gap) <= best.objective * (1 + 1e-9)


def test_auto_of_train_takes_it(given):
    X, y = given
    fit = fo.train(X, y, fo.Quantile(0.8), solver="auto", l2=1e-3)
    assert fit.report.solver == "dual" and fit.report.converged
    assert np.mean(y < X @ fit.W[0] + fit.b[0]) == pytest.approx(0.8, abs=0.02)
