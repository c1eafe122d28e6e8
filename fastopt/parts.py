"""Rows that are not in memory: a source gives them part by part, the next read while one is computed with."""

import copy
import tempfile
import threading
from queue import SimpleQueue
from typing import Any

import numpy as np

from fastopt.arrays import FLOATS
from fastopt.regroup import regrouped
from fastopt.rows import (
    Rows,
    checked_matrix,
    checked_scale,
    labels_and_classes,
    labels_or_shares,
    part_rows,
)
from fastopt.weights import checked_weights

PIECES = 8  # of a window of shuffled rows, from as many places of the source
IN_FLIGHT = 2  # parts in memory at once: one is computed with, one is read
KEPT_BYTES = 256 << 20  # of numbers that a solver keeps of all rows in memory; what is more lies in a file


class Source:
    """Rows in an order, which can be read again and again. A class of its own gives what stands here.

    name: what errors call it. features: columns of X. dtype: of X, float32, float64 or uint8. is_sparse:
        whether X comes as scipy CSR. n: how many rows, or None where only a pass can tell.
    classes: what the class numbers in y stand for, or None. scale: of uint8 features.
    in_flight: parts in memory at once. part_rows: rows of a part; None is 256 MB of them.
    """

    name: Any = "source"
    n: Any = None
    features: int
    dtype: Any
    is_sparse = False
    classes: Any = None
    raw = False
    scale: Any = None
    in_flight = IN_FLIGHT
    part_rows: Any = None

    def pieces(self, size):
        """(X, y, weight) in order, of `size` rows each, the last perhaps of fewer; y and weight may be None.

        An X may be overwritten when in_flight - 1 further ones have been asked for.
        """
        raise NotImplementedError

    def shuffled(self, size, rng):
        """(X, row numbers, None) of all rows, pieces of about `size` rows in an order drawn with rng where the
        source can be read in any order; else as they stand."""
        begin = 0
        for X, _, _ in self.pieces(size):
            yield X, np.arange(begin, begin + X.shape[0]), None
            begin += X.shape[0]

    def between(self, begin, end):
        """(X, y, weight) of the rows [begin, end), in pieces. ValueError where there are fewer."""
        at = 0
        for piece in self.pieces(1 << 16):
            rows = piece[0].shape[0]
            a, z = max(0, begin - at), min(rows, end - at)
            if a < z:
                yield tuple(None if p is None else p[a:z] for p in piece)
            at += rows
            if at >= end:
                return
        if at < end:
            raise ValueError(f"it has {at:,} rows")

    def at(self, which):
        """X of some rows, by a slice or their numbers; None where the source cannot be read in any order."""
        return None

    def labels(self):
        """(rows, y, weight) in order, pieces of any size: without X where that is cheaper."""
        for X, y, weight in self.pieces(part_rows(self.features, self.dtype.itemsize, self.is_sparse)):
            yield X.shape[0], y, weight


class SourceLost(ConnectionError):
    """Rows that were there cannot be had any more, such as those of a cluster whose scheduler is gone.

    W, b: where a solver stood at the best, or None.
    """

    W = b = None


def is_source(X):
    return isinstance(X, Source)


def rows_of(source, loss, y=None, *, classes=None, scale=None, weight=None):
    """PartedRows of a source, or Rows where it has no more of them than a part holds.

    y, weight: vectors for all rows, where the source has none. One pass over the labels. TypeError or ValueError
    naming what does not fit.
    """
    if source.dtype not in FLOATS and source.dtype != np.uint8:
        raise TypeError(f"{source.name} has features of {source.dtype}: float32, float64 or uint8 are needed")
    dtype = np.dtype(np.float32) if source.dtype == np.uint8 else source.dtype
    coder = Coder(source) if source.raw and y is None and loss.one_row != "real" else None
    n, y, weight = _all_labels(source, y, weight, coder)
    if coder is not None:
        y, source.classes = coder.finish(y)
    if classes is None and source.classes is not None and loss.one_row != "real":
        classes = len(source.classes)
        classes = 1 if classes <= 2 and loss.one_row == "binary" else max(2, classes)
    if y.dtype.kind in "US" and loss.one_row != "real":
        raise TypeError(f"{source.name} has labels of text: pass class numbers 0, 1, ... and classes=")
    y, classes = labels_and_classes(loss, y, n, classes, dtype)
    weight = checked_weights(weight, n, dtype)
    scale = checked_scale(source.scale if scale is None else scale, source.dtype)
    if y.dtype.kind != "f":  # a byte a row instead of eight
        y = y.astype(np.min_scalar_type(int(y.max(initial=0))))
    rows = PartedRows(source, y, weight, n, classes, dtype, scale)
    if n > rows.part_rows:
        return rows
    parts = [part for _, part in rows.parts()]
    return _owned(parts[0]) if parts else rows.empty()


