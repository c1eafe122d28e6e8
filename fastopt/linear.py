"""fo.value_and_grad: one use of an objective."""

import numpy as np

from fastopt import losses, penalties
from fastopt.arrays import check_float, checked_l2
from fastopt.engines import choose
from fastopt.objective import Objective
from fastopt.rows import checked_rows


def value_and_grad(
    loss, W, X, y, b=None, l2=0.0, sample_weight=None, backend=None, *, out=None, threads=None, scale=None
):
    """value = sum_i w_i L_i / sum_i w_i + l2*sum(W**2), and its gradient.

    W: (classes, features) float32 or float64: a row a class; one row for two classes with Logistic or
        Hinge, and for regression with SquaredError.
    X: (n, features) of W's dtype, C-ordered, or scipy CSR; or uint8, multiplied by `scale` (1/255)
        inside the loop, with a float32 W. y: (n,) class numbers, or real targets for regression; with Softmax
        and Logistic also soft labels, (n, classes) probabilities.
    b: (classes,) or None; it is not penalised. sample_weight: (n,), 1 each without.
    out: a dW, or (dW, db), to write to. Returns (value, dW) or (value, dW, db) with a b.

    X is read once, in blocks; the sums do not depend on `threads`. With no rows the value is that
    of the penalty. Raises TypeError or ValueError naming the argument that does not fit. For many calls
    on the same rows make a fo.Objective, which checks them once. Source of the formulas: each loss's docstring.
    """
    losses.checked(loss)
    _check_weights(W, b)
    unchecked = choose.resolve(backend) == "numba"
    rows = checked_rows(
        loss, X, y, classes=len(W), dtype=W.dtype, scale=scale, weight=sample_weight, columns=not unchecked
    )
    if rows.features != W.shape[1]:
        raise ValueError(f"X has {rows.features} features, W has {W.shape[1]}")
    objective = Objective.of_rows(
        loss, rows, penalties.combined(0.0, checked_l2(l2)), fit_intercept=b is not None, backend=backend,
        threads=threads, unchecked=unchecked,
    )  # fmt: skip
    return objective.value_and_grad(W, b, out)


def _check_weights(W, b):
    if not isinstance(W, np.ndarray) or W.ndim != 2 or not W.shape[0]:
        raise ValueError(f"W must be an array (classes, features), not {type(W).__name__} {np.shape(W)}")
    check_float(W, "W")
    if b is None:
        return
    if not isinstance(b, np.ndarray) or b.shape != W.shape[:1]:
        raise ValueError(f"b must be an array of shape {W.shape[:1]}, not {np.shape(b)}")
    if b.dtype != W.dtype:
        raise TypeError(f"b is {b.dtype}, W is {W.dtype}: convert one of them")
