"""solve: one run of a solver, what stops it, and a report that holds at the point it returns."""

import time
import warnings
from typing import Any, NamedTuple

import numpy as np

from fastopt.arrays import checked_number, checked_whole
from fastopt.parts import SourceLost
from fastopt.rows import check_all_finite
from fastopt.solvers.choose import check_choice, choose_solver, relief
from fastopt.solvers.dual import GAP, dual
from fastopt.solvers.lbfgs import lbfgs
from fastopt.solvers.newton import newton
from fastopt.solvers.notes import column_sizes, notes_of, refuse_unbounded
from fastopt.solvers.problem import Problem
from fastopt.solvers.prox_newton import prox_newton
from fastopt.solvers.scaling import column_scaling
from fastopt.solvers.state import State
from fastopt.solvers.stopping import default_tolerance, entry_sizes

_SMOOTH: dict[str, Any] = {"lbfgs": lbfgs, "newton": newton, "prox-newton": prox_newton}
ENOUGH = 200  # iterations of L-BFGS after which "auto" goes on with a Newton method, and the other way round
RESUMED = ("lbfgs", "newton")  # from a State
NOT_FINITE = "the objective is not finite"


class Report(NamedTuple):
    """What a solver says of the point that it returns.

    objective and gradient_norm (the largest entry of the gradient, with l1 or bounds of the subgradient nearest
    to 0) are computed anew there from the data. gap: how far above the optimum the objective is at most,
    relative to it, or to what rounding leaves of the objective of zeros; nan where the solver knows no dual. converged: whether gradient_norm <= tol, or the gap; where no
    tol was given, gradient_by_size, in which each entry is divided by the size of its feature.
    reason: why it stopped. reads: passes over X, the last included, not those over some of its columns.
    history: dict of arrays, an entry an iteration. notes: what the data made difficult. backend: which one computed at the end.
    """

    solver: str  # those that took part: "lbfgs, newton"
    converged: bool
    reason: str
    objective: float
    gradient_norm: float
    gap: float
    tol: float
    iterations: int
    reads: int
    seconds: float
    history: dict
    notes: tuple = ()
    gradient_by_size: float = float("nan")
    backend: str = ""

    def __str__(self):
        done = "converged" if self.converged else "NOT converged"
        measure = f"gap {self.gap:.2g}" if np.isfinite(self.gap) else f"gradient {self.gradient_norm:.2g}"
        if np.isfinite(self.gradient_by_size):
            measure += f", {self.gradient_by_size:.2g} by the sizes of features"
        line = (
            f"{self.solver}: {done} ({self.reason}): objective {self.objective:.10g}, {measure} (tol "
            f"{self.tol:.2g}), {self.iterations} iterations, {self.reads} reads of X, {self.seconds:.3g} s"
        )
        return "\n".join([line, *(f"note: {note}" for note in self.notes)])


class Solution(NamedTuple):
    """W (classes, features), b (classes,) or None, of the objective's dtype, and the report."""

    W: np.ndarray
    b: np.ndarray | None
    report: Report


