"""What L-BFGS begins with in place of the unit matrix: the Hessian for scores of equal curvature.

Where D is the same for all rows and classes, the Hessian of each class is a X'X + 2 l2 I. Taken of some rows and
factored once, it leaves L-BFGS what differs from that: letter takes 70 reads of X instead of 350, digits 60
instead of 276, and MNIST (C = 1) 25 to the value that scikit-learn's has after 100 iterations.
"""

import numpy as np

from fastopt import engines
from fastopt.losses import has_curvature
from fastopt.solvers.factors import inverse_of
from fastopt.solvers.scaling import column_moments, sampled, spread_out, unweighted

SAMPLED = 4  # rows of the sample, in features; at least LEAST
LEAST = 2000
LOOKED_AT = 4  # rows among which those of most curvature are found, in features; at least LEAST
BENT = 2  # and so many of these
WIDEST = 1500  # features
ONE_BY_ONE = 50  # classes, whose second derivatives by one score are looked at each alone
WORTH = 20  # the matrix is taken where its inverse takes less than so many reads of X
UNEVEN = 0.5  # spread of the rows' curvatures, over their mean, from which on it pays to take it in
RIDGE = 1e-6


def precondition(problem, x):
    """A function v -> M^-1 v for vectors like x, or None where the loss has no curvature."""
    objective = problem.objective
    rows, features = objective.rows, objective.features
    bend = _mean_curvature(problem, x)
    if not bend > 0:
        return None
    if features <= WIDEST and features**2 <= WORTH * rows.n * rows.classes:
        found = ByMatrix(problem, bend)
        if found.is_there:
            return found
    return _by_columns(problem, bend)


def by_columns(problem, x):
    """The same with the diagonal of M: what has signs or bounds to keep."""
    bend = _mean_curvature(problem, x)
    return _by_columns(problem, bend) if bend > 0 else None


def _mean_curvature(problem, x):
    """0 without rows, features or a formula of it."""
    rows, loss = problem.objective.rows, problem.objective.loss
    if not rows.n or not rows.features or not has_curvature(loss):
        return 0.0
    return float(np.mean(_curvature_of(problem, sampled(rows, 1000), x)))


def _curvature_of(problem, part, x):
    """Each row's mean of the second derivatives by one score at x, (n,)."""
    loss, classes = problem.objective.loss, problem.shape[0]
    W, b = problem.split(x)
    scores = part.matrix(slice(None)) @ W.T
    s = np.ascontiguousarray((scores if b is None else scores + b).T)
    # v'Dv has the sum of D's diagonal for its mean where signs v are drawn (Hutchinson 1989)
    signs = np.random.default_rng(0).choice(np.array([-1, 1], s.dtype), s.shape)
    total, D_v = np.zeros(part.n), np.empty_like(s)
    for c in range(classes) if classes <= ONE_BY_ONE else [slice(None)]:
        v = np.zeros_like(s)
        v[c] = 1 if classes <= ONE_BY_ONE else signs
        part.formula(loss).curvature(tuple(map(float, loss)), s, part.labels(loss), v, D_v)
        total += np.sum(v * D_v, axis=0, dtype=np.float64)
    return total / classes


class ByMatrix:
    """M^-1 for M = X' D X + 2 l2 I, the same for all classes; D: of every row the mean of its curvatures."""

    def __init__(self, problem, bend):
        self.problem, self.is_there, rows = problem, False, problem.objective.rows
        part = sampled(rows, max(LEAST, SAMPLED * rows.features))
        self._flat = self._moments(part, np.full(part.n, 1 / part.n))
        self._invert(bend * self._flat)

    def follow(self, x):
        """Take the curvatures at x: those of the rows where they are largest, the others' as if they were even.

        Softmax on 5,000 rows of MNIST: 84 reads of X to a relative gap of 1e-6 instead of 144; with all rows 80,
        with a matrix of its own for each class 59, which take longer to make than what they save.
        """
        rows = self.problem.objective.rows
        which = spread_out(rows.n, max(LEAST, LOOKED_AT * rows.features))
        if not rows.in_memory:  # read once
            rows, which = rows.take(which), np.arange(len(which))
        blocks = np.array_split(
            which, -(-len(which) // LEAST)
        )  # so that not all of them are copied at a time
        D = np.concatenate([_curvature_of(self.problem, unweighted(rows, block), x) for block in blocks])
        if not np.std(D) > UNEVEN * np.mean(D):
            return
        largest = np.sort(np.argsort(-D, kind="stable")[: max(LEAST, BENT * rows.features)])
        least = D[largest].min()
        own = self._moments(unweighted(rows, which[largest]), (D[largest] - least) / len(which))
        self._invert(own + np.minimum(D, least).mean() * self._flat)

    def _moments(self, part, D):
        """X' D X, with a column of ones where there is a b."""
        objective, dtype = self.problem.objective, part.dtype
        bias = self.problem.size > self.problem.count
        passes = engines.get(objective.engine).bind_passes(
            objective.loss, part._replace(classes=1), objective.threads
        )
        M = passes.gram(D.astype(dtype)[None], bias)[0].astype(np.float64, copy=False)
        return M if self.problem.scaling is None else self.problem.scaling.hessian(M, int(bias))

    def _invert(self, M):
        at, own = np.arange(len(M)), np.diagonal(M).copy()
        M[at, at] += RIDGE * np.where(own > 0, own, own.max(initial=0.0))  # of each: units do not matter
        at = at[: self.problem.shape[1]]
        M[at, at] += 2 * self.problem.l2
        inverse = inverse_of(M)
        if inverse is None:
            return
        # products with it are scores of its rows: no BLAS, whose threads spin on while passes want the CPUs
        part = sampled(self.problem.objective.rows, 1)
        n, objective = len(M), self.problem.objective
        y = np.zeros((n, *part.y.shape[1:]), part.y.dtype)
        rows = part._replace(X=inverse.astype(part.dtype), sparse=None, y=y, n=n, features=n)
        self._passes = engines.get(objective.engine).bind_passes(objective.loss, rows, 1)
        self._slot, self.is_there = self._passes.slot(), True

    def __call__(self, v):
        count, (classes, features) = self.problem.count, self.problem.shape
        columns = v[:count].reshape(classes, features)
        if self.problem.size > count:
            columns = np.column_stack([columns, v[count:]])
        self._passes.scores(np.ascontiguousarray(columns, self._slot.dtype), None, self._slot)
        columns = self._passes.by_row(self._slot).T.astype(np.float64)
        return np.concatenate([columns[:, :features].reshape(-1), columns[:, features:].reshape(-1)])


def _by_columns(problem, bend):
    classes, _ = problem.shape
    mean, squares = column_moments(problem.objective.rows)
    if problem.scaling is not None:
        squares = (
            squares - 2 * mean * problem.scaling.mean + problem.scaling.mean**2
        ) / problem.scaling.scale**2
    own = bend * squares + 2 * problem.l2
    own += 1e-6 * own.max(initial=1e-300)
    diagonal = np.concatenate([np.tile(own, classes), np.full(problem.size - problem.count, bend)])
    return lambda v: v / diagonal
