"""The engine of the C library: built-in rules and losses only."""

from fastopt import native
from fastopt.engines.choose import shared_from
from fastopt.engines.shared import shared_step


def bind_step(rule, table, threads):
    plan, chunks = table.plan, len(table.chunks)
    if threads < 2 or table.size < shared_from(rule):
        step = native.step_function(table.dtype)
        return lambda check: step(plan, check, 0, chunks)
    together = native.step_together_function(table.dtype)
    return shared_step(lambda check, board: together(plan, check, chunks, board), table, threads)
