"""Proximal Newton with working sets: l1, elastic net and bounds, with zeros that are exact."""

import itertools

import numpy as np

from fastopt import native
from fastopt.objective import Objective
from fastopt.solvers.columns import GRAM, ByColumns, working_set
from fastopt.solvers.dots import dot
from fastopt.solvers.lbfgs import lbfgs
from fastopt.solvers.newton import grounded
from fastopt.solvers.problem import Problem
from fastopt.solvers.quadratic import minimize_quadratic
from fastopt.solvers.searches import Patience
from fastopt.solvers.state import State

RELIEF = 20  # iterations of OWL-QN where Newton's steps lead no further
# What a step has to leave of the gradient at most, for the Hessian of mean curvatures to go on, and for one to be kept.
HALF, TENTH = 0.5, 0.1
FIRST, ALL = 100, 200  # features of the first working set; up to so many all of them are in it


def prox_newton(problem, x):
    """Iterates (x, f, g), from x on.

    The features that are in use, and as many again that break the optimality conditions most, are a problem of
    their own, solved by Newton steps whose quadratic model is minimized by coordinate descent; then all
    features are looked at anew. Source: Lee, Sun & Saunders 2014; working sets as Johnson & Guestrin 2015.
    """
    x = problem.within(x)
    if (
        problem.shape[1] > ALL
        and problem.shape[0] == 1
        and problem.objective.rows.is_sparse
        and native.available()
    ):
        yield from _steps(problem, x, ByColumns(problem))
        return
    f, g = problem.evaluate(x)
    yield x, f, g
    if problem.shape[1] <= ALL:
        yield from _newton_steps(problem, x)
        return
    wanted = FIRST
    while True:
        norm = problem.norm(x, g)
        features = working_set(problem, x, g, wanted)
        part = _Part(problem, features)
        better = None
        for z, _, slope in _newton_steps(part.problem, part.restrict(x)):
            better = z
            if part.problem.norm(z, slope) <= 0.1 * norm:
                break
        x_new = part.extend(better)
        f_new, g_new = problem.evaluate(x_new)
        if not problem.whole(f_new, x_new) < problem.whole(f, x) and problem.norm(x_new, g_new) >= norm:
            return
        x, f, g = x_new, f_new, g_new
        wanted = max(wanted, len(features))
        yield x, f, g


class _Part:
    """The problem of some features; the others' weights are 0."""

    def __init__(self, problem, features):
        self.whole, self.features = problem, features
        objective = problem.objective
        part = Objective.of_rows(
            objective.loss, objective.rows.columns(features), objective.penalty,
            fit_intercept=objective.fit_intercept, backend=objective.asked, threads=objective.threads,
        )  # fmt: skip
        scaling = None if problem.scaling is None else problem.scaling.columns(features)
        bounds = None
        if problem.bounds is not None:
            bounds = tuple(self._weights(side) for side in problem.bounds)
        self.problem = Problem(part, scaling, bounds)

    def _weights(self, x):
        return x[: self.whole.count].reshape(self.whole.shape)[:, self.features].reshape(-1)

    def restrict(self, x):
        return np.concatenate([self._weights(x), x[self.whole.count :]])

    def extend(self, z):
        x = np.zeros(self.whole.size)
        x[: self.whole.count].reshape(self.whole.shape)[:, self.features] = z[: self.problem.count].reshape(
            self.problem.shape
        )
        x[self.whole.count :] = z[self.problem.count :]
        return x


def _newton_steps(problem, x):
    """Iterates of proximal Newton steps, or of OWL-QN where the Hessian is too large to be formed.

    Where no step leads on (a Huber loss whose rows are all in its tails has no curvature), RELIEF of OWL-QN's do.
    """
    if problem.size > GRAM:
        yield from lbfgs(problem, x, State())
        return
    while True:
        for at in _steps(problem, x, _ByHessian(problem)):
            yield at
            x = at[0]
        before = problem.whole(at[1], x)
        for at in itertools.islice(lbfgs(problem, x, State()), RELIEF):
            yield at
            x = at[0]
        if not problem.whole(at[1], x) < before:
            return


class _ByHessian:
    """Values, gradients and minima of the quadratic model of all coefficients, with the Hessian.

    Of several classes that of mean curvatures is taken as long as a step leaves no more than HALF of the gradient; any is kept
    where its step left a TENTH.
    """

    def __init__(self, problem):
        self.problem, self.evaluate, self.gradient_at = problem, problem.evaluate, problem.gradient_at
        self._l1 = np.where(problem.weights, problem.l1, 0.0)
        self._H, self._norm, self._by_means = None, np.inf, problem.shape[0] > 1

    def minimize(self, x, g, kept, tol):
        norm, before = self.problem.norm(x, g), self._norm
        self._norm = norm
        if self._by_means and norm <= HALF * before:
            self._H = grounded(self.problem, self.problem.mean_hessian(kept))
        elif self._by_means or self._H is None or norm > TENTH * before:
            self._by_means = False
            self._H = grounded(self.problem, self.problem.hessian(kept))
        return minimize_quadratic(self._H, g, x, self._l1, *self.problem.limits(), tol)

    def took(self, step):
        pass


def _steps(problem, x, by):
    """Iterates of proximal Newton steps, until none leads on; by: ByColumns or _ByHessian."""
    kept, trial = problem.slot(), problem.slot()
    f, g = by.evaluate(x, kept)
    yield x, f, g
    l1 = np.where(problem.weights, problem.l1, 0.0)
    rounding = max(1e-12, problem.rounding)
    patience = Patience(problem.whole(f, x), problem.steepest(x, g), 5)
    while True:
        norm, whole = problem.norm(x, g), problem.whole(f, x)
        z = by.minimize(x, g, kept, max(norm * min(0.1, norm**0.5), 1e-16))
        d = z - x
        gain = dot(g, d) + dot(l1, np.abs(z) - np.abs(x))
        if not d.any():
            return
        f_new, g_new = by.evaluate(z, trial)
        whole_new = problem.whole(f_new, z)
        if whole_new <= whole + 1e-4 * gain or (
            problem.norm(z, g_new) < norm and whole_new <= whole + rounding * abs(whole)
        ):
            kept, trial = trial, kept
            by.took(1.0)
        elif not gain < 0:
            return
        else:
            problem.of_direction(x, d, kept, trial)
            phi, t = problem.along(x, d, kept, trial), 0.5
            while t > 1e-10 and not problem.whole(phi(t)[0], x + t * d) <= whole + 1e-4 * t * gain:
                t /= 2
            if t <= 1e-10:
                return
            by.took(t)
            problem.move(kept, trial, t)
            z = x + t * d
            f_new, g_new = by.gradient_at(z, kept)
        x, f, g = z, f_new, g_new
        yield x, f, g
        if patience.is_over(problem.whole(f, x), problem.steepest(x, g)):
            return
