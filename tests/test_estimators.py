"""scikit-learn's interface: what it promises beyond scikit-learn's own checks (test_estimator_checks.py)."""

import pickle
import tracemalloc
import warnings

import numpy as np
import pytest

pytest.importorskip("sklearn", reason="scikit-learn is not installed")

from scipy import sparse
from sklearn import linear_model, svm
from sklearn.base import clone
from sklearn.datasets import load_diabetes, load_digits, load_iris
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import fastopt as fo
from fastopt.estimators import linear

LABELS = np.array(["setosa", "versicolor", "virginica"])


@pytest.fixture(scope="module")
def iris():
    X, y = load_iris(return_X_y=True)
    return X, LABELS[y]


@pytest.fixture(scope="module")
def two(iris):
    X, y = iris
    return X[50:], y[50:]


@pytest.fixture(scope="module")
def diabetes():
    X, y = load_diabetes(return_X_y=True)
    return X * 20, y / 100


def close(a, b, tolerance):
    np.testing.assert_allclose(a, b, rtol=tolerance, atol=tolerance)


# ---- the same optimum as scikit-learn's, at the same objective ----


@pytest.mark.parametrize("solver", ["auto", "lbfgs", "newton", "prox-newton"])
def test_softmax_is_logistic_regression(iris, two, solver):
    for X, y in (iris, two):
        C, n = 1.0, len(y)
        theirs = linear_model.LogisticRegression(C=C, tol=1e-10, max_iter=10_000, solver="newton-cg").fit(
            X, y
        )
        ours = fo.LinearClassifier(l2=1 / (2 * n * C), solver=solver, tol=1e-8).fit(X, y)
        close(ours.coef_, theirs.coef_, 1e-4)
        close(ours.predict_proba(X), theirs.predict_proba(X), 1e-5)
        scores, expected = ours.decision_function(X), theirs.decision_function(X)
        if (
            len(ours.classes_) > 2
        ):  # probabilities do not change where a number is added to all scores of a row
            scores, expected = (s - s.mean(axis=1, keepdims=True) for s in (scores, expected))
        close(scores, expected, 1e-3)
        assert (ours.predict(X) == theirs.predict(X)).all()


def test_hinges_are_linear_svms(iris):
    X, y = iris
    for loss in ("squared_hinge", "hinge"):
        theirs = svm.LinearSVC(C=1, loss=loss, tol=1e-9, max_iter=1_000_000, fit_intercept=False, dual=True)
        theirs.fit(X, y)
        ours = fo.LinearClassifier(loss, l2=1 / (2 * len(y)), fit_intercept=False).fit(X, y)
        close(ours.coef_, theirs.coef_, 5e-3 if loss == "hinge" else 1e-4)
        assert (ours.intercept_ == 0).all()


def test_regressions(diabetes):
    X, y = diabetes
    n = len(y)
    pairs = [
        (fo.LinearRegressor(l2=1 / (2 * n)), linear_model.Ridge(1.0), 1e-6),
        (
            fo.LinearRegressor(l1=0.02, l2=0.01),
            linear_model.ElasticNet(alpha=0.04, l1_ratio=0.5, tol=1e-10, max_iter=100_000),
            1e-4,
        ),
        (
            fo.LinearRegressor("poisson", l2=0.005, tol=1e-8),
            linear_model.PoissonRegressor(alpha=0.01, tol=1e-8),
            1e-4,
        ),
    ]
    for ours, theirs, tolerance in pairs:
        ours.fit(X, y), theirs.fit(X, y)
        close(ours.coef_, theirs.coef_, tolerance)
        close(ours.predict(X), theirs.predict(X), 10 * tolerance)


def test_huber_lies_between_the_mean_and_the_median():
    y = np.array([0.0, 0, 0, 0, 100])
    X = np.zeros((5, 1))
    fits = [fo.LinearRegressor(loss).fit(X, y).intercept_[0] for loss in ("squared_error", fo.Huber(1.0))]
    assert fits[0] == pytest.approx(20) and fits[1] == pytest.approx(0.25, abs=1e-4)


