"""A solver's text run by Python while it is compiled (5 to 10 s): with the loops that are compiled, on the user's compiled
functions, so that the switch, between two stretches, shows in no bit.
"""

import functools
import os
import types

import numpy as np

from fastopt import background
from fastopt.algorithms import calls
from fastopt.algorithms.methods import SOLVERS
from fastopt.kernels.language.compile import entry
from fastopt.kernels.language.table import arguments
from fastopt.kernels.minimization import vectors
from fastopt.kernels.minimization.calls import DATA, EVALUATE, PRODUCT, SECOND, VALUE
from fastopt.kernels.minimization.solvers import solver_entry
from fastopt.native import address

_asked: set = set()  # with the process: a child of a fork asks anew
_compiled: dict = {}


def when_compiled(*key):
    """The kernel of (method, dtype), or None while it is compiled, which this starts."""
    asked = os.getpid(), *key
    if asked not in _asked:
        _asked.add(asked)
        background.submit(lambda: _compiled.setdefault(key, solver_entry(*key)))
    return _compiled.get(key)


class Beginning:
    """A solver(addresses, x, g, bounds, head, work): the text, until `compiled` finds the kernel."""

    def __init__(self, method, problem, kernels):
        """kernels: [(place among the addresses, kernel, number of integers)] of the wrappers (user.py)."""
        self._key, self._solver = (method, problem.element.name), solver_text(method)
        self._wrappers = {
            place: functools.partial(entry(kernel, problem, *arguments(integers)), None)
            for place, kernel, integers in kernels
        }

    def compiled(self):
        return when_compiled(*self._key)

    def __call__(self, addresses, x, g, bounds, head, work):
        solver = self.compiled()
        if solver is not None:
            solver(addresses, x, g, bounds, head, work)
            return
        with np.errstate(all="ignore"):
            self._solver(Functions(self._wrappers, addresses[DATA]), x, g, bounds, head, work)


class Functions:
    """What the text calls (algorithms/calls.py): the wrappers, which take addresses."""

    def __init__(self, wrappers, data):
        self._wrappers, self._data = wrappers, data

    def evaluate(self, x, g):
        return self._wrappers[EVALUATE](address(x), address(g), x.size, self._data)

    def value(self, x):
        return self._wrappers[VALUE](address(x), x.size, self._data)

    def hessian(self, x, H, row):
        return self._wrappers[SECOND](address(x), address(H), row, x.size, self._data)

    def product(self, x, v, out):
        self._wrappers[PRODUCT](address(x), address(v), address(out), x.size, self._data)

    def residuals(self, x, r):
        self._wrappers[VALUE](address(x), address(r), x.size, r.size, self._data)

    def jacobian(self, x, r, J):
        self._wrappers[SECOND](address(x), address(r), address(J), x.size, r.size, self._data)


@functools.cache
def solver_text(method):
    """The solver, with the loops of vectors.py in place of NumPy's functions, whose sums have other last bits."""
    copies: dict = {}

    def copied(function):
        if function.__module__ == calls.__name__:
            return function
        if function.__module__ == "fastopt.algorithms.vectors":
            return getattr(vectors, function.__name__, function)
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
