"""eval, search, export, completion and the solvers of train, as a person uses them."""

import ctypes
import importlib.util
import json
import shutil
import subprocess

import numpy as np
import pytest

pytest.importorskip("rich")
testing = pytest.importorskip("click.testing")
import fastopt as fo
from fastopt.cli import main
from fastopt.fit import Fit

needs_sklearn = pytest.mark.skipif(
    importlib.util.find_spec("sklearn") is None, reason="scikit-learn is not installed"
)


def run(*args, status=0):
    done = testing.CliRunner().invoke(main, [str(a) for a in args])
    assert done.exception is None or isinstance(done.exception, SystemExit), repr(done.exception)
    assert done.exit_code == status, done.output
    return done.stdout if status == 0 else done.output


def last(text):
    return json.loads(text.strip().splitlines()[-1])


@pytest.fixture
def two(tmp_path, rng):
    """(model, file, X, y) of two classes, one of them rare; rows to test are named."""
    X = rng.normal(size=(600, 5)).astype(np.float32)
    y = np.where(X[:, 0] + 0.5 * rng.normal(size=600) > 1.2, "ill", "well")
    path, model = tmp_path / "d.npz", tmp_path / "m.npz"
    np.savez(path, x_train=X[:400], y_train=y[:400], x_test=X[400:], y_test=y[400:])
    run("train", path, "--loss", "logistic", "--epochs", 20, "--out", model)
    return model, path, X[400:], y[400:]


@needs_sklearn
def test_eval_counts_as_by_hand(two):
    model, path, X, y = two
    fit = Fit.load(model)
    found = last(run("eval", model, path, "--positive", "ill", "--json"))
    predicted = fit.predict(X)
    assert found["accuracy"] == np.mean(predicted == y) and found["rows"] == 200
    assert found["accuracy_of_most_frequent"] == np.mean(y == "well")
    assert found["sensitivity"] == pytest.approx(np.mean(predicted[y == "ill"] == "ill"))
    assert found["specificity"] == pytest.approx(np.mean(predicted[y == "well"] == "well"))
    scores = -fit.scores(X)[:, 0]  # of "ill", the first class
    pairs = scores[y == "ill"][:, None] - scores[y == "well"]
    assert found["auc"] == pytest.approx(np.mean(pairs > 0) + 0.5 * np.mean(pairs == 0))
    assert np.sum(found["confusion"]) == 200 and found["confusion"][0][1] == np.sum(
        (y == "ill") & (predicted != y)
    )
    row = found["classes"][0]
    assert (
        row["precision"] == pytest.approx(np.mean(y[predicted == "ill"] == "ill")) and row["class"] == "ill"
    )


@needs_sklearn
def test_eval_at_a_threshold(two):
    model, path, X, y = two
    found = last(run("eval", model, path, "--positive", "ill", "--threshold", 0.1, "--json"))
    p = 1 - 1 / (1 + np.exp(-Fit.load(model).scores(X)[:, 0].astype(float)))
    assert found["sensitivity"] == pytest.approx(np.mean(p[y == "ill"] >= 0.1))
    assert found["specificity"] == pytest.approx(np.mean(p[y == "well"] < 0.1))
    text = run("eval", model, path, "--positive", "ill")
    for piece in ("always the most frequent class", "for ill: sensitivity", "precision", "true class"):
        assert piece in text
    assert "the classes are" in run("eval", model, path, "--positive", "dead", status=2)


@needs_sklearn
def test_eval_of_regression_and_of_unlabelled_data(rng, tmp_path):
    X = rng.normal(size=(100, 3))
    y = X @ [1.0, 2.0, 3.0] + 0.1 * rng.normal(size=100)
    np.savez(tmp_path / "d.npz", X=X, y=y), np.savez(tmp_path / "u.npz", X=X)
    run("train", tmp_path / "d.npz", "--regression", "--out", tmp_path / "m.npz")
    found = last(run("eval", tmp_path / "m.npz", tmp_path / "d.npz", "--json"))
    assert (
        found["on"] == "held-out rows"
        and found["rows"] == 20
        and 0.05 < found["rmse"] < 0.2
        and found["r2"] > 0.99
    )
    assert "has no labels" in run("eval", tmp_path / "m.npz", tmp_path / "u.npz", status=1)
    assert len(run("predict", tmp_path / "m.npz", tmp_path / "u.npz").split()) == 100


