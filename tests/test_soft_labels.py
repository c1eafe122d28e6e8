"""Soft labels, a probability of each class: Softmax and Logistic against their definition, and what must agree."""

import numpy as np
import pytest

import fastopt as fo
from fastopt.solvers import solve

sparse = pytest.importorskip("scipy.sparse")

LOSSES = [(fo.Softmax(), 4), (fo.Softmax(), 2), (fo.Logistic(), 3), (fo.Logistic(), 1)]
FORMS = ["dense", "csr", "uint8"]


def cases(rng, loss, classes, dtype=np.float64, form="dense", n=300, features=11):
    X = rng.normal(size=(n, features)).astype(dtype)
    if form == "csr":
        X = sparse.csr_array(np.where(rng.random(X.shape) < 0.4, X, 0))
    if form == "uint8":
        X = rng.integers(0, 256, (n, features)).astype(np.uint8)
    y = rng.dirichlet(np.full(classes, 0.3), n) if isinstance(loss, fo.Softmax) else rng.random((n, classes))
    y[:20] = np.round(y[:20])  # certain ones among them
    if isinstance(loss, fo.Softmax):
        y[:20] = np.eye(classes)[rng.integers(0, classes, 20)]
    return X, y, rng.random(n) + 0.1


def by_definition(loss, W, b, X, y, weight, l2):
    """(value, dW, db) in float64: -sum y log p, written down."""
    X = np.asarray(X.toarray() if hasattr(X, "toarray") else X, np.float64)
    s = X @ W.T.astype(float) + b
    if isinstance(loss, fo.Softmax):
        log_p = s - np.logaddexp.reduce(s, axis=1)[:, None]
        rows, d = -(y * log_p).sum(axis=1), np.exp(log_p) - y
    else:
        rows = (y * np.logaddexp(0, -s) + (1 - y) * np.logaddexp(0, s)).sum(axis=1)
        d = 0.5 + 0.5 * np.tanh(s / 2) - y
    w = weight / weight.sum()
    d = d * w[:, None]
    return w @ rows + l2 * (W.astype(float) ** 2).sum(), d.T @ X + 2 * l2 * W, d.sum(axis=0)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("dtype", [np.float64, np.float32], ids=str)
@pytest.mark.parametrize(("loss", "classes"), LOSSES)
def test_value_and_gradient_are_those_of_the_definition(loss, classes, dtype, form, rng, need):
    if form == "uint8" and dtype == np.float64:
        pytest.skip("bytes are computed in float32")
    X, y, weight = cases(rng, loss, classes, dtype, form)
    W, b = rng.normal(size=(classes, 11)).astype(dtype), rng.normal(size=classes).astype(dtype)
    exact = by_definition(loss, W, b, X / 255 if form == "uint8" else X, y, weight, 0.01)
    close = 1e-12 if dtype == np.float64 else 2e-5
    for backend in ("numba", "c", "numpy"):
        try:
            found = fo.value_and_grad(loss, W, X, y, b, l2=0.01, sample_weight=weight, backend=backend)
        except ImportError:
            continue
        for a, e in zip(found, exact, strict=True):
            assert np.allclose(a, e, rtol=close, atol=close)


@pytest.mark.parametrize(("loss", "classes"), LOSSES)
def test_gradcheck_and_curvature(loss, classes, rng):
    X, y, weight = cases(rng, loss, classes)
    objective = fo.Objective(loss, X, y, l2=0.1, sample_weight=weight, classes=classes)
    W, b = rng.normal(size=(classes, 11)), rng.normal(size=classes)
    assert fo.gradcheck(
        lambda p: objective.value(*p), lambda p: list(objective.value_and_grad(*p)[1:]), [W, b]
    )
    V, c, h = rng.normal(size=W.shape), rng.normal(size=b.shape), 1e-5
    HV, Hc = objective.hessian_product(W, b, V, c)
    up, down = (objective.value_and_grad(W + t * V, b + t * c)[1:] for t in (h, -h))
    assert np.allclose(HV, (up[0] - down[0]) / (2 * h), atol=1e-8)
    assert np.allclose(Hc, (up[1] - down[1]) / (2 * h), atol=1e-8)


