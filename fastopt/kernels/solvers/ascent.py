"""Dual coordinate ascent for one row of W: passes over the rows, each of which moves its dual variable to its best.

The weights w = sum over rows of the dual variables times X, / (2 l2), are kept up to date, and b likewise with
1 / (2 rho) for the sum. The next row waits for this one's w, so all is read at addresses, which stay in registers:
with arrays LLVM gathered vectors and called helpers, and a row of a9a took 80 ns where liblinear's pass takes 52.
"""

import functools

import numpy as np

from fastopt.kernels.language.compile import entry, kernel
from fastopt.kernels.language.memory import element_size, element_type, fetch, read, read_element, write
from fastopt.kernels.tables import Table

# one_over_l2: 1 / (2 l2), one_over_rho likewise. high, low: slopes beyond which a row at a bound is put aside;
# worst: the last pass's violation.
NUMBERS = Table("ascent's numbers", floats="one_over_l2 one_over_rho margin high low worst")
# Addresses of CSR triples (values, int32 indices, int64 indptr; the last two 0 with dense rows), of the rows' own
# numbers, w and b (float64), and of the order (int32). active: rows not put aside; seed: of the order.
ASCENT = Table("ascent", "values indices indptr features rows w b order active seed", numbers=NUMBERS)

Z, MOST, BEND, INVERSE_Q, ALPHA = range(5)  # of a row's numbers
TARGET, LEAST = Z, BEND  # with targets
ROW = 64  # bytes of them
AHEAD = 4  # rows between the one at hand and the one that is fetched
LINES = 8  # of a row's values that are fetched: what follows is in order


@kernel(counted=False)
def shuffle(ascent):
    """A new order of the rows in use; the generator is xorshift32."""
    order = ascent.order
    x, low = np.uint64(ascent.seed), np.uint64(0xFFFFFFFF)
    for i in range(ascent.active - 1, 0, -1):
        x ^= x << np.uint64(13) & low
        x ^= x >> np.uint64(17)
        x ^= x << np.uint64(5) & low
        j = np.int64(x * np.uint64(i + 1) >> np.uint64(32))
        own, other = read(np.int32, order, i), read(np.int32, order, j)
        write(order, i, other)
        write(order, j, own)
    ascent.seed = np.int64(x)


@kernel(counted=False)
def _entries(indptr, features, i):
    if indptr:
        return read(np.int64, indptr, i), read(np.int64, indptr, i + 1)
    return i * features, (i + 1) * features


@kernel(counted=False)
def _product(h, values, indices, k, w):
    return read_element(h, values, k) * read(np.float64, w, np.int64(read(np.int32, indices, k)))


@kernel(counted=False)
def sparse_dot(h, values, indices, begin, end, w):
    odd, even = 0.0, 0.0
    for k in range(begin, end - 1, 2):
        even += _product(h, values, indices, k, w)
        odd += _product(h, values, indices, k + 1, w)
    if (end - begin) & 1:
        even += _product(h, values, indices, end - 1, w)
    return even + odd


@kernel(counted=False)
def sparse_add(h, values, indices, begin, end, w, factor):
    for k in range(begin, end):
        j = np.int64(read(np.int32, indices, k))
        write(w, j, read(np.float64, w, j) + factor * read_element(h, values, k))


@kernel(counted=False, reassociate=True)
def _dense_dot(h, values, begin, features, w):
    total = 0.0
    for k in range(features):
        total += read_element(h, values, begin + k) * read(np.float64, w, k)
    return total


@kernel(counted=False)
def _dense_add(h, values, begin, features, w, factor):
    for k in range(features):
        write(w, k, read(np.float64, w, k) + factor * read_element(h, values, begin + k))


