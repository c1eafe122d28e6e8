"""Model and run files: whole or not at all, unfinished ones cleared away, modes kept, and nothing taken for another."""

import os
import pickle
import resource
import signal
import stat
import subprocess
import sys
import threading
from typing import NamedTuple

import numpy as np
import pytest

import fastopt as fo
from fastopt import checkpoint
from fastopt.fit import Fit

posix = pytest.mark.skipif(os.name != "posix", reason="modes, locks and limits of POSIX")


def small(n=40):
    rng = np.random.default_rng(0)
    return rng.normal(size=(n, 5)), rng.integers(0, 3, n)


@pytest.fixture
def fit():
    return fo.train(*small(), epochs=1)


def left_in(folder):
    return sorted(path.name for path in folder.iterdir())


@posix
@pytest.mark.parametrize("mode", [0o600, 0o640, 0o444, 0o666])
def test_a_file_keeps_its_mode(fit, tmp_path, mode):
    path = tmp_path / "m.npz"
    fit.save(path)
    path.chmod(mode)
    fit.save(path)
    assert stat.S_IMODE(path.stat().st_mode) == mode


@posix
@pytest.mark.parametrize("umask", [0o022, 0o077, 0o007])
def test_a_new_file_has_the_mode_of_any_new_file(fit, tmp_path, umask):
    before = os.umask(umask)
    try:
        fit.save(tmp_path / "m.npz")
        (tmp_path / "other").touch()
    finally:
        os.umask(before)
    assert (tmp_path / "m.npz").stat().st_mode == (tmp_path / "other").stat().st_mode


@posix
def test_the_umask_is_never_touched(fit, tmp_path, monkeypatch):
    monkeypatch.setattr(os, "umask", None)
    fit.save(tmp_path / "m.npz")


def test_a_link_is_followed(fit, tmp_path):
    (tmp_path / "models").mkdir()
    link = tmp_path / "m.npz"
    link.symlink_to(tmp_path / "models" / "real.npz")
    fit.save(link)
    fit.save(link)
    assert link.is_symlink() and np.array_equal(Fit.load(tmp_path / "models" / "real.npz").W, fit.W)
    assert left_in(tmp_path / "models") == ["real.npz"]


@posix
@pytest.mark.parametrize("room", [0, 100, 600])
def test_a_full_disk_names_the_file_and_leaves_the_old_one(fit, tmp_path, room):
    path = tmp_path / "m.npz"
    fit.save(path)
    old = path.read_bytes()
    limit, handler = resource.getrlimit(resource.RLIMIT_FSIZE), signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (room, limit[1]))
    try:
        with pytest.raises(OSError, match="m.npz") as caught:
            fit.save(path)
        with pytest.raises(OSError, match="run.npz"):
            fo.train(*small(), epochs=1, checkpoint=tmp_path / "run.npz")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limit)
        signal.signal(signal.SIGXFSZ, handler)
    assert caught.value.filename == str(path)
    assert path.read_bytes() == old and left_in(tmp_path) == ["m.npz"]


def test_an_interrupted_write_leaves_nothing(fit, tmp_path, monkeypatch):
    def press(*arguments, **options):
        raise KeyboardInterrupt

    monkeypatch.setattr(np.lib.format, "write_array", press)
    with pytest.raises(KeyboardInterrupt):
        fit.save(tmp_path / "m.npz")
    assert left_in(tmp_path) == []


KILLED = """
import os, signal, sys
from fastopt import checkpoint
with checkpoint.replacing(sys.argv[1]) as file:
    file.write(b"half")
    file.flush()
    os.kill(os.getpid(), signal.SIGKILL)
"""


