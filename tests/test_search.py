"""fo.search: what is best on held-out rows, for any number of workers, interrupted and taken up again."""

import os
import re
import signal
import subprocess
import sys
import threading
import time

import numpy as np
import pytest

import fastopt as fo
from fastopt import checkpoint

SPACE = {"lr": [1e-3, 1e-1, 1.0], "l2": [0.0, 1e-2]}


@pytest.fixture
def data(rng):
    X = rng.standard_normal((400, 8)).astype(np.float32)
    y = (X @ rng.standard_normal((8, 3)) + rng.standard_normal((400, 3))).argmax(axis=1)
    return X[:300], y[:300], (X[300:], y[300:])


def shown(trials):
    return [{k: v for k, v in row.items() if k != "seconds"} for row in trials]


def test_grid_is_all_of_it_and_its_best(data):
    X, y, held = data
    result = fo.search(SPACE, X, y, validation=held, epochs=5)
    best = None
    for lr in SPACE["lr"]:
        for l2 in SPACE["l2"]:
            fit = fo.train(X, y, rule=fo.Momentum(lr), l2=l2, epochs=5)
            accuracy = np.mean(fit.predict(held[0]) == held[1])
            row = next(r for r in result.trials if r["point"] == {"lr": lr, "l2": l2})
            assert row["validation"] == pytest.approx(accuracy)
            assert row["training"] == pytest.approx(np.mean(fit.predict(X) == y))
            if best is None or accuracy > best[0]:
                best = accuracy, {"lr": lr, "l2": l2}, fit
    assert result.x == best[1] and (result.fit.W == best[2].W).all() and len(result.trials) == 6
    assert result.validation == pytest.approx(best[0]) == 1 - result.fun and result.measure == "accuracy"
    assert result.success and result.nfev == 6


@pytest.mark.parametrize("method", ["grid", "random", "halving"])
def test_the_same_for_any_number_of_workers(method, data):
    X, y, _ = data
    draws = {} if method == "grid" else {"samples": 5}
    found = [fo.search(SPACE, X, y, method=method, epochs=4, workers=w, seed=3, **draws) for w in (1, 3)]
    assert shown(found[0].trials) == shown(found[1].trials) and found[0].x == found[1].x
    assert (found[0].fit.W == found[1].fit.W).all()


def test_a_share_is_not_trained_on(data):
    X, y, _ = data
    result = fo.search({"lr": [0.1]}, X, y, validation=0.25, epochs=3, seed=7)
    fit = fo.train(X, y, rule=fo.Momentum(0.1), epochs=3, validation=0.25, seed=7)
    assert (result.fit.W == fit.W).all()
    assert result.validation == pytest.approx(fit.history["accuracy_validation"][-1])


def test_dimensions_of_all_kinds(data):
    stats = pytest.importorskip("scipy.stats")
    X, y, held = data
    space = {
        "rule": [fo.Momentum(0.1), fo.Adam(0.01)],
        "loss": [fo.Softmax(), fo.MulticlassHinge()],
        "lr": stats.loguniform(1e-4, 1e-1),
        "l2": lambda rng: 10.0 ** rng.integers(-6, -2),
        "batch_size": [None, 16],
        "seed": [0, 1],
        "average": [None, True],
    }
    result = fo.search(space, X, y, validation=held, method="random", samples=12, epochs=3)
    assert len(result.trials) == 12 and all(1e-4 <= row["point"]["lr"] <= 1e-1 for row in result.trials)
    assert {type(row["point"]["rule"]).__name__ for row in result.trials} == {"Momentum", "Adam"}
    more = fo.search(space, X, y, validation=held, method="random", samples=3, epochs=3)
    assert shown(more.trials) == shown(result.trials[:3])


def test_solvers_and_text_labels(data):
    X, y, (Xv, yv) = data
    names = np.array(["ant", "bee", "cat"])
    result = fo.search({"l2": [1e-3, 1.0]}, X, names[y], validation=(Xv, names[yv]), solver="lbfgs")
    assert result.x == {"l2": 1e-3} and result.fit.report.converged
    assert result.validation == np.mean(result.fit.predict(Xv) == names[yv])


