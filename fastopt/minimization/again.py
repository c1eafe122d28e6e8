"""A compiled problem that is solved once more from another start: all that the start does not change is kept.

Of a call of minimize for two variables the arguments' checks, the binding and the arrays of work took three quarters.
"""

import numpy as np

from fastopt.algorithms import differences
from fastopt.algorithms.state import STRETCH
from fastopt.minimization.run import run
from fastopt.minimization.sharpening import Sharpening

_MOST = 256  # problems; each keeps its functions alive
_LARGEST = 1 << 18  # bytes of work: with more, the run takes far longer than what is spared
_KEPT: dict = {}  # key -> problems that no thread is using


def key_of(x0, given, limits):
    """What tells two calls of minimize apart, but for the numbers in x0; None where nothing is kept.

    given: the functions, the method, the memory; limits: a tuple, or None.
    """
    if type(x0) is not np.ndarray or x0.ndim != 1 or not x0.size:
        return None
    if limits is None:
        return given, x0.size, x0.dtype.char
    return given, x0.size, x0.dtype.char, limits, tuple(map(type, limits))  # True equals 1.0


def take(key):
    """A problem that is free, or None."""
    try:
        return _KEPT[key].pop()
    except (KeyError, IndexError, TypeError):  # TypeError: a key with something that has no hash
        return None


def give(key, problem):
    """Put a problem where the next call finds it, unless it is large."""
    free = _KEPT.get(key)
    if free is not None:
        free.append(problem)
    elif problem.work.nbytes <= _LARGEST:
        if len(_KEPT) >= _MOST:
            _KEPT.clear()
        _KEPT[key] = [problem]


class Again:
    """A compiled engine, and the head as it is before a run.

    Python reads and writes the head as memoryviews here, in a third of an array's time.
    """

    def __init__(self, engine, head, x):
        self.engine, self.head, self.stretch = engine, head.copy(), 1.0
        self.template, self.numbers = head.copy().data, self.head.data
        self.work, self.dtype, self.open = engine.work, x.dtype, np.empty((2, 0), x.dtype)
        bound = engine.bound
        self.block, (_, _, self.near) = bound.data(x, (), None, engine.sizes)
        self.entry, self.functions = bound.solver(engine.begins), (*bound.addresses, self.block.ctypes.data)

    def __call__(self, x0):
        """(status, x, g, head, engine) of a run from x0."""
        x = x0.astype(self.dtype, "C")
        g = x.copy()  # empty_like takes longer
        engine, numbers = self.engine, self.numbers
        if engine.begins:
            self.entry = engine.bound.solver(True)
            engine.begins = hasattr(self.entry, "compiled")
        entry, functions, bounds, head, work = self.entry, self.functions, self.open, self.head, self.work
        numbers[:] = self.template
        if engine.sizes is not None:
            self.near[2] = differences.sizes(x)
            if engine.sharpening is not None:
                engine.sharpening = Sharpening(self.near[2], numbers, engine.sharpening.maxfev)

        def solve():
            entry(functions, x, g, bounds, head, work)

        status = run(solve, x, numbers, work, compiled=True, step=self.stretch, sharpen=engine.sharpening)
        self.stretch = numbers[STRETCH]  # so many iterations are known to be short
        return status, x, g, numbers, engine
