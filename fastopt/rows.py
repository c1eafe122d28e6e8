"""The rows of a linear model: X, y and weights, checked once and in the form that kernels read."""

from typing import NamedTuple

import numpy as np

from fastopt.arrays import FLOATS, checked_number

SPARSE = "csr_matrix or csr_array"


class Rows(NamedTuple):
    """n rows of features.

    X: C-ordered float32, float64 or uint8 (multiplied by scale), or None when sparse is the triple
        (data, indices, indptr). y: int64 class numbers, or targets of dtype for regression.
    weight: of dtype, or None. dtype: that of W and of the arithmetic. classes: the rows of W.
    """

    X: np.ndarray | None
    sparse: tuple | None
    y: np.ndarray
    weight: np.ndarray | None
    n: int
    features: int
    classes: int
    dtype: np.dtype
    scale: float

    @property
    def entries(self):
        """Numbers of X that are there."""
        return self.n * self.features if self.sparse is None else len(self.sparse[0])

    @property
    def work(self):
        """Multiply-adds of the scores of all rows; an entry of a sparse row takes as long as some 64."""
        return self.entries * (self.classes if self.sparse is None else max(64, 4 * self.classes))

    @property
    def weight_sum(self):
        return float(self.n if self.weight is None else np.sum(self.weight, dtype=np.float64))

    @property
    def one_over_weights(self):
        """What makes a mean of a sum over the rows; 0 where there are none."""
        total = self.weight_sum
        return 1 / total if total else 0.0

    def labels(self, loss):
        """y as the loss's formula wants it: see fastopt.losses on models of one row."""
        return self.y - 1 if self.classes == 1 and loss.one_row == "binary" else self.y

    def matrix(self, which):
        """Some of the rows as a matrix of dtype: a slice or an array of row numbers."""
        if self.sparse is not None:
            from scipy.sparse import csr_array

            return csr_array(self.sparse, shape=(self.n, self.features))[which]
        X = self.X[which]
        return X if X.dtype == self.dtype else X * self.dtype.type(self.scale)

    def take(self, which):
        """Some of the rows: a slice or an array of row numbers."""
        X, sparse, scale = self.matrix(which), None, 1.0
        if self.sparse is not None:
            X, sparse = None, (X.data, X.indices, X.indptr)
        weight = None if self.weight is None else self.weight[which]
        y = self.y[which]
        return self._replace(X=X, sparse=sparse, y=y, weight=weight, n=len(y), scale=scale)


def checked_rows(loss, X, y, *, classes=None, dtype=None, scale=None, weight=None, columns=True):
    """Rows, or TypeError/ValueError saying which argument does not fit and what would.

    classes and dtype are W's rows and dtype where there is one; else they follow from y and X. columns=False
    leaves the column numbers of a CSR matrix to `check_columns`.
    """
    sparse = hasattr(X, "indptr")
    if not sparse and not isinstance(X, np.ndarray):
        raise TypeError(f"X must be a NumPy array or a scipy {SPARSE}, not {type(X).__name__}")
    if X.ndim != 2:
        raise ValueError(f"X must be (n, features), not {X.shape}")
    n, features = X.shape
    dtype = _dtype(X, sparse, dtype)
    y, classes = _labels(loss, y, n, classes, dtype)
    if scale is None:
        scale = 1 / 255 if X.dtype == np.uint8 else 1.0
    elif X.dtype != np.uint8 and scale != 1:
        raise ValueError(f"scale is for uint8 features; X is {X.dtype}: multiply it beforehand")
    scale = checked_number(scale, "scale", "a number")
    weight = _weights(weight, n, dtype)
    if sparse:
        return Rows(None, _csr(X, columns), y, weight, n, features, classes, dtype, 1.0)
    return Rows(np.ascontiguousarray(X), None, y, weight, n, features, classes, dtype, scale)


