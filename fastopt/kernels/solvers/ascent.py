"""Dual coordinate ascent: passes over the rows, each of which moves its own dual variables to their best.

The weights W = sum over rows of the dual variables times X, / (2 l2), are kept by feature, (features, classes),
and b likewise with 1 / (2 rho) for the sum. Rows are CSR triples, or dense with indptr empty.
"""

import functools

import numpy as np
from numba.core import types

from fastopt.kernels.language.compile import entry, kernel
from fastopt.kernels.language.memory import fetch

# numbers: the state of a run. one_over_l2: 1 / (2 l2), one_over_rho likewise. seed: of the order of the rows;
# active: rows not put aside; high, low: slopes beyond which a row at a bound is; worst: the last pass's violation.
NUMBERS = ["one_over_l2", "one_over_rho", "margin", "seed", "active", "high", "low", "worst"]
(INVERSE, INVERSE_RHO, MARGIN, SEED, ACTIVE, HIGH, LOW, WORST) = range(len(NUMBERS))

Z, MOST, BEND, INVERSE_Q, ALPHA = range(5)  # of a row's numbers
AHEAD = 4  # rows between the one at hand and the one that is fetched


@kernel
def _shuffle(order, count, numbers):
    """A new order of the first rows; the generator is xorshift32, its state a local number while it runs."""
    x, low = np.uint64(numbers[SEED]), np.uint64(0xFFFFFFFF)
    for i in range(count - 1, 0, -1):
        x ^= x << np.uint64(13) & low
        x ^= x >> np.uint64(17)
        x ^= x << np.uint64(5) & low
        j = np.int64(x * np.uint64(i + 1) >> np.uint64(32))
        order[i], order[j] = order[j], order[i]
    numbers[SEED] = np.float64(x)


@kernel
def _entries(indptr, features, i):
    if len(indptr):
        return np.int64(indptr[i]), np.int64(indptr[i + 1])
    return i * features, (i + 1) * features


@kernel(reassociate=True)
def _dot(values, indices, begin, end, w):
    """Of a sparse row in four sums: 14 entries are too few for vectors, and in one sum each waits for the last."""
    if not len(indices):
        total = 0.0
        for k in range(end - begin):
            total += values[begin + k] * w[k]
        return total
    t0 = t1 = t2 = t3 = 0.0
    whole = begin + (end - begin) // 4 * 4
    for k in range(begin, whole, 4):
        t0 += values[k] * w[np.uint64(indices[k])]
        t1 += values[k + 1] * w[np.uint64(indices[k + 1])]
        t2 += values[k + 2] * w[np.uint64(indices[k + 2])]
        t3 += values[k + 3] * w[np.uint64(indices[k + 3])]
    for k in range(whole, end):
        t0 += values[k] * w[np.uint64(indices[k])]
    return t0 + t1 + (t2 + t3)


@kernel
def _add(values, indices, begin, end, w, factor):
    if len(indices):
        for k in range(begin, end):
            w[np.uint64(indices[k])] += factor * values[k]
    else:
        for k in range(end - begin):
            w[k] += factor * values[begin + k]


@kernel
def _fetch_row(values, indices, indptr, features, rows, i):
    """Ask for what a pass will want of row i: rows come in an order that no prefetcher guesses."""
    begin, _ = _entries(indptr, features, i)
    fetch(rows.ctypes.data + i * 64)
    fetch(values.ctypes.data + begin * values.itemsize)
    fetch(values.ctypes.data + begin * values.itemsize + 64)
    if len(indices):
        fetch(indices.ctypes.data + begin * indices.itemsize)


