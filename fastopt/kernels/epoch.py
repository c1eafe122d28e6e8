"""Steps of training in one loop: gradient of a batch, then the rule, without Python between.

A run is a table of int64 numbers in the order of RUN (addresses and counts); the loss comes with the
problem, by address, so a step is compiled once a rule.
"""

import functools

import numpy as np
from numba import get_thread_id, prange
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
from fastopt.kernels.lanes import BLOCK, squared_lanes
from fastopt.kernels.linear import add_group, add_partials, sum_of_squares, total_loss
from fastopt.kernels.memory import (
    as_element,
    call,
    clear,
    element_size,
    lane_count,
    read,
    read_element,
    write,
)
from fastopt.kernels.problem import GROUP_ROWS as GROUP_ROWS_AT_LEAST
from fastopt.kernels.problem import Problem
from fastopt.kernels.sparse import entries
from fastopt.kernels.threads import region
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
    "scratch_bytes",
    "numbers",
    "mode",
]
(P, G, S, K, K_COUNT, BATCH, N, GROUP_ROWS, PARTIALS, LOSSES, SCRATCH, SCRATCH_BYTES, NUMBERS,
 MODE) = range(len(RUN))  # fmt: skip

# How a step goes: with a dW that is stored; one dense row, its gradient made up while the rule runs; a
# rule that leaves elements without a gradient alone, on the features of a sparse batch only.
WHOLE, BY_ROW, TOUCHED = range(3)
# Multiply-adds of a batch's scores above which threads share a step, 0.5 ms: three regions a step cost
# 30 us where the cores are free and a time slice each where another process has one.
STEP_WORK = 1 << 24
PIECE = 16_384  # elements of W updated by one thread at a time


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
    for i in range(end - begin):
        x = _load(h, addresses, i)
        p_new, s_new = update(h, k, x[0], scale * x[1] + penalty * x[0], x[2:])
        _store(h, addresses, i, p_new, s_new)


@kernel
def _update_whole(h, problem, run, k, scale, penalty):
    """The rule on W and b."""
    p, g, s = read(np.int64, run, P), read(np.int64, run, G), read(np.int64, run, S)
    elements = read(np.int64, problem, linear.WIDTH) * read(np.int64, problem, linear.FEATURES)
    before = _flush_denormals()
    _update(h, k, p, g, s, 0, 0, elements, scale, penalty)
    _update(h, k, p, g, s, 1, 0, read(np.int64, problem, linear.CLASSES), scale, as_element(h, 0))
    _restore_denormals(before)


@kernel
def _update_by_row(h, problem, run, k, scratch, scale, penalty):
    """The rule on W and b from one dense row: its gradient is dscores[c] * x, and need not be stored."""
    p, s, classes = read(np.int64, run, P), read(np.int64, run, S), read(np.int64, problem, linear.CLASSES)
    features = read(np.int64, problem, linear.FEATURES)
    x, dscores = linear.single_row(h, problem, scratch)
    before = _flush_denormals()
    for c in range(classes):
        begin = c * features
        write(scratch, 0, x - begin * element_size(h))  # so that element `begin` of "the gradient" is x
        slope = scale * read_element(h, dscores, c * BLOCK)
        _update(h, k, p, scratch, s, 0, begin, begin + features, slope, penalty)
    _update(h, k, p, read(np.int64, run, G), s, 1, 0, classes, scale, as_element(h, 0))
    _restore_denormals(before)


@kernel
def _update_touched(h, problem, run, k, first, last, scale):
    """The rule where rows [first, last) have features, and on b; dW is 0 again afterwards.

    A feature that comes twice has no gradient the second time, so nothing happens to it.
    """
    p, g, s = read(np.int64, run, P), read(np.int64, run, G), read(np.int64, run, S)
    width, bits = read(np.int64, problem, linear.WIDTH), read(np.int64, problem, linear.X_KIND)
    indices, indptr = read(np.int64, problem, linear.INDICES), read(np.int64, problem, linear.INDPTR)
    dw, zero = read(np.int64, g, 0), as_element(h, 0)
    before = _flush_denormals()
    for position in range(first, last):
        begin, end = entries(problem, indptr, bits, position)
        for i in range(begin, end):
            j = width * (read(np.int64, indices, i) if bits == 64 else np.int64(read(np.int32, indices, i)))
            _update(h, k, p, g, s, 0, j, j + width, scale, zero)
            clear(dw + j * element_size(h), width * element_size(h))
    _update(h, k, p, g, s, 1, 0, read(np.int64, problem, linear.CLASSES), scale, zero)
    _restore_denormals(before)


