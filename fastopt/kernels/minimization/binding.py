"""A solver and a user's functions, compiled and bound: what minimize calls."""

import functools

import numpy as np
from numba.core import types

from fastopt.algorithms.methods import SOLVERS
from fastopt.kernels.language.compile import entry, kernel
from fastopt.kernels.language.memory import native_address
from fastopt.kernels.minimization import user
from fastopt.kernels.minimization.arguments import DATA, DATA_ARGUMENTS, DATA_NEARBY, DATA_ROW, storer, typed
from fastopt.kernels.minimization.beginning import Beginning
from fastopt.kernels.minimization.calls import checked_call, start_of
from fastopt.kernels.minimization.solvers import solver_entry

EMPTY = types.Tuple(())


def jac_mode(functions, jac, arguments):
    """How the derivative is given: see user.Problem."""
    if jac is True:
        return "both"
    if jac == "complex":
        return "complex"
    jac = functions.get("jac")
    if jac is None:
        return "none"
    return "into" if jac_fills(jac, arguments) else "given"


def jac_fills(jac, arguments):
    """Whether a jac takes the array to fill as its last argument."""
    return jac.py_func.__code__.co_argcount - len(jac.py_func.__defaults__ or ()) == arguments + 2


def needed_kernels(method):
    """[(place in the table, kernel, number of integers)] for a method."""
    needs = SOLVERS[method].needs
    if needs == "value":
        return [(0, user.value_at, 3)]
    if needs == "residuals":
        return [(0, user.residuals_at, 5), (2, user.jacobian_at, 6)]
    found = [(1, user.evaluate_at, 4)]
    if needs == "hessian":
        found.append((2, user.hessian_at, 5))
    if needs == "product":
        found.append((3, user.product_at, 5))
    return found


class Bound:
    """A solver with its functions: entries of compiled code and addresses."""

    def __init__(self, method, problem, addresses):
        self.method, self.problem, self.addresses, self._beginning = method, problem, addresses, None
        self.store = storer(problem.args) if len(problem.args) else None

    def solver(self, begins):
        """The solver(addresses, x, g, bounds, head, work); begins: one that begins before it is compiled will do."""
        if not begins:
            return solver_entry(self.method, self.problem.element.name)
        if self._beginning is None:
            self._beginning = Beginning(self.method, self.problem, needed_kernels(self.method))
        return self._beginning.compiled() or self._beginning

    def stored(self, args):
        """The arguments in memory: an array to keep, and its address (0 where there are none)."""
        if self.store is None:
            return None, 0
        buffer = np.empty(self.store(args, 0), np.uint8)
        self.store(args, buffer.ctypes.data)
        return buffer, buffer.ctypes.data

    def data(self, x, args, low_high, sizes):
        """What the wrappers' data points to, and what must be kept alive with it."""
        buffer, where = self.stored(args)
        near = np.empty((3, x.size), x.dtype)
        if sizes is not None:
            near[:2] = ((-np.inf,), (np.inf,)) if low_high is None else low_high
            near[2] = sizes
        return self.block(where, near), (buffer, args, near)

    @staticmethod
    def block(arguments, near):
        """The int64 numbers that the wrappers' data points to."""
        block = np.zeros(DATA, np.int64)
        block[DATA_ARGUMENTS], block[DATA_NEARBY] = arguments, near.ctypes.data
        return block

    @staticmethod
    def row(block):
        return int(block[DATA_ROW])

    def solve(self, x, g, low_high, head, work, args, sizes, rule=None, begins=False):
        """A function without arguments that runs the solver for a stretch, and what data() keeps near.

        sizes: of x's entries, where there are differences to take, else None. rule: of descent, its CompiledSteps. begins: see `solver`.
        """
        data, kept = self.data(x, args, low_high, sizes)
        near = kept[-1]
        bounds = np.empty((2, 0), x.dtype) if low_high is None else low_high
        given = (*self.addresses, data.ctypes.data), x, g, bounds, head, work
        if rule is not None:
            from fastopt.kernels.minimization.descent import descent_entry

            entry = descent_entry(x.dtype.name)
            return (lambda kept=(data, kept): rule.run(entry, given, head)), near

        solver = self.solver(begins)

        def call(kept=(data, kept)):
            solver(*given)

        return call, near

    def count_residuals(self, x, args):
        """m, from one call at x."""
        r = self.problem.function("fun")(x.copy(), *args)
        if getattr(r, "ndim", None) != 1 or r.size == 0:
            raise TypeError("residual must return an array of one dimension, at least one number")
        return r.size


def bind(method, names, functions, jac, dtype, args, rows=None):
    """The solver bound to dispatchers `functions` called `names`; rows: which arguments have a row a problem.

    Raises TypeError where they do not compile.
    """
    return _bind(method, names, functions, jac, dtype, typed(args) if args else None, rows)


@functools.lru_cache(maxsize=256)
def _bind(method, names, functions, jac, dtype, args, rows=None):
    """The cache keeps the functions alive, and their addresses good."""
    args = EMPTY if args is None else args
    given = dict(zip(names, functions, strict=True))
    reference = user.reference(given)
    mode = jac_mode(given, jac, len(args))
    rows = (False,) * len(args) if rows is None else rows
    fixed = any(not f._can_compile for f in functions)
    error = None
    for mutable in (True,) if fixed else (False, True):
        problem = user.Problem(reference, dtype, args, rows, mode, mutable)
        try:
            addresses = [0, 0, 0, 0]
            for place, kernel, integers in needed_kernels(method):
                addresses[place] = native_address(kernel, problem, integers)
            return Bound(method, problem, addresses)
        except Exception as caught:  # Numba raises others than its own as well
            error = caught
    first = functions[0].py_func.__qualname__
    raise TypeError(
        f"{first} or one of its derivatives does not compile for x of {dtype} and arguments {args}: {error}"
    ) from error


@kernel
def value_rows(address, X, F, data):
    """F[k] = the value at row k, NaN as inf."""
    for k in range(X.shape[0]):
        f = checked_call(address, (start_of(X[k]), X.shape[1], data))
        F[k] = f if f == f else np.inf
    return 0


def row_values(fun, args):
    """f(X) -> values of all rows of a float64 X, without the GIL."""
    bound = bind("nelder-mead", ("fun",), (fun,), None, "float64", args)
    buffer, where = bound.stored(args)
    f8, i8 = types.float64, types.int64
    call = entry(value_rows, i8, types.Array(f8, 2, "C"), types.Array(f8, 1, "C"), i8)

    def values(X, kept=(buffer, args)):
        X = np.ascontiguousarray(X, np.float64)
        data = bound.block(where, np.empty((3, X.shape[1])))
        F = np.empty(len(X))
        call(bound.addresses[0], X, F, data.ctypes.data)
        return F

    return values