@pytest.mark.parametrize("form", ["dense", "csr"])
@pytest.mark.parametrize(("loss", "classes"), LOSSES)
def test_certain_labels_give_what_class_numbers_do(loss, classes, form, rng):
    X, _, weight = cases(rng, loss, classes, np.float32, form)
    numbers = rng.integers(0, max(2, classes), X.shape[0])
    y = numbers[:, None].astype(bool) if classes == 1 else np.eye(classes)[numbers]
    W, b = rng.normal(size=(classes, 11)).astype("f4"), rng.normal(size=classes).astype("f4")
    hard, soft = (fo.value_and_grad(loss, W, X, labels, b, sample_weight=weight) for labels in (numbers, y))
    assert all(np.allclose(h, s, rtol=1e-6, atol=1e-7) for h, s in zip(hard, soft, strict=True))
    for options in ({"batch_size": 1, "rule": fo.SGD(0.01)}, {"batch_size": 32, "rule": fo.SGD(0.01), "l2": 1e-3},
                    {"batch_size": 64, "rule": fo.Adam(0.01)}, {"batch_size": None}):  # fmt: skip
        fits = [fo.train(X, labels, loss, epochs=2, **options) for labels in (numbers, y)]
        assert np.allclose(fits[0].W, fits[1].W, atol=1e-5) and np.allclose(fits[0].b, fits[1].b, atol=1e-5)
    ends = [solve(fo.Objective(loss, X, labels, l2=1e-3), "newton") for labels in (numbers, y)]
    assert np.allclose(ends[0].W, ends[1].W, atol=1e-4)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("batch", [1, 7, 64, None])
def test_training_by_rules_agrees_between_back_ends(form, batch, rng, need):
    need("numba")
    need("c")
    for (loss, classes), rule in zip(
        LOSSES, (fo.SGD(0.05), fo.Momentum(0.05), fo.Adam(0.01), fo.SGD(0.1)), strict=True
    ):
        X, y, _ = cases(rng, loss, classes, np.float32, form)
        options = {"epochs": 2, "batch_size": batch, "l2": 1e-3, "validation": 0.2}
        fits = [fo.train(X, y, loss, rule, backend=name, **options) for name in ("numba", "numpy", "c")]
        assert np.array_equal(fits[0].W, fits[2].W) and np.array_equal(fits[0].b, fits[2].b)
        assert fits[0].history["loss_train"].tolist() == fits[2].history["loss_train"].tolist()
        assert np.allclose(fits[0].W, fits[1].W, atol=2e-5)
        for name in ("loss_train", "loss_validation", "accuracy_validation"):
            assert np.allclose(fits[0].history[name], fits[1].history[name], atol=1e-4)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("dtype", [np.float64, np.float32], ids=str)
@pytest.mark.parametrize(("loss", "classes"), [*LOSSES, (fo.Softmax(), 19)])
def test_bits_of_c_and_numba_are_the_same(loss, classes, dtype, form, rng, need):
    need("numba")
    need("c")
    if form == "uint8" and dtype == np.float64:
        pytest.skip("bytes are computed in float32")
    X, y, weight = cases(rng, loss, classes, dtype, form, n=301)
    W, b = rng.normal(size=(classes, 11)).astype(dtype) * 30, rng.normal(size=classes).astype(dtype)
    for given in ({}, {"sample_weight": weight, "l2": 0.01}):
        numba, c = (fo.value_and_grad(loss, W, X, y, b, backend=name, **given) for name in ("numba", "c"))
        assert all(np.array_equal(u, v, equal_nan=True) for u, v in zip(numba, c, strict=True))


@pytest.mark.parametrize("solver", ["lbfgs", "newton", "prox-newton"])
@pytest.mark.parametrize(("loss", "classes"), LOSSES)
def test_solvers_end_where_the_gradient_of_the_definition_is_0(loss, classes, solver, rng):
    X, y, weight = cases(rng, loss, classes)
    for backend in ("auto", "numpy", "c"):
        fit = fo.train(X, y, loss, solver=solver, l2=0.01, sample_weight=weight, tol=1e-9, backend=backend)
        assert fit.report.converged
        value, dW, db = by_definition(loss, fit.W, fit.b, X, y, weight, 0.01)
        assert fit.report.objective == pytest.approx(value, rel=1e-12)
        assert max(np.abs(dW).max(), np.abs(db).max()) <= 1.1e-9


