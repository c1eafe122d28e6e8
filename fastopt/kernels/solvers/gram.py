"""X' D X for a diagonal D: the rows of a Hessian that belong to some features, rows in blocks, in order (kept.py)."""

import numpy as np

from fastopt.kernels.gradient import linear, sparse
from fastopt.kernels.gradient.tiles import STRIP_CLASSES, gradient_strips
from fastopt.kernels.language.compile import kernel
from fastopt.kernels.language.lanes import BLOCK
from fastopt.kernels.language.memory import (
    clear,
    element_size,
    read,
    read_element,
    write,
    write_element,
)


@kernel
def dense_gram(h, problem, diagonal, first_feature, last_feature, target, stride, scratch):
    """target[j, i] = sum_r d_r x_rj x_ri for features j of the panel and i from first_feature on.

    diagonal, target: addresses; stride: bytes from one j to the next.
    """
    size, n = element_size(h), problem.line
    block, features = problem.block_rows, problem.features
    wide, panel = problem.x_kind == 1, last_feature - first_feature
    table = (scratch + 63) // 64 * 64
    slopes, widened = table + 2 * BLOCK * 8, table + 2 * BLOCK * 8 + panel * BLOCK * size
    reach = features * linear.feature_bytes(h, problem) - 1
    for first in range(0, n, block):
        rows = min(block, n - first)
        linear.fill_table(problem, table, first, first + rows, BLOCK, reach)
        x = table
        if wide:
            x = table + BLOCK * 8
            linear.widen_rows(h, problem, table, rows, x, widened, first_feature, features)
        for r in range(rows):
            row, weight = read(np.int64, x, r), read_element(h, diagonal, first + r)
            for j in range(panel):
                write(slopes, j * BLOCK + r, weight * read_element(h, row, first_feature + j))
        fresh = 1 if first == 0 else 0
        for j in range(0, panel, STRIP_CLASSES):
            count = min(STRIP_CLASSES, panel - j)
            gradient_strips(h, x, x, size, rows, slopes + j * BLOCK * size, target + j * stride, fresh, stride,
                            first_feature, features, count)  # fmt: skip
    return 0.0


@kernel
def sparse_gram(h, problem, diagonal, first_feature, last_feature, target, stride, scratch):
    """The same of CSR rows, whose column numbers may stand in any order."""
    size, n = element_size(h), problem.line
    features = problem.features
    values, indices = problem.X, problem.indices
    indptr, bits = problem.indptr, problem.x_kind
    for j in range(last_feature - first_feature):
        clear(target + j * stride, features * size)
    for r in range(n):
        begin, end = sparse.entries(problem, indptr, bits, r)
        weight = read_element(h, diagonal, r)
        for a in range(begin, end):
            j = _column(indices, bits, a)
            if first_feature <= j < last_feature:
                own, place = weight * read_element(h, values, a), target + (j - first_feature) * stride
                for e in range(begin, end):
                    i = _column(indices, bits, e)
                    if i >= first_feature:
                        sum_ = read_element(h, place, i) + own * read_element(h, values, e)
                        write_element(h, place, i, sum_)
    return 0.0


@kernel
def _column(indices, bits, at):
    return read(np.int64, indices, at) if bits == 64 else np.int64(read(np.int32, indices, at))
