"""Passes over the rows for solvers, in the place of linear.add_rows: kept scores, products with the Hessian.

What a pass does to each block of rows is the sum of these, in pass_kind:
    SCORED   scores of W and b, to `out` (0: to scratch); without it the scores are those in `kept`
    LOST     the loss at the scores, its dscores and their sums
    CURVED   instead: the second derivative at `kept` times the scores, which are those of a direction
    SUMMED   the gradient, dscores X
A block's scores lie in `kept` and `out` as they do in scratch, (classes, BLOCK), one block after the other.
"""

import numpy as np
from numba.extending import overload

from fastopt.kernels.gradient import linear, sparse
from fastopt.kernels.gradient.tiles import TILE_CLASSES, TILE_ROWS
from fastopt.kernels.language.compile import kernel
from fastopt.kernels.language.lanes import BLOCK, load_lanes, same_lanes, scores_at, store_lanes, sum_lanes
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
from fastopt.kernels.step.elementwise import read_coefficients
from fastopt.kernels.tables import CURVED, LOST, SCORED, SUMMED


def loss_curvature(k, s, y, v, d):
    """Stands for the formula that the type of s names."""


@overload(loss_curvature)
def _loss_curvature(k, s, y, v, d):
    return s.loss.formula.curvature


@kernel
def block_curvature(h, problem, rows, scores, directions, dscores, targets, weights, db):
    """dscores = weights * L''(scores) directions of a block; their sums over rows are added to db."""
    classes, size = problem.classes, element_size(h)
    k = read_coefficients(h, problem.numbers + 8)
    for j in range(0, rows, lane_count(h)):
        d, v = scores_at(h, dscores + j * size, classes), scores_at(h, directions + j * size, classes)
        y = linear.labels_at(h, targets, j, classes)
        loss_curvature(k, scores_at(h, scores + j * size, classes), y, v, d)
        w = load_lanes(h, weights, j, BLOCK)
        for c in range(classes):
            d[c] = d[c] * w
    if db:
        for c in range(classes):
            t = load_lanes(h, dscores, c * BLOCK, c * BLOCK + BLOCK)
            for j in range(lane_count(h), rows, lane_count(h)):
                t = t + load_lanes(h, dscores, c * BLOCK + j, c * BLOCK + BLOCK)
            write_element(h, db, c, read_element(h, db, c) + sum_lanes(t))
    return 0.0


@kernel
def block_place(h, problem, first):
    """Bytes from the beginning of kept scores to those of the block at row `first`."""
    block, classes = problem.block_rows, problem.classes
    return first // block * (classes * BLOCK * element_size(h))


@kernel
def _block_slopes(h, problem, rows, place, scores, dscores, targets, weights, db):
    """What the pass makes of a block's scores: its dscores; returns its loss."""
    kind, kept = problem.pass_kind, problem.kept
    at = problem.loss
    if kind & CURVED:
        return call(at, (problem, rows, kept + place, scores, dscores, targets, weights, db))
    return call(at, (problem, rows, scores, dscores, targets, weights, db))


@kernel
def pass_rows(h, problem, begin, end, coming, stop, dw, db, scratch, pair):
    """A pass over dense rows [begin, end): see linear.add_rows for the arguments. dw is overwritten."""
    kind = problem.pass_kind
    kept, out = problem.kept, problem.out
    classes, block = problem.classes, problem.block_rows
    features, wide = problem.features, problem.x_kind == 1
    scores, dscores, targets, weights, table = linear.block_memory(h, problem, scratch)
    following = table + BLOCK * 8
    ahead, widened = following + BLOCK * 8, following + 2 * BLOCK * 8
    fetched = (2 if classes > TILE_CLASSES else 1) if kind & SCORED else 0
    reach = features * linear.feature_bytes(h, problem) - 1
    total = 0.0
    if begin >= end and kind & SUMMED:
        clear(dw, classes * features * element_size(h))
    linear.fill_table(problem, table, begin, min(begin + block, end), BLOCK, reach)
    for first in range(begin, end, block):
        last = min(first + block, end)
        rows, place = last - first, block_place(h, problem, first)
        if last < end:
            linear.fill_table(problem, following, last, min(last + block, end), BLOCK, reach)
        else:
            linear.fill_table(problem, following, coming, min(coming + block, stop), BLOCK, reach)
        x = table
        if wide:
            x = widened
            linear.widen_rows(h, problem, table, rows, widened, widened + BLOCK * 8, 0, features)
        own = out + place if out else scores
        if kind & SCORED:
            linear.all_scores(h, problem, x, following, rows, own, dscores)
        else:
            own = kept + place
        if kind & (LOST | CURVED):
            linear.load_rows(h, problem, first, last, targets, weights)
            total += _block_slopes(h, problem, rows, place, own, dscores, targets, weights, db)
        if kind & SUMMED:
            for r in range(rows):
                fetch = table if r % TILE_ROWS < fetched else following
                write(ahead, r, read(np.int64, fetch, r))
            fresh = 1 if first == begin else 0
            gradient = problem.gradient
            call(gradient, (problem, x, ahead, rows, dscores, dw, fresh, 0, features))
        table, following = following, table
    return total


