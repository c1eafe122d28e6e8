"""Steps of a linear rule with lazily scaled weights: W = alpha * V.

Where p_new = decay * p + slope * g for all elements alike, a step that shrinks every weight (a penalty,
weight decay) multiplies one number, and touches V only where the batch has features. Of the rule it
needs three numbers a step: decay of W (with the penalty), decay of b, slope. Source: Bottou 2012,
Stochastic Gradient Descent Tricks, section 5.1.
"""

import numpy as np

from fastopt.kernels.gradient import linear, sparse
from fastopt.kernels.gradient.groups import batch_of, sum_of_squares
from fastopt.kernels.gradient.sizes import NEAR, SPAN
from fastopt.kernels.language.compile import kernel
from fastopt.kernels.language.lanes import BLOCK, load_lanes, store_first, store_lanes, times_plus
from fastopt.kernels.language.memory import (
    as_element,
    call,
    clear,
    element_size,
    lane_count,
    read,
    read_element,
    write,
    write_element,
)
from fastopt.kernels.training.steps import record_norm

# Of alpha: beyond them V takes it over. Powers of two would lose nothing; float32 loses one rounding.
SMALLEST, LARGEST = 1e-6, 1e6
AHEAD = BLOCK  # rows between the one at hand and the one that is fetched


@kernel
def layout(h, problem, worker, count):
    """Addresses in the scratch memory: (scores, dscores, targets, weights, following, spans, slopes)."""
    scratch = worker.scratch
    scores, dscores, targets, weights, following = linear.block_memory(h, problem, scratch)
    spans = following + 2 * BLOCK * 8
    return scores, dscores, targets, weights, following, spans, spans + (count + NEAR) * SPAN


@kernel
def _row_slopes(h, problem, run, position, alpha):
    """_batch_slopes of one dense row: nothing is read as a vector that was written as an element."""
    worker, classes = run.worker, problem.classes
    scores, dscores, targets, weights, following, spans, widened = layout(h, problem, worker, 1)
    b, db = run.p.b, run.g.b
    row, factor = linear.row_at(problem, position), as_element(h, alpha)
    features, size = problem.features, element_size(h)
    if problem.shares:
        linear.load_shares(h, problem, row, 0, targets)
    else:
        store_first(h, targets, linear.label(h, problem, row))
    store_first(h, weights, linear.weight(h, problem, row))
    after = min(position + 2, worker.n)
    reach = features * linear.feature_bytes(h, problem) - 1
    linear.fill_table(problem, spans, position, position + 1, 1, reach)
    linear.fill_table(problem, following, position + 1, after, 1, reach)
    if problem.x_kind == 1:
        # Up to TILE_ROWS addresses are written: there is room for NEAR + 1 spans, twice as long
        linear.widen_rows(h, problem, spans, 1, spans, widened, 0, features)
    call(problem.scores, (problem, spans, following, 1, scores, 0, features))
    for c in range(classes):
        score = read_element(h, b, c) + factor * read_element(h, scores, c * BLOCK)
        store_first(h, scores + c * BLOCK * size, score)
    loss = call(problem.loss, (problem, 1, scores, dscores, targets, weights, 0))
    for c in range(classes):
        write(db, c, read_element(h, dscores, c * BLOCK))
    return loss


@kernel
def _batch_slopes(h, problem, run, first, last, alpha):
    """The loss of a batch; the slopes by its scores in the scratch memory, their sums over rows in db."""
    if problem.x_kind < 2:
        return _row_slopes(h, problem, run, first, alpha)
    worker, classes = run.worker, problem.classes
    scores, dscores, targets, weights, following, spans, slopes = layout(h, problem, worker, last - first)
    v, b = problem.W, run.p.b
    db, n = run.g.b, worker.n
    wide, size = sparse.row_numbers(h, problem), element_size(h)
    clear(db, classes * size)
    sparse.fill_spans(problem, spans, first, last + NEAR, n)
    total = 0.0
    for begin in range(first, last, BLOCK):
        end = min(begin + BLOCK, last)
        own, place = spans + (begin - first) * SPAN, slopes + (begin - first) * wide * size
        linear.load_rows(h, problem, begin, end, targets, weights)
        sparse.fill_spans(problem, following, begin + AHEAD, end + AHEAD, n)
        sparse.block_dots(h, problem, own, own + NEAR * SPAN, following, end - begin, v, wide, place)
        sparse.spread_scores(h, problem, end - begin, wide, place, b, alpha, scores)
        arguments = (problem, end - begin, scores, dscores, targets, weights, db)
        total += call(problem.loss, arguments)
        sparse.gather_slopes(h, problem, end - begin, wide, dscores, place)
    return total


