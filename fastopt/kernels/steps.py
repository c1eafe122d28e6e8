"""Steps of training in one loop: gradient of a batch, then the rule, without Python between.

A run is a table of int64 numbers in the order of RUN:
    p, g, s    addresses of tables of addresses as in elementwise.py, of W and b
    K, k_count the steps' coefficients
    hands, others, crew, patience  see groups.py and crew.py; others: a helper's hands
    numbers    address of float64 numbers, see there
    update     the rule, by address: update_whole; update_by_row: where a batch is one dense row, else 0
The loss comes with the problem, by address too, so the loop is compiled once, and its inner loops are
not thrown together in one function, where LLVM no longer vectorised the rule (6 us more a step).
"""

import numpy as np

from fastopt.kernels import linear
from fastopt.kernels.compile import kernel
from fastopt.kernels.crew import do_groups
from fastopt.kernels.elementwise import (
    _addresses,
    _coefficients,
    _flush_denormals,
    _load,
    _restore_denormals,
    _store,
    update,
)
from fastopt.kernels.groups import SCRATCH, N, batch_of, join, sum_of_squares
from fastopt.kernels.lanes import BLOCK, squared_lanes
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

RUN = [
    "p",
    "g",
    "s",
    "K",
    "k_count",
    "hands",
    "others",
    "crew",
    "patience",
    "numbers",
    "update",
    "update_by_row",
]
(P, G, S, K, K_COUNT, HANDS, OTHERS, CREW, PATIENCE, NUMBERS, UPDATE, UPDATE_BY_ROW) = range(len(RUN))

# Of NUMBERS. LOSS: the sum over batches. NORM: of the last gradient. SCALE: 1/(weight of the batch).
# ALPHA, SQUARES: see scaled.py.
L2, LOSS, NORM, SCALE, ALPHA, SQUARES = range(6)


@kernel
def batch_weight(h, problem, begin, end):
    """Sum of the weights of a batch."""
    if not read(np.int64, problem, linear.WEIGHTS):
        return float(end - begin)
    total = 0.0
    for i in range(begin, end):
        total += np.float64(linear.weight(h, problem, linear.row_at(problem, i)))
    return total


@kernel
def record_norm(h, problem, run, w, scale, penalty):
    """The norm of the gradient scale*dW + penalty*w, scale*db."""
    numbers, g = read(np.int64, run, NUMBERS), read(np.int64, run, G)
    db, zero = read(np.int64, g, 1), as_element(h, 0)
    total = _norm(h, w, read(np.int64, g, 0), linear.elements_of(problem), scale, penalty)
    total += _norm(h, db, db, read(np.int64, problem, linear.CLASSES), scale, zero)
    write(numbers, NORM, np.sqrt(total))


@kernel
def _norm(h, w, dw, count, scale, penalty):
    """Squared norm of scale*dw + penalty*w."""
    total = 0.0
    for i in range(0, count, lane_count(h)):
        total += squared_lanes(h, w, dw, i, count, scale, penalty)
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
def _factors(h, run):
    """(scale, penalty) of the gradient scale*g + penalty*p."""
    numbers = read(np.int64, run, NUMBERS)
    return as_element(h, read(np.float64, numbers, SCALE)), as_element(h, 2 * read(np.float64, numbers, L2))


@kernel
def update_whole(h, problem, run, k):
    """The rule on W and b; k: address of its coefficients."""
    p, g, s = read(np.int64, run, P), read(np.int64, run, G), read(np.int64, run, S)
    k, (scale, penalty) = _coefficients(h, k), _factors(h, run)
    before = _flush_denormals()
    _update(h, k, p, g, s, 0, 0, linear.elements_of(problem), scale, penalty)
    _update(h, k, p, g, s, 1, 0, read(np.int64, problem, linear.CLASSES), scale, as_element(h, 0))
    _restore_denormals(before)
    return 0.0


@kernel
def update_by_row(h, problem, run, k):
    """The rule on W and b from one dense row: its gradient is dscores[c] * x, and need not be stored."""
    p, s, classes = read(np.int64, run, P), read(np.int64, run, S), read(np.int64, problem, linear.CLASSES)
    features = read(np.int64, problem, linear.FEATURES)
    scratch = read(np.int64, read(np.int64, run, HANDS), SCRATCH)
    x, dscores = linear.single_row(h, problem, scratch)
    k, (scale, penalty) = _coefficients(h, k), _factors(h, run)
    before = _flush_denormals()
    for c in range(classes):
        begin = c * features
        write(scratch, 0, x - begin * element_size(h))  # so that element `begin` of "the gradient" is x
        slope = scale * read_element(h, dscores, c * BLOCK)
        _update(h, k, p, scratch, s, 0, begin, begin + features, slope, penalty)
    _update(h, k, p, read(np.int64, run, G), s, 1, 0, classes, scale, as_element(h, 0))
    _restore_denormals(before)
    return 0.0


@kernel
def _row_loss(h, problem, run, step):
    """The loss of a batch of one dense row, and its dscores."""
    hands, db = read(np.int64, run, HANDS), read(np.int64, read(np.int64, run, G), 1)
    first, last, _ = batch_of(hands, step)
    clear(db, read(np.int64, problem, linear.CLASSES) * element_size(h))
    scratch, n = read(np.int64, hands, SCRATCH), read(np.int64, hands, N)
    return call(read(np.int64, problem, linear.ADD_ROWS), (problem, first, last, last, n, 0, db, scratch))


@kernel
def _batch_loss(h, problem, run, step):
    """The loss of a batch, and its gradient in dW and db."""
    hands, crew = read(np.int64, run, HANDS), read(np.int64, run, CREW)
    theirs = do_groups(h, problem, hands, crew, step, read(np.int64, run, PATIENCE))
    _, _, groups = batch_of(hands, step)
    return join(
        h, problem, hands, read(np.int64, run, OTHERS), theirs, groups, as_element(h, 1), as_element(h, 0)
    )


@kernel
def steps(h, problem, run, begin, end):
    """Steps [begin, end); returns end, or the step before which it stopped: its loss is not finite.

    The coefficients' first row is that of step `begin`; the norm is recorded at the last step.
    """
    numbers, hands, w = (
        read(np.int64, run, NUMBERS),
        read(np.int64, run, HANDS),
        read(np.int64, problem, linear.W),
    )
    l2, k_size = read(np.float64, numbers, L2), read(np.int64, run, K_COUNT) * 8
    stopped = end
    for step in range(begin, end):
        update = read(np.int64, run, UPDATE_BY_ROW)
        if update and step < end - 1:
            loss = _row_loss(h, problem, run, step)
        else:  # at the last step the norm of the gradient is asked for
            update = read(np.int64, run, UPDATE)
            loss = _batch_loss(h, problem, run, step)
        first, last, _ = batch_of(hands, step)
        weight = batch_weight(h, problem, first, last)
        scale = 1 / weight if weight > 0 else 0.0
        value = loss * scale
        if l2 != 0:
            value += l2 * sum_of_squares(h, w, linear.elements_of(problem))
        if not np.isfinite(value):
            stopped = step
            break
        write(numbers, LOSS, read(np.float64, numbers, LOSS) + value)
        write(numbers, SCALE, scale)
        if step == end - 1:
            record_norm(h, problem, run, w, as_element(h, scale), as_element(h, 2 * l2))
        call(update, (problem, run, read(np.int64, run, K) + (step - begin) * k_size))
    return stopped
