"""From a file to predictions through the installed command, beside the same model made in Python without our readers."""

import csv
import datetime
import gzip
import json
import lzma
import os
import re
import signal
import subprocess
import sysconfig
import time
from pathlib import Path

import numpy as np
import pytest

import fastopt as fo

for _needed in ("click", "rich", "pyarrow", "sklearn"):
    pytest.importorskip(_needed)
import pyarrow as pa
import pyarrow.parquet
from scipy import sparse
from sklearn.datasets import dump_svmlight_file, load_svmlight_file
from sklearn.linear_model import LogisticRegression

COMMAND = Path(sysconfig.get_path("scripts")) / "fastopt"
pytestmark = pytest.mark.skipif(not COMMAND.exists(), reason="the command fastopt is not installed")
L2 = 1e-3
OPTIMUM = ["--solver", "auto", "--l2", L2, "--tol", 1e-8, "--test", 0]


def shell(*arguments, status=0, stdin=None):
    """What the command prints on standard output, or on standard error where it fails."""
    ran = subprocess.run([COMMAND, *map(str, arguments)], input=stdin, capture_output=True, check=False)
    said = ran.stderr.decode()
    assert ran.returncode == status, said
    assert "Traceback" not in said
    return ran.stdout.decode() if status == 0 else said


def lines(text):
    return np.array(text.splitlines())


def logistic_regression(X, y, l2=L2):
    """scikit-learn's at the same objective: with one row of weights. Softmax has two, w / 2 and -w / 2: half the l2."""
    return LogisticRegression(C=1 / (2 * len(y) * l2), tol=1e-9, max_iter=10_000).fit(X, y)


# ---- a CSV with a header, strings, dates and missing values ----

COLUMNS = ("age", "hours", "town", "job", "born", "income")
TOWNS = ("Bonn", "Köln, Süd", '"Ulm"', "Aachen")


def people(n, seed):
    """Rows of COLUMNS: numbers and towns that are missing here and there, text with commas and quotes, dates."""
    rng = np.random.default_rng(seed)
    rows = []
    for i in range(n):
        age, hours = int(rng.integers(18, 80)), round(float(rng.normal(38, 9)), 1)
        town, job = TOWNS[rng.integers(4)], ("nurse", "smith", "clerk")[rng.integers(3)]
        score = (age - 45) / 15 + (hours - 38) / 9 + (town == "Bonn") - (job == "smith") + rng.normal()
        gone = rng.random(3) < 0.05
        born = datetime.date(2020 - age, 1 + i % 12, 1 + i % 28)
        rows.append(["" if gone[0] else age, "NA" if gone[1] else hours, "" if gone[2] else town, job, born,
                     "high" if score > 0.5 else "low"])  # fmt: skip
    return rows


