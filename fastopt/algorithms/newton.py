"""Newton's method with a trust region: dense Hessians, or products with it (Steihaug 1983).

A step of which the function's change is lost in rounding is taken if it makes the gradient smaller.
"""

import math

from fastopt.algorithms.calls import evaluate, hessian, product
from fastopt.algorithms.line_search import in_units
from fastopt.algorithms.state import (
    EPS,
    EVALUATIONS,
    EXPECTED,
    HESSIANS,
    MAX_EVALUATIONS,
    NEW,
    NORM,
    PAIRS,
    RADIUS,
    ROUNDING,
    ROW,
    RUNNING,
    SCALE,
    SECOND_COST,
    STATUS,
    STEP,
    STRETCH,
    XTOL,
    F,
    accept,
    affords,
    begin,
    finish,
    note,
    running,
    stuck,
)  # fmt: skip
from fastopt.algorithms.trust_region import exact_step, new_radius
from fastopt.algorithms.vectors import (
    copy,
    dot,
    fill,
    largest,
    largest_relative,
    move,
    norm,
    part,
    same,
    scale,
)  # fmt: skip

MOST_REJECTIONS = 60
CLOSE = 0.1  # conjugate gradients leave at most this share of the residual; with 0.5 a sixth more evaluations
ACCEPT = 1e-4  # share of the predicted decrease that a step must bring


def newton_size(n, memory, rows):
    return 2 * n + 4 * n + 2 * n * n


def newton_cg_size(n, memory, rows):
    return 2 * n + 7 * n


def newton(fun, x, g, bounds, head, work):
    """Iterations until head[STATUS] tells why it is over, at most head[STRETCH].

    Each row of a Hessian by differences counts as one: of 200 variables, without a gradient too, that is 802 evaluations.
    """
    n = x.size
    x0, g0, p, w = part(work, 2 * n, n), part(work, 3 * n, n), part(work, 4 * n, n), part(work, 5 * n, n)
    A, L = part(work, 6 * n, n * n), part(work, 6 * n + n * n, n * n)
    if head[STATUS] == NEW:
        begin(fun, x, g, bounds, head, work)
        head[RADIUS] = in_units(max(1.0, 0.1 * norm(x)), x, head[F], norm(g))
    steps = 0
    while steps < head[STRETCH] or head[STATUS] != RUNNING:
        steps += 1
        if head[ROW] == 0:
            if head[STATUS] == RUNNING:
                running(x, g, bounds, head, work)
            if finish(x, g, bounds, head, work):
                break
            if not affords(head, head[SECOND_COST]):
                continue
        row = head[ROW]
        head[ROW] = hessian(fun, x, A, int(row))
        head[EVALUATIONS] += head[SECOND_COST] * (head[ROW] - row) / n
        if head[ROW] < n:
            continue
        head[ROW] = 0
        head[HESSIANS] += 1
        copy(x, x0)
        copy(g, g0)
        moved = False
        for _ in range(MOST_REJECTIONS):
            predicted = exact_step(A, L, n, g0, head[RADIUS], p, w)
            moved = attempt(fun, x, g, x0, g0, p, predicted, head, work)
            if moved or head[STATUS] != RUNNING or head[RADIUS] < 1e-300:
                break
        if not moved and head[STATUS] == RUNNING:
            stuck(head)
    return head[F]


