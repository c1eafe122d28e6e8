"""Steps of a rule inside compiled descent: by address, so that descent is compiled once for all rules."""

import functools

import numpy as np
from numba.core import types
from numba.extending import overload

from fastopt.algorithms import calls
from fastopt.kernels.language.compile import entry, kernel
from fastopt.kernels.language.formula import formula_type
from fastopt.kernels.language.memory import native_address, read, write
from fastopt.kernels.minimization.calls import checked_call
from fastopt.kernels.minimization.solvers import solver_kernel, solver_types
from fastopt.kernels.step.elementwise import step

# What stands for the rule: the address of step_at, its plan and number of chunks, the addresses of the coefficients
# that the plan reads and of those of the next steps, and how many there are of each.
STEP, PLAN, CHUNKS, K, NEXT, COUNT = range(6)
RULE = types.UniTuple(types.int64, 6)


@kernel
def step_at(h, plan, chunks):
    step(h, False, plan, 0, chunks)
    return 0.0


@functools.cache
def step_address(rule_type, dtype, coefficients):
    return native_address(step_at, formula_type(rule_type, dtype, coefficients), 2)


@functools.cache
def descent_entry(dtype):
    """descent(fun, x, g, bounds, head, work, rule), to be called directly."""
    return entry(solver_kernel("descent"), *solver_types(dtype), RULE)


@overload(calls.rule_step)
def _rule_step(rule, number):
    if not isinstance(rule, types.UniTuple):
        return None

    def take(rule, number):
        for j in range(rule[COUNT]):
            write(rule[K], j, read(np.float64, rule[NEXT], number * rule[COUNT] + j))
        checked_call(rule[STEP], (rule[PLAN], rule[CHUNKS]))

    return take
