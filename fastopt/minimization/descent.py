"""Gradient descent by any update rule and schedule: a rule's steps as descent.py of the algorithms takes them."""

from typing import Any

import numpy as np

from fastopt import rules
from fastopt.algorithms import state
from fastopt.algorithms.methods import DESCENT
from fastopt.arrays import address
from fastopt.optimizer import Optimizer
from fastopt.schedules import checked_schedules
from fastopt.stepping.coefficients import coefficient_table
from fastopt.stepping.table import Table

MOST_STEPS = 4096  # of a compiled stretch: rows of coefficients


def by_rule(rule, schedules):
    """A solver among the others, for Python functions."""

    def solver(fun, x, g, bounds, head, work, made=[]):  # noqa: B006  the steps of this run
        if head[state.STATUS] == state.NEW:
            made[:] = [Steps(rule, schedules, x, g)]
        DESCENT.solver(fun, x, g, bounds, head, work, made[0])

    return DESCENT._replace(solver=solver)


class Steps:
    """The optimizer's steps on x."""

    def __init__(self, rule, schedules, x, g):
        self.optimizer, self.g = Optimizer(x, rule, schedules=schedules, nonfinite="allow", threads=1), g

    def step(self, _number):
        self.optimizer.step(self.g)


def compiles(rule):
    """Whether the rule works element by element, with no norms of whole arrays."""
    return not (rules.has_norms(rule) or rules.is_whole(rule))


class CompiledSteps:
    """The same without Python between: a table of one array, and coefficients for the next stretch of steps."""

    def __init__(self, rule, schedules, x, g):
        from fastopt.kernels.minimization.descent import step_address

        self.rule, self.schedules = rules.checked(rule, {x.dtype}), checked_schedules(schedules, rule)
        self.table = Table([0], [x], rule, [0])
        self.table.take([g])
        self.table.place_gradient(0, g)
        self.columns = self.table.k.shape[1]
        kind: Any = type(rule)
        self.address = step_address(kind, x.dtype.name, self.columns)

    def run(self, entry, given, head):
        """A stretch: entry(fun, x, g, bounds, head, work, numbers of the rule)."""
        wanted, left = head[state.STRETCH], head[state.MAX_ITERATIONS] - head[state.ITERATIONS]
        count = int(max(1, min(wanted, left, MOST_STEPS)))
        table = self.table
        K = np.ascontiguousarray(coefficient_table(self.rule, self.schedules, table.clock[0], count))
        head[state.STRETCH] = count
        numbers = self.address, table.plan, len(table.chunks), address(table.k), address(K), self.columns
        try:
            entry(*given, numbers)
        finally:
            head[state.STRETCH] = wanted