def test_halving_gives_the_better_ones_more_epochs(data):
    X, y, held = data
    result = fo.search({"lr": np.geomspace(1e-4, 1, 9)}, X, y, validation=held, method="halving", epochs=9)
    assert [row["epochs"] for row in result.trials] == [1] * 9 + [3] * 3 + [9]
    first = sorted(result.trials[:9], key=lambda r: (-r["validation"], r["index"]))
    assert {r["index"] for r in result.trials[9:12]} == {r["index"] for r in first[:3]}
    assert result.x == result.trials[-1]["point"] and result.fit.history["loss_train"].size == 9


def test_regression_and_divergence(rng):
    X = rng.standard_normal((200, 5))
    y = X @ rng.standard_normal(5) + 0.1 * rng.standard_normal(200)
    result = fo.search({"lr": [1e-3, 1e-1, 1e4]}, X, y, loss=fo.SquaredError(), epochs=5)
    assert result.measure == "loss" and result.fun == result.validation < 0.1
    assert [row["diverged"] for row in result.trials] == [False, False, True]
    losses = {"loss": [fo.SquaredError(), fo.Huber(0.1)]}
    result = fo.search(losses, X, y, epochs=5, rule=fo.Momentum(0.01))
    assert result.measure == "error"
    nothing = fo.search({"lr": [1e4, 1e5]}, X, y, loss=fo.SquaredError(), epochs=5)
    assert not nothing.success and nothing.fit is None and nothing.x is None and "diverged" in nothing.message


def test_taken_up_from_its_file(data, tmp_path):
    X, y, held = data
    file, seen = tmp_path / "search.npz", []

    def stop(row):
        seen.append(row)
        if len(seen) == 3:
            raise KeyboardInterrupt

    options = {"validation": held, "epochs": 3, "checkpoint": file, "workers": 1}
    part = fo.search(SPACE, X, y, progress=stop, **options)
    assert not part.success and "interrupted" in part.message and part.nfev == 3 == len(part.trials)
    whole = fo.search(SPACE, X, y, **options)
    known = fo.search(SPACE, X, y, validation=held, epochs=3)
    assert whole.nfev == 3 and shown(whole.trials) == shown(known.trials) and whole.x == known.x
    again = fo.search(SPACE, X, y, **options)
    assert again.nfev == 0 and (again.fit.W == known.fit.W).all()
    for change, name in [
        ({"epochs": 4}, "epochs"),
        ({"seed": 5}, "seed"),
        ({"validation": 0.3}, "data"),
        ({"method": "halving"}, "method"),
    ]:
        with pytest.raises(ValueError, match=f"of another search: not the same .*{name}"):
            fo.search(SPACE, X, y, **{**options, **change})
    with pytest.raises(ValueError, match="of another search"):
        fo.search({"lr": [0.5]}, X, y, **options)


class Falling:
    """A schedule without a field that could be compared but its own."""

    def __init__(self, by):
        self.by = by

    def __call__(self, t, lr):
        return lr / (1 + self.by * t)


