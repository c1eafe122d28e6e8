"""Data that make trouble: each ends in an optimum, or in a message that is true."""

import functools
import warnings

import numpy as np
import pytest

import fastopt as fo
from fastopt.engines import choose
from fastopt.solvers import solve
from fastopt.solvers.precondition import precondition
from fastopt.solvers.problem import Problem

sparse = pytest.importorskip("scipy.sparse")

SMOOTH = ["lbfgs", "newton", "prox-newton"]


def quiet(*given, **options):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return solve(*given, **options)


@pytest.fixture
def small(rng):
    X = rng.normal(size=(90, 6))
    return X, (X @ rng.normal(size=(6, 3)) + rng.gumbel(size=(90, 3))).argmax(axis=1)


KNOWN = [
    # digits as they are take each solver five to twenty seconds: auto's for everyone, the others' for the long run
    pytest.param(
        name,
        solver,
        standard,
        marks=[pytest.mark.long] * (name == "digits" and not standard and solver != "auto"),
    )
    for name in ("digits", "iris", "wine", "breast_cancer")
    for solver in (*SMOOTH, "auto")
    for standard in (False, True)
]


@functools.cache
def known(name, standard):
    """(X, y, scikit-learn's coefficients and intercepts): digits take it seconds, once for all solvers."""
    datasets = pytest.importorskip("sklearn.datasets")
    from sklearn.linear_model import LogisticRegression

    X, y = getattr(datasets, f"load_{name}")(return_X_y=True)
    if standard:
        X = (X - X.mean(axis=0)) / np.maximum(X.std(axis=0), 1e-9)
    reference = LogisticRegression(C=1.0, solver="newton-cholesky", tol=1e-12, max_iter=200).fit(X, y)
    return X, y, reference.coef_, reference.intercept_


@pytest.mark.parametrize("name, solver, standard", KNOWN)
def test_the_default_tolerance_is_enough_on_known_data(name, solver, standard):
    """Raw features too: coefficients to 1e-5 and objectives to 1e-9 of scikit-learn's newton-cholesky."""
    X, y, coef, theirs = known(name, standard)
    loss = fo.Logistic() if y.max() == 1 else fo.Softmax()
    objective = fo.Objective(loss, X, y, l2=1 / (2 * len(y)))
    W, b, report = quiet(objective, solver, max_iter=3000)
    best = objective.value(coef, theirs)
    assert report.converged and report.objective == pytest.approx(best, rel=1e-9)
    assert np.abs(W - coef).max() < 1e-5
    if len(b) > 1:
        b, theirs = b - b.mean(), theirs - theirs.mean()
    assert np.abs(b - theirs).max() < 1e-4 * max(1, np.abs(theirs).max())


@pytest.mark.parametrize("solver", SMOOTH)
def test_scores_stay_those_of_the_weights_where_steps_are_rounding(small, solver):
    X, y = small
    objective = fo.Objective(fo.Softmax(), X, y, l2=1e-3)
    best = quiet(objective, "newton", tol=1e-12).report.objective
    report = quiet(objective, solver, tol=0).report
    assert report.objective == pytest.approx(best, rel=1e-12)
    assert min(report.history["objective"]) == pytest.approx(best, rel=1e-12)


def test_b_of_a_softmax_does_not_drift_in_float32(small):
    X, y = small
    objective = fo.Objective(fo.Softmax(), X.astype("f4"), y, penalty=fo.ElasticNet(0.005, 0.005))
    W, b, report = quiet(objective, "prox-newton", tol=2e-5)
    assert report.converged and np.abs(b).max() < 10


