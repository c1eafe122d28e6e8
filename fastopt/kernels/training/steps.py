"""Steps of training in one loop: gradient of a batch, then the rule, without Python between.

The loss comes with the problem, by address too, so the loop is compiled once, and its inner loops are
not thrown together in one function, where LLVM no longer vectorised the rule (6 us more a step).
"""

import numpy as np

from fastopt.kernels.gradient import linear
from fastopt.kernels.gradient.groups import batch_of, join
from fastopt.kernels.gradient.pair import (
    AWAY,
    READY,
    STATE,
    STOP,
    after_update,
    begin_step,
    is_lost,
    may_update,
    note,
    noted,
    own_features,
    together,
    wait_for_update,
    wait_to_be_sent_away,
)
from fastopt.kernels.language.atomic import load_shared, spin, store_shared
from fastopt.kernels.language.compile import kernel
from fastopt.kernels.language.lanes import BLOCK
from fastopt.kernels.language.memory import (
    as_element,
    call,
    clear,
    element_size,
    read_element,
    write,
)
from fastopt.kernels.language.table import address_of
from fastopt.kernels.step.elementwise import (
    element_addresses,
    flush_denormals,
    load_elements,
    read_coefficients,
    restore_denormals,
    store_elements,
    update,
)
from fastopt.kernels.training.crew import do_groups
from fastopt.kernels.training.weight_parts import (
    part_norm,
    part_of,
    part_squares,
    parts,
    squared_norm,
    stretches,
)


@kernel
def record_norm(h, problem, run, w, scale, penalty):
    """The norm of the gradient scale*dW + penalty*w, scale*db."""
    dw, total = run.g.W, 0.0
    for part in range(parts(problem)):
        total += part_norm(h, problem, w, dw, *part_of(problem, part), scale, penalty)
    _write_norm(h, problem, run, total, scale)


@kernel
def _write_norm(h, problem, run, of_weights, scale):
    db = run.g.b
    of_biases = squared_norm(h, db, db, problem.classes, scale, as_element(h, 0))
    run.numbers.norm = np.sqrt(of_weights + of_biases)


@kernel
def _update(h, k, p, g, s, array, begin, end, scale, penalty):
    """The rule on elements [begin, end) of W (0) or b (1); the gradient is scale*g + penalty*p."""
    addresses = element_addresses(h, p, g, s, 2, array, begin)
    for i in range(end - begin):
        x = load_elements(h, addresses, i)
        p_new, s_new = update(h, k, x[0], scale * x[1] + penalty * x[0], x[2:])
        store_elements(h, addresses, i, p_new, s_new)


@kernel
def _factors(h, run):
    """(scale, penalty) of the gradient scale*g + penalty*p."""
    numbers = run.numbers
    return as_element(h, numbers.scale), as_element(h, 2 * numbers.l2)


@kernel
def update_features(h, problem, run, k, first, last):
    """The rule on features [first, last) of W, and with the first of them on b; k: address of its coefficients."""
    p, g, s = address_of(run.p), address_of(run.g), run.s
    k, (scale, penalty) = read_coefficients(h, k), _factors(h, run)
    count, offset, apart, numbers = stretches(h, problem, first, last)
    before = flush_denormals()
    for i in range(count):
        begin = (offset + i * apart) // element_size(h)
        _update(h, k, p, g, s, np.int64(0), begin, begin + numbers, scale, penalty)
    if first == 0:
        begin, numbers = 0, problem.classes
        _update(h, k, p, g, s, np.int64(1), begin, numbers, scale, as_element(h, 0))
    restore_denormals(before)
    return 0.0


@kernel
def update_by_row(h, problem, run, k):
    """The rule on W and b from one dense row: its gradient is dscores[c] * x, and need not be stored."""
    p, s, classes = address_of(run.p), run.s, problem.classes
    features = problem.features
    scratch = run.worker.scratch
    x, dscores = linear.single_row(h, problem, scratch)
    k, (scale, penalty) = read_coefficients(h, k), _factors(h, run)
    before = flush_denormals()
    for c in range(classes):
        begin = c * features
        write(scratch, 0, x - begin * element_size(h))  # so that element `begin` of "the gradient" is x
        slope = scale * read_element(h, dscores, c * BLOCK)
        _update(h, k, p, scratch, s, np.int64(0), begin, begin + features, slope, penalty)
    begin = 0
    _update(h, k, p, address_of(run.g), s, np.int64(1), begin, classes, scale, as_element(h, 0))
    restore_denormals(before)
    return 0.0


@kernel
def _row_loss(h, problem, run, step):
    """The loss of a batch of one dense row, and its dscores."""
    worker, db = run.worker, run.g.b
    first, last, _ = batch_of(worker, step)
    clear(db, problem.classes * element_size(h))
    scratch, n = worker.scratch, worker.n
    return call(problem.add_rows, (problem, first, last, last, n, 0, db, scratch, 0))


