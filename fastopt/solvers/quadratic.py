"""min_z g'(z - x) + (z - x)'H(z - x)/2 + sum_j l1_j |z_j|, low <= z <= high, by coordinate descent."""

import numpy as np

from fastopt import native
from fastopt.solvers.factors import factored

ROUNDS, PASSES = 100, 20  # passes over the coordinates between two looks at all that are not 0 together


def minimize_quadratic(H, g, x, l1, low, high, tol):
    """z, from x on: one coordinate after the other until none has a slope larger than tol.

    Where coordinates are nearly dependent that takes thousands of passes; so now and then those that are not
    held at 0 or at a bound are solved for together, as far as no sign changes. Entries of z are exactly 0
    where l1 holds them there. Source: Friedman, Hastie & Tibshirani 2010, 2.2.
    """
    H, z, q = np.ascontiguousarray(H), x.copy(), g.copy()  # q: the slope of the smooth part at z
    descend = native.descend if native.available() else _descend_in_python
    for _ in range(ROUNDS):
        if descend(H, q, z, l1, low, high, float(tol), PASSES) < PASSES:
            break
        z = together(H, q, z, l1, low, high)
        q = g + H @ (z - x)
    return z


def _descend_in_python(H, q, z, l1, low, high, tol, most):
    """The C library's passes, over all coordinates each time."""
    for done in range(most):
        worst = 0.0
        for j in np.flatnonzero(np.diag(H) > 0):
            t = z[j] - q[j] / H[j, j]
            new = np.sign(t) * max(abs(t) - l1[j] / H[j, j], 0.0)
            move = min(max(new, low[j]), high[j]) - z[j]
            if move:
                z[j] += move
                q += move * H[j]
                worst = max(worst, abs(move) * H[j, j])
        if worst <= tol:
            return done
    return most


def together(H, q, z, l1, low, high):
    """z with its free entries moved to their common minimum, or to where the first of them meets 0 or a bound."""
    free = np.flatnonzero(((z != 0) | (l1 == 0)) & (z > low) & (z < high))
    if not free.size:
        return z
    own, slope = z[free], q[free] + l1[free] * np.sign(z[free])
    solve = factored(H[np.ix_(free, free)], 1e-12 * float(np.trace(H)) / len(H))
    if solve is None:
        return z
    d = -solve(slope)
    if not np.isfinite(d).all():
        return z
    with np.errstate(divide="ignore", invalid="ignore"):
        ends = np.where(d < 0, low[free], high[free])
        signed = (l1[free] > 0) & (own * d < 0)
        ends = np.where(signed & (own * ends <= 0), 0.0, ends)
        reach = np.where(d != 0, (ends - own) / d, np.inf)
    t, result = min(1.0, float(reach.min())), z.copy()
    result[free] = np.where(reach <= t, ends, own + t * d)
    return result
