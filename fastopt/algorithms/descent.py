"""Gradient descent by an update rule of the package; x goes back inside the bounds after a step."""

import math

from fastopt.algorithms.calls import evaluate, rule_step
from fastopt.algorithms.state import (
    BEST,
    BOUNDED,
    DIVERGED,
    EVALUATIONS,
    NEW,
    NORM,
    RUNNING,
    STALLED,
    STATUS,
    STEP,
    STRETCH,
    UNBOUNDED,
    XTOL,
    F,
    accept,
    begin,
    finish,
    note,
    running,
)  # fmt: skip
from fastopt.algorithms.vectors import copy, copy_clipped, largest, largest_relative, part, subtract


def descent_size(n, memory, rows):
    return 3 * n


def descent(fun, x, g, bounds, head, work, rule):
    """Steps until head[STATUS] tells why it is over, at most head[STRETCH]."""
    n = x.size
    before = part(work, 2 * n, n)
    if head[STATUS] == NEW:
        begin(fun, x, g, bounds, head, work)
    steps = 0
    while steps < head[STRETCH] or head[STATUS] != RUNNING:
        steps += 1
        if head[STATUS] == RUNNING:
            running(x, g, bounds, head, work)
        if finish(x, g, bounds, head, work):
            break
        copy(x, before)
        rule_step(rule, steps - 1)
        if head[BOUNDED]:
            copy_clipped(x, bounds, x)
        f = evaluate(fun, x, g)
        head[EVALUATIONS] += 1
        if not (math.isfinite(f) and math.isfinite(largest(g))):
            leave(f, x, g, head, work)
            continue
        note(f, x, g, head, work)
        accept(f, head)
        head[STALLED] = 0  # a step of a rule may lead upwards
        if head[XTOL] > 0:
            subtract(x, before, before)
            head[STEP] = largest_relative(before, x)
    return head[F]


def leave(f, x, g, head, work):
    """The run has diverged: back to the best point."""
    n = x.size
    copy(part(work, 0, n), x)
    copy(part(work, n, n), g)
    head[F] = head[BEST]
    head[STATUS] = UNBOUNDED if f == -math.inf else DIVERGED
    head[NORM] = largest(g)