@posix
def test_what_killed_writers_left_is_cleared_away(fit, tmp_path):
    path = tmp_path / "m.npz"
    for _ in range(3):
        assert subprocess.run([sys.executable, "-c", KILLED, str(path)]).returncode == -signal.SIGKILL
        assert len(left_in(tmp_path)) == 1  # each clears away those before
    for other in ("m.npz0123456.part", "n.npz01234567.part", "m.npz01234567.parts"):  # nobody's of this file
        (tmp_path / other).touch()
    with checkpoint.replacing(path) as file:  # at work: not taken away by another writer
        file.write(b"first")
        fit.save(path)
    assert path.read_bytes() == b"first"
    assert left_in(tmp_path) == ["m.npz", "m.npz0123456.part", "m.npz01234567.parts", "n.npz01234567.part"]


def test_many_writers_of_one_file(fit, tmp_path):
    path = tmp_path / "m.npz"
    errors = []

    def save():
        try:
            for _ in range(25):
                fit.save(path)
                Fit.load(path)
        except Exception as error:
            errors.append(error)

    threads = [threading.Thread(target=save) for _ in range(4)]
    [thread.start() for thread in threads]
    [thread.join() for thread in threads]
    assert not errors and left_in(tmp_path) == ["m.npz"]


def test_a_name_as_long_as_names_may_be(fit, tmp_path):
    path = tmp_path / ("m" * 251 + ".npz")
    fit.save(path)
    assert Fit.load(path).steps == fit.steps


# ---- what is in them ----


class Own(NamedTuple):
    width: float = 1.0
    one_row = "real"

    @staticmethod
    def rows(k, s, y, d):
        t = (s[0] - y) / k[0]
        d[0] = t / k[0]
        return t * t / 2


def test_a_model_of_an_own_loss(tmp_path):
    X, _ = small()
    fit = fo.train(X, X.sum(1), Own(2.0), epochs=1)
    path = tmp_path / "m.npz"
    fit.save(path)
    assert Fit.load(path).loss == Own(2.0) and np.array_equal(Fit.load(path).predict(X), fit.predict(X))
    code = f"import sys; from fastopt.fit import Fit; Fit.load({str(path)!r})"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 1 and "is not imported: import it, or pass it as loss=" in done.stderr
    rows = Own.rows
    try:
        Own.rows = staticmethod(lambda k, s, y, d: np.add(s[0] - y, 0, out=d[0]))
        with pytest.raises(ValueError, match="has another formula now"):
            Fit.load(path)
        assert Fit.load(path, loss=Own(3.0)).loss == Own(3.0)
    finally:
        Own.rows = staticmethod(rows)


@pytest.mark.parametrize(
    "loss",
    [
        fo.MulticlassHinge(np.float32(0.5)),
        fo.MulticlassHinge(np.int16(1)),
        fo.MulticlassHinge(squared=np.True_),
    ],
    ids=repr,
)
def test_numbers_of_numpy_in_a_loss(loss, tmp_path):
    X, y = small()
    fo.train(X, y, loss, epochs=1, checkpoint=tmp_path / "run.npz").save(tmp_path / "m.npz")
    assert tuple(map(float, Fit.load(tmp_path / "m.npz").loss)) == tuple(map(float, loss))
    plain = type(loss)(float(loss.margin), bool(loss.squared))
    assert fo.train(X, y, plain, epochs=2, checkpoint=tmp_path / "run.npz").steps == 2


def test_a_file_of_an_earlier_version_is_loaded(fit, tmp_path):
    """As version 0.1 wrote it: np.savez, no checksum, no preparation."""
    import json

    meta = {"kind": "model", "loss": "Softmax", "hyperparameters": {}, "scale": 1.0, "steps": 1}
    history = {f"history_{k}": v for k, v in fit.history.items()}
    np.savez(tmp_path / "old.npz", meta=np.array(json.dumps(meta)), W=fit.W, b=fit.b, **history)
    old = Fit.load(tmp_path / "old.npz")
    assert (
        np.array_equal(old.W, fit.W) and old.loss == fo.Softmax() and old.history.keys() == fit.history.keys()
    )


