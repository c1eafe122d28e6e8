"""What is done with a table at every step: its coefficients, its norms, its update."""

import functools

from fastopt import engines, rules
from fastopt.engines.coefficients import bind_coefficients
from fastopt.schedules import values_at


class Work:
    """The rules of a table's arrays, all of one kind, bound to an engine.

    values: the rule of each array, as in table.rows. plain: the step is `fill(rule, t)` and `run(check)`.
    """

    def __init__(self, table, values, backend, threads):
        self.table, self.rules, self._backend, self._threads = table, values, backend, threads
        rule, engine = values[0], engines.get(backend)
        self.run = engine.bind_step(rule, table, threads)
        self._count = len(rule.coefficients(rule, 1.0))
        self._fills = [bind_coefficients(rule, row[: self._count]) for row in table.k]
        self.fill = self._fills[0]
        self._measure = engine.bind_measure(rule, table, threads) if rules.has_norms(rule) else None
        self._rows = list(
            {row: j for j, row in reversed([*enumerate(table.rows)])}.items()
        )  # row, its first array
        self.plain = len(table.k) == 1 and self._measure is None

    @functools.cached_property
    def look(self):
        """The engine's bind_look, compiled on first use."""
        return engines.get(self._backend).bind_look(self.table, self._threads)

    def prepare(self, t, schedules):
        """The coefficients of step t, with those that come from norms."""
        table = self.table
        now = {}  # each rule's value with its scheduled hyperparameters
        for row, j in self._rows:
            rule = self.rules[j]
            if rule not in now:
                now[rule] = scheduled(rule, schedules, t - 1)
            self._fills[row](now[rule], t)
        if self._measure is not None:
            self._measure()
            for row, j in self._rows:
                rule, k = now[self.rules[j]], tuple(table.k[row, : self._count].tolist())
                numbers = rule.from_norms(rule, k, table.norms_of(j), table.parameters[j].size)
                table.k[row, self._count :] = numbers


def scheduled(rule, schedules, t):
    """The rule with what the schedules of its hyperparameters give at step t, counted from 0."""
    mine = {name: s for name, s in schedules.items() if name in rule._fields}
    return rule._replace(**values_at(mine, rule, t)) if mine else rule
