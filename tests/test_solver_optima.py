"""Every loss with every penalty by every solver that takes it: the optimality conditions, entry by entry.

Losses and their derivatives are written down here once more, in float64 and whole matrices; nothing of the
package is asked but the weights that a solver returns and what its report says of them.
"""

import itertools
import warnings

import numpy as np
import pytest

import fastopt as fo
from fastopt.solvers import SOLVERS, solve
from fastopt.solvers.choose import check_choice

sparse = pytest.importorskip("scipy.sparse")


def signs(y, classes):
    return np.where(np.arange(classes) == y[:, None], 1.0, -1.0) if classes > 1 else 2.0 * y[:, None] - 1


def residual(s, y):
    return s - (y[:, None] == np.arange(s.shape[1]) if s.shape[1] > 1 else y[:, None])


def softmax(s, y):
    log_p = s - np.logaddexp.reduce(s, axis=1)[:, None]
    one = np.eye(s.shape[1])[y]
    return -(one * log_p).sum(axis=1), np.exp(log_p) - one


def logistic(s, y):
    z = signs(y, s.shape[1])
    return np.logaddexp(0, -z * s).sum(axis=1), -z * (0.5 - 0.5 * np.tanh(z * s / 2))


def squared_hinge(s, y):
    z = signs(y, s.shape[1])
    t = np.maximum(0, 1 - z * s)
    return (t * t).sum(axis=1), -2 * z * t


def modified_huber(s, y):
    z = signs(y, s.shape[1])
    t = np.maximum(0, 1 - z * s)
    return np.where(t <= 2, t * t, -4 * z * s).sum(axis=1), -2 * z * np.minimum(t, 2)


def squared_weston_watkins(s, y):
    at = np.arange(len(y)), y
    t = np.maximum(0, s - s[at][:, None] + 1)
    t[at] = 0
    d = 2 * t
    d[at] = -d.sum(axis=1)
    return (t * t).sum(axis=1), d


def squared(s, y):
    t = residual(s, y)
    return (t * t).sum(axis=1) / 2, t


def huber(s, y):
    t = residual(s, y)
    return np.where(abs(t) <= 0.5, t * t / 2, 0.5 * abs(t) - 0.125).sum(axis=1), np.clip(t, -0.5, 0.5)


def squared_epsilon(s, y):
    t = residual(s, y)
    beyond = np.maximum(abs(t) - 0.2, 0)
    return (beyond**2).sum(axis=1), 2 * np.sign(t) * beyond


def poisson(s, y):
    return (np.exp(s) - y[:, None] * s).sum(axis=1), np.exp(s) - y[:, None]


CASES = {
    "softmax": (fo.Softmax(), softmax, 4), "logistic": (fo.Logistic(), logistic, 1),
    "logistic, one versus the rest": (fo.Logistic(), logistic, 3),
    "squared hinge": (fo.SquaredHinge(), squared_hinge, 1),
    "squared hinge, one versus the rest": (fo.SquaredHinge(), squared_hinge, 3),
    "modified Huber": (fo.ModifiedHuber(), modified_huber, 1),
    "squared Weston-Watkins": (fo.MulticlassHinge(squared=True), squared_weston_watkins, 3),
    "squared error": (fo.SquaredError(), squared, 1), "squared error of classes": (fo.SquaredError(), squared, 3),
    "Huber": (fo.Huber(0.5), huber, 1), "squared epsilon": (fo.EpsilonInsensitive(0.2, True), squared_epsilon, 1),
    "Poisson": (fo.Poisson(), poisson, 1),
}  # fmt: skip
PENALTIES = (0.0, 0.0), (0.0, 0.01), (0.01, 0.0), (0.005, 0.005)  # l1, l2


def rows_of(name, classes, csr, n=150, features=12):
    rng = np.random.default_rng(sum(map(ord, name)))
    X = rng.normal(size=(n, features))
    s = X[:, :4] @ rng.normal(size=(4, classes))
    if name in ("squared error", "Huber", "squared epsilon"):
        y = s[:, 0] + rng.normal(size=n)
    elif name == "Poisson":
        y = rng.poisson(np.exp(np.clip(s[:, 0] / 3, -3, 3))).astype(float)
    elif classes == 1:
        y = (s[:, 0] + rng.logistic(size=n) > 0).astype(int)
    else:
        y = (s + rng.gumbel(size=s.shape)).argmax(axis=1)
    return np.where(rng.random(X.shape) < 0.5, X, 0) if csr else X, y, rng.random(n) + 0.2


def violation(of, W, b, X, y, weight, l1, l2, bounded):
    """(the largest violation of the optimality conditions, the objective), at float64 weights."""
    W, w = W.astype(float), weight / weight.sum()
    L, d = of(X @ W.T + (0 if b is None else b.astype(float)), y)
    d = d * w[:, None]
    g, of_b = d.T @ X + 2 * l2 * W, np.zeros(1) if b is None else d.sum(axis=0)
    if bounded:
        off = np.where(W > 0, abs(g + l1), np.maximum(-(g + l1), 0))
    else:
        off = np.where(W != 0, abs(g + l1 * np.sign(W)), np.maximum(abs(g) - l1, 0))
    return max(off.max(), abs(of_b).max()), w @ L + l2 * (W**2).sum() + l1 * abs(W).sum()


