"""Coordinate descent on a quadratic with l1 and bounds, given by its matrix: solvers/quadratic.py says of what."""

import functools

import numpy as np
from numba.core import types

from fastopt.kernels.language.compile import entry, kernel


@kernel
def lowest(t, limit, low, high):
    """Where (z - t)^2/2 + limit*|z| is smallest between low and high."""
    new = t - limit if t > limit else t + limit if t < -limit else 0.0
    return min(max(new, low), high)


@kernel
def _step(H, q, z, l1, low, high, j):
    """Minimize over z_j; returns how far the slope was from none."""
    bend = H[j, j]
    if not bend > 0:
        return 0.0
    new = lowest(z[j] - q[j] / bend, l1[j] / bend, low[j], high[j])
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