def solve(
    objective, solver="auto", *, start=None, tol=None, max_iter=1000, max_seconds=None, standardize=False,
    bounds=None, callback=None, watch=None, file=None,
):  # fmt: skip
    """Minimize an fo.Objective over W and b: a Solution.

    solver: "auto" or one of SOLVERS; with an l1 or bounds "prox-newton" goes on where "lbfgs" ends early. start: (W, b), zeros without; "dual" always starts from zeros.
    tol: stop where the largest entry of the gradient is no larger. None: 1e-9 in float64, 1e-5 in float32, of the
        gradient by features of size 1 (each entry over the root mean square of its feature), for regression times
        the deviation of the loss's slopes at 0: units do not matter. Of "dual": where the duality gap, relative
        to the objective, is no larger; None: 1e-6.
    max_iter, max_seconds: stop after so many; both are looked at between iterations. bounds: (low, high) on the
        entries of W, e.g. (0, None).
    standardize: penalise the weights of features of mean 0 and standard deviation 1, whatever the rows' weights (sparse
        ones, and those of a model without b, are not centred: they get a root mean square of 1); W and b are for
        the features as they are.
    callback: called after each iteration with a dict of objective, gradient_norm (or gap), reads and seconds.
    watch: called after it with that dict and a function that gives (W, b) there; where it is true the run ends.
    file: of lbfgs and newton, what keeps their state: `load()` gives what was last passed to `save({name: array})`, or
        None. A run goes on from there, with the bits of one that was not cut off.

    After Ctrl-C, and where max_iter or max_seconds stop it, the best point so far, with a warning. ValueError
    where the solver is not for such a loss or penalty.
    """
    began = time.perf_counter()
    max_iter = checked_whole(max_iter, "max_iter", 0)
    if max_seconds is not None and not checked_number(max_seconds, "max_seconds", "a number or None") >= 0:
        raise ValueError(f"max_seconds must be at least 0, not {max_seconds}")
    scaling = column_scaling(objective.rows, objective.fit_intercept) if standardize else None
    bounds = _bounds(bounds, objective)
    given_bounds = bounds
    if bounds is not None and scaling is not None:
        bounds = tuple((side.reshape(-1, objective.features) * scaling.scale).reshape(-1) for side in bounds)
    problem = Problem(objective, scaling, bounds)
    problem.given_bounds = given_bounds
    name = choose_solver(objective, bounds is not None) if solver == "auto" else solver
    check_choice(name, objective, bounds is not None)
    if file is not None and name not in RESUMED:
        raise ValueError(f"a checkpoint is of lbfgs and newton, not of {name}: leave it out")
    refuse_unbounded(objective)
    sizes = column_sizes(objective.rows, scaling)
    if tol is None and name != "dual":
        problem.entry_sizes = entry_sizes(problem, sizes)
    tol = _tolerance(tol, name, objective)
    x = problem.within(problem.start(start))
    state = State(None if file is None else file.load())
    measure, iterates = "gradient_norm", None
    if name == "dual":
        measure, iterates = "gap", dual(problem, x)
    run = _Run(problem, tol, max_iter, max_seconds, callback, began, measure, watch, state, file)
    if name == "dual":
        run.least += problem.of_zeros() * float(np.finfo(objective.dtype).eps) / GAP
    takes_part = [name]
    if iterates is None and file is None and (solver == "auto" or problem.l1 or problem.bounds is not None):
        iterates = _patient(problem, name, x, state, takes_part, ENOUGH if solver == "auto" else max_iter)
    try:
        x, lower, reason = run.follow(iterates or _measured(problem, name, x, state))
    except SourceLost as error:
        error.W, error.b = problem.split(run.best)
        raise
    if problem.l1:
        x = _without_dust(problem, x, sizes)
    if reason == NOT_FINITE and not objective.rows.is_remote:
        check_all_finite(objective.rows, None)
    report = _report(problem, ", ".join(takes_part), x, lower, reason, run, sizes)
    if not report.converged:
        warnings.warn(str(report), stacklevel=2)
    return Solution(*problem.split(x), report)


def _tolerance(tol, name, objective):
    if tol is None:
        return GAP if name == "dual" else default_tolerance(objective)
    tol = checked_number(tol, "tol")
    if not tol >= 0:
        raise ValueError(f"tol must be a number, at least 0, not {tol}")
    return tol


def _measured(problem, name, x, state):
    """A solver's iterates as (x, objective, norm of its gradient)."""
    iterates = _SMOOTH[name](problem, x, state) if name in RESUMED else _SMOOTH[name](problem, x)
    for at, f, g in iterates:
        yield at, problem.whole(f, at), problem.measure(at, g)


def _without_dust(problem, x, sizes):
    """x with 0 for weights that a sum left which should be 0: 1e-17 on a9a. By the sizes of features, whose units weights undo."""
    sizes, x = np.tile(sizes, problem.shape[0]), x.copy()
    amounts = np.abs(x[: problem.count]) * sizes
    x[: problem.count][(sizes > 0) & (amounts <= 1e-15 * amounts.max(initial=0.0))] = 0
    return x


def _patient(problem, name, x, state, takes_part, enough):
    """A solver's iterates, and where they end or are more than enough those of another one, which is added to `takes_part`."""
    for i, at in enumerate(_measured(problem, name, x, state)):
        yield at
        x = at[0]
        if name in RESUMED and i >= enough:
            break
    else:
        if name == "newton":  # at the end of what the dtype shows
            return
    other = relief(name, problem)
    if other is not None:
        takes_part.append(other)
        yield from _measured(problem, other, x, State())


def _report(problem, name, x, lower, reason, run, sizes):
    """The end, measured anew with the weights as they are returned."""
    f, g = problem.evaluate(x)
    value, norm = problem.whole(f, x), problem.norm(x, g)
    gap = (value - lower) / max(abs(value), run.least) if lower is not None else float("nan")
    measured = problem.measure(x, g)
    converged = (gap if name == "dual" else measured) <= run.tol
    if not converged and reason in ("gap", "gradient"):
        reason += ", but measured anew it is larger"
    notes = notes_of(problem, sizes, *problem.split(x))
    return Report(
        name, bool(converged), reason, value, norm, gap, run.tol, run.iterations, problem.reads,
        time.perf_counter() - run.began, {k: np.array(v) for k, v in run.history.items()}, notes,
        float("nan") if problem.entry_sizes is None else measured, problem.passes.backend,
    )  # fmt: skip