@pytest.mark.parametrize("classes", [[1.5, 2.5, 9.0], ["ä", "", "c" * 300], [b"a", b"b", b"c"], [7, 8, 9],
                                     np.array(["2020-01-01", "2020-01-02", "2021-01-01"], "M8[D]")], ids=str)  # fmt: skip
def test_class_names_of_every_kind(classes, tmp_path):
    X, y = small()
    fit = fo.train(X, y, epochs=1, classes=classes)
    fit.save(tmp_path / "m.npz")
    again = Fit.load(tmp_path / "m.npz")
    assert again.classes.dtype == fit.classes.dtype and again.predict(X).tolist() == fit.predict(X).tolist()


# ---- a run is taken up as the one it was ----

RESUMED = """
import sys
import numpy as np
import fastopt as fo

FACTOR = float(sys.argv[3])
def halving(t, base):
    return base * FACTOR / (1 + 0.01 * t)
class Stair:
    def __init__(self, drop): self.drop = drop
    def __call__(self, t, base): return base * self.drop ** (np.asarray(t) // 4 % 3)
import functools
def power(t, base, p): return base / (1 + t) ** p
schedule = {"function": halving, "lambda": lambda t, base: base * FACTOR, "object": Stair(FACTOR),
            "partial": functools.partial(power, p=FACTOR), "dict": {"lr": fo.schedules.Warmup(2, halving)},
            "kind": fo.schedules.Exponential(np.float32(FACTOR))}[sys.argv[2]]
rng = np.random.default_rng(0)
X, y = rng.normal(size=(40, 5)), rng.integers(0, 3, 40)
print(fo.train(X, y, schedule=schedule, epochs=int(sys.argv[4]), checkpoint=sys.argv[1]).steps)
"""


@pytest.mark.parametrize("kind", ["function", "lambda", "object", "partial", "dict", "kind"])
def test_a_schedule_goes_on_in_another_process(kind, tmp_path):
    (tmp_path / "program.py").write_text(RESUMED)

    def resumed(factor, epochs):
        done = subprocess.run(
            [sys.executable, "program.py", "run.npz", kind, str(factor), str(epochs)],
            cwd=tmp_path, capture_output=True, text=True, env={**os.environ, "FASTOPT_BACKEND": "numpy"},
        )  # fmt: skip
        return done.returncode, done.stdout + done.stderr

    assert resumed(0.5, 1) == (0, "1\n") and resumed(0.5, 3) == (0, "3\n")
    status, text = resumed(0.25, 4)
    assert status == 1 and "is of another run (schedule" in text


def make_rule(power):
    class Mine(NamedTuple):
        lr: float = 0.1
        slots = ()

        @staticmethod
        def coefficients(h, t):
            return (h.lr,)

        @staticmethod
        def update(h, k, p, g, s):
            return p - k[0] * np.abs(g) ** power * np.sign(g), ()

    return Mine()


def test_an_edited_rule_is_another_run(tmp_path):
    X, y = small()
    path = tmp_path / "run.npz"
    fo.train(X, y, rule=make_rule(1.0), epochs=1, checkpoint=path, backend="numpy")
    assert fo.train(X, y, rule=make_rule(1.0), epochs=2, checkpoint=path, backend="numpy").steps == 2
    with pytest.raises(ValueError, match="another run.*formula of the rule"):
        fo.train(X, y, rule=make_rule(2.0), epochs=3, checkpoint=path, backend="numpy")


def test_any_number_that_changed_is_another_run(tmp_path):
    rng = np.random.default_rng(1)
    X, y = rng.normal(size=(3000, 40)).astype("f4"), rng.integers(0, 3, 3000)
    pair, weight = (rng.normal(size=(50, 40)).astype("f4"), rng.integers(0, 3, 50)), rng.uniform(1, 2, 3000)
    path = tmp_path / "run.npz"
    fo.train(X, y, epochs=1, checkpoint=path, validation=pair, sample_weight=weight)
    for array in (X, y, pair[0], pair[1], weight):
        index = tuple(rng.integers(0, n) for n in array.shape)
        before = array[index]
        array[index] = 2 - array[index]
        if array[index] == before:
            array[index] = 2
        with pytest.raises(ValueError, match="another run"):
            fo.train(X, y, epochs=2, checkpoint=path, validation=pair, sample_weight=weight)
        array[index] = before
    fo.train(X, y, epochs=2, checkpoint=path, validation=pair, sample_weight=weight)


