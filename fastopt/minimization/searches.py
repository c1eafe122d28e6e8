"""Searches that need no gradient: grids, random points, restarts of a solver, successive halving.

Points follow from their number and the seed alone, so the answer does not depend on the number of
workers, and a search can go on where another ended.
"""

import contextlib
import math
import threading

import numpy as np

from fastopt.algorithms.state import INTERRUPTED, MESSAGES
from fastopt.arrays import checked_number, checked_whole
from fastopt.minimization.minimizing import is_compiled, minimize, taken
from fastopt.minimization.problem import as_number, bounds_array, checked_function, real_numbers
from fastopt.minimization.result import result_class
from fastopt.minimization.run import ended_by, paced
from fastopt.threads import checked_threads, share

MOST_POINTS = 10**10  # of a grid: more take a day and a list of parts that fills the memory
PART = 1024  # points that are made and taken together


def grid_search(fun, axes, args=(), *, threads=None, progress: bool = False, start=None):
    """The best point of a grid: axes is a list of 1-D arrays; points are made as they are needed.

    fun(x, *args) -> number, Python or compiled (then in parallel without the GIL). NaN counts as inf; a StopIteration
    of it ends the search as Ctrl-C does: the best so far is returned.
    start: an earlier result, whose points are not evaluated again (after Ctrl-C).
    Result: x, fun, nfev, done (points in order that are evaluated), success, message.
    """
    axes = [
        _row(a, "axes must be a list of 1-D arrays of numbers, one array a variable")
        for a in _listed(axes, "axes")
    ]
    shape = tuple(a.size for a in axes)
    if math.prod(shape) > MOST_POINTS:
        raise ValueError(f"axes make a grid of {math.prod(shape):.3g} points, more than {MOST_POINTS:.0e}")

    def points(begin, end):
        indices = np.unravel_index(np.arange(begin, end), shape)
        return np.stack([a[i] for a, i in zip(axes, indices, strict=True)], axis=1)

    return _search(fun, points, math.prod(shape), len(axes), args, threads, progress, start)


def random_search(
    fun, bounds=None, args=(), *, sampler=None, samples=1000, log=False, sobol=False, seed=0, threads=None,
    progress: bool = False, start=None,
):  # fmt: skip
    """The best of random points: uniform inside the bounds, or sampler(rng) -> x, one point a call.

    bounds: d pairs (low, high). log: True or d booleans: uniform in the logarithm. sobol: points of SciPy's
    scrambled Sobol sequence instead. start: an earlier result to go on from. Otherwise as grid_search.
    """
    if sampler is not None and (np.any(log) or sobol):
        raise ValueError("log and sobol are for points inside bounds: a sampler draws its own")
    points = _points(bounds, sampler, log, sobol, checked_whole(seed, "seed", 0))
    size = points(0, 1).shape[1]
    return _search(fun, points, checked_whole(samples, "samples", 1), size, args, threads, progress, start)


def _listed(values, name):
    """A list of what can be gone through and is not empty."""
    try:
        values = list(values)
    except TypeError:
        values = []
    if not values:
        raise ValueError(f"{name} must be a list with at least one entry")
    return values


def _row(values, message):
    try:
        row = np.asarray(real_numbers(values, "it"), np.float64)
    except (TypeError, ValueError):
        raise ValueError(f"{message}, not {values!r:.60}") from None
    if row.ndim != 1 or not row.size:
        raise ValueError(f"{message}, not {values!r:.60}")
    return row


def _points(bounds, sampler, log, sobol, seed):
    """points(begin, end): rows that follow from their numbers and the seed."""
    if (bounds is None) == (sampler is None):
        raise ValueError("give bounds or sampler")
    if sampler is None:
        return _box_points(bounds, log, sobol, seed)
    checked_function(sampler, "sampler")
    message = "sampler must return a point: a 1-D array of numbers, of the same length each time"
    size = len(_row(np.atleast_1d(sampler(np.random.default_rng([seed, 0]))), message))

    def points(begin, end):
        rows = np.empty((end - begin, size))
        for i in range(begin, end):
            row = _row(np.atleast_1d(sampler(np.random.default_rng([seed, i]))), message)
            if len(row) != size:
                raise ValueError(f"{message}: number {i} has {len(row)} entries, number 0 has {size}")
            rows[i - begin] = row
        return rows

    return points


