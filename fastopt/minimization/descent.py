"""Gradient descent by any update rule and schedule, as a solver among the others."""

import math

import numpy as np

from fastopt.algorithms import state
from fastopt.algorithms.calls import evaluate
from fastopt.algorithms.methods import Method
from fastopt.algorithms.state import accept, begin, finish, note, running
from fastopt.optimizer import Optimizer


def by_rule(rule, schedules):
    return Method(descent(rule, schedules), lambda n, memory, rows: 2 * n, bounds=True)


def descent(rule, schedules):
    """A solver(fun, x, g, bounds, head, work) that steps by the rule; x goes back inside the bounds after a step."""

    def solver(fun, x, g, bounds, head, work, made=[]):  # noqa: B006  the optimizer of this run
        if head[state.STATUS] == state.NEW:
            begin(fun, x, g, bounds, head, work)
            made[:] = [Optimizer(x, rule, schedules=schedules, nonfinite="allow", threads=1)]
        steps = 0
        while steps < head[state.STRETCH] or head[state.STATUS] != state.RUNNING:
            steps += 1
            if head[state.STATUS] == state.RUNNING:
                running(x, g, bounds, head, work)
            if finish(x, g, bounds, head, work):
                break
            before = x.copy() if head[state.XTOL] > 0 else None
            made[0].step(g)
            if head[state.BOUNDED]:
                np.clip(x, bounds[0], bounds[1], out=x)
            f = evaluate(fun, x, g)
            head[state.EVALUATIONS] += 1
            if not (math.isfinite(f) and np.isfinite(g).all()):
                leave(f, x, g, head, work)
                continue
            note(f, x, g, head, work)
            accept(f, head)
            head[state.STALLED] = 0  # a step of a rule may lead upwards
            if before is not None:
                head[state.STEP] = np.max(np.abs(x - before) / np.maximum(1, np.abs(x)))
        return head[state.F]

    return solver


def leave(f, x, g, head, work):
    """The run has diverged: back to the best point."""
    n = x.size
    x[:], g[:] = work[:n], work[n : 2 * n]
    head[state.F] = head[state.BEST]
    head[state.STATUS] = state.UNBOUNDED if f == -math.inf else state.DIVERGED
    head[state.NORM] = np.max(np.abs(g))