def test_a_row_of_shares_is_rows_of_classes_with_weights(rng):
    """The optimum is that of each row taken once a class, with its share for a weight."""
    X, y, weight = cases(rng, fo.Softmax(), 3)
    soft = solve(fo.Objective(fo.Softmax(), X, y, l2=0.01, sample_weight=weight), "newton", tol=1e-10)
    times = fo.Objective(fo.Softmax(), np.repeat(X, 3, axis=0), np.tile(np.arange(3), len(X)), l2=0.01,
                         sample_weight=(y * weight[:, None]).reshape(-1))  # fmt: skip
    hard = solve(times, "newton", tol=1e-10)
    assert np.abs(soft.W - hard.W).max() < 1e-8
    assert soft.report.objective == pytest.approx(hard.report.objective, rel=1e-10)


def test_l1_on_soft_labels_keeps_its_conditions(rng):
    X, y, _ = cases(rng, fo.Softmax(), 4)
    objective = fo.Objective(fo.Softmax(), X, y, penalty=fo.L1(0.02))
    W, b, report = solve(objective, tol=1e-8)
    _, dW, db = objective.value_and_grad(W, b)
    assert report.converged and 0 < (W == 0).sum() < W.size
    assert np.abs(np.where(W != 0, dW + 0.02 * np.sign(W), np.maximum(np.abs(dW) - 0.02, 0))).max() <= 1.01e-8


def test_two_columns_of_logistic_are_one_row(rng):
    X, y, _ = cases(rng, fo.Logistic(), 1)
    one = fo.train(X, y, fo.Logistic(), solver="newton", l2=0.01)
    two = fo.train(X, np.column_stack([1 - y, y]), fo.Logistic(), solver="newton", l2=0.01)
    assert two.W.shape == (1, 11) and np.allclose(one.W, two.W, atol=1e-12)
    own = fo.Objective(fo.Logistic(), X, np.column_stack([y, y]), classes=2)
    assert own.classes == 2  # two labels that know nothing of each other


def test_held_out_rows_may_have_class_numbers(rng):
    X, y, _ = cases(rng, fo.Softmax(), 3)
    fit = fo.train(X, y, epochs=3, validation=(X, y.argmax(axis=1)))
    loss, accuracy = fit.evaluate(X, y.argmax(axis=1))
    assert fit.history["loss_validation"][-1] == pytest.approx(loss)
    assert fit.evaluate(X, y)[1] == accuracy and fit.evaluate(X, y)[0] != loss


def test_the_numeric_gradient_takes_them(rng):
    X, y, weight = cases(rng, fo.Softmax(), 3)
    W, b = rng.normal(size=(3, 11)), rng.normal(size=3)
    from fastopt.checking.linear import numeric_linear_gradient

    dW, db = numeric_linear_gradient(fo.Softmax(), W, X, y, b, sample_weight=weight)
    _, exact, of_b = fo.value_and_grad(fo.Softmax(), W, X, y, b, sample_weight=weight)
    assert np.allclose(dW, exact, atol=1e-8) and np.allclose(db, of_b, atol=1e-8)


REFUSED = [
    (fo.Softmax(), np.full((6, 3), 0.5), ValueError, r"y\[0\] sums to 1.5, not 1: divide each row by its sum"),
    (fo.Softmax(), np.array([[1.5, -0.5]] * 6), ValueError, r"y\[0, 0\] is 1.5"),
    (fo.Softmax(), np.full((6, 2), np.nan), ValueError, "between 0 and 1"),
    (fo.Softmax(), np.full((5, 2), 0.5), ValueError, r"shape \(6, classes\)"),
    (fo.Softmax(), np.ones((6, 1)), ValueError, "shape"),
    (fo.Logistic(), np.full((6, 2), 0.9), ValueError, "classes=2"),
    (fo.Logistic(), np.zeros((6, 0)), ValueError, "shape"),
    (fo.Softmax(), np.full((6, 2), "a"), TypeError, "numbers"),
    (fo.Softmax(), np.ma.masked_array(np.full((6, 2), 0.5)), TypeError, "numbers"),
    (fo.Hinge(), np.full((6, 2), 0.5), ValueError, r"\(6,\)"),
    (fo.SquaredError(), np.full((6, 2), 0.5), ValueError, r"\(6,\)"),
]  # fmt: skip


