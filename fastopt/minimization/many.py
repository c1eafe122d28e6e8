"""fo.minimize_many: very many problems in one call."""

import contextlib
import math
import sys
import threading
import time

import numpy as np

from fastopt.algorithms import state
from fastopt.algorithms.methods import METHODS, method_name
from fastopt.arrays import check_unmasked
from fastopt.minimization.minimizing import initial_head, is_compiled, minimize, second_cost, taken
from fastopt.minimization.problem import bounds_array, checked_function, limit, real_numbers
from fastopt.minimization.result import result_class
from fastopt.minimization.run import next_stretch
from fastopt.threads import checked_threads, share

PART = 512  # problems that a thread takes at a time: their results do not depend on who does


def minimize_many(
    fun,
    X0,
    args=(),
    *,
    jac=None,
    hess=None,
    hessp=None,
    method="lbfgs",
    bounds=None,
    gtol=None,
    ftol=None,
    xtol=None,
    target=None,
    maxiter=None,
    maxfev=None,
    memory=10,
    seconds=None,
    threads=None,
    progress: bool = False,
):
    """Minimize n problems fun(x, *args) at once, each from its row of X0 (n, d); compiled, on all threads.

    args: each an array with a row for each problem (first axis n: fun gets row i), or of first axis 1, or a
        number, the same for all. X0 (1, d) or (d,) is the start of all problems. bounds: d pairs, SciPy's Bounds,
        or an array (n, d, 2).
    method: as in fo.minimize; "lm": fun returns residuals (m,), as many in each problem. "curve-fit": fun is the
        curve f(t, a, b, ...) of numbers, args = (t, y) or (t, y, weights) with t (m,) or (n, m), y (n, m) and
        weights of squares (m,) or (n, m), jac(t, a, b, ...) a tuple of derivatives or None (differences). Where the
        curve consists of + - * /, exp, log, sqrt, abs, minimum, maximum and where, 8 problems (16 of float32) run
        in the lanes of a vector; other curves run as "lm" does.
    gtol, ftol, xtol, target, maxiter, maxfev, memory, jac, hess, hessp: as in fo.minimize; "curve-fit" takes jac, gtol
        (1e-6; float32 1e-3, without jac 3e-3) and maxfev (200 calls of the curve beside those for derivatives) alone.
    seconds: for all problems.
    threads: at most so many; results are the same bits for any number. progress: a line on standard error.

    Result: arrays x (n, d), fun (n,), status, success, nit, nfev (n,), optimality (n,; for "curve-fit" and "lm" in
    their tests' terms see there) and message, a summary. Where fun raises, the status of that problem is 13; if it
    raises for the first problem, the caller gets the exception. Ctrl-C and the end of `seconds` return what is there:
    status 12 or 7, the best point so far or the start, fun NaN where nothing was done. Functions that are not compiled run in a loop over fo.minimize ("curve-fit": TypeError).
    """
    if isinstance(args, list) and any(np.ndim(a) for a in args if isinstance(a, np.ndarray)):
        raise TypeError("args must be a tuple of arguments, not a list of arrays: write (t, y)")
    X = _starts(X0, args[1:2] if method == "curve-fit" and type(args) is tuple else args)
    given = {"gtol": gtol, "ftol": ftol, "xtol": xtol, "target": target, "maxiter": maxiter, "memory": memory}
    threads = checked_threads(threads)
    deadline = time.perf_counter() + limit(seconds, "seconds", math.inf)
    functions = {"fun": checked_function(fun, "fun", optional=False)}
    for name, f in (("jac", jac), ("hess", hess), ("hessp", hessp)):
        if f is not None and f is not True and not isinstance(f, str):
            functions[name] = checked_function(f, name)
    report = Progress(len(X)) if progress else None
    if method == "curve-fit":
        from fastopt.minimization.curves import fit_curves

        others = {**given, "hess": hess, "hessp": hessp, "memory": None if memory == 10 else memory}
        if unused := [option for option, value in others.items() if value is not None and option != "gtol"]:
            raise ValueError(
                f'method="curve-fit" takes no {unused[0]}: its limits are gtol, maxfev and seconds'
            )
        if jac is not None and "jac" not in functions:
            raise TypeError(
                f'method="curve-fit": jac must be a function (t, a, b, ...) or None, not {jac!r:.60}'
            )
        return fit_curves(functions, X, args, bounds, gtol, maxfev, deadline, threads, report)
    name = method_name(method)
    arguments, rows = _arguments(args, len(X), X.dtype)
    arguments = taken(functions, arguments)
    limits = _bounds(bounds, name, X)
    if not is_compiled(functions, arguments):
        given.update(jac=jac, hess=hess, hessp=hessp, maxfev=maxfev)
        return _one_by_one(fun, X, arguments, rows, limits, given, name, deadline, report)
    run = Run(name, functions, jac, X, arguments, rows, limits, given, maxfev)
    run.on(threads, report, deadline)
    return run.result()


