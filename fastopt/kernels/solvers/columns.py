"""The quadratic model of a sparse problem over some columns of X: solvers/columns.py says of what.

A = sqrt(D) X of these columns is packed, so that the Hessian is A'A + diag(l2), and what the step so far does to the
rows, r = A (z - start), is kept up with z. Columns and r are read at addresses, as rows are in ascent.py.
"""

import functools

import numpy as np
from numba.core import types

from fastopt.kernels.language.compile import entry, kernel
from fastopt.kernels.language.memory import element_type, read, write
from fastopt.kernels.solvers.ascent import sparse_add, sparse_dot
from fastopt.kernels.solvers.descent import lowest

AT, SLOPE, START, BEND, L1, L2, LOW, HIGH = range(
    8
)  # of a column's own numbers; the slope is that of f at START
COLUMN = 64  # bytes of them


@kernel
def pack(values, rows, ends, root, which, packed, packed_rows, packed_ends, bends):
    """Columns `which`, each entry times its row's root, and their sums of squares; one past the last is of ones."""
    at = 0
    for i in range(len(which)):
        j, total = which[i], 0.0
        packed_ends[i] = at
        if j < len(ends) - 1:
            for k in range(ends[j], ends[j + 1]):
                value = values[k] * root[rows[k]]
                packed[at], packed_rows[at] = value, rows[k]
                total += value * value
                at += 1
        else:
            for k in range(len(root)):
                packed[at], packed_rows[at] = root[k], k
                total += root[k] * root[k]
                at += 1
        bends[i] = total
    packed_ends[len(which)] = at
    return at


@kernel(counted=False)
def _step(h, values, rows, ends, r, numbers, j):
    """Minimize over z_j; returns how far the slope was from none."""
    own = numbers + j * COLUMN
    bend = read(np.float64, own, BEND)
    if not bend > 0:
        return 0.0
    begin, end = read(np.int64, ends, j), read(np.int64, ends, j + 1)
    z, l2 = read(np.float64, own, AT), read(np.float64, own, L2)
    slope = read(np.float64, own, SLOPE) + l2 * (z - read(np.float64, own, START))
    slope += sparse_dot(h, values, rows, begin, end, r)
    new = lowest(
        z - slope / bend,
        read(np.float64, own, L1) / bend,
        read(np.float64, own, LOW),
        read(np.float64, own, HIGH),
    )
    move = new - z
    if move == 0:
        return 0.0
    write(own, AT, new)
    sparse_add(h, values, rows, begin, end, r, move)
    return abs(move) * bend


@kernel(counted=False)
def descend_columns(h, values, rows, ends, r, numbers, used, count, tol, most):
    """Passes over all coordinates, and between them over those in use, until none moves by more than tol.

    Addresses: of the columns, r, the columns' own numbers, and int64 for the numbers of those in use. Returns the
    number of passes.
    """
    done = 0
    while done < most:
        worst, kept = 0.0, 0
        for j in range(count):
            worst = max(worst, _step(h, values, rows, ends, r, numbers, j))
            own = numbers + j * COLUMN
            if read(np.float64, own, AT) != 0 or read(np.float64, own, L1) == 0:
                write(used, kept, j)
                kept += 1
        done += 1
        if worst <= tol:
            break
        inner = worst
        while inner > 0.3 * tol and done < most:
            inner = 0.0
            for i in range(kept):
                inner = max(inner, _step(h, values, rows, ends, r, numbers, read(np.int64, used, i)))
            done += 1
    return done


@kernel(counted=False)
def times_columns(h, values, rows, ends, r, products, begin, end):
    """X'r of the columns from begin to end; the others are addresses."""
    for j in range(begin, end):
        product = sparse_dot(h, values, rows, read(np.int64, ends, j), read(np.int64, ends, j + 1), r)
        write(products, j, product)
    return 0


_VECTOR, _WHOLE, _LONG = (types.Array(kind, 1, "C") for kind in (types.float64, types.int32, types.int64))


@functools.cache
def pack_entry():
    return entry(pack, _VECTOR, _WHOLE, _LONG, _VECTOR, _LONG, _VECTOR, _WHOLE, _LONG, _VECTOR)


@functools.cache
def columns_entry():
    return entry(descend_columns, element_type("float64"), *[types.int64] * 7, types.float64, types.int64)


@functools.cache
def times_entry():
    return entry(times_columns, element_type("float64"), *[types.int64] * 7)