def test_l1_gives_zeros_that_sparsify_keeps(two):
    X, y = two
    fitted = fo.LinearClassifier(l1=0.1, l2=0.0, tol=1e-7).fit(X, y)
    assert 0 < np.count_nonzero(fitted.coef_) < fitted.coef_.size
    before = fitted.decision_function(X)
    assert sparse.issparse(fitted.sparsify().coef_)
    close(fitted.decision_function(X), before, 1e-12)
    assert isinstance(fitted.densify().coef_, np.ndarray)


def test_standardize_is_a_scaler_before_it(iris):
    X, y = iris
    X = X * [1, 100, 0.01, 1] + 5
    for settings in ({}, {"solver": "sgd", "random_state": 0}):
        own = fo.LinearClassifier(standardize=True, **settings).fit(X, y)
        piped = make_pipeline(StandardScaler(), fo.LinearClassifier(**settings)).fit(X, y)
        close(own.predict_proba(X), piped.predict_proba(X), 1e-5)


# ---- epochs of a rule ----


@pytest.mark.parametrize(
    "settings",
    [
        {"solver": "sgd"},
        {"rule": fo.Adam(0.05), "schedule": fo.schedules.Cosine()},
        {"early_stopping": True, "epochs": 100},
        {"average": True, "rule": fo.SGD(0.1)},
        {"solver": "sgd", "fit_intercept": False},
        {"solver": "sgd", "l1": 0.001},
        {"solver": "sgd", "loss": "multiclass_hinge"},
    ],
    ids=lambda s: "-".join(s),
)
def test_rules_learn(iris, settings):
    X, y = iris
    fitted = fo.LinearClassifier(
        **{"standardize": True, "epochs": 60, "batch_size": 16, "random_state": 0, **settings}
    )
    assert fitted.fit(X, y).score(X, y) > 0.85
    again = clone(fitted).fit(X, y)
    assert (again.coef_ == fitted.coef_).all()
    assert len(fitted.history_["loss_train"]) == fitted.n_iter_
    if settings.get("fit_intercept", True) is False:
        centred = X - X.mean(0)
        close(fitted.decision_function(X), X @ fitted.coef_.T, 1e-9)
        assert (fitted.intercept_ == 0).all() and centred.shape == X.shape


def test_rules_find_what_solvers_find(two):
    X, y = two
    X = (X - X.mean(0)) / X.std(0)
    exact = fo.LinearClassifier(l1=0.01, l2=0.01).fit(X, y)
    steps = fo.LinearClassifier(l1=0.01, l2=0.01, rule=fo.SGD(0.2), epochs=2000, batch_size=None).fit(X, y)
    close(steps.coef_, exact.coef_, 1e-3)
    assert ((steps.coef_ == 0) == (exact.coef_ == 0)).all()
    falling = fo.LinearClassifier(l1=0.01, l2=0.01, solver="sgd", epochs=300, random_state=0).fit(X, y)
    close(falling.coef_, exact.coef_, 0.05)


def test_partial_fit_goes_on_with_the_same_bits_after_a_pickle(iris):
    X, y = iris
    rows = np.random.default_rng(0).permutation(len(y))
    X, y = X[rows], y[rows]
    settings = {"rule": fo.Adam(0.05), "batch_size": 20}
    whole, parted = fo.LinearClassifier(**settings), fo.LinearClassifier(**settings)
    for epoch in range(20):
        for begin in range(0, 150, 50):
            part = slice(begin, begin + 50)
            whole.partial_fit(X[part], y[part], classes=LABELS)
            parted.partial_fit(X[part], y[part], classes=LABELS if epoch + begin == 0 else None)
            if epoch == 3:
                parted = pickle.loads(pickle.dumps(parted))
    assert (whole.coef_ == parted.coef_).all() and whole.t_ == 20 * 9 + 1
    assert whole.score(X, y) > 0.9
    with pytest.raises(ValueError, match="not the same"):
        whole.partial_fit(X, y, classes=LABELS[:2])
    with pytest.raises(ValueError, match="y\\[0\\] is 'rose'"):
        whole.partial_fit(X[:1], ["rose"])


