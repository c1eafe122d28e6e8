"""The solvers of fastopt/algorithms, compiled: once for a dtype, whatever the function.

A solver is itself the kernel that Python calls: behind another one it would be optimized twice (1.2 s).
"""

import types as python_types
from functools import cache

from numba.core import types
from numba.extending import register_jitable

from fastopt.algorithms import (
    bfgs,
    descent,
    lbfgs,
    levenberg_marquardt,
    line_search,
    nelder_mead,
    newton,
    state,
    trust_region,
)
from fastopt.algorithms.methods import SOLVERS
from fastopt.kernels.language.compile import entry, kernel
from fastopt.kernels.minimization import calls, vectors  # noqa: F401  register what solvers call
from fastopt.kernels.minimization.spans import Bounds, Span

for _module in (
    state,
    line_search,
    trust_region,
    lbfgs,
    bfgs,
    newton,
    nelder_mead,
    levenberg_marquardt,
    descent,
):
    for _function in list(vars(_module).values()):
        if isinstance(_function, python_types.FunctionType) and _function.__module__ == _module.__name__:
            register_jitable(_function)

ADDRESSES = types.UniTuple(types.int64, calls.FUNCTIONS)


@cache
def solver_kernel(method):
    return kernel(SOLVERS[method].solver, counted=False)


def solver_types(dtype):
    """Of fun, x, g, bounds, head, work."""
    element = getattr(types, dtype)
    span = Span(element)
    return ADDRESSES, span, span, Bounds(element), Span(types.float64), span


@cache
def solver_entry(method, dtype):
    """The solver(fun, x, g, bounds, head, work), to be called directly."""
    return entry(solver_kernel(method), *solver_types(dtype))