def _bounds(bounds, objective):
    """(low, high) of each weight, or None."""
    if bounds is None:
        return None
    if not isinstance(bounds, tuple | list) or len(bounds) != 2:
        raise ValueError(f"bounds must be (low, high), numbers or None, not {bounds!r:.60}")
    shape = (objective.classes, objective.features)
    sides = []
    for name, side, least in zip(("low", "high"), bounds, (-np.inf, np.inf), strict=True):
        try:
            side = np.broadcast_to(np.asarray(least if side is None else side, np.float64), shape)
        except (TypeError, ValueError):
            raise ValueError(f"bounds: {name} must be a number, None or an array {shape}") from None
        sides.append(np.array(side).reshape(-1))
    if not (sides[0] <= sides[1]).all():
        raise ValueError("bounds: low is above high, or NaN")
    return tuple(sides)


class _Run:
    """Follows a solver's iterates until something says stop; keeps the best."""

    def __init__(self, problem, tol, max_iter, max_seconds, callback, began, measure, watch, state, file):
        self.problem, self.tol = problem, tol
        self.callback, self.began, self.watch = callback, began, watch
        self.max_iter, self.max_seconds, self.measure = max_iter, max_seconds, measure
        self.best, self.best_value, self.lower = np.zeros(problem.size), np.inf, None
        self.iterations, self.history = -1, {k: [] for k in ("objective", measure, "reads", "seconds")}
        self.state, self.file = state, file
        self.least = 1e-300  # what the gap is relative to where the objective is smaller

    def follow(self, iterates):
        """(the best x, a lower bound of the optimum or None, why it ended)."""
        reason = self._taken_up() if self.state.found else None
        try:
            while reason is None:
                at = next(iterates, None)
                if at is None:
                    reason = "no smaller value can be found in this dtype"
                else:
                    self.iterations += 1
                    reason = self._looked_at(*at)
                    if self.file is not None and np.isfinite(at[1]):
                        self.file.save(self._arrays(), reason is not None)
        except KeyboardInterrupt:
            reason = "interrupted"
        self.iterations = max(0, self.iterations)
        return self.best, self.lower, reason

    def _looked_at(self, x, value, measure):
        """Why to stop at an iterate, or None."""
        if self.measure == "gap":
            lower = value - measure
            self.lower = lower if self.lower is None else max(self.lower, lower)
            best = min(self.best_value, value)
            measure = (best - self.lower) / max(abs(best), self.least)
        self._record(value, measure)
        if not np.isfinite(value):
            return NOT_FINITE
        if value <= self.best_value or (self.measure != "gap" and measure <= self.tol):
            self.best, self.best_value = x, value
        return self._stop(self.iterations, measure) or self._watched(x)

    def _arrays(self):
        """What a run goes on from: the solver's state, and what is kept here."""
        own = {
            "best": self.best, "best_value": np.float64(self.best_value),
            "iterations": np.int64(self.iterations), "reads": np.int64(self.problem.reads),
        }  # fmt: skip
        return self.state.arrays() | own | {f"history_{k}": np.array(v) for k, v in self.history.items()}

    def _taken_up(self):
        """Go on from what `_arrays` gave: why to stop there, or None."""
        found = self.state.found
        self.best, self.best_value = found["best"], float(found["best_value"])
        self.iterations = int(found["iterations"])
        for name in self.history:
            self.history[name] = found[f"history_{name}"].tolist()
        self.began -= self.history["seconds"][-1]
        self.problem.passes.reads = int(found["reads"])
        return self._stop(self.iterations, self.history[self.measure][-1])

    def _stop(self, i, measure):
        if measure <= self.tol:
            return "gap" if self.measure == "gap" else "gradient"
        if i >= self.max_iter:
            return f"max_iter = {self.max_iter}"
        if self.max_seconds is not None and time.perf_counter() - self.began > self.max_seconds:
            return f"max_seconds = {self.max_seconds}"
        return None

    def _watched(self, x):
        if self.watch is None:
            return None
        entry = {name: values[-1] for name, values in self.history.items()}
        return "watch" if self.watch(entry, lambda: self.problem.split(x)) else None

    def _record(self, value, measure):
        now = value, measure, self.problem.reads, time.perf_counter() - self.began
        for name, v in zip(self.history, now, strict=True):
            self.history[name].append(v)
        if self.callback is not None:
            self.callback(dict(zip(self.history, now, strict=True)))
