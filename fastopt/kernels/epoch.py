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
from fastopt.kernels.problem import PARALLEL_WORK, Problem
from fastopt.kernels.sparse import entries
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
    "mode",
]
(P, G, S, K, K_COUNT, BATCH, N, GROUP_ROWS, PARTIALS, LOSSES, SCRATCH, NUMBERS,
 MODE) = range(len(RUN))  # fmt: skip

# How a step goes: with a dW that is stored; one dense row, its gradient made up while the rule runs; a
# rule that leaves elements without a gradient alone, on the features of a sparse batch only.
WHOLE, BY_ROW, TOUCHED = range(3)


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
def _join_groups(h, problem, run, groups):
    """The groups' gradients, added in order, to dW and db; returns their loss."""
    g, partials = read(np.int64, run, G), read(np.int64, run, PARTIALS)
    dw, db = read(np.int64, g, 0), read(np.int64, g, 1)
    if groups > 1:
        classes = read(np.int64, problem, linear.CLASSES)
        elements = read(np.int64, problem, linear.WIDTH) * read(np.int64, problem, linear.FEATURES)
        stride, one = (elements + classes) * element_size(h), as_element(h, 1)
        biases = partials + elements * element_size(h)
        add_partials(h, 0, elements, groups, dw, partials, stride, one, dw, 0.0)
        add_partials(h, 0, classes, groups, db, biases, stride, one, db, 0.0)
    return total_loss(read(np.int64, run, LOSSES), groups)


@kernel
def _batch_loss(h, problem, run, mode, step):
    """The gradient of a batch, as the update of this mode wants it; returns the loss."""
    first, last, groups = _batch(run, step)
    g, n = read(np.int64, run, G), read(np.int64, run, N)
    dw, db = read(np.int64, g, 0), read(np.int64, g, 1)
    scratch, partials = read(np.int64, run, SCRATCH), read(np.int64, run, PARTIALS)
    group_rows, losses = read(np.int64, run, GROUP_ROWS), read(np.int64, run, LOSSES)
    if mode != WHOLE:
        clear(db, read(np.int64, problem, linear.CLASSES) * element_size(h))
        target = 0 if mode == BY_ROW else dw
        return call(read(np.int64, problem, linear.ADD_ROWS), (problem, first, last, n, target, db, scratch))
    for group in range(groups):
        add_group(h, problem, group, first, last, n, group_rows, dw, db, partials, losses, scratch)
    return _join_groups(h, problem, run, groups)


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
def _batch(run, step):
    """(first, last, groups): positions of a step's rows, and how many groups they are."""
    first = step * read(np.int64, run, BATCH)
    last = min(first + read(np.int64, run, BATCH), read(np.int64, run, N))
    group_rows = read(np.int64, run, GROUP_ROWS)
    return first, last, (last - first + group_rows - 1) // group_rows


@kernel
def _finish(h, problem, run, mode, loss, step, begin, end):
    """Value, record and rule of a step; False, and nothing done, if the value is not finite.

    The coefficients' first row is that of step `begin`; the norm is recorded at the last step.
    """
    first, last, _ = _batch(run, step)
    value, inverse = _value(h, problem, run, loss, first, last)
    if not np.isfinite(value):
        return False
    scale = as_element(h, inverse)
    penalty = as_element(h, 2 * read(np.float64, read(np.int64, run, NUMBERS), 0))
    _record(h, problem, run, value, step == end - 1, scale, penalty)
    k = _coefficients(h, read(np.int64, run, K) + (step - begin) * read(np.int64, run, K_COUNT) * 8)
    if mode == WHOLE:
        _update_whole(h, problem, run, k, scale, penalty)
    elif mode == BY_ROW:
        _update_by_row(h, problem, run, k, read(np.int64, run, SCRATCH), scale, penalty)
    else:
        _update_touched(h, problem, run, k, first, last, scale)
    return True


@kernel
def steps(h, problem, run, begin, end):
    """Steps [begin, end); returns end, or the step before which it stopped: its loss is not finite."""
    for step in range(begin, end):
        mode = read(np.int64, run, MODE)
        if mode == BY_ROW and step == end - 1:
            mode = WHOLE  # the norm of the last gradient is asked for
        loss = _batch_loss(h, problem, run, mode, step)
        if not _finish(h, problem, run, mode, loss, step, begin, end):
            return step
    return end


@kernel
def finish_shared(h, problem, run, step, begin, end):
    """The rest of a step whose groups were done by several threads."""
    _, _, groups = _batch(run, step)
    loss = _join_groups(h, problem, run, groups)
    return _finish(h, problem, run, WHOLE, loss, step, begin, end)


@functools.cache
def steps_entry(rule_type):
    return entry(steps, rule_type, *[types.int64] * 4)


@functools.cache
def _finish_entry(rule_type):
    return entry(finish_shared, rule_type, *[types.int64] * 5)


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
        self.run[MODE] = self._mode(coefficients)
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

    def _mode(self, coefficients):
        if self.shared:
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
