"""L-BFGS: Liu & Nocedal 1989, two loops over the last m pairs; with box bounds by projection.

With bounds, entries that a bound holds stay where they are; the direction is taken in the others, its
end point moved inside the bounds, and the line search goes no further than the first bound. Where the
end point so moved does not lie downhill, entries that were on their way down and out go to their bounds,
and the direction of the others is taken anew.
"""

import math

from fastopt.algorithms.line_search import FIRST, LONGEST, in_units, line_search
from fastopt.algorithms.state import (
    BOUNDED,
    EXPECTED,
    FORWARD,
    MEMORY,
    NEW,
    NEWEST,
    PAIRS,
    RADIUS,
    RUNNING,
    STATUS,
    STEP,
    STRETCH,
    UNBOUNDED,
    XTOL,
    F,
    accept,
    begin,
    doubtful,
    finish,
    forget,
    running,
    stuck,
)  # fmt: skip
from fastopt.algorithms.vectors import (
    boxed,
    copy,
    copy_clipped,
    dot,
    fill,
    hold,
    largest_relative,
    lead_out,
    move,
    move_dot,
    multiply,
    norm,
    part,
    scale,
    subtract,
    to_bounds,
)  # fmt: skip

CURVATURE = 0.9
FARTHER = 10.0  # as long is a first trial after one that a bound ended, where no curvature is known


def lbfgs_size(n, memory, rows):
    return 2 * n + 5 * n + 2 * memory * n + 2 * memory


def two_loops(q, S, Y, rho, alpha, pairs, newest, memory):
    """q = -H q. rho: 1 / s'y of the pairs, since each division would wait for the one before."""
    if pairs == 0:
        scale(-1.0, q)
        return
    n = q.size
    j = newest
    s, y = part(S, j * n, n), part(Y, j * n, n)
    curvature = rho[j] * dot(y, y)
    product = dot(s, q)
    for left in range(pairs - 1, -1, -1):
        alpha[j] = rho[j] * product
        if left > 0:
            before = j - 1 if j > 0 else memory - 1
            product = move_dot(q, -alpha[j], y, part(S, before * n, n))
            j = before
            y = part(Y, j * n, n)
    move(q, -alpha[j], y, q)
    if curvature > 0.0:  # it may underflow
        scale(1.0 / curvature, q)
    product = dot(y, q)
    for left in range(pairs - 1, -1, -1):
        s, t = part(S, j * n, n), alpha[j] - rho[j] * product
        if left > 0:
            j = j + 1 if j + 1 < memory else 0
            product = move_dot(q, t, s, part(Y, j * n, n))
        else:
            move(q, t, s, q)
    scale(-1.0, q)


def two_free_loops(q, S, Y, rho, alpha, pairs, newest, memory, free, spare):
    """The same in the free entries only, where pairs without positive curvature are left out."""
    n = q.size
    gamma = 0.0
    j = newest
    for _ in range(pairs):
        s, y = part(S, j * n, n), part(Y, j * n, n)
        inverse = inverse_product(s, y, rho[j], free, spare)
        if inverse > 0.0:
            alpha[j] = inverse * dot(s, q)
            move(q, -alpha[j], y, q)
            multiply(q, free, q)
            if gamma == 0.0:
                curvature = inverse * dot(spare, y)
                gamma = 1.0 / curvature if curvature > 0.0 else 0.0  # it may underflow
        else:
            alpha[j] = math.nan
        j = j - 1 if j > 0 else memory - 1
    if gamma > 0.0:
        scale(gamma, q)
    for _ in range(pairs):
        j = j + 1 if j + 1 < memory else 0
        if not math.isnan(alpha[j]):
            s, y = part(S, j * n, n), part(Y, j * n, n)
            inverse = inverse_product(s, y, rho[j], free, spare)
            move(q, alpha[j] - inverse * dot(y, q), s, q)
            multiply(q, free, q)
    scale(-1.0, q)


def inverse_product(s, y, rho, free, spare):
    """1 / s'y over the free entries, with y's in spare; 0 where the curvature is lost there."""
    multiply(y, free, spare)
    product = dot(s, spare)
    return 1.0 / product if product * rho > 1e-12 else 0.0


def inside(x, d, x0, bounds):
    """d so that x + d is inside the bounds."""
    move(x, 1.0, d, x0)
    copy_clipped(x0, bounds, x0)
    subtract(x0, x, d)


