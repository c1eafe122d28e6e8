"""Value and gradient of a linear model: scores X W^T + b, a loss of them, a penalty on W."""

import numpy as np

from fastopt import losses, native
from fastopt.arrays import check_float, check_parameter, checked_l2, meet, span
from fastopt.engines import choose
from fastopt.rows import check_columns, checked_rows
from fastopt.threads import checked_threads

BLOCK = 2048  # rows scored at once by the NumPy back end
ALONE = 1 << 20  # multiply-adds below which it takes longer to ask how many threads there are (60 us)


def value_and_grad(
    loss, W, X, y, b=None, l2=0.0, sample_weight=None, backend=None, *, out=None, threads=None, scale=None
):
    """value = sum_i w_i L_i / sum_i w_i + l2*sum(W**2), and its gradient.

    W: (rows, features) float32 or float64, C-ordered: a row a class; one row for two classes with
        Logistic or Hinge, and for regression with SquaredError.
    X: (n, features) of W's dtype, C-ordered, or scipy CSR; or uint8, multiplied by `scale` (1/255)
        inside the loop, with a float32 W. y: (n,) class numbers, or real targets for regression.
    b: (rows,) or None; it is not penalised. sample_weight: (n,), 1 each without.
    out: a dW, or (dW, db), to write to. Returns (value, dW) or (value, dW, db) with a b.

    X is read once, in blocks; the sums do not depend on `threads`. With no rows the value is that
    of the penalty. Raises TypeError or ValueError naming the argument that does not fit.
    Source of the formulas: the docstring of each loss.
    """
    losses.checked(loss)
    W, b = _checked_weights(W, b)
    backend = choose.resolve(backend, loss=loss)
    rows = checked_rows(
        loss, X, y, rows=len(W), dtype=W.dtype, scale=scale, weight=sample_weight, columns=backend != "numba"
    )
    if rows.features != W.shape[1]:
        raise ValueError(f"X has {rows.features} features, W has {W.shape[1]}")
    l2 = checked_l2(l2)
    dW, db = _buffers(out, W, b, rows)
    if threads is None and rows.entries * len(W) < ALONE:
        threads = 1
    threads = checked_threads(threads)
    gradient = {"numba": _numba_gradient, "c": _c_gradient, "numpy": _numpy_gradient}[backend]
    value = gradient(loss, W, b, rows, l2, dW, db, threads)
    return (value, dW) if b is None else (value, dW, db)


def _checked_weights(W, b):
    if not isinstance(W, np.ndarray) or W.ndim != 2 or not W.shape[0]:
        raise ValueError(f"W must be an array (rows, features), not {type(W).__name__} {np.shape(W)}")
    check_float(W, "W")
    if b is not None:
        if not isinstance(b, np.ndarray) or b.shape != W.shape[:1]:
            raise ValueError(f"b must be an array of shape {W.shape[:1]}, not {np.shape(b)}")
        if b.dtype != W.dtype:
            raise TypeError(f"b is {b.dtype}, W is {W.dtype}: convert one of them")
        b = np.ascontiguousarray(b)
    return np.ascontiguousarray(W), b


def _buffers(out, W, b, rows):
    """dW and db: the user's, checked, or new ones."""
    if out is None:
        return np.empty_like(W), None if b is None else np.empty_like(b)
    given = (out,) if isinstance(out, np.ndarray) else tuple(out)
    wanted = (W,) if b is None else (W, b)
    if len(given) != len(wanted):
        raise ValueError(f"out must be {'dW' if b is None else '(dW, db)'}, not {len(given)} arrays")
    read = (W, b, rows.X, rows.y, rows.weight, *(rows.sparse or ()))
    spans = [span(array) for array in read if array is not None]
    for name, array, like in zip(("dW", "db"), given, wanted, strict=False):
        check_parameter(array, f"out: {name}")
        if array.shape != like.shape or array.dtype != like.dtype or not array.flags.c_contiguous:
            raise ValueError(f"out: {name} must be C-ordered {like.dtype}{like.shape}")
        own = span(array)
        if any(meet(own, other) for other in spans):
            raise ValueError(f"out: {name} overlaps W, b, X, y or sample_weight in memory")
    if b is not None and meet(span(given[0]), span(given[1])):
        raise ValueError("out: dW and db overlap in memory")
    return given if b is not None else (given[0], None)


def numpy_gradient(loss, W, b, rows, l2):
    """(value, dW, db) in plain NumPy, block by block."""
    dW, db = np.zeros_like(W), None if b is None else np.zeros_like(b)
    value = _numpy_gradient(loss, W, b, rows, l2, dW, db, 1)
    return value, dW, db


def _numpy_gradient(loss, W, b, rows, l2, dW, db, threads):
    k, y = tuple(map(float, loss)), rows.labels(loss)
    dW[...] = 0
    if db is not None:
        db[...] = 0
    total = 0.0
    with np.errstate(all="ignore"):
        for begin in range(0, rows.n, BLOCK):
            part = slice(begin, begin + BLOCK)
            X = rows.matrix(part)
            s = np.ascontiguousarray((X @ W.T).T)
            if b is not None:
                s += b[:, None]
            d = np.empty_like(s)
            loss_rows = loss.rows(k, s, y[part], d)
            if rows.weight is not None:
                loss_rows = loss_rows * rows.weight[part]
                d *= rows.weight[part]
            total += float(np.sum(loss_rows, dtype=np.float64))
            dW += (X.T @ d.T).T
            if db is not None:
                db += d.sum(axis=1)
        factor = _one_over_weights(rows)
        dW *= dW.dtype.type(factor)
        if l2:
            dW += dW.dtype.type(2 * l2) * W
        if db is not None:
            db *= db.dtype.type(factor)
        return total * factor + (l2 * float(np.sum(np.square(W, dtype=np.float64))) if l2 else 0.0)


def _one_over_weights(rows):
    total = rows.n if rows.weight is None else float(np.sum(rows.weight, dtype=np.float64))
    return 1 / total if total else 0.0


def c_data(loss, rows, order=None):
    """The rows in the form that the C library reads."""
    X = rows.X if rows.sparse is None else rows.sparse
    number = native.LOSSES.index(type(loss).__name__)
    return native.Data(
        number, loss, X, rows.y, rows.features, rows.rows, weight=rows.weight, order=order, scale=rows.scale
    )


def _c_gradient(loss, W, b, rows, l2, dW, db, threads):
    total = native.gradient(c_data(loss, rows), W, b, rows.n, dW, db, threads)
    factor = _one_over_weights(rows)
    dW *= dW.dtype.type(factor)
    if l2:
        dW += dW.dtype.type(2 * l2) * W
        total += l2 * float(np.sum(np.square(W, dtype=np.float64))) / (factor or 1.0)
    if db is not None:
        db *= db.dtype.type(factor)
    return total * (factor or 1.0)


def _numba_gradient(loss, W, b, rows, l2, dW, db, threads):
    from fastopt.kernels.gradient.problem import Problem, gradient

    problem = Problem(rows, loss, unchecked=rows.sparse is not None)
    value = gradient(problem, W, b, dW, db, _one_over_weights(rows), l2, threads)
    if value is None:
        check_columns(rows.sparse[1], rows.features)
    return value
