"""X as the engines read it."""

import numpy as np
from scipy import sparse

READ = (np.dtype(np.float32), np.dtype(np.float64), np.dtype(np.uint8))


def readable(X):
    """X, checked by scikit-learn, in a dtype and order that the engines read; itself where it is."""
    if sparse.issparse(X):
        return _readable_sparse(X)
    if X.dtype not in READ or not X.dtype.isnative:
        X = X.astype(_float_for(X.dtype), order="C")
    return np.ascontiguousarray(X)


def _readable_sparse(X):
    if X.indices.dtype != X.indptr.dtype:
        wide = np.promote_types(X.indices.dtype, X.indptr.dtype)
        made = type(X)(X.shape, dtype=X.dtype)
        made.data, made.indices, made.indptr = X.data, X.indices.astype(wide), X.indptr.astype(wide)
        X = made
    return X if X.dtype in READ[:2] else X.astype(_float_for(X.dtype))


def _float_for(dtype):
    """float32 where it holds every value."""
    small = dtype.kind in "iub" and dtype.itemsize <= 2 or dtype.kind == "f" and dtype.itemsize <= 4
    return np.dtype(np.float32 if small else np.float64)


def dtype_of(X):
    """That of the model of these rows."""
    return np.dtype(np.float32) if X.dtype == np.uint8 else X.dtype