@kernel
def _batch_loss(h, problem, run, step):
    """The loss of a batch, and its gradient in dW and db."""
    worker, crew = run.worker, run.crew
    theirs = do_groups(h, problem, worker, crew, step, run.patience)
    _, _, groups = batch_of(worker, step)
    return join(h, problem, worker, run.others, theirs, groups, as_element(h, 1), as_element(h, 0))


@kernel
def _half_loss(h, problem, run, step):
    """As _batch_loss, of a pair: the gradient is that of one's own half; see is_lost."""
    worker, side = run.worker, run.side
    if run.numbers.l2 != 0:
        note(side, step, part_squares(h, problem, *own_features(side)))
    first, last, _ = batch_of(worker, step)
    dw, db = worker.first, worker.first_bias
    if db:
        clear(db, problem.classes * element_size(h))
    scratch, n = worker.scratch, worker.n
    return call(problem.add_rows, (problem, first, last, last, n, dw, db, scratch, side))


@kernel
def _value(h, problem, run, step, loss, paired):
    """The value of a batch, of which `loss` is the sum; 1 / its rows is noted."""
    numbers, side = run.numbers, run.side
    l2 = numbers.l2
    first, last, _ = batch_of(run.worker, step)
    scale = 1 / float(last - first)
    numbers.scale = scale
    value = loss * scale
    if l2 != 0 and paired:
        value += l2 * noted(side, step)
    elif l2 != 0:
        squares = 0.0
        for part in range(parts(problem)):
            squares += part_squares(h, problem, *part_of(problem, part))
        value += l2 * squares
    return value


@kernel
def _note_norm(h, problem, run, step):
    """What one's own half adds to the squared norm of the gradient."""
    scale, penalty = _factors(h, run)
    side, w = run.side, problem.W
    dw = run.g.W
    note(side, step + 1, part_norm(h, problem, w, dw, *own_features(side), scale, penalty))


@kernel
def _descend(problem, run, k, first, last):
    call(run.update, (problem, run, k, first, last))


@kernel
def steps(h, problem, run, begin, end):
    """Steps [begin, end); returns end, or the step before which it stopped: its loss is not finite.

    The coefficients' first row is that of step `begin`; the norm is recorded at the last step.
    """
    numbers, w = run.numbers, problem.W
    side, blocks = run.side, run.blocks
    k_size, paired = run.k_count * 8, False
    for step in range(begin, end):
        k = run.K + (step - begin) * k_size
        # The last step is asked for the norm of its gradient, which by_row does not store.
        by_row = run.update_by_row != 0 and step < end - 1
        paired, loss = bool(side) and together(side, step + 1, blocks), 0.0
        if paired:
            loss = _half_loss(h, problem, run, step)
            paired = not is_lost(side) and may_update(side)
        if by_row:
            loss = _row_loss(h, problem, run, step)
        elif not paired:
            loss = _batch_loss(h, problem, run, step)
        value = _value(h, problem, run, step, loss, paired)
        if not np.isfinite(value):
            return step
        numbers.loss += value
        if step == end - 1:
            if paired:
                _note_norm(h, problem, run, step)
            else:
                record_norm(h, problem, run, w, *_factors(h, run))
        if by_row:
            call(run.update_by_row, (problem, run, k))
        elif paired:
            _descend(problem, run, k, *own_features(side))
        else:
            for part in range(parts(problem)):
                _descend(problem, run, k, *part_of(problem, part))
    if paired:
        wait_for_update(side)
        _write_norm(h, problem, run, noted(side, end), _factors(h, run)[0])
    return end


@kernel
def help_pair(h, problem, run, begin, end):
    """What the helper of a pair does until the stretch is over."""
    side = run.side
    state, stop = side.shared + STATE, side.shared + STOP
    while not load_shared(stop):
        now = load_shared(state)
        if now == AWAY:
            store_shared(state, READY)
        elif now == READY or now // 2 > end:
            spin()
        else:
            _help_steps(h, problem, run, now // 2 - 1, begin, end)


@kernel
def _help_steps(h, problem, run, step, begin, end):
    """Steps from this one on, until the leader has sent this thread away."""
    side, blocks = run.side, run.blocks
    k_size = run.k_count * 8
    while step < end:
        begin_step(side, step + 1, blocks)
        loss = _half_loss(h, problem, run, step)
        if is_lost(side):
            return
        if not np.isfinite(_value(h, problem, run, step, loss, True)):
            wait_to_be_sent_away(side)
        if not may_update(side):
            return
        if step == end - 1:
            _note_norm(h, problem, run, step)
        k = run.K + (step - begin) * k_size
        _descend(problem, run, k, *own_features(side))
        after_update(side)
        step += 1
