"""Scores of dense rows: what predictions are made of."""

import numpy as np

from fastopt import engines, losses, native
from fastopt.arrays import FLOATS
from fastopt.engines import choose
from fastopt.kernels.gradient.problem import PARALLEL_WORK
from fastopt.kernels.gradient.sizes import block_rows
from fastopt.rows import Rows
from fastopt.threads import checked_threads, share

KEPT, CONVERTED = 8 << 20, 2 << 20  # bytes of scores at once; of rows in another dtype or order
PIECES = 16  # that threads share


def row_scores(X, W, b, scale=1.0, threads=None):
    """X W^T + b, (n, classes), of the wider dtype of X and W; of W's for uint8 rows, which are multiplied by `scale`.

    X: (n, features) numbers in any order; W: (classes, features), b: (classes,) or None. By the compiled loops the bits
    of a row's scores depend on that row alone, not on the rows beside it, as those of a product by BLAS do: labels do not
    change with how rows are cut into pieces. NumPy's engine makes no such promise.
    """
    raw = X.dtype == np.uint8
    dtype = W.dtype if raw else np.result_type(X.dtype, W.dtype)
    if dtype not in FLOATS:
        dtype = np.dtype(np.float64)
    if X.shape[1:] != W.shape[1:] or b is not None and b.shape != W.shape[:1]:
        raise ValueError(f"rows of {X.shape[1]} features, and W {W.shape}, b {np.shape(b)}")
    W, b = np.ascontiguousarray(W, dtype), None if b is None else np.ascontiguousarray(b, dtype)
    read = X.flags.c_contiguous and X.flags.aligned and (raw or X.dtype == dtype and X.dtype.isnative)
    n, features = X.shape
    out, threads = np.empty((n, len(W)), dtype), checked_threads(threads)
    size = max(1, n if read else CONVERTED // dtype.itemsize // max(1, features, len(W)))
    for begin in range(0, n, size):
        part = X[begin : begin + size]
        if not read:
            part = np.ascontiguousarray(part, X.dtype if raw else dtype)
        _write_scores(part, W, b, scale if raw else 1.0, out[begin : begin + size], threads)
    return out


def _write_scores(X, W, b, scale, out, threads):
    name, n = choose.resolve(), len(X)
    if name != "numpy" and choose.has_c():  # Numba's bits, and nothing to compile
        block = block_rows(X.shape[1] * out.itemsize)
        size = n if X.size * len(W) < PARALLEL_WORK else -(-n // PIECES // block) * block

        def write(begin):
            native.row_scores(X, W, b, scale, block, begin, min(begin + size, n), out)

        share(write, range(0, n, size), threads)
        return
    y, size = np.zeros(n, out.dtype), max(1, KEPT // out.itemsize // max(1, len(W)))
    for begin in range(0, n, size):
        part = X[begin : begin + size]
        rows = Rows(part, None, y[: len(part)], None, *part.shape, len(W), out.dtype, scale)
        with np.errstate(all="ignore"):
            passes = engines.get(name).bind_passes(losses.SquaredError(), rows, threads)
            kept = passes.slot()
            passes.scores(W, b, kept)
            out[begin : begin + size] = passes.by_row(kept)
