"""fo.jit.value_and_grad: the gradient of a linear model inside a user's compiled code."""

from typing import NamedTuple

import numpy as np
import pytest

import fastopt as fo
from fastopt.losses import LOSSES

pytest.importorskip("numba")
from numba import njit, prange  # noqa: E402
from numba.core.errors import TypingError  # noqa: E402


class Absolute(NamedTuple):
    slope: float = 1.0

    one_row = "real"

    @staticmethod
    def rows(k, s, y, d):
        d[0] = np.where(s[0] > y, k[0], -k[0])
        return k[0] * np.abs(s[0] - y)


@njit
def with_bias(loss, W, X, y, b, dW, db, l2):
    return fo.jit.value_and_grad(loss, W, X, y, b, dW, db, l2)


@njit
def without_bias(loss, W, X, y, dW):
    return fo.jit.value_and_grad(loss, W, X, y, None, dW, None)


@njit
def in_work(loss, W, X, y, b, dW, db, work):
    return fo.jit.value_and_grad(loss, W, X, y, b, dW, db, 0.0, work)


def model(loss, n=70, features=19, classes=4, dtype="float64"):
    rng = np.random.default_rng(n)
    classes = 1 if loss.one_row == "real" else classes
    X = rng.standard_normal((n, features)).astype(dtype)
    y = rng.standard_normal(n).astype(dtype) if classes == 1 else rng.integers(0, classes, n)
    if type(loss).__name__ == "Poisson":
        y = np.abs(y)
    W, b = rng.standard_normal((classes, features)).astype(dtype), rng.standard_normal(classes).astype(dtype)
    return W, X, y, b


def same_bits(loss, W, X, y, b, l2=0.1):
    dW, db = np.full_like(W, np.nan), np.full_like(b, np.nan)
    value = with_bias(loss, W, X, y, b, dW, db, l2)
    wanted = fo.value_and_grad(loss, W, X, y, b, l2, backend="numba")
    assert value == wanted[0]
    np.testing.assert_array_equal(dW, wanted[1])
    np.testing.assert_array_equal(db, wanted[2])


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_bits(dtype):
    """One row, a block, several groups; own losses; features of the rows as bytes."""
    for n in (0, 1, 70, 2100):
        same_bits(fo.Softmax(), *model(fo.Softmax(), n, dtype=dtype))
    same_bits(Absolute(0.5), *model(Absolute(), dtype=dtype))
    if dtype == "float32":
        W, _, y, b = model(fo.Softmax(), dtype=dtype)
        same_bits(fo.Softmax(), W, np.random.default_rng(0).integers(0, 256, (70, 19), np.uint8), y, b)


@pytest.mark.long
@pytest.mark.parametrize("cls", LOSSES, ids=lambda c: c.__name__)
def test_bits_of_all_losses(cls):
    same_bits(cls(), *model(cls(), 300))
    if cls.one_row == "binary":
        W, X, y, b = model(cls(), 300, classes=2)
        same_bits(cls(), W[:1].copy(), X, y, b[:1].copy())


def test_a_whole_training_run_in_compiled_code():
    loss, rule = fo.Softmax(), fo.Momentum(0.1)

    @njit
    def train(W, b, X, y, epochs, batch):
        dW, db = np.empty_like(W), np.empty_like(b)
        of_W, of_b = fo.jit.state(rule, W), fo.jit.state(rule, b)
        work, t = fo.jit.gradient_workspace(W, X[:batch]), 0
        for _ in range(epochs):
            for i in range(0, len(X), batch):
                part = slice(i, min(i + batch, len(X)))
                fo.jit.value_and_grad(loss, W, X[part], y[part], b, dW, db, 0.01, work)
                t += 1
                fo.jit.step(rule, W, dW, of_W, t)
                fo.jit.step(rule, b, db, of_b, t)

    W, X, y, b = model(loss, 200)
    V, c = W.copy(), b.copy()
    train(W, b, X, y, 3, 32)
    optimizer = fo.Optimizer([V, c], rule)
    for _ in range(3):
        for i in range(0, 200, 32):
            optimizer.step(fo.value_and_grad(loss, V, X[i : i + 32], y[i : i + 32], c, 0.01)[1:])
    np.testing.assert_array_equal(W, V)
    np.testing.assert_array_equal(b, c)


def test_in_prange_and_without_bias():
    loss = fo.Softmax()

    @njit(parallel=True)
    def each(Ws, X, y, dWs, values):
        for i in prange(len(Ws)):
            values[i] = fo.jit.value_and_grad(loss, Ws[i], X, y, None, dWs[i], None)

    W, X, y, _ = model(loss)
    Ws = np.stack([W * j for j in range(6)])
    dWs, values = np.empty_like(Ws), np.empty(6)
    each(Ws, X, y, dWs, values)
    for W, dW, value in zip(Ws, dWs, values, strict=True):
        wanted = fo.value_and_grad(loss, W, X, y, backend="numba")
        assert value == wanted[0] and (dW == wanted[1]).all()