def _starts(X0, args):
    """(n, d), a copy: one row for all problems is repeated as often as the arguments have rows."""
    X = real_numbers(X0, "X0")
    if X.ndim == 1:
        X = X[None]
    if X.ndim != 2 or X.size == 0:
        raise ValueError(
            f"X0 must have the shape (problems, parameters), at least 1 of each, not {np.shape(X0)}"
        )
    n = len(X)
    if n == 1:
        args = args if type(args) is tuple else (args,)
        n = max([np.shape(a)[0] for a in args if np.ndim(a) and np.shape(a)[0] > 0], default=1) if args else 1
    dtype = np.float32 if X.dtype == np.float32 else np.float64
    return np.array(np.broadcast_to(X, (n, X.shape[1])), dtype, order="C")


def _arguments(args, n, dtype):
    """(arguments, whether each has a row for each problem)."""
    given, rows = [], []
    for i, a in enumerate(args if type(args) is tuple else (args,)):
        check_unmasked(a, f"args[{i}]")
        if np.ndim(a) == 0:
            given.append(a)
            rows.append(False)
        elif len(a) == n:
            given.append(np.ascontiguousarray(a))
            rows.append(True)
        elif len(a) == 1:
            given.append(np.ascontiguousarray(np.asarray(a)[0]))
            rows.append(False)
        else:
            raise ValueError(
                f"args[{i}] has {len(a)} rows: {n} are needed, one for each problem, or 1 for all (write a[None])"
            )
    return tuple(given), tuple(rows)


def _bounds(bounds, name, X):
    """(problems or 1, 2, d), or None."""
    if bounds is None:
        return None
    if not METHODS[name].bounds:
        raise ValueError(f'method "{name}" takes no bounds: use "lbfgs", "nelder-mead" or "lm"')
    n, d = X.shape
    if not hasattr(bounds, "lb") and np.ndim(bounds) == 3:
        array = np.asarray(bounds, X.dtype)
        if array.shape != (n, d, 2):
            raise ValueError(f"bounds must be {d} pairs, or an array {(n, d, 2)}, not {array.shape}")
        if not (array[..., 0] <= array[..., 1]).all():
            raise ValueError("bounds: a low end is above its high end, or NaN")
        return np.ascontiguousarray(array.transpose(0, 2, 1))
    one = bounds_array(bounds, d, X.dtype)
    return None if one is None else one[None]


