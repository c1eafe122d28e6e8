"""A solver's text for Python, with the bits of the compiled one."""

import functools
import types

from fastopt.algorithms import calls, loops
from fastopt.algorithms.methods import SOLVERS


@functools.cache
def solver_text(method):
    """The solver, with the loops of loops.py in place of NumPy's functions, whose sums have other last bits."""
    copies: dict = {}

    def copied(function):
        if function.__module__ == calls.__name__:
            return function
        if function.__module__ == "fastopt.algorithms.vectors":
            return getattr(loops, function.__name__, function)
        if function not in copies:
            scope: dict = {}
            copies[function] = types.FunctionType(
                function.__code__, scope, function.__name__, function.__defaults__
            )
            for name, value in function.__globals__.items():
                ours = isinstance(value, types.FunctionType) and value.__module__.startswith(
                    calls.__package__
                )
                scope[name] = copied(value) if ours else value
        return copies[function]

    return copied(SOLVERS[method].solver)
