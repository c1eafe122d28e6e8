"""Solvers against references that share nothing with them: scikit-learn, liblinear, NumPy's own Newton; KKT."""

import warnings

import numpy as np
import pytest

import fastopt as fo
from fastopt.engines import choose
from fastopt.solvers import SOLVERS, solve

sklearn = pytest.importorskip("sklearn", reason="scikit-learn is not installed")
sparse = pytest.importorskip("scipy.sparse")

from sklearn import datasets
from sklearn.linear_model import ElasticNet as SklearnElasticNet
from sklearn.linear_model import LogisticRegression
from sklearn.svm import LinearSVC

from fastopt.solvers.choose import check_choice, choose_solver
from fastopt.solvers.problem import Problem


def digits():
    X, y = datasets.load_digits(return_X_y=True)
    return X / 16, y


def wine():
    X, y = datasets.load_wine(return_X_y=True)
    return (X - X.mean(axis=0)) / X.std(axis=0), y


def cancer():
    X, y = datasets.load_breast_cancer(return_X_y=True)
    return (X - X.mean(axis=0)) / X.std(axis=0), y


SETS = {"digits": digits, "iris": lambda: datasets.load_iris(return_X_y=True), "wine": wine, "cancer": cancer}


def random_sparse(seed, n=300, features=60, classes=3):
    rng = np.random.default_rng(seed)
    X = sparse.random(n, features, 0.1, "csr", rng=rng, data_rvs=lambda k: rng.normal(size=k))
    scores = X @ rng.normal(size=(features, classes)) + rng.gumbel(size=(n, classes))
    return sparse.csr_array(X), scores.argmax(axis=1)


def centred(W):
    """Softmax's W less what all classes share, which penalised weights do not have."""
    return W - W.mean(axis=0)


@pytest.mark.parametrize("solver", ["lbfgs", "newton", "prox-newton"])
@pytest.mark.parametrize("name", SETS)
def test_softmax_optimum_is_scikit_learns(name, solver):
    X, y = SETS[name]()
    n, C = len(y), 1.0
    reference = LogisticRegression(C=C, solver="newton-cholesky", tol=1e-12, max_iter=100).fit(X, y)
    loss, l2 = (fo.Softmax(), 1 / (2 * n * C)) if len(np.unique(y)) > 2 else (fo.Logistic(), 1 / (2 * n * C))
    objective = fo.Objective(loss, X, y, l2=l2)
    W, b, report = solve(objective, solver, tol=1e-9, max_iter=5000)
    assert report.converged and report.gradient_norm <= 1e-9
    best = objective.value(reference.coef_, reference.intercept_)
    assert report.objective == pytest.approx(best, rel=1e-9)
    assert report.objective == pytest.approx(objective.value(W, b), rel=1e-14)
    assert np.abs(W - reference.coef_).max() < 1e-5 * max(1, np.abs(reference.coef_).max())


@pytest.mark.parametrize(
    "seed", [*range(5), *(pytest.param(i, marks=pytest.mark.long) for i in range(5, 20))]
)
def test_random_sparse_problems_against_an_own_newton(seed):
    X, y = random_sparse(seed)
    objective = fo.Objective(fo.Softmax(), X, y, l2=1e-3)
    W, b = newton_by_hand(X.toarray(), y, 1e-3)
    s = X.toarray() @ W.T + b
    best = (np.logaddexp.reduce(s, axis=1) - s[np.arange(len(y)), y]).mean() + 1e-3 * (W**2).sum()
    for solver in ("lbfgs", "newton", "prox-newton", "auto"):
        found = solve(objective, solver)
        assert np.abs(found.W - W).max() < 1e-5 and np.abs(centred(found.b) - centred(b)).max() < 1e-5
        assert found.report.objective == pytest.approx(best, rel=1e-9)


