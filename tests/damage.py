"""Damaged and strange model files, run files and CSR matrices, and what every entrance makes of them.

Run as a program: `damage.py files COUNT SEED` or `damage.py csr COUNT SEED`. Each case is printed before it is
tried, so that one that kills the process is the last line; the last line of a whole run is `done`.
"""

import copy
import io
import json
import os
import random
import struct
import sys
import tempfile
import warnings
import zipfile
from pathlib import Path

import numpy as np

import fastopt as fo
from fastopt import checkpoint
from fastopt.fit import Fit

REFUSED = (ValueError, TypeError, OSError)


# ---- files ----


def members(raw):
    with zipfile.ZipFile(io.BytesIO(raw)) as archive:
        return [(entry.filename, archive.read(entry)) for entry in archive.infolist()]


def packed(parts, method=zipfile.ZIP_STORED):
    file = io.BytesIO()
    with warnings.catch_warnings(), zipfile.ZipFile(file, "w", method) as archive:
        warnings.simplefilter("ignore")  # of two members of one name
        for name, content in parts:
            archive.writestr(name, content)
    return file.getvalue()


def npy(array, allow_pickle=False):
    file = io.BytesIO()
    np.lib.format.write_array(file, array, allow_pickle=allow_pickle)
    return file.getvalue()


def header(text):
    """An .npy file whose header is this text, with no data behind it."""
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text) + 1) + text.encode() + b"\n"


