"""The command line, as a person uses it."""

import json

import numpy as np
import pytest

import fastopt as fo

click = pytest.importorskip("click")
pytest.importorskip("rich")
from click.testing import CliRunner

from fastopt.cli import main


def run(*args, status=0):
    done = CliRunner().invoke(main, [str(a) for a in args])
    assert done.exit_code == status, done.output + repr(done.exception)
    return done.output


def record(output):
    return json.loads(output.strip().splitlines()[-1])


@pytest.mark.parametrize("loss", ["softmax", "hinge"])
def test_train_digits(loss, backend):
    found = record(run("train", "digits", "--loss", loss, "--backend", backend, "--json"))
    assert found["accuracy_test"] >= 0.94 and found["backend"] == backend
    assert found["rows"] == 1438 and found["classes"] == 10 and found["seconds"] > 0
    assert found["loss_validation"] is None


def test_train_says_what_it_did(tmp_path):
    out = tmp_path / "model.npz"
    text = run("train", "digits", "--epochs", 5, "--rule", "adam", "--validation", 0.1, "--out", out)
    for piece in ("digits", "1,438 rows", "Adam(lr=0.01)", "validation accuracy", "test accuracy", str(out)):
        assert piece in text
    text = run("predict", out, "digits", "--json")
    assert record(text)["rows"] == 359
    assert run("predict", out, "digits").splitlines()[0] in set("0123456789")


def test_npz_with_names_for_classes(tmp_path):
    rng = np.random.default_rng(0)
    X = rng.normal(size=(300, 4)).astype(np.float32)
    y = np.where(X[:, 0] > 0, "yes", "no")
    np.savez(tmp_path / "d.npz", X=X, y=y)
    found = record(
        run("train", tmp_path / "d.npz", "--loss", "logistic", "--out", tmp_path / "m.npz", "--json")
    )
    assert found["accuracy_test"] > 0.9 and found["rows"] == 240
    assert set(run("predict", tmp_path / "m.npz", tmp_path / "d.npz").split()) >= {"yes", "no"}


@pytest.mark.parametrize("schedule", ["constant", "cosine", "linear", "polynomial", "one-cycle"])
def test_schedules(schedule):
    assert record(run("train", "digits", "--schedule", schedule, "--epochs", 2, "--json"))["steps"] == 24


def test_batch_size_0_is_batch_gradient_descent():
    assert record(run("train", "digits", "--batch-size", 0, "--epochs", 3, "--json"))["steps"] == 3


def test_same_seed_same_model(tmp_path):
    paths = [tmp_path / f"{i}.npz" for i in range(3)]
    for path, seed in zip(paths, (1, 1, 2), strict=True):
        run("train", "digits", "--epochs", 2, "--seed", seed, "--out", path)
    W = [np.load(p)["W"] for p in paths]
    assert np.array_equal(W[0], W[1]) and not np.array_equal(W[0], W[2])


def test_errors_are_one_line(tmp_path):
    (tmp_path / "bad.npz").write_text("nothing")
    (tmp_path / "cut.npz").write_bytes(b"PK and nothing more")
    np.save(tmp_path / "one.npy", np.zeros(3))
    no_file = "it is no .npy or .npz file"
    np.savez(tmp_path / "keys.npz", Z=np.zeros(3))
    for args, says in (
        (["train", "nowhere.npz"], "no such file"),
        (["train", tmp_path / "bad.npz"], f"cannot be read: {no_file}"),
        (["train", tmp_path / "cut.npz"], "cannot be read"),
        (["train", tmp_path / "one.npy"], "an .npz file with X and y is needed"),
        (["predict", tmp_path / "bad.npz", "digits"], f"no file that fastopt wrote: {no_file}"),
        (["predict", tmp_path / "one.npy", "digits"], "no file that fastopt wrote: it has no 'meta'"),
        (["train", tmp_path / "keys.npz"], "X, y are needed"),
        (["train", "digits", "--lr", -1], "lr"),
        (["predict", tmp_path / "keys.npz", "digits"], "no file that fastopt wrote"),
    ):
        text = run(*args, status=1)
        assert says in text and "Traceback" not in text
    for command in (["train", "digits"], ["predict", tmp_path / "keys.npz", "digits"]):
        assert "no directory" in run(*command, "--out", tmp_path / "no" / "m.npz", status=2)
    assert "diverged at step" in run("train", "digits", "--loss", "squared-error", "--lr", 1e4, status=1)


def test_real_labels_are_no_classes(tmp_path):
    X = np.random.default_rng(0).normal(size=(40, 3))
    np.savez(tmp_path / "d.npz", X=X, y=X @ [1.0, -2.0, 0.5])
    text = run("train", tmp_path / "d.npz", "--loss", "squared-error", status=1)
    assert "real numbers" in text and "fastopt.train(X, y, fastopt.SquaredError())" in text
    np.savez(tmp_path / "d.npz", X=X, y=np.sign(X[:, 0]))  # whole numbers are names of classes
    assert record(run("train", tmp_path / "d.npz", "--epochs", 2, "--json"))["classes"] == 2


def test_class_that_only_the_test_rows_have(tmp_path):
    X, y = np.eye(3, dtype=np.float32), np.arange(3)
    np.savez(tmp_path / "d.npz", x_train=X[:2], y_train=y[:2], x_test=X, y_test=y)
    for loss in ("softmax", "binary-hinge"):
        assert record(run("train", tmp_path / "d.npz", "--loss", loss, "--json"))["classes"] == 3


def test_info():
    text = run("info")
    for piece in ("numpy", "threads", "backend", "cpu features", "cache directory"):
        assert piece in text
    found = record(run("info", "--json"))
    assert found["numpy"] == np.__version__
    assert all(strategy in text for strategy in found["training_strategies"])


def test_warmup(backend):
    text = run("warmup", "--backend", backend)
    assert ("kernels ready" in text) == (backend == "numba")


def test_background_warmup_does_not_block():
    thread = fo.warmup(background=True)
    thread.join(120)
    assert not thread.is_alive()
