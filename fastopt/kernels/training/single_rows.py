"""Steps of a linear rule from single CSR rows, with lazily scaled weights: scaled.py for batches of one row.

The next row waits for this one's weights, so what counts is the way from the one to the other: addresses stay
in registers, and the loss is a function of one row. A row of a9a takes 46 ns; by scaled_steps it took 100. What
a row needs from memory is asked for beforehand: its place and label, then its entries (50,000 features, 75 in a
row: 250 ns a row without, 130 with).
"""

import numpy as np

from fastopt.kernels.gradient import linear, sparse
from fastopt.kernels.gradient.groups import sum_of_squares
from fastopt.kernels.language.compile import kernel
from fastopt.kernels.language.lanes import BLOCK, first_lane, load_lanes, scores_at, store_first
from fastopt.kernels.language.memory import (
    as_element,
    call,
    clear,
    element_size,
    fetch,
    read,
    read_element,
    write,
    write_element,
)
from fastopt.kernels.step.elementwise import read_coefficients
from fastopt.kernels.training.scaled import LARGEST, SMALLEST, layout, record_scaled, rescale

FAR = BLOCK - 4  # rows between the one at hand and the one that is fetched; spans of so many are in a ring


@kernel
def _place(ring, step):
    return ring + step % BLOCK * sparse.SPAN


@kernel
def row_loss(h, problem, scores, dscores, target):
    """The loss of the row in the first lane, and its dscores; the other lanes hold anything finite."""
    classes = problem.classes
    k = read_coefficients(h, problem.numbers + 8)
    y, d = load_lanes(h, target, 0, BLOCK), scores_at(h, dscores, classes)
    return first_lane(linear.loss_rows(k, scores_at(h, scores, classes), y, d))


@kernel
def single_row_steps(h, problem, run, begin, end):
    """As scaled.scaled_steps, for batches of one CSR row."""
    numbers, worker = run.numbers, run.worker
    v, b = problem.W, run.p.b
    db, n = run.g.b, worker.n
    scores, dscores, target, _, ring, recorded, slopes = layout(h, problem, worker, 1)
    size, wide = element_size(h), sparse.row_numbers(h, problem)
    y, y_size = problem.y, problem.y_kind or size
    indptr, index_size = problem.indptr, problem.x_kind // 8
    classes, loss_kernel = problem.classes, problem.loss
    weights, elements = problem.weights, linear.elements_of(problem)
    l2, total = numbers.l2, numbers.loss
    alpha, squares = numbers.alpha, numbers.squares
    k, k_step = run.K, run.k_count * 8
    clear(slopes, wide * size)  # padding too
    for step in range(begin, begin + FAR):
        sparse.fill_spans(problem, _place(ring, step), step, step + 1, n)
    stopped = end
    for step in range(begin, end):
        row, factor = linear.row_at(problem, step), as_element(h, alpha)
        store_first(h, target, linear.label(h, problem, row))
        later = linear.row_at(problem, min(step + 2 * FAR, n - 1))
        fetch(y + later * y_size)
        fetch(indptr + later * index_size)
        span, near, far = _place(ring, step), _place(ring, step + sparse.NEAR), _place(ring, step + FAR)
        sparse.fill_spans(problem, far, step + FAR, step + FAR + 1, n)
        sparse.block_dots(h, problem, span, near, far, 1, v, wide, slopes)
        for c in range(classes):
            score = read_element(h, b, c) + factor * read_element(h, slopes, c)
            store_first(h, scores + c * BLOCK * size, score)
        share = np.float64(linear.weight(h, problem, row)) if weights else 1.0
        loss = call(loss_kernel, (problem, scores, dscores, target)) * share
        value = loss + (l2 * alpha * alpha * squares if l2 != 0 else 0.0)
        if not np.isfinite(value):
            stopped = step
            break
        total += value
        if step == end - 1:
            for c in range(classes):
                d = read_element(h, dscores, c * BLOCK)
                write(slopes, c, d)
                write(db, c, d)
            sparse.fill_spans(problem, recorded, step, step + 1, n)
            record_scaled(h, problem, run, step, step + 1, alpha, share)
        alpha *= read(np.float64, k, 0)
        slope = read(np.float64, k, 2) * share
        fits = SMALLEST < alpha < LARGEST
        if not fits:
            rescale(h, v, elements, alpha)
            alpha = 1.0
        rate = as_element(h, slope / alpha)
        for c in range(classes):
            d = read_element(h, dscores, c * BLOCK)
            write(slopes, c, rate * d)
            write_element(h, b, c, read(np.float64, k, 1) * read_element(h, b, c) + slope * d)
        if l2 != 0 and fits:
            squares += np.float64(sparse.block_adds(h, True, problem, span, 1, slopes, wide, v))
        else:
            sparse.block_adds(h, False, problem, span, 1, slopes, wide, v)
            squares = sum_of_squares(h, v, elements) if l2 != 0 else 0.0  # and rounding does not pile up
        k += k_step
    numbers.loss = total
    numbers.alpha = alpha
    numbers.squares = squares
    return stopped
