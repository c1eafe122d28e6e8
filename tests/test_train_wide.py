"""fo.train with rules that look at whole arrays, that take two gradients a step, and that go around others."""

import pickle

import numpy as np
import pytest

import fastopt as fo
from fastopt.rules import SAM

RULES = [
    fo.SAM(fo.Momentum(0.1), rho=0.1),
    fo.SAM(fo.Adam(0.02), adaptive=True),
    fo.LARS(0.5, trust=0.1, weight_decay=0.01),
    fo.LAMB(0.02),
    fo.Adafactor(0.05, relative=False, beta1=0.9),
    fo.PlainAdafactor(0.05),
    fo.Muon(0.02),
    fo.Averaged(fo.Adam(0.02), begin=5),
    fo.Lookahead(fo.Momentum(0.1), every=4),
    fo.ScheduleFreeSGD(0.5, warmup=3),
    fo.ScheduleFreeAdamW(0.02),
    fo.Averaged(fo.Cautious(fo.Adam(0.02)), begin=5),
]
every_rule = pytest.mark.parametrize("rule", RULES, ids=lambda r: type(r).__name__)


def data(n=150, features=9, classes=3, dtype="float64", seed=0):
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((n, features))
    y = (X @ rng.standard_normal((features, classes)) + rng.gumbel(size=(n, classes))).argmax(axis=1)
    return X.astype(dtype), y


def softmax_gradient(W, b, X, y, weight, l2):
    """Mean loss with the penalty, and its gradient: written anew."""
    s = X @ W.T + b
    p = np.exp(s - s.max(axis=1, keepdims=True))
    p /= p.sum(axis=1, keepdims=True)
    loss = -np.mean(weight * np.log(p[np.arange(len(y)), y])) + l2 * np.sum(W**2)
    d = (p - np.eye(len(b))[y]) * weight[:, None] / len(y)
    return loss, [d.T @ X + 2 * l2 * W, d.sum(axis=0)]


def by_hand(rule, X, y, *, epochs, batch, l2=0.0, weight=None, schedule=None):
    """W and b after epochs over the rows as they stand, by an Optimizer, batch by batch."""
    W, b = np.zeros((y.max() + 1, X.shape[1])), np.zeros(y.max() + 1)
    weight = np.ones(len(y)) if weight is None else weight / weight.mean()
    optimizer = fo.Optimizer([W, b], rule, schedules=schedule and {"lr": schedule}, backend="numpy")
    for _ in range(epochs):
        for i in range(0, len(y), batch):
            part = slice(i, i + batch)
            optimizer.step_closure(
                lambda part=part: softmax_gradient(W, b, X[part], y[part], weight[part], l2)
            )
    return optimizer.averaged() if hasattr(optimizer.rule, "averaged") else [W, b]


@every_rule
def test_as_an_optimizer_takes_the_steps(rule):
    X, y = data()
    free = type(rule).__name__.startswith("ScheduleFree")
    weight = np.random.default_rng(1).uniform(0.5, 2, len(y))
    schedule = None if free else fo.schedules.Linear(steps=30, end=0.1)
    wanted = by_hand(rule, X, y, epochs=3, batch=40, l2=0.01, weight=weight, schedule=schedule)
    fit = fo.train(
        X, y, rule=rule, epochs=3, batch_size=40, l2=0.01, sample_weight=weight, schedule=schedule,
        sampling="sequential", backend="numpy",
    )  # fmt: skip
    for mine, theirs in zip((fit.W, fit.b), wanted, strict=True):
        np.testing.assert_allclose(mine, theirs, rtol=1e-9, atol=1e-12)
    assert fit.steps == 12 and np.isfinite(fit.history["gradient_norm"]).all()


def test_sam_of_radius_0_is_its_base():
    X, y = data()
    options = {"epochs": 2, "batch_size": 16, "backend": "numpy"}
    sam, base = (fo.train(X, y, rule=r, **options) for r in (SAM(fo.Adam(), rho=0.0), fo.Adam()))
    np.testing.assert_array_equal(sam.W, base.W)


@every_rule
def test_taken_up_again_with_the_same_bits(rule, tmp_path):
    X, y = data(dtype="float32")
    options = {"rule": rule, "batch_size": 32, "validation": 0.2, "early_stopping": 5, "backend": "numpy"}
    options["seed"] = 3
    whole = fo.train(X, y, epochs=6, **options)
    path = tmp_path / "run.npz"
    fo.train(X, y, epochs=2, checkpoint=path, **options)
    half = fo.train(X, y, epochs=6, checkpoint=path, **options)
    assert half.W.tobytes() == whole.W.tobytes() and half.b.tobytes() == whole.b.tobytes()
    np.testing.assert_array_equal(half.history["loss_validation"], whole.history["loss_validation"])
    other = rule._replace(base=fo.Momentum(0.2)) if isinstance(rule, SAM) else rule._replace(lr=0.3)
    with pytest.raises(ValueError, match="another run"):
        fo.train(X, y, epochs=8, checkpoint=path, **{**options, "rule": other})


