"""A training run's arrays in the form that the compiled loops take (steps.py, scaled.py, crew.py)."""

import functools

import numpy as np
from numba.core import types

from fastopt.arrays import aligned_zeros
from fastopt.kernels import scaled, steps
from fastopt.kernels.compile import entry
from fastopt.kernels.crew import CREW_SIZE, STOP, TICKET, help_crew
from fastopt.kernels.formula import formula_type
from fastopt.kernels.memory import element_type, native_address
from fastopt.kernels.problem import Problem
from fastopt.kernels.threads import share
from fastopt.native import address
from fastopt.rules import is_linear, linear_coefficients

# Multiply-adds of a batch's scores above which a crew shares it: 10 us of work, 1 us to hand it over.
CREW_WORK = 400_000


@functools.cache
def _steps_entry(dtype, is_scaled):
    kernel = scaled.scaled_steps if is_scaled else steps.steps
    return entry(kernel, element_type(dtype), *[types.int64] * 4)


@functools.cache
def _rule_addresses(rule_type):
    return [native_address(kernel, rule_type, 3) for kernel in (steps.update_whole, steps.update_by_row)]


@functools.cache
def _help_entry(dtype):
    return entry(help_crew, element_type(dtype), *[types.int64] * 3)


class Epoch:
    """Called with a stretch of steps; see epochs.bind_epoch."""

    def __init__(self, rows, loss, rule, parameters, batch, l2, threads):
        self.problem = problem = Problem(rows, loss)
        self.rule, self.batch, self.l2 = rule, batch, l2
        (self.W, W_slots), (self.b, b_slots) = parameters
        groups, group_rows = problem.groups(batch)
        work = batch * problem.work_per_row()
        self.threads = min(threads, groups) if work >= CREW_WORK else 1
        self.scaled = self._can_be_scaled(rows, groups)
        # CSR: W and its slots by feature while a stretch runs; lazily scaled weights are never in W itself
        self.arrays = [self.W, *W_slots]
        apart = problem.sparse or self.scaled
        self.held = [problem.like_weights() for _ in self.arrays] if apart else self.arrays
        self.dW, self.db = np.zeros_like(self.held[0]), np.empty_like(self.b)
        pairs = zip(self.held[1:], b_slots, strict=True)
        self._tables = {
            "p": _addresses_of(self.held[0], self.b),
            "g": _addresses_of(self.dW, self.db),
            "s": _addresses_of(*(a for pair in pairs for a in pair), self.b),
        }
        self.numbers = np.zeros(6)
        self.numbers[steps.L2] = l2
        problem.set("W", self.held[0])
        problem.set("b", None if self.scaled else self.b)
        scratch = self._scaled_bytes() if self.scaled else problem.scratch_bytes
        hands = problem.hands(batch, groups, group_rows, self.dW, self.db, problem.places(groups), scratch)
        fields = {name: address(table) for name, table in self._tables.items()}
        fields |= {"hands": hands, "numbers": address(self.numbers)}
        # with a weight it would round otherwise than the steps by whole batches that stand in for it now and then
        self.by_row = batch == 1 and not problem.sparse and rows.weight is None
        self._hire(fields, batch, groups, group_rows, work // groups)
        self.run = np.array([fields.get(name, 0) for name in steps.RUN], np.int64)

    def _can_be_scaled(self, rows, groups):
        if not is_linear(self.rule):
            return False
        one_row = self.batch == 1 and rows.sparse is None and rows.X.dtype == rows.dtype
        return one_row or (self.problem.sparse and groups == 1)

    def _scaled_bytes(self):
        problem = self.problem
        return scaled.scaled_bytes(problem.classes, problem.width, self.batch, problem.dtype.itemsize)

    def _hire(self, fields, batch, groups, group_rows, group_work):
        """Memory for helpers, where the batch is worth sharing."""
        self.helpers = []
        if self.threads < 2:
            return
        problem = self.problem
        self.crew = aligned_zeros(CREW_SIZE, np.int64)
        dW, db = problem.like_weights(), np.empty_like(self.b)
        places, scratch = problem.places(groups), problem.scratch_bytes
        for _ in range(self.threads - 1):
            self.helpers.append(problem.hands(batch, groups, group_rows, dW, db, places, scratch))
        fields |= {"crew": address(self.crew), "others": self.helpers[0]}
        fields["patience"] = 256 + group_work // 512  # a spin takes 50 cycles and more

    def __call__(self, coefficients, order, begin, end, loss):
        """Steps [begin, end) with one row of coefficients each: (stopped, loss + theirs, gradient norm)."""
        order = None if order is None else np.ascontiguousarray(order, np.int64)
        self.problem.set("order", order)
        run = self._bind(np.ascontiguousarray(coefficients, np.float64))
        self.numbers[steps.LOSS] = loss
        self._move_in(begin)
        stopped = self._share(lambda: run(None, self.problem.at, address(self.run), begin, end))
        self._move_out()
        return stopped, float(self.numbers[steps.LOSS]), float(self.numbers[steps.NORM])

    def _bind(self, K):
        """The compiled loop for these coefficients, which are put where it finds them."""
        dtype = self.problem.dtype.name
        if self.scaled:
            K = linear_coefficients(self.rule, self.l2, K)
        else:
            whole, by_row = _rule_addresses(formula_type(type(self.rule), dtype, K.shape[1]))
            self.run[steps.UPDATE], self.run[steps.UPDATE_BY_ROW] = whole, by_row if self.by_row else 0
        self._K = K
        self.run[steps.K], self.run[steps.K_COUNT] = address(K), K.shape[1]
        return _steps_entry(dtype, self.scaled)

    def _share(self, work):
        """The stretch on this thread, or on a helper while this thread helps."""
        if not self.helpers:
            return work()
        self.crew[:] = 0
        help_, crew = _help_entry(self.problem.dtype.name), address(self.crew)

        def dismiss():
            self.crew[TICKET // 8] = STOP

        def part(i):
            if i:
                return help_(None, self.problem.at, self.helpers[i - 1], crew)
            try:
                return work()
            finally:
                dismiss()

        count = len(self.helpers) + 1
        return share(part, range(count), count, dismiss)[0]

    def _move_in(self, begin):
        if self.scaled and begin > 0:
            return  # V and alpha stand as the last stretch left them
        for array, held in self._apart():
            if self.problem.sparse:
                held[:, : len(array)] = array.T
            else:
                held[...] = array
        if self.scaled:
            self.numbers[steps.ALPHA] = 1.0
            self.numbers[steps.SQUARES] = np.sum(np.square(self.W, dtype=np.float64))

    def _move_out(self):
        for array, held in self._apart():
            array[...] = held[:, : len(array)].T if self.problem.sparse else held
            if self.scaled:
                array *= array.dtype.type(self.numbers[steps.ALPHA])

    def _apart(self):
        return [(a, held) for a, held in zip(self.arrays, self.held, strict=True) if held is not a]


def _addresses_of(*arrays):
    return np.array([address(a) for a in arrays], np.int64)
