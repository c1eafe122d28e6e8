"""The engine of compiled kernels."""

import functools

from fastopt.engines import whole
from fastopt.engines.choose import shared_from
from fastopt.engines.refused import compiled
from fastopt.engines.shared import bound_gradient, shared_look, shared_measure, shared_step
from fastopt.native import address


def bind_step(rule, table, threads):
    if table.whole:
        return whole.bind_step(rule, table, threads)
    from fastopt.kernels.step import elementwise

    rule_type = _formula(type(rule), table, table.k.shape[1])
    plan, chunks = table.plan, len(table.chunks)
    if threads < 2 or table.size < shared_from(rule):
        step = compiled(elementwise.step_entry, rule, rule_type)

        def run(check):
            bad = step(None, check, plan, 0, chunks)
            return bad if bad < 0 else table.array_of(bad)

        return run
    together = compiled(elementwise.step_together_entry, rule, rule_type)
    return shared_step(lambda check, board: together(None, check, plan, chunks, board), table, threads)


def _formula(cls, table, coefficients):
    """The type that stands for a formula on the arrays of a table."""
    if table.stored is not None:
        from fastopt.kernels.step.stored import stored_type

        return stored_type(cls, table.stored, coefficients)
    from fastopt.kernels.language.formula import formula_type

    return formula_type(cls, table.dtype.name, coefficients)


def bind_measure(rule, table, threads):
    from fastopt.kernels.language.formula import formula_type
    from fastopt.kernels.step.sums import measure_entry

    rule_type = formula_type(type(rule), table.dtype.name, len(rule.coefficients(rule, 1.0)))
    measure = compiled(measure_entry, rule, rule_type)
    return shared_measure(functools.partial(measure, None), rule, table, threads)


def bind_look(table, threads):
    from fastopt.kernels.language.memory import Element
    from fastopt.kernels.step import elementwise, squares

    h = _formula(Element, table, 0)
    bad_chunk = elementwise.first_nonfinite_entry(h)
    add_squares, plan, out = squares.squares_entry(h), table.plan, address(table.sums)
    return shared_look(
        lambda begin, end: table.array_of(bad_chunk(None, plan, begin, end)),
        lambda unit, begin, end: add_squares(None, plan, unit, out, begin, end),
        table,
        threads,
    )


def bind_gradient(loss, rows, threads, unchecked=False):
    from fastopt.kernels import entries

    return bound_gradient(entries, rows, rows.formula(loss), threads, unchecked)


def entries():
    """The kernels of linear models, as Problem and the epochs call them."""
    from fastopt.kernels import entries

    return entries


def bind_passes(loss, rows, threads):
    from fastopt.kernels.solvers.kept import KeptPasses

    return KeptPasses(entries(), rows, rows.formula(loss), threads)


def bind_epoch(rows, loss, rule, parameters, batch, l2, threads):
    from fastopt.kernels import entries
    from fastopt.kernels.training.epoch import bind

    return bind(entries, rows, rows.formula(loss), rule, parameters, batch, l2, threads)