@pytest.mark.parametrize("rule", [RULES[0], RULES[2], RULES[4]], ids=lambda r: type(r).__name__)
def test_forms_of_rows(rule):
    """CSR and dense rows, uint8 and their floats, one row of scores."""
    sparse = pytest.importorskip("scipy.sparse")
    rng = np.random.default_rng(4)
    B = (rng.integers(0, 256, (120, 7)) * (rng.random((120, 7)) < 0.4)).astype(np.uint8)
    X, y = (B * (1 / 255)).astype(np.float64), (B[:, 0] > B[:, 1]).astype(int)
    options = {"rule": rule, "epochs": 3, "batch_size": 16, "loss": fo.Logistic(), "backend": "numpy"}
    dense = fo.train(X, y, **options)
    csr = fo.train(sparse.csr_matrix(X), y, **options)
    np.testing.assert_allclose(csr.W, dense.W, rtol=1e-9, atol=1e-12)
    small = fo.train(B, y, **options)
    np.testing.assert_allclose(small.W, dense.W, rtol=2e-3, atol=1e-4)
    assert dense.W.shape == (1, 7) and dense.evaluate(X, y)[1] > 0.7


def test_engines_agree(numba):
    X, y = data(dtype="float32")
    for rule in (RULES[0], RULES[3], RULES[7], RULES[8], RULES[10]):
        a, b = (
            fo.train(X, y, rule=rule, epochs=2, batch_size=32, backend=engine)
            for engine in ("numba", "numpy")
        )
        np.testing.assert_allclose(a.W, b.W, rtol=1e-3, atol=1e-5)


def test_interrupted_and_diverged():
    X, y = data()

    def stop(progress):
        if progress.step > 4:
            raise KeyboardInterrupt

    with pytest.warns(UserWarning, match="interrupted in epoch"):
        fit = fo.train(X, y, rule=RULES[0], epochs=50, batch_size=16, progress=stop, backend="numpy")
    assert fit.interrupted and np.isfinite(fit.W).all()
    with pytest.raises(fo.Diverged) as caught:
        fo.train(X, y, fo.SquaredError(), SAM(fo.SGD(1e6)), epochs=300, batch_size=16, backend="numpy")
    assert np.isfinite(caught.value.fit.W).all() and caught.value.lr == 1e6


def test_average_says_which_it_is(tmp_path):
    X, y = data()
    options = {
        "epochs": 4,
        "batch_size": 50,
        "sampling": "sequential",
        "backend": "numpy",
        "rule": fo.SGD(0.2),
    }
    assert fo.train(X, y, **options).average is None
    tail = fo.train(X, y, average="tail", **options)
    points = []
    W, b = np.zeros((3, X.shape[1])), np.zeros(3)
    for step in range(12):
        part = slice(step % 3 * 50, step % 3 * 50 + 50)
        _, (dW, db) = softmax_gradient(W, b, X[part], y[part], np.ones(50), 0.0)
        W, b = W - 0.2 * dW, b - 0.2 * db
        points.append(W)
    np.testing.assert_allclose(tail.W, np.mean(points[6:], axis=0), rtol=1e-9)
    for average, words in (("tail", "mean from epoch 3 on"), (True, "mean from epoch 1 on"),
                           (0.9, "exponential, decay 0.9 a step")):  # fmt: skip
        fit = fo.train(X, y, average=average, **options)
        assert fit.average == words
        fit.save(tmp_path / "fit.npz")
        assert fo.Fit.load(tmp_path / "fit.npz").average == words
    own = fo.train(X, y, **{**options, "rule": fo.Averaged(fo.SGD(0.2))})
    assert own.average == "AveragedSGD's own"
    np.testing.assert_allclose(own.W, np.mean(points, axis=0), rtol=1e-9)
    inside = fo.train(X, y, **{**options, "rule": SAM(fo.Averaged(fo.SGD(0.2)), rho=0.0)})
    assert inside.average == "AveragedSGD's own"
    np.testing.assert_allclose(inside.W, own.W, rtol=1e-9)


