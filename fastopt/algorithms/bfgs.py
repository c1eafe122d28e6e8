"""BFGS with a dense inverse Hessian: Nocedal & Wright 2006, algorithm 6.1, self-scaled at first (Al-Baali 1998)."""

import math

from fastopt.algorithms.line_search import FIRST, LONGEST, in_units, line_search
from fastopt.algorithms.state import (
    EXPECTED,
    FORWARD,
    NEW,
    PAIRS,
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
    copy,
    dot,
    largest_relative,
    matvec,
    norm,
    part,
    scale,
    set_diagonal,
    subtract,
    update_inverse,
)  # fmt: skip

CURVATURE = 0.9


def bfgs_size(n, memory, rows):
    return 2 * n + 6 * n + n * n


def bfgs(fun, x, g, bounds, head, work):
    """Iterations until head[STATUS] tells why it is over, at most head[STRETCH]."""
    n = x.size
    x0, g0, d = part(work, 2 * n, n), part(work, 3 * n, n), part(work, 4 * n, n)
    s, y, hy = part(work, 5 * n, n), part(work, 6 * n, n), part(work, 7 * n, n)
    H = part(work, 8 * n, n * n)
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
        pairs = head[PAIRS]
        t = 1.0
        if pairs == 0:
            copy(g, d)
            size = norm(d)
            t = in_units(min(size, FIRST), x, head[F], size) / size
        else:
            matvec(H, g, d)
        scale(-1.0, d)
        slope = dot(d, g)
        copy(x, x0)
        copy(g, g0)
        f = head[F]
        t_max = LONGEST * max(1.0, t)
        if pairs > 0:
            head[EXPECTED] = -0.5 * slope
        if slope < 0.0 and not doubtful(head):
            t, f = line_search(fun, x, g, x0, d, slope, t, t_max, f, CURVATURE, head, work)
        else:
            t = 0.0
        if t == 0.0:
            copy(x0, x)
            copy(g0, g)
            if pairs == 0 or head[FORWARD] > 0:
                stuck(head)
            else:
                head[PAIRS] = 0
            continue
        accept(f, head)
        if t >= t_max:
            head[STATUS] = UNBOUNDED
        subtract(x, x0, s)
        subtract(g, g0, y)
        if head[XTOL] > 0:
            head[STEP] = largest_relative(s, x)
        sy, yy = dot(s, y), dot(y, y)
        if sy > 1e-12 * norm(s) * norm(y):
            if pairs == 0:
                set_diagonal(math.sqrt(dot(s, s) / yy), n, H)
            elif pairs < 2 * n:
                scale(max(1.0, t * -dot(s, g0) / sy), H)  # s'Bs / s'y: H is too small along s
            matvec(H, y, hy)
            update_inverse(H, s, y, hy, sy, dot(hy, y))
            head[PAIRS] += 1
    return head[F]
