"""A solver over Python functions: its text at first, which needs no Numba, then the compiled one, with the same bits."""

from typing import Any

import numpy as np

from fastopt import background
from fastopt.algorithms.state import RUNNING, STATUS, STRETCH
from fastopt.algorithms.text import solver_text

_FEW = 4  # iterations by the text between two looks at whether the solver is compiled


def ready(method, dtype):
    """What Run needs is compiled: not before anyone has asked for it is Numba loaded."""
    from fastopt.kernels.minimization import python

    python.ready(method, dtype)
    return python.Run


class Called:
    """The solver of a method over Python functions.

    functions: what the solver's text calls (algorithms/calls.py). begins: the text will do until the solver is compiled.
    """

    def __init__(self, method, functions, x, g, bounds, head, work, begins):
        self._method, self._dtype = method, x.dtype.name
        self._run: Any = None
        self._given = functions, x, g, bounds, head, work
        self._go_over(background.made(ready, method, self._dtype) if begins else ready(method, self._dtype))

    def _go_over(self, run):
        if run is not None:
            self._run = run(self._method, *self._given)

    def __call__(self):
        if self._run is None and self._begin():
            return
        self._run()

    def _begin(self):
        """A few iterations after the other by the text; False where the solver is compiled before the stretch is over."""
        head, text = self._given[4], solver_text(self._method)
        left = head[STRETCH]
        while left > 0:
            head[STRETCH] = min(left, _FEW)
            left -= _FEW
            with np.errstate(all="ignore"):
                text(*self._given)
            if head[STATUS] != RUNNING:
                return True
            self._go_over(background.made(ready, self._method, self._dtype))
            if self._run is not None:
                break
        head[STRETCH] = left
        return not left > 0
