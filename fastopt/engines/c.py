"""The engine of the C library: built-in rules and losses only."""

import numpy as np

from fastopt import native, penalties
from fastopt.engines.choose import shared_from
from fastopt.engines.shared import shared_look, shared_step
from fastopt.rules import is_linear, linear_coefficients

SCALED_BATCH = 512  # rows; in a larger batch the update of all weights is a small part of the work


def _kind(table):
    return table.dtype if table.stored is None else native.STORED


def bind_step(rule, table, threads):
    plan, chunks = table.plan, len(table.chunks)
    if threads < 2 or table.size < shared_from(rule):
        step = native.step_function(_kind(table))
        return lambda check: step(plan, check, 0, chunks)
    together = native.step_together_function(_kind(table))
    return shared_step(lambda check, board: together(plan, check, chunks, board), table, threads)


def bind_look(table, threads):
    bad_array, add_squares = native.finite_function(_kind(table)), native.squares_function(_kind(table))
    plan, out = table.plan, native.address(table.sums)
    return shared_look(
        lambda begin, end: bad_array(plan, begin, end),
        lambda unit, begin, end: add_squares(plan, unit, out, begin, end),
        table,
        threads,
    )


def linear_data(loss, rows, order=None):
    """The rows of a linear model in the form that the C library reads."""
    X = rows.X if rows.sparse is None else rows.sparse
    number = native.LOSSES.index(type(loss).__name__)
    return native.Data(
        number,
        loss,
        X,
        rows.y,
        rows.features,
        rows.classes,
        weight=rows.weight,
        order=order,
        scale=rows.scale,
    )


def bind_gradient(loss, rows, threads, unchecked=False):
    data = linear_data(loss, rows)

    def run(W, b, dW, db, scale, l2):
        total = native.gradient(data, W, b, rows.n, dW, db, threads)
        return penalties.finish_sums(total, W, dW, db, scale, l2)

    return run


def bind_passes(loss, rows, threads):
    """NumPy's: the C library keeps no scores."""
    from fastopt.engines.passes import Passes

    return Passes(rows, loss)


def bind_epoch(rows, loss, rule, parameters, batch, l2, threads):
    """Lazily scaled weights for linear rules on small batches of CSR rows, else whole batches."""
    if rows.sparse is not None and is_linear(rule) and batch <= SCALED_BATCH:
        return _scaled_epoch(rows, loss, rule, parameters, batch, l2)
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


def _scaled_epoch(rows, loss, rule, parameters, batch, l2):
    """An epoch with the weights kept as alpha * V, V being (features, classes), from one call to the next."""
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