@pytest.mark.parametrize("solver", SMOOTH)
def test_features_of_very_different_sizes_are_noticed(small, solver):
    X, y = small
    sizes = 10.0 ** np.linspace(-12, 12, 6)
    objective = fo.Objective(fo.Logistic(), X * sizes, (y > 0).astype(int), l2=1e-3)
    report = quiet(objective, solver, max_iter=200).report
    assert "differ by a factor of 9e+23" in report.notes[0] and "standardize" in report.notes[0]
    best = quiet(objective, "newton", tol=1e-30, max_iter=100).report.objective
    assert not report.converged or report.objective == pytest.approx(best, rel=1e-6)
    W, b, mended = quiet(objective, solver, standardize=True)
    Z = (X - X.mean(axis=0)) / X.std(axis=0)
    alone = quiet(fo.Objective(fo.Logistic(), Z, (y > 0).astype(int), l2=1e-3), solver)
    assert mended.converged and not mended.notes
    assert mended.objective == pytest.approx(alone.report.objective, rel=1e-9)


def test_rare_sparse_features_are_not_taken_for_small_ones(rng):
    X = sparse.random(2000, 3000, 0.002, "csr", rng=rng, data_rvs=lambda k: np.abs(rng.normal(size=k)))
    y = rng.integers(0, 2, 2000)
    assert not quiet(fo.Objective(fo.Logistic(), sparse.csr_array(X), y, l2=0.1)).report.notes
    X = sparse.csr_array(sparse.random(2000, 30, 0.2, "csr", rng=rng) @ sparse.diags(np.r_[np.ones(29), 1e6]))
    assert "column 29" in quiet(fo.Objective(fo.Logistic(), X, y, l2=0.1)).report.notes[0]


def test_bounds_hold_for_the_weights_that_are_returned(small):
    X, y = small
    objective = fo.Objective(fo.Softmax(), X * [1, 10, 100, 1, 1, 1], y, l2=1e-3)
    W, b, report = quiet(objective, standardize=True, bounds=(-0.01, 0.05))
    assert report.converged and W.min() == pytest.approx(-0.01) and W.max() == pytest.approx(0.05)


@pytest.mark.parametrize("solver", SMOOTH)
@pytest.mark.parametrize("loss", [fo.Softmax(), fo.Logistic()], ids=str)
def test_separated_classes_without_a_penalty_are_said(loss, solver, small):
    X, _ = small
    y = (X[:, 0] > 0).astype(int)
    W, b, report = quiet(fo.Objective(loss, X, y), solver)
    assert np.isfinite(W).all() and any("no minimum" in note for note in report.notes)
    assert not quiet(fo.Objective(loss, X, y, l2=1e-4), solver).report.notes
    y[:3] = 1 - y[:3]
    assert not quiet(fo.Objective(loss, X, y), solver).report.notes  # they overlap


@pytest.mark.parametrize("solver", SMOOTH)
def test_a_class_without_rows_is_said(small, solver):
    X, y = small
    for objective in (fo.Objective(fo.Softmax(), X, y, l2=1e-2, classes=4),
                      fo.Objective(fo.Softmax(), X, y, l2=1e-2, sample_weight=(y > 0) * 1.0),
                      fo.Objective(fo.Logistic(), X, np.zeros(90, int), l2=1e-2)):  # fmt: skip
        W, b, report = quiet(objective, solver, max_iter=500)
        assert np.isfinite(W).all() and np.isfinite(b).all()
        assert any("no row" in note and "no minimum" in note for note in report.notes)


@pytest.mark.parametrize("solver", SMOOTH)
@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_what_is_not_finite_is_named(small, solver, value):
    X, y = small
    X[3, 2] = value
    for rows in (X, sparse.csr_array(X)):
        with pytest.raises(ValueError, match="row 3, column 2"):
            quiet(fo.Objective(fo.Softmax(), rows, y, l2=1e-2), solver)