@kernel
def _add_row(h, x, slope, features, target):
    """target += slope * x"""
    for i in range(0, features, lane_count(h)):
        t = times_plus(load_lanes(h, x, i, features), slope, load_lanes(h, target, i, features))
        store_lanes(h, target, i, features, t)


@kernel
def _descend(h, problem, run, first, last, target, factor, squares):
    """target += factor * the batch's gradient; returns how much the sum of its squares grew, with squares."""
    worker, classes = run.worker, problem.classes
    _, dscores, _, _, _, spans, slopes = layout(h, problem, worker, last - first)
    features, size, factor = problem.features, element_size(h), as_element(h, factor)
    if problem.x_kind > 1:
        rows, wide = last - first, sparse.row_numbers(h, problem)
        for i in range(rows * wide):
            write(slopes, i, factor * read_element(h, slopes, i))
        if squares:
            return np.float64(sparse.block_adds(h, True, problem, spans, rows, slopes, wide, target))
        sparse.block_adds(h, False, problem, spans, rows, slopes, wide, target)
        return 0.0
    x, grown = read(np.int64, spans, 0), 0.0
    for c in range(classes):
        slope, row = factor * read_element(h, dscores, c * BLOCK), target + c * features * size
        if slope != 0:
            before = sum_of_squares(h, row, features) if squares else 0.0
            _add_row(h, x, slope, features, row)
            grown += sum_of_squares(h, row, features) - before if squares else 0.0
    return grown


@kernel
def record_scaled(h, problem, run, first, last, alpha, inverse):
    """The norm of the batch's gradient, from a dW that is made for it alone."""
    dw, v = run.g.W, problem.W
    clear(dw, linear.elements_of(problem) * element_size(h))
    _descend(h, problem, run, first, last, dw, 1.0, False)
    penalty = 2 * run.numbers.l2 * alpha
    record_norm(h, problem, run, v, as_element(h, inverse), as_element(h, penalty))


@kernel
def rescale(h, v, count, factor):
    factor = as_element(h, factor)
    for i in range(0, count, lane_count(h)):
        store_lanes(h, v, i, count, load_lanes(h, v, i, count) * factor)


@kernel
def scaled_steps(h, problem, run, begin, end):
    """As steps.steps; a row of K, or the one for all (k_count = 0), has decay of W, decay of b and slope."""
    numbers, worker, v = run.numbers, run.worker, problem.W
    l2, K_at, b = numbers.l2, run.K, run.p.b
    alpha, squares = numbers.alpha, numbers.squares
    k_step = run.k_count * 8
    db, elements = run.g.b, linear.elements_of(problem)
    stopped = end
    for step in range(begin, end):
        first, last, _ = batch_of(worker, step)
        loss = _batch_slopes(h, problem, run, first, last, alpha)
        inverse = 1 / float(last - first)
        value = loss * inverse + (l2 * alpha * alpha * squares if l2 != 0 else 0.0)
        if not np.isfinite(value):
            stopped = step
            break
        numbers.loss += value
        if step == end - 1:
            record_scaled(h, problem, run, first, last, alpha, inverse)
        k = K_at + (step - begin) * k_step
        alpha *= read(np.float64, k, 0)
        slope = read(np.float64, k, 2) * inverse
        if SMALLEST < alpha < LARGEST:
            squares += _descend(h, problem, run, first, last, v, slope / alpha, l2 != 0)
        else:
            rescale(h, v, elements, alpha)
            alpha = 1.0
            _descend(h, problem, run, first, last, v, slope, False)
            squares = sum_of_squares(h, v, elements) if l2 != 0 else 0.0  # and rounding does not pile up
        for c in range(problem.classes):
            bias = read(np.float64, k, 1) * read_element(h, b, c) + slope * read_element(h, db, c)
            write_element(h, b, c, bias)
    numbers.alpha = alpha
    numbers.squares = squares
    return stopped