def flip_bits(raw, r):
    raw = bytearray(raw)
    for _ in range(r.choice((1, 1, 2, 8))):
        i = r.randrange(8 * len(raw))
        raw[i // 8] ^= 1 << i % 8
    return bytes(raw)


def flip_in_directory(raw, r):
    raw, begin = bytearray(raw), raw.find(b"PK\x01\x02")
    i = r.randrange(8 * begin, 8 * len(raw))
    raw[i // 8] ^= 1 << i % 8
    return bytes(raw)


def cut(raw, r):
    return raw[: r.randrange(len(raw))]


def hole(raw, r):
    begin = r.randrange(len(raw))
    end = min(len(raw), begin + r.choice((1, 16, 512)))
    return raw[:begin] + bytes(end - begin) + raw[end:]


def inserted(raw, r):
    at = r.randrange(len(raw))
    return raw[:at] + bytes(r.randrange(256) for _ in range(r.choice((1, 7, 100)))) + raw[at:]


def noise(raw, r):
    return r.choice((b"", b"PK", b"PK\x03\x04", b"\x93NUMPY", b"PK\x05\x06" + bytes(18))) + bytes(
        r.randrange(256) for _ in range(r.choice((0, 3, 200)))
    )


def twice(raw, r):
    parts = members(raw)
    return packed([*parts, r.choice(parts)])


def without_one(raw, r):
    parts = members(raw)
    parts.remove(r.choice(parts))
    return packed(parts)


def one_more(raw, r):
    return packed([*members(raw), (r.choice(("history_x.npy", "W_v.npy", "readme.txt")), npy(np.zeros(3)))])


def renamed(raw, r):
    parts = members(raw)
    i, j = r.sample(range(len(parts)), 2)
    parts[i], parts[j] = (parts[j][0], parts[i][1]), (parts[i][0], parts[j][1])
    return packed(parts)


def other_array(raw, r):
    """One array is another one; the checksum stays."""
    parts = dict(members(raw))
    name = r.choice([n for n in parts if n not in ("meta.npy", "checksum.npy")])
    array = np.load(io.BytesIO(parts[name]))
    parts[name] = r.choice(STRANGE)(array, r)
    return packed(parts.items())


STRANGE = [
    lambda a, r: npy(a.reshape(-1)[:-1] if a.size else np.zeros(1)),
    lambda a, r: npy(a.astype(str)),
    lambda a, r: npy(a[None]),
    lambda a, r: npy(np.zeros(a.shape, ">f4")),
    lambda a, r: npy(np.zeros(a.shape, complex)),
    lambda a, r: npy(np.zeros(a.shape, [("a", "f4"), ("b", "i8")])),
    lambda a, r: npy(np.array([None, {}], object), allow_pickle=True),
    lambda a, r: header("{'descr': '<f4', 'fortran_order': False, 'shape': (1000000000000,), }"),
    lambda a, r: header("{'descr': '<f4', 'fortran_order': False, 'shape': (-3, 4), }"),
    lambda a, r: header("{'descr': '|V0', 'fortran_order': False, 'shape': (1000000000000000000,), }"),
    lambda a, r: header("(" * 5000 + ")" * 5000),
    lambda a, r: header("__import__('os').abort()"),
    lambda a, r: b"plain text",
]


def inflating(raw, r):
    """A small file of gigabytes of zeros."""
    zeros = header(f"{{'descr': '|u1', 'fortran_order': False, 'shape': ({1 << 33},), }}")
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        for name, content in members(raw):
            archive.writestr(name, content)
        with archive.open("history_more.npy", "w", force_zip64=True) as member:
            member.write(zeros)
            for _ in range(64):
                member.write(bytes(1 << 20))
    packed_size = file.getvalue()
    # The directory says 8 GB, and so might the content
    return packed_size.replace(
        struct.pack("<Q", (1 << 26) + len(zeros)), struct.pack("<Q", (1 << 33) + len(zeros))
    )


def edited_meta(raw, r):
    parts = dict(members(raw))
    meta = json.loads(str(np.load(io.BytesIO(parts["meta.npy"]))))
    text = r.choice(META)(meta, r)
    parts["meta.npy"] = npy(np.array(text if isinstance(text, str) else json.dumps(text)))
    return packed(parts.items())


def sealed(change):
    """The content is changed and the checksum with it, as a program that writes such files would."""

    def damage(raw, r):
        arrays = {name.removesuffix(".npy"): np.load(io.BytesIO(content)) for name, content in members(raw)}
        meta = json.loads(str(arrays.pop("meta")))
        meta.pop("format")
        del arrays["checksum"]
        change(meta, arrays, r)
        with tempfile.TemporaryDirectory() as folder:
            checkpoint.write(Path(folder) / "f", meta, arrays)
            return (Path(folder) / "f").read_bytes()

    damage.__name__ = f"sealed_{change.__name__}"
    return damage


META = [
    lambda m, r: {**m, "kind": r.choice(("run", "model", "tree", 5, None))},
    lambda m, r: {**m, "format": r.choice((3, "2", None, -1, 1e9))},
    lambda m, r: "[" * 100_000,
    lambda m, r: "NaN",
    lambda m, r: "",
    lambda m, r: json.dumps([m]),
    lambda m, r: {k: v for k, v in m.items() if k != r.choice(list(m))},
    lambda m, r: json.dumps(m)[:-3],
    lambda m, r: {**m, "steps": 10**400, "step": 10**400},
]


def number_gone(meta, arrays, r):
    del meta[r.choice([k for k in meta if k not in ("kind", "preparation", "best")])]


def number_strange(meta, arrays, r):
    name = r.choice([k for k in ("steps", "scale", "step", "epoch") if k in meta])
    strange = ("1", None, [1], {}, 10**400)
    meta[name] = r.choice((*strange, 0.0) if name == "scale" else (*strange, -1, 10**30, 0.5, True))


def loss_strange(meta, arrays, r):
    if "settings" in meta:
        name = r.choice([k for k in meta["settings"] if k not in ("early_stopping",)])
        meta["settings"][name] = r.choice(({}, [], "x", 10**30))
    else:
        meta.update(r.choice(({"loss": "Nothing"}, {"loss": 5}, {"hyperparameters": {"a": 1}},
                              {"hyperparameters": []}, {"hyperparameters": {"margin": "x"}, "loss": "MulticlassHinge"},
                              {"module": "os", "class": "abort", "formula": ""},
                              {"module": "fastopt.fit", "class": "Fit.load", "formula": "x"},
                              {"module": 5, "class": 5}, {"preparation": "x"})))  # fmt: skip


def settings_empty(meta, arrays, r):
    if "settings" in meta:
        meta["settings"] = r.choice(({}, None, [], "x"))
    else:
        meta["hyperparameters"] = None


def array_strange(meta, arrays, r):
    name = r.choice(("W", "b"))
    a = arrays[name]
    arrays[name] = r.choice(
        (a * np.nan, a + np.inf, a.astype(int), a.astype(str), a[None], a.reshape(-1)[:1], a[..., None],
         a.astype("f2"), a.astype(a.dtype.newbyteorder()), np.float32(1), a[:0], np.concatenate([a, a]))
    )  # fmt: skip


def history_strange(meta, arrays, r):
    name = r.choice([k for k in arrays if k.startswith("history_")])
    strange = [arrays[name].astype(str), arrays[name][None], np.float64(1)]
    arrays[name] = r.choice([*strange, np.append(arrays[name], 1.0)] if "settings" in meta else strange)


def classes_strange(meta, arrays, r):
    c = arrays.get("classes", arrays["W"])
    arrays["classes"] = r.choice((c[:1], np.concatenate([c, c]), c[None], np.array("a")))


def slots_strange(meta, arrays, r):
    slots = [k for k in arrays if k.startswith(("W_", "b_"))]
    if not slots:
        arrays["W_m"] = arrays["W"]
        return
    name = r.choice(slots)
    if r.random() < 0.3:
        del arrays[name]
    else:
        a = arrays[name]
        arrays[name] = r.choice(
            (a[:1], a * np.nan, a.astype("f8" if a.dtype == "f4" else "f4"), np.zeros(1, a.dtype))
        )


FILE_DAMAGES = [
    flip_bits, flip_in_directory, flip_in_directory, cut, hole, inserted, noise, twice, without_one, one_more, renamed,
    other_array, other_array, edited_meta, edited_meta, inflating,
    *map(sealed, (number_gone, number_strange, loss_strange, settings_empty, array_strange, history_strange,
                  classes_strange, slots_strange)),
]  # fmt: skip


def content_of(fit):
    history = {k: v.tolist() for k, v in fit.history.items()}
    classes = None if fit.classes is None else fit.classes.tolist()
    return (
        fit.W.tolist(),
        fit.b.tolist(),
        str(fit.loss),
        fit.scale,
        classes,
        str(history),
        fit.steps,
        fit.preparation,
    )


def command(*arguments):
    """The exit status of the command line; what it raises goes on."""
    from click.testing import CliRunner

    from fastopt.cli import main

    done = CliRunner().invoke(main, [str(a) for a in arguments])
    if done.exception is not None and not isinstance(done.exception, SystemExit):
        raise AssertionError("a traceback on the command line") from done.exception
    return done.exit_code


def try_files(count, seed):
    r, rng = random.Random(seed), np.random.default_rng(seed)
    folder = Path(tempfile.mkdtemp())
    X, y = rng.normal(size=(40, 5)).astype("f4"), np.arange(40) % 3
    np.savez(folder / "data.npz", X=X, y=y)
    model, run, bad = folder / "model.npz", folder / "run.npz", folder / "bad.npz"
    options = {"rule": fo.Adam(0.01), "batch_size": 8, "validation": 0.25, "early_stopping": 9}
    fo.train(X, y, epochs=2, classes=["a", "b", "c"]).save(model)
    fo.train(X, y, epochs=2, checkpoint=run, **options)
    whole = fo.train(X, y, epochs=4, **options)
    written = content_of(Fit.load(model))
    for case in range(count):
        damage, of_run = r.choice(FILE_DAMAGES), r.random() < 0.4
        raw = (run if of_run else model).read_bytes()
        bad.write_bytes(damage(raw, r))
        print(case, damage.__name__, "run" if of_run else "model", flush=True)
        if of_run:
            try:
                fit = fo.train(X, y, epochs=4, checkpoint=bad, **options)
                assert np.array_equal(fit.W, whole.W) and len(fit.history["epoch"]) == 4, "another run"
            except REFUSED as error:
                assert str(error), "an error without words"
            continue
        try:
            assert content_of(Fit.load(bad)) == written, "accepted, but not what was written"
            sound = True
        except REFUSED as error:
            sound = False
            assert isinstance(error, ValueError), f"{type(error).__name__} where ValueError is promised"
        if case % 4 == 0:
            status = command("predict", bad, folder / "data.npz")
            assert (status == 0) == sound, (
                f"exit status {status} of a file that is {'sound' if sound else 'not'}"
            )
    _strange_places(folder, model)


def _strange_places(folder, model):
    """Pipes, devices, folders, links: refused at once, and a file that is no file is left as it is."""
    os.mkfifo(folder / "pipe.npz")
    (folder / "loop.npz").symlink_to(folder / "loop.npz")
    (folder / "link.npz").symlink_to(model)
    assert Fit.load(folder / "link.npz").steps
    for place in (
        folder / "pipe.npz",
        folder,
        Path("/dev/zero"),
        folder / "loop.npz",
        folder / "nothing.npz",
    ):
        print("place", place, flush=True)
        for act in (Fit.load, Fit.load(model).save):
            if act is not Fit.load and place.name == "nothing.npz":
                continue
            try:
                act(place)
                raise AssertionError(f"{place} was accepted")
            except REFUSED:
                pass
        assert command("predict", place, folder / "data.npz") in (1, 2)
    assert (folder / "pipe.npz").is_fifo() and folder.is_dir() and (folder / "loop.npz").is_symlink()


# ---- CSR matrices ----


def put(name, index, value):
    def damage(S, r):
        array = getattr(S, name)
        array[index if isinstance(index, (int, slice)) else r.randrange(len(array))] = value(S, r)

    return damage


def replaced(name, make):
    def damage(S, r):
        object.__setattr__(S, name, make(getattr(S, name), r))

    return damage


def inside(a, b):
    return lambda S, r: r.randrange(a, b)


CSR_DAMAGES = {
    "a column beyond": put("indices", None, lambda S, r: S.shape[1] + r.choice((0, 1, 100, 10**6))),
    "a column far beyond": put("indices", None, lambda S, r: 2**31 - 1),
    "a negative column": put("indices", None, lambda S, r: -r.choice((1, 2, 2**31))),
    "many columns beyond": put("indices", slice(None, None, 7), lambda S, r: 2**31 - 1 - r.randrange(9)),
    "the last column": put("indices", -1, lambda S, r: S.shape[1]),
    "the end beyond": put("indptr", -1, lambda S, r: len(S.data) + r.choice((1, 2, 10**3, 10**8))),
    "the end at the largest": put("indptr", -1, lambda S, r: np.iinfo(S.indptr.dtype).max),
    "the end negative": put("indptr", -1, lambda S, r: -r.choice((1, 10**6))),
    "a begin above 0": put("indptr", 0, inside(1, 9)),
    "a begin below 0": put("indptr", 0, lambda S, r: -r.choice((1, 7, 10**6))),
    "a fall": put("indptr", 20, lambda S, r: -1),
    "a peak": put("indptr", 20, lambda S, r: len(S.data) + r.choice((1, 10**6))),
    "swapped": replaced("indptr", lambda a, r: a[::-1].copy()),
    "pointers of 64 bits": replaced("indptr", lambda a, r: a.astype("i8") + (1 << 40)),
    "too few pointers": replaced("indptr", lambda a, r: a[: r.randrange(1, len(a))]),
    "too many pointers": replaced("indptr", lambda a, r: np.append(a, a[-1:].repeat(r.randrange(1, 9)))),
    "no pointers": replaced("indptr", lambda a, r: a[:0]),
    "pointers of floats": replaced("indptr", lambda a, r: a.astype("f8")),
    "pointers in a matrix": replaced("indptr", lambda a, r: a[None]),
    "no array of pointers": replaced("indptr", lambda a, r: a.tolist()),
    "too few values": replaced("data", lambda a, r: a[: r.randrange(len(a))]),
    "values in a matrix": replaced("data", lambda a, r: a[:, None]),
    "no values": replaced("data", lambda a, r: None),
    "values as objects": replaced("data", lambda a, r: a.astype(object)),
    "values as text": replaced("data", lambda a, r: a.astype(str)),
    "values the other way round": replaced("data", lambda a, r: a.astype(a.dtype.newbyteorder())),
    "complex values": replaced("data", lambda a, r: a.astype(complex)),
    "too few columns": replaced("indices", lambda a, r: a[: r.randrange(len(a))]),
    "columns of 16 bits": replaced("indices", lambda a, r: a.astype("i2")),
    "columns without a sign": replaced("indices", lambda a, r: a.astype("u4")),
    "columns of floats": replaced("indices", lambda a, r: a.astype("f4")),
    "columns of 64 bits": replaced("indices", lambda a, r: a.astype("i8")),
    "no columns": replaced("indices", lambda a, r: None),
    "a narrower shape": replaced("_shape", lambda a, r: (a[0], r.randrange(3))),
    "a taller shape": replaced("_shape", lambda a, r: (a[0] + r.choice((1, 10**6)), a[1])),
    "a shape of one axis": replaced("_shape", lambda a, r: (a[0],)),
}


def entrances(y, dtype):
    """name -> call(S): every way in for a matrix."""
    import scipy.sparse as sp

    good = sp.random_array((60, 40), density=0.3, format="csr", dtype=dtype, rng=np.random.default_rng(0))
    fit = fo.train(good, y, epochs=1)
    W, b = np.zeros((3, 40), dtype), np.zeros(3, dtype)
    calls = {
        "predict": fit.predict,
        "scores": fit.scores,
        "predict_proba": fit.predict_proba,
        "evaluate": lambda S: fit.evaluate(S, y),
        "numeric_linear_gradient": lambda S: fo.numeric_linear_gradient(fo.Softmax(), W, S, y),
        "Objective": lambda S: fo.Objective(fo.Softmax(), S, y).value_and_grad(W, b),
    }
    for backend in ("numba", "c", "numpy"):
        calls |= {
            f"train {backend}": lambda S, e=backend: fo.train(S, y, epochs=1, backend=e),
            f"validation pair {backend}": lambda S, e=backend: fo.train(good, y, epochs=1, validation=(S, y), backend=e),
            f"validation share {backend}": lambda S, e=backend: fo.train(S, y, epochs=1, validation=0.2, backend=e),
            f"batches of one {backend}": lambda S, e=backend: fo.train(S, y, rule=fo.SGD(0.1), epochs=1, batch_size=1, backend=e),
            f"value_and_grad {backend}": lambda S, e=backend: fo.value_and_grad(fo.Softmax(), W, S, y, b, backend=e),
        }  # fmt: skip
    return calls


def try_csr(count, seed):
    import scipy.sparse as sp

    from fastopt.engines import choose

    r = random.Random(seed)
    y = np.arange(60) % 3
    calls = {dtype: entrances(y, dtype) for dtype in ("f4", "f8")}
    if not choose.has_numba():
        calls = {d: {k: v for k, v in c.items() if "numba" not in k} for d, c in calls.items()}
    kinds = list(CSR_DAMAGES)
    for case in range(count):
        kind, dtype = kinds[case % len(kinds)], r.choice(("f4", "f8"))
        make = r.choice((sp.csr_array, sp.csr_matrix))
        S = make(
            sp.random_array((60, 40), density=0.3, format="csr", dtype=dtype, rng=np.random.default_rng(case))
        )
        CSR_DAMAGES[kind](S, r)
        for name, call in calls[dtype].items():
            print(case, kind, name, flush=True)
            try:
                call(copy.copy(S))
            except REFUSED as error:
                assert str(error), "an error without words"
            else:
                raise AssertionError(f"{name} accepted {kind}")


if __name__ == "__main__":
    {"files": try_files, "csr": try_csr}[sys.argv[1]](int(sys.argv[2]), int(sys.argv[3]))
    print("done")