def test_from_python():
    W, X, y, b = model(fo.Softmax())
    dW, db = np.empty_like(W), np.empty_like(b)
    value = fo.jit.value_and_grad(fo.Softmax(), W, X, y, b, dW, db, 0.1)
    wanted = fo.value_and_grad(fo.Softmax(), W, X, y, b, 0.1)
    assert value == wanted[0] and (dW == wanted[1]).all() and (db == wanted[2]).all()
    assert fo.jit.value_and_grad(fo.Softmax(), W, X, y, None, dW, None) > 0


def test_errors():
    loss = fo.Softmax()
    W, X, y, b = model(loss)
    dW, db = np.empty_like(W), np.empty_like(b)
    for given, words in (
        ((fo.SGD(), W, X, y, b, dW, db, 0.0), "loss must be a loss"),
        ((loss, W, X.astype("f4"), y, b, dW, db, 0.0), "X must be a matrix of float64"),
        ((loss, W, X, y.astype("i4"), b, dW, db, 0.0), "y must be a vector of int64"),
        ((fo.SquaredError(), W, X, y, b, dW, db, 0.0), "y must be a vector of float64.*convert"),
        ((loss, W, X[:, ::2], y, b, dW, db, 0.0), "X must be C-contiguous"),
        ((loss, W, X, y, b, dW, None, 0.0), "pass b and db, or None for both"),
        ((loss, W, X, y, b[0], dW, db, 0.0), "b must be an array"),
        ((loss, W[0], X, y, b, dW, db, 0.0), "W must be a matrix"),
    ):
        with pytest.raises(TypingError, match=words):
            with_bias(*given)
    bad = y.copy()
    bad[3] = 4
    kept = dW.copy()
    for given, words in (
        ((loss, W, X, bad, b, dW, db, 0.0), "class number that W has no row for"),
        ((loss, W, X, y - 1, b, dW, db, 0.0), "class number that W has no row for"),
        ((loss, W, X[:-1], y, b, dW, db, 0.0), "must be"),
        ((loss, W, X, y, b[:-1], dW, db, 0.0), r"\(classes,\)"),
        ((loss, W[:-1], X, y, b, dW, db, 0.0), "must be"),
    ):
        with pytest.raises(ValueError, match=words):
            with_bias(*given)
        np.testing.assert_array_equal(dW, kept)
    work = fo.jit.gradient_workspace(W, X)
    assert in_work(loss, W, X, y, b, dW, db, work) > 0
    with pytest.raises(ValueError, match="work is too small"):
        in_work(loss, W, X, y, b, dW, db, work[:-1])


CODE = """
import numpy as np, fastopt as fo
from numba import njit

LOSS = fo.MulticlassHinge(margin=0.5)

@njit(cache=True)
def many(W, X, y, b, dW, db, work, times):
    total = 0.0
    for _ in range(times):
        total += fo.jit.value_and_grad(LOSS, W, X, y, b, dW, db, 0.0, work)
    return total
"""

RUN = """
import sys
sys.path.insert(0, {folder!r})
import numpy as np, fastopt as fo, usercode as m
rng = np.random.default_rng(0)
W, X, y, b = rng.normal(size=(3, 5)), rng.normal(size=(40, 5)), rng.integers(0, 3, 40), np.zeros(3)
dW, db, work = np.empty_like(W), np.empty_like(b), fo.jit.gradient_workspace(W, X)
value, theirs, _ = fo.value_and_grad(m.LOSS, W, X, y, b)
assert np.isclose(m.many(W, X, y, b, dW, db, work, 1), value) and np.allclose(dW, theirs)
import numba.core.runtime as runtime
before = runtime.rtsys.get_allocation_stats().alloc
m.many(W, X, y, b, dW, db, work, 1000)
assert runtime.rtsys.get_allocation_stats().alloc - before < 12
print(sum(m.many.stats.cache_misses.values()))
"""


def test_in_cached_code(numba, python, tmp_path):
    (tmp_path / "usercode.py").write_text(CODE)
    code = RUN.format(folder=str(tmp_path))
    options = {"NUMBA_CACHE_DIR": str(tmp_path / "cache"), "NUMBA_NRT_STATS": "1"}
    assert python(code, timeout=600, **options) == "1\n"
    assert python(code, timeout=600, **options) == "0\n"
