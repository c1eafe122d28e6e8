"""Files of every kind through the command line: the same numbers in Python, or one line on what is wrong."""

import bz2
import gzip
import io
import json
import lzma
import os
import struct

import numpy as np
import pytest

import fastopt as fo

pytest.importorskip("rich")
testing = pytest.importorskip("click.testing")
from fastopt.cli import main
from fastopt.fit import Fit


def run(*args, status=0, stdin=None):
    done = testing.CliRunner().invoke(main, [str(a) for a in args], input=stdin)
    assert done.exception is None or isinstance(done.exception, SystemExit), repr(done.exception)
    assert done.exit_code == status, done.output
    assert "FASTOPT_TRACEBACK" not in done.output, done.output
    return done.stdout if status == 0 else done.output


def last(text):
    return json.loads(text.strip().splitlines()[-1])


@pytest.fixture
def people(rng):
    """Columns of a table with everything in it, and what the label follows from."""
    n = 400
    age, height = rng.integers(18, 90, n), rng.normal(170, 10, n).round(1)
    town = rng.choice(["Bonn", "Köln", "Aachen, Rhld."], n)
    born = [f"{2024 - a}-03-0{a % 9 + 1}" for a in age]
    label = np.where(age + 0.3 * height + 9 * (town == "Bonn") > 105, "yes", "no")
    return {"age": age, "height": height, "town": town, "born": born, "label": label}


def write_csv(path, columns, missing=(), delimiter=",", decimal=".", encoding="utf8"):
    lines = [delimiter.join(columns)]
    for i, row in enumerate(zip(*columns.values(), strict=True)):
        texts = [str(v).replace(".", decimal) if isinstance(v, float) else f'"{v}"' if "," in str(v) else str(v)
                 for v in row]  # fmt: skip
        if i in missing:
            texts[1] = "NA"
        lines.append(delimiter.join(texts))
    path.write_text("\n".join(lines) + "\n", encoding=encoding)
    return path


def features_by_hand(columns, keep, missing):
    """Standardised numbers and one-hot towns in float64, without fastopt."""
    height = columns["height"].astype(float)
    height[list(missing)] = np.nan
    mean, deviation = np.nanmean(height), np.nanstd(height)
    z = lambda x: (x - x.mean()) / x.std()  # noqa: E731
    height = (np.where(np.isnan(height), mean, height) - mean) / np.sqrt(
        np.nansum((height - mean) ** 2) / np.isfinite(height).sum()
    )
    assert deviation > 0
    towns = np.stack([columns["town"] == t for t in sorted(set(columns["town"]))], 1)
    return np.column_stack([z(columns["age"].astype(float)), height, towns])[keep]


def test_csv_with_strings_dates_and_missing_values(people, tmp_path):
    pytest.importorskip("pyarrow")
    missing = (3, 77, 200)
    path, model, out = write_csv(tmp_path / "p.csv", people, missing), tmp_path / "m.npz", tmp_path / "p.txt"
    assert "holds dates" in run("train", path, "--missing", "mean", status=1)
    assert "height' has no value in 3 of 400 rows" in run("train", path, "--drop", "born", status=1)
    text = run(
        "train", path, "--drop", "born", "--missing", "mean", "--seed", 4, "--epochs", 30, "--out", model
    )
    assert "2 columns of numbers, 1 of categories (3 features); 3 missing values (mean)" in text
    run("predict", model, path, "--out", out)
    fit = Fit.load(model)
    X = features_by_hand(people, slice(None), missing).astype(np.float32)
    np.testing.assert_array_equal(fit.predict(X), out.read_text().split())
    assert np.mean(fit.predict(X) == people["label"]) > 0.9


def test_what_was_held_out_belongs_to_the_model(rng, tmp_path):
    """Coin tosses as labels: only the rows that were not trained on tell the truth."""
    pytest.importorskip("pyarrow")
    table = {f"x{j}": rng.normal(size=300) for j in range(200)} | {"label": rng.integers(0, 2, 300)}
    path, model = write_csv(tmp_path / "c.csv", table), tmp_path / "m.npz"
    for options in (["--seed", 3], ["--seed", 8, "--test", 0.4]):
        trained = last(run("train", path, "--epochs", 60, *options, "--out", model, "--json"))
        found = last(run("predict", model, path, "--json"))
        assert found["accuracy"] == pytest.approx(trained["accuracy_test"]) and found["on"] == "held-out rows"
        assert found["rows"] == 300 and found["scored"] == trained["rows_test"]
    lines = path.read_text().splitlines()
    path.write_text("\n".join([lines[0], *lines[:0:-1]]) + "\n")  # other rows, as far as can be known
    assert last(run("predict", model, path, "--json"))["on"] == "all rows"