@pytest.mark.parametrize("solver", SMOOTH)
def test_edges(solver, small):
    X, y = small
    edges = {
        "one row": fo.Objective(fo.SquaredError(), X[:1], np.array([3.0]), l2=1e-3),
        "no row": fo.Objective(fo.Softmax(), X[:0], y[:0], l2=1e-3),
        "no feature": fo.Objective(fo.Softmax(), X[:, :0], y, l2=1e-3),
        "zeros": fo.Objective(fo.Softmax(), 0 * X, y, l2=1e-3),
        "sparse zeros": fo.Objective(fo.Softmax(), sparse.csr_array(0 * X), y, l2=1e-3),
        "huge l2": fo.Objective(fo.Softmax(), X, y, l2=1e12),
        "n < p": fo.Objective(fo.Softmax(), np.tile(X[:20], 10), y[:20], l2=1e-3),
        "same columns": fo.Objective(fo.Softmax(), np.column_stack([X, X, np.ones(90)]), y),
        "large counts": fo.Objective(fo.Poisson(), X, 1e6 + y),
    }
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for name, objective in edges.items():
            W, b, report = solve(objective, solver)
            assert report.converged and np.isfinite(W).all(), (name, report)
    share = np.log(np.bincount(y) / len(y))
    b = solve(edges["no feature"], solver).b
    assert np.allclose(b - b.mean(), share - share.mean(), atol=1e-6)


def test_what_stops_at_once_returns_the_start(small):
    X, y = small
    objective = fo.Objective(fo.Softmax(), X, y, l2=1e-3)
    for solver in SMOOTH:
        for options in ({"max_iter": 0}, {"max_seconds": 1e-9}):
            with pytest.warns(UserWarning, match="NOT converged .max_"):
                W, b, report = solve(objective, solver, **options)
            assert not W.any() and report.iterations == 0 and report.reads <= 3
        with pytest.warns(UserWarning, match="max_iter = 1"):
            assert solve(objective, solver, max_iter=1).report.iterations == 1


def test_counts_below_0_and_weights_of_0_are_refused(small):
    X, y = small
    with pytest.raises(ValueError, match=r"y\[0\] is -1.0: targets of Poisson are counts"):
        solve(fo.Objective(fo.Poisson(), X, y - 1.0 - y))
    with pytest.raises(ValueError, match="0 everywhere"):
        solve(fo.Objective(fo.Softmax(), X, y, sample_weight=np.zeros(90)))


def test_many_classes_take_no_memory_of_their_square(rng):
    """1,000 classes: second derivatives of 1,000 rows would be 8 GB."""
    X = rng.normal(size=(2000, 5)).astype("f4")
    y = rng.integers(0, 1000, 2000)
    y[:1000] = np.arange(1000)
    objective = fo.Objective(fo.Softmax(), X, y, l2=1e-3)
    report = quiet(objective, "lbfgs", max_iter=60, tol=1e-4).report
    assert report.converged


def test_one_class_has_a_hinge_of_0(small):
    if not choose.has_numba():
        pytest.skip("numba is not installed")
    X, y = small
    report = quiet(fo.Objective(fo.Hinge(), X, 0 * y, l2=1e-3), "dual").report
    assert report.converged and report.objective < 1e-12


def test_newton_in_float32_on_groups_of_dependent_columns(rng):
    """Columns that add up to one another, many equal numbers: sums of float32 are off by the smallest eigenvalues."""
    n = 30_000
    levels = rng.integers(0, 8, (n, 12)) * (rng.random((n, 12)) < 0.7)
    columns = (levels + 8 * np.arange(12)).astype(np.int32)
    X = sparse.csr_array((np.ones(n * 12, "f4"), columns.reshape(-1), np.arange(0, 12 * n + 1, 12)), (n, 96))
    y = ((levels @ rng.normal(size=12)) / 8 + rng.logistic(size=n) > 0).astype(int)
    objective = fo.Objective(fo.SquaredHinge(), X, y, l2=1 / (2 * n))
    report = quiet(objective, "newton").report
    best = quiet(objective, "lbfgs").report.objective
    assert report.converged and report.iterations < 60
    assert report.objective == pytest.approx(best, rel=1e-5)


@pytest.mark.parametrize("solver", ["newton", "auto"])
@pytest.mark.parametrize("dtype", ["f4", "f8"])
@pytest.mark.parametrize("unit", [1e-9, 1e-4, 1e4, 1e9])
def test_units_of_features_do_not_matter(small, unit, dtype, solver):
    X, y = small
    labels = (y > 0).astype(int) + (X[:, 0] > 0)
    known = quiet(fo.Objective(fo.Softmax(), X.astype(dtype), labels), "newton").report.objective
    report = quiet(fo.Objective(fo.Softmax(), (X * unit).astype(dtype), labels), solver).report
    assert report.converged and report.objective == pytest.approx(known, rel=1e-5 if dtype == "f4" else 1e-9)


