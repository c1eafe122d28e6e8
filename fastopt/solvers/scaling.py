"""Features of mean 0 and standard deviation 1, by weights: X itself stays as it is."""

from typing import NamedTuple

import numpy as np

from fastopt.engines.numpy import BLOCK

AT_ONCE = 1 << 17  # entries of CSR rows


class Scaling(NamedTuple):
    """x' = (x - mean) / scale, column by column; mean is 0 where there is no b, and for sparse rows."""

    mean: np.ndarray
    scale: np.ndarray

    def weights(self, W, b):
        """(W, b) for x of those for x'."""
        W = W / self.scale
        return W, None if b is None else b - W @ self.mean

    def scaled(self, W, b):
        """The way back."""
        return W * self.scale, None if b is None else b + W @ self.mean

    def gradient(self, dW, db):
        """The gradient by those for x' of that by those for x."""
        dW = np.asarray(dW, np.float64)
        if db is not None:
            dW = dW - np.outer(db, self.mean)
        return dW / self.scale, db

    def hessian(self, H, biases):
        """The same of second derivatives, (p, p) with W row by row, then b, of so many numbers."""
        half = self._rows(H, biases)
        return self._rows(half.T, biases).T

    def _rows(self, H, biases):
        features = len(self.scale)
        count = len(H) - biases
        result = H.copy()
        weights = result[:count].reshape(-1, features, H.shape[1])
        if biases:
            weights -= self.mean[None, :, None] * H[count:][:, None, :]
        weights /= self.scale[None, :, None]
        return result

    def columns(self, which):
        return Scaling(self.mean[which], self.scale[which])


def sampled(rows, count):
    """Some rows, evenly spread."""
    return unweighted(rows, spread_out(rows.n, count))


def spread_out(n, count):
    """So many of n numbers of rows, or all."""
    return np.unique(np.linspace(0, n - 1, min(count, n)).astype(np.int64))


def unweighted(rows, which):
    return rows.take(which)._replace(weight=None)


def column_moments(rows):
    """(mean, mean square) of each column, float64; weights are not looked at."""
    total, squares = np.zeros(rows.features), np.zeros(rows.features)
    for own_total, own_squares in rows.map(column_sums):
        total += own_total
        squares += own_squares
    return total / max(rows.n, 1), squares / max(rows.n, 1)


def column_sums(part):
    """(sums, sums of squares) of the columns of some rows, float64."""
    total, squares = np.zeros(part.features), np.zeros(part.features)
    if part.sparse is not None:
        X = part.matrix(slice(None))
        if not X.has_canonical_format:  # entries that stand twice are one number, whose square is not theirs
            X = X.copy()
            X.sum_duplicates()
        values, columns = X.data, X.indices
        step = max(AT_ONCE, part.features)
        for begin in range(0, len(values), step):
            own = slice(begin, begin + step)
            v = values[own].astype(np.float64)
            total += np.bincount(columns[own], v, part.features)
            squares += np.bincount(columns[own], v * v, part.features)
        return total, squares
    for begin in range(0, part.n, BLOCK):
        X = part.matrix(slice(begin, min(begin + BLOCK, part.n)))
        total += np.asarray(X.sum(axis=0), np.float64).reshape(-1)
        squares += np.square(X, dtype=np.float64).sum(axis=0)
    return total, squares


def column_scaling(rows, centred=True):
    """The Scaling of the rows: a constant column keeps its scale."""
    mean, squares = column_moments(rows)
    variance = np.maximum(squares - mean**2, 0)
    if rows.is_sparse or not centred:
        mean, variance = np.zeros_like(mean), squares
    scale = np.sqrt(variance)
    flat = scale <= 1e-7 * np.sqrt(np.maximum(squares, 1e-300))
    return Scaling(mean, np.where(flat | (scale == 0), 1.0, scale))
