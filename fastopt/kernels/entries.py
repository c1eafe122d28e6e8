"""Numba's kernels of linear models as Problem and the epochs call them; engines/c.py has the C library's.

Each is called with something for h, which is not looked at, then addresses of tables (tables.py):
    take_groups(dtype)       (h, problem, worker, counter)
    finish_gradient(dtype)   (h, problem, worker, counter, scale, l2) -> value
    loop(dtype, name)        (h, problem, run, begin, end) -> step; "steps", "scaled_steps", "single_row_steps", "help_pair"
    help_crew(dtype)         (h, problem, worker, crew)
    gram(dtype, is_sparse)   (h, problem, diagonal, begin, end, first, last, target, stride, scratch), see solvers/gram.py
    fields(...), rule(...), row_loss(...), of_pass(...) are what goes into the tables. dtype: "float32" or "float64".
"""

import functools

from numba.core import types

from fastopt.kernels.gradient import groups, linear, sparse
from fastopt.kernels.language.compile import entry
from fastopt.kernels.language.formula import formula_type
from fastopt.kernels.language.memory import element_type, native_address
from fastopt.kernels.language.table import arguments
from fastopt.kernels.solvers import passes
from fastopt.kernels.solvers.gram import dense_gram, sparse_gram
from fastopt.kernels.tables import CURVED, LINE, PROBLEM, RUN, SIDE, WORKER
from fastopt.kernels.training import crew, scaled, single_rows, steps

NAME = "numba"
_LOOPS = {
    "steps": steps.steps,
    "help_pair": steps.help_pair,
    "scaled_steps": scaled.scaled_steps,
    "single_row_steps": single_rows.single_row_steps,
}


def fields(loss, dtype, is_sparse):
    """[(place in PROBLEM, value)]: the kernels that others call by address."""
    return _addresses(formula_type(type(loss), dtype, len(loss)), dtype, is_sparse)


@functools.cache
def _addresses(loss_type, dtype, is_sparse):
    h = element_type(dtype)
    found = [(PROBLEM.loss, native_address(linear.block_loss, loss_type, PROBLEM, 6))]
    if is_sparse:
        return [*found, (PROBLEM.add_rows, native_address(sparse.add_sparse_rows, h, PROBLEM, 7, SIDE))]
    return [
        *found,
        (PROBLEM.add_rows, native_address(linear.add_rows, h, PROBLEM, 7, SIDE)),
        (PROBLEM.scores, native_address(linear.block_scores, h, PROBLEM, 6)),
        (PROBLEM.gradient, native_address(linear.block_gradient, h, PROBLEM, 8)),
    ]


def rule(rule, dtype, coefficients):
    """(update, update_by_row) of RUN."""
    return _rule_addresses(formula_type(type(rule), dtype, coefficients))


@functools.cache
def _rule_addresses(rule_type):
    kernels = (steps.update_features, 3), (steps.update_by_row, 1)
    return [native_address(kernel, rule_type, PROBLEM, RUN, integers) for kernel, integers in kernels]


def row_loss(loss, dtype):
    """What single rows have for PROBLEM.loss."""
    return _row_loss_address(formula_type(type(loss), dtype, len(loss)))


@functools.cache
def _row_loss_address(loss_type):
    return native_address(single_rows.row_loss, loss_type, PROBLEM, 3)


def of_pass(loss, dtype, is_sparse, kind):
    """[(place in PROBLEM, value)]: what a solver's pass of this kind calls (solvers/passes.py)."""
    return _pass_addresses(
        formula_type(type(loss), dtype, len(loss)), dtype, is_sparse, bool(kind & CURVED), kind == LINE
    )


@functools.cache
def _pass_addresses(loss_type, dtype, is_sparse, curved, line):
    of_rows = passes.pass_sparse_rows if is_sparse else passes.pass_rows
    rows = passes.line_rows if line else of_rows
    if curved:
        loss = native_address(passes.block_curvature, loss_type, PROBLEM, 7)
    else:
        loss = native_address(linear.block_loss, loss_type, PROBLEM, 6)
    return [
        (PROBLEM.add_rows, native_address(rows, element_type(dtype), PROBLEM, 7, SIDE)),
        (PROBLEM.loss, loss),
    ]


@functools.cache
def gram(dtype, is_sparse):
    return entry(sparse_gram if is_sparse else dense_gram, element_type(dtype), *arguments(PROBLEM, 8))


@functools.cache
def take_groups(dtype):
    return entry(groups.take_groups, element_type(dtype), *arguments(PROBLEM, WORKER, 1))


@functools.cache
def finish_gradient(dtype):
    kinds = (*arguments(PROBLEM, WORKER, 1), types.float64, types.float64)
    return entry(groups.finish_gradient, element_type(dtype), *kinds)


@functools.cache
def loop(dtype, name):
    return entry(_LOOPS[name], element_type(dtype), *arguments(PROBLEM, RUN, 2))


@functools.cache
def help_crew(dtype):
    return entry(crew.help_crew, element_type(dtype), *arguments(PROBLEM, WORKER, 1))
