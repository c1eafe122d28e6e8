"""fo.minimize: one problem, by any of the solvers."""

import functools
import math
from collections.abc import Callable

import numpy as np

from fastopt.algorithms import differences, state
from fastopt.algorithms.methods import DESCENT, METHODS, method_name
from fastopt.algorithms.state import EVALUATIONS, ITERATIONS, NORM, F
from fastopt.arrays import checked_number
from fastopt.engines import choose
from fastopt.minimization import again
from fastopt.minimization.called import Called
from fastopt.minimization.descent import CompiledSteps, by_rule, compiles
from fastopt.minimization.problem import (
    Functions,
    bounds_array,
    checked_function,
    compiled_arguments,
    limit,
    start_point,
)
from fastopt.minimization.result import make_result
from fastopt.minimization.run import checked_callback, run
from fastopt.minimization.sharpening import Sharpening
from fastopt.rules import checked

DTYPES = {"f": "float32", "d": "float64"}  # dtype.name takes 2 us
FEW = 4096  # numbers of work up to which a run begins in Python while its solver is compiled
EPS = {"f": float(np.finfo(np.float32).eps), "d": float(np.finfo(np.float64).eps)}


def minimize(
    fun=None,
    x0=None,
    args=(),
    *,
    jac=None,
    hess=None,
    hessp=None,
    residual=None,
    method=None,
    bounds=None,
    gtol=None,
    ftol=None,
    xtol=None,
    target=None,
    maxiter=None,
    maxfev=None,
    seconds=None,
    memory=10,
    callback=None,
    rule=None,
    schedules=None,
    perturb=0.0,
    seed=0,
):
    """Minimize fun(x, *args) from x0 by a solver; returns SciPy's OptimizeResult for the best point seen.

    fun: a Python function or one compiled by numba.njit, of a 1-D array; returns a number. Where all that is
        given is compiled, the whole run is, without one call of Python between; the compiled solver calls Python functions
        back. Small problems in float64 begin in Python, with the same bits, where the solver has yet to be compiled.
    x0: (n,); float32 stays float32, everything else is float64.
    jac: gradient (n,), a function; True: fun returns (value, gradient); None: differences inside the
        bounds, central ones at the end. A compiled jac may fill an array instead: jac(x, *args, out).
    hess, hessp: Hessian (n, n) and its product with a vector hessp(x, v, *args), for "newton" and "newton-cg".
    residual: for "lm": residual(x, *args) -> (m,), of which half the sum of squares is minimized; jac is
        then its Jacobian (m, n), None or "complex" (by the complex step).
    method: "lbfgs" (default), "bfgs", "newton", "newton-cg", "nelder-mead", "lm".
    bounds: SciPy's Bounds or n pairs (low, high), None for an open end; "lbfgs", "nelder-mead" and "lm".
    gtol: the largest entry of the gradient (projected to the bounds) that counts as 0; for "lm" the cosine
        between residuals and columns. By default 1e-5 (float32: 1e-3), times the largest entry at x0 where that is
        below 1, so that units do not matter, unless rounding ends the run before. ftol, xtol: relative changes of a step that end the run (0: never).
    target: a value that is good enough. maxiter, maxfev, seconds: limits (200 n + 1000 iterations).
    memory: pairs that "lbfgs" keeps, at most 2 n + 2 of them.
    rule: an update rule such as fo.Adam(lr=0.1): gradient descent by it instead of a solver, with its schedules
        {"lr": fo.schedules.Cosine(...)}; bounds by projection.
    perturb: where the gradient has vanished, move by a random vector of this length (from `seed`) and go on; the
        lower end is returned. It leaves saddles.
    callback(intermediate_result) or callback(x) after each iteration; StopIteration ends the run.

    Result: x, fun, jac (the gradient at x), success, status, message, nit, nfev, njev, nhev, and optimality,
    the largest entry of the gradient at x. success is true only where a test of convergence holds at x. Ctrl-C
    returns the best point too. Exceptions of fun go to the caller.
    Raises ValueError or TypeError, naming the argument, before fun is called.
    """
    args = args if type(args) is tuple else (args,)
    key = None
    if callback is bounds is rule is schedules is seconds is residual is None and not args and not perturb:
        limits = None
        if not gtol is ftol is xtol is target is maxiter is maxfev is None:
            limits = gtol, ftol, xtol, target, maxiter, maxfev
        key = again.key_of(x0, (fun, jac, hess, hessp, method, memory), limits)
        known = again.take(key)
        if known is not None:
            result = _result(*known(x0))
            again.give(key, known)
            return result
    given = dict(jac=jac, hess=hess, hessp=hessp, residual=residual, method=method, bounds=bounds, gtol=gtol,
                 ftol=ftol, xtol=xtol, target=target, maxiter=maxiter, maxfev=maxfev, seconds=seconds,
                 memory=memory, callback=callback, rule=rule, schedules=schedules)  # fmt: skip
    if perturb:
        _what(fun, residual, method, jac, hess, hessp)
        return _perturbed(fun, x0, args, limit(perturb, "perturb", 0.0), seed, given)
    return _minimize(key, fun, x0, args, **given)


