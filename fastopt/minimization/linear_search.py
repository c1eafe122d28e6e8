"""The lectures' random search: very many random W of a linear classifier, X read once for many of them."""

import numpy as np

from fastopt.arrays import checked_number, checked_whole
from fastopt.minimization.problem import real_numbers
from fastopt.minimization.result import result_class

BLOCK = 64  # W that are scored together: one product of (rows, features) with (features, BLOCK * classes)
ROWS = 2048  # rows whose scores stay in the cache


def random_linear_search(X, y, *, classes=None, samples=1000, scale=1e-4, bias=False, seed=0):
    """The best of `samples` random W (classes, features), scale times standard normal numbers, by accuracy on X, y.

    X (n, features) float32 or float64; y (n,) whole numbers from 0. bias: a random b for each W too. W number i
    follows from (seed, i // 64) alone. Scores of 64 W are one matrix product, so X is read from memory once for
    64 of them.
    Result: x = W, b, fun = 1 - accuracy, accuracy, index, accuracies (samples,), success.
    """
    X, samples, seed = (
        real_numbers(X, "X"),
        checked_whole(samples, "samples", 1),
        checked_whole(seed, "seed", 0),
    )
    scale = checked_number(scale, "scale", "a number")
    X = X if X.dtype in (np.float32, np.float64) else X.astype(np.float32)
    y = np.asarray(y)
    if X.ndim != 2 or y.shape != (len(X),) or not len(X):
        raise ValueError(f"X must be (n, features) and y (n,), not {X.shape} and {y.shape}")
    if y.dtype.kind not in "iu" or y.min() < 0:
        raise ValueError("y must be whole numbers from 0")
    k = int(y.max()) + 1 if classes is None else checked_whole(classes, "classes", 1)
    if k <= y.max():
        raise ValueError(f"classes must be above the largest label {y.max()}, not {classes}")
    right = np.zeros(samples, np.int64)
    for begin in range(0, len(right), BLOCK):
        W, b = _candidates(seed, begin // BLOCK, X, k, scale, bias)
        _count(X, y, W, b, right[begin : begin + BLOCK])
    best = int(np.argmax(right))
    W, b = _candidates(seed, best // BLOCK, X, k, scale, bias)
    accuracies = right / len(X)
    return result_class()(
        x=W[best % BLOCK].copy(), b=b[best % BLOCK].copy(), fun=1 - accuracies[best], accuracy=accuracies[best],
        index=best, accuracies=accuracies, success=True, message="all W were tried",
    )  # fmt: skip


def _candidates(seed, block, X, classes, scale, bias):
    """BLOCK W (BLOCK, classes, features) and b (BLOCK, classes)."""
    rng = np.random.default_rng([seed, block])
    W = rng.standard_normal((BLOCK, classes, X.shape[1]), dtype=X.dtype)
    W *= scale
    b = scale * rng.standard_normal((BLOCK, classes)) if bias else np.zeros((BLOCK, classes))
    return W, b.astype(X.dtype)


def _count(X, y, W, b, right):
    """right[i] += rows whose largest score by W[i] is that of y."""
    many, classes = len(right), W.shape[1]
    flat = W.reshape(-1, X.shape[1]).T
    for first in range(0, len(X), ROWS):
        scores = X[first : first + ROWS] @ flat[:, : many * classes]
        scores = scores.reshape(-1, many, classes)
        scores += b[:many]
        right += np.sum(scores.argmax(axis=2) == y[first : first + ROWS, None], axis=0)
