"""What data on workers may be, and how a partition is made of them."""

import os
from functools import partial

import numpy as np

from fastopt.arrays import FLOATS
from fastopt.distributed.worker import Partition, PartitionError
from fastopt.fit import class_numbers
from fastopt.outofcore import source as open_source
from fastopt.regroup import together
from fastopt.rows import check_all_finite, checked_matrix, checked_rows
from fastopt.weights import checked_weights, class_weights

MOST_LABELS = 1 << 16  # different ones of a partition that are sent to the client


class Load:
    """A partition that its worker reads: rows [begin, end) of a file that fastopt.source takes.

    hold: whether the worker keeps the rows; else it reads them anew at every evaluation.
    path: as the workers see it. y: of an .npy file, the labels of the whole file, or the path of theirs.
    options: of fastopt.source, such as target=. ValueError where begin or end is no place in the file.
    """

    def __init__(self, path, begin=0, end=None, y=None, *, hold=True, **options):
        self.hold = hold
        self.path, self.begin, self.end, self.y, self.options = os.fspath(path), begin, end, y, options
        if begin < 0 or (end is not None and end < begin):
            raise ValueError(f"{self.path}: rows {begin} to {end} are none")

    def __repr__(self):
        return f"{self.path}, rows {self.begin:,} to {'the end' if self.end is None else f'{self.end:,}'}"

    def __call__(self):
        """(X, y, weight)"""
        source = open_source(self.path, self.y, **self.options)
        end = self.end
        if end is None:
            end = source.n if source.n is not None else sum(rows for rows, _, _ in source.labels())
        found = [
            tuple(None if p is None else p.copy() for p in piece) for piece in source.between(self.begin, end)
        ]
        if not found:
            return np.empty((0, source.features), source.dtype), np.empty(0, np.int64), None
        return together(found)


def loads_of(X, y, weight):
    """[(where it is from, what `_raw` takes)] of any data."""
    import dask
    from dask.delayed import Delayed, delayed

    if isinstance(X, (list, tuple)):
        if y is not None or weight is not None:
            raise ValueError("partitions of a list hold their own y and weights: leave them out")
        found = []
        for item in X:
            if isinstance(item, Load):
                found.append((repr(item), (item,)))
            elif isinstance(item, Delayed) or hasattr(item, "key"):
                found.append((str(getattr(item, "key", item))[:80], (item,)))
            else:
                raise TypeError(
                    f"a partition must be a Load, a delayed or a future of (X, y), not {item!r:.60}"
                )
        return [(where, _computed(parts)) for where, parts in found]
    if not dask.is_dask_collection(X):
        raise TypeError(
            f"X must be a dask array, a dask dataframe or a list of partitions, not {type(X).__name__}; in one "
            "process call fo.train without client"
        )
    columns = [_blocks_of(X, "X")]
    if isinstance(y, str):
        blocks = [delayed(_split_frame)(block, y) for block in columns[0]]
        columns = [blocks]
    elif y is not None:
        columns.append(_blocks_of(y, "y"))
    columns += [] if weight is None else [_blocks_of(weight, "sample_weight")]
    counts = {len(blocks) for blocks in columns}
    if len(counts) > 1:
        raise ValueError(
            f"X, y and sample_weight have {[len(b) for b in columns]} blocks of rows: give them the same chunks, "
            "y = y.rechunk(X.chunks[0])"
        )
    name = type(X).__module__.split(".")[0] + " " + type(X).__name__
    return [
        (f"block {i} of a {name}", _computed(parts)) for i, parts in enumerate(zip(*columns, strict=True))
    ]


def _computed(parts):
    """Delayed values as futures that the partition's task waits for: computed where Dask likes."""
    from dask.delayed import Delayed

    return tuple(_Later(p) if isinstance(p, Delayed) else p for p in parts)


class _Later:
    """A delayed value of a partition, computed by the task that makes the partition, on its worker."""

    def __init__(self, delayed):
        self.delayed = delayed

    def __call__(self):
        return self.delayed.compute(scheduler="synchronous")


def _blocks_of(value, what):
    """The blocks of rows of a dask array or dataframe, as delayed values."""
    if hasattr(value, "chunks") and hasattr(value, "rechunk"):
        if value.ndim == 2 and len(value.chunks[1]) > 1:
            value = value.rechunk({1: -1})
        return list(np.ravel(value.to_delayed()))
    if hasattr(value, "to_delayed"):
        return list(value.to_delayed())
    raise TypeError(
        f"{what} must be a dask collection as X is, not {type(value).__name__}: dask.array.from_array"
    )


def _split_frame(frame, target):
    if target not in frame.columns:
        raise ValueError(f"there is no column {target!r}; it has {', '.join(map(str, frame.columns[:20]))}")
    return frame.drop(columns=[target]), frame[target]


class Raw:
    """What a partition is made of: X, y, weight as arrays; or a Load that is read anew at every call."""

    def __init__(self, number, where, values, load=None):
        self.number, self.where, self.values, self.load = number, where, values, load

    def error(self, error):
        return PartitionError(f"partition {self.number} ({self.where}): {error}")

    def __sizeof__(self):
        return 1000 + sum(getattr(v, "nbytes", 0) for v in self.values or ())