def newton_by_hand(X, y, l2):
    """Softmax with b unpenalised: NumPy's Newton with a pseudo-inverse."""
    n, features = X.shape
    classes = y.max() + 1
    A = np.column_stack([X, np.ones(n)])
    T, beta = np.eye(classes)[y], np.zeros((classes, features + 1))
    D = np.diag(np.append(np.full(features, 2 * l2), 0))
    for _ in range(30):
        s = A @ beta.T
        P = np.exp(s - s.max(axis=1, keepdims=True))
        P /= P.sum(axis=1, keepdims=True)
        g = (P - T).T @ A / n + beta @ D
        H = np.zeros((classes, features + 1) * 2)
        for c in range(classes):
            for k in range(classes):
                H[c, :, k] = (A * (P[:, c] * ((c == k) - P[:, k]))[:, None]).T @ A / n + (c == k) * D
        step = np.linalg.pinv(H.reshape(beta.size, -1)) @ g.ravel()
        beta -= step.reshape(beta.shape)
        if np.abs(step).max() < 1e-12:
            break
    return beta[:, :-1], beta[:, -1]


def kkt(objective, W, b):
    """The largest violation of the optimality conditions, entry by entry."""
    l1 = objective.penalty.l1
    _, dW, db = objective.value_and_grad(W, b)
    at_zero = np.maximum(np.abs(dW) - l1, 0)
    return max(np.where(W != 0, np.abs(dW + l1 * np.sign(W)), at_zero).max(), np.abs(db).max())


@pytest.mark.parametrize("solver", ["prox-newton", "lbfgs"])
@pytest.mark.parametrize("penalty", [fo.L1(0.01), fo.ElasticNet(0.005, 0.002)], ids=str)
@pytest.mark.parametrize("loss", [fo.Softmax(), fo.Logistic(), fo.SquaredHinge()], ids=str)
def test_kkt_of_l1(loss, penalty, solver, backend):
    X, y = wine()
    for rows in (X, sparse.csr_array(np.round(X, 1))):
        objective = fo.Objective(loss, rows, y, penalty=penalty, backend=backend)
        W, b, report = solve(objective, solver, tol=1e-6, max_iter=4000)
        assert report.converged
        assert kkt(objective, W, b) <= 1.01e-6
        assert 0 < (W == 0).sum() < W.size


def test_l1_against_scikit_learn():
    X, y = cancer()
    n = len(y)
    reference = LogisticRegression(C=0.2, l1_ratio=1.0, solver="saga", tol=1e-10, max_iter=20_000).fit(X, y)
    objective = fo.Objective(fo.Logistic(), X, y, penalty=fo.L1(1 / (n * 0.2)))
    W, b, report = solve(objective)
    assert report.solver == "prox-newton" and report.converged
    assert report.objective <= objective.value(reference.coef_, reference.intercept_) + 1e-12
    assert np.abs(W - reference.coef_).max() < 1e-4
    assert np.array_equal(W == 0, np.abs(reference.coef_) < 1e-8)


def test_elastic_net_regression_against_scikit_learn(rng):
    X = rng.normal(size=(80, 300))
    y = X[:, :5] @ rng.normal(size=5) + 0.1 * rng.normal(size=80) + 3
    reference = SklearnElasticNet(alpha=0.1, l1_ratio=0.7, tol=1e-12, max_iter=100_000).fit(X, y)
    objective = fo.Objective(fo.SquaredError(), X, y, penalty=fo.ElasticNet(0.07, 0.015))
    W, b, report = solve(objective)
    assert report.converged and np.abs(W[0] - reference.coef_).max() < 1e-6
    assert b[0] == pytest.approx(reference.intercept_, abs=1e-6)
    assert np.array_equal(W[0] == 0, reference.coef_ == 0)


def test_a_wide_sparse_problem_by_working_sets():
    X, y = random_sparse(5, 400, 5000, 2)
    objective = fo.Objective(fo.Logistic(), X, y, penalty=fo.L1(2e-3))
    W, b, report = solve(objective, "prox-newton")
    assert report.converged and kkt(objective, W, b) <= report.tol * 1.01
    assert 0 < (W != 0).sum() < 500 and report.reads < 40


