"""The quadratic model of a sparse problem with one row of W, minimized by its columns: no Hessian is formed."""

import numpy as np

from fastopt.solvers.quadratic import together

# Passes between two solutions for all at once, which take as long as 500 of them with 1,000 features.
MOST, ROUNDS = 100, 5
GRAM = 2500  # coefficients up to which a Hessian is formed: 50 MB
FLOOR = 1e-2  # share of the largest curvature that every row is given at first


class Columns:
    """X by columns in float64, the last one of ones where there is a b."""

    def __init__(self, problem):
        from scipy.sparse import csc_matrix

        from fastopt.kernels.solvers.descent import columns_entry

        self.problem = problem
        X = problem.objective.rows.matrix(slice(None)).tocsc()
        X.sum_duplicates()
        values, rows, ends = X.data.astype(np.float64), X.indices.astype(np.int32), X.indptr.astype(np.int64)
        if problem.scaling is not None:
            values /= np.repeat(problem.scaling.scale, np.diff(ends))
        n = X.shape[0]
        if problem.size > problem.count:
            values, rows = np.append(values, np.ones(n)), np.append(rows, np.arange(n, dtype=np.int32))
            ends = np.append(ends, len(values))
        self._matrix, self._share = csc_matrix((values, rows, ends), (n, problem.size)), FLOOR
        self._columns, self._descend = (values, rows, ends), columns_entry()
        self._l1 = np.where(problem.weights, problem.l1, 0.0)
        self._l2 = np.where(problem.weights, 2 * problem.l2, 0.0)
        self._low, self._high = problem.limits()

    def minimize(self, x, g, kept, features, tol):
        """Where the model around x, with gradient g, has its minimum over some features and b, to tol.

        Source: Friedman, Hastie & Tibshirani 2010; Yuan, Ho & Lin 2012.
        """
        D, z = self.problem.curvature(kept), x.copy()
        D = np.maximum(D, self._share * D.max(initial=0.0))
        pull = np.zeros(len(D))
        which = np.append(features, np.arange(self.problem.count, self.problem.size)).astype(np.int64)
        limits = self._l1, self._l2, self._low, self._high
        for _ in range(ROUNDS):
            if self._descend(*self._columns, D, pull, g, x, z, *limits, which, float(tol), MOST) < MOST:
                break
            self._together(D, pull, g, x, z, which)
        return z

    def _together(self, D, pull, g, x, z, which):
        """Solve for the entries in use at once, as far as no sign changes: sweeps do not get there."""
        used = which[(z[which] != 0) | (self._l1[which] == 0)]
        if len(used) > GRAM:
            return
        A = self._matrix[:, used]
        H = (A.T @ A.multiply(D[:, None])).toarray()
        H[np.diag_indices(len(used))] += self._l2[used]
        slope = g[used] + A.T @ pull + self._l2[used] * (z[used] - x[used])
        z[used] = together(H, slope, z[used], self._l1[used], self._low[used], self._high[used])
        pull[:] = D * (self._matrix @ (z - x))

    def took(self, step):
        """Told the length of each step. Rows without curvature (a Huber loss's far ones) are given a share of the largest,
        a larger one where steps had to be shortened: else a feature of such rows alone goes as far as l2 lets it.
        """
        self._share = min(1.0, max(10 * self._share, FLOOR)) if step < 1 else self._share / 10
