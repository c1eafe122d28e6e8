"""Sources of zarr arrays: stored in compressed chunks, which are read and decoded whole."""

import os
from pathlib import Path

import numpy as np

from fastopt.outofcore.arrays import OfArrays
from fastopt.readers.sources import ReadError, reading

MARKS = ("zarr.json", ".zarray", ".zgroup")  # one of which a folder of zarr's holds


def is_zarr(data):
    """Whether it is an open zarr array, or the path of what zarr writes."""
    if isinstance(data, (str, os.PathLike)):
        path = Path(data)
        return path.suffix == ".zarr" or any((path / mark).is_file() for mark in MARKS)
    return type(data).__module__.partition(".")[0] == "zarr" and hasattr(data, "chunks")


class ZarrSource(OfArrays):
    """X of a zarr array (rows x features), read by rows of chunks; y and weight in memory."""

    def __init__(self, data, y=None, weight=None):
        self.name = str(data) if isinstance(data, (str, os.PathLike)) else f"the zarr array {data.name or ''}"
        self._array = array = self._opened(data)
        if self._array is not data:
            self.path = data
        self.dtype = np.dtype(array.dtype)
        if array.ndim != 2 or self.dtype not in (np.float32, np.float64, np.uint8):
            raise ReadError(
                f"{self.name} holds {self.dtype}{array.shape}: rows x features of float32, float64 or uint8 are needed"
            )
        self.n, self.features = array.shape
        self.entries = self.n * self.features
        # What is read at once begins and ends where chunks do: a chunk is decoded whole for one of its rows. With
        # shards, which hold several chunks each, it is the shards that are read.
        self._step = max(1, (getattr(array, "shards", None) or array.chunks)[0])
        self._take(y, weight)

    def _opened(self, data):
        if not isinstance(data, (str, os.PathLike)):
            return data
        with reading(self.name):
            import zarr

            found = zarr.open(str(data), mode="r")
        if not hasattr(found, "chunks"):
            inside = ", ".join(found.array_keys()) or "none"
            raise ReadError(f"{data} is a group of arrays: name one of them ({inside}), {data}/NAME")
        return found

    def between(self, begin, end):
        if end > self.n:
            raise ValueError(f"it has {self.n:,} rows")
        if begin < end:
            yield self._rows(begin, end), *self._of(begin, end)

    def pieces(self, size):
        for begin in range(0, self.n, max(1, size)):
            end = min(begin + size, self.n)
            yield self._rows(begin, end), *self._of(begin, end)

    def shuffled(self, size, rng):
        size = -(-size // self._step) * self._step
        for begin in rng.permutation(-(-self.n // size)) * size:
            end = min(begin + size, self.n)
            yield self._rows(begin, end), np.arange(begin, end), None

    def _rows(self, begin, end):
        with reading(f"{self.name}, rows {begin:,} to {end:,}"):
            return np.ascontiguousarray(self._array[begin:end])
