"""What fo.train takes besides data and a rule: weights, labels, early stopping, a start; and probabilities."""

import naive
import numpy as np
import pytest

import fastopt as fo
from fastopt.fit import Fit


def small(n=53, features=7, classes=4, seed=0):
    rng = np.random.default_rng(seed)
    return rng.normal(size=(n, features)), rng.integers(0, classes, n)


def as_csr(X):
    return pytest.importorskip("scipy.sparse").csr_array(X)


@pytest.mark.parametrize("rule", [fo.SGD(0.1), fo.Adam(0.05)], ids=["SGD", "Adam"])
@pytest.mark.parametrize("batch_size", [1, 8, None])
@pytest.mark.parametrize("csr", [False, True])
@pytest.mark.parametrize("l2", [0.0, 0.01])
def test_a_weight_counts_as_so_many_rows(backend, rule, batch_size, csr, l2):
    """Each step's gradient is sum w_i g_i / rows of the batch, the weights scaled to the mean 1."""
    X, y = small()
    weight = np.random.default_rng(1).integers(0, 4, len(y)) * 10.0
    fit = fo.train(
        as_csr(X) if csr else X, y, rule=rule, epochs=2, batch_size=batch_size, l2=l2, sampling="sequential",
        backend=backend, sample_weight=weight,
    )  # fmt: skip
    w = weight / weight.mean()
    step, _ = naive.RULES[type(rule).__name__]
    hyper, W, b = rule._asdict(), np.zeros((4, 7)), np.zeros(4)
    states = [naive.initial(type(rule).__name__, p.shape, **hyper) for p in (W, b)]
    t, batch, losses = 0, batch_size or len(X), []
    for _ in range(2):
        for i in range(0, len(X), batch):
            t, part = t + 1, slice(i, i + batch)
            share = w[part].sum() / len(y[part])  # the naive mean is over weights
            if share:
                value, dW, db = naive.linear_value_and_grad("softmax", W, X[part], y[part], b, 0, w[part])
            else:
                value, dW, db = 0.0, np.zeros_like(W), np.zeros_like(b)
            losses.append(share * value + l2 * np.sum(W**2))
            W, states[0] = step(W, share * dW + 2 * l2 * W, states[0], t, **hyper)
            b, states[1] = step(b, share * db, states[1], t, **hyper)
    np.testing.assert_allclose(fit.W, W, rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(fit.b, b, rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(fit.history["loss_train"][-1], np.mean(losses[len(losses) // 2 :]), rtol=1e-9)


def test_class_weights_are_weights_of_rows(backend):
    X, y = small(classes=3)
    names = np.array(["red", "green", "blue"])
    counts = np.bincount(y)
    options = {"epochs": 3, "batch_size": None, "backend": backend}
    for class_weight, by_class in (
        ("balanced", len(y) / (3 * counts)),
        ([1.0, 0.0, 5.0], np.array([1.0, 0.0, 5.0])),
        ({2: 5.0}, np.array([1.0, 1.0, 5.0])),
        ({}, np.ones(3)),
    ):
        fit = fo.train(X, y, class_weight=class_weight, **options)
        same = fo.train(X, y, sample_weight=by_class[y], **options)
        np.testing.assert_allclose(fit.W, same.W, rtol=1e-12)
    named = fo.train(X, names[y], class_weight={"red": 5.0}, **options)
    assert named.classes.tolist() == ["blue", "green", "red"]
    same = fo.train(X, names[y], sample_weight=np.where(y == 0, 5.0, 1.0), **options)
    np.testing.assert_allclose(named.W, same.W, rtol=1e-12)
    both = fo.train(X, y, class_weight={0: 2.0}, sample_weight=np.arange(53.0), **options)
    same = fo.train(X, y, sample_weight=np.arange(53.0) * np.where(y == 0, 2.0, 1.0), **options)
    np.testing.assert_allclose(both.W, same.W, rtol=1e-12)


def test_weights_of_the_rows_that_are_held_out_do_not_count():
    X, y = small()
    held = np.sort(np.random.default_rng([0, 1 << 32]).permutation(53)[:11])
    weight = np.ones(53)
    weight[held] = 1e6
    one = fo.train(X, y, validation=0.2, sample_weight=weight, epochs=2)
    two = fo.train(X, y, validation=0.2, epochs=2)
    np.testing.assert_allclose(one.W, two.W, rtol=1e-12)


@pytest.mark.parametrize("kind", ["text", "objects", "bytes", "series", "categorical"])
def test_labels_of_any_kind(kind):
    X, y = small(classes=3)
    names = np.array(["low", "mid", "high"])[y]
    pd = pytest.importorskip("pandas") if kind in ("series", "categorical") else None
    given = {
        "text": lambda: names,
        "objects": lambda: names.astype(object),
        "bytes": lambda: names.astype("S"),
        "series": lambda: pd.Series(names),
        "categorical": lambda: pd.Series(names, dtype="category"),
    }[kind]()
    fit = fo.train(X, given, epochs=3, validation=0.2)
    order = ["high", "low", "mid"]
    numbers = np.array([order.index(n) for n in names])
    same = fo.train(X, numbers, epochs=3, validation=0.2)
    assert np.array_equal(fit.W, same.W)
    assert [c.decode() if kind == "bytes" else c for c in fit.classes] == order
    assert fit.evaluate(X, given) == same.evaluate(X, numbers) == fit.evaluate(X, numbers)
    with pytest.raises(ValueError, match="none of the 3 classes"):
        fit.evaluate(X, np.array(["low", "mid", "none"], names.dtype)[y])


def test_labels_that_are_no_labels():
    X, _ = small(n=4)
    for y, says in (
        (np.array(["a", None, "b", "a"], object), r"several kinds: y\[1\] is None"),
        (np.array([1, "a", 2, 3], object), "several kinds"),
        (np.array([0.0, 1.0, 2.0, 1.0]), "class numbers"),
        (np.array([0, 1, 2, 1], "M8[s]"), "class numbers"),
        (np.ma.masked_array([0, 1, 1, 0], [0, 1, 0, 0]), "masked"),
        ([[0], [1], [1]], "must have shape"),
        ([[0], [1, 2], [1]], "no vector"),
    ):
        with pytest.raises((TypeError, ValueError), match=says):
            fo.train(X, y)
    with pytest.raises(ValueError, match="'c', which is none of the 2 classes"):
        fo.train(X, np.array(["a", "b", "c", "a"]), classes=["a", "b"])


def test_probabilities(backend):
    X, y = small(n=200)
    fit = fo.train(X, y, epochs=3, backend=backend)
    e = np.exp(X @ fit.W.T + fit.b)
    np.testing.assert_allclose(fit.predict_proba(X), e / e.sum(axis=1, keepdims=True), rtol=1e-9)
    fit = fo.train(X, y % 2, fo.Logistic(), epochs=3, backend=backend)
    p = 1 / (1 + np.exp(-(X @ fit.W[0] + fit.b[0])))
    np.testing.assert_allclose(fit.predict_proba(X), np.stack([1 - p, p], axis=1), rtol=1e-9)
    assert np.array_equal(fit.predict_proba(X).argmax(axis=1), fit.predict(X))
    fit = fo.train(X, y, fo.Logistic(), epochs=3, backend=backend)
    p = 1 / (1 + np.exp(-(X @ fit.W.T + fit.b)))
    np.testing.assert_allclose(fit.predict_proba(X), p / p.sum(axis=1, keepdims=True), rtol=1e-9)
    assert np.isfinite(Fit(1e300 * fit.W, fit.b, fo.Softmax()).predict_proba(X)).all()
    for loss in (fo.Hinge(), fo.MulticlassHinge(), fo.SquaredError()):
        with pytest.raises(TypeError, match="Softmax or Logistic"):
            fo.train(X, y, loss, epochs=1).predict_proba(X)


def overfitting():
    """Few rows, many features, labels by chance: the validation loss rises soon."""
    rng = np.random.default_rng(3)
    return rng.normal(size=(60, 80)), rng.integers(0, 2, 60)


def test_early_stopping_gives_the_best_epoch(backend):
    X, y = overfitting()
    options = {"rule": fo.SGD(0.05), "validation": 0.3, "batch_size": 8, "backend": backend}
    fit = fo.train(X, y, epochs=500, early_stopping=4, **options)
    losses = fit.history["loss_validation"]
    best = int(np.argmin(losses))
    assert len(losses) == best + 5 < 500
    again = fo.train(X, y, epochs=best + 1, **options)
    assert np.array_equal(again.W, fit.W) and np.array_equal(again.b, fit.b)
    assert len(fo.train(X, y, epochs=500, early_stopping=True, **options).history["epoch"]) == best + 6
    with pytest.raises(ValueError, match="validation"):
        fo.train(X, y, early_stopping=3)
    with pytest.raises(ValueError, match="early_stopping"):
        fo.train(X, y, early_stopping=0, validation=0.2)


def test_early_stopping_goes_on_from_a_checkpoint(tmp_path):
    X, y = overfitting()
    options = {"rule": fo.Adam(0.01), "validation": 0.3, "batch_size": 8, "early_stopping": 6}
    whole = fo.train(X, y, epochs=300, **options)
    path = tmp_path / "run.npz"
    for epochs in (1, 2, 5, 7, 300, 300):
        rest = fo.train(X, y, epochs=epochs, checkpoint=path, **options)
    assert np.array_equal(rest.W, whole.W) and np.array_equal(rest.b, whole.b)
    assert np.array_equal(rest.history["loss_validation"], whole.history["loss_validation"])


def test_start(backend, tmp_path):
    X, y = small()
    first = fo.train(X, y, rule=fo.SGD(0.1), epochs=1, sampling="sequential", backend=backend)
    kept = first.W.copy()
    both = fo.train(X, y, rule=fo.SGD(0.1), epochs=2, sampling="sequential", backend=backend)
    for start in (first, (first.W, first.b), [first.W.tolist(), list(first.b)]):
        rest = fo.train(X, y, rule=fo.SGD(0.1), epochs=1, sampling="sequential", backend=backend, start=start)
        assert np.array_equal(rest.W, both.W) and np.array_equal(rest.b, both.b)
    assert np.array_equal(first.W, kept)
    W = np.ones((4, 7))
    assert np.array_equal(fo.train(X, y, epochs=0, start=(W, None)).W, W)
    path = tmp_path / "run.npz"
    fo.train(X, y, epochs=1, start=first, checkpoint=path)
    with pytest.raises(ValueError, match="another run.*digest of start"):
        fo.train(X, y, epochs=2, start=(W, None), checkpoint=path)
    for start, error in (
        ((W[:3], None), ValueError),
        ((W * np.nan, None), ValueError),
        (W, TypeError),
        ((W, np.zeros(3)), ValueError),
        ((W.astype(str), None), ValueError),
    ):
        with pytest.raises(error, match="start"):
            fo.train(X, y, start=start)


@pytest.mark.parametrize(
    ("change", "error", "says"),
    [
        ({"sample_weight": np.ones(52)}, ValueError, "sample_weight must have shape"),
        ({"sample_weight": -np.ones(53)}, ValueError, "not negative"),
        ({"sample_weight": np.zeros(53)}, ValueError, "0 everywhere"),
        ({"sample_weight": ["a"] * 53}, TypeError, "sample_weight"),
        ({"class_weight": "even"}, ValueError, "balanced"),
        ({"class_weight": {9: 1.0}}, ValueError, "class_weight names"),
        ({"class_weight": {"a": 1.0}}, ValueError, "class_weight names"),
        ({"class_weight": {0: "a"}}, TypeError, "class_weight"),
        ({"class_weight": [1.0, 2.0]}, ValueError, "4 finite numbers"),
        ({"class_weight": [1.0, 2.0, -1.0, 1.0]}, ValueError, "4 finite numbers"),
        ({"class_weight": [0.0] * 4}, ValueError, "all 0"),
        ({"class_weight": "balanced", "loss": fo.SquaredError()}, ValueError, "regression"),
        ({"validation": 0.999}, ValueError, "none to train on"),
    ],
)
def test_refusals(change, error, says):
    X, y = small()
    with pytest.raises(error, match=says):
        fo.train(**{"X": X, "y": y, **change})


@pytest.mark.parametrize("batch_size", [1, 4, None])
@pytest.mark.parametrize("decay", [True, 0.9, 0.999])
def test_average(backend, batch_size, decay, monkeypatch):
    """Of the parameters at the points of each epoch, taken here from as many separate runs."""
    from fastopt.training import averaging

    monkeypatch.setattr(averaging, "POINTS", 5)
    X, y = small(n=23)
    steps = -(-23 // (batch_size or 23))
    every = averaging.points(steps)
    assert every[-1] == steps and len(every) == min(5, steps) and all(np.diff(every) > 0)
    W, b = np.zeros((4, 7)), np.zeros(4)
    seen, weights = [], []
    for t in range(1, 2 * steps + 1):  # SGD in order, a step at a time
        i = (t - 1) % steps * (batch_size or 23)
        part = slice(i, i + (batch_size or 23))
        _, dW, db = naive.linear_value_and_grad("softmax", W, X[part], y[part], b)
        W, b = W - 0.1 * dW, b - 0.1 * db
        done = (t - 1) % steps + 1
        if done in every:
            since = done - max([p for p in every if p < done], default=0)
            seen.append((W, b))
            weights = [w * (1.0 if decay is True else decay**since) for w in weights]
            weights.append(1.0 if decay is True else 1 - decay**since)
    fit = fo.train(
        X, y, rule=fo.SGD(0.1), epochs=2, batch_size=batch_size, sampling="sequential", backend=backend, average=decay
    )  # fmt: skip
    for i, array in enumerate((fit.W, fit.b)):
        wanted = sum(w * pair[i] for w, pair in zip(weights, seen, strict=True)) / sum(weights)
        np.testing.assert_allclose(array, wanted, rtol=1e-9, atol=1e-12)


def test_average_goes_on_from_a_checkpoint_and_is_what_validation_sees(tmp_path):
    X, y = small()
    options = {"batch_size": 3, "validation": 0.2, "average": 0.99}
    whole = fo.train(X, y, epochs=5, **options)
    for epochs in (2, 5):
        rest = fo.train(X, y, epochs=epochs, checkpoint=tmp_path / "run.npz", **options)
    assert np.array_equal(rest.W, whole.W)
    held = np.sort(np.random.default_rng([0, 1 << 32]).permutation(53)[:11])
    assert whole.evaluate(X[held], y[held]) == (
        whole.history["loss_validation"][-1], whole.history["accuracy_validation"][-1]
    )  # fmt: skip
    with pytest.raises(ValueError, match="another run.*average"):
        fo.train(X, y, epochs=6, checkpoint=tmp_path / "run.npz", **{**options, "average": True})
    for bad in (0, 1.0, -0.5, 2, np.nan):
        with pytest.raises(ValueError, match="average must be True, .* or a decay"):
            fo.train(X, y, average=bad)
    with pytest.raises(TypeError, match="average"):
        fo.train(X, y, average="mean")


def test_held_out_rows_that_are_not_finite_are_named_before_the_first_step():
    X, y = small()
    steps = []
    bad = X.copy()
    bad[5, 3] = np.nan
    with pytest.raises(ValueError, match="validation: X has nan at row 5, column 3"):
        fo.train(X, y, validation=(bad, y), progress=steps.append)
    held = np.sort(np.random.default_rng([0, 1 << 32]).permutation(53)[:11])
    X[held[2], 1] = np.inf
    with pytest.raises(ValueError, match=f"X has inf at row {held[2]}, column 1"):
        fo.train(X, y, validation=0.2, progress=steps.append)
    with pytest.raises(TypeError, match="progress must be a function"):
        fo.train(X, y, progress=5)
    assert not steps


def test_held_out_rows_are_not_copied():
    import tracemalloc

    X, y = np.zeros((20_000, 100), np.float32), np.arange(20_000) % 3
    fo.train(X, y, epochs=1, validation=0.3)  # what is imported and compiled
    tracemalloc.start()
    fo.train(X, y, epochs=1, validation=0.3)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 0.75 * X.nbytes  # a block of 8,192 rows is scored at a time
