"""All partitions as the rows of an objective: what workers return, added in the order of the partitions."""

import functools
import itertools
import operator
import weakref
from functools import partial

import numpy as np

from fastopt.distributed import adding, worker
from fastopt.distributed.partitions import Data
from fastopt.engines.parted import Sums
from fastopt.parts import SourceLost, joined
from fastopt.penalties import finish_sums
from fastopt.rows import Rows
from fastopt.solvers.curvature import weighted_grams

_NUMBERS = itertools.count()


class RemoteRows:
    """As Rows, of partitions on workers; see fastopt.rows for the fields. y, X and weights are not here."""

    in_memory, is_remote, soft = False, True, False
    work, one_over_weights, is_sparse = Rows.work, Rows.one_over_weights, False

    def __init__(self, data, found, threads=None):
        self.data, self.threads, self.counts = data, threads, found["counts"]
        for name, value in found.items():
            setattr(self, name, value)
        self._slots = weakref.WeakSet()
        self.context = ("numpy", None, 1)

    def formula(self, loss):
        return loss

    def map(self, function):
        """function(rows) of every part, in order."""
        return iter(self.call(partial(worker.of_rows, function=function)))

    def call(self, function):
        """function(worker.Part) of every part, in the order of the parts."""
        found = self.data.run(function, self._live(), *self.context)
        return [result for _, results in found for result in results]

    def _live(self):
        return set().union(*(slot.kept.needed() for slot in self._slots if slot.kept is not None))

    @functools.cached_property
    def part_counts(self):
        """The rows of each part."""
        return list(self.map(operator.attrgetter("n")))

    def take(self, which):
        """Rows of ascending numbers, as Rows in memory."""
        firsts = np.concatenate([[0], np.cumsum(self.counts)])
        wanted = [
            which[np.searchsorted(which, a) : np.searchsorted(which, z)] - a
            for a, z in itertools.pairwise(firsts.tolist())
        ]
        found = [rows for rows in self.call(partial(_taken, wanted=wanted)) if rows is not None]
        return joined(found)

    def bind_gradient(self, backend, loss, threads):
        self.context = (backend, loss, self.threads)

        def run(W, b, dW, db, scale, l2):
            sums = self._sums(partial(worker.gradient, W=W, b=b), dW, db)
            return finish_sums(sums.write(dW, db, 1.0), W, dW, db, scale, l2)

        return run

    def bind_passes(self, backend, loss, threads):
        self.context = (backend, loss, self.threads)
        return RemotePasses(self)

    def _sums(self, function, dW, db):
        sums = Sums(dW, db)
        if len(self.counts) * dW.nbytes >= adding.ON_WORKERS:
            loss, flat, own_db = self.data.run_added(function, dW.size, self._live(), *self.context)
            sums.take(loss, flat.reshape(dW.shape), own_db)
            return sums
        for found in self.call(function):
            sums.add(*found)
        return sums

    def slot(self):
        slot = Slot()
        self._slots.add(slot)
        return slot

    def arrays(self):
        return []


class Slot:
    """Kept scores that lie on the workers: a Kept that arithmetic replaces by another."""

    dtype = np.dtype(np.float64)  # the numbers it is multiplied by travel whole and are rounded there

    def __init__(self):
        self.kept = None

    def become(self, kind, *operands):
        self.kept = worker.Kept(next(_NUMBERS), kind, *operands)
        return self

    def __iadd__(self, other):
        return self.become("add", self.kept, other.kept)

    def __isub__(self, other):
        return self.become("subtract", self.kept, other.kept)

    def __imul__(self, factor):
        return self.become("times", self.kept, float(factor))


class RemotePasses:
    """See fastopt.kernels.solvers.kept.KeptPasses."""

    def __init__(self, rows):
        self.rows, self.reads, self.backend = rows, 0, rows.context[0]

    def slot(self):
        return self.rows.slot()

    def evaluate(self, W, b, dW, db, scale, out=None):
        self.reads += 1
        kept = None if out is None else worker.Kept(next(_NUMBERS), "scores", W, b)
        sums = self.rows._sums(partial(worker.evaluate, W=W, b=b, kept=kept), dW, db)
        if out is not None:
            out.kept = kept
        return sums.write(dW, db, scale)

    def gradient_at(self, kept, dW, db, scale):
        self.reads += 1
        given = {"kept": kept.kept, "shape": dW.shape, "intercept": db is not None}
        return self.rows._sums(partial(worker.gradient_at, **given), dW, db).write(dW, db, scale)

    def hessian_product(self, kept, V, c, HV, Hc, scale):
        self.reads += 1
        product = partial(worker.hessian_product, kept=kept.kept, V=V, c=c)
        self.rows._sums(product, HV, Hc).write(HV, Hc, scale)

    def scores(self, V, c, out):
        """Made where they are first asked for."""
        self.reads += 1
        out.become("scores", V, c)

    def line(self, kept, direction, t):
        found = self.rows.call(partial(worker.line, kept=kept.kept, direction=direction.kept, t=t))
        value = slope = 0.0
        for own_value, own_slope in found:
            value += own_value
            slope += own_slope
        return value, slope

    def grams(self, kept, pairs, factor, ones):
        self.reads += 1
        loss = self.rows.context[1]
        return self.rows.call(
            partial(_grams, kept=kept.kept, loss=loss, pairs=pairs, factor=factor, ones=ones)
        )


def _grams(part, kept, loss, pairs, factor, ones):
    return weighted_grams(loss, part.rows, part.passes, part.kept(kept), pairs, factor, ones)


def _taken(part, wanted):
    first = sum(rows.n for rows in part.partition.rows()[: part.index])
    which = wanted[part.partition.number]
    own = which[np.searchsorted(which, first) : np.searchsorted(which, first + part.rows.n)] - first
    return part.rows.take(own) if len(own) else None


def remote_rows(
    loss, X, y=None, *, client=None, sample_weight=None, classes=None, scale=None, threads=None, class_weight=None
):  # fmt: skip
    """RemoteRows of data as `partitions.Data` takes them. One pass over the labels; X is loaded and looked at."""
    data = Data(client, loss, X, y, sample_weight, classes, scale, class_weight)
    return RemoteRows(data, data.found, threads)


__all__ = ["RemoteRows", "SourceLost", "remote_rows"]
