"""The engine that needs nothing but NumPy: the formulas as they are written."""

import numpy as np

from fastopt import native, penalties

BLOCK = 2048  # rows scored at once


def bind_step(rule, table, threads=1):
    def run(check):
        if check:
            for i, g in enumerate(table.gradients):
                if not np.isfinite(g).all():
                    return i
        k = tuple(table.k.astype(table.dtype))
        with np.errstate(all="ignore"), native.denormals_flushed():
            for i, (p, g) in enumerate(zip(table.parameters, table.gradients, strict=True)):
                slots = [slot[i] for slot in table.slots]
                p_new, new_slots = rule.update(rule, k, p, g.reshape(-1), tuple(slots))
                p[...] = p_new
                for slot, new in zip(slots, new_slots, strict=True):
                    slot[...] = new
        return -1

    return run


def bind_gradient(loss, rows, threads=1, unchecked=False):
    k, y = tuple(map(float, loss)), rows.labels(loss)

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
                loss_rows = loss.rows(k, s, y[part], d)
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


def mean_gradient(loss, W, b, rows, l2):
    """(mean value, dW, db), the penalty included."""
    dW, db = np.zeros_like(W), None if b is None else np.zeros_like(b)
    value = bind_gradient(loss, rows)(W, b, dW, db, rows.one_over_weights, l2)
    return value, dW, db


def bind_passes(loss, rows, threads=1):
    from fastopt.engines.passes import Passes

    return Passes(rows, loss)