@pytest.mark.parametrize("standardize", [False, True])
@pytest.mark.parametrize("loss", [fo.Logistic(), fo.SquaredError(), fo.Huber()], ids=str)
def test_wide_sparse_problems_column_by_column(loss, standardize):
    """Nearly equal columns too, which sweeps alone do not solve."""
    X, y = random_sparse(7, 300, 4000, 2)
    X = sparse.csr_matrix(sparse.hstack([X, X[:, :40] * 1.0001, X[:, :40]]))
    if not isinstance(loss, fo.Logistic):
        y = np.asarray(X[:, :30].sum(axis=1)).ravel() + 0.1 * y
    objective = fo.Objective(loss, X, y, penalty=fo.ElasticNet(3e-3, 1e-5))
    W, b, report = solve(objective, "prox-newton", tol=1e-7, standardize=standardize)
    assert report.converged and report.iterations < 60
    if not standardize:
        assert kkt(objective, W, b) <= 1.01e-7
    other = solve(objective, "lbfgs", max_iter=100, standardize=standardize)[2]
    assert report.objective <= other.objective * (1 + 1e-7)
    again = fo.Objective(loss, X, y, penalty=objective.penalty, threads=2)
    assert np.array_equal(solve(again, "prox-newton", tol=1e-7, standardize=standardize)[0], W)


def test_a_small_weight_of_a_large_feature_is_no_rounding(rng):
    a, b = rng.normal(size=(2, 200))
    X = np.stack([1e-9 * a, 1e9 * b], axis=1)
    W, _, report = solve(fo.Objective(fo.SquaredError(), X, a + b, penalty=fo.L1(1e-13)), "prox-newton")
    assert np.allclose(W, [[1e9, 1e-9]], rtol=1e-3, atol=0)


@pytest.mark.parametrize("loss", [fo.Logistic(), fo.Softmax()], ids=str)
@pytest.mark.parametrize("solver", ["prox-newton", "lbfgs"])
def test_bounds(loss, solver):
    X, y = cancer() if isinstance(loss, fo.Logistic) else wine()
    objective = fo.Objective(loss, X, y, l2=0.01)
    W, b, report = solve(objective, solver, bounds=(0, 0.3), tol=1e-6)
    assert report.converged and W.min() == 0 and W.max() <= 0.3
    _, dW, db = objective.value_and_grad(W, b)
    stopped = ((W == 0) & (dW > 0)) | ((W == 0.3) & (dW < 0))
    assert np.abs(np.where(stopped, 0, dW)).max() <= 1.01e-6 and np.abs(db).max() <= 1.01e-6
    assert stopped.any()
    for bad in ((1, 0), 3, (0, 1, 2), ("a", 1)):
        with pytest.raises(ValueError, match="bounds"):
            solve(objective, solver, bounds=bad)


def shuffled_csr(X, rng):
    """The rows of X with their entries in any order, and the first entry of each twice."""
    places = [np.flatnonzero(row) for row in X]
    places = [rng.permutation(np.concatenate([used, used[:1]])) for used in places]
    ends = np.concatenate([[0], np.cumsum([len(used) for used in places])]).astype(np.int32)
    values = np.concatenate([row[used] for row, used in zip(X, places, strict=True)])
    return sparse.csr_array((values, np.concatenate(places).astype(np.int32), ends), X.shape)


@pytest.mark.parametrize("features", [1, 47, 300])
@pytest.mark.parametrize("kind", ["csr", "csr32", "dense", "dense32", "bytes"])
def test_hessians_against_products_of_whole_matrices(kind, features, backend):
    """Weights of rows, rows of no curvature among them; float32 CSR rows are added in float64."""
    rng, n = np.random.default_rng(features), 700
    dense = np.where(rng.random((n, features)) < 0.2, rng.integers(1, 9, (n, features)), 0)
    dtype = np.float64 if kind in ("csr", "dense") else np.float32
    X = dense.astype(np.uint8 if kind == "bytes" else dtype)
    X = shuffled_csr(X, rng) if "csr" in kind else X
    y, weight = rng.integers(0, 2, n), rng.integers(0, 3, n).astype(dtype)
    W, b, found = rng.normal(size=(1, features)) / features, np.ones(1), []
    same = [(backend, 1), (backend, 2)]
    if backend == "c" and choose.has_numba():
        same.append(("numba", 1))
    for engine, threads in same:
        objective = fo.Objective(
            fo.SquaredHinge(), X, y, l2=0.5, sample_weight=weight, scale=1.0, threads=threads, backend=engine
        )
        problem = Problem(objective)
        kept = problem.slot()
        problem.scores(problem.join(W, b), kept)
        found.append(problem.hessian(kept))
    assert all(np.array_equal(found[0], other) for other in found)
    A = np.column_stack([X.toarray() if "csr" in kind else X, np.ones(n)]).astype(np.float64)
    bent = np.where(y == 1, 1, -1) * (A @ np.append(W, b)) < 1
    assert 0 < bent.sum() < n
    expected = (A * (2 * weight * bent)[:, None]).T @ A / weight.sum() + np.diag([1.0] * features + [0.0])
    exact = 1e-6 if kind == "csr32" and backend != "numpy" else 1e-4
    np.testing.assert_allclose(found[0], expected, rtol=1e-12 if dtype is np.float64 else exact)