def test_a_file_knows_options_again_by_what_they_are(data, tmp_path):
    X, y, held = data
    wide, b = np.tile(X, 50), np.zeros(3)  # arrays of which repr shows the corners only
    W = np.zeros((3, wide.shape[1]))
    other = W.copy()
    other[1, 200] = 5

    def runs(name, X=X, validation=held, **options):
        space = {"lr": list(np.linspace(0.1, 0.2, 2))}
        file = tmp_path / f"{name}.npz"
        return fo.search(space, X, y, validation=validation, epochs=1, checkpoint=file, **options).nfev

    of_wide = {"X": wide, "validation": (np.tile(held[0], 50), held[1])}
    assert runs("start", start=(W, b), **of_wide) == 2 and runs("start", start=(W.copy(), b), **of_wide) == 0
    with pytest.raises(ValueError, match="not the same start"):
        runs("start", start=(other, b), **of_wide)
    fit = fo.train(X, y, epochs=1)
    assert runs("fit", start=fit) == 2 and runs("fit", start=fo.train(X, y, epochs=1)) == 0
    for name, one, same, another in [
        ("object", Falling(0.1), Falling(0.1), Falling(0.2)),
        ("dict", {"lr": Falling(0.1)}, {"lr": Falling(0.1)}, {"lr": Falling(0.2)}),
        ("rule", fo.Averaged(fo.SGD(0.1)), fo.Averaged(fo.SGD(0.1)), fo.Averaged(fo.Momentum(0.1))),
    ]:
        option = "rule" if name == "rule" else "schedule"
        space = {"batch_size": [50, 100]}
        options = {"validation": held, "epochs": 1, "checkpoint": tmp_path / f"{name}.npz"}
        assert fo.search(space, X, y, **options, **{option: one}).nfev == 2
        assert fo.search(space, X, y, **options, **{option: same}).nfev == 0
        with pytest.raises(ValueError, match=f"not the same {option}"):
            fo.search(space, X, y, **options, **{option: another})
    pixels = {"X": X.astype(np.uint8), "validation": (held[0].astype(np.uint8), held[1])}
    assert runs("scale", scale=0.5, **pixels) == 2
    with pytest.raises(ValueError, match="not the same scale"):
        runs("scale", scale=0.25, **pixels)
    bounds = {"solver": "lbfgs", "bounds": (-np.inf, 1.0)}  # JSON has no inf
    assert runs("bounds", **bounds) == 2 and runs("bounds", **bounds) == 0


def test_the_file_of_many_short_trials_is_not_written_after_each(data, tmp_path, monkeypatch):
    X, y, held = data
    write, writes = checkpoint.write, []

    def slow(*arguments):
        time.sleep(0.05)
        write(*arguments)
        writes.append(time.perf_counter())

    monkeypatch.setattr(checkpoint, "write", slow)
    options = {"validation": held, "epochs": 1, "workers": 1, "checkpoint": tmp_path / "search.npz"}

    def fail(row):
        if row["index"] == 30:
            raise ZeroDivisionError

    space = {"lr": list(np.linspace(0.01, 0.1, 40))}
    with pytest.raises(ZeroDivisionError):
        fo.search(space, X, y, progress=fail, **options)
    assert len(writes) < 20
    assert fo.search(space, X, y, **options).nfev == 9  # none of the 31 was lost with the error


KILLED = """
import os, signal, sys
import numpy as np
import fastopt as fo

whole, left = os.replace, [int(sys.argv[2])]

def killing(part, target):  # at the end of a write, before it takes the file's place
    if not left[0]:
        os.kill(os.getpid(), signal.SIGKILL)
    left[0] -= 1
    whole(part, target)

os.replace = killing
data = np.load("data.npz")
found = fo.search(
    {"lr": [1e-3, 1e-2, 1e-1, 1.0], "l2": [0.0, 1e-2]}, data["X"], data["y"], validation=(data["X_held"], data["y_held"]),
    method="halving", epochs=9, workers=int(sys.argv[1]), checkpoint="search.npz",
    progress=lambda row: print("made", row["index"], row["epochs"], flush=True),
)
trials = [{k: v for k, v in row.items() if k != "seconds"} for row in found.trials]
print(repr((found.x, found.validation, trials, found.fit.W.tobytes().hex())))
"""


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="no SIGKILL")
def test_killed_again_and_again(data, tmp_path):
    X, y, held = data
    np.savez(tmp_path / "data.npz", X=X, y=y, X_held=held[0], y_held=held[1])
    (tmp_path / "run.py").write_text(KILLED)
    stored = set()
    for workers, writes in [(1, 0), (1, 1), (2, 1), (3, 1), (2, 99)]:
        run = subprocess.run(
            [sys.executable, "run.py", str(workers), str(writes)],
            cwd=tmp_path, capture_output=True, text=True, timeout=120,
        )  # fmt: skip
        assert run.returncode == (0 if writes == 99 else -signal.SIGKILL), run.stderr
        made = {tuple(map(int, pair)) for pair in re.findall("made (.*) (.*)", run.stdout)}
        assert not made & stored  # nothing again that was in the file
        if writes:
            rows = checkpoint.read(tmp_path / "search.npz", "search")[0]["rows"]
            assert stored < {(row["index"], row["epochs"]) for row in rows}
            stored = {(row["index"], row["epochs"]) for row in rows}
    known = fo.search(
        {"lr": [1e-3, 1e-2, 1e-1, 1.0], "l2": [0.0, 1e-2]}, X, y, validation=held, epochs=9, method="halving"
    )
    expected = (known.x, known.validation, shown(known.trials), known.fit.W.tobytes().hex())
    assert run.stdout.splitlines()[-1] == repr(expected)
    assert not list(tmp_path.glob("*.part"))  # of the writes that were killed