def _box_points(bounds, log, sobol, seed):
    pairs = (
        list(zip(bounds.lb, bounds.ub, strict=True)) if hasattr(bounds, "lb") else _listed(bounds, "bounds")
    )
    box = bounds_array(pairs, len(pairs))
    if box is None or not np.isfinite(box).all():
        raise ValueError("bounds must be finite pairs (low, high)")
    if np.shape(log) not in ((), (box.shape[1],)):
        raise ValueError(f"log must be True, False or {box.shape[1]} of these")
    log = np.broadcast_to(np.asarray(log, bool), box.shape[1])
    if (box[0][log] <= 0).any():
        raise ValueError("log: the low end of a bound must be above 0 there")
    low, high = box
    low, high = (
        np.where(log, np.log(np.where(log, low, 1)), low),
        np.where(log, np.log(np.where(log, high, 1)), high),
    )

    def points(begin, end):
        first = begin // PART * PART  # each part has its generator
        if sobol:
            from scipy.stats import qmc

            sequence = qmc.Sobol(len(low), seed=seed)
            unit = (sequence.fast_forward(first) if first else sequence).random(
                PART
            )  # with fewer SciPy warns
        else:
            unit = np.random.default_rng([seed, begin // PART]).random((end - first, len(low)))
        u = low + (high - low) * unit[begin - first : end - first]
        return np.where(log, np.clip(np.exp(u), *box), u)

    return points


def _search(fun, points, count, size, args, threads, progress, start):
    from fastopt.minimization.many import Progress

    args = args if type(args) is tuple else (args,)
    functions = {"fun": checked_function(fun, "fun", optional=False)}
    values = _values(functions, args)
    best = Best() if start is None else _earlier(start, lambda r: Best(r.fun, r.x, r.done))
    if best.x is not None and np.shape(best.x) != (size,):
        raise ValueError(
            f"start is a result of another search: its x has the shape {np.shape(best.x)}, not {(size,)}"
        )
    report = Progress(count) if progress else None
    first = best.done
    parts = []
    while first < count:
        end = min(count, (first // PART + 1) * PART)
        parts.append((first, end))
        first = end

    stopped = threading.Event()

    def work(part):
        X = points(*part)
        F, reached = np.empty(len(X)), 0
        try:
            for begin, end in paced(0, len(X), stopped):
                F[begin:end] = values(X[begin:end])
                reached = end
        finally:
            best.take(part[0], part[0] + reached, X[:reached], F[:reached])
        if report is not None:
            report.add(reached)

    interrupted = True
    with contextlib.suppress(KeyboardInterrupt, StopIteration):
        share(work, parts, checked_threads(threads), stopped.set)
        interrupted = False
    return best.result(interrupted)


def _earlier(start, take):
    """What is known of an earlier result."""
    try:
        return take(start)
    except (AttributeError, TypeError, ValueError):
        raise ValueError(f"start must be an earlier result of this search, not {start!r:.60}") from None


def _values(functions, args):
    """f(X) -> values of all rows, NaN as inf."""
    args = taken(functions, args)
    if is_compiled(functions, args):
        from fastopt.kernels.minimization.binding import row_values

        return row_values(functions["fun"], args)
    fun = functions["fun"]

    def values(X):
        F = np.array([as_number(fun(x, *args)) for x in X])
        return np.where(np.isnan(F), np.inf, F)

    return values


class Best:
    """The best point so far; of equals the first. `done`: points evaluated without a gap from the first on."""

    def __init__(self, fun=math.inf, x=None, done=0):
        self.fun, self.x, self.index, self.done = fun, x, -1 if x is not None else math.inf, done
        self.ends, self.count, self.lock = {}, 0, threading.Lock()

    def take(self, begin, end, X, F):
        if begin == end:
            return
        i = int(np.argmin(F))
        with self.lock:
            self.count += end - begin
            self.ends[begin] = end
            while self.done in self.ends:
                self.done = self.ends.pop(self.done)
            if (F[i], begin + i) < (self.fun, self.index) and F[i] < math.inf:
                self.fun, self.x, self.index = float(F[i]), X[i].copy(), begin + i

    def result(self, interrupted):
        found = self.x is not None
        message = "interrupted; this is the best point so far" if interrupted else "all points were evaluated"
        if not found and not interrupted:
            message = "the function is NaN or inf at every point"
        return result_class()(
            message=message,
            success=found and not interrupted,
            x=self.x,
            fun=self.fun,
            nfev=self.count,
            done=self.done,
        )


def random_restarts(
    fun, bounds=None, args=(), *, restarts=10, sampler=None, bounded=False, seed=0, threads=None, **options
):
    """fo.minimize from random starts; the best result, with all of them in `results`.

    bounds, sampler: where the starts come from, as in random_search. bounded: the solver keeps to the bounds too
    (ValueError without bounds); else it may leave them. options: those of fo.minimize (method, jac, ...). Ctrl-C returns the best so far. Compiled functions run in parallel; the answer does not depend on the number of threads.
    """
    restarts = checked_whole(restarts, "restarts", 1)
    if bounded:
        if bounds is None:
            raise ValueError("bounded=True needs bounds: give one (low, high) for each variable")
        options["bounds"] = bounds
    starts = _points(bounds, sampler, False, False, checked_whole(seed, "seed", 0))(0, restarts)
    stopped = threading.Event()

    found_at: dict = {}

    def run(i):
        if stopped.is_set():
            return
        with ended_by(stopped):
            found_at[i] = minimize(fun, starts[i], args, **options)
        if found_at[i].status == INTERRUPTED:
            stopped.set()

    try:
        share(run, range(restarts), checked_threads(threads), stopped.set)
    except KeyboardInterrupt:  # between two runs, or while one was prepared
        stopped.set()
        if not found_at:
            raise
    results = [found_at[i] for i in sorted(found_at)]
    best = min(range(len(results)), key=lambda i: (not np.isfinite(results[i].fun), results[i].fun, i))
    found = result_class()(results[best])
    if stopped.is_set():
        found["status"], found["success"], found["message"] = INTERRUPTED, False, MESSAGES[INTERRUPTED]
    found["results"], found["nfev"] = results, sum(r.nfev for r in results)
    return found


def successive_halving(
    fun, candidates, *, budgets, keep=1 / 3, threads=None, progress: bool = False, start=None
):
    """fun(candidate, budget) -> number for all candidates with the least budget, for the best `keep` of them with
    the next, and so on (Jamieson & Talwalkar 2016).

    NaN is worse than any number; of equals the first is better. StopIteration of fun ends it as Ctrl-C does. threads: calls of fun at a time. start: an earlier
    result, after Ctrl-C, to go on from. Result: x (the candidate), fun, index, history: one list of (index, value)
    a round, best first; nfev, done ((round, index, value) of every call), success, message.
    """
    checked_function(fun, "fun", optional=False)
    budgets, candidates = _listed(budgets, "budgets"), _listed(candidates, "candidates")
    if not 0 < checked_number(keep, "keep", "between 0 and 1") < 1:
        raise ValueError(f"keep must be between 0 and 1, not {keep!r}")
    known = {} if start is None else _earlier(start, lambda s: {(r, i): value for r, i, value in s.done})
    done = {(r, i): value for (r, i), value in known.items() if r < len(budgets) and i < len(candidates)}
    before, interrupted = len(done), True
    history: list = []

    def value(i, r):
        if (r, i) not in done:
            done[r, i] = as_number(fun(candidates[i], budgets[r]))
        return done[r, i]

    with contextlib.suppress(KeyboardInterrupt):
        rounds = halving(value, len(candidates), range(len(budgets)), keep, checked_threads(threads))
        for budget, order in zip(budgets, rounds, strict=True):
            history.append(order)
            if progress:
                print(f"budget {budget}: {len(order)} candidates, best {order[0][1]:.6g}")
        interrupted = False
    if interrupted:  # what is there of the round that was cut off, if it is the first
        first = [(i, v) for (r, i), v in done.items() if r == 0 and not history]
        history += [sorted(first, key=_rank)] if first else []
    index, found = history[-1][0] if history else (None, math.inf)
    message = "interrupted; this is the best point so far" if interrupted else "all rounds were made"
    if math.isnan(found):
        message = "the function is NaN for every candidate of the last round"
    return result_class()(
        x=None if index is None else candidates[index], fun=found, index=index, nfev=len(done) - before,
        history=history, done=[(r, i, value) for (r, i), value in sorted(done.items())],
        success=not interrupted and not math.isnan(found),
        message=message,
    )  # fmt: skip


def halving(value, count, budgets, keep, threads, abandon=lambda: None):
    """For each round its [(number, value(number, budget))], best first, of the best `keep` of the round before."""
    alive = list(range(count))
    for budget in budgets:
        try:
            values = share(lambda i, budget=budget: (i, value(i, budget)), alive, threads, abandon)
        except StopIteration:  # which a generator cannot pass on
            raise KeyboardInterrupt from None
        order = sorted(values, key=_rank)
        yield order
        alive = [i for i, _ in order[: max(1, math.ceil(keep * len(alive) - 1e-9))]]


def _rank(item):
    index, value = item
    return math.isnan(value), value, index
