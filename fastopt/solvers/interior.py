"""An interior point method for the losses of dual ascent with one row of W, where ascent is slow.

Ascent takes as long as features are alike; this takes some 20 Newton steps whatever they are, each of them a Gram
matrix of all rows and its Cholesky factor.
"""

import numpy as np

from fastopt.solvers.terms import Terms, inverse_of_scaled

WIDEST = 2500  # features
NEAR = 0.995  # of the way to the next bound
DONE = 1e-15  # of the mean product of a variable and its multiplier, over what it was at first


class Interior(Terms):
    """The steps. Source: Mehrotra 1992; Ferris & Munson 2002."""

    def __init__(self, objective, rows, c, t, s, l2, b, reach):
        super().__init__(objective, rows, c, t, s, l2, b, reach)
        below = t - s * self.bias
        # a: dual variables in (0, c), v: c - a; xi: what is lost, r: what is to spare
        self.a, self.v = c / 2, c / 2
        self.xi = np.maximum(below, 0) + np.abs(below).mean() + 1e-300
        self.r = self.xi - below
        self.first = None
        self.sum_up()

    def advance(self):
        """One step, of a prediction and its correction; none where rounding is all that is left."""
        a, v, xi, r, used = self.a, self.v, self.xi, self.r, self.used
        mean = self._mean(a, v, xi, r)
        self.first = self.first or mean
        if not mean > DONE * self.first:
            return
        with np.errstate(divide="ignore", invalid="ignore"):
            e = np.where(used, r + a * xi / v, 1.0)
        D = np.where(used, a / e, 0.0)
        solve = self._factor(D.sum(axis=0))
        if solve is None:
            self.first = np.inf
            return
        rest = self._rest()
        da, dxi, dr, _ = self._step(solve, D, e, rest, -a * r, -v * xi)
        t = self._length(da, dxi, dr)
        ahead = self._mean(a + t * da, v - t * da, xi + t * dxi, r + t * dr)
        aim = (ahead / mean) ** 3 * mean
        da, dxi, dr, d = self._step(solve, D, e, rest, aim - a * r - da * dr, aim - v * xi + da * dxi)
        t = NEAR * self._length(da, dxi, dr)
        self.a, self.v, self.xi, self.r = a + t * da, v - t * da, xi + t * dxi, r + t * dr
        self.w = self.w + t * d[: len(self.w)]
        if self.intercept:
            self.bias += t * d[-1]
        self.sum_up()

    def _mean(self, a, v, xi, r):
        return float((a * r + v * xi)[self.used].mean()) if self.used.any() else 0.0

    def _rest(self):
        """What the derivatives by (w, b) lack of 0."""
        g = 2 * self.l2 * self.w - self.sums
        return np.append(g, -self.pull) if self.intercept else g

    def _step(self, solve, D, e, rest, to_a, to_v):
        """(da, dxi, dr, d of (w, b)): a*r and v*xi change by to_a and to_v."""
        with np.errstate(divide="ignore", invalid="ignore"):
            own = np.where(self.used, (to_a - self.a * to_v / self.v) / e, 0.0)
        q = (self.s * own).sum(axis=0)
        g = self._transposed(q)
        d = solve((np.append(g, q.sum()) if self.intercept else g) - rest)
        scores = self.s * self._scores(d)
        da = own - D * scores
        with np.errstate(divide="ignore", invalid="ignore"):
            dxi = np.where(self.used, (to_v + self.xi * da) / self.v, 0.0)
        return da, dxi, np.where(self.used, scores + dxi, 0.0), d

    def _length(self, da, dxi, dr):
        """How far all stay above 0, at most 1."""
        t = 1.0
        for x, d in ((self.a, da), (self.v, -da), (self.xi, dxi), (self.r, dr)):
            falls = self.used & (d < 0)
            t = min(t, float((x[falls] / -d[falls]).min(initial=1.0)))
        return t

    def _factor(self, D):
        """A function g -> M^-1 g, M = X' D X + 2 l2 I, with a column of ones for b."""
        features = len(self.w)
        M = self._passes.gram(D[None], self.intercept)[0]
        at = np.arange(features)
        M[at, at] += 2 * self.l2
        found = inverse_of_scaled(M)
        return found and found[0]
