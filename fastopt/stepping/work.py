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
        self._measure = engine.bind_measure(rule, table, threads) if rules.has_norms(rule) else None
        self.behind, self._left_out = [0] * len(table.k), None
        self._bind_rows()

    def _bind_rows(self):
        table, rule = self.table, self.rules[0]
        self._fills = [bind_coefficients(rule, row[: self._count]) for row in table.k]
        self.fill = self._fills[0]
        self._rows = list(
            {row: j for j, row in reversed([*enumerate(table.rows)])}.items()
        )  # row, its first array

    @property
    def plain(self):
        return len(self.table.k) == 1 and self._measure is None and not self.behind[0]

    @property
    def backend(self):
        """The engine that computes now."""
        bound = "numba" if self._backend == "handover" else self._backend
        return getattr(self.run, "backend", bound)

    # ---- arrays that take fewer steps than the optimizer ----

    def leave_out(self, t):
        """Note, before step t is taken, which arrays take no part in it."""
        self._left_out = (t, self.table.missing) if self.table.missing else None

    def settle(self):
        """Count for the arrays that were left out of the last step, if it was taken, one step less.

        behind[row] is how many steps those with this row of coefficients have missed; a row whose arrays part gets
        a second one.
        """
        if self._left_out is None:
            return
        t, missing = self._left_out
        behind = self.behind
        if self.table.clock[0] >= t:
            behind, rows = list(behind), list(self.table.rows)
            for row in {rows[j] for j in missing}:
                mine = [j for j in missing if rows[j] == row]
                if len(mine) < rows.count(row):
                    behind.append(behind[row])
                    row = len(behind) - 1
                    for j in mine:
                        rows[j] = row
                behind[row] += 1
            if rows != self.table.rows:
                self.table.set_rows(rows)
                self._bind_rows()
        self.behind, self._left_out = behind, None

    def set_behind(self, counts):
        """counts: the steps that each array has missed."""
        rows, behind, known = [], [], {}
        for j, count in enumerate(counts):
            key = (self.table.rows[j] if self._measure is not None else self.rules[j], count)
            if key not in known:
                known[key] = len(behind)
                behind.append(count)
            rows.append(known[key])
        self.table.set_rows(rows)
        self.behind, self._left_out = behind, None
        self._bind_rows()

    def behind_of(self):
        """The steps that each array has missed."""
        self.settle()
        return [self.behind[row] for row in self.table.rows]

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
            self._fills[row](now[rule], t - self.behind[row])
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
