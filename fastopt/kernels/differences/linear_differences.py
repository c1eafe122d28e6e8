"""Differences of a linear model's loss, one weight at a time, a register of rows at a time.

A weight of class c and feature j moves the scores of class c by h*x_j and no others.
"""

import numpy as np
from numba.core import types

from fastopt.kernels.gradient.linear import loss_rows
from fastopt.kernels.language.compile import entry, kernel
from fastopt.kernels.language.formula import formula_type
from fastopt.kernels.language.lanes import BLOCK, load_lanes, scores_at, sum_lanes
from fastopt.kernels.language.memory import lane_count
from fastopt.kernels.step.elementwise import read_coefficients
from fastopt.threads import share, usable_threads

_FEATURES = 128  # a piece of work: its columns of X, 1 KB a row, are copied in order
_ROWS = 1024  # of which the pieces' columns stay in the second-level cache


@kernel
def difference_features(h, k, scores, scratch, targets, weights, columns, first, last, steps, result):
    """Add to result[c, j] the weighted differences over rows [first, last).

    columns: address of x (features of this piece, _ROWS rows). scores: blocks (classes, BLOCK), changed and
    restored. Rows from the end of the data on have weight 0.
    """
    numbers = read_coefficients(h, k)
    classes = steps.shape[0]
    lanes = lane_count(h)
    d = scores_at(h, scratch, classes)
    for i in range(first, last, lanes):
        block = scores + (i // BLOCK * classes * BLOCK + i % BLOCK) * 8
        s = scores_at(h, block, classes)
        y = load_lanes(h, targets, i, last)
        w = load_lanes(h, weights, i, last)
        for c in range(classes):
            keep = s[c]
            for j in range(steps.shape[1]):
                x = load_lanes(h, columns, j * _ROWS + i - first, j * _ROWS + last - first)
                move = x * steps[c, j]
                s[c] = keep + move
                above = loss_rows(numbers, s, y, d)
                s[c] = keep - move
                below = loss_rows(numbers, s, y, d)
                result[c, j] += sum_lanes((above - below) * w)
            s[c] = keep


def differences(loss, scores, X, y, weight, steps):
    """(classes, features) of sum_i weight_i (L_i(+step) - L_i(-step)) / (2 step); float64 arrays, X any."""
    n, classes = scores.shape
    padded = -(-n // _ROWS) * _ROWS
    targets, weights = np.zeros(padded), np.zeros(padded)
    targets[:n], weights[:n] = y, weight
    k = np.array([*map(float, loss)] or [0.0])
    run = entry(
        difference_features, formula_type(type(loss), "float64", len(loss)), *[types.int64] * 8,
        types.float64[:, ::1], types.float64[:, ::1],
    )  # fmt: skip
    result = np.zeros(steps.shape)

    def piece(begin):
        features = slice(begin, begin + _FEATURES)
        mine = np.ascontiguousarray(steps[:, features])
        total = np.zeros_like(mine)
        blocks = _blocks(scores, padded)
        scratch = np.empty((classes, BLOCK))
        columns = np.zeros((mine.shape[1], _ROWS))
        for first in range(0, padded, _ROWS):
            rows = X[first : first + _ROWS, features]
            rows = rows.toarray() if hasattr(rows, "toarray") else rows
            columns[:, : rows.shape[0]] = rows.T
            run(
                None,
                *_addresses(k, blocks, scratch, targets, weights, columns),
                first,
                first + _ROWS,
                mine,
                total,
            )
        result[:, features] = total / (2 * mine)

    share(piece, range(0, steps.shape[1], _FEATURES), usable_threads())
    return result


def _blocks(scores, padded):
    """Scores (n, classes) as blocks (classes, BLOCK); every thread has its own."""
    full = np.zeros((padded, scores.shape[1]))
    full[: len(scores)] = scores
    return np.ascontiguousarray(full.reshape(-1, BLOCK, scores.shape[1]).swapaxes(1, 2))


def _addresses(*arrays):
    return [a.ctypes.data for a in arrays]
