"""A solver's text run by Python while it is compiled (5 to 10 s): with the loops that are compiled, on the user's compiled
functions, so that the switch, between two stretches, shows in no bit.
"""

import functools

import numpy as np

from fastopt import background
from fastopt.algorithms.text import solver_text
from fastopt.kernels.language.compile import entry
from fastopt.kernels.language.table import arguments
from fastopt.kernels.minimization.calls import DATA, EVALUATE, PRODUCT, SECOND, VALUE
from fastopt.kernels.minimization.solvers import solver_entry
from fastopt.native import address


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
        """The kernel, or None while it is compiled, which this starts."""
        return background.made(solver_entry, *self._key)

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