def test_newton_converges_quadratically():
    X, y = cancer()
    report = solve(fo.Objective(fo.Logistic(), X, y, l2=1e-3), "newton", tol=1e-12).report
    norms = report.history["gradient_norm"]
    assert norms[-1] < 1e-4 * norms[-2] and norms[-2] < 1e-2 * norms[-3] and len(norms) < 10


@pytest.mark.parametrize("fit_intercept", [True, False])
def test_the_hessian_of_mean_curvatures(fit_intercept, rng):
    """At zeros it is the Hessian; elsewhere the mean of diag(p) - pp' times X'X, by the textbook's formula."""
    X, y, weight = rng.normal(size=(70, 5)), rng.integers(0, 4, 70), rng.random(70)
    objective = fo.Objective(fo.Softmax(), X, y, l2=0.1, sample_weight=weight, fit_intercept=fit_intercept)
    problem = Problem(objective)
    kept = problem.slot()
    problem.evaluate(np.zeros(problem.size), kept)
    np.testing.assert_allclose(problem.mean_hessian(kept), objective.hessian(*objective.zeros()), atol=1e-12)
    x = rng.normal(size=problem.size)
    problem.evaluate(x, kept)
    p = np.exp(X @ x[:20].reshape(4, 5).T + (x[20:] if fit_intercept else 0))
    p, w = p / p.sum(axis=1, keepdims=True), weight / weight.sum()
    D = np.diag(w @ p) - (p * w[:, None]).T @ p
    H = np.kron(D, (X * w[:, None]).T @ X) + 0.2 * np.eye(20)
    np.testing.assert_allclose(problem.mean_hessian(kept)[:20, :20], H, atol=1e-12)


def test_one_read_of_X_where_the_first_trial_is_taken():
    X, y = digits()
    report = solve(fo.Objective(fo.Softmax(), X, y, l2=1e-3), "lbfgs").report
    assert report.converged and report.iterations + 1 <= report.reads <= 2 * report.iterations + 2
    assert report.reads < 1.2 * report.iterations
    assert (np.diff(report.history["reads"]) <= 2).all()


@pytest.mark.parametrize(
    "loss", [fo.Huber(0.5), fo.EpsilonInsensitive(0.2, True), fo.Poisson(), fo.SquaredError()], ids=str
)
def test_regression_losses_reach_a_zero_gradient(loss, rng):
    X = rng.normal(size=(200, 6))
    y = rng.poisson(np.exp(X[:, 0] / 2)) + (0.0 if isinstance(loss, fo.Poisson) else rng.normal(size=200))
    objective = fo.Objective(loss, X, y.astype(float), l2=1e-3)
    ends = [solve(objective, solver, tol=1e-9) for solver in ("newton", "lbfgs", "prox-newton")]
    assert all(end.report.converged for end in ends)
    assert np.ptp([end.report.objective for end in ends]) < 1e-12


@pytest.fixture
def needs_numba():
    if not choose.has_numba():
        pytest.skip("numba is not installed")


@pytest.mark.parametrize("name", ["cancer", "digits"])
def test_hinge_against_liblinear(name, needs_numba):
    X, y = SETS[name]()
    n, C = len(y), 0.1
    for loss, theirs in ((fo.Hinge(), "hinge"), (fo.SquaredHinge(), "squared_hinge")):
        objective = fo.Objective(loss, X, y, l2=1 / (2 * n * C), fit_intercept=False)
        reference = LinearSVC(loss=theirs, C=C, fit_intercept=False, dual=True, tol=1e-8, max_iter=200_000)
        best = objective.value(reference.fit(X, y).coef_)
        W, _, report = solve(objective, "dual", tol=1e-7)
        assert report.converged and report.gap <= 1e-7
        assert best * (1 - 2e-7) <= report.objective <= best * (1 + 2e-7)