def raw_of(number, where, *parts):
    """A Raw of values, of a Load, or of delayed values."""
    raw = Raw(number, where, None)
    try:
        values = [p() if isinstance(p, (Load, _Later)) else p for p in parts]
        if len(values) == 1 and isinstance(values[0], (tuple, list)):
            values = list(values[0])
        raw.values = _arrays(*values, *[None] * (3 - len(values)))
    except Exception as error:
        raise raw.error(error) from error
    if isinstance(parts[0], Load) and not parts[0].hold:
        raw.load = parts[0]
    return raw


def look(raw):
    """What the client must know of a partition before there can be Rows."""
    X, y, _ = raw.values
    labels, counts = np.unique(y, return_counts=True)
    are_few = len(labels) < MOST_LABELS
    return {
        "n": X.shape[0], "features": X.shape[1], "dtype": X.dtype.name, "sparse": hasattr(X, "indptr"),
        "labels": labels if are_few else labels[[0, -1]], "counts": counts if are_few else None,
    }  # fmt: skip


def _arrays(X, y, weight):
    """As NumPy arrays or CSR."""
    names = getattr(X, "columns", None)
    if names is not None:
        wrong = [str(c) for c in names if X[c].dtype.kind not in "biuf"]
        if wrong:
            raise ValueError(f"column {wrong[0]!r} holds {X[wrong[0]].dtype}: features must be numbers")
        X = X.to_numpy(dtype=np.float32 if all(X[c].dtype == np.float32 for c in names) else np.float64)
    if not hasattr(X, "indptr"):
        X = np.asarray(X)
        if X.ndim == 2 and X.dtype not in FLOATS and X.dtype != np.uint8 and X.dtype.kind in "biuf":
            X = X.astype(np.float32 if X.dtype.itemsize <= 2 else np.float64)
    checked_matrix(X)
    if y is None:
        raise ValueError("it has no labels: pass y")
    y = np.asarray(y)
    if y.dtype.hasobject:
        y = y.astype(str)
    if len(y) != X.shape[0]:
        raise ValueError(f"X has {X.shape[0]:,} rows, y {len(y):,}")
    return X, y, None if weight is None else np.asarray(weight)


def classes_of(loss, looks, classes):
    """(names of the class numbers, or None where labels are they; rows of W)."""
    kinds = {look["labels"].dtype.kind in "US" for look in looks}
    if len(kinds) > 1:
        raise ValueError("labels are numbers in some partitions and text in others")
    values = np.unique(np.concatenate([look["labels"] for look in looks]))
    names = None
    if isinstance(classes, (list, tuple, np.ndarray)):
        names = np.asarray(classes)
        unknown = np.setdiff1d(values, names)
        if len(unknown):
            raise ValueError(f"y has the label {unknown[0]!r}, which is none of the classes")
        count = len(names)
    elif values.dtype.kind in "US" or values.dtype.kind == "f" or values[0] < 0:
        if values.dtype.kind == "f" and not (values == np.floor(values)).all():
            raise ValueError(
                f"y holds real numbers, such as {values[values != np.floor(values)][0]}: classes are needed"
            )
        names, count = values, len(values)
    else:
        count = int(values[-1]) + 1
    if isinstance(classes, (int, np.integer)):
        count = max(count, int(classes))
    return names, 1 if loss.one_row == "binary" and count <= 2 else max(2, count)


def weights_of_classes(class_weight, looks, names, classes):
    """The weight of each class number by what partitions hold; see fo.train."""
    counts = np.zeros(max(2, classes), np.int64)
    for found in looks:
        if found["counts"] is None:
            raise ValueError(f"class_weight: a partition holds {MOST_LABELS:,} classes and more")
        labels = found["labels"] if names is None else class_numbers(found["labels"], names)
        counts[labels.astype(np.int64)] += found["counts"]
    return class_weights(class_weight, counts, names)


def partition_of(raw, **fields):
    """The Partition of a Raw; its rows are made and looked at once, whether they are held or not."""
    load = partial(_rows, *(raw.values if raw.load is None else (raw.load,)), **fields)
    found = Partition(raw.number, raw.where, load, hold=raw.load is None)
    try:
        rows = load()
        check_all_finite(rows, None)
    except Exception as error:
        raise raw.error(error) from error
    found.take(rows)
    return found


def sums_of(partition):
    return partition.entries, partition.weight_sum


def _rows(X, y=None, weight=None, *, loss, classes, names, scale, features, dtype, of_class=None):
    if isinstance(X, Load):
        X, y, weight = _arrays(*X())
    if not X.shape[0]:
        X, y = np.empty((0, features), dtype), np.empty(0, np.int64)
    if names is not None:
        y = class_numbers(y, names)
    rows = checked_rows(loss, X, y, classes=classes, scale=scale if X.dtype == np.uint8 else None)
    if of_class is not None:
        weight = of_class[rows.y] if weight is None else of_class[rows.y] * weight
    if weight is None or not rows.n:
        return rows
    return rows._replace(weight=checked_weights(weight, rows.n, rows.dtype, whole=False))
