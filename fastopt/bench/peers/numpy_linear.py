"""Gradients and training loops of linear models in NumPy: whole matrices, BLAS, buffers made once."""

import numpy as np


class Gradient:
    """value, dW and db of a loss at W, b for at most `rows` rows a call; its buffers are its own."""

    def __init__(self, loss, W, b, rows):
        self.W, self.b = W, b
        self.dscores = {"Softmax": self._softmax, "MulticlassHinge": self._hinge, "Hinge": self._binary}[loss]
        self.scores = np.empty((rows, len(W)), W.dtype)
        self.number = np.arange(rows)
        self.dW, self.db = np.empty_like(W), np.empty_like(b)

    def __call__(self, X, y):
        n = len(y)
        s, number = self.scores[:n], self.number[:n]
        np.matmul(X, self.W.T, out=s)
        s += self.b
        total = self.dscores(s, number, y)
        s *= 1 / n
        np.matmul(s.T, X, out=self.dW)
        np.sum(s, axis=0, out=self.db)
        return total / n, self.dW, self.db

    def _softmax(self, s, number, y):
        s -= s.max(axis=1, keepdims=True)
        own = s[number, y]
        np.exp(s, out=s)
        total = s.sum(axis=1, keepdims=True)
        s /= total
        s[number, y] -= 1
        return float(np.log(total).sum() - own.sum())

    def _hinge(self, s, number, y):
        s -= s[number, y][:, None]
        s += 1
        np.maximum(s, 0, out=s)
        s[number, y] = 0
        total = float(s.sum())
        np.greater(s, 0, out=s)
        s[number, y] = -s.sum(axis=1)
        return total

    def _binary(self, s, number, y):
        s[number, y] *= -1
        s += 1
        np.maximum(s, 0, out=s)
        total = float(s.sum())
        np.greater(s, 0, out=s)
        s[number, y] *= -1
        return total


def sparse_gradient(problem):
    """The same for softmax and CSR: scipy's two products."""
    X, y, W, b = problem
    number = np.arange(len(y))
    softmax = Gradient("Softmax", W, b, 1)._softmax

    def run():
        s = X @ W.T
        s += b
        total = softmax(s, number, y)
        s *= 1 / len(y)
        return total / len(y), s.T @ X, s.sum(axis=0)

    return run


def epoch(problem, loss, batch, lr=0.01, momentum=0.9):
    """One epoch of momentum over shuffled mini-batches (momentum 0: plain SGD)."""
    X, y, W, b = problem._replace(W=problem.W.copy(), b=problem.b.copy())
    gradient = Gradient(loss, W, b, batch)
    velocities, steps = ([np.zeros_like(W), np.zeros_like(b)] for _ in range(2))
    rows, labels = np.empty((batch, X.shape[1]), X.dtype), np.empty(batch, y.dtype)
    rng = np.random.default_rng(0)

    def run():
        order = rng.permutation(len(y))
        for begin in range(0, len(y), batch):
            which = order[begin : begin + batch]
            k = len(which)
            np.take(X, which, axis=0, out=rows[:k], mode="clip")  # any other mode goes through a copy
            np.take(y, which, out=labels[:k], mode="clip")
            _, dW, db = gradient(rows[:k], labels[:k])
            for p, g, v, step in zip((W, b), (dW, db), velocities, steps, strict=True):
                if momentum:
                    v *= momentum
                    v += g
                    g = v
                np.multiply(g, lr, out=step)
                p -= step

    return run


def softmax_value(problem):
    """The mean loss as a function of W."""
    X, y, _, b = problem
    number = np.arange(len(y))

    def value(W):
        s = X @ W.T + b
        s -= s.max(axis=1, keepdims=True)
        return float((np.log(np.exp(s).sum(axis=1)) - s[number, y]).mean())

    return value


def numeric_gradient(problem, eps=1e-6):
    """Central differences of the softmax loss by W, one entry after the other, all rows at once."""
    value, W = softmax_value(problem), problem.W.copy()
    flat, out = W.reshape(-1), np.empty(W.size)

    def run():
        for i in range(flat.size):
            kept = flat[i]
            flat[i] = kept + eps
            up = value(W)
            flat[i] = kept - eps
            out[i] = (up - value(W)) / (2 * eps)
            flat[i] = kept
        return out.reshape(W.shape)

    return run
