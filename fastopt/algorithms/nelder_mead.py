"""Nelder and Mead's simplex, with Gao and Han's coefficients (2012) that adapt to n; bounds by clipping.

A value that is NaN counts as inf. Stops when the simplex is smaller than xtol and its values differ by
less than ftol; both must hold. One that has gone flat, or lies at bounds, starts once more from a whole one:
it may have stopped where the function still falls. At bounds, which corners are clipped to, then from a small one too: a
large one may step over the valley that begins there.
"""

import math

from fastopt.algorithms.calls import value
from fastopt.algorithms.state import (
    BEST,
    BOUNDED,
    EVALUATION_LIMIT,
    EVALUATIONS,
    F_BEFORE,
    FTOL,
    ITERATION_LIMIT,
    ITERATIONS,
    LOWEST,
    MAX_EVALUATIONS,
    MAX_ITERATIONS,
    NEW,
    NORM,
    NOT_FINITE,
    REACHED,
    RESTARTS,
    RUNNING,
    SCALE,
    SIMPLEX,
    SIMPLEX_BEFORE,
    STATUS,
    STRETCH,
    TARGET,
    UNBOUNDED,
    XTOL,
    F,
)  # fmt: skip
from fastopt.algorithms.vectors import copy, copy_clipped, dot, fill, largest, move, norm, part, scale

FLAT = (
    1e-7  # thickness of a simplex by its longest edge; at minima 1e-4 and more, where it has collapsed 1e-8
)
SHARE = 0.05  # of an entry: the first edges' lengths, as SciPy has them
SMALL_SHARE = 1e-5  # of those of a simplex that starts at bounds


def nelder_mead_size(n, memory, rows):
    return 2 * n + 3 * n + (n + 1) * n + (n + 1)


def probe(fun, x, bounds, head):
    if head[BOUNDED]:
        copy_clipped(x, bounds, x)
    if head[EVALUATIONS] >= head[MAX_EVALUATIONS]:
        return math.inf
    head[EVALUATIONS] += 1
    f = value(fun, x)
    return f if f == f else math.inf


def insert(corners, values, n, k):
    """Move corner k forward to its place in the order of values; the others are in order."""
    f = values[k]
    while k > 0 and f < values[k - 1]:
        values[k] = values[k - 1]
        values[k - 1] = f
        for i in range(n):
            a, b = corners[k * n + i], corners[(k - 1) * n + i]
            corners[k * n + i], corners[(k - 1) * n + i] = b, a
        k -= 1


def start_simplex(fun, x, bounds, head, corners, values, share, far):
    """x and n corners, each this share away along one entry, or towards the farther bound where one is in the way; in order.

    far: at least as far as from an entry that is 0.
    """
    n, size = x.size, largest(x)
    for i in range(n + 1):
        corner = part(corners, i * n, n)
        copy(x, corner)
        if i > 0:
            k = i - 1
            step = share * x[k] if x[k] != 0.0 else 0.00025 * (size if size > 0.0 else 1.0)
            if far:
                step = max(0.00025, step)
            if head[BOUNDED] and not bounds[0, k] <= x[k] + step <= bounds[1, k]:
                step = math.copysign(step, bounds[0, k] - x[k] + (bounds[1, k] - x[k]))
            corner[k] = x[k] + step
        values[i] = probe(fun, corner, bounds, head)
    for k in range(1, n + 1):
        insert(corners, values, n, k)


def extent(corners, n, unit):
    """The largest |corner - best| / max(unit, |best|)."""
    size = 0.0
    for k in range(1, n + 1):
        for i in range(n):
            size = max(size, abs(corners[k * n + i] - corners[i]) / max(unit, abs(corners[i])))
    return size


def flat(corners, n, unit):
    """Whether the edges nearly lie in a plane, each entry in units of max(unit, |best|). Overwrites all but the best.

    Gram and Schmidt's way, the longest edge first.
    """
    for k in range(1, n + 1):
        for i in range(n):
            corners[k * n + i] = (corners[k * n + i] - corners[i]) / max(unit, abs(corners[i]))
    longest = 0.0
    for k in range(1, n + 1):
        at, size = k, -1.0
        for j in range(k, n + 1):
            length = norm(part(corners, j * n, n))
            if length > size:
                at, size = j, length
        longest = max(longest, size)
        if not size > FLAT * longest:
            return True
        edge, first = part(corners, at * n, n), part(corners, k * n, n)
        for i in range(n):
            edge[i], first[i] = first[i], edge[i] / size
        for j in range(k + 1, n + 1):
            rest = part(corners, j * n, n)
            move(rest, -dot(rest, first), first, rest)
    return False


def ends_anew(corners, n, bounds, head, lower):
    """Whether a small simplex is not the end. lower: it has come lower than the small one before. It may overwrite all but the best."""
    if not head[BOUNDED]:
        return lower and flat(corners, n, head[SCALE])
    if lower:
        head[RESTARTS] = 0
        return True
    head[RESTARTS] += 1
    return head[RESTARTS] < 2 and at_bound(part(corners, 0, n), bounds)