def first_length(d, x, head):
    """The first trial along d where there are no pairs."""
    size = norm(d)
    return in_units(min(size, FIRST), x, head[F], size) / size * max(1.0, head[RADIUS])


def free_direction(x, g, bounds, d, end, lead, free, spare, S, Y, rho, alpha, pairs, newest, memory, head):
    """d to a point inside the bounds, and LONGEST times its first trial."""
    hold(x, g, bounds, free)
    fill(0.0, lead)
    longest = LONGEST
    for again in range(2):
        multiply(g, free, d)
        two_free_loops(d, S, Y, rho, alpha, pairs, newest, memory, free, spare)
        t = first_length(d, x, head) if pairs == 0 else 1.0
        if pairs == 0 and boxed(x, bounds):  # no further than the box
            t = max(1.0, t)
        longest = LONGEST * max(1.0, t)
        scale(t, d)
        move(d, 1.0, lead, d)
        copy(d, spare)
        inside(x, d, end, bounds)
        if dot(d, g) < 0.0:
            break
        if again == 0:  # the projection spoiled it
            lead_out(x, spare, g, bounds, free, lead)
        else:  # once more: no further than the first bound
            copy(spare, d)
    return longest


def lbfgs(fun, x, g, bounds, head, work):
    """Iterations until head[STATUS] tells why it is over, at most head[STRETCH]."""
    n = x.size
    m = min(int(head[MEMORY]), 2 * n + 2)  # with more: 0.4 % fewer evaluations for 2 variables, 0.7 % for 3
    x0, g0, d = part(work, 2 * n, n), part(work, 3 * n, n), part(work, 4 * n, n)
    free, spare = part(work, 5 * n, n), part(work, 6 * n, n)
    S, Y = part(work, 7 * n, m * n), part(work, (7 + m) * n, m * n)
    rho, alpha = part(work, (7 + 2 * m) * n, m), part(work, (7 + 2 * m) * n + m, m)
    bounded = head[BOUNDED] > 0
    if head[STATUS] <= NEW:
        begin(fun, x, g, bounds, head, work)
    steps = 0
    while steps < head[STRETCH] or head[STATUS] != RUNNING:
        steps += 1
        if head[STATUS] == RUNNING:
            running(x, g, bounds, head, work)
            forget(x, g, bounds, head, work)
        if finish(x, g, bounds, head, work):
            break
        pairs, newest = int(head[PAIRS]), int(head[NEWEST])
        if bounded:
            longest = free_direction(
                x, g, bounds, d, x0, g0, free, spare, S, Y, rho, alpha, pairs, newest, m, head
            )
            t_max = to_bounds(x, d, bounds)
            t = min(1.0, t_max)
        else:
            copy(g, d)
            two_loops(d, S, Y, rho, alpha, pairs, newest, m)
            t = first_length(d, x, head) if pairs == 0 else 1.0
            t_max = longest = LONGEST * max(1.0, t)
        slope = dot(d, g)
        if pairs > 0:
            head[EXPECTED] = -0.5 * slope
        if not slope < 0.0 or doubtful(head):
            t = 0.0
        copy(x, x0)
        copy(g, g0)
        f = head[F]
        if t > 0.0:
            t, f = line_search(fun, x, g, x0, d, slope, t, t_max, f, CURVATURE, head, work)
        if t == 0.0:
            copy(x0, x)
            copy(g0, g)
            if pairs == 0 or head[FORWARD] > 0:
                stuck(head)
            else:
                head[PAIRS] = head[RADIUS] = 0
            continue
        if bounded:
            copy_clipped(x, bounds, x)
        accept(f, head)
        if t >= longest:
            head[STATUS] = UNBOUNDED
        reached = bounded and t >= t_max
        j = newest + 1 if newest + 1 < m else 0
        s, y = part(S, j * n, n), part(Y, j * n, n)
        subtract(x, x0, s)
        subtract(g, g0, y)
        if head[XTOL] > 0:
            head[STEP] = largest_relative(s, x)
        product = dot(s, y)
        if product > 1e-12 * norm(s) * norm(y):
            rho[j] = 1.0 / product
            if math.isfinite(rho[j]):
                head[NEWEST], head[PAIRS] = j, min(pairs + 1, m)
        if reached and head[PAIRS] == 0:  # of the curvature nothing is known
            head[RADIUS] = FARTHER * max(1.0, head[RADIUS])
    return head[F]