@kernel
def pass_sparse_rows(h, problem, begin, end, coming, stop, dw, db, scratch, pair):
    """A pass over CSR rows [begin, end), whose columns have been checked: see sparse.add_sparse_rows."""
    kind = problem.pass_kind
    kept, out = problem.kept, problem.out
    scores, dscores, targets, weights, spans = linear.block_memory(h, problem, scratch)
    wide, size = sparse.row_numbers(h, problem), element_size(h)
    by_row = spans + (3 * BLOCK + sparse.NEAR) * sparse.SPAN
    w, b = problem.W, problem.b
    total = 0.0
    if kind & SUMMED:
        clear(dw, linear.elements_of(problem) * size)
    own_rows, following, far = spans, spans + BLOCK * sparse.SPAN, spans + 2 * BLOCK * sparse.SPAN
    sparse.fill_block(problem, own_rows, spans, BLOCK, begin, end, coming, stop)
    sparse.fill_block(problem, following, spans, BLOCK, begin + BLOCK, end, coming, stop)
    for first in range(begin, end, BLOCK):
        last = min(first + BLOCK, end)
        rows, place = last - first, block_place(h, problem, first)
        count = BLOCK if last < end else rows
        sparse.fill_block(problem, far, spans, count, first + 2 * BLOCK, end, coming, stop)
        own = out + place if out else scores
        if kind & SCORED:
            near = own_rows + sparse.NEAR * sparse.SPAN
            sparse.block_dots(h, problem, own_rows, near, far, rows, w, wide, by_row)
            sparse.spread_scores(h, problem, rows, wide, by_row, b, 1.0, own)
        else:
            own = kept + place
        if kind & (LOST | CURVED):
            linear.load_rows(h, problem, first, last, targets, weights)
            total += _block_slopes(h, problem, rows, place, own, dscores, targets, weights, db)
        if kind & SUMMED:
            sparse.gather_slopes(h, problem, rows, wide, dscores, by_row)
            sparse.block_adds(h, False, problem, own_rows, rows, by_row, wide, dw)
        own_rows, following, far = following, far, own_rows
    return total


@kernel
def _dot_block(h, problem, a, b):
    """Sum of the products of two blocks of numbers."""
    total = 0.0
    for c in range(problem.classes):
        for j in range(0, BLOCK, lane_count(h)):
            i = c * BLOCK + j
            total += sum_lanes(load_lanes(h, a, i, i + BLOCK) * load_lanes(h, b, i, i + BLOCK))
    return total


@kernel
def line_rows(h, problem, begin, end, coming, stop, dw, db, scratch, pair):
    """The loss of rows [begin, end) at kept + t * out, without X; its slope by t is written to `line`.

    line: float64 t, then a slope for each block of rows, at the group's first one.
    """
    kept, out = problem.kept, problem.out
    line, block = problem.line, problem.block_rows
    scores, dscores, targets, weights, _ = linear.block_memory(h, problem, scratch)
    count = problem.classes * BLOCK
    t = same_lanes(h, as_element(h, read(np.float64, line, 0)))
    total = slope = 0.0
    for first in range(begin, end, block):
        last, place = min(first + block, end), block_place(h, problem, first)
        linear.load_rows(h, problem, first, last, targets, weights)
        for i in range(0, count, lane_count(h)):
            moved = load_lanes(h, kept + place, i, count) + t * load_lanes(h, out + place, i, count)
            store_lanes(h, scores, i, count, moved)
        at = problem.loss
        clear(dscores, count * element_size(h))
        total += call(at, (problem, last - first, scores, dscores, targets, weights, 0))
        slope += _dot_block(h, problem, dscores, out + place)
    write(line, 1 + begin // block, slope)
    return total
