"""A user's Python functions behind a compiled solver: one C callback that the wrappers' addresses lead to.

An evaluation of two variables by L-BFGS took some 100 us while the solver's text was run by Python, of which the function was 10.
"""

import ctypes
import functools

import numpy as np
from llvmlite import ir
from numba.core import types
from numba.extending import intrinsic, register_jitable

from fastopt.algorithms.methods import SOLVERS
from fastopt.kernels.language.compile import kernel
from fastopt.kernels.language.memory import element_type, native_address, write
from fastopt.kernels.minimization.arguments import read_integer
from fastopt.kernels.minimization.calls import EVALUATE, PRODUCT, SECOND, VALUE
from fastopt.kernels.minimization.solvers import solver_entry

# The int64 numbers that the wrappers' data points to: the callback, whether it has not answered, and what it is asked:
# which function, and six integers, addresses and sizes.
CALLBACK, FAILED, ASKED = range(3)
_NUMBERS = 7


@intrinsic
def call_c(typing, address):
    """double f(int64) at an address."""

    def codegen(context, builder, signature, args):
        kind = ir.FunctionType(ir.DoubleType(), [ir.IntType(64)])
        return builder.call(builder.inttoptr(args[0], kind.as_pointer()), [ir.Constant(ir.IntType(64), 0)])

    return types.float64(types.int64), codegen


@register_jitable
def ask(data, integers):
    for i in range(_NUMBERS):
        write(data, ASKED + i, integers[i])
    write(data, FAILED, types.int64(1))
    value = call_c(read_integer(data, CALLBACK))
    if read_integer(data, FAILED) != 0:
        raise RuntimeError("a Python function raised")
    return value


@kernel
def value_of(h, x, n, data):
    return ask(data, (VALUE, x, n, 0, 0, 0, 0))


@kernel
def evaluate_of(h, x, g, n, data):
    return ask(data, (EVALUATE, x, g, n, 0, 0, 0))


@kernel
def hessian_of(h, x, H, row, n, data):
    return ask(data, (SECOND, x, H, row, n, 0, 0))


@kernel
def product_of(h, x, v, out, n, data):
    return ask(data, (PRODUCT, x, v, out, n, 0, 0))


@kernel
def residuals_of(h, x, r, n, m, data):
    return ask(data, (VALUE, x, r, n, m, 0, 0))


@kernel
def jacobian_of(h, x, r, J, n, m, data):
    return ask(data, (SECOND, x, r, J, n, m, 0))


# By what a solver needs: the place in the table, the wrapper, its number of integers.
_WRAPPERS = {
    "value": [(VALUE, value_of, 3)],
    "gradient": [(EVALUATE, evaluate_of, 4)],
    "hessian": [(EVALUATE, evaluate_of, 4), (SECOND, hessian_of, 5)],
    "product": [(EVALUATE, evaluate_of, 4), (PRODUCT, product_of, 5)],
    "residuals": [(VALUE, residuals_of, 5), (SECOND, jacobian_of, 6)],
}
_Callback = ctypes.CFUNCTYPE(ctypes.c_double, ctypes.c_int64)


@functools.cache
def ready(method, dtype):
    """The compiled solver, and the addresses of what it needs."""
    addresses = [0, 0, 0, 0]
    for place, wrapper, integers in _WRAPPERS[SOLVERS[method].needs]:
        addresses[place] = native_address(wrapper, element_type(dtype), integers)
    return solver_entry(method, dtype), addresses


class Run:
    """A stretch of the compiled solver of a method over Python functions, a call."""

    def __init__(self, method, functions, x, g, bounds, head, work):
        self._functions, self._given, self._error = functions, (x, g, bounds, head, work), None
        self._views, self._bases = {}, [(a.ctypes.data, a) for a in (x, g, work)]
        self._data = np.zeros(ASKED + _NUMBERS, np.int64)
        self._solver, addresses = ready(method, x.dtype.name)
        self._addresses = *addresses, self._data.ctypes.data
        # functions, since methods that are kept would be a circle
        kinds = {"value": Run._value, "residuals": Run._squares}
        self._call = kinds.get(SOLVERS[method].needs, Run._derivatives)

    def __call__(self):
        with np.errstate(all="ignore"):
            answers = self._answers()
            next(answers)
            # not kept, since it would hold the arrays in a circle, as ctypes.cast does
            callback = _Callback(answers.send)
            self._data[CALLBACK] = ctypes.c_void_p.from_buffer(callback).value
            try:
                self._solver(self._addresses, *self._given)
            except RuntimeError:
                if not self._data[FAILED]:
                    raise
                error, self._error = self._error, None
                raise KeyboardInterrupt if error is None else error from None

    def _answers(self):
        """What the callback gives. What is raised cannot go through C: it is kept, and goes on from __call__.

        A generator, since a Ctrl-C during compiled code is raised where Python goes on: that is inside `try` here, and before
        the first line of a function, where ctypes would print it and go on.
        """
        numbers, value = self._data.data, 0.0
        while True:
            try:
                while True:
                    yield value
                    value = self._call(self, *numbers[ASKED:].tolist())
                    if value is None:
                        value = 0.0
                    numbers[FAILED] = 0
            except GeneratorExit:
                return
            except BaseException as error:
                self._error, value = error, 0.0

    def _view(self, address, size):
        """The part of x, g or work that is there."""
        key = address, size
        view = self._views.get(key)
        if view is None:
            for begin, base in self._bases:
                if begin <= address < begin + base.nbytes:
                    first = (address - begin) // base.itemsize
                    view = self._views[key] = base[first : first + size]
                    break
        return view

    def _value(self, which, x, n, *_):
        return self._functions.value(self._view(x, n))

    def _derivatives(self, which, x, a, b, c, *_):
        functions, view = self._functions, self._view
        if which == EVALUATE:
            return functions.evaluate(view(x, b), view(a, b))
        if which == PRODUCT:
            return functions.product(view(x, c), view(a, c), view(b, c))
        return functions.hessian(view(x, c), view(a, c * c), b)

    def _squares(self, which, x, r, a, b, c, *_):
        functions, view = self._functions, self._view
        if which == VALUE:
            return functions.residuals(view(x, a), view(r, b))
        return functions.jacobian(view(x, b), view(r, c), view(a, b * c))