@kernel(counted=False)
def _fetch_row(h, ascent, i):
    """Ask for what a pass will want of row i: rows come in an order that no prefetcher guesses."""
    begin, end = _entries(ascent.indptr, ascent.features, i)
    size, values, indices = element_size(h), ascent.values, ascent.indices
    fetch(ascent.rows + i * ROW)
    last = min(end, begin + LINES * 64 // size)
    for k in range(begin, last, 64 // size):
        fetch(values + k * size)
    if indices:
        for k in range(begin, last, 16):
            fetch(indices + k * 4)


@kernel(counted=False)
def ascent_pass(h, ascent):
    """One pass over the rows in use, in a new order: each dual variable in [0, most] to its best.

    A row's numbers: Z (-1 or 1), MOST, BEND (1 / (2 C) with squares of the hinge, else 0), INVERSE_Q (of how the
    slope grows with the dual variable) and ALPHA, on a cache line. Rows at a bound far from wanting to leave it
    are put aside, as in liblinear. Source: Hsieh et al. 2008.
    """
    shuffle(ascent)
    numbers, order, w, count = ascent.numbers, ascent.order, ascent.w, ascent.active
    values, indices, indptr, features = ascent.values, ascent.indices, ascent.indptr, ascent.features
    inverse, inverse_rho, margin = numbers.one_over_l2, numbers.one_over_rho, numbers.margin
    high, low, worst_high, worst_low = numbers.high, numbers.low, 0.0, 0.0
    b, at = read(np.float64, ascent.b, 0), 0
    while at < count:
        i = np.int64(read(np.int32, order, at))
        _fetch_row(h, ascent, np.int64(read(np.int32, order, min(at + AHEAD, count - 1))))
        begin, end = _entries(indptr, features, i)
        row = ascent.rows + i * ROW
        z, alpha, most = read(np.float64, row, Z), read(np.float64, row, ALPHA), read(np.float64, row, MOST)
        if indices:
            score = b + sparse_dot(h, values, indices, begin, end, w)
        else:
            score = b + _dense_dot(h, values, begin, features, w)
        slope = z * score - margin + alpha * read(np.float64, row, BEND)
        new = min(max(alpha - slope * read(np.float64, row, INVERSE_Q), 0.0), most)
        move = (new - alpha) * z
        if move == 0:
            if (alpha == 0 and slope > high) or (alpha == most and slope < low):
                count -= 1
                write(order, at, read(np.int32, order, count))
                write(order, count, np.int32(i))
                continue
        else:
            worst_high, worst_low = max(worst_high, slope), min(worst_low, slope)
            write(row, ALPHA, new)
            b += move * inverse_rho
            if indices:
                sparse_add(h, values, indices, begin, end, w, move * inverse)
            else:
                _dense_add(h, values, begin, features, w, move * inverse)
        at += 1
    write(ascent.b, 0, b)
    ascent.active = count
    numbers.worst = worst_high - worst_low
    numbers.high = worst_high if worst_high > 0 else np.inf
    numbers.low = worst_low if worst_low < 0 else -np.inf
    return 0


@kernel(counted=False)
def target_pass(h, ascent):
    """The same for a target: each dual variable in [least, most] to its best, with margin * |it| against it.

    A row's numbers: TARGET, MOST, LEAST, INVERSE_Q and ALPHA. Source: Ho & Lin 2012, without putting rows aside.
    """
    shuffle(ascent)
    numbers, order, w, count = ascent.numbers, ascent.order, ascent.w, ascent.active
    values, indices, indptr, features = ascent.values, ascent.indices, ascent.indptr, ascent.features
    inverse, inverse_rho, margin = numbers.one_over_l2, numbers.one_over_rho, numbers.margin
    b, worst = read(np.float64, ascent.b, 0), 0.0
    for at in range(count):
        i = np.int64(read(np.int32, order, at))
        _fetch_row(h, ascent, np.int64(read(np.int32, order, min(at + AHEAD, count - 1))))
        begin, end = _entries(indptr, features, i)
        row = ascent.rows + i * ROW
        alpha, inverse_q = read(np.float64, row, ALPHA), read(np.float64, row, INVERSE_Q)
        if indices:
            score = b + sparse_dot(h, values, indices, begin, end, w)
        else:
            score = b + _dense_dot(h, values, begin, features, w)
        free, limit = alpha - (score - read(np.float64, row, TARGET)) * inverse_q, margin * inverse_q
        new = free - limit if free > limit else free + limit if free < -limit else 0.0
        move = min(max(new, read(np.float64, row, LEAST)), read(np.float64, row, MOST)) - alpha
        if move != 0:
            worst = max(worst, abs(move) / inverse_q)
            write(row, ALPHA, alpha + move)
            b += move * inverse_rho
            if indices:
                sparse_add(h, values, indices, begin, end, w, move * inverse)
            else:
                _dense_add(h, values, begin, features, w, move * inverse)
    write(ascent.b, 0, b)
    numbers.worst = worst
    return 0


@functools.cache
def pass_entry(dtype, to_targets=False):
    return entry(target_pass if to_targets else ascent_pass, element_type(dtype), ASCENT.type)