@pytest.mark.parametrize(("loss", "y", "error", "words"), REFUSED, ids=range(len(REFUSED)))
def test_what_is_refused(loss, y, error, words):
    X = np.ones((6, 2))
    with pytest.raises(error, match=words):
        fo.Objective(loss, X, y)
    with pytest.raises(error, match=words):
        fo.train(X, y, loss)


def test_what_does_not_take_them_says_so():
    X, y = np.ones((6, 2)), np.full((6, 2), 0.5)
    with pytest.raises(ValueError, match="class_weight is for class numbers"):
        fo.train(X, y, class_weight="balanced")


# ---- the estimator ----


@pytest.fixture
def classifier():
    pytest.importorskip("sklearn")
    from fastopt.estimators import LinearClassifier

    return LinearClassifier


@pytest.mark.parametrize("solver", ["auto", "lbfgs", "newton", "prox-newton"])
@pytest.mark.parametrize("form", ["dense", "csr"])
@pytest.mark.parametrize(("loss", "name", "classes"), [(fo.Softmax(), "softmax", 3), (fo.Logistic(), "logistic", 3),
                                                      (fo.Logistic(), "softmax", 2), (fo.Logistic(), "logistic", 2)])  # fmt: skip
def test_the_classifier_ends_at_the_optimum(loss, name, classes, form, solver, classifier, rng):
    X, _, weight = cases(rng, fo.Softmax(), classes, form=form)
    y = rng.dirichlet(np.ones(classes), X.shape[0])
    model = classifier(name, solver=solver, l2=0.01, tol=1e-9).fit(X, y, sample_weight=weight)
    own = y[:, 1:] if classes == 2 else y
    value, dW, db = by_definition(loss, model.coef_, model.intercept_, X, own, weight, 0.01)
    assert max(np.abs(dW).max(), np.abs(db).max()) <= 1.1e-9
    assert model.history_["objective"][-1] == pytest.approx(value, rel=1e-9)
    assert model.classes_.tolist() == list(range(classes))
    assert np.allclose(model.predict_proba(X).sum(axis=1), 1)
    assert model.score(X, y) == model.score(X, y.argmax(axis=1)) > 1 / classes


def test_the_classifier_by_epochs_and_in_parts(classifier, rng):
    X, y, _ = cases(rng, fo.Softmax(), 3)
    labels = np.eye(3)[y.argmax(axis=1)]
    for options in ({}, {"average": True}, {"l1": 1e-3}, {"early_stopping": True}):
        models = [classifier(solver="sgd", epochs=3, random_state=0, **options).fit(X, t)
                  for t in (labels, labels.argmax(axis=1))]  # fmt: skip
        assert np.allclose(models[0].coef_, models[1].coef_, atol=1e-10)
    parts = [classifier(rule=fo.SGD(0.1)) for _ in range(2)]
    for begin in (0, 150):
        rows = slice(begin, begin + 150)
        parts[0].partial_fit(X[rows], labels[rows], classes=[0, 1, 2])
        parts[1].partial_fit(X[rows], labels[rows].argmax(axis=1), classes=[0, 1, 2])
    assert np.allclose(parts[0].coef_, parts[1].coef_, atol=1e-12)


def test_columns_of_a_table_are_the_classes(classifier, rng):
    pd = pytest.importorskip("pandas")
    X, y, _ = cases(rng, fo.Softmax(), 3)
    model = classifier().fit(X, pd.DataFrame(y, columns=["cat", "dog", "owl"]))
    assert model.classes_.tolist() == ["cat", "dog", "owl"] and model.predict(X[:1])[0] in model.classes_


