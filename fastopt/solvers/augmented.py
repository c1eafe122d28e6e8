"""Semismooth Newton steps on the augmented Lagrangian of losses with kinks: many rows, few features.

With a penalty of sigma/2 on how far a row's loss is from its term, the terms become smooth: quadratic between two kinks, where few
rows are. A step's Hessian takes those rows alone, so that it costs little more than the scores of its direction.
"""

import numpy as np

from fastopt.solvers.dots import dot
from fastopt.solvers.terms import Terms, inverse_of_scaled

WIDEST, ROWS = 500, 10  # features, and rows to each of them, from which it is gone over to
LARGEST = 1 << 26  # entries of float32 rows, of which a float64 copy (512 MB) is made
# Passes of ascent over all rows that its steps, 15 to 50, take as long as, with dense rows and with sparse ones
DENSE, SPARSE = 25, 100
CALLS = 100_000  # rows that ascent looks at while calls of those steps take 8 ms: 500 x 5, l2 = 0.01, 10 ms where ascent took 3
MORE = 3.0  # sigma's growth: a9a (C = 1) 39 steps; with 1 more than 200
MOST_SIGMA = 1e9  # times the first one
ENOUGH = 0.03  # of the gradient at first, before the dual variables move on
STEPS = 12  # between two measurements
HALVINGS, FLAT = 40, 0.1  # of a line search, which ends where the slope is so much of that at 0


class Pace:
    """Whether ascent, as fast as in its last round, would take longer than Newton steps to a gap of tol."""

    def __init__(self, problem, tol):
        rows, features = problem.objective.rows, problem.shape[1]
        self.tol, self.gap, self.visited = tol, problem.of_zeros(), 0
        self.cost = CALLS + (SPARSE if rows.is_sparse else DENSE) * rows.n
        small = rows.dtype == np.float64 or rows.entries <= LARGEST
        self.may = small and features <= WIDEST and rows.n >= ROWS * features

    def is_slower(self, value, gap, ascents):
        visited = max(part.visited for part in ascents)
        least, before, self.gap = self.tol * abs(value), self.gap, min(gap, self.gap)
        self.visited += visited
        # first rounds say little where b is far off: of few rows there is time for more
        if not self.may or not gap > least or self.visited < CALLS / 2:
            return False
        return np.log(self.gap / least) * visited > self.cost * np.log(before / self.gap)


class Augmented(Terms):
    """The steps, from w, b and dual variables of dual ascent.

    Source: Li, Sun & Toh 2018 (SsNAL); Yin & Li 2019 for support vector machines.
    """

    def __init__(self, objective, rows, c, t, s, l2, b, reach, w, a):
        super().__init__(objective, rows, c, t, s, l2, b, reach)
        self.w, self.a, self.centre = w.copy(), a, a
        self.sigma = float(c.max(initial=0.0)) / max(reach, 1e-300)
        self.most, self.over = MOST_SIGMA * self.sigma, False
        # at the first step since the centre moved: the size of the gradient, and what its entries are multiplied by
        self.first, self.unit = 0.0, np.ones(0)
        x = np.append(self.w, self.bias) if self.intercept else self.w
        self.scores = self._scores(x).copy()
        self.sum_up()
        self._look()

    def advance(self):
        """Steps to where the gradient is ENOUGH of what it was, after which the dual variables there are the next centre."""
        if self.over:
            self.centre, self.first = self.a, 0.0
            self.sigma = min(MORE * self.sigma, self.most)
            self._look()
        self.over = False
        for _ in range(STEPS):
            g = np.append(2 * self.l2 * self.w - self.sums, [-self.pull] * self.intercept)
            found = inverse_of_scaled(self._hessian())
            if found is None:
                break
            solve, self.unit = found[0], self.unit if self.first else found[1]
            size = float(np.abs(g * self.unit).max())
            self.first = self.first or size
            d = -solve(g)
            if not (size > ENOUGH * self.first and dot(d, g) < 0 and self._move(d)):
                break
        else:
            return
        self.over = True

    def lower_bound(self):
        """Of sums without the rounding of the steps' changes."""
        self.sum_up()
        return super().lower_bound()

    def _dual_ahead(self, scores):
        """Where the augmented Lagrangian's dual variables would go, without their bounds."""
        return self.centre + self.sigma * (self.t - self.s * scores)

    def _look(self):
        """The dual variables at the scores; the sums change by the rows whose own did."""
        ahead = self._dual_ahead(self.scores)
        a = np.minimum(np.maximum(ahead, 0), self.c)
        self.between = (a == ahead) & (a > 0) & (a < self.c)
        change = (self.s * (a - self.a)).sum(axis=0)
        self.a, rows = a, np.flatnonzero(change)
        if 2 * len(rows) > len(change):
            self.sum_up()
        elif len(rows):
            part = self.rows.take(rows)
            self.sums = self.sums + self._transposed(change[rows], part)
            self.pull += float(change.sum())

    def _hessian(self):
        """X'DX + 2 l2 I of the rows between their kinks."""
        features, D = len(self.w), self.sigma * self.between.sum(axis=0)
        rows = np.flatnonzero(D)
        if len(rows):
            part = self.rows.take(rows)
            M = self._bound(self.objective, part).gram(D[None, rows], self.intercept)[0]
        else:
            M = np.zeros((features + self.intercept,) * 2)
        at = np.arange(features)
        M[at, at] += 2 * self.l2
        if self.intercept and not len(rows):  # as if all were: nothing else holds b
            M[features, features] = self.sigma * self.used.sum()
        return M

    def _move(self, d):
        """By d, or less where the slope has turned before; whether anything changed."""
        features, ends = len(self.w), self._scores(d)
        flat, bend = 2 * self.l2 * dot(self.w, d[:features]), 2 * self.l2 * dot(d[:features], d[:features])

        sides = self.s * ends
        ahead, falls = self._dual_ahead(self.scores), self.sigma * sides
        at_0, at_1 = (np.minimum(np.maximum(at, 0), self.c) for at in (ahead, ahead - falls))
        # the others stay at a bound on all the way
        moves = (at_0 != at_1) | (at_0 > 0) & (at_0 < self.c)
        ahead, falls, sides, c = ahead[moves], falls[moves], sides[moves], self.c[moves]
        flat -= float((at_0[~moves] * (self.s * ends)[~moves]).sum())

        def slope(t):
            return flat + t * bend - float((np.minimum(np.maximum(ahead - t * falls, 0), c) * sides).sum())

        low, high, t, first = 0.0, 1.0, 1.0, -slope(0.0)
        if slope(1.0) > 0:
            for _ in range(HALVINGS):
                t = (low + high) / 2
                now = slope(t)
                if abs(now) <= FLAT * first:
                    break
                low, high = (low, t) if now > 0 else (t, high)
        w, bias = self.w + t * d[:features], self.bias + t * float(d[-1]) * self.intercept
        if (w == self.w).all() and bias == self.bias:
            return False
        self.w, self.bias, self.scores = w, bias, self.scores + t * ends
        self._look()
        return True
