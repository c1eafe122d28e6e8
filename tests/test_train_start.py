"""fo.train takes up from files: of an Optimizer, and of another run."""

import numpy as np
import pytest

import fastopt as fo

RULES = [
    fo.Adam(0.05),
    fo.SGD(0.1),
    fo.ASGD(0.1),
    fo.Averaged(fo.Momentum(0.1)),
    fo.ScheduleFreeSGD(0.5),
    fo.LAMB(0.02),
    fo.Adafactor(0.05, relative=False),
    fo.SAM(fo.Adam(0.05), rho=0.1),
]
each_rule = pytest.mark.parametrize("rule", RULES, ids=lambda r: type(r).__name__)


def data(dtype="float64"):
    rng = np.random.default_rng(2)
    X = rng.standard_normal((96, 6))
    y = (X @ rng.standard_normal((6, 3)) + rng.gumbel(size=(96, 3))).argmax(axis=1)
    return X.astype(dtype), y


OPTIONS = {"batch_size": 16, "sampling": "sequential"}


def by_optimizer(rule, X, y, epochs, form=dict):
    """An Optimizer after so many epochs over the rows as they stand."""
    W, b = np.zeros((3, X.shape[1]), X.dtype), np.zeros(3, X.dtype)
    opt = fo.Optimizer({"weight": W, "bias": b} if form is dict else [b, W], rule)

    def gradients(part):
        _, dW, db = fo.value_and_grad(fo.Softmax(), W, X[part], y[part], b)
        return {"weight": dW, "bias": db} if form is dict else [db, dW]

    for _ in range(epochs):
        for i in range(0, len(y), 16):
            opt.step_closure(lambda part=slice(i, i + 16): gradients(part))
    return opt, W, b


@each_rule
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_run_goes_on_where_an_optimizer_stopped(rule, dtype, tmp_path):
    X, y = data(dtype)
    path = tmp_path / "opt.safetensors"
    by_optimizer(rule, X, y, 2, list)[0].save(path)
    opt, W, b = by_optimizer(rule, X, y, 5)
    expected = opt.averaged() if hasattr(opt.rule, "averaged") else {"weight": W, "bias": b}
    fit = fo.train(X, y, rule=rule, epochs=3, start=path, **OPTIONS)
    close = 1e-10 if dtype == "float64" else 2e-4
    np.testing.assert_allclose(fit.W, expected["weight"], rtol=close, atol=close / 10)
    np.testing.assert_allclose(fit.b, expected["bias"], rtol=close, atol=close / 10)


@each_rule
def test_a_run_goes_on_where_another_stopped(rule, tmp_path):
    """Two epochs and three are five, bit for bit, also by way of two files; schedules count the steps of each run."""
    X, y = data("float32")
    whole = fo.train(X, y, rule=rule, epochs=5, **OPTIONS)
    one, two = tmp_path / "one.npz", tmp_path / "two.npz"
    fo.train(X, y, rule=rule, epochs=2, checkpoint=one, **OPTIONS)
    at_once = fo.train(X, y, rule=rule, epochs=3, start=one, **OPTIONS)
    fo.train(X, y, rule=rule, epochs=1, start=one, checkpoint=two, **OPTIONS)
    twice = fo.train(X, y, rule=rule, epochs=2, start=two, **OPTIONS)
    resumed = fo.train(X, y, rule=rule, epochs=3, start=one, checkpoint=two, **OPTIONS)
    for fit in (at_once, twice, resumed):
        assert fit.W.tobytes() == whole.W.tobytes() and fit.b.tobytes() == whole.b.tobytes()


@pytest.mark.parametrize("rule", [fo.Adam(0.05), fo.LAMB(0.05)], ids=lambda r: type(r).__name__)
def test_schedules_begin_anew(rule, tmp_path):
    X, y = data()
    path = tmp_path / "run.npz"
    fo.train(X, y, rule=rule, epochs=2, checkpoint=path, **OPTIONS)
    schedule = fo.schedules.Linear(steps=6, end=0.5)
    fit = fo.train(X, y, rule=rule, epochs=1, start=path, schedule=schedule, **OPTIONS)
    expected = fo.train(
        X, y, rule=rule, epochs=3, **OPTIONS, schedule=lambda t, lr: lr if t < 12 else schedule(t - 12, lr)
    )
    np.testing.assert_allclose(fit.W, expected.W, rtol=1e-12)


def test_a_solver_takes_the_numbers_alone(tmp_path):
    X, y = data()
    by_optimizer(fo.Adam(0.05), X, y, 2)[0].save(tmp_path / "opt")
    fit = fo.train(X, y, solver="lbfgs", l2=1e-3, start=tmp_path / "opt")
    np.testing.assert_allclose(fit.W, fo.train(X, y, solver="newton", l2=1e-3).W, atol=1e-3)


def test_what_does_not_fit_is_refused(tmp_path):
    X, y = data()
    path = tmp_path / "opt.safetensors"
    opt, W, b = by_optimizer(fo.Adam(0.05), X, y, 1)
    opt.save(path)
    with pytest.raises(ValueError, match=r"saved by Adam, .* not Momentum's: pass rule=Adam\(...\)"):
        fo.train(X, y, start=path)
    with pytest.raises(
        ValueError, match=r"no arrays of shape \(3, 5\), for W; it has weight \(3, 6\), bias \(3,\)"
    ):
        fo.train(X[:, :5], y, rule=fo.Adam(), start=path)
    with pytest.raises(FileNotFoundError):
        fo.train(X, y, rule=fo.Adam(), start=tmp_path / "none")
    fo.Optimizer({"weight": W, "bias": b}, fo.Adam(), groups=[("bias", {"lr": 1.0})]).save(path)
    with pytest.raises(ValueError, match="saved with groups"):
        fo.train(X, y, rule=fo.Adam(), start=path)
    half = [W.astype("f4"), b.astype("f4")]
    fo.Optimizer(half, fo.Adam(), state_dtype="bfloat16").save(path)
    with pytest.raises(ValueError, match="keeps its state in another form"):
        fo.train(X, y, rule=fo.Adam(), start=path)
    accumulating = fo.Optimizer([W, b], fo.Adam(), accumulate=2)
    accumulating.step([np.ones_like(W), np.ones_like(b)])
    accumulating.save(path)
    with pytest.raises(ValueError, match="amid a step"):
        fo.train(X, y, rule=fo.Adam(), start=path)
    content = bytearray(path.read_bytes())
    content[-3] ^= 1
    path.write_bytes(content)
    with pytest.raises(ValueError, match="changed or cut off"):
        fo.train(X, y, rule=fo.Adam(), start=path)