def _dtype(X, sparse, dtype):
    if X.dtype == np.uint8 and not sparse:
        dtype = np.dtype(np.float32) if dtype is None else dtype
        if dtype != np.float32:
            raise TypeError(f"uint8 features are computed in float32; W is {dtype}")
        return dtype
    if X.dtype not in FLOATS or not X.dtype.isnative:
        kinds = "float32 or float64" if sparse else "float32, float64 or uint8"
        raise TypeError(f"X must be {kinds}, not {X.dtype}; convert it: X.astype('float32')")
    if dtype is not None and X.dtype != dtype:
        raise TypeError(f"X is {X.dtype}, W is {dtype}: convert one of them")
    return X.dtype


def _labels(loss, y, n, classes, dtype):
    """(labels or targets, rows of W)."""
    y = np.asarray(y)
    if y.shape != (n,):
        raise ValueError(f"y must have shape ({n},), one entry a row of X, not {y.shape}")
    one_row = loss.one_row
    if one_row == "real" and (classes == 1 or (classes is None and y.dtype.kind == "f")):
        targets = np.ascontiguousarray(y, dtype)
        if not np.isfinite(targets).all():
            raise ValueError(f"y has NaN or inf at row {int(np.argmin(np.isfinite(targets)))}")
        return targets, 1
    if y.dtype.kind not in "iub":
        raise TypeError(f"y must hold class numbers 0, 1, ... (integers), not {y.dtype}")
    labels = np.ascontiguousarray(y, np.int64)
    high = int(labels.view(np.uint64).max()) if n else 0  # a negative number is a huge one
    if classes is None:
        classes = 1 if one_row == "binary" and high < 2 else max(2, int(labels.max(initial=0)) + 1)
    top = 2 if classes == 1 and one_row == "binary" else classes
    if high >= top:
        at = int(np.argmax((labels < 0) | (labels >= top)))
        # Said in the user's dtype: uint64 labels above 2**63 are negative as int64.
        raise ValueError(f"y must lie in 0..{top - 1} for {classes} rows of W; y[{at}] is {int(y[at])}")
    return labels, classes


def _weights(weight, n, dtype):
    if weight is None:
        return None
    weight = np.ascontiguousarray(weight, dtype)
    if weight.shape != (n,):
        raise ValueError(f"sample_weight must have shape ({n},), not {weight.shape}")
    if not (np.isfinite(weight) & (weight >= 0)).all():
        at = int(np.argmin(np.isfinite(weight) & (weight >= 0)))
        raise ValueError(f"sample_weight[{at}] is {weight[at]}; weights are finite and not negative")
    if n and not weight.sum() > 0:
        raise ValueError("sample_weight is 0 everywhere: there is no mean to take")
    return weight


def _csr(X, columns):
    if getattr(X, "format", None) != "csr":
        raise TypeError(f"X is sparse in {getattr(X, 'format', '?')} form; convert it: X.tocsr()")
    indices, indptr = X.indices, X.indptr
    if indices.dtype != indptr.dtype or indices.dtype not in (np.int32, np.int64):
        raise TypeError(
            f"X has indices of {indices.dtype} and indptr of {indptr.dtype}: int32 or int64, both"
        )
    if len(indptr) != X.shape[0] + 1 or indptr[0] != 0 or (indptr[1:] < indptr[:-1]).any():
        raise ValueError("X has an indptr that does not rise from 0, one entry a row and one more")
    if indptr[-1] > min(len(indices), len(X.data)):
        raise ValueError(f"X has {min(len(indices), len(X.data))} entries; its indptr asks for {indptr[-1]}")
    if columns:
        check_columns(indices, X.shape[1])
    return tuple(np.ascontiguousarray(a) for a in (X.data, indices, indptr))


def check_columns(indices, features):
    """ValueError where a column number of a CSR matrix is none of its columns."""
    unsigned = indices.view(f"u{indices.itemsize}")  # a negative number is a huge one: one pass over memory
    if len(indices) and unsigned.max() >= features:
        at = int(np.argmax(unsigned >= features))
        raise ValueError(f"X has column numbers outside 0..{features - 1}: {indices[at]} at entry {at}")
