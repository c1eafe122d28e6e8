"""The engine of the C library: built-in rules and losses only."""

from fastopt import native
from fastopt.engines import whole
from fastopt.engines.choose import shared_from
from fastopt.engines.shared import bound_gradient, shared_look, shared_measure, shared_step


def _kind(table):
    return table.dtype if table.stored is None else native.STORED


def bind_step(rule, table, threads):
    if table.whole:
        return whole.bind_step(rule, table, threads)
    plan, chunks = table.plan, len(table.chunks)
    if threads < 2 or table.size < shared_from(rule):
        step = native.step_function(_kind(table))
        return lambda check: step(plan, check, 0, chunks)
    together = native.step_together_function(_kind(table))
    return shared_step(lambda check, board: together(plan, check, chunks, board), table, threads)


def bind_measure(rule, table, threads):
    return shared_measure(native.measure_function(table.dtype), rule, table, threads)


def bind_look(table, threads):
    bad_array, add_squares = native.finite_function(_kind(table)), native.squares_function(_kind(table))
    plan, out = table.plan, native.address(table.sums)
    return shared_look(
        lambda begin, end: bad_array(plan, begin, end),
        lambda unit, begin, end: add_squares(plan, unit, out, begin, end),
        table,
        threads,
    )


def bind_gradient(loss, rows, threads, unchecked=False):
    from fastopt.engines import c_entries

    return bound_gradient(c_entries, rows, rows.formula(loss), threads, unchecked)


def bind_passes(loss, rows, threads):
    from fastopt.engines import c_entries  # not by those who take a step only
    from fastopt.kernels.solvers.kept import KeptPasses

    return KeptPasses(c_entries, rows, rows.formula(loss), threads)


def bind_epoch(rows, loss, rule, parameters, batch, l2, threads):
    from fastopt.engines import c_entries  # not by those who take a step only
    from fastopt.kernels.training.epoch import bind

    return bind(c_entries, rows, rows.formula(loss), rule, parameters, batch, l2, threads)