def test_crammer_singer_against_liblinear(needs_numba):
    X, y = wine()
    objective = fo.Objective(fo.CrammerSinger(), X, y, l2=1 / (2 * len(y) * 0.1), fit_intercept=False)
    reference = LinearSVC(
        multi_class="crammer_singer", C=0.1, fit_intercept=False, tol=1e-8, max_iter=100_000
    )
    best = objective.value(reference.fit(X, y).coef_)
    assert solve(objective, "dual", tol=1e-7).report.objective == pytest.approx(best, rel=1e-6)


@pytest.mark.parametrize(
    "loss", [fo.CrammerSinger(), fo.MulticlassHinge(), fo.MulticlassHinge(squared=True)], ids=str
)
@pytest.mark.parametrize("classes", [2, 8, 26])
def test_many_classes_with_ties(loss, classes, needs_numba):
    """Few whole numbers, so that scores tie; dense rows that are mostly zeros, others, and CSR ones. The objective by NumPy."""
    rng = np.random.default_rng(classes)
    for share in (0.2, 0.9):
        X = np.where(rng.random((300, 12)) < share, rng.integers(1, 4, (300, 12)), 0).astype(float)
        y = np.concatenate([np.arange(classes), rng.integers(0, classes, 300 - classes)])
        values = []
        for rows in (X, sparse.csr_array(X), X.astype(np.float32)):
            objective = fo.Objective(loss, rows, y, l2=1e-2, fit_intercept=False)
            solution = solve(objective, "dual", tol=1e-5, max_seconds=60)
            assert solution.report.converged
            values.append(solution.report.objective)
        np.testing.assert_allclose(values, values[0], rtol=2e-5)
        s = X @ solution.W.astype(float).T
        own = s[np.arange(300), y][:, None]
        over = np.where(np.arange(classes) == y[:, None], 0, np.maximum(loss.margin + s - own, 0))
        each = (
            over.max(axis=1)
            if isinstance(loss, fo.CrammerSinger)
            else (over**2 if loss.squared else over).sum(axis=1)
        )
        assert each.mean() + 1e-2 * (solution.W.astype(float) ** 2).sum() == pytest.approx(
            values[0], rel=2e-6
        )


@pytest.mark.parametrize("loss", [fo.Hinge(), fo.SquaredHinge(), fo.MulticlassHinge(), fo.MulticlassHinge(0.5, True),
                                  fo.CrammerSinger()], ids=str)  # fmt: skip
def test_the_gap_holds_with_an_intercept(loss, needs_numba):
    """No point has a value below the lower bound: others are found by subgradients from there on."""
    X, y = wine()
    weight = np.linspace(0.5, 2, len(y))
    objective = fo.Objective(loss, X, y, l2=0.01, sample_weight=weight)
    W, b, report = solve(objective, "dual", tol=1e-5)
    assert report.converged
    lower = report.objective * (1 - report.gap)
    for step in (1e-2, 1e-3, 1e-4):
        V, c = W.copy(), b.copy()
        for _ in range(200):
            value, dV, dc = objective.value_and_grad(V, c)
            assert value >= lower
            V, c = V - step * dV, c - step * dc


def test_squared_hinges_of_dual_and_newton_agree(needs_numba):
    X, y = wine()
    for loss in (fo.SquaredHinge(), fo.MulticlassHinge(squared=True)):
        objective = fo.Objective(loss, X, y, l2=0.01)
        ends = [solve(objective, s, tol=1e-8) for s in ("dual", "newton")]
        assert ends[0].report.objective == pytest.approx(ends[1].report.objective, rel=2e-8)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("loss", [fo.Hinge(), fo.SquaredHinge(), fo.MulticlassHinge(), fo.CrammerSinger(), fo.Quantile(0.3)],
                         ids=str)  # fmt: skip
