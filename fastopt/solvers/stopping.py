"""When the gradient counts as 0 where no tol is given: measured by the sizes of features and of targets."""

from functools import partial

import numpy as np

from fastopt import losses

# Of the gradient, by dtype. lbfgs takes 40 % more reads for it than for 1e-7, where coefficients of digits were still
# 8e-5 off and the objective 2e-9; so 1e-6 and 1e-13.
TOLERANCES = {np.dtype(np.float64): 1e-9, np.dtype(np.float32): 1e-5}


def entry_sizes(problem, columns):
    """What each entry of the gradient is divided by: the size of its feature, and 1 for b.

    Entry j is the mean of slope * x_j: so X in other units leaves the quotient as it is, but for features smaller
    than 1 beside some that are larger: they count as 1, since tol is to be no tighter than it need be.
    """
    used = columns[(columns > 0) & np.isfinite(columns)]
    sizes = np.ones(problem.size)
    if used.size:
        most = used.max()
        columns = np.fmax(np.minimum(columns, most), min(1.0, most))
        sizes[: problem.count].reshape(problem.shape)[:] = columns
    return sizes


def default_tolerance(objective):
    """tol for the gradient by entry_sizes: relative to the slopes of the loss, which of classes are about 1."""
    tol, eps = TOLERANCES[objective.dtype], float(np.finfo(objective.dtype).eps)
    if objective.loss.one_row != "real":
        return tol
    rows, at = objective.rows, 0.0
    if rows.in_memory and rows.n and isinstance(objective.loss, losses.Huber | losses.EpsilonInsensitive):
        at = float(np.median(rows.y))  # far from the targets all slopes are the same
    n, total, squares = np.sum(_slopes(rows, objective.loss, at), axis=0)
    if not n or not np.isfinite(squares):
        return tol
    deviation = max(squares / n - (total / n) ** 2, 0.0) ** 0.5
    return max(
        tol * deviation, 8 * eps * (squares / n) ** 0.5
    )  # rounding of the slopes where they have a mean


def _slopes(rows, loss, at):
    """(count, sum, sum of squares) of the slopes at scores of `at`, of each part."""
    if rows.is_remote:
        return list(rows.map(partial(_slopes_of_part, loss, at)))
    return [_slopes_of_part(loss, at, part) for part in rows.without_features()]


def _slopes_of_part(loss, at, part):
    y = part.labels(loss)
    d = np.empty((1, len(y)), y.dtype)
    loss.rows(tuple(map(float, loss)), np.full_like(d, at), y, d)
    return len(y), d.sum(dtype=np.float64), np.einsum("cn,cn->", d, d, dtype=np.float64)