def _minimize(key, fun, x0, args, *, jac, hess, hessp, residual, method, bounds, seconds, callback, rule, schedules,
              maxfev, **options):  # fmt: skip
    """A run of what was not kept; key: to keep it by, or None."""
    name, functions = _what(fun, residual, method, jac, hess, hessp)
    rule = _checked_rule(rule, schedules, method)
    x = start_point(x0)
    args = taken(functions, args)
    fast = is_compiled(functions, args) and (rule is None or compiles(rule))
    kind = METHODS[name] if rule is None else DESCENT if fast else by_rule(rule, schedules)
    low_high = bounds_array(bounds, x.size, x.dtype)
    if low_high is not None and not kind.bounds:
        raise ValueError(f'method "{name}" takes no bounds: use "lbfgs", "nelder-mead" or "lm"')
    head = initial_head(kind, x, low_high, **options)
    seconds = None if seconds is None else limit(seconds, "seconds", None)
    callback = checked_callback(callback)
    engine = (Compiled if fast else Plain)(
        kind, name, functions, jac, args, x, low_high, head, rule, schedules
    )
    _limit_evaluations(engine, head, maxfev)
    if engine.numeric and kind.needs == "gradient" and rule is None and x.dtype == np.float64:
        engine.sharpening = Sharpening(engine.sizes, head, limit(maxfev, "maxfev", math.inf))
    head[state.SECOND_COST] = second_cost(kind, functions, jac, x.size)
    keeps = fast and key is not None and kind.needs != "residuals"
    kept = again.Again(engine, head, x) if keeps else None
    status = run(engine.solve, x, head, engine.work, seconds=seconds, callback=callback, compiled=fast,
                 sharpen=engine.sharpening)  # fmt: skip
    if kept is not None:
        again.give(key, kept)
    return _result(status, x, engine.g, head.data, engine)


def _checked_rule(rule, schedules, method):
    if rule is None:
        if schedules:
            raise ValueError("schedules are for a rule: pass rule= too")
        return None
    if method is not None:
        raise ValueError("give method or rule, not both")
    return checked(rule)