def test_partial_fit_of_a_regression(diabetes):
    X, y = diabetes
    fitted = fo.LinearRegressor(rule=fo.Momentum(0.01), batch_size=32)
    for _ in range(50):
        fitted.partial_fit(X, y)
    assert fitted.score(X, y) > 0.45


# ---- weights, classes, warnings ----


def test_weights_of_rows_and_classes(iris):
    X, y = iris
    weight = np.where(y == "virginica", 3.0, 1.0)
    by_class = fo.LinearClassifier(class_weight={"virginica": 3.0}).fit(X, y)
    by_row = fo.LinearClassifier().fit(X, y, sample_weight=weight)
    repeated = fo.LinearClassifier().fit(
        np.repeat(X, weight.astype(int), 0), np.repeat(y, weight.astype(int))
    )
    close(by_class.coef_, by_row.coef_, 1e-9)
    close(by_row.coef_, repeated.coef_, 1e-5)
    with pytest.raises(ValueError, match="[Nn]egative"):
        fo.LinearClassifier().fit(X, y, sample_weight=-weight)


@pytest.mark.parametrize("labels", [[False, True], [-1, 1], [2.0, 7.0], ["b", "a"]], ids=str)
def test_labels_of_any_kind(two, labels):
    X, y = two
    y = np.array(labels)[(y == "virginica").astype(int)]
    fitted = fo.LinearClassifier().fit(X, y)
    assert fitted.classes_.dtype == y.dtype and list(fitted.classes_) == sorted(labels)
    assert (fitted.predict(X) == y).mean() > 0.9


def test_a_fit_that_does_not_converge_says_so(iris):
    with pytest.warns(ConvergenceWarning, match="NOT converged"):
        fo.LinearClassifier(solver="lbfgs", max_iter=2).fit(*iris)


def test_warm_start(iris):
    X, y = iris
    fitted = fo.LinearClassifier(solver="lbfgs", warm_start=True).fit(X, y)
    cold = fitted.n_iter_
    assert fitted.fit(X, y).n_iter_ < cold / 2


def test_refusals(iris):
    X, y = iris
    for settings, said in [
        ({"solver": "saga"}, "solver must be"),
        ({"loss": "log_loss"}, "loss must be one of softmax"),
        ({"solver": "lbfgs", "rule": fo.Adam()}, 'rule is for solver="sgd"'),
        ({"l2": -1.0}, "l2 must be a number"),
        ({"early_stopping": True, "l1": 0.1, "n_iter_no_change": 0}, "n_iter_no_change"),
        ({"solver": "sgd", "batch_size": 0}, "batch_size"),
    ]:
        with pytest.raises(ValueError, match=said):
            fo.LinearClassifier(**settings).fit(X, y)
    with pytest.raises(AttributeError, match="predict_proba") as refused:
        fo.LinearClassifier("hinge").predict_proba  # noqa: B018
    assert "CalibratedClassifierCV" in str(refused.value.__cause__)
    with pytest.raises(ValueError, match="counts"):
        fo.LinearRegressor("poisson").fit(X, -np.ones(len(y)))


# ---- data ----


