"""fo.jit.minimize: the solvers called from a user's own compiled code.

The wrappers of the user's functions are compiled into his library and their addresses taken there, and
the solver is an ordinary call: nothing in his code is a number that another process would not know, so
@njit(cache=True) works. A dispatcher that is an argument of an inlined overload leaves no trace in the code.
"""

from collections import namedtuple

import numpy as np
from llvmlite import ir
from numba.core import cgutils, types
from numba.core.errors import TypingError
from numba.core.registry import cpu_target
from numba.extending import intrinsic, overload

from fastopt.algorithms import state
from fastopt.algorithms.methods import METHODS
from fastopt.kernels.language.memory import write
from fastopt.kernels.minimization import arguments as stored
from fastopt.kernels.minimization import user
from fastopt.kernels.minimization.calls import FUNCTIONS, start_of
from fastopt.kernels.minimization.solvers import solver_kernel
from fastopt.kernels.minimization.spans import bounds_of, span_of

Minimum = namedtuple("Minimum", "x fun status nit nfev optimality")

NAMES = ("bfgs", "lbfgs", "newton", "nelder-mead", "lm")
MEMORY = 10
BY_PYTHON: list = []  # fo.minimize, for calls that are not compiled: set by fastopt/jit.py, which stands above it


def workspace(n, method="bfgs", rows=0):
    """A float64 array for the `work` of minimize: for problems of n parameters (and m = rows residuals)."""
    if method not in NAMES:
        raise ValueError(f"method must be one of {', '.join(NAMES)}, not {method!r}")
    if n < 1 or rows < 0:
        raise ValueError(f"n must be at least 1 and rows at least 0, not {n} and {rows}")
    return np.empty(state.HEAD + stored.DATA + 5 * n + METHODS[method].size(n, MEMORY, rows))


@overload(workspace, prefer_literal=True)
def _workspace(n, method="bfgs", rows=0):
    size = METHODS[_method(method)].size
    fixed = state.HEAD + stored.DATA

    def make(n, method="bfgs", rows=0):
        return np.empty(fixed + 5 * n + size(n, MEMORY, rows))

    return make


def minimize(fun, x0, jac=None, hess=None, args=(), method="bfgs", gtol=-1.0, maxiter=1000, work=None):
    """Minimize fun(x, *args) from x0, a float64 array, inside @njit code, prange loops and cached functions too.

    fun, jac, hess: functions compiled by numba.njit that the code names (globals, not arguments); jac(x, *args)
        returns the gradient, or fills it: jac(x, *args, out); None: differences. One that has a signature of its own or
        writes into x gets a copy (which is allocated). method: a literal: "bfgs",
        "lbfgs", "newton", "nelder-mead" or "lm" (fun returns residuals).
    gtol: as in fo.minimize, the method's own where it is negative. work: from fo.jit.workspace(n, method): nothing
        is allocated then, and x of the result lies in it until the next call (copy what you keep).
    Returns Minimum(x, fun, status, nit, nfev, optimality) with the statuses of fo.minimize (0 to 4: success).
    """
    what = {"residual": fun} if method == "lm" else {"fun": fun, "method": method}
    gtol = None if gtol < 0 else gtol
    r = BY_PYTHON[0](x0=x0, args=args, jac=jac, hess=hess, gtol=gtol, maxiter=maxiter, **what)
    return Minimum(r.x, r.fun, r.status, r.nit, r.nfev, r.get("optimality", np.nan))


def _method(method):
    name = getattr(method, "literal_value", getattr(method, "value", method))
    if name not in NAMES:
        raise TypingError(f"fo.jit.minimize: method must be one of {', '.join(NAMES)}, as a literal")
    return name


def _dispatcher(t):
    return t.dispatcher if isinstance(t, types.Dispatcher) else None


def _problem(method, fun, jac, hess, args):
    """The type of these functions; args: a tuple type."""
    functions = {"fun": _dispatcher(fun), "jac": _dispatcher(jac), "hess": _dispatcher(hess)}
    from fastopt.kernels.minimization.binding import jac_mode

    given = {name: f for name, f in functions.items() if f is not None}
    mode = jac_mode(given, None, len(args))
    args = types.Tuple(tuple(types.unliteral(a) for a in args))
    mutable = _x_of(fun, jac, hess, tuple(args), 2 if method == "lm" else 1).mutable
    return user.Problem(user.reference(given), "float64", args, (False,) * len(args), mode, mutable)


