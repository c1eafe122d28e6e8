"""Solvers that are cut off go on from their file: the bits, reads and history of a run that was not."""

import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

import fastopt as fo
from fastopt import rows as rows_module
from fastopt.training import resume

N, FEATURES, CLASSES = 3000, 12, 3
SETTINGS = [
    ("lbfgs", {"l2": 1e-6}),
    ("lbfgs", {"l2": 1e-6, "standardize": True}),
    ("lbfgs", {"penalty": fo.L1(1e-3), "tol": 1e-4, "max_iter": 60}),
    ("lbfgs", {"bounds": (-0.1, None), "max_iter": 40}),
    ("lbfgs", {"loss": fo.SquaredHinge(), "l2": 1e-4}),
    ("newton", {"l2": 1e-6}),
    ("newton", {"l2": 1e-6, "loss": fo.Logistic()}),
]


def data():
    rng = np.random.default_rng(3)
    X = rng.normal(size=(N, FEATURES))
    y = (2 * X @ rng.normal(size=(FEATURES, CLASSES)) + rng.gumbel(size=(N, CLASSES))).argmax(axis=1)
    X[:, 0] *= 30  # steps of 1 do not always do: scores are sums of several
    return X, y


def assert_same_run(found, wanted):
    assert np.array_equal(found.W, wanted.W) and np.array_equal(found.b, wanted.b)
    for name in ("converged", "reason", "objective", "gradient_norm", "tol", "iterations", "reads"):
        assert getattr(found.report, name) == getattr(wanted.report, name), name
    for name in ("objective", "gradient_norm", "reads"):
        assert np.array_equal(found.history[name], wanted.history[name])


@pytest.mark.filterwarnings("ignore:.*NOT converged")
@pytest.mark.parametrize(("solver", "options"), SETTINGS)
@pytest.mark.parametrize("kind", ["memory", "parts", "source"])
def test_a_run_goes_on_from_any_iteration(kind, solver, options, tmp_path, monkeypatch):
    X, y = data()
    if kind != "memory":
        monkeypatch.setattr(rows_module, "PART_BYTES", 1 << 16)
    given = (fo.source(X, y),) if kind == "source" else (X, y)
    options = {"loss": fo.Softmax(), "solver": solver, **options}
    wanted, path = fo.train(*given, **options), tmp_path / "run.npz"
    for stop in sorted({0, 1, 2, 5, wanted.report.iterations // 2, wanted.report.iterations - 1}):
        path.unlink(missing_ok=True)
        fo.train(*given, checkpoint=path, **{**options, "max_iter": stop})
        assert_same_run(fo.train(*given, checkpoint=path, **options), wanted)
    again = fo.train(*given, checkpoint=path, **options)  # nothing is left to do
    assert_same_run(again, wanted)


SCRIPT = """
import sys, time, warnings
import numpy as np
import fastopt as fo
folder, scheduler = sys.argv[1:]
client = None
if scheduler:
    import distributed
    from fastopt.distributed import Load
    client = distributed.Client(scheduler)
    data = [Load(f"{folder}/X.npy", i, i + 500, y=f"{folder}/y.npy") for i in range(0, 3000, 500)]
else:
    data = fo.source(f"{folder}/X.npy", y=f"{folder}/y.npy")
fo.train(data, solver="lbfgs", l2=1e-6, checkpoint=f"{folder}/run.npz", client=client,
         watch=lambda entry, parameters: time.sleep(0.05))
"""


def kill_in_the_middle(folder, scheduler=""):
    """A process that trains, killed when its file has been there for a moment."""
    (folder / "train.py").write_text(SCRIPT)
    process = subprocess.Popen([sys.executable, folder / "train.py", folder, scheduler], cwd=folder)
    try:
        while not (folder / "run.npz").exists():
            assert process.poll() is None
            time.sleep(0.01)
        time.sleep(0.3)
        assert process.poll() is None
    finally:
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
    with np.load(folder / "run.npz") as file:
        return int(file["iterations"])


@pytest.mark.skipif(sys.platform == "win32", reason="there is no SIGKILL")
@pytest.mark.parametrize("where", ["here", "workers"])
def test_a_run_that_was_killed_goes_on(where, tmp_path):
    X, y = data()
    np.save(tmp_path / "X.npy", X), np.save(tmp_path / "y.npy", y)
    options = {"solver": "lbfgs", "l2": 1e-6}
    if where == "here":
        source = fo.source(tmp_path / "X.npy", y=tmp_path / "y.npy")
        wanted = fo.train(source, **options)
        done = kill_in_the_middle(tmp_path)
        assert_same_run(fo.train(source, checkpoint=tmp_path / "run.npz", **options), wanted)
    else:
        distributed = pytest.importorskip("distributed")
        from fastopt.distributed import Load

        parts = [Load(tmp_path / "X.npy", i, i + 500, y=tmp_path / "y.npy") for i in range(0, N, 500)]
        local = {"n_workers": 2, "threads_per_worker": 1, "processes": False, "dashboard_address": None}
        with (
            distributed.LocalCluster(**local, protocol="tcp") as cluster,
            distributed.Client(cluster) as client,
        ):
            wanted = fo.train(parts, client=client, **options)
            done = kill_in_the_middle(tmp_path, cluster.scheduler_address)
            found = fo.train(parts, client=client, checkpoint=tmp_path / "run.npz", **options)
        assert_same_run(found, wanted)
    assert 0 <= done < wanted.report.iterations


def test_files_of_other_runs_are_refused(tmp_path):
    X, y = data()
    path = tmp_path / "run.npz"
    options = {"solver": "lbfgs", "l2": 1e-4, "checkpoint": path}
    fo.train(X, y, **options)
    before = path.read_bytes()
    for change, what in [({"l2": 1e-3}, "penalty"), ({"tol": 1e-3}, "tol"), ({"loss": fo.SquaredHinge()}, "loss"),
                         ({"solver": "newton"}, "solver"), ({"bounds": (0, None)}, "bounds")]:  # fmt: skip
        with pytest.raises(ValueError, match=f"another run.*{what}"):
            fo.train(X, y, **{**options, **change})
    with pytest.raises(ValueError, match="another run.*digest"):
        fo.train(X + 1, y, **options)
    with pytest.raises(ValueError, match="holds a solver run, not a run"):
        fo.train(X, y, epochs=1, checkpoint=path)
    with pytest.raises(ValueError, match="lbfgs and newton, not of prox-newton"):
        fo.train(X, y, solver="prox-newton", penalty=fo.L1(0.1), checkpoint=tmp_path / "other.npz")
    assert path.read_bytes() == before
    path.write_bytes(before[:-100])
    with pytest.raises(ValueError, match="no file that fastopt wrote"):
        fo.train(X, y, **options)


def test_quick_iterations_are_not_all_written(tmp_path, monkeypatch):
    X, y = data()
    written = []
    monkeypatch.setattr(resume.checkpoint, "write", lambda *given: written.append(1) or time.sleep(0.05))
    fit = fo.train(X, y, solver="lbfgs", l2=1e-6, checkpoint=tmp_path / "run.npz")
    assert 2 <= len(written) < fit.report.iterations / 2