def test_held_out_rows_where_rows_were_dropped(people, tmp_path):
    pytest.importorskip("pyarrow")
    path, model = write_csv(tmp_path / "p.csv", people, (3, 77)), tmp_path / "m.npz"
    options = ["--drop", "born", "--missing", "drop", "--epochs", 3, "--seed", 2, "--out", model, "--json"]
    trained = last(run("train", path, *options))
    assert trained["rows"] + trained["rows_test"] == 398
    found = last(run("predict", model, path, "--json"))
    assert found["accuracy"] == pytest.approx(trained["accuracy_test"]) and found["rows"] == 400
    lines = run("predict", model, path).splitlines()
    assert len(lines) == 400 and lines[3] == lines[77] == "" and set(lines) == {"", "yes", "no"}


@pytest.mark.parametrize(
    "form", ["semicolons and decimal commas", "tabs", "latin1", "gz", "no header", "utf16"]
)
def test_dialects_of_csv(form, people, tmp_path):
    pytest.importorskip("pyarrow")
    del people["born"]
    path, options = tmp_path / "p.csv", ["--target", "label"]
    if form.startswith("semi"):
        write_csv(path, people, delimiter=";", decimal=",")
    elif form == "tabs":
        write_csv(path, people, delimiter="\t")
    elif form in ("latin1", "utf16"):
        write_csv(path, people, encoding=form)
        assert "--encoding" in run("train", path, status=1)
        options += ["--encoding", form]
    else:
        write_csv(path, people)
    if form == "gz":
        (tmp_path / "p.csv.gz").write_bytes(gzip.compress(path.read_bytes()))
        path = tmp_path / "p.csv.gz"
    if form == "no header":
        path.write_text("".join(path.read_text().splitlines(keepends=True)[1:]))
        options = []
    found = last(
        run("train", path, *options, "--epochs", 20, "--seed", 1, "--out", tmp_path / "m.npz", "--json")
    )
    assert found["features"] == 5 and found["accuracy_test"] > 0.9
    assert last(run("predict", tmp_path / "m.npz", path, *options[2:], "--json"))["accuracy"] > 0.9


def test_unlabelled_parquet_with_probabilities(people, tmp_path):
    pa = pytest.importorskip("pyarrow")
    from pyarrow import parquet

    table = pa.table({k: list(v) for k, v in people.items()}).set_column(
        2, "town", pa.array(people["town"]).dictionary_encode()
    )
    parquet.write_table(table, tmp_path / "t.parquet", row_group_size=90)
    parquet.write_table(table.drop_columns(["label", "born"]), tmp_path / "new.parquet")
    model, out = tmp_path / "m.npz", tmp_path / "p.parquet"
    run("train", tmp_path / "t.parquet", "--drop", "born", "--epochs", 9, "--out", model)
    run("predict", model, tmp_path / "new.parquet", "--probabilities", "--out", out)
    found = parquet.read_table(out).to_pydict()
    X = features_by_hand(people, slice(None), ()).astype(np.float32)
    fit = Fit.load(model)
    np.testing.assert_array_equal(found["prediction"], fit.predict(X))
    s = fit.scores(X).astype(float)
    p = np.exp(s[:, 1]) / np.exp(s).sum(1)
    np.testing.assert_allclose(found["probability yes"], p, atol=1e-5)
    as_csv = run("predict", model, tmp_path / "new.parquet", "--probabilities").splitlines()
    assert as_csv[0] == "prediction,probability no,probability yes" and len(as_csv) == 401


