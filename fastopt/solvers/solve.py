"""solve: one run of a solver, what stops it, and a report that holds at the point it returns."""

import time
import warnings
from typing import NamedTuple

import numpy as np

from fastopt.arrays import checked_number
from fastopt.solvers.lbfgs import lbfgs
from fastopt.solvers.newton import newton
from fastopt.solvers.problem import Problem
from fastopt.solvers.prox_newton import prox_newton

SOLVERS = ("auto", "lbfgs", "newton", "prox-newton")
_ITERATES = {"lbfgs": lbfgs, "newton": newton, "prox-newton": prox_newton}
TOLERANCES = {np.dtype(np.float64): 1e-7, np.dtype(np.float32): 1e-5}


class Report(NamedTuple):
    """What a solver says of the point that it returns.

    objective and gradient_norm (largest entry of the gradient, with l1 of the subgradient nearest to 0) are
    computed anew there from the data. converged: whether gradient_norm <= tol. reason: why it stopped.
    reads: passes over X, the last included. history: dict of arrays, an entry an iteration.
    """

    solver: str
    converged: bool
    reason: str
    objective: float
    gradient_norm: float
    tol: float
    iterations: int
    reads: int
    seconds: float
    history: dict
    notes: tuple = ()

    def __str__(self):
        done = "converged" if self.converged else "NOT converged"
        lines = [
            f"{self.solver}: {done} ({self.reason}): objective {self.objective:.10g}, gradient "
            f"{self.gradient_norm:.2g} (tol {self.tol:.2g}), {self.iterations} iterations, "
            f"{self.reads} reads of X, {self.seconds:.3g} s"
        ]
        return "\n".join([*lines, *(f"note: {note}" for note in self.notes)])


class Solution(NamedTuple):
    """W (classes, features), b (classes,) or None, of the objective's dtype, and the report."""

    W: np.ndarray
    b: np.ndarray | None
    report: Report

    @property
    def converged(self):
        return self.report.converged


def solve(
    objective, solver="auto", *, start=None, tol=None, max_iter=1000, max_seconds=None, standardize=False,
    bounds=None, callback=None,
):  # fmt: skip
    """Minimize an fo.Objective over W and b: a Solution.

    solver: one of SOLVERS. start: (W, b), zeros without. tol: stop where the largest entry of the gradient is
        no larger; 1e-7 in float64 and 1e-5 in float32. max_iter, max_seconds: stop after so many.
    bounds: (low, high) on the entries of W, e.g. (0, None). callback: called with each history entry, a dict.
    Ctrl-C returns the best point so far, with a warning; so do max_iter and max_seconds, and the report says so.
    """
    began = time.perf_counter()
    tol = TOLERANCES[objective.dtype] if tol is None else checked_number(tol, "tol")
    name = "lbfgs" if solver == "auto" else solver
    problem = Problem(objective, bounds=_bounds(bounds, objective))
    W, b = objective.zeros() if start is None else start
    run = _Run(problem, tol, max_iter, max_seconds, callback, began)
    x, reason = run.follow(_ITERATES[name](problem, problem.join(W, b)))
    W, b = problem.split(x)
    value, norm = final(objective, problem, W, b)
    report = Report(
        name, norm <= tol, reason, value, norm, tol, run.iterations, problem.reads + 1,
        time.perf_counter() - began, {k: np.array(v) for k, v in run.history.items()},
    )  # fmt: skip
    if not report.converged:
        warnings.warn(str(report), stacklevel=2)
    return Solution(W, b, report)


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


def final(objective, problem, W, b):
    """(value, norm of the gradient) at W and b, from the data."""
    if b is None:
        value, dW = objective.value_and_grad(W)
        return value, problem.norm(problem.join(W, None), problem.join(dW, None))
    value, dW, db = objective.value_and_grad(W, b)
    return value, problem.norm(problem.join(W, b), problem.join(dW, db))


class _Run:
    """Follows a solver's iterates until something says stop; keeps the best."""

    def __init__(self, problem, tol, max_iter, max_seconds, callback, began):
        self.problem, self.tol, self.callback, self.began = problem, tol, callback, began
        self.max_iter, self.max_seconds = max_iter, max_seconds
        self.iterations, self.history = 0, {k: [] for k in ("objective", "gradient_norm", "reads", "seconds")}

    def follow(self, iterates):
        best = best_value = None
        reason = "no smaller value can be found"
        try:
            for i, (x, f, g) in enumerate(iterates):
                value, norm = self.problem.whole(f, x), self.problem.norm(x, g)
                self.iterations = i
                self._record(value, norm)
                if not np.isfinite(value):
                    reason = "the objective is not finite"
                    break
                if best is None or value <= best_value:
                    best, best_value = x, value
                if norm <= self.tol:
                    best, reason = x, "gradient"
                    break
                if i >= self.max_iter:
                    reason = f"max_iter = {self.max_iter}"
                    break
                if self.max_seconds is not None and time.perf_counter() - self.began > self.max_seconds:
                    reason = f"max_seconds = {self.max_seconds}"
                    break
        except KeyboardInterrupt:
            reason = "interrupted"
        if best is None:
            best = np.zeros(self.problem.size)
        return best, reason

    def _record(self, value, norm):
        now = value, norm, self.problem.reads, time.perf_counter() - self.began
        for name, v in zip(self.history, now, strict=True):
            self.history[name].append(v)
        if self.callback is not None:
            self.callback(dict(zip(self.history, now, strict=True)))