def test_tail_goes_on_from_a_checkpoint(tmp_path):
    X, y = data()
    options = {"batch_size": 16, "average": "tail", "backend": "numpy"}
    whole = fo.train(X, y, epochs=6, **options)
    path = tmp_path / "run.npz"

    def stop(note, parameters):
        return note["epoch"] == 4

    fo.train(X, y, epochs=6, checkpoint=path, watch=stop, **options)
    half = fo.train(X, y, epochs=6, checkpoint=path, **options)
    assert half.W.tobytes() == whole.W.tobytes()
    with pytest.raises(ValueError, match="another run.*average_from"):
        fo.train(X, y, epochs=20, checkpoint=path, **options)


def test_refusals():
    X, y = data()
    for rule, error, words in (
        (SAM(fo.LARS(), rho=-1), ValueError, "rho"),
        (SAM(3.0), TypeError, "no rule"),
        (fo.Averaged(fo.SGD()), ValueError, "average of its own"),
    ):
        with pytest.raises(error, match=words):
            fo.train(X, y, rule=rule, average=True)
    with pytest.raises(TypeError, match=r"not around SAM: write SAM\(Averaged"):
        fo.Averaged(SAM(fo.SGD()))
    with pytest.raises(TypeError, match="element by element, not around Adafactor"):
        fo.Lookahead(fo.Adafactor())
    with pytest.raises(ValueError, match='backend "numba" or "numpy"'):
        fo.train(X, y, rule=fo.Muon(), backend="c")
    with pytest.raises(ValueError, match="average must be True"):
        fo.train(X, y, average=2.0)


def test_rules_around_others_are_pickled():
    for rule in (*RULES, fo.Cautious(fo.AdamW(0.02)), SAM(fo.Cautious(fo.Lion()))):
        again = pickle.loads(pickle.dumps(rule))
        assert again == rule and type(again) is type(rule)


def test_estimators_take_them():
    pytest.importorskip("sklearn")
    X, y = data()
    for rule in (RULES[0], RULES[7]):
        model = fo.LinearClassifier(rule=rule, epochs=10, batch_size=16).fit(X, y)
        assert model.score(X, y) > 0.6
        partial = fo.LinearClassifier(rule=rule, fit_intercept=False, epochs=5).fit(X, y)
        assert partial.score(X, y) > 0.6
        step = fo.LinearClassifier(rule=rule, batch_size=16)
        for _ in range(5):
            step.partial_fit(X, y, classes=np.arange(3))
        again = pickle.loads(pickle.dumps(step))
        np.testing.assert_array_equal(again.partial_fit(X, y).coef_, step.partial_fit(X, y).coef_)
    with pytest.raises(ValueError, match="SAM goes with no l1"):
        fo.LinearClassifier(rule=RULES[0], l1=0.1).fit(X, y)


@pytest.mark.parametrize(
    "options",
    [
        ["--rule", "sam", "--set", "rho=0.1"],
        ["--rule", "asam", "--base", "adam", "--lr", "0.01"],
        ["--rule", "lookahead", "--base", "sgd", "--set", "every=4", "--set", "weight_decay=0.001"],
        ["--rule", "muon", "--average", "tail", "--lr", "0.1"],
        ["--rule", "schedulefreesgd"],
        ["--average", "0.99"],
    ],
    ids=" ".join,
)
def test_command(options, tmp_path):
    testing = pytest.importorskip("click.testing")
    from fastopt.cli import main

    out = str(tmp_path / "model.npz")
    given = ["train", "digits", "--epochs", "3", "--backend", "numpy", "--out", out, *options]
    done = testing.CliRunner().invoke(main, given)
    assert done.exit_code == 0, done.output
    accuracy = float(done.output.split("test accuracy ")[1].split()[0])
    assert accuracy > 0.85, done.output
    averaged = "--average" in options or "schedulefreesgd" in options
    assert ("parameters: an average" in done.output) == averaged
    assert (fo.Fit.load(out).average is not None) == averaged


def test_command_refusals():
    testing = pytest.importorskip("click.testing")
    from fastopt.cli import main

    for options, words in (
        (["--rule", "adam", "--base", "sgd"], "--base goes with --rule sam"),
        (["--rule", "sam", "--set", "rho=-1"], "rho"),
        (["--rule", "sam", "--set", "every=3"], "Momentum has"),
        (["--average", "1.5"], "mean, tail, or a decay"),
        (["--average", "mean", "--rule", "averaged"], "average of its own"),
        (["--average", "mean", "--solver", "auto"], "--average is of epochs"),
    ):
        done = testing.CliRunner().invoke(main, ["train", "digits", "--epochs", "1", *options])
        assert done.exit_code != 0 and words in " ".join(done.output.split()), done.output