def test_new_and_missing_columns_and_categories(people, tmp_path):
    pytest.importorskip("pyarrow")
    del people["born"]
    train, model = write_csv(tmp_path / "a.csv", people), tmp_path / "m.npz"
    people["town"] = np.where(np.arange(400) == 9, "Mars", people["town"])
    other = write_csv(tmp_path / "b.csv", {"extra": np.arange(400), **people})
    run("train", train, "--epochs", 2, "--out", model)
    assert last(run("predict", model, other, "--json"))["rows"] == 400
    run("train", train, "--epochs", 2, "--unknown", "refuse", "--out", model)
    assert "new category 'Mars' in row 10" in run("predict", model, other, status=1)
    short = write_csv(tmp_path / "c.csv", {k: v for k, v in people.items() if k != "age"})
    assert "no column 'age'" in run("predict", model, short, status=1)


def test_regression(rng, tmp_path):
    pytest.importorskip("pyarrow")
    X = rng.normal(size=(500, 3))
    table = {"a": X[:, 0], "b": 1000 * X[:, 1], "c": X[:, 2], "price": 5 + X @ [1.0, -2.0, 0.5]}
    path, model = write_csv(tmp_path / "r.csv", table), tmp_path / "m.npz"
    found = last(run("train", path, "--regression", "--target", "price", "--out", model, "--json"))
    assert found["rmse_test"] < 0.01 and found["classes"] is None and found["accuracy_test"] is None
    values = np.array(run("predict", model, path).split(), float)
    np.testing.assert_allclose(values, table["price"], atol=0.05)
    assert "real numbers, such as" in run("train", path, "--target", "price", status=1)


@pytest.mark.parametrize("pack", ["", ".gz", ".bz2", ".xz"])
def test_svmlight(pack, rng, tmp_path):
    pytest.importorskip("sklearn")
    X = rng.normal(size=(200, 9)).astype(np.float32) * (rng.random((200, 9)) < 0.4)
    y = np.where(X[:, 0] + X[:, 3] > 0, 1, -1)
    text = "".join(
        f"{label:+d} " + " ".join(f"{j + 1}:{v!r}" for j, v in enumerate(row.tolist()) if v) + "\n"
        for row, label in zip(X, y, strict=True)
    ).encode()
    packed = {"": bytes, ".gz": gzip.compress, ".bz2": bz2.compress, ".xz": lzma.compress}[pack](text)
    path, model = tmp_path / f"d.svm{pack}", tmp_path / "m.npz"
    path.write_bytes(packed)
    run("train", path, "--loss", "logistic", "--epochs", 20, "--out", model)
    np.testing.assert_array_equal(
        np.array(run("predict", model, path).split(), int), Fit.load(model).predict(X)
    )
    path.write_bytes({"": bytes, ".gz": gzip.compress, ".bz2": bz2.compress, ".xz": lzma.compress}[pack](
        text + b"1 3:x\n"))  # fmt: skip
    assert "line 201" in run("train", path, status=1)


def test_idx_with_its_labels(rng, tmp_path):
    X, y = rng.integers(0, 256, (120, 5, 4), np.uint8), rng.integers(0, 3, 120).astype(np.uint8)
    for name, rows in (("train", slice(0, 90)), ("t10k", slice(90, 120))):
        n = len(y[rows])
        images = struct.pack(">HBBIII", 0, 8, 3, n, 5, 4) + X[rows].tobytes()
        (tmp_path / f"{name}-images-idx3-ubyte.gz").write_bytes(gzip.compress(images))
        (tmp_path / f"{name}-labels-idx1-ubyte").write_bytes(
            struct.pack(">HBBI", 0, 8, 1, n) + y[rows].tobytes()
        )
        (tmp_path / f"{name}-labels-idx1-ubyte.gz").write_bytes(
            gzip.compress(struct.pack(">HBBI", 0, 8, 1, n) + y[rows].tobytes())
        )
    path, model = tmp_path / "train-images-idx3-ubyte.gz", tmp_path / "m.npz"
    found = last(run("train", path, "--epochs", 2, "--out", model, "--json"))
    assert found["rows"] == 90 and found["rows_test"] == 30 and found["features"] == 20
    W = Fit.load(model)
    expected = (X.reshape(120, 20)[90:] / np.float32(255)) @ W.W.T + W.b
    lines = run("predict", model, tmp_path / "t10k-images-idx3-ubyte.gz").split()
    np.testing.assert_array_equal(np.array(lines, int), expected.argmax(1))


