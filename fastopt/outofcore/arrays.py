"""Sources of arrays: in memory, mapped, or in .npy files."""

import os

import numpy as np

from fastopt.outofcore import disk
from fastopt.parts import Source
from fastopt.readers.sources import ReadError, reading
from fastopt.rows import checked_matrix


def vector(value, what):
    """An entry a row in memory, of an array or the path of a .npy file; None stays None. y may be shares of classes."""
    if value is None:
        return None
    if isinstance(value, (str, os.PathLike)):
        with reading(str(value)):
            value = np.load(value, allow_pickle=False)
    value = np.asarray(value)
    if value.ndim != 1 and not (what == "y" and value.ndim == 2):
        raise ValueError(f"{what} must be a vector, an entry a row, not {value.shape}")
    return value


class OfArrays(Source):
    """What sources of arrays have in common: y and weight in memory."""

    def _take(self, y, weight):
        self._y, self._weight = vector(y, "y"), vector(weight, "weight")
        for what, value in (("y", self._y), ("weight", self._weight)):
            if value is not None and len(value) != self.n:
                raise ValueError(f"{what} has {len(value):,} entries, {self.name} {self.n:,} rows")

    def labels(self):
        yield self.n, self._y, self._weight

    def _of(self, begin, end):
        return tuple(None if a is None else a[begin:end] for a in (self._y, self._weight))


class ArraySource(OfArrays):
    """X that is an array, a memory map or scipy CSR."""

    name = "the array"

    def __init__(self, X, y=None, weight=None):
        _, sparse = checked_matrix(X)
        self._X, self.is_sparse = X, sparse is not None
        self.n, self.features = X.shape
        self.dtype = X.dtype
        self.entries = self.n * self.features if sparse is None else len(sparse[0])
        self._take(y, weight)

    def pieces(self, size):
        for begin in range(0, self.n, size):
            end = min(begin + size, self.n)
            yield self._X[begin:end], *self._of(begin, end)

    def at(self, which):
        return self._X[which]

    def shuffled(self, size, rng):
        for begin in rng.permutation(-(-self.n // size)) * size:
            end = min(begin + size, self.n)
            yield self._X[begin:end], np.arange(begin, end), None


class NpySource(OfArrays):
    """X of an .npy file, read, not mapped: as fast as the disk.

    bytes: of the file. aligned: whether its rows may lie in memory as they lie in its blocks. past_cache: whether it is
        read around the page cache.
    """

    past_cache = False

    def __init__(self, path, y=None, weight=None):
        self.name, self.path = str(path), path
        with reading(self.name), open(path, "rb") as file:
            version = np.lib.format.read_magic(file)
            header = {
                (1, 0): np.lib.format.read_array_header_1_0,
                (2, 0): np.lib.format.read_array_header_2_0,
            }
            if version not in header:
                raise ReadError(f"{path}: its version {version} of .npy is not known here")
            shape, fortran, self.dtype = header[version](file)
            self._offset, bytes_there = file.tell(), os.stat(path).st_size
        if len(shape) != 2 or self.dtype not in (np.float32, np.float64, np.uint8) or fortran:
            order = ", by columns" if fortran else ""
            raise ReadError(
                f"{path} holds {self.dtype}{shape}{order}: rows x features of float32, float64 or uint8 in C "
                "order are needed"
            )
        self.n, self.features = shape
        needed = self._offset + self.n * self.features * self.dtype.itemsize
        if bytes_there < needed:
            raise ReadError(f"{path} ends after {bytes_there:,} bytes, {needed:,} are needed: it was cut off")
        self.entries, self.bytes = self.n * self.features, needed
        self.aligned = self._offset % self.dtype.itemsize == 0
        share_memory([self])
        self._take(y, weight)

    def pieces(self, size):
        begins = range(0, self.n, max(1, size))
        for begin, X in zip(begins, self._read(begins, size), strict=True):
            yield X, *self._of(begin, begin + len(X))

    def between(self, begin, end):
        if end > self.n:
            raise ValueError(f"it has {self.n:,} rows")
        if begin < end:
            X = next(self._read(range(begin, begin + 1), end - begin))
            yield X, *self._of(begin, end)

    def shuffled(self, size, rng):
        begins = (rng.permutation(-(-self.n // size)) * size).tolist()
        for begin, X in zip(begins, self._read(begins, size), strict=True):
            yield X, np.arange(begin, begin + len(X)), None

    def _read(self, begins, size):
        """The rows from each of these on, `size` of them; an array's memory is used again."""
        size, row_bytes = min(size, max(1, self.n)), self.features * self.dtype.itemsize
        rooms = [disk.room(size * row_bytes) for _ in range(min(self.in_flight, len(begins)))]
        with disk.File(self.path, self.past_cache) as file:
            for i, begin in enumerate(begins):
                rows = min(size, self.n - begin)
                found = file.read(self._offset + begin * row_bytes, rows * row_bytes, rooms[i % len(rooms)])
                yield found.view(self.dtype).reshape(rows, self.features)


def share_memory(files):
    """Let sources of .npy files that are read in turns go through the page cache where it has room for them all."""
    fits = disk.fits_in_memory(sum(file.bytes for file in files))
    for file in files:
        file.past_cache = file.aligned and not fits