@intrinsic(prefer_literal=True)
def addresses(typing, method, fun, jac, hess, args, data):
    """The five addresses that a solver takes, of wrappers linked into this code."""
    from fastopt.kernels.minimization.binding import needed_kernels

    problem = _problem(method.literal_value, fun, jac, hess, args)
    results = {}
    for place, kernel, integers in needed_kernels(method.literal_value):
        given = (problem, *[types.int64] * integers)
        kernel.compile(given)
        results[place] = kernel.overloads[given]
    result = types.UniTuple(types.int64, FUNCTIONS)

    def codegen(context, builder, signature, values):
        integer = ir.IntType(64)
        items = [ir.Constant(integer, 0)] * FUNCTIONS
        for place, compiled in results.items():
            context.add_linking_libs([compiled.library])
            function = context.declare_function(builder.module, compiled.fndesc)
            items[place] = builder.ptrtoint(function, integer)
        items[-1] = values[-1]
        return context.make_tuple(builder, result, items)

    return result(method, fun, jac, hess, args, types.int64), codegen


@intrinsic
def on_stack(typing, args):
    """The address of a copy of a tuple on this function's stack; 0 for the empty one."""

    def codegen(context, builder, signature, values):
        if len(args) == 0:
            return ir.Constant(ir.IntType(64), 0)
        value = stored.without_owners(context, builder, args, values[0])
        return builder.ptrtoint(cgutils.alloca_once_value(builder, value), ir.IntType(64))

    return types.int64(args), codegen


def _check(name, fun, x0, jac, hess, args, gtol, maxiter, work):
    """TypingError that says which argument does not fit. What stands in an intrinsic's error Numba does not show."""
    for what, f in (("fun", fun), ("jac", jac), ("hess", hess)):
        if not (isinstance(f, types.Dispatcher) or what != "fun" and _left_out(f)):
            raise TypingError(
                f"fo.jit.minimize: {what} must be a compiled function that the code names, not {f}"
            )
    if not (isinstance(x0, types.Array) and x0.ndim == 1 and isinstance(x0.dtype, REAL)):
        raise TypingError(f"fo.jit.minimize: x0 must be an array of one dimension of real numbers, not {x0}")
    if not (_left_out(args) or isinstance(args, types.BaseTuple)):
        raise TypingError(f"fo.jit.minimize: args must be a tuple, as (a,), not {args}")
    for what, number in (("gtol", gtol), ("maxiter", maxiter)):
        if not (_left_out(number) or isinstance(types.unliteral(number), REAL)):
            raise TypingError(f"fo.jit.minimize: {what} must be a number, not {types.unliteral(number)}")
    if not (_left_out(work) or work == types.Array(types.float64, 1, "C")):
        raise TypingError(f"fo.jit.minimize: work must be an array from fo.jit.workspace, not {work}")
    given = () if _left_out(args) else tuple(types.unliteral(a) for a in args)
    ends = 2 if name == "lm" else 1
    given = (_x_of(fun, jac, hess, given, ends), *given)
    _check_returned("fun", fun, given, "a number" if ends == 1 else "an array of one dimension", ends - 1)
    if isinstance(jac, types.Dispatcher):
        of_jac = _arguments_of_jac(jac, given, ends)
        _check_returned(
            "jac", jac, of_jac, f"an array of dimension {ends}", ends if of_jac == given else None
        )
    if isinstance(hess, types.Dispatcher):
        _check_returned("hess", hess, given, "an array of 2 dimensions", 2)


REAL = (types.Float, types.Integer, types.Boolean)


def _left_out(given):
    return not isinstance(given, types.Type) or isinstance(given, (types.Omitted, types.NoneType))


def _arguments_of_jac(jac, given, ends):
    """One that fills an array gets it behind the others."""
    from fastopt.kernels.minimization.binding import jac_fills

    fills = jac_fills(jac.dispatcher, len(given) - 1)
    return (*given, types.Array(types.float64, ends, "C")) if fills else given


def _returned(function, given):
    found = cpu_target.typing_context.resolve_function_type(function, given, {})
    if found is None:
        raise TypingError("its signature is another one")
    return found.return_type


def _x_of(fun, jac, hess, args, ends):
    """The type of x for these functions: without leave to write, or a copy where one writes or has a signature of its own."""
    for readonly in (True, False):
        x = types.Array(types.float64, 1, "C", readonly=readonly)
        try:
            for f in (fun, jac, hess):
                if isinstance(f, types.Dispatcher):
                    _returned(f, _arguments_of_jac(f, (x, *args), ends) if f is jac else (x, *args))
            break
        except Exception:
            continue
    return x


