"""Sums of max(0, t - s*score) over the rows, with one row of W: what the second-order methods for kinks share."""

import numpy as np

from fastopt import engines
from fastopt.solvers.dots import dot
from fastopt.solvers.factors import factored


class Terms:
    """l2*|w|^2 + sum_j c_j max(0, t_j - s_j (w x_j + b)), a w, a b, and dual variables a (as c), which give a lower bound of it.

    rows: float64 Rows of one class. c, t, s: (1 or 2, n), s of -1 and 1: a hinge has one term a row, a target two.
    b is where it begins, None for none; reach: how far from there the best one is at most, beside |b|.
    """

    a: np.ndarray
    over = True  # whether advance() has ended a round

    def __init__(self, objective, rows, c, t, s, l2, b, reach):
        self.rows, self.c, self.t, self.s, self.l2, self.reach = rows, c, t, s, l2, reach
        self.used, self.intercept = c > 0, b is not None
        self.w, self.bias = np.zeros(rows.features), 0.0 if b is None else float(b)
        self.objective, self._passes = objective, self._bound(objective, rows)
        self._slot, self._X = self._passes.slot(), rows.matrix(slice(None))

    @staticmethod
    def _bound(objective, rows):
        return engines.get(objective.engine).bind_passes(objective.loss, rows, objective.threads)

    def sum_up(self):
        """sums: X' of the rows' s*a; pull: what b misses of them."""
        u = (self.s * self.a).sum(axis=0)
        self.sums, self.pull = self._transposed(u), float(u.sum())

    def lower_bound(self):
        """The dual's value, from the sums; a b beyond |b| + reach is not the best one."""
        value = float((self.t * self.a).sum()) - dot(self.sums, self.sums) / (4 * self.l2)
        if self.intercept:
            value -= self.bias * self.pull + (self.reach + abs(self.bias)) * abs(self.pull)
        return value

    def put_aside(self, scores):
        """Here all rows take part."""

    def move_centre(self):
        """Here b is free."""

    @property
    def W(self):
        return self.w[None]

    @property
    def b(self):
        return np.array([self.bias])

    def _scores(self, d):
        c = d[-1:].copy() if self.intercept else None
        self._passes.scores(d[None, : len(self.w)].copy(), c, self._slot)
        return self._passes.by_row(self._slot)[:, 0]

    def _transposed(self, u, part=None):
        """X' u of the rows, or of a part of them, without BLAS."""
        X = self._X if part is None else part.matrix(slice(None))
        return np.asarray(X.T @ u) if self.rows.is_sparse else np.einsum("nf,n->f", X, u)


def inverse_of_scaled(M):
    """(A function g -> M^-1 g, diagonal^-1/2), or None where M is not nearly positive definite. M is scaled in place."""
    diagonal = np.diagonal(M).copy()
    if not (np.isfinite(diagonal).all() and (diagonal > 0).all()):
        return None
    unit, ridge = diagonal**-0.5, 0.0
    M *= unit * unit[:, None]
    while (inverse := factored(M, ridge)) is None:
        ridge = max(100 * ridge, 1e-14)
        if ridge > 1e-4:
            return None

    def solve(g):
        g = g * unit
        x = inverse(g)
        for _ in range(2):  # what rounding and the ridge have left
            x = x + inverse(g - np.einsum("ij,j->i", M, x))
        return x * unit

    return solve, unit