def peak_beyond(call):
    """Bytes allocated at once during the call."""
    tracemalloc.start()
    try:
        call()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize(
    "settings", [{"solver": "lbfgs", "max_iter": 5}, {"solver": "sgd", "epochs": 1}], ids=str
)
@pytest.mark.parametrize("dtype", ["float32", "float64", "uint8", "int8", "float16", "Fortran"])
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_nothing_of_X_is_copied(dtype, settings):
    """X is 100,000 x 200: 20 MB as bytes, 80 as float32. The blocks of the NumPy passes are some 8 MB."""
    rng = np.random.default_rng(0)
    X = rng.integers(0, 9, (100_000, 200), dtype=np.uint8)
    X = np.asfortranarray(X, np.float32) if dtype == "Fortran" else X.astype(dtype)
    y = (X[:, 0] > X[:, 1]).astype(int)
    model = fo.LinearClassifier(random_state=0, **settings)
    model.fit(X[:1000], y[:1000])  # what is compiled is not counted
    blocks = 0 if dtype in ("float32", "float64", "uint8") else 10e6  # those that were converted
    assert peak_beyond(lambda: model.fit(X, y)) < 15e6 + blocks
    assert model.coef_.dtype == (np.float64 if dtype == "float64" else np.float32)
    assert peak_beyond(lambda: model.predict(X)) < 15e6


@pytest.mark.parametrize("kind", ["int8", "float16", "Fortran", "int64"])
def test_large_ones_of_other_dtypes_and_orders_give_the_same_model(kind):
    """Which are read in blocks; in small ones a copy does not matter."""
    rng = np.random.default_rng(0)
    X = rng.integers(-3, 4, (40_000, 60))
    y = (X @ rng.normal(size=60) + rng.normal(size=40_000) > 0).astype(int)
    plain = X.astype(np.float64 if kind == "int64" else np.float32)
    made = np.asfortranarray(plain) if kind == "Fortran" else X.astype(kind)
    for settings in (
        {},
        {"solver": "lbfgs", "l1": 1e-3},
        {"standardize": True},
        {"loss": "hinge", "max_iter": 50},
    ):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)
            fitted, expected = (
                fo.LinearClassifier(random_state=0, **settings).fit(A, y) for A in (made, plain)
            )
        close(fitted.coef_, expected.coef_, 1e-3)
        assert (
            fitted.coef_.dtype == plain.dtype
            and (fitted.predict(made) == expected.predict(plain)).mean() > 0.999
        )
    for settings in ({}, {"l1": 1e-4}, {"fit_intercept": False, "average": True}, {"early_stopping": True}):
        by_rule = fo.LinearClassifier(solver="sgd", epochs=2, batch_size=512, random_state=0, **settings)
        assert by_rule.fit(made, y).score(made, y) > expected.score(plain, y) - 0.02
    by_rule.set_params(early_stopping=False)
    assert by_rule.partial_fit(made, y).score(made, y) > 0.9
    if kind == "float16":
        made[-1, -1] = np.nan
        with pytest.raises(ValueError, match="contains NaN"):
            by_rule.fit(made, y)


@pytest.mark.parametrize("settings", [{"l1": 1e-3}, {"average": True}, {"fit_intercept": False}], ids=str)
def test_early_stopping_with_all_that_rules_do(settings):
    rng = np.random.default_rng(1)
    X = rng.normal(size=(400, 30))
    y = (X[:, 0] + rng.normal(size=400) > 0).astype(int)
    fitted = fo.LinearClassifier(
        rule=fo.Adam(0.05), l2=0.0, epochs=300, early_stopping=True, validation_fraction=0.25, n_iter_no_change=4,
        random_state=0, **settings,
    ).fit(X, y)  # fmt: skip
    held_out = fitted.history_["loss_validation"]
    best = int(np.argmin(held_out))
    assert len(held_out) == fitted.n_iter_ == best + 5 < 300
    again = clone(fitted).set_params(epochs=best + 1).fit(X, y)
    assert (again.coef_ == fitted.coef_).all() and (again.intercept_ == fitted.intercept_).all()


def test_other_dtypes_and_orders_give_the_same_model(iris):
    X, y = iris
    X = np.round(X)
    expected = fo.LinearClassifier().fit(X, y)
    for made in (np.asfortranarray(X), X.astype(np.int8), X.astype(np.int64), X.astype(np.float16), X[:, ::-1][:, ::-1],
                 X.astype(np.uint8), X.astype(">f8")):  # fmt: skip
        fitted = fo.LinearClassifier().fit(made, y)
        close(fitted.predict_proba(made), expected.predict_proba(X), 1e-3)
        small = made.dtype.itemsize <= 2
        assert fitted.coef_.dtype == (np.float32 if small else np.float64)