@pytest.mark.parametrize("method", ["grid", "random", "halving"])
def test_search(method, tmp_path):
    found = last(run("search", "digits", "--method", method, "--lr", "1e-3,1e-1", "--l2", "0,1e-3", "--trials", 3,
                     "--epochs", 4, "--out", tmp_path / "m.npz", "--json"))  # fmt: skip
    trials = {"grid": 4, "random": 3, "halving": 7}[method]
    assert len(found["trials"]) == trials and found["best"]["lr"] == 0.1 and found["test"] > 0.8
    most = max(found["trials"], key=lambda t: (t["epochs"], t["score"]))
    assert {k: most[k] for k in ("lr", "l2")} == {k: found["best"][k] for k in ("lr", "l2")}
    assert last(run("predict", tmp_path / "m.npz", "digits", "--json"))["accuracy"] == pytest.approx(
        found["test"]
    )


def test_search_where_everything_diverges():
    text = run("search", "digits", "--loss", "squared-error", "--lr", "1e5,1e6", "--epochs", 2, status=1)
    assert "every trial diverged" in text
    for bad in ("a", "1..x", "-1"):
        assert "1e-3,1e-2" in run("search", "digits", "--lr", bad, status=2)


def test_an_interrupted_search_says_so(monkeypatch):
    search = fo.search

    def interrupted_after(trials):
        def stop(row):
            raise KeyboardInterrupt

        def stopped(space, *arguments, progress, **options):
            space = space if trials else {**space, "lr": [1e30]}
            return search(space, *arguments, workers=1, progress=stop, **options)

        monkeypatch.setattr(fo, "search", stopped)

    interrupted_after(1)
    text = run("search", "digits", "--epochs", 1, status=130)
    assert "interrupted: trials made: 1" in text and "best: lr" in text
    interrupted_after(0)
    text = run("search", "digits", "--epochs", 1, "--loss", "squared-error", status=1)
    assert "interrupted before a trial" in text and "diverged" not in text


@pytest.fixture
def table_model(tmp_path, rng):
    """(model, its features as floats, predictions) of a table with text."""
    pytest.importorskip("pyarrow")
    a, town = rng.normal(100, 20, 300).round(2), rng.choice(["x", 'y "*/ z', "w"], 300)
    label = np.where(a + 30 * (town == "x") > 110, "up", "down")
    lines = ["a,town,label"] + [
        f'{i},"{t.replace(chr(34), chr(34) * 2)}",{c}' for i, t, c in zip(a, town, label, strict=True)
    ]
    (tmp_path / "d.csv").write_text("\n".join(lines) + "\n")
    run("train", tmp_path / "d.csv", "--epochs", 30, "--out", tmp_path / "t.npz")
    names = sorted({*town})
    raw = np.column_stack([a, *(town == n for n in names)]).astype(np.float32)
    return (
        tmp_path / "t.npz",
        raw,
        np.array(run("predict", tmp_path / "t.npz", tmp_path / "d.csv").splitlines()),
    )


def test_exported_c_predicts_the_same(table_model, tmp_path):
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None:
        pytest.skip("no C compiler is installed")
    model, raw, expected = table_model
    run("export", model, tmp_path / "m.c")
    subprocess.run([compiler, "-std=c11", "-Wall", "-Werror", "-shared", "-fPIC", tmp_path / "m.c", "-o",
                    tmp_path / "m.so"], check=True)  # fmt: skip
    predict = ctypes.CDLL(str(tmp_path / "m.so")).predict
    found = [predict(np.ascontiguousarray(x).ctypes.data_as(ctypes.POINTER(ctypes.c_float))) for x in raw]
    np.testing.assert_array_equal(np.array(["down", "up"])[found], expected)


def test_exported_json_predicts_the_same(table_model, tmp_path):
    model, raw, expected = table_model
    run("export", model, tmp_path / "m.json")
    found = json.loads((tmp_path / "m.json").read_text())
    scores = raw @ np.array(found["W"]).T + found["b"]
    np.testing.assert_array_equal(np.array(found["classes"])[scores.argmax(1)], expected)
    assert found["features"][0] == "a" and found["features"][1] == "town=w"