def _limit_evaluations(engine, head, maxfev):
    """The limit in calls of the solver, which may cost several evaluations each."""
    maxfev = limit(maxfev, "maxfev", math.inf)
    if not maxfev >= 1:
        raise ValueError(f"maxfev must be at least 1, not {maxfev:g}")
    head[state.MAX_EVALUATIONS] = max(1, maxfev // engine.cost) if maxfev < math.inf else maxfev


def _perturbed(fun, x0, args, length, seed, given):
    """Runs from where the last one ended, moved, until one does not end lower."""
    rng = np.random.default_rng(seed)
    best = minimize(fun, x0, args, **given)
    for _ in range(10):
        if best.status != state.GRADIENT:
            break
        move = rng.standard_normal(best.x.size)
        found = minimize(
            fun, best.x + (length / np.linalg.norm(move)) * move.astype(best.x.dtype), args, **given
        )
        for key in ("nit", "nfev", "njev", "nhev"):
            found[key] += best[key]
        lower = found.fun < best.fun - 1e-9 * max(1.0, abs(best.fun))
        if not lower:
            best.update({key: found[key] for key in ("nit", "nfev", "njev", "nhev")})
            break
        best = found
    return best


def _what(fun, residual, method, jac, hess, hessp):
    """(method, {name: function})."""
    if residual is not None:
        if fun is not None:
            raise ValueError("give fun or residual, not both")
        if method is not None and method_name(method) != "lm":
            raise ValueError('residual= is for method="lm"')
        fun, method = residual, "lm"
    name = "lbfgs" if method is None else method_name(method)
    functions = {"fun": checked_function(fun, "fun" if residual is None else "residual", optional=False)}
    if jac is not None and jac is not True and jac != "complex":
        functions["jac"] = checked_function(jac, "jac")
    for key, f in (("hess", hess), ("hessp", hessp)):
        if f is not None:
            functions[key] = checked_function(f, key)
    if jac == "complex" and name != "lm":
        raise ValueError('jac="complex" is for method="lm"')
    return name, functions


def _target(value):
    if value is None:
        return -math.inf
    number = checked_number(value, "target", "a number or None")
    if math.isnan(number):
        raise ValueError("target is NaN, which no value reaches: None is no target")
    return number


def initial_head(kind, x, low_high, gtol, ftol, xtol, target, maxiter, memory):
    head = np.zeros(state.HEAD)
    default = kind.gtol if x.dtype == np.float64 else max(kind.gtol, 1e-3)
    head[state.GTOL] = limit(gtol, "gtol", default)
    if gtol is None and kind.follows_start:
        head[state.ENOUGH] = default
    least = 4 * EPS[x.dtype.char]  # float32 has no steps of 1e-8
    head[state.FTOL] = limit(ftol, "ftol", max(kind.ftol, least) if kind.ftol else 0.0)
    head[state.XTOL] = limit(xtol, "xtol", max(kind.xtol, least) if kind.xtol else 0.0)
    head[state.TARGET] = _target(target)
    head[state.MAX_ITERATIONS] = limit(maxiter, "maxiter", 200.0 * x.size + 1000)
    head[state.BOUNDED] = low_high is not None
    head[state.EPS] = EPS[x.dtype.char]
    pairs = limit(memory, "memory", 10.0)
    if not 1 <= pairs < math.inf:
        raise ValueError(f"memory must be at least 1, not {memory!r}")
    head[state.MEMORY] = int(pairs)
    return head


def second_cost(kind, functions, jac, n):
    """Evaluations that a Hessian, a product with it, or a Jacobian takes by differences; 0 where it is given."""
    if kind.needs == "residuals":
        return 0 if "jac" in functions else n if jac == "complex" else 2 * n
    if kind.needs == "hessian":
        return 0 if "hess" in functions else 2 * n
    if kind.needs == "product":
        return 0 if "hess" in functions or "hessp" in functions else 2
    return 0


def is_compiled(functions, args):
    """Whether a solver can run without Python: all functions are Numba's, and it takes their arguments."""
    if not all(map(_of_numba, functions.values())):
        return False
    if not args:
        return True
    from fastopt.kernels.minimization.arguments import supported

    return supported(args)


def taken(functions, args):
    """args as these functions take them."""
    return compiled_arguments(args) if args and all(map(_of_numba, functions.values())) else args


def _of_numba(f):
    return hasattr(f, "py_func") and hasattr(type(f), "nopython_signatures")  # the property takes 5 us


class Plain:
    """A solver that calls Python functions: compiled, or its text as it is where Numba is not to be used."""

    sharpening: Sharpening | None = None

    def __init__(self, kind, name, functions, jac, args, x, low_high, head, rule=None, schedules=None):
        if "jac" not in functions and jac in (True, "complex"):
            functions = {**functions, "jac": jac}
        if kind.needs == "residuals":
            functions = {**functions, "residual": functions["fun"]}
        self.kind = kind
        self.functions = Functions(args=args, bounds=low_high, size=differences.sizes(x), **functions)
        rows = self.functions.count_residuals(x) if kind.needs == "residuals" else 0
        head[state.ROWS] = rows
        self.work = np.zeros(kind.size(x.size, int(head[state.MEMORY]), rows), x.dtype)
        self.g = np.zeros_like(x)
        self.numeric = "jac" not in functions
        self.sizes = self.functions.size
        self.cost = 2 * x.size + 1 if self.numeric and kind.needs not in ("value", "residuals") else 1
        bounds = low_high if low_high is not None else np.empty((2, 0), x.dtype)
        given = self.functions, x, self.g, bounds, head, self.work
        self.solve: Callable[[], None]
        if rule is None and choose.resolve() == "numba":
            self.solve = Called(name, *given, begins(self.work))
        else:
            self.solve = functools.partial(_by_text, kind.solver, given)

    def counts(self, head):
        f = self.functions
        return f.nfev, f.njev, f.nhev


def _by_text(solver, given):
    with np.errstate(all="ignore"):
        solver(*given)


def begins(work):
    """Whether a run begins in Python: its loops have the bits of compiled ones in float64, and come to an end on few numbers."""
    return work.size <= FEW and work.dtype == np.float64 and choose.is_auto()


class Compiled:
    """A solver compiled, calling compiled functions by their addresses."""

    sharpening: Sharpening | None = None

    def __init__(self, kind, name, functions, jac, args, x, low_high, head, rule=None, schedules=None):
        from fastopt.kernels.minimization import binding

        n = x.size
        jac = jac if jac in (True, "complex") else None
        name = name if rule is None else "descent"
        self.bound = bound = binding.bind(
            name, tuple(functions), tuple(functions.values()), jac, DTYPES[x.dtype.char], args
        )
        rows = bound.count_residuals(x, args) if kind.needs == "residuals" else 0
        head[state.ROWS] = rows
        self.work = np.empty(kind.size(n, int(head[state.MEMORY]), rows), x.dtype)
        self.g = np.empty_like(x)
        self.numeric = "jac" not in functions and jac is None
        differs = self.numeric or second_cost(kind, functions, jac, n)
        sizes = differences.sizes(x) if differs else None
        self.cost = 2 * n + 1 if self.numeric and kind.needs not in ("value", "residuals") else 1
        self.kind, self.n = kind, n
        steps = None if rule is None else CompiledSteps(rule, schedules, x, self.g)
        self.begins = begins(self.work)
        self.solve, near = bound.solve(x, self.g, low_high, head, self.work, args, sizes, steps, self.begins)
        self.sizes = near[2] if differs else None

    def counts(self, head):
        nfev, needs = int(head[EVALUATIONS]), self.kind.needs
        if needs == "residuals":
            return nfev, int(head[state.GRADIENTS]), 0
        if needs == "value":
            return nfev, 0, 0
        calls = nfev * self.cost if self.sharpening is None else self.sharpening.calls_of(head)
        nhev = 0 if needs == "gradient" else int(head[state.PAIRS if needs == "product" else state.HESSIANS])
        return calls, 0 if self.numeric else nfev, nhev


def _result(status, x, g, head, engine):
    result = make_result(status)
    result["x"], result["fun"], result["nit"] = x, head[F], int(head[ITERATIONS])
    result["nfev"], result["njev"], result["nhev"] = engine.counts(head)
    if engine.kind.needs != "value":
        result["jac"], result["optimality"] = g, head[NORM]
    return result