def at_bound(x, bounds):
    """Whether an entry lies at one of two bounds, or no farther from it than a small simplex reaches."""
    for i in range(x.size):
        near = SMALL_SHARE * abs(x[i])
        if bounds[0, i] < bounds[1, i] and (x[i] - bounds[0, i] <= near or bounds[1, i] - x[i] <= near):
            return True
    return False


def verdict(corners, values, n, bounds, head):
    f = values[0]
    head[F], head[BEST], head[NORM] = f, f, math.nan
    spread = abs(values[n] - f)
    if head[ITERATIONS] == 0:  # the start's units, where they are below 1
        size = largest(corners)
        head[SCALE] = size if 0.0 < size < 1.0 else 1.0
        head[F_BEFORE] = min(spread if spread > 0.0 else 1.0, abs(f) if f != 0.0 else 1.0, 1.0)
    enough = head[FTOL] * max(head[F_BEFORE], abs(f))
    small = extent(corners, n, head[SCALE]) <= head[XTOL] and spread <= enough
    again = small and ends_anew(corners, n, bounds, head, head[SIMPLEX_BEFORE] - f > enough)
    if small and not again:
        head[STATUS] = SIMPLEX
    elif -math.inf < f <= head[TARGET]:
        head[STATUS] = REACHED
    elif f < LOWEST:
        head[STATUS] = UNBOUNDED
    elif head[ITERATIONS] >= head[MAX_ITERATIONS]:
        head[STATUS] = ITERATION_LIMIT
    elif head[EVALUATIONS] >= head[MAX_EVALUATIONS]:
        head[STATUS] = EVALUATION_LIMIT
    if not (f < math.inf and math.isfinite(largest(corners))):
        head[STATUS] = NOT_FINITE
    return small


def nelder_mead(fun, x, g, bounds, head, work):
    """Iterations until head[STATUS] tells why it is over, at most head[STRETCH]."""
    n = x.size
    middle, trial, second = part(work, 2 * n, n), part(work, 3 * n, n), part(work, 4 * n, n)
    corners, values = part(work, 5 * n, (n + 1) * n), part(work, (n + 6) * n, n + 1)
    if head[STATUS] == NEW:
        head[STATUS] = RUNNING
        head[SIMPLEX_BEFORE] = math.inf
        if head[BOUNDED]:
            copy_clipped(x, bounds, x)
        start_simplex(fun, x, bounds, head, corners, values, SHARE, False)
        if largest(x) < 1.0 and values[n] == values[0]:  # of x = 1e-20 steps of 5e-22 tell nothing
            start_simplex(fun, x, bounds, head, corners, values, SHARE, True)
    worst = part(corners, n * n, n)
    expand = 1.0 + 2.0 / n if n > 1 else 2.0
    contract = 0.75 - 0.5 / n if n > 1 else 0.5
    shrink = 1.0 - 1.0 / n if n > 1 else 0.5
    for _ in range(int(head[STRETCH])):
        small = verdict(corners, values, n, bounds, head)
        if head[STATUS] != RUNNING:
            break
        if small:
            head[SIMPLEX_BEFORE] = values[0]
            copy(part(corners, 0, n), x)
            share = min(SHARE, max(SMALL_SHARE, 2.0 * head[XTOL])) if head[RESTARTS] > 0 else SHARE
            start_simplex(fun, x, bounds, head, corners, values, share, False)
        head[ITERATIONS] += 1
        fill(0.0, middle)
        for k in range(n):
            move(middle, 1.0 / n, part(corners, k * n, n), middle)
        reflect(middle, worst, 1.0, trial)
        f = probe(fun, trial, bounds, head)
        if f < values[0]:
            reflect(middle, worst, expand, second)
            f2 = probe(fun, second, bounds, head)
            if f2 < f:
                f = f2
                copy(second, trial)
        elif not f < values[n - 1]:
            outside = f < values[n]
            reflect(middle, worst, contract if outside else -contract, second)
            f2 = probe(fun, second, bounds, head)
            if (f2 <= f) if outside else (f2 < values[n]):
                f = f2
                copy(second, trial)
            else:
                shrink_simplex(fun, bounds, head, corners, values, shrink)
                f = math.inf
        if f < math.inf:
            copy(trial, worst)
            values[n] = f
            insert(corners, values, n, n)
    head[F] = head[BEST] = values[0]  # of this x, should the run be ended between two stretches
    copy(part(corners, 0, n), x)
    copy(x, part(work, 0, n))
    return values[0]


def reflect(middle, worst, t, out):
    """out = middle + t*(middle - worst)."""
    copy(middle, out)
    scale(1.0 + t, out)
    move(out, -t, worst, out)


def shrink_simplex(fun, bounds, head, corners, values, share):
    n = values.size - 1
    best = part(corners, 0, n)
    for k in range(1, n + 1):
        corner = part(corners, k * n, n)
        scale(share, corner)
        move(corner, 1.0 - share, best, corner)
        values[k] = probe(fun, corner, bounds, head)
        insert(corners, values, n, k)
