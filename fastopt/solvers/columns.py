"""The quadratic model of a sparse problem with one row of W, minimized by its columns: no Hessian is formed."""

import numpy as np

MOST = 100  # passes


class Columns:
    """X by columns in float64, the last one of ones where there is a b."""

    def __init__(self, problem):
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
        self._columns, self._descend = (values, rows, ends), columns_entry()
        self._l1 = np.where(problem.weights, problem.l1, 0.0)
        self._l2 = np.where(problem.weights, 2 * problem.l2, 0.0)
        self._low, self._high = problem.limits()

    def minimize(self, x, g, kept, features, tol):
        """Where the model around x, with gradient g, has its minimum over some features and b, to tol.

        Source: Friedman, Hastie & Tibshirani 2010; Yuan, Ho & Lin 2012.
        """
        D, z = self.problem.curvature(kept), x.copy()
        which = np.append(features, np.arange(self.problem.count, self.problem.size)).astype(np.int64)
        self._descend(
            *self._columns, D, g, x, z, self._l1, self._l2, self._low, self._high, which, float(tol), MOST
        )
        return z