@kernel
def binary_pass(values, indices, indptr, features, rows, w, b, order, numbers):
    """One pass over the rows in use, in a new order: each dual variable in [0, most] to its best.

    rows: (n, 8), of which Z (-1 or 1), MOST, BEND (1 / (2 C) with squares of the hinge, else 0), INVERSE_Q (of how
    the slope grows with the dual variable) and ALPHA, on a cache line. b: one number. Rows at a bound far from
    wanting to leave it are put aside, as in liblinear. Source: Hsieh et al. 2008.
    """
    count = np.int64(numbers[ACTIVE])
    _shuffle(order, count, numbers)
    inverse, inverse_rho, margin = numbers[INVERSE], numbers[INVERSE_RHO], numbers[MARGIN]
    high, low, worst_high, worst_low = numbers[HIGH], numbers[LOW], 0.0, 0.0
    at = 0
    while at < count:
        i = order[at]
        _fetch_row(values, indices, indptr, features, rows, order[min(at + AHEAD, count - 1)])
        begin, end = _entries(indptr, features, i)
        z, alpha, most = rows[i, Z], rows[i, ALPHA], rows[i, MOST]
        slope = z * (_dot(values, indices, begin, end, w) + b[0]) - margin + alpha * rows[i, BEND]
        new = min(max(alpha - slope * rows[i, INVERSE_Q], 0.0), most)
        move = (new - alpha) * z
        if move == 0:
            if (alpha == 0 and slope > high) or (alpha == most and slope < low):
                count -= 1
                order[at], order[count] = order[count], order[at]
                continue
        else:
            worst_high, worst_low = max(worst_high, slope), min(worst_low, slope)
            rows[i, ALPHA] = new
            _add(values, indices, begin, end, w, move * inverse)
            b[0] += move * inverse_rho
        at += 1
    numbers[ACTIVE], numbers[WORST] = count, worst_high - worst_low
    numbers[HIGH] = worst_high if worst_high > 0 else np.inf
    numbers[LOW] = worst_low if worst_low < 0 else -np.inf
    return 0


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
            new = min(max(alpha[c] - slope / (2 * q + bend), 0.0), most) if q > 0 else alpha[c]
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
    if not q > 0:
        return 0.0
    classes = len(scores)
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
    values, indices, indptr, features, y, most, bend, squares, alpha, W, b, order, numbers, one_of_a_row
):
    """The same for several classes: Weston-Watkins, or Crammer-Singer with one_of_a_row.

    alpha: (n, classes), the dual variable of each other class; W (features, classes).
    """
    classes = len(b)
    count, inverse, inverse_rho = np.int64(numbers[ACTIVE]), numbers[INVERSE], numbers[INVERSE_RHO]
    scores, moves, room = np.empty(classes), np.empty(classes), np.empty(classes)
    _shuffle(order, count, numbers)
    worst = 0.0
    for at in range(count):
        i = order[at]
        _row_scores(values, indices, indptr, features, i, W, b, scores)
        q = squares[i] * inverse + inverse_rho
        for c in range(classes):
            moves[c] = 0.0
        if one_of_a_row:
            moved = _one_of_a_row(scores, y[i], most[i], numbers[MARGIN], q, alpha[i], moves, room)
        else:
            moved = _all_of_a_row(scores, y[i], most[i], bend[i], numbers[MARGIN], q, alpha[i], moves)
        if moved > 0:
            worst = max(worst, moved)
            for c in range(classes):
                b[c] += moves[c] * inverse_rho
                moves[c] *= inverse
            _add_row(values, indices, indptr, features, i, W, moves)
    numbers[WORST] = worst
    return 0


VECTOR = types.Array(types.float64, 1, "C")


def _rows(dtype, index):
    """Types of the rows' arguments."""
    number, whole = getattr(types, dtype), getattr(types, index)
    return [types.Array(number, 1, "C"), *[types.Array(whole, 1, "C")] * 2, types.int64]


@functools.cache
def squares_entry(dtype, index):
    return entry(row_squares, *_rows(dtype, index), VECTOR)


@functools.cache
def pass_entry(dtype, index, is_multiclass):
    """The compiled pass for values of dtype and indices of `index`."""
    rows, vector, matrix = _rows(dtype, index), VECTOR, types.Array(types.float64, 2, "C")
    order = types.Array(types.int64, 1, "C")
    if is_multiclass:
        given = [order, vector, vector, vector, matrix, matrix, vector, order, vector, types.boolean]
        return entry(multiclass_pass, *rows, *given)
    return entry(binary_pass, *rows, matrix, vector, vector, order, vector)
