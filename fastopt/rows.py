"""The rows of a linear model: X, y and weights, checked once and in the form that kernels read."""

from typing import Any, NamedTuple

import numpy as np

from fastopt import losses
from fastopt.arrays import FLOATS, checked_number, checked_whole, is_masked
from fastopt.weights import checked_weights

SPARSE = "csr_matrix or csr_array"
AT_ONCE = 8192  # rows, where X is searched for what is not finite
SHARES_OFF = 1e-4  # of the sum of a row's soft labels from 1: four digits are what people write down
# Of X in a part: sums over rows are those of parts, added in order, so that rows which are read from a file part
# by part give the bits of rows in memory. To bind a part's passes and share them costs 0.2 ms of some 30.
PART_BYTES, SPARSE_PART_ROWS = 256 << 20, 1 << 17


def part_rows(features, itemsize, sparse):
    """Rows of a part, by the shape of a row alone: a power of two."""
    if sparse:
        return SPARSE_PART_ROWS
    return 1 << max(8, (PART_BYTES // max(1, features * itemsize)).bit_length() - 1)


class Rows(NamedTuple):
    """n rows of features.

    X: C-ordered float32, float64 or uint8 (multiplied by scale), or None when sparse is the triple
        (data, indices, indptr). y: int64 class numbers, or targets of dtype for regression; soft labels are
        (n, classes) of dtype.
    weight: of dtype, or None. dtype: that of W and of the arithmetic. classes: the rows of W.
    n: positions of an order; X, y and weight may have more rows than are in use (`using`).
    """

    X: Any
    sparse: Any
    y: np.ndarray
    weight: np.ndarray | None
    n: int
    features: int
    classes: int
    dtype: np.dtype
    scale: float

    in_memory = True  # type: ignore[misc]  # a source's rows are not
    is_remote = False  # type: ignore[misc]  # other processes' rows are

    @property
    def is_sparse(self):
        return self.sparse is not None

    @property
    def entries(self):
        """Numbers of X that are there, in the rows in use."""
        if self.sparse is None:
            return self.n * self.features
        return len(self.sparse[0]) * self.n // max(1, len(self.y))

    @property
    def work(self):
        """Multiply-adds of the scores of all rows; an entry of a sparse row takes as long as some 64."""
        return self.entries * (max(64, 4 * self.classes) if self.is_sparse else self.classes)

    @property
    def weight_sum(self):
        return float(self.n if self.weight is None else np.sum(self.weight, dtype=np.float64))

    @property
    def one_over_weights(self):
        """What makes a mean of a sum over the rows; 0 where there are none."""
        total = self.weight_sum
        return 1 / total if total else 0.0

    @property
    def soft(self):
        """Whether y has a share of each class instead of a class number."""
        return self.y.ndim == 2

    def formula(self, loss):
        """The loss whose formula takes such a y: another one for soft labels."""
        return losses.OF_SHARES[type(loss)] if self.soft else loss

    def labels(self, loss, which=slice(None)):
        """y of some rows as the formula wants it: see fastopt.losses on models of one row and on shares."""
        y = self.y[which]
        if self.soft:
            return np.ascontiguousarray(y.T)
        if self.classes > 1 or loss.one_row != "binary":
            return y
        return np.subtract(y, 1, dtype=np.int64)  # those of a source are unsigned bytes

    def class_numbers(self, which):
        """Of some rows; of soft labels the class with the largest share, the first of several."""
        if not self.soft:
            return self.y[which]
        y = self.y[which]
        return y.argmax(axis=1) if self.classes > 1 else (y[:, 0] > 0.5).astype(np.int64)

    def matrix(self, which):
        """Some of the rows as a matrix of dtype: a slice or an array of row numbers."""
        if self.sparse is not None:
            return sparse_rows(self.sparse, self.features, which)
        X = self.X[which]
        return X if X.dtype == self.dtype else X * self.dtype.type(self.scale)

    def columns(self, which):
        """The rows with some of their features: an array of column numbers, in order."""
        if self.sparse is None:
            return self._replace(X=np.ascontiguousarray(self.X[:, which]), features=len(which))
        X = self.matrix(slice(None))[:, which]
        return self._replace(sparse=(X.data, X.indices, X.indptr), features=len(which))

    def take(self, which):
        """Some of the rows: a slice or an array of row numbers."""
        found, sparse, scale = self.matrix(which), None, 1.0
        X: Any = found
        if self.sparse is not None:
            X, sparse = None, (found.data, found.indices, found.indptr)
        weight = None if self.weight is None else self.weight[which]
        y = self.y[which]
        return self._replace(X=X, sparse=sparse, y=y, weight=weight, n=len(y), scale=scale)

    @property
    def part_rows(self):
        """Rows of each of `parts` but the last."""
        return part_rows(self.features, 0 if self.X is None else self.X.itemsize, self.sparse is not None)

    def parts(self):
        """(first row, Rows) of the parts in order; X is not copied. Rows in use only where no order is given."""
        size = self.part_rows
        if self.n <= size:
            yield 0, self
            return
        for begin in range(0, self.n, size):
            yield begin, self.slice(begin, min(begin + size, self.n))

    def map(self, function):
        """function(part) of each of the parts, in order."""
        return (function(part) for _, part in self.parts())

    def without_features(self):
        """The parts as far as their labels and weights are concerned."""
        return (part for _, part in self.parts())

    def memory(self, array):
        """Where an array of kept numbers of a part shall be: a source's may be in a file."""
        return array

    def slice(self, begin, end):
        """The rows [begin, end), as views."""
        which, X, sparse = slice(begin, end), self.X, self.sparse
        if sparse is None:
            X = X[which]
        else:
            values, indices, indptr = sparse
            entries = slice(int(indptr[begin]), int(indptr[end]))
            sparse = values[entries], indices[entries], indptr[begin : end + 1] - indptr[begin]
        weight = None if self.weight is None else self.weight[which]
        return self._replace(X=X, sparse=sparse, y=self.y[which], weight=weight, n=end - begin)

    def arrays(self):
        """What the rows are held in."""
        return [a for a in (self.X, self.y, self.weight, *(self.sparse or ())) if a is not None]

    def using(self, n):
        """The same with n rows in use: each order of them then has n positions. Nothing is copied."""
        return self._replace(n=n)


def sparse_rows(sparse, features, which):
    """Some rows of a checked CSR triple as a csr_array: a slice or an array of row numbers."""
    from scipy.sparse import csr_array

    values, indices, indptr = sparse
    begins, ends = indptr[:-1][which], indptr[1:][which]
    starts = np.zeros(len(begins) + 1, indptr.dtype)
    np.cumsum(ends - begins, out=starts[1:])
    if isinstance(which, slice) and which.step in (None, 1):
        part = slice(begins[0], ends[-1]) if len(begins) else slice(0, 0)
    else:
        part = np.arange(starts[-1]) + np.repeat(begins - starts[:-1], ends - begins)
    return csr_array((values[part], indices[part], starts), shape=(len(begins), features))


def checked_rows(loss, X, y, *, classes=None, dtype=None, scale=None, weight=None, columns=True):
    """Rows, or TypeError/ValueError saying which argument does not fit and what would.

    classes and dtype are W's rows and dtype where there is one; else they follow from y and X. columns=False
    leaves the column numbers of a CSR matrix to `check_columns`.
    """
    X, sparse = checked_matrix(X, columns)
    n, features = X.shape
    dtype = _dtype(X, sparse is not None, dtype)
    y, classes = labels_and_classes(loss, y, n, classes, dtype)
    scale = checked_scale(scale, X.dtype)
    weight = checked_weights(weight, n, dtype)
    if sparse is not None:
        return Rows(None, sparse, y, weight, n, features, classes, dtype, 1.0)
    return Rows(np.ascontiguousarray(X), None, y, weight, n, features, classes, dtype, scale)


def checked_matrix(X, columns=True):
    """(X, None) of a dense matrix, (X, CSR triple) of a sparse one, which no damage makes read elsewhere.

    Everything that takes a matrix of a user comes through here before it looks at a row.
    """
    if hasattr(X, "indptr") or hasattr(X, "tocsr"):
        sparse = _csr(X, columns)
        if X.dtype.kind not in "biuf":
            raise TypeError(f"X must hold numbers, not {X.dtype}")
        return X, sparse
    if is_masked(X):
        raise TypeError("X is a masked array, and a mask has no meaning here: fill it, X.filled(value)")
    if not isinstance(X, np.ndarray):
        mend = ": pass X.to_numpy()" if hasattr(X, "to_numpy") else ": pass np.asarray(X)"
        raise TypeError(f"X must be a NumPy array or a scipy {SPARSE}, not {type(X).__name__}{mend}")
    X = np.asarray(X)  # np.matrix and memory maps as what they are made of
    if X.ndim != 2:
        raise ValueError(f"X must be (n, features), not {X.shape}")
    if X.dtype.kind not in "biuf":
        raise TypeError(f"X must hold numbers, not {X.dtype}")
    return X, None


def checked_scale(scale, dtype):
    """The factor of features of this dtype: 1/255 for uint8 where none is given."""
    if scale is None:
        return 1 / 255 if dtype == np.uint8 else 1.0
    number = checked_number(scale, "scale", "a number")
    if dtype != np.uint8 and number != 1:
        raise ValueError(f"scale is for uint8 features; X is {dtype}: multiply it beforehand")
    if not np.isfinite(number) or number == 0:
        raise ValueError(f"scale must be finite and not 0, not {scale!r}")
    return number


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


def labels_and_classes(loss, y, n, classes, dtype):
    """(labels or targets, rows of W). A loss of real targets takes numbers of any kind for such."""
    if getattr(y, "ndim", 1) == 2 and type(loss) in losses.OF_SHARES:
        return _shares(loss, y, n, classes, dtype)
    y = checked_labels(y, n)
    one_row = loss.one_row
    if one_row == "real" and classes in (None, 1):
        if y.dtype.kind not in "biuf":
            raise TypeError(f"y must hold numbers, the targets of a regression, not {y.dtype}")
        targets = np.ascontiguousarray(y, dtype)
        if not np.isfinite(targets).all():
            at = int(np.argmin(np.isfinite(targets)))
            too_large = f", which is inf in {dtype}" if np.isfinite(y[at]) else ""
            raise ValueError(f"y has NaN or inf at row {at}: {y[at]}{too_large}")
        return targets, 1
    if y.dtype.kind not in "iub":
        raise TypeError(f"y must hold class numbers 0, 1, ... (integers), not {y.dtype}")
    labels = np.ascontiguousarray(y, np.int64)
    high = int(labels.view(np.uint64).max()) if n else 0  # a negative number is a huge one
    if classes is None:
        classes = 1 if one_row == "binary" and high < 2 else max(2, int(labels.max(initial=0)) + 1)
    else:
        classes = checked_whole(classes, "classes", 1)
    top = 2 if classes == 1 and one_row == "binary" else classes
    if high >= top:
        at = int(np.argmax((labels < 0) | (labels >= top)))
        # Said in the user's dtype: uint64 labels above 2**63 are negative as int64.
        raise ValueError(f"y must lie in 0..{top - 1} for {classes} rows of W; y[{at}] is {int(y[at])}")
    return labels, classes


def _shares(loss, y, n, classes, dtype):
    """(soft labels (n, rows of W), rows of W). Two classes of a binary loss are one row: the second's share."""
    if is_masked(y) or not isinstance(y, np.ndarray) or y.dtype.kind not in "biuf":
        kind = getattr(y, "dtype", type(y).__name__)
        raise TypeError(f"y of (n, classes) must be an array of numbers, the share of each class, not {kind}")
    y = np.asarray(y)
    own = loss.one_row == "binary" and y.shape[1] in (1, 2) and classes in (None, 1)
    count = 1 if own else y.shape[1]
    if len(y) != n or count == 0 or (classes is not None and count != classes) or (count == 1 and not own):
        wanted = f"({n}, {classes or 'classes'})" + (f" or ({n}, 2)" if classes == 1 else "")
        raise ValueError(
            f"y must have shape {wanted}, the share of each class in each row, or ({n},), class numbers, not {y.shape}"
        )
    shares = np.ascontiguousarray(y, dtype)
    if loss.one_row == "class" or y.shape[1] == 2 and own:
        check_distributions(shares, ": pass classes=2 for two labels of their own" if own else "")
    else:
        _check_shares(shares)
    return (np.ascontiguousarray(shares[:, -1:]) if own else shares), count


def _check_shares(y):
    bad = ~((y >= 0) & (y <= 1))
    if bad.any():
        row, c = map(int, np.unravel_index(int(np.argmax(bad)), bad.shape))
        raise ValueError(f"y[{row}, {c}] is {y[row, c]}: shares of classes lie between 0 and 1")


def check_distributions(y, otherwise=""):
    """ValueError where a row of y (n, classes) is no distribution; otherwise: what else it may be."""
    _check_shares(y)
    total = y.sum(axis=1, dtype=np.float64)
    off = np.abs(total - 1) > SHARES_OFF
    if off.any():
        row = int(np.argmax(off))
        raise ValueError(f"y[{row}] sums to {total[row]:.6g}, not 1: divide each row by its sum{otherwise}")


def labels_or_shares(y, n):
    """y as a vector of n entries, or as it is where it holds n rows of shares of classes."""
    if getattr(y, "ndim", 1) != 2:
        return checked_labels(y, n)
    if len(y) != n:
        raise ValueError(f"y has {len(y):,} rows of shares of classes, X {n:,} rows")
    return y


def checked_labels(y, n=None):
    """y as a vector, of n entries where n is given."""
    if is_masked(y):
        raise TypeError("y is a masked array, and a mask has no meaning here: leave out its rows")
    try:
        y = np.asarray(y)
    except ValueError as error:  # a ragged list
        raise ValueError(f"y is no vector: {error}") from error
    if y.ndim != 1 or (n is not None and len(y) != n):
        wanted = f"({n},), one entry a row of X" if n is not None else "(n,), one entry a row of X"
        raise ValueError(f"y must have shape {wanted}, not {y.shape}")
    return y


def _csr(X, columns):
    """(data, indices, indptr) of the entries in use; ValueError/TypeError unless each leads into the others."""
    form = getattr(X, "format", None)
    if form != "csr":
        raise TypeError(f"X is sparse in {form or '?'} form; convert it: X.tocsr()")
    arrays: list[Any] = [getattr(X, name, None) for name in ("data", "indices", "indptr")]
    for name, array in zip(("data", "indices", "indptr"), arrays, strict=True):
        if not isinstance(array, np.ndarray) or array.ndim != 1 or not array.dtype.isnative:
            raise ValueError(f"X.{name} must be a vector in the machine's byte order, not {array!r:.60}")
    values, indices, indptr = arrays
    if indices.dtype != indptr.dtype or indices.dtype not in (np.int32, np.int64):
        raise TypeError(
            f"X has indices of {indices.dtype} and indptr of {indptr.dtype}: int32 or int64, both"
        )
    n, features = X.shape
    if len(indptr) != n + 1 or indptr[0] != 0 or (indptr[1:] < indptr[:-1]).any():
        raise ValueError("X has an indptr that does not rise from 0, one entry a row and one more")
    entries = min(len(indices), len(values))
    if indptr[-1] > entries:
        raise ValueError(f"X has {entries} entries; its indptr asks for {indptr[-1]}")
    values, indices = values[: indptr[-1]], indices[: indptr[-1]]  # scipy may keep room behind them
    if columns:
        check_columns(indices, features)
    return tuple(np.ascontiguousarray(a) for a in (values, indices, indptr))


def check_columns(indices, features):
    """ValueError where a column number of a CSR matrix is none of its columns."""
    unsigned = indices.view(f"u{indices.itemsize}")  # a negative number is a huge one: one pass over memory
    if len(indices) and unsigned.max() >= features:
        at = int(np.argmax(unsigned >= features))
        raise ValueError(f"X has column numbers outside 0..{features - 1}: {indices[at]} at entry {at}")


def check_finite(rows, which, first=0):
    """ValueError naming the first of these rows (a slice or row numbers) that holds NaN or inf.

    first: the number of the first of `rows`, where they are a part.
    """
    X = rows.matrix(which)
    if rows.sparse is None:
        bad = ~np.isfinite(X)
        if not bad.any():
            return
        i, column = map(int, np.unravel_index(int(np.argmax(bad)), X.shape))
        value = X[i, column]
    else:
        bad = ~np.isfinite(X.data)
        if not bad.any():
            return
        entry = int(np.argmax(bad))
        i, column = int(np.searchsorted(X.indptr, entry, side="right")) - 1, X.indices[entry]
        value = X.data[entry]
    row = first + ((which.start or 0) + i if isinstance(which, slice) else which[i])
    raise ValueError(f"X has {value} at row {row}, column {column}: leave the row out, or fill it in")


def _check_part(part, first):
    for begin in range(0, part.n, AT_ONCE):
        check_finite(part, slice(begin, min(begin + AT_ONCE, part.n)), first)


def check_all_finite(rows, numbers):
    """check_finite of all rows, or of these row numbers, some at a time."""
    if not rows.in_memory:
        for first, part in rows.parts():
            _check_part(part, first)
        return
    count = len(rows.y) if numbers is None else len(numbers)
    for begin in range(0, count, AT_ONCE):
        end = min(begin + AT_ONCE, count)
        check_finite(rows, slice(begin, end) if numbers is None else numbers[begin:end])
