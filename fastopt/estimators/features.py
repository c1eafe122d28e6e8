"""X as the engines read it."""

import numpy as np
from scipy import sparse

from fastopt.outofcore.arrays import ArraySource
from fastopt.rows import Rows
from fastopt.solvers.scaling import column_scaling

READ = (np.dtype(np.float32), np.dtype(np.float64), np.dtype(np.uint8))
SAMPLE = 1000  # rows that say how long a row is
COPIED = 8 << 20  # bytes of X up to which a copy does not matter
BLOCK = 2 << 20  # bytes of a block of what is larger: of three, one is computed with, others are read


def readable(X):
    """X, checked by scikit-learn, in a dtype and order that the engines read; itself where it is, or where a
    copy would be large: see `Blocks`."""
    if sparse.issparse(X):
        return _readable_sparse(X)
    return X if X.size * float_for(X.dtype).itemsize > COPIED else whole(X)


def is_read(X):
    """Whether the engines read it as it is."""
    return sparse.issparse(X) or X.dtype in READ and X.dtype.isnative and X.flags.c_contiguous


def whole(X):
    """X, or a copy of it that the engines read."""
    if is_read(X):
        return X
    return np.ascontiguousarray(X, X.dtype if X.dtype in READ and X.dtype.isnative else float_for(X.dtype))


class Blocks(ArraySource):
    """An array in another dtype or order than the engines read, as a source: blocks of rows are converted, one while
    another is computed with, again at every pass.

    batch: rows that a block holds at least.
    """

    name = "X"

    def __init__(self, X, y=None, weight=None, batch=1):
        super().__init__(X, y, weight)
        self.dtype = dtype_of(X)
        rows = max(1, BLOCK // max(1, self.features * self.dtype.itemsize))
        self.part_rows = max(1 << (rows.bit_length() - 1), 1 << (batch - 1).bit_length())

    def _converted(self, X):
        return np.ascontiguousarray(X, self.dtype)

    def at(self, which):
        return self._converted(super().at(which))

    def pieces(self, size):
        for X, y, weight in super().pieces(size):
            yield self._converted(X), y, weight

    def shuffled(self, size, rng):
        for X, numbers, weight in super().shuffled(size, rng):
            yield self._converted(X), numbers, weight


def _readable_sparse(X):
    if X.indices.dtype != X.indptr.dtype:
        wide = np.promote_types(X.indices.dtype, X.indptr.dtype)
        made = type(X)(X.shape, dtype=X.dtype)
        made.data, made.indices, made.indptr = X.data, X.indices.astype(wide), X.indptr.astype(wide)
        X = made
    return X if X.dtype in READ[:2] else X.astype(float_for(X.dtype))


def float_for(dtype):
    """float32 where it holds every value."""
    small = dtype.kind in "iub" and dtype.itemsize <= 2 or dtype.kind == "f" and dtype.itemsize <= 4
    return np.dtype(np.float32 if small else np.float64)


def dtype_of(X):
    """That of the model of these rows."""
    return float_for(X.dtype)


def mean_square(X):
    """The mean of |x|^2 over some of the rows, spread over all."""
    some = X[:: max(1, X.shape[0] // SAMPLE)]
    values = some.data if sparse.issparse(some) else some
    return float(np.sum(np.square(values, dtype=np.float64))) / max(1, some.shape[0])


def standardized(X, weight, fit_intercept):
    """(a copy of X with columns of mean 0 and deviation 1, the solvers' Scaling); sparse rows keep their mean."""
    dtype = dtype_of(X)
    triple = (X.data, X.indices, X.indptr) if sparse.issparse(X) else None
    rows = Rows(None if triple else X, triple, np.empty(0), weight, *X.shape, 1, dtype, 1.0)
    scaling = column_scaling(rows, fit_intercept)
    if triple:
        return sparse.csr_array(X.multiply(1 / scaling.scale)).astype(dtype), scaling
    made, mean, scale = np.empty(X.shape, dtype), scaling.mean.astype(dtype), scaling.scale.astype(dtype)
    for begin in range(0, len(X), SAMPLE):
        part = slice(begin, begin + SAMPLE)
        made[part] = (X[part] - mean) / scale
    return made, scaling
