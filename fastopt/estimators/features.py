"""X as the engines read it."""

import numpy as np
from scipy import sparse

from fastopt.rows import Rows
from fastopt.solvers.scaling import column_scaling

READ = (np.dtype(np.float32), np.dtype(np.float64), np.dtype(np.uint8))
SAMPLE = 1000  # rows that say how long a row is


def readable(X):
    """X, checked by scikit-learn, in a dtype and order that the engines read; itself where it is."""
    if sparse.issparse(X):
        return _readable_sparse(X)
    if X.dtype not in READ or not X.dtype.isnative:
        X = X.astype(float_for(X.dtype), order="C")
    return np.ascontiguousarray(X)


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
    return np.dtype(np.float32) if X.dtype == np.uint8 else X.dtype


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
