"""The engine that needs nothing but NumPy: the formulas as they are written."""

import functools
from collections import deque
from operator import setitem

import numpy as np

from fastopt import arrays, native, penalties, rounding
from fastopt.engines import stored
from fastopt.rules import in_dtype
from fastopt.rules.limits import held

BLOCK = 2048  # rows scored at once


def bind_step(rule, table, threads=1):
    if table.stored is not None:
        return stored.bind_step(rule, table, _present)
    shaped = [arrays.in_shape(p, *form) for p, form in zip(table.parameters, _forms(table), strict=True)]
    targets = shaped if table.whole else table.parameters

    def new_values(present):
        p, slots = [], [[] for _ in rule.slots]
        for j in present:
            k, g = in_dtype(table.k_of(j), table.dtype), scaled_gradient(table, j)
            given = tuple(slot[j] for slot in table.slots)
            g = arrays.in_shape(g, table.shapes[j], table.axes[j]) if table.whole else g
            p_new, s_new = rule.update(rule, k, targets[j], g, given)
            p.append(p_new)
            for slot, new in zip(slots, s_new, strict=True):
                slot.append(new)
        return [*p, *(new for slot in slots for new in slot)]

    def run(check):
        if check and (bad := _first_bad(table)) >= 0:
            return bad
        present = _present(table)
        with np.errstate(all="ignore"), native.denormals_flushed():
            new = new_values(present)
        # One call of C, within which no Ctrl-C is looked at: all of it is written, or nothing.
        written = [targets[j] for j in present] + [slot[j] for slot in table.slots for j in present]
        keys = [...] * len(written)
        deque(map(setitem, [*written, table.clock], [*keys, 0], [*new, table.clock[0] + 1]), maxlen=0)
        return -1

    return run


def _present(table):
    """The arrays that have a gradient this time."""
    return [j for j in range(len(table.parameters)) if j not in table.missing]


def _first_bad(table):
    if table.stored is not None:
        return stored.first_bad(table, _present(table))
    with np.errstate(all="ignore"):
        return next((j for j in _present(table) if not np.isfinite(table.gradients[j]).all()), -1)


def _forms(table):
    return zip(table.shapes, table.axes, strict=True)


def scaled_gradient(table, j):
    g, (unit, scale, most) = table.flat_gradient(j), table.factors[j].astype(table.dtype)
    g = g if unit == scale == 1 else g * unit * scale
    return held(g, most) if most < np.inf else g


def bind_measure(rule, table, threads=1):
    count = len(rule.coefficients(rule, 1.0))

    def run():
        with np.errstate(all="ignore"), native.denormals_flushed():
            values = {
                j: rule.measure(
                    rule,
                    in_dtype(table.k_of(j)[:count], table.dtype),
                    p,
                    scaled_gradient(table, j),
                    tuple(slot[j] for slot in table.slots),
                )
                for j, p in enumerate(table.parameters)
                if j not in table.missing
            }
            for c, (j, begin, end) in enumerate(table.chunks.tolist()):
                for i, value in enumerate(values.get(j, ())):
                    table.measured[c, i] = sum_of_squares(value[begin:end], 1.0)

    return run


def bind_look(table, threads=1):
    def squares(unit):
        with np.errstate(all="ignore"):
            for c, (j, begin, end) in enumerate(table.chunks.tolist()):
                missing = j in table.missing
                table.sums[c] = 0.0 if missing else sum_of_squares(_numbers(table, j)[begin:end], unit)

    return functools.partial(_first_bad, table), squares


def _numbers(table, j):
    g = table.flat_gradient(j)
    return g if table.stored is None else rounding.as_float32(g)


def sum_of_squares(x, unit):
    return sum_in_parts(np.square(x.astype(np.float64) * unit))


def sum_in_parts(values):
    """In the order of csrc/rules.inc.h: part j of 32 has j, j + 32, ...; then halves are added."""
    parts, rest = np.zeros(32), len(values) % 32
    for row in values[: len(values) - rest].reshape(-1, 32):
        parts += row
    parts[:rest] += values[len(values) - rest :]
    while len(parts) > 1:
        half = len(parts) // 2
        parts = parts[:half] + parts[half:]
    return parts[0]


def bind_gradient(loss, rows, threads=1, unchecked=False):
    loss = rows.formula(loss)
    k = tuple(map(float, loss))

    def run(W, b, dW, db, scale, l2):
        dW[...] = 0
        if db is not None:
            db[...] = 0
        total = 0.0
        with np.errstate(all="ignore"):
            for begin in range(0, rows.n, BLOCK):
                part = slice(begin, begin + BLOCK)
                X = rows.matrix(part)
                s = block_scores(X, W, b)
                d = np.empty_like(s)
                loss_rows = loss.rows(k, s, rows.labels(loss, part), d)
                if rows.weight is not None:
                    loss_rows = loss_rows * rows.weight[part]
                    d *= rows.weight[part]
                total += float(np.sum(loss_rows, dtype=np.float64))
                dW += (X.T @ d.T).T
                if db is not None:
                    db += d.sum(axis=1)
            return penalties.finish_sums(total, W, dW, db, scale, l2)

    return run


def block_scores(X, W, b):
    """Scores (classes, rows) of a block of rows."""
    s = np.ascontiguousarray((X @ W.T).T)
    if b is not None:
        s += b[:, None]
    return s


def bind_passes(loss, rows, threads=1):
    from fastopt.engines.passes import Passes

    return Passes(rows, loss)


def bind_epoch(rows, loss, rule, parameters, batch, l2, threads=1):
    (W, _), (b, _) = parameters
    dW, db = np.empty_like(W), np.empty_like(b)

    def run(K, order, begin, end, total):
        norm = 0.0
        for step in range(begin, end):
            first, last = step * batch, min((step + 1) * batch, rows.n)
            which = slice(first, last) if order is None else order[first:last]
            value = bind_gradient(loss, rows.take(which))(W, b, dW, db, 1 / (last - first), l2)
            if not np.isfinite(value):
                return step, total, norm
            total += value
            norm = float(np.sqrt(np.vdot(dW, dW) + np.vdot(db, db)))
            k = in_dtype(K[step - begin], W.dtype)
            with np.errstate(all="ignore"), native.denormals_flushed():
                for (p, slots), g in zip(parameters, (dW, db), strict=True):
                    p[...], new = rule.update(rule, k, p, g, tuple(slots))
                    for slot, numbers in zip(slots, new, strict=True):
                        slot[...] = numbers
        return end, total, norm

    return run
