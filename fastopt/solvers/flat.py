"""Rows as dual ascent reads them: flat values, indices and ends."""

import numpy as np


def all_ones(values, at_once=1 << 15):
    """Whether they are; in parts that stay in the cache, and no longer than they are."""
    return all((values[k : k + at_once] == 1).all() for k in range(0, len(values), at_once))


def triple(rows, scaling):
    """(values, int32 indices, int64 indptr) of the rows, flat; dense ones have no indices."""
    if rows.sparse is not None:
        values, indices, indptr = rows.sparse
        if scaling is not None:
            values = values / scaling.scale[indices].astype(values.dtype)
        return values, indices.astype(np.int32, copy=False), indptr.astype(np.int64, copy=False)
    X = rows.matrix(slice(None))
    if scaling is not None:
        X = ((X - scaling.mean) / scaling.scale).astype(rows.dtype)
    return np.ascontiguousarray(X).reshape(-1), np.zeros(0, np.int32), np.zeros(0, np.int64)


def without_zeros(values, indices, indptr, features):
    """The same, of dense rows as CSR ones where half of the entries are 0 (four of five of MNIST: half the time)."""
    used = values.nonzero()[0]
    if len(indptr) or 2 * len(used) >= len(values):
        return values, indices, indptr
    ends = np.searchsorted(used, np.arange(0, len(values) + 1, features))
    return values[used], (used % features).astype(np.int32), ends.astype(np.int64)


def in_double(own, data):
    """The float64 Rows of one class that `triple` gave."""
    values, indices, indptr = data
    values, X, triple = values.astype(np.float64, copy=False), None, None
    if own.is_sparse:
        kind = np.int32 if len(values) < 1 << 31 else np.int64
        triple = values, indices.astype(kind, copy=False), indptr.astype(kind)
    else:
        X = values.reshape(own.n, own.features)
    y = np.zeros(own.n, np.float64 if own.y.dtype.kind == "f" else np.int64)
    return own._replace(
        X=X, sparse=triple, y=y, weight=None, classes=1, dtype=np.dtype(np.float64), scale=1.0
    )
