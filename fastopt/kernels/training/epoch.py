"""A training run's arrays in the form that the compiled loops take, and a call of a loop for a stretch of steps. No Numba
here: see gradient/problem.py.
"""

import functools
import logging

import numpy as np

from fastopt.arrays import aligned_zeros
from fastopt.kernels.gradient.problem import Problem
from fastopt.kernels.tables import NUMBERS, RUN
from fastopt.kernels.training import strategies
from fastopt.native import address
from fastopt.rules import is_linear
from fastopt.threads import cpus

_LOG = logging.getLogger("fastopt.training")


def bind(entries, rows, loss, rule, parameters, batch, l2, threads):
    """The run of bind_epoch (fastopt.engines) by the strategy that suits it."""
    problem = Problem(entries, rows, loss)
    partial = problem.partial_elements() * rows.dtype.itemsize
    shape = strategies.Shape(rows.n, rows.features, problem.sparse, rows.work, partial)
    strategy = strategies.choose(shape, batch, threads, is_linear(rule), cpus())
    if rows.soft and strategy.name == strategies.SINGLE_ROWS:  # whose loop reads a label as one number
        strategy = strategy._replace(name=strategies.SCALED_WEIGHTS)
    _LOG.debug("%s: batches of %d of %d x %d x %d", strategy, batch, rows.n, rows.features, rows.classes)
    return _classes()[strategy.name](problem, rule, parameters, batch, l2, strategy)


@functools.cache
def _classes():
    from fastopt.kernels.training import scaled_epoch, shared_epoch

    return {
        strategies.WHOLE_BATCHES: WholeBatches,
        strategies.ROW_GROUPS: shared_epoch.RowGroups,
        strategies.FEATURE_HALVES: shared_epoch.FeatureHalves,
        strategies.SCALED_WEIGHTS: scaled_epoch.ScaledWeights,
        strategies.SINGLE_ROWS: scaled_epoch.SingleRows,
    }


class Epoch:
    """Called with a stretch of steps. What all strategies share: tables of addresses, and the call."""

    loop = ""  # by name, see kernels/entries.py
    holds_weights_apart = False  # W itself does not have the numbers while a stretch runs

    def __init__(self, problem, rule, parameters, batch, l2, strategy):
        self.problem, self.rule, self.batch, self.l2, self.strategy = problem, rule, batch, l2, strategy
        (self.W, W_slots), (self.b, b_slots) = parameters
        if strategy.halves:
            problem.halve()
        # While a stretch runs W and its slots are held otherwise: CSR by feature, or by halves of the features
        self.arrays = [self.W, *W_slots]
        apart = self.holds_weights_apart or problem.sparse or strategy.halves
        self.held = [problem.like_weights() for _ in self.arrays] if apart else self.arrays
        self.dW, self.db = problem.like_weights() if apart else np.zeros_like(self.W), np.empty_like(self.b)
        slots = zip(self.held[1:], b_slots, strict=True)
        self._tables = {
            "p": addresses_of(self.held[0], self.b),
            "g": addresses_of(self.dW, self.db),
            "s": addresses_of(*(array for both in slots for array in both), self.b),
        }
        self.numbers = on_own_lines(NUMBERS.filled(l2=l2))
        problem.set("W", self.held[0])
        problem.set("b", self.b)
        fields = {name: address(table) for name, table in self._tables.items()}
        fields |= {"worker": self.worker(self.dW, self.db), "numbers": address(self.numbers)}
        self.run = RUN.filled(**self.prepare(fields))

    def worker(self, dW, db, places=None):
        """Address of the table of a thread that computes gradients of batches."""
        problem, (_, _, _, groups, group_rows) = self.problem, self.strategy
        places = problem.places(groups) if places is None else places
        return problem.worker(self.batch, groups, group_rows, dW, db, places, self.scratch_bytes())

    def scratch_bytes(self):
        return self.problem.scratch_bytes

    def prepare(self, fields):
        """The fields of the run's table (RUN) with those of this strategy."""
        return fields

    def __call__(self, coefficients, order, begin, end, loss):
        """Steps [begin, end) with one row of coefficients each: (stopped, loss + theirs, gradient norm)."""
        order = None if order is None else np.ascontiguousarray(order, np.int64)
        self.problem.set("order", order)
        same = coefficients.strides[0] == 0 or len(coefficients) == 1
        self._K = self.bind(np.ascontiguousarray(coefficients[:1] if same else coefficients, np.float64))
        self.run[RUN.K] = address(self._K)
        self.run[RUN.k_count] = self._K.shape[1] if len(self._K) > 1 else 0
        self.numbers[NUMBERS.loss] = loss
        self.move_in(begin)
        loop = self.problem.entries.loop(self.problem.dtype_name, self.loop)
        stopped = self.share(lambda: loop(0, self.problem.at, address(self.run), begin, end), begin, end)
        self.move_out()
        return stopped, float(self.numbers[NUMBERS.loss]), float(self.numbers[NUMBERS.norm])

    def kernels(self, entries):
        """Make all that a stretch calls; what PROBLEM has of it, as [(place, value)]."""
        problem = self.problem
        entries.loop(problem.dtype_name, self.loop)
        return entries.fields(problem.loss, problem.dtype_name, problem.sparse)

    def go_over(self, entries):
        """Go on with these kernels, between two stretches: the tables and all numbers stay, and so do the bits."""
        for place, value in self.kernels(entries):
            self.problem.table[place] = value
        self.problem.entries = entries

    def bind(self, K):
        """The coefficients as the loop takes them."""
        return K

    def share(self, work, begin, end):
        """What `work` returns, done by this thread and those of the strategy."""
        return work()

    def move_in(self, begin):
        for array, held in self.apart():
            held[...] = array

    def move_out(self):
        for array, held in self.apart():
            array[...] = held

    def apart(self):
        """[(array, the same numbers where the kernels hold them)], in parts."""
        pairs = zip(self.arrays, self.held, strict=True)
        if self.problem.sparse or self.problem.halves:
            return [part for array, held in pairs for part in self.problem.parts(array, held)]
        return [(array, held) for array, held in pairs if held is not array]


class WholeBatches(Epoch):
    loop = "steps"

    def kernels(self, entries):
        entries.rule(self.rule, self.problem.dtype_name, len(self.rule.coefficients(self.rule, 1.0)))
        return super().kernels(entries)

    def bind(self, K):
        # with a weight it would round otherwise than the steps by whole batches that stand in for it now and then
        by_row = self.batch == 1 and not self.problem.sparse and self.problem.rows.weight is None
        whole, of_row = self.problem.entries.rule(self.rule, self.problem.dtype_name, K.shape[1])
        self.run[RUN.update], self.run[RUN.update_by_row] = whole, of_row if by_row else 0
        return K


def on_own_lines(values):
    """A copy of a vector on cache lines of its own: what one thread writes all the time is in no other's way."""
    lanes = 64 // values.itemsize
    vector = aligned_zeros(-(-len(values) // lanes) * lanes, values.dtype)[: len(values)]
    vector[:] = values
    return vector


def addresses_of(*arrays):
    return np.array([address(a) for a in arrays], np.int64)
