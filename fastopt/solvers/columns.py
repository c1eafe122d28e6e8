"""Proximal Newton steps of a sparse problem with one row of W, by the columns of X: no Hessian is formed."""

import numpy as np

from fastopt import native
from fastopt.arrays import aligned_zeros
from fastopt.native import address
from fastopt.solvers.dots import dot
from fastopt.solvers.quadratic import together
from fastopt.threads import share

# Passes between two solutions for all at once, which take as long as 500 of them with 1,000 features.
MOST, ROUNDS = 100, 5
GRAM = 2500  # coefficients up to which a Hessian is formed: 50 MB
FLOOR = 1e-2  # share of the largest curvature that every row is given at first
MORE = 400  # features that come in at a step; 100 and 3,000 take half as long again
SHARED = 1 << 18  # entries of X from which a gradient is shared by threads, some 0.3 ms


def working_set(problem, x, g, wanted):
    """Numbers of features, in order: those in use, and as many as `wanted` with the largest gradients."""
    used = (x[: problem.count].reshape(problem.shape) != 0).any(axis=0)
    slopes = np.abs(problem.steepest(x, g)[: problem.count].reshape(problem.shape)).max(axis=0)
    slopes[used] = 0
    candidates = np.flatnonzero(slopes)
    if len(candidates) > wanted:
        candidates = candidates[np.argpartition(slopes[candidates], -wanted)[-wanted:]]
    used[candidates] = True
    return np.flatnonzero(used)


class ByColumns:
    """Values, gradients and minima of the quadratic model, by the columns of X in float64."""

    def __init__(self, problem):
        self.problem, objective = problem, problem.objective
        X = objective.rows.matrix(slice(None)).tocsc()
        X.sum_duplicates()
        values, self.rows = X.data.astype(np.float64, copy=False), X.indices.astype(np.int32, copy=False)
        self.ends = X.indptr.astype(np.int64)
        if problem.scaling is not None:
            values = values / np.repeat(problem.scaling.scale, np.diff(self.ends))
        self.values, self._share = values, FLOOR
        self.l1, self.l2 = (np.where(problem.weights, v, 0.0) for v in (problem.l1, 2 * problem.l2))
        self.low, self.high = problem.limits()
        self._threads = objective.threads if len(values) > SHARED else 1
        cuts = np.searchsorted(self.ends, np.linspace(0, len(values), 9)[1:-1])
        self._cuts = [0, *cuts.tolist(), len(self.ends) - 1]

    def evaluate(self, x, out):
        """(f, its gradient) at x; its scores to `out`. A read of X by rows, and one by columns."""
        return self._with_gradient(self.problem.value(x, out), x, out)

    def gradient_at(self, x, kept):
        """The same where the scores of x are kept. One read."""
        W, problem = x[: self.problem.count], self.problem
        return self._with_gradient(
            problem.passes.value_at(kept.slot) * problem.factor + problem.l2 * dot(W, W), x, kept
        )

    def _with_gradient(self, value, x, kept):
        slopes, count, g = self.problem.slopes(kept), self.problem.count, np.empty(len(x))
        at = [address(v) for v in (self.values, self.rows, self.ends, slopes, g)]

        def times(i):
            native.lib.times_columns(*at, self._cuts[i], self._cuts[i + 1])

        share(times, range(8), self._threads)
        g[count:] = slopes.sum()
        if self.problem.l2:
            g += self.l2 * x
        self.problem.passes.reads += 1
        return value, g

    def minimize(self, x, g, kept, tol):
        """Where the model around x, with gradient g, has its minimum over b, the features in use and those that break the conditions most, to tol.

        Source: Friedman, Hastie & Tibshirani 2010; Yuan, Ho & Lin 2012.
        """
        D = self.problem.curvature(kept)
        D = np.maximum(D, self._share * D.max(initial=0.0))
        which = np.append(
            working_set(self.problem, x, g, MORE), np.arange(self.problem.count, self.problem.size)
        )
        model = _Model(self, np.sqrt(D), which.astype(np.int64), g, x)
        for _ in range(ROUNDS):
            if model.descend(float(tol), MOST) < MOST:
                break
            model.solve_together()
        z = x.copy()
        z[which] = model.z
        return z

    def took(self, step):
        """Told the length of each step. Rows without curvature (a Huber loss's far ones) are given a share of the largest,
        a larger one where steps had to be shortened: else a feature of such rows alone goes as far as l2 lets it.
        """
        self._share = min(1.0, max(10 * self._share, FLOOR)) if step < 1 else self._share / 10


class _Model:
    """The model over some columns. A = sqrt(D) X of these columns is packed, so that the Hessian is A'A + diag(l2), and what
    the step so far does to the rows, r = A (z - start), is kept up with z.
    """

    def __init__(self, whole, root, which, g, x):
        of_rows = which < whole.problem.count
        entries = np.diff(whole.ends)[which[of_rows]].sum() + len(root) * (~of_rows).sum()
        self.values, self.rows = np.empty(entries), np.empty(entries, np.int32)
        self.ends, bends = np.empty(len(which) + 1, np.int64), np.empty(len(which))
        columns, packed = (whole.values, whole.rows, whole.ends), (self.values, self.rows, self.ends)
        native.lib.pack_columns(
            *map(address, columns), len(whole.ends) - 1, address(root), len(root), address(which),
            *map(address, packed), len(which), address(bends),
        )  # fmt: skip
        self._numbers, self._used = (
            aligned_zeros(8 * len(which), np.float64).reshape(-1, 8),
            np.empty_like(which),
        )
        # as fo_column in csrc/sets.h
        self.z, self.slope, self.start, bend, self.l1, self.l2, self.low, self.high = self._numbers.T
        self.z[:], self.start[:], self.slope[:] = x[which], x[which], g[which]
        self.l1[:], self.l2[:] = whole.l1[which], whole.l2[which]
        self.low[:], self.high[:], bend[:] = whole.low[which], whole.high[which], bends + self.l2
        self.r = np.zeros(len(root))

    def descend(self, tol, most):
        """Descent, C's: the number of its passes."""
        at = [address(v) for v in (self.values, self.rows, self.ends, self.r, self._numbers, self._used)]
        return native.lib.descend_columns(*at, len(self._used), tol, most)

    def solve_together(self):
        """Solve for the entries in use at once, as far as no sign changes: passes do not get there."""
        from scipy.sparse import csc_matrix

        used = np.flatnonzero((self.z != 0) | (self.l1 == 0))
        if len(used) > GRAM:
            return
        whole = csc_matrix((self.values, self.rows, self.ends), (len(self.r), len(self.z)))
        A = whole[:, used]
        H = (A.T @ A).toarray()
        H[np.diag_indices(len(used))] += self.l2[used]
        moved = self.z - self.start
        slope = self.slope[used] + A.T @ self.r + self.l2[used] * moved[used]
        self.z[used] = together(H, slope, self.z[used], self.l1[used], self.low[used], self.high[used])
        self.r[:] = whole @ (self.z - self.start)