@pytest.mark.parametrize("index", ["int32", "int64"])
def test_csr(iris, index):
    X, y = iris
    made = sparse.csr_array(X)
    made.indices, made.indptr = made.indices.astype(index), made.indptr.astype(index)
    fitted, dense = fo.LinearClassifier().fit(made, y), fo.LinearClassifier().fit(X, y)
    close(fitted.coef_, dense.coef_, 1e-6)
    close(fitted.decision_function(sparse.csc_array(X)), fitted.decision_function(X), 1e-9)


def test_a_read_only_memory_map(iris, tmp_path):
    X, y = iris
    np.save(tmp_path / "X.npy", X.astype(np.float32))
    mapped = np.load(tmp_path / "X.npy", mmap_mode="r")
    fitted = fo.LinearClassifier().fit(mapped, y)
    assert fitted.score(mapped, y) > 0.9 and not mapped.flags.writeable


@pytest.mark.parametrize("kind", ["pandas", "polars", "pyarrow"])
def test_tables(iris, kind):
    library = pytest.importorskip(kind)
    X, y = iris
    columns = {name: X[:, i] for i, name in enumerate(("a", "b", "c", "d"))}
    make = library.table if kind == "pyarrow" else library.DataFrame
    table = make(columns)
    fitted = fo.LinearClassifier().fit(table, library.Series(y) if kind == "pandas" else y)
    assert list(fitted.feature_names_in_) == ["a", "b", "c", "d"]
    assert (fitted.predict(table) == fo.LinearClassifier().fit(X, y).predict(X)).all()
    with pytest.raises(ValueError, match="feature names"):
        fitted.predict(make({name: columns[name] for name in ("b", "a", "c", "d")}))


# ---- in scikit-learn's machinery ----


def test_search_pipeline_and_joblib(iris, tmp_path):
    import joblib

    X, y = iris
    piped = make_pipeline(StandardScaler().set_output(transform="default"), fo.LinearClassifier())
    search = GridSearchCV(
        piped, {"linearclassifier__l2": [1e-4, 1e-1], "linearclassifier__rule": [None, fo.Adam(0.1)]}
    )
    search.fit(X, y)
    assert search.best_score_ > 0.9
    joblib.dump(search, tmp_path / "model.joblib")
    again = joblib.load(tmp_path / "model.joblib")
    assert (again.predict(X) == search.predict(X)).all()


def test_metadata_routing(iris):
    import sklearn

    X, y = iris
    with sklearn.config_context(enable_metadata_routing=True):
        model = (
            fo.LinearClassifier().set_fit_request(sample_weight=True).set_score_request(sample_weight=True)
        )
        search = GridSearchCV(model, {"l2": [1e-3]}, cv=3).fit(X, y, sample_weight=np.ones(len(y)))
    assert search.best_score_ > 0.8


def test_callbacks(iris):
    pytest.importorskip("sklearn.callback", reason="scikit-learn 1.9 has callbacks")
    X, y = iris

    class Stop:
        def __init__(self):
            self.scores = []

        def setup(self, estimator, context):
            self.begun = context.task_name

        def teardown(self, estimator, context):
            self.ended = True

        def on_fit_task_begin(self, estimator, context):
            pass

        def on_fit_task_end(self, estimator, context, *, X, y, fitted_estimator):
            if context.task_name == "iteration":
                self.scores.append(fitted_estimator.score(X, LABELS[y]))
                return len(self.scores) == 4

    for settings in ({"solver": "lbfgs"}, {"solver": "sgd"}, {"solver": "sgd", "average": True}):
        stop = Stop()
        fitted = fo.LinearClassifier(random_state=0, **settings).set_callbacks(stop).fit(X, y)
        assert len(stop.scores) == 4 and stop.ended and stop.scores[-1] == fitted.score(X, y)


