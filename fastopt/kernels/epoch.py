"""Steps of training in one loop: gradient of a batch, then the rule, without Python between.

A run is a table of int64 numbers in the order of RUN (addresses and counts); the loss comes with the
problem, by address, so a step is compiled once a rule.
"""

import functools

import numpy as np
from numba.core import types

from fastopt.kernels import linear
from fastopt.kernels.compile import entry, kernel
from fastopt.kernels.elementwise import (
    _addresses,
    _coefficients,
    _flush_denormals,
    _load,
    _restore_denormals,
    _store,
    update,
)
from fastopt.kernels.formula import formula_type
from fastopt.kernels.lanes import squared_lanes
from fastopt.kernels.linear import add_group, add_partials, sum_of_squares, total_loss
from fastopt.kernels.memory import as_element, element_size, lane_count, read, write
from fastopt.kernels.problem import PARALLEL_WORK, Problem
from fastopt.native import address

# p, g, s: tables of addresses as in elementwise.py, of W and b.  numbers: float64 (l2, loss sum,
# norm of the last gradient).
RUN = [
    "p",
    "g",
    "s",
    "K",
    "k_count",
    "batch",
    "n",
    "group_rows",
    "partials",
    "losses",
    "scratch",
    "numbers",
]
(P, G, S, K, K_COUNT, BATCH, N, GROUP_ROWS, PARTIALS, LOSSES, SCRATCH, NUMBERS) = range(len(RUN))


@kernel
def _weight(problem, begin, end):
    """Sum of the weights of a batch."""
    w, kind = read(np.int64, problem, linear.WEIGHTS), read(np.int64, problem, linear.WEIGHTS_KIND)
    if not w:
        return float(end - begin)
    total = 0.0
    for i in range(begin, end):
        row = linear.row_at(problem, i)
        total += read(np.float64, w, row) if kind == 8 else np.float64(read(np.float32, w, row))
    return total


@kernel
def _update(h, k, p, g, s, array, begin, end, scale, penalty):
    """The rule on elements [begin, end) of W (0) or b (1); the gradient is scale*g + penalty*p."""
    addresses = _addresses(h, p, g, s, 2, array, begin)
    before = _flush_denormals()
    for i in range(end - begin):
        x = _load(h, addresses, i)
        p_new, s_new = update(h, k, x[0], scale * x[1] + penalty * x[0], x[2:])
        _store(h, addresses, i, p_new, s_new)
    _restore_denormals(before)


@kernel
def _norm(h, w, dw, count, scale, penalty):
    """Squared norm of scale*dw + penalty*w."""
    total = 0.0
    for i in range(0, count, lane_count(h)):
        total += squared_lanes(h, w, dw, i, count, scale, penalty)
    return total


@kernel
def _value(h, problem, run, loss, first, last):
    """(value of a batch, 1/weight)."""
    weight = _weight(problem, first, last)
    inverse = 1 / weight if weight > 0 else 0.0
    l2 = read(np.float64, read(np.int64, run, NUMBERS), 0)
    value = loss * inverse
    if l2 != 0:
        elements = read(np.int64, problem, linear.WIDTH) * read(np.int64, problem, linear.FEATURES)
        value += l2 * sum_of_squares(h, read(np.int64, problem, linear.W), elements)
    return value, inverse


@kernel
def _record(h, problem, run, value, is_last, scale, penalty):
    numbers = read(np.int64, run, NUMBERS)
    write(numbers, 1, read(np.float64, numbers, 1) + value)
    if is_last:
        p, g = read(np.int64, run, P), read(np.int64, run, G)
        elements = read(np.int64, problem, linear.WIDTH) * read(np.int64, problem, linear.FEATURES)
        total = _norm(h, read(np.int64, p, 0), read(np.int64, g, 0), elements, scale, penalty)
        zero = as_element(h, 0)
        classes = read(np.int64, problem, linear.CLASSES)
        total += _norm(h, read(np.int64, p, 1), read(np.int64, g, 1), classes, scale, zero)
        write(numbers, 2, np.sqrt(total))


@kernel
def finish_step(h, problem, run, step, begin, end):
    """Value and rule of a step whose groups are done; False, and nothing done, if it is not finite.

    The coefficients' first row is that of step `begin`; the norm is recorded at the last step.
    """
    p, g, s = read(np.int64, run, P), read(np.int64, run, G), read(np.int64, run, S)
    dw, db = read(np.int64, g, 0), read(np.int64, g, 1)
    partials, losses = read(np.int64, run, PARTIALS), read(np.int64, run, LOSSES)
    classes = read(np.int64, problem, linear.CLASSES)
    elements = read(np.int64, problem, linear.WIDTH) * read(np.int64, problem, linear.FEATURES)
    penalty = as_element(h, 2 * read(np.float64, read(np.int64, run, NUMBERS), 0))
    zero, one = as_element(h, 0), as_element(h, 1)
    first, last = _batch(run, step)
    groups = _groups(run, first, last)
    value, inverse = _value(h, problem, run, total_loss(losses, groups), first, last)
    if not np.isfinite(value):
        return False
    if groups > 1:
        stride = (elements + classes) * element_size(h)
        add_partials(h, 0, elements, groups, dw, partials, stride, one, p, 0.0)
        biases = partials + elements * element_size(h)
        add_partials(h, 0, classes, groups, db, biases, stride, one, p, 0.0)
    scale = as_element(h, inverse)
    _record(h, problem, run, value, step == end - 1, scale, penalty)
    k = _coefficients(h, read(np.int64, run, K) + (step - begin) * read(np.int64, run, K_COUNT) * 8)
    _update(h, k, p, g, s, 0, 0, elements, scale, penalty)
    _update(h, k, p, g, s, 1, 0, classes, scale, zero)
    return True


