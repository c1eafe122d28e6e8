"""Dual coordinate ascent for all classes at once: passes over the rows, each of which moves its dual variables.

W is kept by feature, (features, classes), as in ascent.py. Rows are CSR triples, or dense with indptr empty.
"""

import functools

import numpy as np
from numba.core import types

from fastopt.kernels.language.compile import entry, kernel
from fastopt.kernels.language.memory import read
from fastopt.kernels.solvers.ascent import ASCENT, shuffle


@kernel
def _entries(indptr, features, i):
    if len(indptr):
        return np.int64(indptr[i]), np.int64(indptr[i + 1])
    return i * features, (i + 1) * features


@kernel(reassociate=True)
def row_squares(values, indices, indptr, features, squares):
    """|x|^2 of each row."""
    for i in range(len(squares)):
        begin, end = _entries(indptr, features, i)
        total = 0.0
        for k in range(begin, end):
            total += np.float64(values[k]) * np.float64(values[k])
        squares[i] = total
    return 0


@kernel
def _row_scores(values, indices, indptr, features, i, W, b, scores):
    for c in range(len(b)):
        scores[c] = b[c]
    begin, end = _entries(indptr, features, i)
    for k in range(begin, end):
        row, value = np.uint64(indices[k]) if len(indptr) else np.uint64(k - begin), values[k]
        for c in range(len(b)):
            scores[c] += value * W[row, c]


@kernel
def _add_row(values, indices, indptr, features, i, W, moves):
    begin, end = _entries(indptr, features, i)
    for k in range(begin, end):
        row, value = np.uint64(indices[k]) if len(indptr) else np.uint64(k - begin), values[k]
        for c in range(len(moves)):
            W[row, c] += moves[c] * value


@kernel
def _all_of_a_row(scores, own, most, bend, margin, q, alpha, moves):
    """Weston-Watkins: alpha_c in [0, most] for c != own, one after the other, until they agree."""
    worst = 0.0
    for _ in range(20):
        largest = 0.0
        for c in range(len(scores)):
            if c == own:
                continue
            slope = scores[own] - scores[c] - margin + alpha[c] * bend
            if 2 * q + bend > 0:
                new = min(max(alpha[c] - slope / (2 * q + bend), 0.0), most)
            else:  # a row of zeros, without b: nothing but the bound holds it
                new = most if slope < 0 else 0.0
            move = new - alpha[c]
            if move != 0:
                alpha[c] = new
                moves[own] += move
                moves[c] -= move
                scores[own] += move * q
                scores[c] -= move * q
                largest = max(largest, abs(move) * 2 * q)
        worst = max(worst, largest)
        if largest <= 0.1 * worst or largest == 0:
            break
    return worst


@kernel
def _one_of_a_row(scores, own, most, margin, q, alpha, moves, sorted_):
    """Crammer-Singer: all alpha_c of a row at once, sum_{c != own} alpha_c <= most.

    Here alpha_own = sum of the others and w_c falls with alpha_c. Source: Keerthi et al. 2008, as in liblinear.
    """
    classes = len(scores)
    if not q > 0:  # a row of zeros, without b: all of one class's, whichever that is
        alpha[own] = alpha[1 if own == 0 else 0] = most
        return 0.0
    for c in range(classes):  # B: what scores would be without this row, plus the margin
        sorted_[c] = scores[c] + q * alpha[c] + margin if c != own else scores[c] - q * alpha[c]
    lowered = sorted_[own] + q * most
    values = sorted_[:classes].copy()
    values[own] = lowered
    values.sort()
    beta, r = values[classes - 1] - q * most, 1
    while r < classes and beta < r * values[classes - 1 - r]:
        beta += values[classes - 1 - r]
        r += 1
    beta /= r
    worst, total = 0.0, 0.0
    for c in range(classes):
        if c != own:
            new = max(0.0, (sorted_[c] - beta) / q)
            move = new - alpha[c]
            alpha[c] = new
            moves[c] -= move
            total += move
            worst = max(worst, abs(move) * q)
    alpha[own] += total
    moves[own] += total
    return worst


@kernel
def multiclass_pass(
    values, indices, indptr, features, y, most, bend, squares, alpha, W, b, ascent, one_of_a_row
):
    """The same for several classes: Weston-Watkins, or Crammer-Singer with one_of_a_row.

    alpha: (n, classes), the dual variable of each other class; W (features, classes).
    """
    classes = len(b)
    numbers, order, count = ascent.numbers, ascent.order, ascent.active
    inverse, inverse_rho, margin = numbers.one_over_l2, numbers.one_over_rho, numbers.margin
    scores, moves, room = np.empty(classes), np.empty(classes), np.empty(classes)
    shuffle(ascent)
    worst = 0.0
    for at in range(count):
        i = np.int64(read(np.int32, order, at))
        _row_scores(values, indices, indptr, features, i, W, b, scores)
        q = squares[i] * inverse + inverse_rho
        for c in range(classes):
            moves[c] = 0.0
        if one_of_a_row:
            moved = _one_of_a_row(scores, y[i], most[i], margin, q, alpha[i], moves, room)
        else:
            moved = _all_of_a_row(scores, y[i], most[i], bend[i], margin, q, alpha[i], moves)
        if moved > 0:
            worst = max(worst, moved)
            for c in range(classes):
                b[c] += moves[c] * inverse_rho
                moves[c] *= inverse
            _add_row(values, indices, indptr, features, i, W, moves)
    numbers.worst = worst
    return 0


VECTOR = types.Array(types.float64, 1, "C")


def _rows(dtype):
    """Types of the rows' arguments: values, indices, indptr, features."""
    kinds = getattr(types, dtype), types.int32, types.int64
    return [*(types.Array(kind, 1, "C") for kind in kinds), types.int64]


@functools.cache
def squares_entry(dtype):
    return entry(row_squares, *_rows(dtype), VECTOR)


@functools.cache
def multiclass_entry(dtype):
    """The compiled pass for values of dtype."""
    matrix = types.Array(types.float64, 2, "C")
    given = [types.Array(types.int64, 1, "C"), *[VECTOR] * 3, matrix, matrix, VECTOR, ASCENT.type]
    return entry(multiclass_pass, *_rows(dtype), *given, types.boolean)
