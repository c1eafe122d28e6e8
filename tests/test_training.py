"""Training runs: what they reach, that they are the same again, and how they end badly."""

import gc
import weakref

import naive
import numpy as np
import pytest

import fastopt as fo
from fastopt import checkpoint as files
from fastopt import data as datasets
from fastopt.fit import Fit
from fastopt.schedules import Cosine, Linear, Warmup
from fastopt.stepping.coefficients import coefficient_table

LOSSES = [fo.Softmax(), fo.MulticlassHinge(), fo.MulticlassHinge(squared=True), fo.SquaredError(), fo.Hinge()]


@pytest.fixture(scope="module")
def digits():
    d = datasets.load("digits")
    x_train, x_test = (np.float32(x * d.scale) for x in (d.x_train, d.x_test))
    return d._replace(x_train=x_train, x_test=x_test, scale=1.0)


def small(dtype=np.float64, n=53, features=7, classes=4, seed=0):
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n, features)).astype(dtype)
    return X, rng.integers(0, classes, n)


@pytest.mark.parametrize("loss", [fo.Softmax(), fo.MulticlassHinge()], ids=["softmax", "hinge"])
def test_digits(digits, loss, backend):
    fit = fo.train(digits.x_train, digits.y_train, loss=loss, epochs=50, backend=backend)
    assert fit.evaluate(digits.x_test, digits.y_test)[1] >= 0.94
    assert (fit.predict(digits.x_test) == digits.y_test).mean() >= 0.94
    assert fit.history["loss_train"][-1] < fit.history["loss_train"][0] / 2