@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="no timer")
def test_interrupted_while_the_best_is_trained_again(data, tmp_path):
    X, y, held = data
    file = tmp_path / "search.npz"
    options = {"validation": held, "checkpoint": file}
    fo.search({"epochs": [1, 2]}, X, y, workers=1, **options)
    meta, _ = checkpoint.read(file, "search")
    meta["rows"][1] |= {"point": {"epochs": 1e6}, "epochs": 10**6, "validation": 1.0}
    checkpoint.write(file, {**meta, "kind": "search"}, {})  # as if the second had taken hours
    threading.Timer(0.5, os.kill, (os.getpid(), signal.SIGINT)).start()
    result = fo.search({"epochs": [1, 10**6]}, X, y, **options)
    assert result.x == {"epochs": 10**6} and result.fit is None
    assert not result.success and "interrupted" in result.message


@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="no timer")
@pytest.mark.parametrize("workers", [1, 2])
def test_interrupt_returns_the_best_so_far(workers, data):
    X, y, held = data
    timer = threading.Timer(0.5, os.kill, (os.getpid(), signal.SIGINT))
    made = []

    def note(row):
        if not made:
            timer.start()
        made.append(row)

    space = {"epochs": [1, *[10**7] * 5]}  # all but the first would take hours
    result = fo.search(space, X, y, validation=held, workers=workers, progress=note)
    assert not result.success and "interrupted" in result.message
    assert result.x == {"epochs": 1} and result.fit is not None and len(result.trials) == 1


@pytest.mark.parametrize("method", ["grid", "halving"])
def test_stop_iteration_of_progress_ends_it(method, data):
    X, y, held = data

    def stop(row):
        raise StopIteration

    result = fo.search(SPACE, X, y, validation=held, epochs=3, method=method, workers=1, progress=stop)
    assert not result.success and "interrupted" in result.message and len(result.trials) == 1
    assert result.fit is not None


def test_progress(data, capsys):
    X, y, held = data
    fo.search({"lr": [0.1, 0.2]}, X, y, validation=held, epochs=1, progress=True)
    assert "trial 2 of 2, best" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"space": {}}, "space must be a dict"),
        ({"space": {"lr": []}}, "list of values"),
        ({"space": {"lr": "abc"}}, "list of values"),
        ({"space": {"lrr": [1.0]}}, "no such hyperparameter"),
        ({"space": {"beta1": [0.9]}}, "Momentum no such"),
        ({"space": {"lr": lambda rng: 0.1}}, "samples"),
        ({"space": {"lr": [-1.0]}}, "lr"),
        ({"space": {"seed": [1, 2]}}, "validation="),
        ({"solver": "lbfgs", "method": "halving"}, "leave them out"),
        ({"l2": 0.1, "space": {"l2": [0.1]}}, "beside it"),
        ({"method": "bayes"}, "method must be one of"),
        ({"samples": 3}, "samples is for"),
        ({"keep": 1.5, "method": "halving"}, "keep must be"),
        ({"watch": print}, "passes no 'watch'"),
        ({"space": {"loss": [fo.Softmax(), fo.Poisson()]}}, "some losses are for classes"),
        ({"validation": 2.0}, "validation must be"),
        ({"validation": None}, "validation must be"),
        ({"workers": 0}, "workers must be"),
        ({"checkpoint": "no folder/search.npz"}, "no directory"),
        ({"checkpoint": 5}, "checkpoint must be the path"),
    ],
)
def test_refusals(change, message, data):
    X, y, _ = data
    arguments = {"space": {"lr": [0.1]}, "epochs": 1, **change}
    with pytest.raises((ValueError, TypeError, FileNotFoundError), match=message):
        fo.search(arguments.pop("space"), X, y, **arguments)
