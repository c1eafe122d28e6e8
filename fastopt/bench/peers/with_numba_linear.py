"""Softmax and SVM gradients as a good Numba programmer writes them: a part of the rows for each core.

Every part walks over its rows once: scores, loss, and the row's share of the gradient, added up in
arrays of its own. fastmath lets the compiler vectorise the sums over features.
"""

import numba
import numpy as np
from numba import njit, prange


def gradient(problem, loss):
    """run() -> (mean loss, dW, db) of a problem (X, y, W, b); LookupError for a loss that is not here."""
    X, y, W, b = problem
    loop, parts = {"Softmax": softmax, "MulticlassHinge": multiclass_hinge}[loss], numba.get_num_threads()
    dW, db = np.empty((parts, *W.shape), W.dtype), np.empty((parts, len(b)), W.dtype)

    def run():
        total = loop(X, y, W, b, dW, db)
        n = W.dtype.type(len(y))
        return total / len(y), dW.sum(axis=0) / n, db.sum(axis=0) / n

    return run


@njit(parallel=True, fastmath=True)
def softmax(X, y, W, b, dW, db):
    n, parts, total = len(X), len(dW), 0.0
    for part in prange(parts):
        dW[part], db[part] = 0, 0
        s = np.empty_like(b)
        for i in range(part * n // parts, (part + 1) * n // parts):
            scores(X[i], W, b, s)
            top, own = s.max(), s[y[i]]
            s -= top
            np.exp(s, s)
            z = s.sum()
            total += np.log(z) + top - own
            s /= z
            s[y[i]] -= 1
            add(s, X[i], dW[part], db[part])
    return total


@njit(parallel=True, fastmath=True)
def multiclass_hinge(X, y, W, b, dW, db):
    n, parts, total = len(X), len(dW), 0.0
    for part in prange(parts):
        dW[part], db[part] = 0, 0
        s = np.empty_like(b)
        for i in range(part * n // parts, (part + 1) * n // parts):
            scores(X[i], W, b, s)
            own, over = s[y[i]], 0
            for c in range(len(s)):
                margin = s[c] - own + 1
                inside = c == y[i] or margin <= 0
                s[c] = 0 if inside else 1
                over += 0 if inside else 1
                total += 0 if inside else margin
            s[y[i]] = -over
            add(s, X[i], dW[part], db[part])
    return total


@njit(fastmath=True)
def scores(x, W, b, s):
    for c in range(len(W)):
        sum = b[c]
        for f in range(len(x)):
            sum += W[c, f] * x[f]
        s[c] = sum


@njit(fastmath=True)
def add(s, x, dW, db):
    for c in range(len(dW)):
        if s[c] != 0:
            db[c] += s[c]
            for f in range(len(x)):
                dW[c, f] += s[c] * x[f]