@kernel
def _batch(run, step):
    """Positions of a step's rows."""
    first = step * read(np.int64, run, BATCH)
    return first, min(first + read(np.int64, run, BATCH), read(np.int64, run, N))


@kernel
def _groups(run, first, last):
    group_rows = read(np.int64, run, GROUP_ROWS)
    return (last - first + group_rows - 1) // group_rows


@kernel
def steps(h, problem, run, begin, end):
    """Steps [begin, end); returns end, or the step before which it stopped: its loss is not finite."""
    g = read(np.int64, run, G)
    dw, db = read(np.int64, g, 0), read(np.int64, g, 1)
    n, group_rows, scratch = (
        read(np.int64, run, N),
        read(np.int64, run, GROUP_ROWS),
        read(np.int64, run, SCRATCH),
    )
    partials, losses = read(np.int64, run, PARTIALS), read(np.int64, run, LOSSES)
    for step in range(begin, end):
        first, last = _batch(run, step)
        for group in range(_groups(run, first, last)):
            add_group(h, problem, group, first, last, n, group_rows, dw, db, partials, losses, scratch)
        if not finish_step(h, problem, run, step, begin, end):
            return step
    return end


@functools.cache
def steps_entry(rule_type):
    return entry(steps, rule_type, *[types.int64] * 4)


@functools.cache
def _finish_entry(rule_type):
    return entry(finish_step, rule_type, *[types.int64] * 5)


class Epoch:
    """A training run's arrays as the kernels take them."""

    def __init__(self, rows, loss, rule, parameters, batch, l2, threads):
        self.problem = problem = Problem(rows, loss)
        self.rule, self.batch, self.threads = rule, batch, threads
        (self.W, W_slots), (self.b, b_slots) = parameters
        self.arrays = [self.W, *W_slots]
        # CSR: W and its slots by feature while a stretch runs
        self.held = [problem.by_feature() for _ in self.arrays] if problem.sparse else self.arrays
        self.dW, self.db = np.empty_like(self.held[0]), np.empty_like(self.b)
        groups, group_rows = problem.groups(batch)
        self.p = _addresses_of(self.held[0], self.b)
        self.g = _addresses_of(self.dW, self.db)
        pairs = zip(self.held[1:], b_slots, strict=True)
        self.s = _addresses_of(*(a for pair in pairs for a in pair), self.b)
        self.numbers = np.array([l2, 0.0, 0.0])
        problem.set("W", self.held[0])
        problem.set("b", self.b)
        self.memory = problem.group_memory(groups)
        scratch = problem.buffer("scratch", problem.scratch_bytes + 64)
        self.group_rows = group_rows
        self.shared = threads > 1 and groups > 1 and batch * problem.work_per_row() >= PARALLEL_WORK
        fields = {
            "p": address(self.p), "g": address(self.g), "s": address(self.s), "batch": batch, "n": rows.n,
            "group_rows": group_rows, "partials": self.memory[0], "losses": self.memory[1],
            "scratch": address(scratch), "numbers": address(self.numbers),
        }  # fmt: skip
        self.run = np.array([fields.get(name, 0) for name in RUN], np.int64)

    def __call__(self, coefficients, order, begin, end, loss):
        """Steps [begin, end) with one row of coefficients each: (stopped, loss + theirs, gradient norm)."""
        rule_type = formula_type(type(self.rule), self.problem.dtype.name, coefficients.shape[1])
        coefficients = np.ascontiguousarray(coefficients, np.float64)
        order = None if order is None else np.ascontiguousarray(order, np.int64)
        self.problem.set("order", order)
        self.run[K], self.run[K_COUNT] = address(coefficients), coefficients.shape[1]
        self.numbers[1] = loss
        self._exchange(inwards=True)
        if self.shared:
            stopped = self._shared_steps(rule_type, begin, end)
        else:
            stopped = steps_entry(rule_type)(None, self.problem.at, address(self.run), begin, end)
        self._exchange(inwards=False)
        return stopped, float(self.numbers[1]), float(self.numbers[2])

    def _shared_steps(self, rule_type, begin, end):
        """`steps` with the groups of a batch on several threads; the same bits."""
        finish, n = _finish_entry(rule_type), self.problem.n
        outputs = address(self.dW), address(self.db)
        for step in range(begin, end):
            first, last = step * self.batch, min((step + 1) * self.batch, n)
            groups = -(-(last - first) // self.group_rows)
            self.problem.share_groups(
                first, last, n, groups, self.group_rows, outputs, self.memory, self.threads
            )
            if not finish(None, self.problem.at, address(self.run), step, begin, end):
                return step
        return end

    def _exchange(self, inwards):
        for array, held in zip(self.arrays, self.held, strict=True):
            if held is array:
                continue
            if inwards:
                held[:, : len(array)] = array.T
            else:
                array[...] = held[:, : len(array)].T


def _addresses_of(*arrays):
    return np.array([address(a) for a in arrays], np.int64)