def test_images_in_folders(rng, tmp_path):
    Image = pytest.importorskip("PIL.Image")
    for name, shade in (("dark", 40), ("light", 200)):
        (tmp_path / "set" / name).mkdir(parents=True)
        for i in range(20):
            pixels = np.clip(rng.normal(shade, 20, (6, 5)), 0, 255).astype(np.uint8)
            Image.fromarray(pixels).save(tmp_path / "set" / name / f"{i:02d}.png")
    model = tmp_path / "m.npz"
    found = last(run("train", tmp_path / "set", "--epochs", 30, "--out", model, "--json"))
    assert found["features"] == 30 and found["classes"] == 2 and found["accuracy_test"] == 1
    assert run("predict", model, tmp_path / "set" / "light").split() == ["light"] * 20
    (tmp_path / "set" / "dark" / "99.png").write_bytes(b"\x89PNG nothing")
    assert "99.png cannot be read" in run("train", tmp_path / "set", status=1)
    Image.fromarray(np.zeros((7, 5), np.uint8)).save(tmp_path / "set" / "dark" / "99.png")
    assert "--size" in run("train", tmp_path / "set", status=1)
    assert last(run("train", tmp_path / "set", "--size", "5x6", "--epochs", 1, "--json"))["features"] == 30


def test_standard_input_and_npy(people, rng, tmp_path):
    pytest.importorskip("pyarrow")
    del people["born"]
    text = write_csv(tmp_path / "p.csv", people).read_bytes()
    model = tmp_path / "m.npz"
    assert last(run("train", "-", "--epochs", 5, "--out", model, "--json", stdin=text))["rows"] == 320
    assert run("predict", model, "-", stdin=text) == run("predict", model, tmp_path / "p.csv")
    assert "is empty" in run("train", "-", status=1, stdin=b"")
    X, y = rng.normal(size=(90, 4)).astype(np.float32), rng.integers(0, 3, 90)
    np.save(tmp_path / "X.npy", X), np.save(tmp_path / "y.npy", y)
    run("train", tmp_path / "X.npy", "--labels", tmp_path / "y.npy", "--epochs", 3, "--out", model)
    np.testing.assert_array_equal(np.array(run("predict", model, tmp_path / "X.npy").split(), int),
                                  Fit.load(model).predict(X))  # fmt: skip
    assert "has no labels" in run("train", tmp_path / "X.npy", status=1)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes here")
def test_a_named_pipe_is_read_to_its_end(people, tmp_path):
    pytest.importorskip("pyarrow")
    import threading

    del people["born"]
    text, pipe = write_csv(tmp_path / "p.csv", people).read_bytes(), tmp_path / "pipe.csv"
    os.mkfifo(pipe)
    writer = threading.Thread(target=pipe.write_bytes, args=(text,), daemon=True)
    writer.start()
    assert last(run("train", pipe, "--format", "csv", "--epochs", 1, "--json"))["rows"] == 320
    writer.join(10)


GOOD = "a,b,colour,label\n" + "".join(
    f"{i % 7 + 0.5},{i * i % 11},{'rg'[i % 2]},{'xy'[i % 3 > 0]}\n" for i in range(60)
)
DAMAGED = {
    "empty.csv": (b"", "is empty"),
    "only a header.csv": (b"a,b,label\n", "has no rows"),
    "cut.csv": (GOOD.encode()[:503], "fields where 4 are needed"),
    "one field more.csv": (GOOD.encode() + b"1,2,r,x,9\n", "line 62: 5 fields where 4"),
    "text among numbers.csv": (GOOD.encode() + b"1,many,r,x\n", "'many' in row 61"),
    "infinite.csv": (GOOD.encode() + b"-inf,2,r,x\n", "infinite in row 61"),
    "1e30.csv": (GOOD.encode() + b"1e30,2,r,x\n", "is 1e+30 in row 61"),
    "not utf-8.csv": (GOOD.replace("r", "\xe9").encode("latin1"), "not UTF-8"),
    "zero bytes.csv": (GOOD.encode() + b"\0\0", "zero bytes"),
    "one class.csv": (GOOD.replace("x\n", "y\n").encode(), "all labels are y"),
    "no label.csv": (GOOD.encode() + b"1,2,r,\n", "no label in row 61"),
    "twice a column.csv": (GOOD.replace("a,b", "b,b").encode(), "several columns called 'b'"),
    "names.csv": (b"name,label\n" + b"".join(b"n%d,%d\n" % (i, i % 2) for i in range(1200)), "--drop 'name'"),
    "what.bin": (b"hello", "what kind of file"),
    "text.parquet": (b"hello", "is no parquet file"),
    "cut.parquet": (b"PAR1" + bytes(60), "cannot be read"),
    "cut.arrow": (b"ARROW1\0\0" + bytes(60), "cannot be read"),
    "text.svm": (b"1 1:2\nx y z\n", "line 2"),
    "zero-based.svm": (b"1 0:1\n-1 1:2\n", "line 1"),
    "nan.svm": (b"1 1:1\n-1 1:nan\n", "line 2"),
    "cut.svm.gz": (gzip.compress(b"1 1:2\n-1 1:3\n" * 500)[:-9], "cannot be read"),
    "cut.idx": (struct.pack(">HBBI", 0, 8, 1, 99) + b"abc", "ends after 3 bytes"),
    "large.idx": (struct.pack(">HBBIII", 0, 8, 3, 4 << 28, 1 << 15, 1 << 15) + b"abc", ""),
    "cut.npy": (b"\x93NUMPY\x01\x00v\x00{'descr'", "cannot be read"),
}  # fmt: skip