def test_rows_of_ones_have_the_bits_of_rows_of_twos(loss, dtype, rng):
    """Ascent reads no values of the former; with all entries doubled and four times l2, W is half as large, exactly."""
    X = sparse.csr_matrix((rng.random((150, 40)) < rng.random(40)).astype(dtype))
    scores = X @ rng.normal(size=(40, 3)) + rng.normal(size=(150, 3))
    y = scores[:, 0] if isinstance(loss, fo.Quantile) else scores.argmax(axis=1)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # cut off: an interior point method's products are rounded otherwise
        found = [solve(fo.Objective(loss, k * X, y, l2=k * k * 0.01), "dual", max_iter=8) for k in (1, 2)]
    assert (found[0].W == 2 * found[1].W).all() and (found[0].b == found[1].b).all() and found[0].W.any()
    assert found[0].report.objective == found[1].report.objective and found[0].report.gap < 0.05


def test_hinge_of_rows_of_zeros(needs_numba):
    """Their loss is 1 whatever W is, and the dual counts it."""
    X = np.array([[1.0, 0.5], [0, 0], [-1, 0.2], [0, 0]])
    losses = (
        fo.Hinge(),
        fo.SquaredHinge(),
        fo.MulticlassHinge(),
        fo.MulticlassHinge(1.0, True),
        fo.CrammerSinger(),
    )
    for loss in losses:
        for form in (X, sparse.csr_array(X)):
            report = solve(
                fo.Objective(loss, form, [1, 1, 0, 0], l2=0.1, fit_intercept=False), "dual", tol=1e-9
            ).report
            assert report.converged and report.objective > 0.5, loss


def test_what_stops_early_says_so():
    X, y = digits()
    objective = fo.Objective(fo.Softmax(), X, y, l2=1e-3)
    with pytest.warns(UserWarning, match="NOT converged .max_iter = 2"):
        report = solve(objective, "lbfgs", max_iter=2).report
    assert not report.converged and report.iterations == 2 and len(report.history["objective"]) == 3
    with pytest.warns(UserWarning, match="max_seconds"):
        solve(objective, "lbfgs", max_seconds=0)


def test_badly_scaled_features_are_said_and_standardize_mends_them(rng):
    X = rng.normal(size=(500, 8)) * 10.0 ** np.arange(-4, 4)
    y = X @ (rng.normal(size=8) / 10.0 ** np.arange(-4, 4)) + rng.logistic(size=500)
    y = (y > np.median(y)).astype(int)
    objective = fo.Objective(fo.Logistic(), X, y, l2=1e-4)
    with pytest.warns(UserWarning, match="standardize=True"):
        report = solve(objective, "lbfgs", max_iter=3).report
    assert "column" in report.notes[0]
    for solver in ("lbfgs", "newton", "prox-newton"):
        W, b, report = solve(objective, solver, standardize=True, tol=1e-8)
        assert report.converged
        Z = (X - X.mean(axis=0)) / X.std(axis=0)
        V, c, _ = solve(fo.Objective(fo.Logistic(), Z, y, l2=1e-4), "newton")
        assert np.allclose(W, V / X.std(axis=0), rtol=1e-4)
        assert np.allclose(X @ W[0] + b, Z @ V[0] + c, rtol=1e-4, atol=1e-4)
    rows = sparse.csr_array(np.where(rng.random(X.shape) < 0.3, X, 0))
    scaled = fo.Objective(fo.Logistic(), rows, y, penalty=fo.L1(1e-3))
    W, b, report = solve(scaled, standardize=True)
    assert report.converged
    scale = np.sqrt(rows.multiply(rows).mean(axis=0))
    V, c, _ = solve(fo.Objective(fo.Logistic(), sparse.csr_array(rows / scale), y, penalty=fo.L1(1e-3)))
    assert np.allclose(W, V / scale, rtol=1e-5, atol=1e-10) and np.array_equal(W == 0, V == 0)


def test_difficult_data_end_in_an_optimum_or_a_true_message(rng):
    X = rng.normal(size=(40, 6))
    y = (X[:, 0] > 0).astype(int)
    constant = np.column_stack([X, np.ones(40), np.zeros(40), X[:, 1]])
    for solver in ("lbfgs", "newton", "prox-newton"):
        W, b, report = solve(fo.Objective(fo.Logistic(), constant, y, l2=1e-3), solver)
        assert report.converged and W[0, 7] == 0 and W[0, 1] == pytest.approx(W[0, 8], abs=1e-6)
        with warnings.catch_warnings():  # separable: no optimum at any finite point
            warnings.simplefilter("ignore")
            W, b, report = solve(fo.Objective(fo.Logistic(), X, y), solver, max_iter=50, tol=1e-12)
        assert np.isfinite(W).all() and report.objective < 1e-2
        assert not report.converged or report.gradient_norm <= 1e-12
        wide = fo.Objective(fo.Softmax(), rng.normal(size=(10, 50)), np.arange(10) % 3, l2=1e-2)
        assert solve(wide, solver).report.converged
        missing = fo.Objective(fo.Softmax(), X, y * 2, l2=1e-2, classes=4)
        W, b, report = solve(missing, solver, max_iter=3000, tol=1e-4)
        assert report.gradient_norm <= 1e-4


