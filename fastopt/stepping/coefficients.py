"""The rule's coefficients of a stretch of steps, which a compiled loop takes as one table."""

import numpy as np

from fastopt import native, rules
from fastopt.engines import choose
from fastopt.schedules import values_at


def coefficient_table(rule, schedules, first, count, taken=0):
    """The rule's coefficients at the steps first+1, ..., first+count: (count, k) float64.

    Where all rows are the same they are one in memory. taken: steps of the rule before the first that schedules count.
    """
    values = values_at(schedules, rule, np.arange(first, first + count)) if schedules else {}
    columns = {name: np.broadcast_to(v, count) for name, v in values.items()}
    if not rules.looks_at_t(rule) and all((c == c[0]).all() for c in columns.values()):
        now = rule._replace(**{name: float(c[0]) for name, c in columns.items()})
        row = np.array(now.coefficients(now, float(first + taken + 1)), np.float64)
        return np.broadcast_to(row, (count, len(row)))
    if rules.is_in_c(rule) and choose.has_c():
        return _in_c(rule, columns, first + taken, count)
    return _in_python(rule, columns, first + taken, count)


def _in_c(rule, columns, first, count):
    """The same bits as in Python, in a hundredth of the time."""
    h = np.empty((count if columns else 1, len(rule)))
    h[:] = rule
    for name, column in columns.items():
        h[:, rule._fields.index(name)] = column
    return native.coefficient_table(native.rule_number(rule), h, first + 1, count)


def _in_python(rule, columns, first, count):
    steps = range(first + 1, first + count + 1)
    names, values = list(columns), zip(*(c.tolist() for c in columns.values()), strict=True)
    if not columns:
        return np.array([rule.coefficients(rule, float(t)) for t in steps], np.float64)
    rows = []
    for t, numbers in zip(steps, values, strict=True):
        now = rule._replace(**dict(zip(names, numbers, strict=True)))
        rows.append(rule.coefficients(now, float(t)))
    return np.array(rows, np.float64)