@pytest.mark.parametrize("name", DAMAGED)
def test_damaged_files_are_refused_in_one_line(name, tmp_path):
    pytest.importorskip("pyarrow")
    pytest.importorskip("sklearn")
    data, says = DAMAGED[name]
    (tmp_path / name).write_bytes(data)
    text = run("train", tmp_path / name, "--epochs", 1, "--out", tmp_path / "m.npz", status=1)
    assert says in text and text.strip().splitlines()[-1].startswith("Error: ") and name in text
    assert not (tmp_path / "m.npz").exists()


X, Y = np.random.default_rng(0).normal(size=(40, 3)), np.arange(40) % 2
BYTES = (10 * np.abs(X)).astype(np.uint8)
ODD_ARRAYS = {
    "divisor below 0": ({"X": BYTES, "y": Y, "divisor": -2.0}, "divisor must be one number above 0"),
    "divisor NaN": ({"X": BYTES, "y": Y, "divisor": np.nan}, "divisor"),
    "divisor text": ({"X": BYTES, "y": Y, "divisor": "9"}, "divisor"),
    "labels of two columns": ({"X": X, "y": np.stack([Y, Y], 1)}, "y has shape (40, 2)"),
    "too few labels": ({"X": X, "y": Y[:39]}, "y has shape (39,)"),
    "dates as labels": ({"X": X, "y": np.datetime64("2020-01-01") + Y}, "numbers or strings"),
    "complex features": ({"X": X + 0j, "y": Y}, "complex128"),
    "no features": ({"X": X[:, :0], "y": Y}, "no features"),
    "records": ({"X": np.zeros(40, [("a", "f4")]), "y": Y}, "cannot be used"),
    "NaN in a feature": ({"X": np.where(X > 2, np.nan, X), "y": Y}, "feature"),
    "test rows with NaN": ({"x_train": X, "y_train": Y, "x_test": X * np.inf, "y_test": Y}, "test rows: feature 1 of"),
    "text among test labels": ({"x_train": X, "y_train": Y, "x_test": X, "y_test": Y.astype(str)}, "labels of"),
    "other features to test": ({"x_train": X, "y_train": Y, "x_test": X[:, :2], "y_test": Y}, "2 to test on"),
    "CSR out of its columns": ({"data": np.ones(2), "indices": np.array([0, 7]), "indptr": np.array([0, 1, 2]),
                                "shape": np.array([2, 3]), "y": np.array([0, 1])}, "cannot be read"),
}  # fmt: skip


@pytest.mark.parametrize("what", ODD_ARRAYS)
def test_odd_arrays_are_refused_in_one_line(what, tmp_path):
    pytest.importorskip("scipy")
    arrays, says = ODD_ARRAYS[what]
    np.savez(tmp_path / "d.npz", **arrays)
    text = run("train", tmp_path / "d.npz", "--epochs", 1, status=1)
    assert says in text and text.strip().splitlines()[-1].startswith("Error: ")