def test_verbose(iris, capsys):
    fo.LinearClassifier(solver="sgd", epochs=2, verbose=1).fit(*iris)
    assert capsys.readouterr().out.count("LinearClassifier ") == 2


def test_digits_as_bytes():
    X, y = load_digits(return_X_y=True)
    fitted = fo.LinearClassifier(l2=1e-3).fit(X[:1200].astype(np.uint8), y[:1200])
    assert fitted.score(X[1200:].astype(np.uint8), y[1200:]) > 0.9


@pytest.mark.parametrize("estimator", [fo.LinearClassifier, fo.LinearRegressor])
@pytest.mark.parametrize("column", [7, -1, 2**31 - 1])
def test_damaged_csr_is_refused_where_it_is_predicted(estimator, column):
    X = sparse.random_array((60, 7), density=0.5, format="csr", rng=np.random.default_rng(0))
    model = estimator(max_iter=3).fit(X, np.arange(60) % 2)
    X.indices[5] = column
    with pytest.raises(ValueError, match="column numbers outside"):
        model.predict(X)


def test_a_row_of_a_server_is_checked_as_any_other(rng):
    """Small plain arrays go past scikit-learn's checks: the same answers, errors and warnings."""
    X, y = rng.standard_normal((60, 5)), rng.integers(0, 3, 60)
    model = fo.LinearClassifier().fit(X, y)
    expected = model.decision_function(X.tolist())  # a list is checked by scikit-learn
    for row, scores in zip(X, expected, strict=True):
        np.testing.assert_array_equal(model.decision_function(row[None]), [scores])
    bad = X[:1].copy()
    bad[0, 3] = np.nan
    for wrong, words in (
        (bad, "NaN"),
        (X[:1, :4], "4 features"),
        (X[0], "Expected 2D"),
        (X[:0], "0 sample"),
        (X[None, :1], "3"),
    ):
        with pytest.raises(ValueError, match=words):
            model.predict(wrong)
    pandas = pytest.importorskip("pandas")
    named = fo.LinearClassifier().fit(pandas.DataFrame(X, columns=list("abcde")), y)
    with pytest.warns(UserWarning, match="feature names"):
        named.predict(X[:1])


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("kind", ["C", "F"])
def test_small_arrays_are_not_checked_twice(dtype, kind, rng, monkeypatch):
    """scikit-learn's checks take 0.5 ms of a fit of 2 ms, and find nothing in arrays of finite numbers and class numbers."""
    X, y = rng.normal(size=(60, 4)).astype(dtype), rng.integers(0, 3, 60)
    weight = rng.random(60)
    wanted = fo.LinearClassifier().fit(X, y.astype(str), weight)  # text is scikit-learn's to check
    calls, validate = [], linear.validate_data
    monkeypatch.setattr(linear, "validate_data", lambda *a, **k: calls.append(1) or validate(*a, **k))
    found = fo.LinearClassifier()
    found.feature_names_in_ = np.array(["of an earlier fit"])
    found.fit(np.asarray(X, order=kind), y - 1, weight)
    assert not calls and found.n_features_in_ == 4 and not hasattr(found, "feature_names_in_")
    assert np.array_equal(found.coef_, wanted.coef_) and found.classes_.tolist() == [-1, 0, 1]
    broken = X.copy()
    broken[3, 2] = np.nan
    for bad_X, bad_y, words in [
        (broken, y, "NaN"),
        (X[:0], y[:0], "0 sample"),
        (X[:, 0], y, "1D array"),
        (X, y[1:], "inconsistent"),
        (X, y + 0.5, "continuous"),
        (X, np.ones(60, int), "one class"),
    ]:
        with pytest.raises(ValueError, match=words):
            fo.LinearClassifier().fit(bad_X, bad_y)