@pytest.mark.parametrize(
    "rule", [fo.SGD(0.1), fo.Adam(0.05), fo.AdaGrad(0.1, 0.1)], ids=lambda r: type(r).__name__
)
@pytest.mark.parametrize("batch_size", [1, 8, None])
def test_steps_are_those_of_the_naive_loop(backend, rule, batch_size):
    X, y = small()
    l2, epochs = 0.01, 3
    fit = fo.train(
        X, y, rule=rule, epochs=epochs, batch_size=batch_size, l2=l2, sampling="sequential", backend=backend
    )
    step, slots = naive.RULES[type(rule).__name__]
    hyper = rule._asdict()
    W, b = np.zeros((4, 7)), np.zeros(4)
    states = [naive.initial(type(rule).__name__, p.shape, **hyper) for p in (W, b)]
    t, batch = 0, batch_size or len(X)
    for _ in range(epochs):
        for i in range(0, len(X), batch):
            t += 1
            part = slice(i, i + batch)
            _, dW, db = naive.linear_value_and_grad("softmax", W, X[part], y[part], b, l2)
            W, states[0] = step(W, dW, states[0], t, **hyper)
            b, states[1] = step(b, db, states[1], t, **hyper)
    assert fit.steps == t
    np.testing.assert_allclose(fit.W, W, rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(fit.b, b, rtol=1e-9, atol=1e-12)
    assert set(fit.history) >= {"loss_train", "lr", "gradient_norm", "seconds", "samples_per_second"}


@pytest.mark.parametrize("loss", LOSSES, ids=repr)
def test_back_ends_agree(loss, backend):
    X, y = small()
    runs = [
        fo.train(X, y, loss, fo.Adam(0.01), epochs=2, batch_size=5, backend=x) for x in (backend, "numpy")
    ]
    np.testing.assert_allclose(runs[0].W, runs[1].W, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("sampling", ["shuffle", "replacement", "sequential"])
def test_same_seed_same_bits_whatever_the_threads(backend, sampling):
    X, y = small(np.float32, n=4000, features=33)
    runs = [
        fo.train(
            X, y, epochs=2, batch_size=batch, sampling=sampling, seed=3, backend=backend, threads=threads
        ).W
        for batch in (32, None)
        for threads in (1, 2, 3)
    ]
    for first, others in ((runs[0], runs[1:3]), (runs[3], runs[4:])):
        assert all(np.array_equal(first, other) for other in others)
    if sampling != "sequential":
        other = fo.train(X, y, epochs=2, batch_size=32, sampling=sampling, seed=4, backend=backend)
        assert not np.array_equal(runs[0], other.W)


def test_divergence_keeps_the_last_good_parameters(backend):
    X, y = small(np.float32)
    with pytest.raises(fo.Diverged, match=r"step \d+ with learning rate 50") as caught:
        fo.train(X, y, fo.SquaredError(), fo.SGD(50.0), epochs=100, batch_size=8, backend=backend)
    error = caught.value
    assert error.step > 1 and error.lr == 50 and error.fit.steps < error.step
    assert np.isfinite(error.fit.W).all() and np.isfinite(error.fit.b).all()


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("csr", [False, True])
def test_data_that_are_not_finite_are_named(bad, csr, backend):
    X, y = small()
    X[3, 2] = bad
    if csr:
        X = pytest.importorskip("scipy.sparse").csr_array(X)
    fit = fo.train(X[10:], y[10:])
    for loss in (fo.MulticlassHinge(), fo.Softmax()):
        for batch_size in (None, 1, 7):
            with pytest.raises(ValueError, match=f"X has {bad} at row 3, column 2"):
                fo.train(X, y, loss, fo.SGD(0.1), batch_size=batch_size, backend=backend)
    for call in (fit.predict, fit.scores, fit.predict_proba, lambda X: fit.evaluate(X, y)):
        with pytest.raises(ValueError, match=f"X has {bad} at row 3, column 2"):
            call(X)


def test_interrupt_returns_the_model_so_far():
    X, y = small()

    def press(p):
        if p.step >= 10:
            raise KeyboardInterrupt

    with pytest.warns(UserWarning, match="interrupted in epoch"):
        fit = fo.train(X, y, epochs=1000, batch_size=1, progress=press)
    assert fit.interrupted and fit.steps >= 10 and fit.W.any()


@pytest.mark.parametrize("rule", [fo.Adam(0.01), fo.AMSGrad(), fo.SGD(0.1)], ids=lambda r: type(r).__name__)
def test_checkpoint_goes_on_with_the_same_bits(rule, tmp_path):
    X, y = small()
    path = tmp_path / "run.npz"
    options = {"rule": rule, "batch_size": 8, "schedule": Cosine(40), "l2": 0.1, "validation": 0.2}
    whole = fo.train(X, y, epochs=5, **options)
    fo.train(X, y, epochs=2, checkpoint=path, **options)
    rest = fo.train(X, y, epochs=5, checkpoint=path, **options)
    assert np.array_equal(rest.W, whole.W) and np.array_equal(rest.b, whole.b)
    assert np.array_equal(rest.history["loss_train"], whole.history["loss_train"])
    with pytest.raises(ValueError, match="another run.*batch_size"):
        fo.train(X, y, epochs=5, checkpoint=path, **{**options, "batch_size": 9})
    path.write_bytes(b"nothing of use")
    with pytest.raises(ValueError, match="no file that fastopt wrote"):
        fo.train(X, y, epochs=5, checkpoint=path, **options)


@pytest.mark.parametrize("form", ["float64", "uint8", "csr"])
def test_checkpoint_of_other_data_is_refused(form, tmp_path):
    X, y = small()
    X = np.round(X * 40).astype(np.uint8) if form == "uint8" else X
    if form == "csr":
        X = pytest.importorskip("scipy.sparse").csr_array(X)
    path = tmp_path / "run.npz"
    fo.train(X, y, epochs=2, checkpoint=path)
    other = X.copy()
    other[17, 3] = 5
    with pytest.raises(ValueError, match="another run.*digest of X, y and weights"):
        fo.train(other, y, epochs=3, checkpoint=path)
    with pytest.raises(ValueError, match="another run.*digest of X, y and weights"):
        fo.train(X, y[::-1], epochs=3, checkpoint=path)
    with pytest.raises(ValueError, match="has 2 epochs, more than the 1 asked for: pass epochs=2 or more"):
        fo.train(X, y, epochs=1, checkpoint=path)
    meta, arrays = files.read(path, "run")
    del meta["settings"]["digest of X, y and weights"]  # as an earlier version wrote it
    files.write(path, meta, arrays)
    assert fo.train(X, y, epochs=2, checkpoint=path).steps == 2


def test_model_file(tmp_path):
    X, y = small()
    fit = fo.train(X, y, epochs=2, validation=(X, y), classes=np.array(["a", "b", "c", "d"]))
    fit.save(tmp_path / "model.npz")
    again = Fit.load(tmp_path / "model.npz")
    assert np.array_equal(again.predict(X), fit.predict(X)) and again.predict(X).dtype.kind == "U"
    assert np.array_equal(again.history["loss_validation"], fit.history["loss_validation"])
    assert not list(tmp_path.glob("*.part"))


def test_uint8_is_the_scaled_float32(backend):
    d = datasets.load("digits")
    one = fo.train(d.x_train, d.y_train, epochs=3, scale=1 / 16, backend=backend)
    two = fo.train(np.float32(d.x_train) / np.float32(16), d.y_train, epochs=3, backend=backend)
    np.testing.assert_allclose(one.W, two.W, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(
        one.scores(d.x_test), two.scores(np.float32(d.x_test) / 16), rtol=1e-3, atol=1e-3
    )


def test_sparse_is_the_dense(backend):
    sparse = pytest.importorskip("scipy.sparse")
    X, y = small(n=60)
    X[np.random.default_rng(0).random(X.shape) < 0.6] = 0
    dense = fo.train(X, y, epochs=3, batch_size=7, backend=backend)
    csr = fo.train(sparse.csr_array(X), y, epochs=3, batch_size=7, backend=backend)
    np.testing.assert_allclose(csr.W, dense.W, rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(csr.scores(sparse.csr_array(X)), dense.scores(X), rtol=1e-9, atol=1e-12)


def test_two_classes_and_regression(backend):
    rng = np.random.default_rng(0)
    X = rng.normal(size=(200, 3))
    true = X @ [1.0, -2.0, 0.5]
    for loss in (fo.Logistic(), fo.Hinge()):
        fit = fo.train(X, (true > 0).astype(int), loss, epochs=20, backend=backend)
        assert fit.W.shape == (1, 3) and fit.evaluate(X, (true > 0).astype(int))[1] > 0.95
    fit = fo.train(X, true, fo.SquaredError(), epochs=300, backend=backend)
    np.testing.assert_allclose(fit.predict(X), true, atol=1e-3)


def test_schedules_reach_the_rule():
    X, y = small()
    fit = fo.train(
        X,
        y,
        schedule={"momentum": Linear(start=0.5, end=0.99), "lr": Warmup(3, Cosine())},
        epochs=4,
        batch_size=27,
    )
    assert fit.history["lr"][0] == pytest.approx(0.2 / 3) and fit.history["lr"][-1] < 0.1
    K = coefficient_table(fo.Momentum(), {"momentum": Linear(10, 0.99, 0.5)}, 4, 3)
    np.testing.assert_allclose(K[:, 1], [0.5 + 0.049 * t for t in (4, 5, 6)])


def test_coefficient_table_is_one_row_a_step():
    for rule in (fo.Adam(), fo.SGD(), fo.NAdam()):
        K = coefficient_table(rule, {}, 2, 3)
        assert np.array_equal(K, [rule.coefficients(rule, float(t)) for t in (3, 4, 5)])


@pytest.mark.parametrize(
    ("change", "error", "says"),
    [
        ({"y": np.zeros(52, int)}, ValueError, "y must have shape"),
        ({"y": np.full(53, -1)}, ValueError, r"y\[0\] is -1"),
        ({"y": np.zeros(53)}, TypeError, "class numbers"),
        ({"y": np.full(53, 10**9)}, ValueError, "class number 1000000000 in 53 rows"),
        ({"X": np.zeros((53, 7), int)}, TypeError, "X must be float32"),
        ({"X": np.zeros(53)}, ValueError, "X must be"),
        ({"X": [[1.0]]}, TypeError, "NumPy array"),
        ({"X": np.zeros((0, 7)), "y": np.zeros(0, int)}, ValueError, "no rows"),
        ({"batch_size": 0}, ValueError, "batch_size"),
        ({"epochs": -1}, ValueError, "epochs"),
        ({"l2": -1.0}, ValueError, "l2"),
        ({"l2": "a"}, TypeError, "l2 must be a number, at least 0, not 'a'"),
        ({"batch_size": "a"}, ValueError, "batch_size must be a whole number, at least 1, not 'a'"),
        ({"validation": "x"}, TypeError, "validation must be .* a share between 0 and 1, not 'x'"),
        ({"X": np.zeros((53, 7), np.uint8), "scale": "a"}, TypeError, "scale must be a number, not 'a'"),
        ({"sampling": "random"}, ValueError, "sampling"),
        ({"validation": 2.0}, ValueError, "validation"),
        ({"loss": fo.Softmax}, TypeError, r"write Softmax\(\)"),
        ({"rule": fo.SGD(-1.0)}, ValueError, "lr"),
        ({"schedule": {"beta": Cosine()}}, ValueError, "has no 'beta'"),
        ({"backend": "cuda"}, ValueError, "backend"),
        ({"scale": 2.0}, ValueError, "scale"),
    ],
)
def test_refusals(change, error, says):
    X, y = small()
    with pytest.raises(error, match=says):
        fo.train(**{"X": X, "y": y, **change})


@pytest.mark.long
@pytest.mark.parametrize(
    ("loss", "least"), [(fo.Softmax(), 0.92), (fo.MulticlassHinge(), 0.91)], ids=["softmax", "hinge"]
)
def test_mnist(loss, least, backend, data):
    d = datasets.load(data("mnist.npz"))
    fit = fo.train(d.x_train, d.y_train, loss, schedule=Cosine(), epochs=10, scale=d.scale, backend=backend)
    assert fit.evaluate(d.x_test, d.y_test)[1] >= least


def test_class_that_only_held_out_rows_have():
    X, y = np.random.default_rng(0).normal(size=(40, 3)), np.zeros(40, int)
    for rare in range(8):  # the one row of class 2 is sometimes held out
        y[:] = 0
        y[rare] = 2
        assert fo.train(X, y, epochs=1, validation=0.5).W.shape == (3, 3)


def test_classes_are_kept(tmp_path):
    X, y = np.eye(3, dtype=np.float32), np.arange(3)
    for classes in (["a", "b", "c"], np.array(["a", "b", "c"], object)):
        fit = fo.train(X, y, classes=classes)
        fit.save(tmp_path / "m.npz")
        assert Fit.load(tmp_path / "m.npz").predict(X).tolist() == ["a", "b", "c"]
    with pytest.raises(ValueError, match="names 2 classes"):
        fo.train(X, y, classes=["a", "b"])
    with pytest.raises(TypeError, match="objects"):
        fo.train(X, y, classes=np.array([1, None, "c"], object)).save(tmp_path / "o.npz")


@pytest.mark.parametrize("batch_size", [1, 8, None])
def test_a_run_keeps_nothing_of_its_data(batch_size):
    X = np.random.default_rng(0).normal(size=(64, 5)).astype(np.float32)
    alive = weakref.ref(X)
    fo.train(X, np.arange(64) % 3, epochs=1, batch_size=batch_size)
    del X
    gc.collect()
    assert alive() is None
