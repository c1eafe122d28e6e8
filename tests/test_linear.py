"""value_and_grad against explicit loops in float64: all losses, back ends, dtypes, odd shapes."""

import re
import tracemalloc

import naive
import numpy as np
import pytest

import fastopt as fo
from fastopt.losses import IN_C

SHAPES = [(1, 1, 1), (2, 3, 5), (3, 15, 7), (5, 16, 33), (7, 17, 31), (7, 54, 100), (10, 784, 33),
          (11, 130, 257), (26, 16, 40), (33, 67, 65), (2, 1100, 20), (1, 1030, 9)]  # fmt: skip
CASES = [fo.Softmax(), fo.MulticlassHinge(), fo.MulticlassHinge(0.5, True), fo.SquaredError(),
         fo.Logistic(), fo.Hinge()]  # fmt: skip
OTHERS = [fo.SquaredHinge(), fo.ModifiedHuber(), fo.CrammerSinger(), fo.Huber(0.7), fo.EpsilonInsensitive(),
            fo.EpsilonInsensitive(0.2, True), fo.Quantile(0.3), fo.Poisson()]  # fmt: skip
losses = pytest.mark.parametrize("loss", CASES, ids=lambda x: re.sub(r"\W+", "-", str(x)).strip("-"))
dtypes = pytest.mark.parametrize("dtype", ["float32", "float64"])


def problem(loss, classes, features, n, dtype, seed=0):
    rng = np.random.default_rng([seed, classes, features, n])
    X = (rng.normal(size=(n, features)) * (rng.random((n, features)) < 0.6)).astype(dtype)
    W = (rng.normal(size=(classes, features)) / features**0.5).astype(dtype)
    b, weight = rng.normal(size=classes).astype(dtype), rng.random(n).astype(dtype) + dtype_one(dtype) / 8
    y = rng.integers(0, 2 if classes == 1 and loss.one_row == "binary" else classes, n)
    if classes == 1 and loss.one_row == "real":
        y = rng.normal(size=n).astype(dtype)
    return W, X, y, b, weight


def dtype_one(dtype):
    return np.dtype(dtype).type(1)


def snake(loss):
    return re.sub(r"(?<!^)(?=[A-Z])", "_", type(loss).__name__).lower()


def oracle(loss, W, X, y, b=None, l2=0.0, sample_weight=None):
    """The mean of naive.py's losses of single rows, and the gradient by the chain rule, in float64."""
    W, X = np.asarray(W, np.float64), np.asarray(X, np.float64)
    weight = np.ones(len(X)) if sample_weight is None else np.asarray(sample_weight, np.float64)
    scores = X @ W.T + (0 if b is None else np.asarray(b, np.float64))
    labels = [v.item() for v in y]
    rows = [naive.LOSSES[snake(loss)](s, v, **loss._asdict()) for s, v in zip(scores, labels, strict=True)]
    each = np.array([row[0] for row in rows])
    dscores = np.array([row[1] for row in rows]) * (weight / weight.sum())[:, None]
    value = each @ weight / weight.sum() + l2 * (W * W).sum()
    return value, dscores.T @ X + 2 * l2 * W, dscores.sum(axis=0)


def assert_close(found, expected, dtype):
    tolerance = 3e-5 if dtype == "float32" else 1e-12
    for a, b in zip(found, expected, strict=True):
        assert np.max(np.abs(a - b)) <= tolerance * (1 + np.max(np.abs(b)))


@pytest.mark.parametrize("loss", OTHERS, ids=lambda x: re.sub(r"\W+", "-", str(x)).strip("-"))
@dtypes
def test_other_losses_against_loops(loss, dtype, backend):
    if backend == "c" and type(loss) not in IN_C:
        pytest.skip("not in the C library")
    sparse = pytest.importorskip("scipy.sparse")
    for classes, features, n in [(1, 1, 1), (1, 30, 9), (7, 17, 31), (33, 20, 65)]:
        W, X, y, b, weight = problem(loss, classes, features, n, dtype)
        for given in (X, sparse.csr_array(X)):
            options = {"b": b, "l2": 0.3, "sample_weight": weight}
            found = fo.value_and_grad(loss, W, given, y, backend=backend, **options)
            assert_close(found, oracle(loss, W, X, y, **options), dtype)


@losses
@dtypes
@pytest.mark.parametrize("form", ["dense", "csr32", "csr64"])
def test_against_loops(loss, dtype, form, backend):
    if form != "dense":
        sparse = pytest.importorskip("scipy.sparse")
    for classes, features, n in SHAPES:
        W, X, y, b, weight = problem(loss, classes, features, n, dtype)
        given = X
        if form != "dense":
            given = sparse.csr_array(X)
            kind = np.int32 if form == "csr32" else np.int64
            given.indices, given.indptr = given.indices.astype(kind), given.indptr.astype(kind)
        for options in ({}, {"b": b, "l2": 0.3, "sample_weight": weight}, {"b": b}):
            found = fo.value_and_grad(loss, W, given, y, backend=backend, **options)
            expected = oracle(loss, W, X, y, **options)
            assert_close(found, expected[: len(found)], dtype)


