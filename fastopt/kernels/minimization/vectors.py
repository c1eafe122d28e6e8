"""fastopt/algorithms/loops.py in place of vectors.py, for compiled solvers."""

import types

from numba.extending import overload, register_jitable

from fastopt.algorithms import loops, vectors
from fastopt.kernels.minimization.spans import span_part


def _register(source, function):
    """Numba wants the arguments' names to agree."""
    names = source.__code__.co_varnames[: source.__code__.co_argcount]
    assert names == function.__code__.co_varnames[: len(names)]
    scope = {"function": function}
    exec(f"def choose({', '.join(names)}): return function", scope)
    overload(source)(scope["choose"])


for _name, _function in list(vars(loops).items()):
    if isinstance(_function, types.FunctionType):
        if hasattr(vectors, _name):
            _register(getattr(vectors, _name), _function)
        else:
            register_jitable(_function)


@overload(vectors.part)
def _part(a, begin, size):
    """Not for Python, whose arrays have slices."""
    return lambda a, begin, size: span_part(a, begin, size)