class Progress:
    """How many problems are done, on standard error, twice a second."""

    def __init__(self, total):
        self.total, self.done, self.next, self.lock = total, 0, 0.0, threading.Lock()

    def add(self, count):
        with self.lock:
            self.done += count
            now = time.monotonic()
            if now >= self.next or self.done == self.total:
                self.next = now + 0.5
                bar = "#" * (30 * self.done // self.total)
                end = "\n" if self.done == self.total else ""
                print(f"\r[{bar:30}] {self.done:,} of {self.total:,}", end=end, file=sys.stderr, flush=True)


def summary(status):
    converged = int(state.succeeded(status).sum())
    text = f"{converged:,} of {len(status):,} converged"
    others = [
        (int((status == s).sum()), state.MESSAGES[s]) for s in np.unique(status[~state.succeeded(status)])
    ]
    return "; ".join([text, *(f"{count:,}: {message}" for count, message in others)])


def collected(X, F, status, counts, optimality, **more):
    return result_class()(
        x=X, fun=F, status=status, success=state.succeeded(status), nit=counts[:, 0], nfev=counts[:, 1],
        optimality=optimality, message=summary(status), **more,
    )  # fmt: skip


class Run:
    """A compiled run of all problems, in parts."""

    def __init__(self, name, functions, jac, X, args, rows, limits, given, maxfev):
        from fastopt.kernels.minimization import binding, many

        kind, (n, d) = METHODS[name], X.shape
        jac = jac if jac is True or jac == "complex" else None
        first = tuple(a[0] if row else a for a, row in zip(args, rows, strict=True))
        self.bound = binding.bind(
            name, tuple(functions), tuple(functions.values()), jac, X.dtype.name, args, rows
        )
        self.head = initial_head(kind, X[0], limits, **given)
        numeric = "jac" not in functions and jac is None and kind.needs not in ("value", "residuals")
        self.cost = 2 * d + 1 if numeric else 1
        maxfev = limit(maxfev, "maxfev", math.inf)
        self.head[state.MAX_EVALUATIONS] = max(1, maxfev // self.cost) if maxfev < math.inf else maxfev
        self.head[state.SECOND_COST] = second_cost(kind, functions, jac, d)
        if kind.needs == "residuals":
            self.head[state.ROWS] = self.bound.count_residuals(X[0], first)
        self.size = kind.size(d, int(self.head[state.MEMORY]), int(self.head[state.ROWS]))
        self.stretch = 8.0  # iterations of a call
        self.entry, self.h = many.many_entry(name, X.dtype.name)
        self.X, self.args = X, args
        self.limits = np.empty((1, 2, 0), X.dtype) if limits is None else limits
        self.F, self.status = np.full(n, np.nan), np.full(n, state.INTERRUPTED)
        self.counts, self.norms = np.zeros((n, 4), np.int64), np.full(n, np.nan)

    def on(self, threads, report, deadline):
        n = len(self.X)
        parts = [(i, min(n, i + PART)) for i in range(0, n, PART)]
        self.stored, self.deadline, self.stopped = self.bound.stored(self.args), deadline, threading.Event()

        def work(part):
            self.part(*part)
            if report is not None:
                report.add(part[1] - part[0])

        with contextlib.suppress(KeyboardInterrupt):
            share(work, parts, threads, self.stopped.set)

    def part(self, begin, end):
        d, dtype = self.X.shape[1], self.X.dtype
        near = np.empty((3, d), dtype)
        near[0], near[1] = -np.inf, np.inf
        data = self.bound.block(self.stored[1], near)
        fun = (*self.bound.addresses, data.ctypes.data)
        g, head, work = np.empty(d, dtype), np.zeros_like(self.head), np.empty(self.size, dtype)
        template = self.head.copy()
        template[state.STRETCH] = self.stretch
        try:
            while begin < end and not self.stopped.is_set():
                if time.perf_counter() >= self.deadline:
                    self.status[begin:end] = state.TIME_LIMIT
                    break
                try:
                    start = time.perf_counter()
                    begin = self.entry(
                        self.h, fun, data, begin, end, self.X, g, self.limits, near, template, head, work,
                        self.F, self.status, self.counts, self.norms,
                    )  # fmt: skip
                    template[state.STRETCH] = next_stretch(
                        template[state.STRETCH], time.perf_counter() - start
                    )
                except Exception:
                    failed = self.bound.row(data)
                    if failed == 0:
                        raise
                    self.status[failed], head[state.STATUS] = state.RAISED, state.NEW
                    begin = failed + 1
        finally:
            self.stretch = template[state.STRETCH]
            if begin < end and head[state.STATUS] == state.RUNNING:  # cut off: its best point so far
                self.X[begin], self.F[begin] = work[:d], head[state.BEST]
                self.counts[begin, :2] = head[state.ITERATIONS], head[state.EVALUATIONS]

    def result(self):
        counts = self.counts
        counts[:, 1] *= self.cost
        return collected(self.X, self.F, self.status, counts, self.norms)


def _one_by_one(fun, X, args, rows, limits, given, name, deadline, report):
    """The same by fo.minimize, for functions that are not compiled."""
    n, d = X.shape
    F, status, norms = np.full(n, np.nan), np.full(n, state.INTERRUPTED), np.full(n, np.nan)
    counts = np.zeros((n, 4), np.int64)
    what = {"residual": fun} if name == "lm" else {"fun": fun, "method": name}
    for k in range(n):
        left = deadline - time.perf_counter()
        if left <= 0:
            status[k:] = state.TIME_LIMIT
            break
        seconds = left if left < math.inf else None
        mine = tuple(a[k] if row else a for a, row in zip(args, rows, strict=True))
        bounds = None if limits is None else list(limits[k if len(limits) > 1 else 0].T)
        try:
            found = minimize(x0=X[k], args=mine, bounds=bounds, seconds=seconds, **what, **given)
        except Exception:
            if k == 0:
                raise
            status[k] = state.RAISED
            continue
        X[k], F[k], status[k] = found.x, found.fun, found.status
        counts[k] = found.nit, found.nfev, found.njev, found.nhev
        norms[k] = found.get("optimality", np.nan)
        if found.status == state.INTERRUPTED:
            break
        if report is not None:
            report.add(1)
    return collected(X, F, status, counts, norms)
