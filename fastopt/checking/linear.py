"""The numeric gradient of a linear model's loss: one weight moves one column of scores.

A plain loop over the weights evaluates all scores for each. Here a weight W[c, j] moved by h moves the
scores of class c by h*X[:, j], so a difference costs one pass of the loss's formula over the rows.
"""

import numpy as np

from fastopt import losses
from fastopt.arrays import checked_l2, checked_number
from fastopt.engines import choose
from fastopt.rows import checked_rows

_CHUNK = 64  # features at a time: blocks of rows x 64 stay in the second-level cache
_ROWS = 512


def numeric_linear_gradient(loss, W, X, y, b=None, *, l2=0.0, sample_weight=None, eps=1e-6, scale=None):
    """Central differences of fo.value_and_grad's value: dW (classes, features) and, with b, db; float64.

    Arguments as in fo.value_and_grad; X dense or CSR (uint8 times scale, 1/255). eps: step relative to max(1, |weight|).
    Row by row differences are taken before they are summed, which loses fewer digits than the
    difference of two means.
    """
    W = np.asarray(W, dtype=np.float64)
    if W.ndim != 2 or not len(W):
        raise ValueError(f"W must be (classes, features), not {W.shape}")
    rows = checked_rows(losses.checked(loss), X, y, classes=len(W), scale=scale, weight=sample_weight)
    if W.shape[1] != rows.features:
        raise ValueError(f"W {W.shape} and X {np.shape(X)} do not fit: (classes, features) and (n, features)")
    if not rows.n:
        raise ValueError("X has no rows")
    l2, eps = checked_l2(l2), checked_number(eps, "eps", "a number above 0")
    if not 0 < eps < np.inf:
        raise ValueError(f"eps must be a number above 0, not {eps!r}")
    if b is not None and np.shape(b := np.asarray(b, dtype=np.float64)) != (len(W),):
        raise ValueError(f"b must have the shape ({len(W)},), one number a row of W, not {b.shape}")
    if rows.sparse is None:
        X = np.asarray(rows.X, np.float64) * rows.scale
    else:
        X = rows.matrix(slice(None)).astype(np.float64)
    if rows.y.dtype.kind != "f":
        y = rows.labels(loss)
    elif not rows.soft:
        y = np.asarray(y, np.float64)
    else:
        y, loss = rows.y.astype(np.float64), rows.formula(loss)
    n = rows.n
    weight = np.ones(n) if sample_weight is None else np.asarray(sample_weight, dtype=np.float64)
    scores = np.asarray(X @ W.T, dtype=np.float64)
    if b is not None:
        scores = scores + b
    weight = weight / weight.sum()
    steps = eps * np.maximum(1.0, np.abs(W))
    dW = _weights(loss, scores, X, y, weight, steps) + 2 * l2 * W
    if b is None:
        return dW
    steps = eps * np.maximum(1.0, np.abs(b))[:, None]
    return dW, _weights(loss, scores, np.ones((n, 1)), y, weight, steps)[:, 0]


def _weights(loss, scores, X, y, weight, steps):
    if choose.has_numba() and y.ndim == 1:
        from fastopt.kernels.differences.linear_differences import differences

        return differences(loss, scores, X, y, weight, steps)
    return by_formula(loss, scores, X, y, weight, steps)


def by_formula(loss, scores, X, y, weight, steps):
    """The same on NumPy arrays."""
    result = np.zeros(steps.shape)
    k = tuple(float(v) for v in loss)
    for first in range(0, X.shape[0], _ROWS):
        rows = slice(first, first + _ROWS)
        block, columns, labels = _dense(X[rows]), list(scores[rows].T[:, :, None]), y[rows].T[..., None]
        for begin in range(0, steps.shape[1], _CHUNK):
            features = slice(begin, begin + _CHUNK)
            for c in range(len(steps)):
                h = steps[c, features]
                move = block[:, features] * h
                up = _moved(loss, k, columns, labels, c, move)
                down = _moved(loss, k, columns, labels, c, -move)
                result[c, features] += weight[rows] @ (up - down) / (2 * h)
    return result


def _moved(loss, k, columns, labels, c, move):
    """Losses (rows, features) with the scores of class c moved."""
    s = list(columns)
    s[c] = s[c] + move
    s[0] = np.broadcast_to(s[0], move.shape)  # zeros_like(s[0]) in a formula: room for all features
    return loss.rows(k, s, labels, [None] * len(s))


def _dense(block):
    return np.asarray(block.toarray() if hasattr(block, "toarray") else block, dtype=np.float64)
