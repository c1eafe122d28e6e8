"""Data on which a solver alone took thousands of iterations, or stood still: what goes on for it ends at the optimum."""

import itertools
import sys

import numpy as np
import pytest

import fastopt as fo
from fastopt.solvers import solve
from fastopt.solvers.interior import Interior

sparse = pytest.importorskip("scipy.sparse")


def badly_conditioned(rng, kind, n=300, features=20):
    X = rng.normal(size=(n, features))
    X = {"offset": X + 100 * rng.normal(size=features), "scaled": X * 10.0 ** rng.uniform(-2, 2, features),
         "tiny": 1e-6 * X, "csr": X * (rng.random(X.shape) < 0.2) * 10.0 ** rng.uniform(-2, 2, features)}[kind]  # fmt: skip
    unit = X / X.std(axis=0)
    return X, (unit - unit.mean(axis=0))[:, :3] @ [1.0, -1, 1] + rng.logistic(size=n)


@pytest.mark.long
@pytest.mark.parametrize("kind", ["offset", "scaled", "tiny", "csr"])
@pytest.mark.parametrize("dtype", [np.float64, np.float32], ids=str)
def test_hinge_is_libsvms(kind, dtype, rng):
    """SVC penalises no intercept, as here."""
    svm = pytest.importorskip("sklearn.svm")
    pytest.importorskip("numba")
    X, score = badly_conditioned(rng, kind)
    X, y, weight, l2 = (
        X.astype(dtype),
        (score > 0).astype(int),
        rng.random(300) * (rng.random(300) < 0.9),
        1e-3,
    )
    rows = sparse.csr_array(X) if kind == "csr" else X
    W, b, report = solve(fo.Objective(fo.Hinge(), rows, y, l2=l2, sample_weight=weight), "dual")
    w = weight / weight.sum()
    model = svm.SVC(kernel="linear", C=1 / (2 * l2), tol=1e-6, cache_size=100, max_iter=3_000_000)
    model.fit(X.astype(float), 2 * y - 1, sample_weight=w)

    def value(v, c):
        return w @ np.maximum(0, 1 - (2 * y - 1) * (X.astype(float) @ v + c)) + l2 * v @ v

    own, theirs = value(W[0].astype(float), b[0]), value(model.coef_[0], model.intercept_[0])
    assert report.converged and report.iterations < 60
    assert own <= theirs * (1 + (2e-6 if dtype == np.float64 else 2e-5))
    assert report.objective == pytest.approx(own, rel=1e-10 if dtype == np.float64 else 1e-4)


@pytest.mark.parametrize("loss", [fo.EpsilonInsensitive(0.3), fo.Quantile(0.2), fo.Quantile(0.9)], ids=str)
@pytest.mark.parametrize("kind", ["offset", "scaled"])
def test_targets_end_at_a_small_gap(loss, kind, rng):
    pytest.importorskip("numba")
    X, y = badly_conditioned(rng, kind)
    objective = fo.Objective(loss, X, y + 50, l2=1e-3)
    W, b, report = solve(objective, tol=1e-8)
    assert report.converged and report.gap <= 1e-8
    for _ in range(20):  # no point around it is lower
        V, c = W + 1e-3 * rng.normal(size=W.shape) / X.std(axis=0), b + 1e-3 * rng.normal()
        assert objective.value(V, c) >= report.objective


def test_the_lower_bound_of_an_interior_point_holds_all_the_way(rng):
    X, score = badly_conditioned(rng, "scaled", 80, 6)
    objective = fo.Objective(fo.Hinge(), X, (score > 0).astype(int), l2=0.01)
    z = np.where(score > 0, 1.0, -1.0)[None]
    part = Interior(objective, objective.rows, np.full((1, 80), 1 / 80), np.ones((1, 80)), z, 0.01, 0.0, 1.0)
    bounds, values = [], []
    for _ in range(40):
        part.advance()
        bounds.append(part.lower_bound())
        values.append(objective.value(part.W, part.b))
    assert max(bounds) <= min(values) and min(values) - max(bounds) <= 1e-9 * min(values)


@pytest.mark.parametrize("solver", ["lbfgs", "newton", "prox-newton"])
@pytest.mark.parametrize(("features", "classes"), [(3, 3), (2, 4), (4, 1)])
def test_standardized_rows_that_are_not_centred(features, classes, solver, rng):
    """As many features as classes: second derivatives by b are not scaled."""
    X = np.where(rng.random((400, features)) < 0.3, 1e-3 * rng.normal(size=(400, features)), 0)
    y = (
        1e3 * X @ rng.normal(size=(features, max(2, classes))) + rng.gumbel(size=(400, max(2, classes)))
    ).argmax(axis=1)
    loss = fo.SquaredHinge()
    W, b, report = solve(
        fo.Objective(loss, sparse.csr_array(X), y, l2=1e-3, classes=classes),
        solver,
        standardize=True,
        tol=1e-9,
    )
    scale = np.sqrt((X**2).mean(axis=0))
    other = solve(fo.Objective(loss, X / scale, y, l2=1e-3, classes=classes), "lbfgs", tol=1e-9)
    assert (
        report.converged and np.allclose(W * scale, other.W, atol=1e-6) and np.allclose(b, other.b, atol=1e-6)
    )


