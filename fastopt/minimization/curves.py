"""minimize_many(method="curve-fit"): curves of a few parameters, in vector lanes where they compile for them."""

import contextlib
import inspect
import math
import threading
import time

import numpy as np

from fastopt.algorithms import state
from fastopt.minimization.minimizing import is_compiled
from fastopt.minimization.problem import limit, real_numbers
from fastopt.minimization.run import paced
from fastopt.threads import share

PART = 4096
FIRST = 512  # of a part: more where they are fast
MOST_PARAMETERS = 8  # that fit into registers, with their products
MOST_CALLS = 200.0  # of a curve, beside those for derivatives
_STATUS = np.array([state.INTERRUPTED, state.GRADIENT, state.PRECISION, state.EVALUATION_LIMIT])


def fit_curves(functions, X, args, bounds, gtol, maxfev, deadline, threads, report):
    """See fo.minimize_many."""
    t, y, weights = _data(args, *X.shape, X.dtype)
    floor = 1e-6 if X.dtype == np.float64 else 1e-3 if "jac" in functions else 3e-3  # what float32 can tell
    gtol = limit(gtol, "gtol", floor)
    if not is_compiled(functions, ()):
        raise TypeError('method="curve-fit": compile fun (and jac) with numba.njit')
    for name, function in functions.items():
        _check_parameters(function, name, X.shape[1])
    if bounds is not None or X.shape[1] > MOST_PARAMETERS:
        return _by_residuals(functions, X, t, y, weights, bounds, gtol, maxfev, deadline, threads, report)
    maxfev = limit(maxfev, "maxfev", MOST_CALLS)
    n = len(X)
    costs, codes, counts = np.full(n, np.nan, X.dtype), np.zeros(n, np.int64), np.zeros(n, np.int64)
    W = np.empty((1, 0), X.dtype) if weights is None else weights
    info = np.finfo(X.dtype)
    numbers = np.array([gtol**2, maxfev, info.eps**0.5, info.tiny * 1e3])
    entry, h, width = _bind(functions, X, t, weights)
    m, k = y.shape[1], X.shape[1]

    stopped = threading.Event()

    def work(part):
        blocks = np.empty(m * width * (1 + (weights is not None) + (t.ndim == 2)), X.dtype)
        workspace, rows = np.empty((2 * k + 5) * width, X.dtype), np.empty(width, np.int64)
        for begin, end in paced(part[0], part[1], stopped, FIRST):
            if time.perf_counter() >= deadline:
                return
            entry(h, begin, end, t, y, W, X, costs, codes, counts, numbers, blocks, workspace, rows)
            if report is not None:
                report.add(end - begin)

    with contextlib.suppress(KeyboardInterrupt):
        share(work, [(i, min(n, i + PART)) for i in range(0, n, PART)], threads, stopped.set)
    status = _STATUS[codes]
    if time.perf_counter() >= deadline:
        status[codes == 0] = state.TIME_LIMIT
    status[(codes > 0) & ~np.isfinite(costs)] = state.NOT_FINITE
    return _result(X, costs / 2, status, counts)


def _result(X, fun, status, counts):
    from fastopt.minimization.many import collected

    table = np.stack([np.maximum(counts - 1, 0), counts], axis=1)
    return collected(X, fun, status, table, np.full(len(X), np.nan))


def _check_parameters(function, name, k):
    """Raise unless the function can be called with t and k parameters."""
    try:
        inspect.signature(function.py_func).bind(*range(1 + k))
    except TypeError as error:
        given = "one parameter" if k == 1 else f"{k} parameters"
        raise TypeError(
            f"{name} must be {name}(t, ...) of t and {given}, as many as X0 has columns: {error}"
        ) from None


def _data(args, n, k, dtype):
    """t (m,) or (n, m), y (n, m), weights None or (n, m)."""
    if type(args) is not tuple or len(args) not in (2, 3):
        raise ValueError('method="curve-fit": args must be (t, y) or (t, y, weights)')
    t, y, *weights = (
        np.asarray(real_numbers(a, f"args: {name}"), dtype, order="C")
        for name, a in zip(("t", "y", "weights"), args, strict=False)
    )
    if y.ndim == 1:
        raise ValueError(
            f"args: y must have a row for each problem, not the shape {y.shape}: one curve is y[None]"
        )
    if y.ndim != 2 or len(y) != n or y.size == 0:
        raise ValueError(f"args: y must have the shape ({n}, m), a row for each problem, not {y.shape}")
    if t.shape not in (y.shape, y.shape[1:]):
        raise ValueError(f"args: t must have the shape {y.shape[1:]} or {y.shape}, not {t.shape}")
    if not weights:
        return t, y, None
    if weights[0].shape not in (y.shape, y.shape[1:]):
        raise ValueError(
            f"args: weights must have the shape {y.shape[1:]} or {y.shape}, not {weights[0].shape}"
        )
    if not (weights[0] >= 0).all():
        raise ValueError("args: weights must not be negative or NaN")
    return t, y, np.ascontiguousarray(np.broadcast_to(weights[0], y.shape))


def _bind(functions, X, t, weights):
    """fit_range for these functions: (entry, h, lanes of a vector)."""
    from fastopt.kernels.minimization.curves import bind_curve

    names, given = tuple(functions), tuple(functions.values())
    return bind_curve(names, given, X.dtype.name, X.shape[1], t.ndim == 2, weights is not None)


def _by_residuals(functions, X, t, y, weights, bounds, gtol, maxfev, deadline, threads, report):
    """By the solver "lm", which calls the curve point by point."""
    from fastopt.kernels.minimization.curves import residual_functions
    from fastopt.minimization.many import minimize_many

    residual, jac = residual_functions(
        functions["fun"], functions.get("jac"), X.shape[1], weights is not None
    )
    if maxfev is None:
        maxfev = MOST_CALLS * (
            1 if jac else 1 + 2 * X.shape[1]
        )  # where all calls count: a Jacobian by differences too
    args = (t if t.ndim == 2 else t[None], y) + (() if weights is None else (np.sqrt(weights),))
    left = deadline - time.perf_counter()
    return minimize_many(
        residual, X, args, jac=jac, method="lm", bounds=bounds, gtol=gtol, ftol=0, xtol=0, maxfev=maxfev,
        seconds=max(0.0, left) if left < math.inf else None, threads=threads, progress=report is not None,
    )  # fmt: skip