@pytest.mark.parametrize(
    "dtypes", [("f4", "f8"), ("f8", "f4"), ("f2", "i8"), (">f8", "f4"), ("u1", "f4"), ("?", "f8")]
)
def test_training_and_test_rows_of_other_types(dtypes, tmp_path):
    a, b = (np.abs(X).astype(d) for d in dtypes)
    np.savez(tmp_path / "d.npz", x_train=a, y_train=Y, x_test=b, y_test=Y)
    model = tmp_path / "m.npz"
    assert last(run("train", tmp_path / "d.npz", "--epochs", 2, "--out", model, "--json"))["rows_test"] == 40
    assert last(run("predict", model, tmp_path / "d.npz", "--json"))["rows"] == 40


def test_csr_in_npz(tmp_path):
    sparse = pytest.importorskip("scipy.sparse")
    matrix = sparse.random_array(
        (300, 50), density=0.1, rng=np.random.default_rng(1), dtype=np.float32
    ).tocsr()
    y = np.asarray(matrix.sum(1)).ravel() > 2
    buffer = io.BytesIO()
    sparse.save_npz(buffer, matrix)
    found = dict(np.load(io.BytesIO(buffer.getvalue())))
    np.savez(tmp_path / "d.npz", y=y, **found)
    model = tmp_path / "m.npz"
    run("train", tmp_path / "d.npz", "--rule", "sgd", "--epochs", 5, "--out", model)
    lines = run("predict", model, tmp_path / "d.npz").split()
    np.testing.assert_array_equal(np.array(lines) == "True", Fit.load(model).predict(matrix))


def test_output_is_never_what_is_read(people, tmp_path):
    pytest.importorskip("pyarrow")
    del people["born"]
    path, model = write_csv(tmp_path / "p.csv", people), tmp_path / "m.npz"
    before = path.read_bytes()
    (tmp_path / "link.csv").symlink_to(path)
    for out in (path, tmp_path / "link.csv"):
        assert "is what is read" in run("train", path, "--epochs", 1, "--out", out, status=2)
    run("train", path, "--epochs", 1, "--out", model)
    for out in (path, model, tmp_path / "link.csv"):
        assert "is what is read" in run("predict", model, path, "--out", out, status=2)
    assert path.read_bytes() == before


@pytest.mark.parametrize("rule", ["sgd", "momentum", "nesterov", "classicalmomentum"])
@pytest.mark.parametrize("loss", ["squared-hinge", "squared-error", "hinge"])
def test_usual_learning_rates_do_not_diverge(rule, loss, rng, tmp_path):
    """Features of 0..15, not standardised: a rate of 0.1 is a hundred times too large."""
    X = rng.integers(0, 16, (500, 12)).astype(np.float32)
    y = (X[:, :3].sum(1) > 22).astype(int) + (X[:, 3:6].sum(1) > 22)
    np.savez(tmp_path / "d.npz", X=X, y=y)
    found = last(run("train", tmp_path / "d.npz", "--rule", rule, "--loss", loss, "--epochs", 10, "--json"))
    start = {"squared-hinge": 2.0, "squared-error": 0.5, "hinge": 2.0}[loss]
    assert found["loss_train"] < start


def test_growth_is_no_success(tmp_path):
    text = run("train", "digits", "--loss", "squared-error", "--rule", "sgd", "--schedule", "constant", "--lr", 0.4,
               "--epochs", 2, "--out", tmp_path / "m.npz", status=1)  # fmt: skip
    assert "diverged" in text and not (tmp_path / "m.npz").exists() or "last good" in text


def test_settings_from_toml(tmp_path):
    (tmp_path / "s.toml").write_text('rule = "adam"\nepochs = 3\nbatch-size = 64\nset = ["beta1=0.8"]\n')
    found = last(run("train", "digits", "--settings", tmp_path / "s.toml", "--epochs", 2, "--json"))
    assert found["rule"] == "Adam" and found["epochs"] == 2 and found["steps"] == 2 * 23
    for text, says in (("rules = 1", "no option 'rules'"), ("epochs = 'x'", "'x' is not"), ("[a]\nb=1", "no option 'a'"),
                       ("a = ", "no TOML")):  # fmt: skip
        (tmp_path / "s.toml").write_text(text)
        assert says in run("train", "digits", "--settings", tmp_path / "s.toml", status=2)


def test_scores_of_a_list_say_so():
    fit = fo.train(X.astype("f4"), Y, epochs=1)
    with pytest.raises(TypeError, match="not list"):
        fit.predict(X.tolist())