@pytest.mark.parametrize("kind", ["softmax", "logistic", "regression"])
def test_exported_onnx_predicts_the_same(kind, table_model, two, rng, tmp_path):
    runtime = pytest.importorskip("onnxruntime")
    if kind == "softmax":
        model, raw, expected = table_model
    elif kind == "logistic":
        model, _, raw, _ = two
        expected = Fit.load(model).predict(raw)
    else:
        raw = rng.normal(size=(50, 3)).astype(np.float32)
        np.savez(tmp_path / "r.npz", X=raw, y=raw @ [1.0, 2.0, 0.5])
        run("train", tmp_path / "r.npz", "--regression", "--out", tmp_path / "r.model")
        model = tmp_path / "r.model"
        expected = Fit.load(model).predict(raw)
    run("export", model, tmp_path / "m.onnx")
    session = runtime.InferenceSession((tmp_path / "m.onnx").read_bytes(), providers=["CPUExecutionProvider"])
    names = [o.name for o in session.get_outputs()]
    found = dict(zip(names, session.run(None, {"x": raw}), strict=True))
    if kind == "regression":
        np.testing.assert_allclose(found["scores"][:, 0], expected, rtol=1e-4, atol=1e-4)
    else:
        np.testing.assert_array_equal(found["prediction"], expected)
    assert ("probabilities" in found) == (kind == "softmax")


def test_export_says_what_it_needs(two, tmp_path):
    assert "say --to" in run("export", two[0], tmp_path / "m.txt", status=2)
    assert "is what is read" in run("export", two[0], two[0], "--to", "json", status=2)


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion(shell):
    assert "_FASTOPT_COMPLETE" in run("completion", shell) or "fastopt" in run("completion", shell)


def test_solvers_and_penalties(tmp_path):
    found = last(run("train", "digits", "--solver", "auto", "--l2", 1e-2, "--json"))
    assert found["converged"] and found["accuracy_test"] > 0.9 and found["rule"] is None
    sparse = last(run("train", "digits", "--solver", "auto", "--l1", 0.02, "--json"))
    assert sparse["nonzero"] < 0.7 * found["nonzero"]
    assert "needs a --solver" in run("train", "digits", "--l1", 0.1, status=2)
    for option in ("--tol", "--max-seconds"):
        assert f"{option} is of a --solver" in run("train", "digits", option, 0.1, status=2)


def test_how_a_solver_ended_is_said():
    said = run("train", "digits", "--solver", "lbfgs", "--l2", 1e-2, "--max-iter", 3, "--standardize")
    assert "NOT converged (max_iter = 3)" in said and "test accuracy" in said
    said = last(run("train", "digits", "--solver", "newton", "--max-seconds", 1e-9, "--json"))
    assert not said["converged"] and said["reason"].startswith("max_seconds") and said["gradient_norm"] > 0
    done = last(run("train", "digits", "--solver", "lbfgs", "--l2", 1e-2, "--tol", 1e-3, "--json"))
    assert done["converged"] and done["gradient_norm"] <= 1e-3


@needs_sklearn
def test_balanced_classes_and_early_stopping(two, tmp_path):
    model, path, X, y = two
    run("train", path, "--loss", "logistic", "--epochs", 20, "--balanced", "--out", tmp_path / "b.npz")
    plain, balanced = (
        last(run("eval", m, path, "--positive", "ill", "--json"))["sensitivity"]
        for m in (model, tmp_path / "b.npz")
    )
    assert balanced > plain
    found = last(
        run(
            "train",
            "digits",
            "--lr",
            1,
            "--epochs",
            300,
            "--validation",
            0.2,
            "--early-stopping",
            3,
            "--json",
        )
    )
    assert found["epochs"] < 300


def test_rprop_takes_all_rows_a_step():
    """Its steps grow while signs stay the same, which those of small batches do by chance."""
    found = last(run("train", "digits", "--rule", "rprop", "--epochs", 20, "--json"))
    assert found["steps"] == 20 and found["accuracy_test"] > 0.9
    assert (
        last(run("train", "digits", "--rule", "rprop", "--epochs", 2, "--batch-size", 128, "--json"))["steps"]
        > 2
    )


def test_help_of_every_command():
    for name in main.list_commands(None):
        assert "Usage" in run(name, "--help")
