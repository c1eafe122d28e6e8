"""Coordinate descent on a quadratic with l1 and bounds, given by its matrix or by the columns of X: solvers/quadratic.py and columns.py say of what."""

import functools

import numpy as np
from numba.core import types

from fastopt.kernels.language.compile import entry, kernel


@kernel
def _lowest(t, limit, low, high):
    """Where (z - t)^2/2 + limit*|z| is smallest between low and high."""
    new = t - limit if t > limit else t + limit if t < -limit else 0.0
    return min(max(new, low), high)


@kernel
def _step(H, q, z, l1, low, high, j):
    """Minimize over z_j; returns how far the slope was from none."""
    bend = H[j, j]
    if not bend > 0:
        return 0.0
    new = _lowest(z[j] - q[j] / bend, l1[j] / bend, low[j], high[j])
    move = new - z[j]
    if move == 0:
        return 0.0
    z[j] = new
    row = H[j]
    for i in range(len(z)):
        q[i] += move * row[i]
    return abs(move) * bend


@kernel
def descend(H, q, z, l1, low, high, tol, most):
    """Passes over all coordinates, and between them over those that are not 0, until none moves by more than tol."""
    used = np.empty(len(z), np.int64)
    done = 0
    while done < most:
        worst = 0.0
        for j in range(len(z)):
            worst = max(worst, _step(H, q, z, l1, low, high, j))
        done += 1
        if worst <= tol:
            break
        count = 0
        for j in range(len(z)):
            if z[j] != 0:
                used[count] = j
                count += 1
        inner = worst
        while inner > 0.3 * tol and done < most:
            inner = 0.0
            for at in range(count):
                inner = max(inner, _step(H, q, z, l1, low, high, used[at]))
            done += 1
    return done


@functools.cache
def descend_entry():
    matrix, vector = types.Array(types.float64, 2, "C"), types.Array(types.float64, 1, "C")
    return entry(descend, matrix, *[vector] * 5, types.float64, types.int64)


@kernel
def _column_step(values, rows, ends, D, pull, bend, slope, z, l1, low, high, j):
    """Minimize over z_j, of the second derivative `bend`; slope: what of its own there is but for `pull`, D X (z - x)."""
    if not bend > 0:
        return 0.0
    for k in range(ends[j], ends[j + 1]):
        slope += values[k] * pull[rows[k]]
    new = _lowest(z[j] - slope / bend, l1[j] / bend, low[j], high[j])
    move = new - z[j]
    if move == 0:
        return 0.0
    z[j] = new
    for k in range(ends[j], ends[j + 1]):
        i = rows[k]
        pull[i] += move * values[k] * D[i]
    return abs(move) * bend


@kernel
def descend_by_columns(values, rows, ends, D, pull, g, x, z, l1, l2, low, high, which, tol, most):
    """As descend, over the coordinates `which`, of the Hessian X' D X + diag(l2) and the gradient g at x.

    pull: D X (z - x), kept up with z.
    """
    count = len(which)
    bends, used = np.empty(count), np.empty(count, np.int64)
    for at in range(count):
        j, bend = which[at], 0.0
        for k in range(ends[j], ends[j + 1]):
            bend += values[k] * values[k] * D[rows[k]]
        bends[at] = bend + l2[j]
    done = 0
    while done < most:
        worst, kept = 0.0, 0
        for at in range(count):
            j = which[at]
            slope = g[j] + l2[j] * (z[j] - x[j])
            worst = max(
                worst, _column_step(values, rows, ends, D, pull, bends[at], slope, z, l1, low, high, j)
            )
            if z[j] != 0:
                used[kept] = at
                kept += 1
        done += 1
        if worst <= tol:
            break
        inner = worst
        while inner > 0.3 * tol and done < most:
            inner = 0.0
            for i in range(kept):
                at = used[i]
                j = which[at]
                slope = g[j] + l2[j] * (z[j] - x[j])
                inner = max(
                    inner, _column_step(values, rows, ends, D, pull, bends[at], slope, z, l1, low, high, j)
                )
            done += 1
    return done


@functools.cache
def columns_entry():
    vector, long = types.Array(types.float64, 1, "C"), types.Array(types.int64, 1, "C")
    return entry(
        descend_by_columns,
        vector,
        types.Array(types.int32, 1, "C"),
        long,
        *[vector] * 9,
        long,
        types.float64,
        types.int64,
    )
