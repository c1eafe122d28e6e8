"""What a worker does: its partitions, and functions of their parts with scores that are kept between calls."""

import threading
from functools import partial

import numpy as np

from fastopt import engines
from fastopt.rows import part_rows


class PartitionError(RuntimeError):
    """A partition that cannot be read, or whose rows cannot be used: its number, where it is from, and why."""


class Lacks(LookupError):
    """Scores that a worker does not have, and was not told how to make."""


class Partition:
    """The rows of a partition, in parts; `kept`: by the number of a Kept, arrays for the parts. made: see Part.cached.

    load: a function that gives the Rows; they are held (`hold`), or read anew at every call.
    """

    def __init__(self, number, where, load, hold):
        self.number, self.where, self._load, self._hold = number, where, load, hold
        self._held, self.kept, self.made, self.lock = None, {}, {}, threading.Lock()
        self.entries = self.weight_sum = self.bytes = 0

    def take(self, rows):
        """Its rows, from which it is known what it holds."""
        self.entries, self.weight_sum = rows.entries, rows.weight_sum
        if self._hold:
            self._held, self.bytes = _cut(rows), sum(a.nbytes for a in rows.arrays())

    @property
    def is_held(self):
        return self._held is not None

    def rows(self):
        """Rows of at most a part's number each."""
        if self._held is not None:
            return self._held
        try:
            return _cut(self._load())
        except Exception as error:
            raise PartitionError(f"partition {self.number} ({self.where}): {error}") from error

    def __sizeof__(self):
        return 1000 + self.bytes

    def __getstate__(self):
        return self.__dict__ | {"kept": {}, "made": {}, "lock": None}

    def __setstate__(self, state):
        self.__dict__ |= state | {"lock": threading.Lock()}


def _cut(rows):
    size = part_rows(rows.features, 0 if rows.X is None else rows.X.itemsize, rows.is_sparse)
    return [rows.slice(i, min(i + size, rows.n)) for i in range(0, max(1, rows.n), size)]


class Kept:
    """Scores of all rows as a recipe, so that a worker which does not have them (any more) makes them anew.

    kind: "scores" of (W, b); or "add", "subtract" of two others, "times" of another and a number; None where the recipe is
        left out, since the workers have them. is_made: whether a call has made them everywhere.
    """

    is_made = False

    def __init__(self, number, kind, *operands):
        self.number, self.kind, self.operands = number, kind, operands

    def others(self):
        """The scores that the recipe is of."""
        return [o for o in self.operands if isinstance(o, Kept)]

    def light(self):
        """The same without the recipes of what the workers have, which hold W of every iteration since the last evaluation."""
        if self.is_made:
            return Kept(self.number, None)
        return Kept(self.number, self.kind, *(o.light() if isinstance(o, Kept) else o for o in self.operands))

    def needed(self):
        """Numbers of the scores that must stay where they are for this one."""
        return {self.number}.union(*(() if self.is_made else (other.needed() for other in self.others())))

    def set_made(self):
        if not self.is_made:
            self.is_made = True
            for other in self.others():
                other.set_made()


def light(function):
    """A partial function of the client's whose Kept are light."""
    named = {k: v.light() if isinstance(v, Kept) else v for k, v in function.keywords.items()}
    return partial(function.func, *function.args, **named)


def kept_by(function):
    return [v for v in function.keywords.values() if isinstance(v, Kept)]


class Part:
    """A part of a partition as a function of the client's gets it."""

    def __init__(self, partition, index, rows, backend, loss, threads):
        self.partition, self.index, self.rows = partition, index, rows
        self.engine, self.loss, self.threads = engines.get(backend), loss, threads
        self._bound = loss, rows, threads
        self._passes = None

    @property
    def passes(self):
        if self._passes is None:
            self._passes = self.engine.bind_passes(*self._bound)
        return self._passes

    def gradient(self):
        return self.engine.bind_gradient(*self._bound)

    def cached(self, name, key, make):
        """What make() gives, or gave the last time with this name and key. Of rows that are read anew nothing is kept."""
        made = self.partition.made.get((name, self.index))
        if made is None or made[0] != key:
            made = key, make()
            if self.partition.is_held:
                self.partition.made[name, self.index] = made
        return made[1]

    def keep(self, kept, slot):
        self.partition.kept.setdefault(kept.number, {})[self.index] = slot

    def kept(self, kept):
        """The slot of a Kept, from what is there or by its recipe."""
        found = self.partition.kept.get(kept.number, {}).get(self.index)
        if found is None:
            found = self._made(kept)
            self.keep(kept, found)
        return found

    def _made(self, kept):
        if kept.kind is None:
            raise Lacks(f"partition {self.partition.number} has no scores of number {kept.number}")
        if kept.kind == "scores":
            slot = self.passes.slot()
            self.passes.scores(*kept.operands, slot)
            return slot
        first = self.kept(kept.operands[0])
        if kept.kind == "times":
            return first * first.dtype.type(kept.operands[1])
        second = self.kept(kept.operands[1])
        return first + second if kept.kind == "add" else first - second


def run(partitions, function, live, backend, loss, threads):
    """[(number of the partition, [function(Part) of its parts])] for each of these partitions.

    live: numbers of the Kept that the client may ask for again; others are forgotten.
    """
    results, threads = [], threads or own_threads()
    for partition in partitions:
        with partition.lock:
            for number in [k for k in partition.kept if k not in live]:
                del partition.kept[number]
            parts = [
                Part(partition, i, rows, backend, loss, threads) for i, rows in enumerate(partition.rows())
            ]
            results.append((partition.number, [function(part) for part in parts]))
    return results


def own_threads():
    """Of the worker that runs this."""
    from distributed import get_worker

    return get_worker().state.nthreads


def of_rows(part, function):
    """A function of rows alone."""
    return function(part.rows)


def gradient(part, W, b):
    dW, db = np.empty_like(W), None if b is None else np.empty_like(b)
    return part.gradient()(W, b, dW, db, 1.0, 0.0), dW, db


def evaluate(part, W, b, kept):
    dW, db = np.empty_like(W), None if b is None else np.empty_like(b)
    slot = None if kept is None else part.passes.slot()
    value = part.passes.evaluate(W, b, dW, db, 1.0, slot)
    if kept is not None:
        part.keep(kept, slot)
    return value, dW, db


def gradient_at(part, kept, shape, intercept):
    dW, db = _room(part, shape, intercept)
    return part.passes.gradient_at(part.kept(kept), dW, db, 1.0), dW, db


def hessian_product(part, kept, V, c):
    HV, Hc = np.empty_like(V), None if c is None else np.empty_like(c)
    part.passes.hessian_product(part.kept(kept), V, c, HV, Hc, 1.0)
    return 0.0, HV, Hc


def line(part, kept, direction, t):
    return part.passes.line(part.kept(kept), part.kept(direction), t)


def _room(part, shape, intercept):
    return np.empty(shape, part.rows.dtype), np.empty(shape[:1], part.rows.dtype) if intercept else None