def written(path, header, rows):
    with open(path, "w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([header, *rows])
    return path


def by_hand(rows, of):
    """Features as --missing mean makes them, of the rows `of`: standardised numbers, then a column a category."""
    blocks = []
    for j in (0, 1):
        known = np.array([float(r[j]) for r in of if r[j] not in ("", "NA")])
        x = np.array([known.mean() if r[j] in ("", "NA") else float(r[j]) for r in rows])
        blocks.append(((x - known.mean()) / known.std())[:, None])
    for j in (2, 3):
        names = sorted({r[j] for r in of if r[j] != ""})
        blocks.append(np.array([[r[j] == name for name in names] for r in rows], float))
    return np.hstack(blocks)


def test_a_csv_with_strings_dates_and_missing_values(tmp_path):
    train, new = people(800, 1), people(200, 2)
    path, model = written(tmp_path / "people.csv", COLUMNS, train), tmp_path / "m.npz"
    unlabelled = written(tmp_path / "new.csv", COLUMNS[:-1], [r[:-1] for r in new])
    refused = shell("train", path, "--target", "income", "--missing", "mean", status=1)
    assert "'born' holds dates" in refused and "--drop" in refused
    refused = shell("train", path, "--target", "income", "--drop", "born", status=1)
    assert "'age' has no value in" in refused and "--missing mean" in refused
    said = shell(
        "train", path, "--target", "income", "--drop", "born", "--missing", "mean", *OPTIMUM, "--out", model
    )
    gone = sum(v in ("", "NA") for r in train for v in r)
    assert (
        f"800 rows; 2 columns of numbers, 2 of categories (7 features); {gone} missing values (mean)" in said
    )
    assert "left out: born" in said

    theirs = logistic_regression(by_hand(train, train), [r[-1] for r in train], L2 / 2)
    X = by_hand(new, train)
    assert list(lines(shell("predict", model, unlabelled))) == list(theirs.predict(X))
    shell("predict", model, unlabelled, "--probabilities", "--out", tmp_path / "p.csv")
    with open(tmp_path / "p.csv", encoding="utf-8") as file:
        found = list(csv.DictReader(file))
    assert shell("predict", model, unlabelled, "--out", tmp_path / "q.csv") == ""
    told = shell("info", model)
    assert (
        "high, low" in told and "age (number)" in told and "town (4 categories)" in told and "nan" not in told
    )
    expected = theirs.predict_proba(X)
    for i, name in enumerate(theirs.classes_):
        column = [k for k in found[0] if k.endswith(name)]
        np.testing.assert_allclose([float(r[column[0]]) for r in found], expected[:, i], atol=1e-3)
    from_pipe = shell("predict", model, "-", stdin=unlabelled.read_bytes())
    assert list(lines(from_pipe)) == list(theirs.predict(X))


# ---- LIBSVM, packed ----


def sparse_rows(rng, n, features, w):
    X = sparse.random_array((n, features), density=0.1, format="csr", rng=rng)
    X.data[:] = 1
    return X, np.where(X @ w + 0.3 * rng.normal(size=n) > 0, 1, -1)


def a9a_like(folder, rng):
    """(file to train on, file to predict): xz and gz, labels -1 and 1, the last features in one of them only."""
    w, paths = rng.normal(size=60), []
    for name, n, opened in (("train.svm.xz", 1500, lzma.open), ("test.svm.gz", 400, gzip.open)):
        X, y = sparse_rows(rng, n, 60, w)
        if name.startswith("test"):
            X = X[:, :57]
        with opened(folder / name, "wb") as file:
            dump_svmlight_file(X, y, file, zero_based=False)
        paths.append(folder / name)
    return paths


def read_svm(path, features):
    with {".xz": lzma.open, ".gz": gzip.open}[path.suffix](path, "rb") as file:
        return load_svmlight_file(file, n_features=features)


@pytest.mark.parametrize("real", [False, True], ids=["like it", "as it is"])
def test_a9a(real, rng, data, tmp_path):
    train, test = (data("a9a.svm.xz"), data("a9a.t.svm.xz")) if real else a9a_like(tmp_path, rng)
    features, model = 123 if real else 60, tmp_path / "m.npz"
    shell("train", train, "--loss", "logistic", *OPTIMUM, "--quiet", "--out", model)
    X, y = read_svm(train, features)
    X_test, y_test = read_svm(test, features)
    ours = fo.LinearClassifier("logistic", l2=L2, tol=1e-8).fit(X.astype(np.float32), y)
    theirs = logistic_regression(X, y)
    found = lines(shell("predict", model, test)).astype(float)
    close = np.abs(theirs.decision_function(X_test)) < 1e-3  # what float32 may decide otherwise
    for expected in (ours.predict(X_test), theirs.predict(X_test)):
        assert ((found == expected) | close).all() and close.mean() < 0.01
    record = json.loads(shell("eval", model, test, "--json"))
    assert record["accuracy"] == np.mean(found == y_test) and record["rows"] == len(y_test)
    assert record["accuracy"] > 0.845


# ---- letter.csv, by epochs of a rule: the same bits as fo.train ----


def letter_like(folder, rng):
    X = rng.integers(0, 16, (1200, 16))
    y = np.array(list("ABCDE"))[(X @ rng.normal(size=(16, 5))).argmax(axis=1)]
    rows = [[*x, c] for x, c in zip(X.tolist(), y, strict=True)]
    return written(folder / "letters.csv", [*(f"f{i}" for i in range(16)), "letter"], rows)


@pytest.mark.parametrize("real", [False, True], ids=["like it", "as it is"])
def test_letters(real, rng, data, tmp_path):
    path, model = data("letter.csv") if real else letter_like(tmp_path, rng), tmp_path / "m.npz"
    shell(
        "train",
        path,
        "--rule",
        "momentum",
        "--lr",
        0.1,
        "--epochs",
        4,
        "--seed",
        3,
        "--quiet",
        "--out",
        model,
    )
    found = lines(shell("predict", model, path))
    table = np.genfromtxt(path, delimiter=",", dtype=str, skip_header=1)
    raw, y = table[:, :-1].astype(float), table[:, -1]
    X = ((raw - raw.mean(0)) / raw.std(0)).astype(np.float32)
    order = np.random.default_rng(3).permutation(len(y))
    train, test = order[len(y) // 5 :], order[: len(y) // 5]
    ours = fo.train(X[train], y[train], fo.Softmax(), fo.Momentum(0.1), schedule=fo.schedules.Cosine(), epochs=4,
                    batch_size=128, seed=3)  # fmt: skip
    scores = np.sort(ours.scores(X), axis=1)
    close = scores[:, -1] - scores[:, -2] < 1e-3  # means and deviations are summed in another order
    assert ((found == ours.predict(X)) | close).all() and close.mean() < 0.01
    with np.load(model) as file:
        np.testing.assert_allclose(file["W"], ours.W, atol=1e-4)
    record = json.loads(shell("predict", model, path, "--json"))
    assert record["on"] == "held-out rows" and record["scored"] == len(test)
    assert record["accuracy"] == pytest.approx(np.mean(found[test] == y[test]))


# ---- a Parquet file without labels ----


def test_an_unlabelled_parquet_file(rng, tmp_path):
    n = 700
    columns = {
        "x": rng.normal(5, 3, n), "count": rng.integers(0, 9, n), "kind": rng.choice(["a", "b", "c"], n),
        "old": rng.random(n) < 0.5,
    }  # fmt: skip
    y = np.where(columns["x"] + columns["count"] + 2 * (columns["kind"] == "b") > 10, "up", "down")
    for name, rows, more in (("train", slice(500), {"class": y[:500]}), ("new", slice(500, n), {})):
        table = pa.table({k: v[rows] for k, v in columns.items()} | more)
        pa.parquet.write_table(table, tmp_path / f"{name}.parquet", row_group_size=90)
    model, out = tmp_path / "m.npz", tmp_path / "out.parquet"
    shell("train", tmp_path / "train.parquet", *OPTIMUM, "--quiet", "--out", model)
    shell("predict", model, tmp_path / "new.parquet", "--probabilities", "--out", out)
    found = pa.parquet.read_table(out).to_pandas()

    numbers = np.column_stack([columns[k] for k in ("x", "count")])
    numbers = (numbers - numbers[:500].mean(0)) / numbers[:500].std(0)
    old = [columns["old"] == v for v in (False, True)]
    X = np.column_stack([numbers, *(columns["kind"] == v for v in "abc"), *old]).astype(float)
    theirs = logistic_regression(X[:500], y[:500], L2 / 2)
    assert list(found.iloc[:, 0]) == list(theirs.predict(X[500:]))
    np.testing.assert_allclose(found.iloc[:, 1:].to_numpy(float), theirs.predict_proba(X[500:]), atol=1e-3)
    labelled = shell("predict", model, tmp_path / "train.parquet", "--json")
    assert json.loads(labelled)["on"] == "all rows" or json.loads(labelled)["scored"] == 0


# ---- in a terminal ----


def terminal(*arguments, columns=80):
    """(what a terminal of so many columns shows, the exit status)."""
    pty = pytest.importorskip("pty", reason="terminals are Unix's")
    ours, theirs = pty.openpty()
    environment = {**os.environ, "COLUMNS": str(columns), "TERM": "xterm", "NO_COLOR": ""}
    process = subprocess.Popen(
        [COMMAND, *map(str, arguments)], stdin=theirs, stdout=theirs, stderr=theirs, env=environment
    )
    os.close(theirs)
    shown = b""
    while True:
        try:
            piece = os.read(ours, 1 << 16)
        except OSError:  # the other end is closed
            break
        if not piece:
            break
        shown += piece
    os.close(ours)
    return shown.decode(), process.wait()


def plain(text):
    return re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", text)


@pytest.mark.parametrize("columns", [80, 120])
def test_the_table_of_epochs_in_a_terminal(columns):
    shown, status = terminal("train", "digits", "--epochs", 12, "--validation", 0.1, columns=columns)
    assert status == 0 and "\x1b[" in shown
    text = plain(shown)
    for name in (
        "epoch",
        "loss",
        "validation loss",
        "accuracy",
        "learning rate",
        "test accuracy",
    ):
        assert name in text
    rows = [line.split() for line in text[text.rindex("learning rate") :].splitlines() if line.strip()]
    epochs = [int(row[0]) for row in rows if len(row) == 5 and row[0].isdigit()]
    assert epochs[0] == 1 and epochs[-1] == 12 and len(epochs) == 10


def test_the_table_of_a_solver_in_a_terminal():
    shown, status = terminal("train", "digits", "--solver", "lbfgs", "--l2", 1e-3)
    assert status == 0 and "iteration" in plain(shown) and "objective" in plain(shown)


def test_what_is_piped_has_no_colours(tmp_path):
    said = shell("train", "digits", "--epochs", 2, "--out", tmp_path / "m.npz")
    assert "\x1b" not in said + shell("eval", tmp_path / "m.npz", "digits") + shell("info")


def test_ctrl_c_keeps_the_best_model(tmp_path):
    """Of the epoch with the lowest validation loss, which a rate that is far too large has near the beginning."""
    out = tmp_path / "m.npz"
    more = [
        "--validation",
        0.2,
        "--epochs",
        1_000_000,
        "--lr",
        3,
        "--log",
        tmp_path / "log.jsonl",
        "--out",
        out,
    ]
    process = subprocess.Popen(
        [COMMAND, "train", "digits", *map(str, more)], stdout=subprocess.PIPE, text=True
    )
    log = tmp_path / "log.jsonl"
    while process.poll() is None and not (log.exists() and log.read_bytes().count(b"\n") > 30):
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    said, _ = process.communicate(timeout=60)
    assert process.returncode == 130
    kept = int(re.search(r"interrupted: this is the model of epoch (\d+), the best", said)[1])
    entries = [json.loads(line) for line in log.read_text().splitlines()]
    losses = [e["loss_validation"] for e in entries if "loss_validation" in e]
    assert kept == int(np.argmin(losses)) + 1
    assert json.loads(shell("predict", out, "digits", "--json"))["accuracy"] > 0.9


def test_a_mistyped_command():
    assert "Did you mean 'train'?" in shell("trian", status=2)


def test_the_time_left(monkeypatch):
    from fastopt.cli import progress
    from fastopt.training.run import Progress

    now = iter([0.0, 6.0, 16.0, 16.0])  # what is compiled before the first step does not count
    monkeypatch.setattr(progress.time, "perf_counter", lambda: next(now))
    watch = progress._Watch(4)
    watch.stands(Progress(1, 4, 10, 400, 0.7))
    watch.stands(Progress(2, 4, 110, 400, 0.6))
    assert "29 s left" in watch._where() and "of 4" in watch._where()