@pytest.mark.parametrize("dtype", [np.float64, np.float32], ids=str)
def test_proximal_newton_where_no_row_has_a_curvature(dtype, rng):
    """All targets are far off: Huber's loss is linear there."""
    X = rng.normal(size=(200, 5)).astype(dtype)
    y = (1e3 * (np.abs(X) @ np.arange(1.0, 6)) + rng.normal(size=200) + 1e4).astype(dtype)
    objective = fo.Objective(fo.Huber(), X, y, l2=1e-2)
    W, b, report = solve(objective, "prox-newton", bounds=(0, None))
    _, dW, db = objective.value_and_grad(W, b)
    assert report.converged and (W >= 0).all()
    off = np.where(W > 0, np.abs(dW), np.maximum(-dW, 0)).max()
    assert max(off, np.abs(db).max()) <= (1e-8 if dtype == np.float64 else 1e-4)


def test_auto_goes_on_with_another_solver(rng):
    """Columns of 100 +- 1 without b: L-BFGS takes thousands of iterations, of which auto does not wait for all."""
    X = rng.normal(size=(60, 80)) + 100 * rng.normal(size=80)
    y = rng.integers(0, 3, 60)
    objective = fo.Objective(fo.SquaredHinge(), X, y, l2=1e-4, fit_intercept=False)
    W, _, report = solve(objective, standardize=True)
    assert report.converged and report.solver == "lbfgs, newton" and report.iterations < 300
    assert len(report.history["objective"]) == report.iterations + 1


@pytest.mark.parametrize("bounds", [None, (0, None), (-0.1, 0.2)], ids=str)
@pytest.mark.parametrize("standardize", [False, True])
@pytest.mark.parametrize("dtype", [np.float64, np.float32], ids=str)
def test_conditions_of_wide_sparse_rows(bounds, standardize, dtype, rng):
    """Proximal Newton by columns: entry by entry, with entries that stand twice, weights and columns of zeros."""
    X = np.where(rng.random((90, 260)) < 0.1, rng.normal(size=(90, 260)), 0).astype(dtype)
    X[:, 7] = 0
    y, weight = (X[:, :5].sum(axis=1) + rng.logistic(size=90) > 0).astype(int), rng.random(90).astype(dtype)
    where, columns = np.nonzero(X)
    halves = np.repeat(X[where, columns] / 2, 2)
    ends = 2 * np.searchsorted(where, np.arange(91))
    rows = sparse.csr_matrix((halves, np.repeat(columns, 2), ends), X.shape)
    l1, l2, tol = 0.004, 0.002, 1e-9 if dtype == np.float64 else 2e-5
    objective = fo.Objective(fo.Logistic(), rows, y, penalty=fo.ElasticNet(l1, l2), sample_weight=weight)
    W, b, report = solve(objective, "prox-newton", standardize=standardize, bounds=bounds, tol=tol)
    X, w = X.astype(float), weight.astype(float) / weight.sum(dtype=float)
    scale = np.sqrt((X**2).mean(axis=0)) if standardize else np.ones(260)
    scale[7] = 1
    s = X @ W[0].astype(float) + b
    d = w * (0.5 + 0.5 * np.tanh(s / 2) - y)
    v = W[0] * scale
    g = X.T @ d / scale + 2 * l2 * v
    off = np.where(v != 0, g + l1 * np.sign(v), np.sign(g) * np.maximum(np.abs(g) - l1, 0))
    sides = (-np.inf, np.inf) if bounds is None else [np.inf if side is None else side for side in bounds]
    low, high = map(dtype, sides)
    W = W[0].astype(float)
    off[np.isclose(W, low) & (off > 0) | np.isclose(W, high) & (off < 0)] = 0
    assert report.converged and max(np.abs(off).max(), abs(d.sum())) <= 2 * tol
    assert (low <= W).all() and (high >= W).all() and (W != 0).any()
    assert bounds == (-0.1, 0.2) or (W == 0).sum() > 60


@pytest.mark.parametrize("bounds", [None, (0, None)])
def test_owl_qn_that_ends_early_is_followed_by_proximal_newton(bounds, rng, monkeypatch):
    """Asked for by name too; the report names both."""
    module = sys.modules[solve.__module__]
    whole = module._SMOOTH["lbfgs"]
    monkeypatch.setitem(module._SMOOTH, "lbfgs", lambda *given: itertools.islice(whole(*given), 3))
    X, y = rng.normal(size=(200, 8)), rng.integers(0, 3, 200)
    objective = fo.Objective(fo.Softmax(), X, y, penalty=fo.ElasticNet(1e-3, 1e-4))
    found, other = (solve(objective, name, bounds=bounds) for name in ("lbfgs", "prox-newton"))
    assert found.report.solver == "lbfgs, prox-newton" and found.report.converged
    np.testing.assert_allclose(found.W, other.W, atol=1e-7)


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_newton_in_the_tails_of_huber_is_followed_by_lbfgs(seed):
    """No curvature there: Newton alone stands still or ends early."""
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(150, 12))
    y = 1e3 * (X[:, :4].sum(axis=1) + rng.normal(size=150)) + 10
    objective = fo.Objective(fo.Huber(), X, y)
    found, other = solve(objective), solve(objective, "lbfgs", max_iter=5000)
    assert found.report.converged and found.report.solver == "newton, lbfgs"
    assert found.report.objective <= other.report.objective * (1 + 1e-9)