def _owned(rows):
    """The rows with memory of their own: a source may use its memory again."""
    if rows.sparse is not None:
        return rows._replace(sparse=tuple(np.array(a) for a in rows.sparse))
    return rows._replace(X=np.array(rows.X))


class Coder:
    """Numbers for the labels of a source, whose classes it finds."""

    def __init__(self, source):
        self._source, self._known, self._number = source, [], {}

    def add(self, y):
        values, places = np.unique(y, return_inverse=True)
        numbers = [self._number.setdefault(v, len(self._number)) for v in values.tolist()]
        return np.array(numbers, np.int32)[places.reshape(-1)]

    def finish(self, numbers):
        """(the class numbers, in the order of the sorted classes, of those that `add` gave; the classes)"""
        values = list(self._number)
        if len({isinstance(v, str) for v in values}) > 1:
            raise ValueError(f"{self._source.name}: labels are numbers in some rows and text in others")
        order = sorted(range(len(values)), key=values.__getitem__)
        place = np.empty(len(values), np.min_scalar_type(max(1, len(values))))
        place[order] = np.arange(len(values))
        return place[numbers], np.array([values[i] for i in order])


def targets_of(source, y=None, weight=None):
    """(numbers to be met, weight or None) of all rows of a source; y, weight: in the place of its own."""
    _, y, weight = _all_labels(source, y, weight)
    return y, weight


def classes_of(source, y=None, weight=None):
    """(class numbers, weight or None, the classes in order) of all rows of a source. One pass over the labels.

    The classes are those that y holds, sorted; or the source's own names of the class numbers in y.
    """
    if y is None and source.classes is not None and not source.raw:
        _, y, weight = _all_labels(source, y, weight)
        if y.dtype.kind not in "iub" or len(y) and not 0 <= y.min() <= y.max() < len(source.classes):
            raise ValueError(f"{source.name}: labels must be numbers of its {len(source.classes)} classes")
        return y, weight, source.classes
    coder = Coder(source)
    _, found, weight = _all_labels(source, y, weight, coder if y is None else None)
    numbers, classes = coder.finish(found if y is None else coder.add(found))
    return numbers, weight, classes


def over_parts(function, source):
    """function(X), an array with an entry a row, of all rows of a source, read part by part."""
    size = source.part_rows or part_rows(source.features, source.dtype.itemsize, source.is_sparse)
    found = [function(X) for X, _, _ in ahead(lambda: source.pieces(size), source.in_flight)]
    return np.concatenate(found or [function(np.empty((0, source.features), source.dtype))])


def _all_labels(source, y, weight, coder=None):
    """(n, y, weight or None) of all rows, from the source or as given."""
    if y is not None and source.n is not None:
        return source.n, labels_or_shares(y, source.n), weight
    counts, ys, weights = [], [], []
    for count, own, own_weight in source.labels():
        counts.append(count)
        if y is None:
            if own is None:
                raise ValueError(f"{source.name} has no labels: pass y, a vector for all rows")
            own = labels_or_shares(own, count)
            ys.append(_small(own if coder is None else coder.add(own)))
        if own_weight is not None:
            weights.append(np.asarray(own_weight))
    n = sum(counts)
    if source.n is not None and n != source.n:
        raise ValueError(f"{source.name} gave {n:,} rows where {source.n:,} were announced")
    y = labels_or_shares(y, n) if y is not None else np.concatenate(ys) if ys else np.zeros(0, np.int64)
    if weight is None and weights:
        weight = np.concatenate(weights)
    return n, y, weight


def _small(y):
    """Labels in as few bytes as hold them."""
    if y.dtype.kind not in "iu" or not y.size:
        return y
    return y.astype(np.promote_types(np.min_scalar_type(int(y.max())), np.min_scalar_type(int(y.min()))))


