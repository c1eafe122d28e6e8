"""Scores of dense rows: what predictions are made of."""

import numpy as np

from fastopt import engines, losses
from fastopt.arrays import FLOATS
from fastopt.engines import choose
from fastopt.rows import Rows
from fastopt.threads import checked_threads

KEPT, CONVERTED = 8 << 20, 2 << 20  # bytes of scores at once; of rows in another dtype or order


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
    name = choose.resolve()
    engine = engines.get(
        "c" if name == "numba" and choose.has_c() else name
    )  # the same bits, nothing to compile
    read = X.flags.c_contiguous and X.flags.aligned and (raw or X.dtype == dtype and X.dtype.isnative)
    n, features = X.shape
    numbers = (KEPT if read else CONVERTED) // dtype.itemsize
    size = max(1, numbers // (len(W) if read else max(features, len(W))))
    out, threads = np.empty((n, len(W)), dtype), checked_threads(threads)
    y = np.zeros(min(n, size), dtype)
    for begin in range(0, n, size):
        part = X[begin : begin + size]
        if not read:
            part = np.ascontiguousarray(part, X.dtype if raw else dtype)
        count = len(part)
        rows = Rows(part, None, y[:count], None, count, features, len(W), dtype, scale if raw else 1.0)
        with np.errstate(all="ignore"):
            passes = engine.bind_passes(losses.SquaredError(), rows, threads)
            kept = passes.slot()
            passes.scores(W, b, kept)
            out[begin : begin + count] = passes.by_row(kept)
    return out
