"""The engine of compiled kernels."""

from fastopt.engines.choose import shared_from
from fastopt.engines.shared import shared_step


def bind_step(rule, table, threads):
    from fastopt.kernels.language.formula import formula_type
    from fastopt.kernels.step import elementwise

    rule_type = formula_type(type(rule), table.dtype.name, len(table.k))
    plan, chunks = table.plan, len(table.chunks)
    if threads < 2 or table.size < shared_from(rule):
        step = elementwise.step_entry(rule_type)

        def run(check):
            bad = step(None, check, plan, 0, chunks)
            return bad if bad < 0 else table.array_of(bad)

        return run
    together = elementwise.step_together_entry(rule_type)
    return shared_step(lambda check, board: together(None, check, plan, chunks, board), table, threads)