@dtypes
@pytest.mark.parametrize("form", ["dense", "csr"])
def test_same_bits_for_any_number_of_threads(dtype, form, backend):
    W, X, y, b, weight = problem(fo.Softmax(), 10, 130, 5000, dtype)
    if form == "csr":
        X = pytest.importorskip("scipy.sparse").csr_array(X)
    first = fo.value_and_grad(fo.Softmax(), W, X, y, b, 0.1, weight, backend=backend, threads=1)
    for threads in (2, 3, 64):
        again = fo.value_and_grad(fo.Softmax(), W, X, y, b, 0.1, weight, backend=backend, threads=threads)
        assert first[0] == again[0]
        assert all(np.array_equal(p, q) for p, q in zip(first[1:], again[1:], strict=True))


def test_bytes_are_scaled_while_read(backend):
    rng = np.random.default_rng(0)
    for classes, features, n in [(10, 784, 100), (3, 17, 45), (2, 1100, 40)]:
        X = rng.integers(0, 256, (n, features), dtype=np.uint8)
        W = (rng.normal(size=(classes, features)) / 20).astype(np.float32)
        y = rng.integers(0, classes, n)
        for scale, factor in ((None, 1 / 255), (0.5, 0.5)):
            found = fo.value_and_grad(fo.Logistic(), W, X, y, backend=backend, scale=scale)
            assert_close(found, oracle(fo.Logistic(), W, X * factor, y)[:2], "float32")


def test_an_integer_weight_is_a_row_that_stands_twice(backend):
    W, X, y, b, _ = problem(fo.Softmax(), 3, 5, 20, "float64")
    weight = np.arange(20) % 3
    weighted = fo.value_and_grad(fo.Softmax(), W, X, y, b, sample_weight=weight, backend=backend)
    repeated = fo.value_and_grad(fo.Softmax(), W, X.repeat(weight, 0), y.repeat(weight), b, backend=backend)
    assert_close(weighted, repeated, "float64")


def test_out(backend):
    W, X, y, b, _ = problem(fo.Softmax(), 3, 5, 20, "float64")
    value, dW, db = fo.value_and_grad(fo.Softmax(), W, X, y, b, backend=backend)
    out = np.full_like(W, 7), np.full_like(b, 7)
    again = fo.value_and_grad(fo.Softmax(), W, X, y, b, backend=backend, out=out)
    assert again[1] is out[0] and again[2] is out[1] and again[0] == value
    assert np.array_equal(out[0], dW) and np.array_equal(out[1], db)
    both = np.zeros(16)
    for bad in ((X[:3], db), (W, db), (both[:15].reshape(3, 5), both[13:])):
        with pytest.raises(ValueError, match="overlap"):
            fo.value_and_grad(fo.Softmax(), W, X, y, b, backend=backend, out=bad)


def test_broken_csr(backend):
    sparse = pytest.importorskip("scipy.sparse")
    W, X, y, _, _ = problem(fo.Softmax(), 3, 5, 20, "float64")
    for at, value in ((-1, 10_000), (0, 1), (3, 10_000)):
        broken = sparse.csr_matrix(X)
        broken.indptr[at] = value
        with pytest.raises(ValueError, match="indptr"):
            fo.value_and_grad(fo.Softmax(), W, broken, y, backend=backend)


def test_arrays_in_any_layout(backend):
    W, X, y, b, weight = problem(fo.Softmax(), 4, 6, 30, "float64")
    expected = fo.value_and_grad(fo.Softmax(), W, X, y, b, sample_weight=weight, backend=backend)
    wide = np.zeros((60, 13))
    wide[::2, 1:13:2] = X
    for other in (np.asfortranarray(X), wide[::2, 1:13:2], X[::-1][::-1]):
        found = fo.value_and_grad(
            fo.Softmax(), np.asfortranarray(W), other, y.astype(np.int16), b[::-1].copy()[::-1],
            sample_weight=np.repeat(weight, 2)[::2], backend=backend,
        )  # fmt: skip
        assert_close(found, expected, "float64")