# ---- how runs end ----


POOL = """
from concurrent.futures import ProcessPoolExecutor
import numpy as np
import fastopt as fo

def job(lr):
    X = np.random.default_rng(0).normal(size=(200, 5))
    return fo.train(X, X @ np.arange(5.0), fo.SquaredError(), fo.SGD(lr), epochs=40, backend="numpy").steps

if __name__ == "__main__":
    with ProcessPoolExecutor(1) as pool:
        jobs = [pool.submit(job, lr) for lr in (0.01, 1e9, 0.02)]
        print(jobs[0].result(60), type(jobs[1].exception(60)).__name__, jobs[2].result(60))
"""


def test_a_diverging_job_does_not_end_its_pool(python, tmp_path):
    (tmp_path / "pool.py").write_text(POOL)
    assert python(tmp_path / "pool.py") == "80 Diverged 80\n"


def test_an_error_of_divergence_is_pickled_whole():
    X, _ = small()
    with pytest.raises(fo.Diverged) as caught:
        fo.train(X, X.sum(1), fo.SquaredError(), fo.SGD(1e9), epochs=40)
    error = pickle.loads(pickle.dumps(caught.value))
    assert (error.step, error.lr, str(error)) == (caught.value.step, 1e9, str(caught.value))
    assert np.array_equal(error.fit.W, caught.value.fit.W)


@pytest.mark.parametrize("loss", [fo.SquaredError(), fo.MulticlassHinge(squared=True)], ids=repr)
def test_growth_is_divergence_before_it_is_infinite(loss, backend):
    """Two epochs of a rate that multiplies a squared loss: finite, and no model."""
    X, y = small(400)
    y = y if loss.one_row == "class" else X @ np.arange(5.0)
    with pytest.raises(fo.Diverged, match="the loss has grown from .* to ") as caught:
        fo.train(
            X,
            y,
            loss,
            fo.SGD(3.0),
            epochs=30,
            batch_size=40,
            backend=backend,
        )
    error = caught.value
    first = fo.value_and_grad(loss, np.zeros_like(error.fit.W), X, y)[0]
    assert error.fit.evaluate(X, y)[0] < 2 * first


@pytest.mark.parametrize("loss", [fo.Softmax(), fo.MulticlassHinge(), fo.Hinge(), fo.Logistic()], ids=repr)
def test_a_large_rate_is_not_divergence_where_the_loss_is_not_squared(loss):
    X, y = small(400)
    y = np.argmax(X[:, :3], axis=1)
    fit = fo.train(X, y, loss, fo.SGD(1e4), epochs=20)
    assert fit.evaluate(X, y)[1] > 0.8 and fit.history["loss_train"].max() > 30


def test_a_model_of_a_local_loss_and_one_without_finite_weights(fit, tmp_path):
    class Local(Own):
        pass

    X, _ = small()
    local = fo.train(X, X.sum(1), Local(), epochs=1)
    local.save(tmp_path / "local.npz")
    assert type(fo.Fit.load(tmp_path / "local.npz").loss) is Local
    fit.W[0, 0] = np.nan
    with pytest.raises(ValueError, match="NaN or inf"):
        fit.save(tmp_path / "m.npz")
    assert left_in(tmp_path) == ["local.npz"]


def test_a_model_that_a_solver_found(tmp_path):
    X, y = small()
    fit = fo.train(X, y, solver="lbfgs", l2=0.1, validation=0.2)
    fit.save(tmp_path / "m.npz")
    assert np.array_equal(fo.Fit.load(tmp_path / "m.npz").predict(X), fit.predict(X))