def check_optimum(name, backend, penalty, csr, dtype, weighted, intercept, bounded, solver):
    """False where the solver is not for the loss and penalty."""
    loss, of, classes = CASES[name]
    l1, l2 = penalty
    X, y, weight = rows_of(name, classes, csr)
    weight = weight if weighted else np.ones(len(y))
    objective = fo.Objective(
        loss, sparse.csr_array(X.astype(dtype)) if csr else X.astype(dtype), y, penalty=fo.ElasticNet(l1, l2),
        sample_weight=weight if weighted else None, fit_intercept=intercept, classes=classes, backend=backend,
    )  # fmt: skip
    try:
        check_choice(solver, objective, bounded)
    except ValueError:
        return False
    double = dtype == np.float64
    dual = solver == "dual"
    tol = (1e-9 if double else 1e-5) if dual else (1e-7 if double else 3e-5)
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # none may say that it did not converge
        W, b, report = solve(objective, solver, tol=tol, max_iter=3000, bounds=(0, None) if bounded else None)
    off, value = violation(of, W, b, X.astype(dtype).astype(float), y, weight, l1, l2, bounded)
    where = f"{name}, {penalty}, {solver}, {backend}, {dtype.__name__}, {report}"
    assert report.objective == pytest.approx(value, rel=1e-12 if double else 2e-6), where
    if not dual:  # whose measure is the gap
        assert off <= 1.01 * tol + (0 if double else 2e-5), where
    if l1 and name != "softmax":  # where an interval of shifts may be optimal, 0 or nearly 0 among them
        assert abs(W[W != 0]).min(initial=1) > 1e-7, where  # zeros are exact
    return True


@pytest.mark.parametrize("name", CASES)
def test_optimality_conditions(name, backend):
    _sweep(name, backend, 11 if backend == "numba" else 29)


@pytest.mark.long
@pytest.mark.parametrize("name", CASES)
def test_optimality_conditions_of_all(name, backend):
    _sweep(name, backend, 1 if backend == "numba" else 3)


def _sweep(name, backend, every):
    """One of `every` settings, a prime that goes through all of each."""
    settings = itertools.product(
        PENALTIES,
        (False, True),
        (np.float64, np.float32),
        (False, True),
        (True, False),
        (False, True),
        SOLVERS,
    )
    taken = [check_optimum(name, backend, *setting) for i, setting in enumerate(settings) if i % every == 0]
    assert sum(taken) >= (5 if every < 29 else 2)


@pytest.mark.parametrize("name", ["softmax", "Poisson", "squared Weston-Watkins"])
def test_solvers_agree_on_coefficients(name):
    loss, _, classes = CASES[name]
    X, y, weight = rows_of(name, classes, False)
    for penalty in (fo.L2(0.01), fo.ElasticNet(0.005, 0.005)):
        objective = fo.Objective(loss, X, y, penalty=penalty, sample_weight=weight)
        names = ("lbfgs", "prox-newton") if penalty.l1 else ("lbfgs", "newton", "prox-newton")
        ends = [solve(objective, solver, tol=1e-8, max_iter=5000) for solver in names]
        for end in ends[1:]:
            assert np.abs(end.W - ends[0].W).max() < 1e-6
            assert end.report.objective == pytest.approx(ends[0].report.objective, rel=1e-12)


def test_intercept_is_not_penalised():
    """A shift of y is a shift of b, whatever the penalty."""
    X, y, _ = rows_of("squared error", 1, False)
    for penalty in (fo.L2(10.0), fo.L1(0.3), fo.ElasticNet(0.3, 3.0)):
        ends = [
            solve(fo.Objective(fo.SquaredError(), X, y + shift, penalty=penalty), tol=1e-9)
            for shift in (0, 1000.0)
        ]
        assert np.abs(ends[0].W - ends[1].W).max() < 1e-8
        assert ends[1].b[0] - ends[0].b[0] == pytest.approx(1000, rel=1e-10)


@pytest.mark.parametrize(("loss", "penalty"), [(fo.Quantile(), fo.L1(0.1)), (fo.EpsilonInsensitive(0.1), None),
                                               (fo.Hinge(), fo.L1(0.1)), (fo.CrammerSinger(), None)], ids=str)  # fmt: skip
def test_what_has_kinks_and_no_solver_says_so(loss, penalty):
    X, y = np.random.default_rng(0).normal(size=(20, 3)), np.arange(20) % 2
    with pytest.raises(ValueError, match='kinks.*solver="sgd"'):
        solve(fo.Objective(loss, X, y if loss.one_row != "real" else y * 1.0, penalty=penalty))
