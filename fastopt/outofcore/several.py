"""Sources after one another, and iterators."""

import numpy as np

from fastopt.arrays import FLOATS
from fastopt.outofcore.arrays import NpySource, share_memory, vector
from fastopt.parts import Source
from fastopt.regroup import regrouped
from fastopt.rows import labels_or_shares


class Several(Source):
    """The rows of several sources, one after the other."""

    def __init__(self, sources):
        if not sources:
            raise ValueError("an empty list: there is no source in it")
        self.sources, first = sources, sources[0]
        self.name = f"{first.name} and {len(sources) - 1} more"
        self.features, self.dtype, self.is_sparse = first.features, first.dtype, first.is_sparse
        self.classes, self.scale, self.raw = first.classes, first.scale, any(s.raw for s in sources)
        for other in sources[1:]:
            mine = (self.features, self.dtype, self.is_sparse)
            if getattr(other, "preparation", None) != getattr(first, "preparation", None):
                raise ValueError(
                    f"{other.name} has other columns than {first.name}, or in another order, or they become features otherwise: "
                    "pass the paths of such tables as a list"
                )
            if (other.features, other.dtype, other.is_sparse) != mine:
                raise ValueError(
                    f"{other.name} has {other.features} features of {other.dtype}"
                    f"{' (sparse)' * other.is_sparse}, {first.name} {self.features} of {self.dtype}"
                    f"{' (sparse)' * self.is_sparse}"
                )
        counts = [s.n for s in sources]
        self.n = None if None in counts else sum(counts)
        share_memory([s for s in sources if isinstance(s, NpySource)])

    @property
    def entries(self):
        return sum(s.entries for s in self.sources)

    @property
    def preparation(self):
        """That of files of numbers, which all have the same."""
        return getattr(self.sources[0], "preparation", None)

    def pieces(self, size):
        return regrouped((piece for s in self.sources for piece in s.pieces(size)), size)

    def shuffled(self, size, rng):
        counts = [sum(count for count, _, _ in s.labels()) if s.n is None else s.n for s in self.sources]
        firsts = np.concatenate([[0], np.cumsum(counts)[:-1]])
        for i in rng.permutation(len(self.sources)):
            for X, numbers, _ in self.sources[i].shuffled(size, rng):
                yield X, numbers + firsts[i], None

    def labels(self):
        for s in self.sources:
            yield from s.labels()


class Iterated(Source):
    """A function that returns an iterator of (X, y) or (X, y, weight), called for every pass."""

    def __init__(self, make, y=None, weight=None):
        self._make, self.name = make, f"the iterator of {getattr(make, '__name__', 'a function')}"
        self._y, self._weight = vector(y, "y"), vector(weight, "weight")
        X = next(self._pieces(), (None,))[0]
        if X is None:
            raise ValueError(f"{self.name} gives no rows")
        self.features, self.is_sparse, self.dtype = X.shape[1], hasattr(X, "indptr"), X.dtype
        if self.dtype not in FLOATS and self.dtype != np.uint8:
            raise TypeError(f"{self.name} gives {self.dtype}: float32, float64 or uint8 are needed")
        self.entries = 0

    def _pieces(self):
        at = 0
        for piece in self._make():
            if not isinstance(piece, (tuple, list)) or not 1 <= len(piece) <= 3:
                raise TypeError(f"{self.name} must give (X, y) or (X, y, weight), not {type(piece).__name__}")
            X, y, weight = (*piece, None, None)[:3]
            end = at + X.shape[0]
            y = (
                self._y[at:end]
                if self._y is not None
                else None
                if y is None
                else labels_or_shares(y, X.shape[0])
            )
            yield X, y, self._weight[at:end] if self._weight is not None else weight
            at = end

    def pieces(self, size):
        return regrouped(self._pieces(), size)

    def labels(self):
        entries = 0
        for X, y, weight in self._pieces():
            entries += X.nnz if self.is_sparse else X.size
            yield X.shape[0], y, weight
        self.entries = entries