@pytest.mark.parametrize("solver", ["lbfgs", "newton", "auto"])
@pytest.mark.parametrize("dtype", ["f4", "f8"])
@pytest.mark.parametrize("unit", [1e-9, 1e9])
def test_units_of_targets_do_not_matter(unit, dtype, solver, rng):
    X = rng.standard_normal((300, 5))
    y = X @ rng.standard_normal(5) + 0.1 * rng.standard_normal(300) + 2
    best = np.linalg.lstsq(np.column_stack([X, np.ones(300)]), y, rcond=None)[0]
    W, b, report = quiet(fo.Objective(fo.SquaredError(), X.astype(dtype), (unit * y).astype(dtype)), solver)
    assert report.converged
    np.testing.assert_allclose(np.r_[W[0], b] / unit, best, rtol=2e-4 if dtype == "f4" else 1e-7)


@pytest.mark.parametrize("intercept", [True, False])
def test_the_first_matrix_of_lbfgs_follows_the_curvature(intercept, rng):
    """Its inverse is that of the mean of the Hessian's blocks, written out, at the point that it is told."""
    X, y = rng.normal(size=(300, 4)), rng.integers(0, 3, 300)
    objective = fo.Objective(fo.Softmax(), X, y, penalty=fo.L2(0.01), fit_intercept=intercept, threads=1)
    problem = Problem(objective)
    x = 3 * rng.normal(size=problem.size)
    matrix = precondition(problem, np.zeros(problem.size))
    matrix.follow(x)
    W, b = x[:12].reshape(3, 4), x[12:] if intercept else np.zeros(3)
    p = np.exp(X @ W.T + b)
    p /= p.sum(axis=1, keepdims=True)
    D = (p * (1 - p)).mean(axis=1) / 300
    Z = np.column_stack([X, np.ones(300)]) if intercept else X
    M = (Z * D[:, None]).T @ Z
    M += 1e-6 * np.diag(np.diag(M))
    M[range(4), range(4)] += 2 * 0.01
    v = rng.normal(size=problem.size)
    columns = np.column_stack([v[:12].reshape(3, 4), v[12:]]) if intercept else v.reshape(3, 4)
    expected = np.linalg.solve(M, columns.T).T
    found = matrix(v)
    np.testing.assert_allclose(found[:12].reshape(3, 4), expected[:, :4], rtol=1e-9, atol=1e-10)
    np.testing.assert_allclose(found[12:], expected[:, 4:].reshape(-1), rtol=1e-9, atol=1e-10)


@pytest.mark.parametrize("size", [0.0, 1e-6])
def test_kinks_where_b_is_nearly_all_there_is(size, rng):
    X = size * rng.normal(size=(200, 3))
    y, targets = rng.choice(3, p=[0.6, 0.25, 0.15], size=200), 30 * rng.normal(size=200)
    one = (y == 0).mean()
    t = targets - np.quantile(targets, 0.3, method="inverted_cdf")
    expected = [
        (fo.Hinge(), y == 0, 2 * min(one, 1 - one)),
        (fo.SquaredHinge(), y == 0, 4 * one * (1 - one)),  # at b = 2 one - 1
        (fo.Quantile(0.3), targets, np.maximum(0.3 * t, -0.7 * t).mean()),
        (fo.CrammerSinger(), y, min(1.0, 2 * (1 - one))),  # at b = 0, or that of the first class 1 more
    ]
    for loss, labels, least in expected:
        labels = labels.astype(int) if labels.dtype == bool else labels
        solution = solve(fo.Objective(loss, X, labels, l2=1e-3), "dual", max_iter=100)
        assert solution.report.converged, loss
        np.testing.assert_allclose(solution.report.objective, least, rtol=2e-6, err_msg=str(loss))