class PartedRows:
    """As Rows, of a source: y and weight are in memory, X is read anew at every pass.

    Without X itself: what asks for all of it at once must refuse a source (`is_source`).
    """

    def __init__(self, source, y, weight, n, classes, dtype, scale):
        self.source, self.y, self.weight, self.n = source, y, weight, n
        self.features, self.classes, self.dtype, self.scale = source.features, classes, dtype, scale
        self.is_sparse = source.is_sparse
        self.part_rows = source.part_rows or part_rows(
            source.features, source.dtype.itemsize, source.is_sparse
        )
        self.entries = n * source.features if not source.is_sparse else source.entries
        self._kept = 0

    in_memory = is_remote = False
    map = Rows.map
    work = Rows.work
    weight_sum = Rows.weight_sum
    one_over_weights = Rows.one_over_weights
    soft, formula = Rows.soft, Rows.formula

    def parts(self):
        """(first row, Rows) in order; a part may be overwritten when the next one has been asked for."""
        return ahead(self._read, self.source.in_flight)

    def _read(self):
        begin, size = 0, self.part_rows
        for X, _, _ in self.source.pieces(size):
            end = begin + X.shape[0]
            if end > self.n or (end < self.n and X.shape[0] != size):
                raise ValueError(f"{self.source.name} has other rows than at the first pass: {end:,} so far")
            yield begin, self._rows(begin, end, X)
            begin = end
        if begin != self.n:
            raise ValueError(f"{self.source.name} has {begin:,} rows now, {self.n:,} at the first pass")

    def _rows(self, begin, end, X):
        X, sparse = checked_matrix(X)
        if X.shape[1] != self.features or X.dtype != self.source.dtype:
            raise ValueError(
                f"{self.source.name} gave {X.dtype}{X.shape} at row {begin:,}, "
                f"where {self.source.dtype} rows of {self.features} features are needed"
            )
        dense = None if sparse is not None else np.ascontiguousarray(X)
        return self._part(slice(begin, end), dense, sparse)

    def _part(self, which, X, sparse):
        y = self.y[which]
        y = y if y.dtype.kind == "f" else y.astype(np.int64)
        weight = None if self.weight is None else self.weight[which]
        return Rows(X, sparse, y, weight, len(y), self.features, self.classes, self.dtype, self.scale)

    def windows(self, size, rng):
        """Rows of `size` each, in an order of pieces drawn with rng; None: as they stand."""
        if rng is None:
            pieces = self._in_order(size)
        else:
            pieces = regrouped(self.source.shuffled(max(1, size // PIECES), rng), size)
        for X, numbers, _ in pieces:
            X, sparse = checked_matrix(X)
            yield self._part(numbers, None if sparse is not None else np.ascontiguousarray(X), sparse)

    def _in_order(self, size):
        begin = 0
        for X, _, _ in self.source.pieces(size):
            yield X, slice(begin, begin + X.shape[0]), None
            begin += X.shape[0]

    def _replace(self, **fields):
        result = copy.copy(self)
        for name, value in fields.items():
            setattr(result, name, value)
        return result

    def without_features(self):
        """The parts as far as labels and weights are concerned: no read."""
        for begin in range(0, self.n, self.part_rows):
            yield self._part(slice(begin, min(begin + self.part_rows, self.n)), *self._nothing())

    def _nothing(self):
        if not self.is_sparse:
            return np.empty((0, self.features), self.source.dtype), None
        return None, (np.empty(0, self.dtype), np.empty(0, np.int32), np.zeros(1, np.int32))

    def empty(self):
        return self._part(slice(0, 0), *self._nothing())

    def memory(self, array):
        """The array, or where much is kept already one in a file that vanishes with it."""
        self._kept += array.nbytes
        if self._kept <= KEPT_BYTES or not array.nbytes:
            return array
        with tempfile.TemporaryFile(prefix="fastopt-") as file:
            file.truncate(array.nbytes)
            return np.memmap(file, array.dtype, "r+", shape=array.shape)

    def take(self, which):
        """Some rows, by ascending numbers, as Rows. One pass where the source cannot be read in any order."""
        X = self.source.at(which)
        if X is not None:
            X, sparse = checked_matrix(X)
            return self._part(which, None if sparse is not None else np.ascontiguousarray(X), sparse)
        found = []
        for first, part in self.parts():
            own = which[np.searchsorted(which, first) : np.searchsorted(which, first + part.n)] - first
            if len(own):
                found.append(_owned(part.take(own)))
        if not found:
            return self.empty()
        return joined(found)

    labels = Rows.labels

    def arrays(self):
        return [a for a in (self.y, self.weight) if a is not None]


def joined(parts):
    """Rows after one another as Rows with memory of their own."""
    first = parts[0]
    weight = None if first.weight is None else np.concatenate([p.weight for p in parts])
    y, X, sparse = np.concatenate([p.y for p in parts]), None, None
    if first.sparse is None:
        X = np.concatenate([p.X for p in parts])
    else:
        from scipy.sparse import csr_array, vstack

        whole = csr_array(vstack([p.matrix(slice(None)) for p in parts], format="csr"))
        sparse = whole.data, whole.indices, whole.indptr
    return first._replace(X=X, sparse=sparse, y=y, weight=weight, n=len(y))


def ahead(make, in_flight):
    """The items of the iterator that `make` returns; a thread asks for them, in_flight of them at once."""
    if in_flight < 2:
        yield from make()
        return
    free, ready, stop = threading.Semaphore(in_flight), SimpleQueue(), threading.Event()

    def work():
        try:
            items = make()
            while True:
                free.acquire()
                if stop.is_set():
                    items.close()
                    return
                ready.put((True, next(items, None)))
        except BaseException as error:
            ready.put((False, error))

    thread = threading.Thread(target=work, name="fastopt-reader", daemon=True)
    thread.start()
    try:
        while True:
            good, item = ready.get()
            if not good:
                raise item
            if item is None:
                return
            yield item
            del item
            free.release()
    finally:
        stop.set()
        free.release()
        thread.join()
