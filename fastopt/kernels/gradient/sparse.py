"""Blocks of CSR rows.

W and its gradient are held as (features, width): the weights of one feature lie together, padded to
a power of two or to whole vectors, so that an entry of X touches one or few cache lines.
"""

import numpy as np

from fastopt.kernels.gradient import linear as dense
from fastopt.kernels.gradient.sizes import NEAR, SPAN
from fastopt.kernels.gradient.sparse_tiles import WIDE, largest_index, sparse_adds, sparse_dots
from fastopt.kernels.language.compile import kernel
from fastopt.kernels.language.lanes import BLOCK
from fastopt.kernels.language.memory import (
    as_element,
    call,
    clear,
    element_size,
    lane_count,
    read,
    read_element,
    write,
)


@kernel
def row_numbers(h, problem):
    """Numbers from one row's scores, side by side, to the next's: whole vectors."""
    width, lanes = problem.width, lane_count(h)
    return (width + lanes - 1) // lanes * lanes


@kernel
def fill_spans(problem, spans, begin, end, stop):
    """Where the entries of rows [begin, end) begin and end; none for rows from `stop` on."""
    indptr, bits = problem.indptr, problem.x_kind
    for position in range(begin, end):
        first, last = entries(problem, indptr, bits, position) if position < stop else (0, 0)
        write(spans, 2 * (position - begin), first)
        write(spans, 2 * (position - begin) + 1, last)


@kernel
def fill_block(problem, place, ring, count, begin, end, coming, stop):
    """`count` spans of rows from `begin` on, in a place of the ring; what comes after `end` is `coming`."""
    own = max(0, min(count, end - begin))
    fill_spans(problem, place, begin, begin + own, end)
    begin = max(coming, coming + begin - end)
    fill_spans(problem, place + own * SPAN, begin, begin + count - own, stop)
    if place == ring:  # so that those near the end of the ring go on behind it
        for i in range(2 * NEAR):
            write(ring + 3 * BLOCK * SPAN, i, read(np.int64, place, i))


@kernel
def block_dots(h, problem, spans, near, far, rows, w, wide, out):
    """out[r, c] = W[c] X[r], `wide` numbers a row, for the rows of `spans`; near, far: see sparse_dots."""
    values, indices = problem.X, problem.indices
    width, size, lanes = problem.width, element_size(h), lane_count(h)
    selection = _selection(problem, min(width, lanes))
    for c in range(0, width, lanes):
        sparse_dots(
            h, selection, values, indices, spans, near, far, rows, w + c * size, width, out + c * size, wide
        )
        near = far = spans


@kernel
def block_adds(h, squares, problem, spans, rows, slopes, wide, target):
    """target[c] += slopes[r, c] X[r]; returns how much the sum of its squares grew, 0 without squares."""
    values, indices = problem.X, problem.indices
    width, size, lanes = problem.width, element_size(h), lane_count(h)
    selection, grown = _selection(problem, min(width, lanes)), 0.0
    for c in range(0, width, lanes):
        place, own = target + c * size, slopes + c * size
        if squares:
            grown += sparse_adds(h, 1, selection, values, indices, spans, rows, place, width, own, wide)
        else:
            sparse_adds(h, 0, selection, values, indices, spans, rows, place, width, own, wide)
    return grown


@kernel
def _selection(problem, width):
    return width + (WIDE if problem.x_kind == 64 else 0)


@kernel
def _indices_fit(problem, begin, end):
    """Whether all columns of rows [begin, end) are there; where not, the problem is marked as bad."""
    bits, indptr = problem.x_kind, problem.indptr
    first, last = entries(problem, indptr, bits, begin)[0], entries(problem, indptr, bits, end - 1)[1]
    largest = largest_index(problem.indices, bits, first, last)
    fit = largest < np.uint64(problem.features) or last == first
    if not fit:
        problem.bad = 1
    return fit


@kernel
def add_sparse_rows(h, problem, begin, end, coming, stop, dw, db, scratch, pair):
    """linear.add_rows for CSR: X is the address of the values, x_kind the bits of an index.

    Without column numbers checked beforehand they are here, block by block: rows are then in order.
    pair is 0: CSR rows are not shared by features.
    """
    scores, dscores, targets, weights, spans = dense.block_memory(h, problem, scratch)
    wide = row_numbers(h, problem)
    by_row = spans + (3 * BLOCK + NEAR) * SPAN
    w, b = problem.W, problem.b
    unchecked = problem.unchecked
    total = 0.0
    clear(dw, dense.elements_of(problem) * element_size(h))
    few = min(BLOCK, end - begin + NEAR)  # a small batch has no use for more
    own, following, far = spans, spans + BLOCK * SPAN, spans + 2 * BLOCK * SPAN
    fill_block(problem, own, spans, few, begin, end, coming, stop)
    if few == BLOCK:
        fill_block(problem, following, spans, BLOCK, begin + BLOCK, end, coming, stop)
    for first in range(begin, end, BLOCK):
        last = min(first + BLOCK, end)
        rows = last - first
        if unchecked and not _indices_fit(problem, first, last):
            return 0.0
        dense.load_rows(h, problem, first, last, targets, weights)
        fill_block(problem, far, spans, BLOCK if last < end else rows, first + 2 * BLOCK, end, coming, stop)
        block_dots(h, problem, own, own + NEAR * SPAN, far, rows, w, wide, by_row)
        spread_scores(h, problem, rows, wide, by_row, b, 1.0, scores)
        arguments = (problem, rows, scores, dscores, targets, weights, db)
        total += call(problem.loss, arguments)
        gather_slopes(h, problem, rows, wide, dscores, by_row)
        block_adds(h, False, problem, own, rows, by_row, wide, dw)
        own, following, far = following, far, own
    return total


@kernel
def entries(problem, indptr, bits, position):
    row = dense.row_at(problem, position)
    if bits == 64:
        return read(np.int64, indptr, row), read(np.int64, indptr, row + 1)
    return np.int64(read(np.int32, indptr, row)), np.int64(read(np.int32, indptr, row + 1))


@kernel
def spread_scores(h, problem, rows, wide, by_row, b, scale, scores):
    """scores[c, r] = scale * by_row[r, c] + b[c]; b: an address, 0 for none."""
    factor = as_element(h, scale)
    for c in range(problem.classes):
        start = read_element(h, b, c) if b else dense.zero(h)
        for r in range(rows):
            write(scores, c * BLOCK + r, start + factor * read_element(h, by_row, r * wide + c))
        for r in range(rows, BLOCK):
            write(scores, c * BLOCK + r, start)


@kernel
def gather_slopes(h, problem, rows, wide, dscores, by_row):
    """by_row[r, c] = dscores[c, r], and 0 beyond the classes."""
    clear(by_row, rows * wide * element_size(h))
    for c in range(problem.classes):
        for r in range(rows):
            write(by_row, r * wide + c, read_element(h, dscores, c * BLOCK + r))