@kernel
def _batch_loss(h, problem, run, mode, first, last, groups):
    """The gradient of a batch, as the update of this mode wants it; returns the loss."""
    g, n = read(np.int64, run, G), read(np.int64, run, N)
    dw, db = read(np.int64, g, 0), read(np.int64, g, 1)
    scratch, partials = read(np.int64, run, SCRATCH), read(np.int64, run, PARTIALS)
    group_rows, losses = read(np.int64, run, GROUP_ROWS), read(np.int64, run, LOSSES)
    classes = read(np.int64, problem, linear.CLASSES)
    if mode != WHOLE:
        clear(db, classes * element_size(h))
        target = 0 if mode == BY_ROW else dw
        return call(read(np.int64, problem, linear.ADD_ROWS), (problem, first, last, n, target, db, scratch))
    for group in range(groups):
        add_group(h, problem, group, first, last, n, group_rows, dw, db, partials, losses, scratch)
    if groups > 1:
        elements = read(np.int64, problem, linear.WIDTH) * read(np.int64, problem, linear.FEATURES)
        stride, one = (elements + classes) * element_size(h), as_element(h, 1)
        biases = partials + elements * element_size(h)
        add_partials(h, 0, elements, groups, dw, partials, stride, one, dw, 0.0)
        add_partials(h, 0, classes, groups, db, biases, stride, one, db, 0.0)
    return total_loss(losses, groups)


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
def epoch_serial(h, problem, run, begin, end):
    """Steps [begin, end); returns end, or the step before which it stopped: its loss is not finite."""
    batch, n = read(np.int64, run, BATCH), read(np.int64, run, N)
    group_rows = read(np.int64, run, GROUP_ROWS)
    penalty = as_element(h, 2 * read(np.float64, read(np.int64, run, NUMBERS), 0))
    for step in range(begin, end):
        first = step * batch
        last = min(first + batch, n)
        mode = read(np.int64, run, MODE)
        if mode == BY_ROW and step == end - 1:
            mode = WHOLE  # the norm of the last gradient is asked for
        loss = _batch_loss(h, problem, run, mode, first, last, (last - first + group_rows - 1) // group_rows)
        value, inverse = _value(h, problem, run, loss, first, last)
        if not np.isfinite(value):
            return step
        scale = as_element(h, inverse)
        _record(h, problem, run, value, step == end - 1, scale, penalty)
        row = read(np.int64, run, K) + (step - begin) * read(np.int64, run, K_COUNT) * 8
        k = _coefficients(h, row)
        if mode == WHOLE:
            _update_whole(h, problem, run, k, scale, penalty)
        elif mode == BY_ROW:
            _update_by_row(h, problem, run, k, read(np.int64, run, SCRATCH), scale, penalty)
        else:
            _update_touched(h, problem, run, k, first, last, scale)
    return end


@kernel(parallel=True)
def epoch_parallel(h, problem, run, begin, end):
    """epoch_serial with the groups of a batch on threads; the same bits."""
    p, g, s = read(np.int64, run, P), read(np.int64, run, G), read(np.int64, run, S)
    dw, db = read(np.int64, g, 0), read(np.int64, g, 1)
    batch, n = read(np.int64, run, BATCH), read(np.int64, run, N)
    group_rows, scratch = read(np.int64, run, GROUP_ROWS), read(np.int64, run, SCRATCH)
    scratch_bytes = read(np.int64, run, SCRATCH_BYTES)
    partials, losses = read(np.int64, run, PARTIALS), read(np.int64, run, LOSSES)
    classes = read(np.int64, problem, linear.CLASSES)
    elements = read(np.int64, problem, linear.WIDTH) * read(np.int64, problem, linear.FEATURES)
    stride = (elements + classes) * element_size(h)
    penalty = as_element(h, 2 * read(np.float64, read(np.int64, run, NUMBERS), 0))
    zero, one = as_element(h, 0), as_element(h, 1)
    pieces = (elements + PIECE - 1) // PIECE
    for step in range(begin, end):
        first = step * batch
        last = min(first + batch, n)
        groups = (last - first + group_rows - 1) // group_rows
        for i in prange(groups):
            own = scratch + np.int64(get_thread_id()) * scratch_bytes
            add_group(h, problem, np.int64(i), first, last, n, group_rows, dw, db, partials, losses, own)
        value, inverse = _value(h, problem, run, total_loss(losses, groups), first, last)
        if not np.isfinite(value):
            return step
        scale = as_element(h, inverse)
        row = read(np.int64, run, K) + (step - begin) * read(np.int64, run, K_COUNT) * 8
        k = _coefficients(h, row)
        if groups > 1:
            biases = partials + elements * element_size(h)
            add_partials(h, 0, classes, groups, db, biases, stride, one, p, 0.0)
            for i in prange(pieces):
                low = np.int64(i) * PIECE
                high = min(low + PIECE, elements)
                add_partials(h, low, high, groups, dw, partials, stride, one, p, 0.0)
        _record(h, problem, run, value, step == end - 1, scale, penalty)
        for i in prange(pieces):
            low = np.int64(i) * PIECE
            before = _flush_denormals()
            _update(h, k, p, g, s, 0, low, min(low + PIECE, elements), scale, penalty)
            _restore_denormals(before)
        before = _flush_denormals()
        _update(h, k, p, g, s, 1, 0, classes, scale, zero)
        _restore_denormals(before)
    return end


@functools.cache
def epoch_entry(rule_type, parallel):
    function = epoch_parallel if parallel else epoch_serial
    return entry(function, rule_type, *[types.int64] * 4)


class Epoch:
    """A training run's arrays as the kernels take them."""

    def __init__(self, rows, loss, rule, parameters, batch, l2, threads):
        self.problem = problem = Problem(rows, loss)
        self.rule, self.batch, self.threads = rule, batch, threads
        self.weighted = rows.weight is not None
        (self.W, W_slots), (self.b, b_slots) = parameters
        self.arrays = [self.W, *W_slots]
        # CSR: W and its slots by feature while a stretch runs
        self.held = [problem.by_feature() for _ in self.arrays] if problem.sparse else self.arrays
        self.dW, self.db = np.zeros_like(self.held[0]), np.empty_like(self.b)
        groups, group_rows = problem.groups(batch)
        self.p = _addresses_of(self.held[0], self.b)
        self.g = _addresses_of(self.dW, self.db)
        pairs = zip(self.held[1:], b_slots, strict=True)
        self.s = _addresses_of(*(a for pair in pairs for a in pair), self.b)
        self.numbers = np.array([l2, 0.0, 0.0])
        problem.set("W", self.held[0])
        problem.set("b", self.b)
        itemsize = problem.dtype.itemsize
        partials = problem.buffer("partials", (groups - 1) * problem.partial_elements() * itemsize + 64)
        losses = problem.buffer("losses", groups, np.float64)
        work = batch * problem.work_per_row()
        self.parallel = threads > 1 and groups > 1 and work >= STEP_WORK
        scratch = problem.buffer("scratch", (threads if self.parallel else 1) * problem.scratch_bytes + 64)
        fields = {
            "p": address(self.p), "g": address(self.g), "s": address(self.s), "batch": batch, "n": rows.n,
            "group_rows": group_rows, "partials": address(partials), "losses": address(losses),
            "scratch": address(scratch), "scratch_bytes": problem.scratch_bytes,
            "numbers": address(self.numbers),
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
        self.run[MODE] = self._mode(coefficients)
        self._exchange(inwards=True)
        with region(self.threads if self.parallel else 1) as count:
            run = epoch_entry(rule_type, count > 1)
            stopped = run(None, self.problem.at, address(self.run), begin, end)
        self._exchange(inwards=False)
        return stopped, float(self.numbers[1]), float(self.numbers[2])

    def _mode(self, coefficients):
        if self.parallel:
            return WHOLE
        if not self.problem.sparse:
            # with a weight it would round otherwise than WHOLE, which stands in for it now and then
            return BY_ROW if self.batch == 1 and not self.weighted else WHOLE
        entries = self.batch * self.problem.entries_per_row()
        few = self.batch <= GROUP_ROWS_AT_LEAST and 2 * entries * self.problem.width < self.held[0].size
        touched = few and self.numbers[0] == 0 and rests(self.rule, coefficients, self.W.dtype)
        if touched:
            self.dW[...] = 0
        return TOUCHED if touched else WHOLE

    def _exchange(self, inwards):
        for array, held in zip(self.arrays, self.held, strict=True):
            if held is array:
                continue
            if inwards:
                held[:, : len(array)] = array.T
            else:
                array[...] = held[:, : len(array)].T


def rests(rule, coefficients, dtype):
    """Whether an element without a gradient stays as it is under these rows of coefficients."""
    if rule.slots:
        return False
    p = np.array([[1.0], [-3.7], [1e-6]], dtype)
    with np.errstate(all="ignore"):
        after, _ = rule.update(rule, tuple(coefficients.astype(dtype).T), p, np.zeros_like(p), ())
    return bool((after == p).all())


def _addresses_of(*arrays):
    return np.array([address(a) for a in arrays], np.int64)
