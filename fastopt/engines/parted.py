"""Sums over rows part by part, in order: what objectives and solvers bind instead of an engine's own.

Rows (fastopt.rows) and rows of a source (fastopt.parts) give their `parts()`. Of one part the engine's bits; of
several, each part's sums in its dtype, added in float64 in the order of the parts.
"""

import numpy as np

from fastopt import engines, penalties


def bind_gradient(backend, loss, rows, threads, unchecked=False):
    """`bind_gradient` of the engine (fastopt.engines), part by part."""
    if rows.is_remote:
        return rows.bind_gradient(backend, loss, threads)
    bind = engines.get(backend).bind_gradient
    if is_one(rows):
        return bind(loss, rows, threads, unchecked)

    def run(W, b, dW, db, scale, l2):
        sums = Sums(dW, db)
        for _, part in rows.parts():
            own = bind(loss, part, threads, unchecked)
            sums.add(own(W, b, *sums.room, 1.0, 0.0))
        return penalties.finish_sums(sums.write(dW, db, 1.0), W, dW, db, scale, l2)

    return run


def bind_passes(backend, loss, rows, threads):
    """`bind_passes` of the engine, part by part."""
    if rows.is_remote:
        return rows.bind_passes(backend, loss, threads)
    if is_one(rows):
        return engines.get(backend).bind_passes(loss, rows, threads)
    return PartedPasses(engines.get(backend).bind_passes, loss, rows, threads)


def is_one(rows):
    """Whether the rows are in memory and one part."""
    return rows.in_memory and rows.n <= rows.part_rows


class Sums:
    """The sums of parts; room: (dW, db) for those of one of them."""

    def __init__(self, dW, db):
        self.room = np.empty_like(dW), None if db is None else np.empty_like(db)
        self.loss = 0.0
        self._dW, self._db = np.zeros(dW.shape), None if db is None else np.zeros(db.shape)

    def add(self, loss, dW=None, db=None):
        """A part's sums, in the room or as given."""
        if dW is None:
            dW, db = self.room
        self.loss += loss
        self._dW += dW
        if db is not None:
            self._db += db

    def totals(self):
        """(loss, dW, db) so far, in float64."""
        return self.loss, self._dW, self._db

    def take(self, loss, dW, db):
        """The totals of others, of all parts."""
        self.loss, self._dW, self._db = loss, dW, db

    def write(self, dW, db, scale):
        dW[...] = self._dW * scale
        if db is not None:
            db[...] = self._db * scale
        return self.loss * scale


class Slots:
    """Kept scores of every part, with the arithmetic that solvers need of them."""

    def __init__(self, parts):
        self.parts = parts
        self.dtype = parts[0].dtype

    def __iadd__(self, other):
        for mine, theirs in zip(self.parts, other.parts, strict=True):
            mine += theirs
        return self

    def __isub__(self, other):
        for mine, theirs in zip(self.parts, other.parts, strict=True):
            mine -= theirs
        return self

    def __imul__(self, factor):
        for mine in self.parts:
            mine *= factor
        return self


class PartedPasses:
    """See fastopt.kernels.solvers.kept.KeptPasses; a slot is Slots."""

    def __init__(self, bind, loss, rows, threads):
        self._bind, self.loss, self.rows, self._threads = bind, loss, rows, threads
        self.reads, self.backend = 0, None

    def slot(self):
        shapes = [self._own(part).slot() for part in self.rows.without_features()]
        return Slots([self.rows.memory(like) for like in shapes])

    def evaluate(self, W, b, dW, db, scale, out=None):
        outs = None if out is None else out.parts
        return self._add_up(
            dW, db, scale, lambda own, i, to: own.evaluate(W, b, *to, 1.0, None if outs is None else outs[i])
        )

    def gradient_at(self, kept, dW, db, scale):
        return self._add_up(dW, db, scale, lambda own, i, to: own.gradient_at(kept.parts[i], *to, 1.0))

    def hessian_product(self, kept, V, c, HV, Hc, scale):
        def product(own, i, to):
            own.hessian_product(kept.parts[i], V, c, *to, 1.0)
            return 0.0

        self._add_up(HV, Hc, scale, product)

    def scores(self, V, c, out):
        self.reads += 1
        for i, (_, part) in enumerate(self.rows.parts()):
            self._own(part).scores(V, c, out.parts[i])

    def by_row(self, kept):
        parts = zip(self.rows.without_features(), kept.parts, strict=True)
        return np.concatenate([self._own(part).by_row(own) for part, own in parts])

    def value_at(self, kept):
        parts = zip(self.rows.without_features(), kept.parts, strict=True)
        return sum(self._own(part).value_at(own) for part, own in parts)

    def line(self, kept, direction, t):
        value = slope = 0.0
        for i, part in enumerate(self.rows.without_features()):
            loss, own_slope = self._own(part).line(kept.parts[i], direction.parts[i], t)
            value += loss
            slope += own_slope
        return value, slope

    def each(self, kept):
        """(passes, Rows, kept scores) of every part. One read."""
        self.reads += 1
        for i, (_, part) in enumerate(self.rows.parts()):
            yield self._own(part), part, kept.parts[i]

    def _own(self, part):
        passes = self._bind(self.loss, part, self._threads)
        self.backend = passes.backend
        return passes

    def _add_up(self, dW, db, scale, compute):
        self.reads += 1
        sums = Sums(dW, db)
        for i, (_, part) in enumerate(self.rows.parts()):
            sums.add(compute(self._own(part), i, sums.room))
        return sums.write(dW, db, scale)