def _check_returned(what, function, given, needed, ndim):
    """ndim: of what it must return, 0 for a number, None for whatever."""
    try:
        returned = _returned(function, given)
    except Exception as error:  # Numba raises others than its own as well
        of = ", ".join(map(str, given))
        raise TypingError(
            f"fo.jit.minimize: {what} does not compile for the arguments ({of}): {error}"
        ) from error
    found = returned.ndim if isinstance(returned, types.Array) else 0 if isinstance(returned, REAL) else -1
    if ndim is not None and found != ndim:
        raise TypingError(f"fo.jit.minimize: {what} must return {needed}, not {returned}")


def taken(work, needed):
    raise NotImplementedError


@overload(taken)
def _taken(work, needed):
    """A function of its own: with a second way out of its body a prange loop would not run in parallel."""

    def take(work, needed):
        if work.size < needed:
            raise ValueError(
                "fo.jit.minimize: work is too small for n and method: fo.jit.workspace(n, method, rows) makes it"
            )
        return work

    return take


@overload(minimize, inline="always", prefer_literal=True)
def _minimize(fun, x0, jac=None, hess=None, args=(), method="bfgs", gtol=-1.0, maxiter=1000, work=None):
    name = _method(method)
    _check(name, fun, x0, jac, hess, args, gtol, maxiter, work)
    residuals, numeric = name == "lm", not isinstance(jac, types.Dispatcher)
    own_work = isinstance(work, types.Array)
    solver, kind = solver_kernel(name), METHODS[name]
    default, ftol, xtol, follows = kind.gtol, kind.ftol, kind.xtol, kind.follows_start
    head_size, data_size, size = state.HEAD, stored.DATA, kind.size
    eps = float(np.finfo(np.float64).eps)

    def run(fun, x0, jac=None, hess=None, args=(), method="bfgs", gtol=-1.0, maxiter=1000, work=None):
        n = x0.size
        rows = fun(x0, *args).size if residuals else 0
        needed = head_size + data_size + 5 * n + size(n, MEMORY, rows)
        space = taken(work, needed) if own_work else np.empty(needed)
        head, block = space[:head_size], space[head_size : head_size + data_size]
        rest = space[head_size + data_size :]
        near, x, g = rest[: 3 * n].reshape(3, n), rest[3 * n : 4 * n], rest[4 * n : 5 * n]
        head[:] = 0.0
        if follows and gtol < 0:
            head[state.ENOUGH] = default
        prepare(head, near, x0, x, gtol if gtol >= 0 else default, ftol, xtol, maxiter, rows, eps, numeric)
        where = start_of(block)
        write(where, stored.DATA_ARGUMENTS, on_stack(args))
        write(where, stored.DATA_NEARBY, start_of(near))
        functions = addresses(name, fun, jac, hess, args, where)
        spans = span_of(x), span_of(g), bounds_of(near[:0]), span_of(head), span_of(rest[5 * n :])
        solver(functions, *spans)
        return Minimum(
            x, head[state.F], int(head[state.STATUS]), int(head[state.ITERATIONS]), int(head[state.EVALUATIONS]),
            head[state.NORM],
        )  # fmt: skip

    return run


def prepare(head, near, x0, x, gtol, ftol, xtol, maxiter, rows, eps, numeric):
    raise NotImplementedError


@overload(prepare)
def _prepare(head, near, x0, x, gtol, ftol, xtol, maxiter, rows, eps, numeric):
    def fill(head, near, x0, x, gtol, ftol, xtol, maxiter, rows, eps, numeric):
        head[state.STATUS], head[state.STRETCH] = state.NEW, 1e18
        head[state.GTOL], head[state.FTOL], head[state.XTOL] = gtol, ftol, xtol
        head[state.TARGET], head[state.MAX_ITERATIONS] = -np.inf, maxiter
        head[state.MAX_EVALUATIONS], head[state.MEMORY] = np.inf, MEMORY
        head[state.ROWS], head[state.EPS] = rows, eps
        for i in range(x0.size):
            x[i] = x0[i]
            size = abs(x0[i])
            near[0, i], near[1, i] = -np.inf, np.inf
            near[2, i] = size if 0.0 < size < np.inf else 1.0

    return fill


# User code may be the first to import this module, while Numba types it: it learns of overloads at a refresh.
cpu_target.typing_context.refresh()