@pytest.mark.parametrize("form", ["float32", "uint8", "csr"])
@pytest.mark.parametrize("n, features, classes", [(1000, 300, 10), (40_000, 300, 10), (2000, 2000, 500)])
def test_extra_memory(need, form, n, features, classes):
    """At most 16 MB and two W for each thread, however many rows there are."""
    need("numba")
    rng = np.random.default_rng(0)
    X = rng.integers(0, 255, (n, features), np.uint8)
    if form == "csr":
        X = pytest.importorskip("scipy.sparse").csr_array(X * (X > 230), dtype="float32")
    elif form == "float32":
        X = X.astype(form)
    W, y = np.zeros((classes, features), np.float32), rng.integers(0, classes, n)
    out = np.empty_like(W)
    for threads in (1, 2):
        arguments = {"out": out, "threads": threads, "backend": "numba"}
        fo.value_and_grad(fo.Softmax(), W, X, y, **arguments)  # compiles
        tracemalloc.start()
        fo.value_and_grad(fo.Softmax(), W, X, y, **arguments)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert peak < (16 << 20) + 2 * W.nbytes * threads


def test_no_rows(backend):
    W = np.ones((3, 4))
    value, dW, db = fo.value_and_grad(
        fo.Softmax(), W, np.empty((0, 4)), np.empty(0, int), np.zeros(3), 0.5, backend=backend
    )
    assert value == 6 and (dW == 1).all() and (db == 0).all()


def test_nan_in_x_gives_nan(backend):
    W, X, y, b, _ = problem(fo.Softmax(), 3, 5, 40, "float32")
    X[33, 2] = np.nan
    value, dW, db = fo.value_and_grad(fo.Softmax(), W, X, y, b, backend=backend)
    assert np.isnan(value) and np.isnan(dW).any()


REFUSED = [
    ({"X": np.ones((4, 3), np.float32)}, "float32"),
    ({"X": np.ones((4, 3), np.int64)}, "int64"),
    ({"X": np.ones((4, 2))}, "features"),
    ({"X": np.ones(4)}, "X"),
    ({"X": [[1.0]]}, "X"),
    ({"y": np.array([0, 1, 2, 0])}, "y"),
    ({"y": np.array([0, -1, 0, 0])}, "y"),
    ({"y": np.array([0, 2**63 + 1, 0, 0], np.uint64)}, r"y\[1\] is 9223372036854775809"),
    ({"y": np.zeros(3, int)}, "y"),
    ({"y": np.zeros(4)}, "y"),
    ({"W": np.ones((2, 3), np.float16)}, "W"),
    ({"W": np.ones(3)}, "W"),
    ({"b": np.zeros(3)}, "b"),
    ({"b": np.zeros(2, np.float32)}, "b"),
    ({"l2": -1.0}, "l2"),
    ({"l2": "a"}, "l2 must be a number, at least 0, not 'a'"),
    ({"sample_weight": np.array([1, -1, 1, 1.0])}, "sample_weight"),
    ({"sample_weight": np.array([1, np.nan, 1, 1.0])}, "sample_weight"),
    ({"sample_weight": np.zeros(4)}, "sample_weight"),
    ({"sample_weight": np.ones(3)}, "sample_weight"),
    ({"out": np.zeros((2, 3), np.float32)}, "out"),
    ({"out": np.zeros((3, 2))}, "out"),
    ({"scale": 2.0}, "scale"),
    ({"loss": fo.Softmax}, "Softmax"),
]


@pytest.mark.parametrize(
    ("changes", "word"), REFUSED, ids=[f"{next(iter(c))}-{i}" for i, (c, _) in enumerate(REFUSED)]
)
def test_what_is_refused(changes, word, backend):
    arguments = {
        "loss": fo.Softmax(),
        "W": np.ones((2, 3)),
        "X": np.ones((4, 3)),
        "y": np.array([0, 1, 0, 1]),
    }
    arguments |= changes
    with pytest.raises((TypeError, ValueError), match=word):
        fo.value_and_grad(backend=backend, **arguments)


def test_hot_kernels_hold_packed_instructions(numba):
    """A float32 kernel multiplies vectors of single precision and nothing in double precision."""
    import platform

    if platform.machine() not in ("x86_64", "AMD64"):
        pytest.skip("reads x86 assembly")
    from fastopt.kernels.gradient import linear
    from fastopt.kernels.language.memory import element_type
    from fastopt.kernels.language.table import arguments
    from fastopt.kernels.tables import PROBLEM

    h = element_type("float32")
    for kernel, integers in ((linear.block_scores, 6), (linear.block_gradient, 8)):
        fresh = type(kernel)(kernel.py_func, targetoptions=dict(kernel.targetoptions))
        fresh.compile((h, *arguments(PROBLEM, integers)))
        (text,) = fresh.inspect_asm().values()
        assert re.search(r"\b(vfmadd\w*ps|v?mulps)\b", text)
        assert not re.search(r"\bv?(fmadd\w*|mul|add|sub)[ps]d\b", text)
        vectors = re.findall(r"\bvfmadd\w*ps\b", text)
        scalars = re.findall(r"\bvfmadd\w*ss\b", text)
        assert len(scalars) <= len(vectors) / 50