@pytest.mark.parametrize(("options", "y", "words"), [
    ({"loss": "hinge"}, np.full((6, 3), 1 / 3), "soft labels: loss"),
    ({}, np.full((6, 3), 0.5), r"y\[0\] sums to 1.5"),
    ({"loss": "logistic"}, np.array([[1, 1, 0]] * 6), "sums to 2"),
    ({"class_weight": "balanced"}, np.full((6, 2), 0.5), "class_weight is for labels"),
    ({}, np.full((6, 2), "a"), "must hold numbers"),
    ({}, np.full((5, 2), 0.5), "inconsistent numbers of samples"),
    ({}, np.full((6, 2), np.nan), "NaN"),
], ids=range(7))  # fmt: skip
def test_what_the_classifier_refuses(options, y, words, classifier):
    with pytest.raises(ValueError, match=words):
        classifier(**options).fit(np.ones((6, 2)), y)


# ---- the command line ----


@pytest.fixture
def table(tmp_path, rng):
    """(path, X, y) of a CSV file with the shares of three classes beside features."""
    pd = pytest.importorskip("pandas")
    pytest.importorskip("pyarrow")
    X, y = rng.normal(size=(120, 4)), rng.dirichlet(np.ones(3), 120)
    path = tmp_path / "shares.csv"
    pd.DataFrame(np.column_stack([X, y]), columns=[*"abcd", "cat", "dog", "owl"]).to_csv(path, index=False)
    return path, X, y


def run(*arguments):
    from click.testing import CliRunner

    from fastopt.cli import main

    return CliRunner().invoke(main, [str(a) for a in arguments])


@pytest.mark.parametrize("solver", ["sgd", "newton", "lbfgs"])
@pytest.mark.parametrize("backend", ["auto", "c"])
def test_the_command_takes_columns_of_shares(solver, backend, table, tmp_path):
    path, X, y = table
    out = tmp_path / "model.npz"
    given = (
        "--soft-labels",
        "cat,dog,owl",
        "--test",
        0,
        "--l2",
        0.01,
        "--no-standardize",
        "--backend",
        backend,
    )
    done = run("train", path, *given, "--solver", solver, "--out", out)
    assert done.exit_code == 0, done.output
    fit = fo.Fit.load(out)
    assert fit.classes.tolist() == ["cat", "dog", "owl"] and fit.W.shape == (3, 4)
    _, dW, db = by_definition(fo.Softmax(), fit.W, fit.b, X.astype("f4"), y, np.ones(120), 0.01)
    assert max(np.abs(dW).max(), np.abs(db).max()) < (2e-5 if solver != "sgd" else 2e-2)
    others = tmp_path / "others.csv"
    others.write_text("\n".join(path.read_text().splitlines()[:60]))
    measured = run("eval", out, others, "--json")
    assert measured.exit_code == 0, measured.output
    done = run("predict", out, path)
    assert done.exit_code == 0, done.output


def test_a_file_of_arrays_may_hold_shares(tmp_path, rng):
    y = rng.dirichlet(np.ones(3), 90)
    np.savez(tmp_path / "a.npz", X=rng.normal(size=(90, 4)), y=y)
    done = run("train", tmp_path / "a.npz", "--solver", "newton")
    assert done.exit_code == 0 and "3 classes" in done.output, done.output


@pytest.mark.parametrize(("options", "words"), [
    (["--soft-labels", "cat,cow"], "no column 'cow'"), (["--soft-labels", "cat"], "two columns or more"),
    (["--soft-labels", "a,cat"], "shares of classes lie between 0 and 1"),
    (["--soft-labels", "cat,dog"], "divide each row by its sum"),
    (["--soft-labels", "cat,dog", "--target", "owl"], "give one of them"),
    (["--soft-labels", "cat,dog,owl", "--loss", "hinge"], "hinge"),
    (["--soft-labels", "cat,dog,owl", "--balanced"], "class_weight is for class numbers"),
], ids=range(7))  # fmt: skip
def test_what_the_command_refuses(options, words, table):
    done = run("train", table[0], *options)
    assert done.exit_code and words in done.output and "Traceback" not in done.output, done.output
