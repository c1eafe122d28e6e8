"""X' D X for a diagonal D: the rows of a Hessian that belong to some features, rows in blocks, in order (kept.py)."""

import numpy as np

from fastopt.kernels.gradient import linear, sparse
from fastopt.kernels.gradient.tiles import STRIP_CLASSES, gradient_strips
from fastopt.kernels.language.compile import kernel
from fastopt.kernels.language.lanes import BLOCK
from fastopt.kernels.language.memory import (
    element_size,
    read,
    read_element,
    write,
)


@kernel
def dense_gram(h, problem, diagonal, begin, end, first_feature, last_feature, target, stride, scratch):
    """target[j, i] = sum_r d_r x_rj x_ri over rows [begin, end), for features j of the panel and i from the first of j's strip on:
    below the diagonal there may be zeros.

    diagonal, target: addresses; stride: bytes from one j to the next. The panel from 0 on has sum_r d_r x_ri too, in row
    `features` of target.
    """
    size = element_size(h)
    block, features = problem.block_rows, problem.features
    wide, panel = problem.x_kind == 1, last_feature - first_feature
    table = (scratch + 63) // 64 * 64
    slopes = table + 2 * BLOCK * 8
    weights = slopes + panel * BLOCK * size
    widened = weights + BLOCK * size
    reach = features * linear.feature_bytes(h, problem) - 1
    for first in range(begin, end, block):
        rows = min(block, end - first)
        linear.fill_table(problem, table, first, first + rows, BLOCK, reach)
        x = table
        if wide:
            x = table + BLOCK * 8
            linear.widen_rows(h, problem, table, rows, x, widened, first_feature, features)
        for r in range(rows):
            write(weights, r, read_element(h, diagonal, first + r))
        fresh = 1 if first == begin else 0
        for j in range(0, panel, STRIP_CLASSES):
            own, count, d = first_feature + j, min(STRIP_CLASSES, panel - j), slopes + j * BLOCK * size
            for r in range(rows):
                row, weight = read(np.int64, x, r), read_element(h, weights, r)
                for c in range(count):
                    write(d, c * BLOCK + r, weight * read_element(h, row, own + c))
            gradient_strips(
                h, x, x, size, rows, d, target + own * stride, fresh, stride, own, features, count
            )
        if first_feature == 0:
            gradient_strips(
                h, x, x, size, rows, weights, target + features * stride, fresh, stride, 0, features, 1
            )
    return 0.0


@kernel
def sparse_gram(h, problem, diagonal, begin, end, first_feature, last_feature, target, stride, scratch):
    """The same of CSR rows [begin, end), with columns in any order, in float64.

    A pair of a row's entries is added once, in the row of the first of them: the two sides of the diagonal are added up
    afterwards. sum_r d_r x_rj is row `features` of target, the diagonal the next. target: zeros at first; scratch: 16 bytes an
    entry of the longest row.
    """
    values, indices = problem.X, problem.indices
    indptr, bits = problem.indptr, problem.x_kind
    ones = target + problem.features * stride
    squares = ones + stride
    for r in range(begin, end):
        first, last = sparse.entries(problem, indptr, bits, r)
        weight, count = np.float64(read_element(h, diagonal, r)), last - first
        if weight == 0:  # rows of a squared hinge beyond their margin
            continue
        places, numbers = scratch, scratch + count * 8
        for e in range(count):
            write(places, e, _column(indices, bits, first + e))
            write(numbers, e, np.float64(read_element(h, values, first + e)))
        for a in range(count):
            j, x = read(np.int64, places, a), read(np.float64, numbers, a)
            if first_feature <= j < last_feature:
                own, place = weight * x, target + j * stride
                write(ones, j, read(np.float64, ones, j) + own)
                write(squares, j, read(np.float64, squares, j) + own * x)
                for e in range(a + 1, count):
                    i = read(np.int64, places, e)
                    write(place, i, read(np.float64, place, i) + own * read(np.float64, numbers, e))
    return 0.0


@kernel
def _column(indices, bits, at):
    return read(np.int64, indices, at) if bits == 64 else np.int64(read(np.int32, indices, at))
