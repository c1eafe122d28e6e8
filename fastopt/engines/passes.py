"""The passes of solvers over the rows in NumPy: the interface of kernels/solvers/kept.py."""

import numpy as np

from fastopt.engines.numpy import BLOCK, block_scores


class Passes:
    """See fastopt.kernels.solvers.kept.KeptPasses; kept scores are (classes, n)."""

    backend = "numpy"

    def __init__(self, rows, loss, threads=1):
        self.rows, self.loss, self.reads = rows, rows.formula(loss), 0
        self._k = tuple(map(float, loss))
        self._parts = [slice(i, min(i + BLOCK, rows.n)) for i in range(0, rows.n, BLOCK)]

    def slot(self):
        return np.zeros((self.rows.classes, self.rows.n), self.rows.dtype)

    def by_row(self, slot):
        return np.ascontiguousarray(slot.T)

    def by_class(self, slot):
        return slot

    def from_rows(self, scores):
        return np.ascontiguousarray(scores.T, self.rows.dtype)

    def evaluate(self, W, b, dW, db, scale, out=None):
        kept = self.slot() if out is None else out
        self.scores(W, b, kept)
        self.reads -= 1
        return self.gradient_at(kept, dW, db, scale)

    def gradient_at(self, kept, dW, db, scale):
        return scale * self._add_up(dW, db, scale, lambda part: self._slopes(kept[:, part], part))

    def hessian_product(self, kept, V, c, HV, Hc, scale):
        directions = self.slot()
        self.scores(V, c, directions)
        self.reads -= 1

        def curved(part):
            d = np.empty_like(kept[:, part])
            s, v = (np.ascontiguousarray(a[:, part]) for a in (kept, directions))
            self.loss.curvature(self._k, s, self._labels(part), v, d)
            return 0.0, d if self.rows.weight is None else d * self.rows.weight[part]

        self._add_up(HV, Hc, scale, curved)

    def scores(self, V, c, out):
        self.reads += 1
        for part in self._parts:
            out[:, part] = block_scores(self.rows.matrix(part), V, c)

    def gram(self, diagonals, ones=False):
        self.reads += 1
        X, features, result = self.rows.matrix(slice(None)), self.rows.features, []
        for d in diagonals:
            product = (
                (X.multiply(d[:, None]).T @ X).toarray() if hasattr(X, "indptr") else (X * d[:, None]).T @ X
            )
            whole = np.empty((features + ones,) * 2, product.dtype)
            whole[:features, :features] = (product + product.T) / 2
            if ones:
                whole[features, :features] = whole[:features, features] = X.T @ d
                whole[features, features] = d.sum(dtype=np.float64)
            result.append(whole)
        return np.array(result)

    def value_at(self, kept):
        return sum(self._slopes(kept[:, part], part)[0] for part in self._parts)

    def line(self, kept, direction, t):
        value = slope = 0.0
        t = kept.dtype.type(t)
        for part in self._parts:
            loss, d = self._slopes(kept[:, part] + t * direction[:, part], part)
            value += loss
            slope += float(np.sum(d * direction[:, part], dtype=np.float64))
        return value, slope

    def _slopes(self, s, part):
        """(sum of the losses, dscores) of some rows, weighted."""
        s = np.ascontiguousarray(s)
        d = np.empty_like(s)
        with np.errstate(all="ignore"):
            losses = self.loss.rows(self._k, s, self._labels(part), d)
            if self.rows.weight is not None:
                losses, d = losses * self.rows.weight[part], d * self.rows.weight[part]
        return float(np.sum(losses, dtype=np.float64)), d

    def _labels(self, part):
        return self.rows.labels(self.loss, part)

    def _add_up(self, dW, db, scale, slopes):
        self.reads += 1
        dW[...] = 0
        if db is not None:
            db[...] = 0
        total = 0.0
        with np.errstate(all="ignore"):  # a trial step may lead beyond what numbers hold
            for part in self._parts:
                loss, d = slopes(part)
                total += loss
                dW += (self.rows.matrix(part).T @ d.T).T
                if db is not None:
                    db += d.sum(axis=1)
        dW *= dW.dtype.type(scale)
        if db is not None:
            db *= db.dtype.type(scale)
        return total