def attempt(fun, x, g, x0, g0, p, predicted, head, work):
    """Try x0 + p: accept or go back, and set the radius. Whether it was accepted."""
    radius, length, f0 = head[RADIUS], norm(p), head[F]
    inner = length < 0.8 * radius  # of a step that the ball cuts, what is expected says nothing
    head[EXPECTED] = predicted if inner else math.inf
    move(x0, 1.0, p, x)
    if not (predicted > 0.0 and math.isfinite(length)) or same(x, x0):
        copy(x0, x)
        stuck(head)
        return False
    f = evaluate(fun, x, g)
    head[EVALUATIONS] += 1
    size = largest(g)
    if math.isfinite(f) and math.isfinite(size):
        note(f, x, g, head, work)
        actual = f0 - f
        rounding = ROUNDING * head[EPS] * abs(f0)
        flat = abs(actual) <= rounding and predicted <= rounding
        head[RADIUS] = radius if flat else new_radius(radius, length, actual, predicted)
        if actual > ACCEPT * predicted or (flat and size < head[NORM]):
            accept(f, head)
            if head[XTOL] > 0:
                head[STEP] = largest_relative(p, x)
            return True
        if flat:
            head[RADIUS] = 0.0
    else:
        head[RADIUS] = 0.1 * min(radius, length)
    copy(x0, x)
    copy(g0, g)
    spent(head)
    return False


def spent(head):
    """After a rejected step: no more are tried without evaluations, or with a radius of 0."""
    from_rounding = head[RADIUS] == 0.0
    if from_rounding or head[EVALUATIONS] >= head[MAX_EVALUATIONS]:
        stuck(head)


def newton_cg(fun, x, g, bounds, head, work):
    """The same with the model minimized by conjugate gradients; PAIRS counts the products."""
    n = x.size
    x0, g0, p, r = part(work, 2 * n, n), part(work, 3 * n, n), part(work, 4 * n, n), part(work, 5 * n, n)
    d, hd = part(work, 6 * n, n), part(work, 7 * n, n)
    if head[STATUS] == NEW:
        begin(fun, x, g, bounds, head, work)
        head[SCALE] = 0.0
        head[RADIUS] = in_units(max(1.0, 0.1 * norm(x)), x, head[F], norm(g))
    steps = 0
    while steps < head[STRETCH] or head[STATUS] != RUNNING:
        steps += 1
        if head[STATUS] == RUNNING:
            running(x, g, bounds, head, work)
        if finish(x, g, bounds, head, work):
            break
        copy(x, x0)
        copy(g, g0)
        moved = False
        for _ in range(MOST_REJECTIONS):
            predicted = steihaug(fun, x0, g0, head[RADIUS], p, r, d, hd, head)
            if head[STATUS] != RUNNING:
                copy(x0, x)
                break
            moved = attempt(fun, x, g, x0, g0, p, predicted, head, work)
            if moved or head[STATUS] != RUNNING or head[RADIUS] < 1e-300:
                break
        if not moved and head[STATUS] == RUNNING:
            stuck(head)
    return head[F]


def steihaug(fun, x, g, radius, p, r, d, hd, head):
    """p in the ball by conjugate gradients on H p = -g; returns the predicted decrease."""
    fill(0.0, p)
    copy(g, r)
    copy(g, d)
    scale(-1.0, d)
    rr = dot(r, r)
    length = math.sqrt(rr)
    head[SCALE] = max(head[SCALE], length)  # an absolute length would ask for less the larger the units of f
    enough = min(CLOSE, math.sqrt(length / head[SCALE])) * length if length > 0.0 else 0.0
    predicted = 0.0
    for _ in range(2 * g.size):
        dd = dot(d, d)
        if not dd > 0.0:  # gradients below 1e-160
            break
        if not affords(head, head[SECOND_COST]):
            break
        product(fun, x, d, hd)
        head[EVALUATIONS] += head[SECOND_COST]
        head[PAIRS] += 1
        curve = dot(d, hd)
        pd, pp = dot(p, d), dot(p, p)
        edge = (-pd + math.sqrt(max(0.0, pd * pd + dd * (radius * radius - pp)))) / dd
        alpha = rr / curve if curve > 0.0 else edge
        if not alpha < edge:
            alpha = edge
        predicted -= alpha * dot(r, d) + 0.5 * alpha * alpha * curve
        move(p, alpha, d, p)
        move(r, alpha, hd, r)
        if alpha == edge:
            break
        rr_before, rr = rr, dot(r, r)
        if not math.sqrt(rr) > enough:
            break
        scale(rr / rr_before, d)
        move(d, -1.0, r, d)
    return predicted
