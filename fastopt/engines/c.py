"""The engine of the C library: built-in rules and losses only."""

from fastopt import native, penalties
from fastopt.engines.choose import shared_from
from fastopt.engines.shared import shared_step


def bind_step(rule, table, threads):
    plan, chunks = table.plan, len(table.chunks)
    if threads < 2 or table.size < shared_from(rule):
        step = native.step_function(table.dtype)
        return lambda check: step(plan, check, 0, chunks)
    together = native.step_together_function(table.dtype)
    return shared_step(lambda check, board: together(plan, check, chunks, board), table, threads)


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
