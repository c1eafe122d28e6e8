"""Estimators on sources (fo.source): fitted part by part, with predictions of every part."""

import numpy as np

from fastopt.estimators import features, fitting
from fastopt.parts import Source, classes_of, rows_of, targets_of
from fastopt.solvers.scaling import column_scaling


class SourceTask(fitting.Task):
    """A Task whose X is a source; its uint8 features are multiplied by its scale, 1 where it has none."""

    @property
    def scale(self):
        return (self.X.scale or 1.0) if self.X.dtype == np.uint8 else None

    @property
    def shape(self):
        return len(self.y), self.X.features

    def rows(self):
        return rows_of(
            self.X, self.loss, self.y, classes=self.classes, scale=self.scale, weight=self.unit_weight
        )

    def given(self, batch=1):
        return self.X

    def whole(self):
        """Itself: what wants all of X at once refuses a source."""
        return self

    def mean_square(self):
        """Of the first rows."""
        piece = next(self.X.pieces(features.SAMPLE), None)
        return 0.0 if piece is None else features.mean_square(piece[0]) * (self.scale or 1.0) ** 2

    def standardized(self, fit_intercept):
        scaling = column_scaling(self.rows(), fit_intercept)
        return self._replace(X=Standardized(self.X, scaling, self.scale)), scaling

    def epoch(self, run, rows, size, chosen, rng):
        """In windows of rows, as fo.train takes a source: batches of rows from anywhere would be as many reads."""
        if rows.in_memory:
            return super().epoch(run, rows, size, chosen, rng)
        total, window = 0.0, max(size, rows.part_rows // 2 // size * size)
        for own in rows.windows(window, rng):
            total += own.n * run.over(own, size, rng.permutation(own.n))
        return total / rows.n


class Standardized(Source):
    """The rows of a source with columns of mean 0 and deviation 1, made while they are read; sparse ones keep their mean."""

    def __init__(self, source, scaling, scale):
        self._source, self._scale = source, scale
        self.dtype = features.float_for(source.dtype)
        self.name, self.features, self.n, self.is_sparse = (
            source.name, source.features, source.n, source.is_sparse,
        )  # fmt: skip
        self.in_flight, self.part_rows, self.classes = source.in_flight, source.part_rows, source.classes
        self._mean, self._deviation = (a.astype(self.dtype) for a in (scaling.mean, scaling.scale))

    @property
    def entries(self):
        return self._source.entries

    def _made(self, X):
        if self.is_sparse:
            X = X.copy()
            X.data /= self._deviation[X.indices]
            return X
        X = X.astype(self.dtype) if self._scale is None else X * self.dtype.type(self._scale)
        X -= self._mean
        X /= self._deviation
        return X

    def pieces(self, size):
        for X, y, weight in self._source.pieces(size):
            yield self._made(X), y, weight

    def shuffled(self, size, rng):
        for X, numbers, _ in self._source.shuffled(size, rng):
            yield self._made(X), numbers, None

    def labels(self):
        yield from self._source.labels()

    def at(self, which):
        X = self._source.at(which)
        return None if X is None else self._made(X)


def truth(source, y, weight):
    """(labels, weight) to compare predictions of a classifier with: those given, or the source's own."""
    if y is not None:
        return y, weight
    numbers, own, classes = classes_of(source)
    return classes[numbers], own if weight is None else weight


def truth_of_numbers(source, y, weight):
    """The same of a regression."""
    return (y, weight) if y is not None else targets_of(source, None, weight)