@pytest.mark.parametrize("dtype", [np.float32, np.uint8])
def test_float32_and_bytes(dtype):
    X, y = digits()
    X = (X * 16).astype(dtype)
    objective = fo.Objective(fo.Softmax(), X, y, l2=1e-3, scale=1 / 16 if dtype == np.uint8 else None)
    exact = fo.Objective(fo.Softmax(), X / 16.0 if dtype == np.uint8 else X.astype(float), y, l2=1e-3)
    best = solve(exact, "newton").report.objective
    for solver in ("lbfgs", "newton"):
        W, b, report = solve(objective, solver, tol=2e-5)
        assert W.dtype == np.float32 and report.converged
        assert report.objective == pytest.approx(best, rel=1e-5)


def test_start_is_where_it_starts():
    X, y = wine()
    objective = fo.Objective(fo.Softmax(), X, y, l2=1e-3)
    W, b, _ = solve(objective, "newton")
    for options in ({}, {"standardize": True}):
        again = solve(objective, "newton", start=(W, b), **options).report
        assert again.history["objective"][0] == pytest.approx(objective.value(W, b), rel=0.5)
    assert solve(objective, "newton", start=(W, b)).report.iterations == 0


REFUSED = [
    ("bfgs", fo.Softmax(), None, "solver must be auto or one of lbfgs"),
    ("lbfgs", fo.MulticlassHinge(), None, "kinks"),
    ("newton", fo.Softmax(), fo.L1(0.1), "prox-newton"),
    ("dual", fo.Softmax(), fo.L2(0.1), "it is for Hinge"),
    ("dual", fo.MulticlassHinge(), fo.L1(0.1), "needs an l2"),
]


@pytest.mark.parametrize(("solver", "loss", "penalty", "words"), REFUSED, ids=range(len(REFUSED)))
def test_what_is_refused(solver, loss, penalty, words):
    X, y = wine()
    with pytest.raises(ValueError, match=words):
        solve(fo.Objective(loss, X, y, penalty=penalty), solver)


def test_auto_takes_one_that_can(needs_numba):
    X, y = wine()
    for loss in (
        fo.Softmax(),
        fo.Logistic(),
        fo.MulticlassHinge(),
        fo.Hinge(),
        fo.SquaredHinge(),
        fo.ModifiedHuber(),
    ):
        for penalty in (fo.L2(0.1), fo.L1(0.1), fo.ElasticNet(0.1, 0.1)):
            objective = fo.Objective(loss, X, y, penalty=penalty)
            if penalty.l1 and isinstance(loss, fo.MulticlassHinge | fo.Hinge):
                with pytest.raises(ValueError, match="no solver is for .*sgd"):
                    choose_solver(objective)
                continue
            name = choose_solver(objective)
            assert name in SOLVERS
            check_choice(name, objective, False)


def test_train_with_a_solver():
    X, y = digits()
    fit = fo.train(X, y, solver="newton", l2=1e-3, validation=0.2)
    assert fit.report.converged and fit.history["accuracy_validation"][-1] > 0.9
    again = fo.train(X, y, solver="auto", penalty=fo.L1(1e-3))
    assert again.report.solver == "prox-newton" and (again.W == 0).any()
    with pytest.raises(ValueError, match="solver"):
        fo.train(X, y, penalty=fo.L1(1e-3))
    with pytest.raises(ValueError, match="max_seconds must be at least 0"):
        fo.train(X, y, solver="auto", max_seconds=-1)
    with pytest.raises(ValueError, match="early_stopping"):
        fo.train(X, y, solver="newton", early_stopping=3)
