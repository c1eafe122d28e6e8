"""The training loop of each back end: one call does a stretch of steps."""

import numpy as np

from fastopt import native
from fastopt.engines.c import linear_data
from fastopt.engines.numpy import mean_gradient
from fastopt.rules import is_linear, linear_coefficients

SCALED_BATCH = 512  # rows; in a larger batch the update of all weights is a small part of the work


def bind_epoch(backend, rows, loss, rule, parameters, batch, l2, threads):
    """A function run(K, order, begin, end, loss) -> (stopped, loss, gradient norm).

    parameters: ((W, its slots), (b, its slots)), updated in place. run takes the steps [begin, end)
    of an epoch: step i uses the positions [i*batch, (i+1)*batch) of order (None: the rows as they
    stand) and row i - begin of the coefficients K. It stops before a step whose loss is not finite.
    The losses of the batches are added to the one given, so that where a stretch ends does not show
    in the sum's bits; the norm is that of the last batch's gradient.
    """
    makers = {"numba": _numba_epoch, "c": _c_epoch, "numpy": _numpy_epoch}
    return makers[backend](rows, loss, rule, parameters, batch, l2, threads)


def _c_epoch(rows, loss, rule, parameters, batch, l2, threads):
    if rows.sparse is not None and is_linear(rule) and batch <= SCALED_BATCH:
        return _scaled_c_epoch(rows, loss, rule, parameters, batch, l2)
    data = linear_data(loss, rows)
    number = native.rule_number(rule)
    (W, W_slots), (b, b_slots) = parameters

    def run(K, order, begin, end, total):
        data.set_order(order)
        training = native.Training(number, np.ascontiguousarray(K), batch, rows.n, l2, W, b, W_slots, b_slots)
        training.struct.loss = total
        stopped = native.epoch(data, training, begin, end)
        return stopped, training.loss, training.gradient_norm

    return run


def _scaled_c_epoch(rows, loss, rule, parameters, batch, l2):
    """_c_epoch with weights kept as alpha * V, V being (features, classes), from one call to the next."""
    data = linear_data(loss, rows)
    (W, _), (b, _) = parameters
    V, alpha, squares = np.empty(W.shape[::-1], W.dtype), 1.0, 0.0

    def run(K, order, begin, end, total):
        nonlocal alpha, squares
        if begin == 0:
            V[...] = W.T
            alpha, squares = 1.0, float(np.sum(np.square(W, dtype=np.float64)))
        data.set_order(order)
        k = np.ascontiguousarray(np.broadcast_to(linear_coefficients(rule, l2, K), (len(K), 3)))
        training = native.ScaledTraining(k, batch, rows.n, l2, V, b, alpha, squares, total)
        stopped = native.scaled_epoch(data, training, begin, end)
        alpha, squares = training.struct.alpha, training.struct.squares
        np.multiply(V.T, W.dtype.type(alpha), out=W)
        return stopped, training.struct.loss, training.struct.gradient_norm

    return run


def _numpy_epoch(rows, loss, rule, parameters, batch, l2, threads):
    (W, _), (b, _) = parameters

    def run(K, order, begin, end, total):
        norm = 0.0
        for step in range(begin, end):
            first, last = step * batch, min((step + 1) * batch, rows.n)
            which = slice(first, last) if order is None else order[first:last]
            value, dW, db = mean_gradient(loss, W, b, rows.take(which), l2)
            if not np.isfinite(value):
                return step, total, norm
            total += value
            norm = float(np.sqrt(np.vdot(dW, dW) + np.vdot(db, db)))
            k = tuple(K[step - begin].astype(W.dtype))
            with np.errstate(all="ignore"), native.denormals_flushed():
                for (p, slots), g in zip(parameters, (dW, db), strict=True):
                    p[...], new = rule.update(rule, k, p, g, tuple(slots))
                    for slot, value in zip(slots, new, strict=True):
                        slot[...] = value
        return end, total, norm

    return run


def _numba_epoch(rows, loss, rule, parameters, batch, l2, threads):
    from fastopt.kernels.training.epoch import Epoch

    return Epoch(rows, loss, rule, parameters, batch, l2, threads)
