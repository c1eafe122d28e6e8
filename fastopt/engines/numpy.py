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
            k = tuple(K[step - begin].astype(W.dtype))
            with np.errstate(all="ignore"), native.denormals_flushed():
                for (p, slots), g in zip(parameters, (dW, db), strict=True):
                    p[...], new = rule.update(rule, k, p, g, tuple(slots))
                    for slot, numbers in zip(slots, new, strict=True):
                        slot[...] = numbers
        return end, total, norm

    return run
