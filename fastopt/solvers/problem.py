"""An objective as solvers see it: a smooth function of one vector x, and l1*sum|x| on its weights."""

import numpy as np

from fastopt.engines import parted
from fastopt.solvers.curvature import curvatures, slopes, weighted_grams
from fastopt.solvers.dots import dot

WHOLE, LESS = 0, 1  # scores of x; and those less the scores that were kept at the time


class Scores:
    """Kept scores of all rows, in a slot. made: [(kind, x, factor)], what they are the sum of, in order."""

    def __init__(self, slot):
        self.slot, self.made = slot, []


class Problem:
    """x = (W row by row, then b), float64: f(x) = mean loss + l2*|W|^2, the smooth part, and its derivatives.

    Scores are kept in slots of the engine's passes, so that a line search reads no X; `reads` counts the
    passes over X. weights: which entries of x are W's. bounds: (low, high) of as
    many numbers, or None.
    """

    def __init__(self, objective, scaling=None, bounds=None):
        self.objective, self.scaling, self.bounds = objective, scaling, bounds
        rows, self.factor = objective.rows, objective.rows.one_over_weights
        self.passes = parted.bind_passes(objective.engine, objective.loss, rows, objective.threads)
        self.shape, self.count = (
            (objective.classes, objective.features),
            objective.classes * objective.features,
        )
        self.size = self.count + objective.classes * objective.fit_intercept
        self.l1, self.l2 = float(objective.penalty.l1), float(objective.penalty.l2)
        self.weights = np.arange(self.size) < self.count
        self.entry_sizes = None  # what `measure` divides the gradient by
        self.rounding = 4 * float(np.finfo(objective.dtype).eps)
        self._dW, self._db = objective.zeros()
        self._of_zeros = None
        self._steepest, self._sum = (None, None, None), (None, 0.0)
        self._flat = None  # X'X of the rows with their weights, for mean_hessian
        self.given_bounds = None  # those of the features as they are

    @property
    def reads(self):
        return self.passes.reads

    def limits(self):
        """(low, high) of every entry of x."""
        low, high = np.full(self.size, -np.inf), np.full(self.size, np.inf)
        if self.bounds is not None:
            low[: self.count], high[: self.count] = self.bounds
        return low, high

    def within(self, x):
        """x, with weights moved into the bounds."""
        if self.bounds is None:
            return x
        return np.clip(x, *self.limits())

    def slot(self):
        return Scores(self.passes.slot())

    def join(self, W, b):
        return np.concatenate([np.ravel(W), () if b is None else b]).astype(np.float64)

    def start(self, given):
        """x of (W, b), or of zeros."""
        if given is None:
            return np.zeros(self.size)
        W, b = self.objective.fitting(*given)
        if self.scaling is not None:
            W, b = self.scaling.scaled(W, b)
        return self.join(W, b)

    def split(self, x):
        """(W, b) as the data want them: of the objective's dtype, for features as they are."""
        W, b = x[: self.count].reshape(self.shape), x[self.count :] if self.objective.fit_intercept else None
        if self.scaling is not None:
            W, b = self.scaling.weights(W, b)
            if self.given_bounds is not None:  # what was scaled and back may be off by a rounding
                W = np.clip(W, *(side.reshape(self.shape) for side in self.given_bounds))
        dtype = self.objective.dtype
        return W.astype(dtype), None if b is None else b.astype(dtype)

    def _gradient(self):
        """What passes wrote, by x."""
        dW, db = self._dW, self._db
        if self.scaling is not None:
            dW, db = self.scaling.gradient(dW, db)
        return self.join(dW, db)

    def value(self, x, out):
        """f at x, its scores to `out`. One read."""
        self.scores(x, out)
        W = x[: self.count]
        return self.passes.value_at(out.slot) * self.factor + self.l2 * dot(W, W)

    def of_zeros(self):
        """f where all scores are 0. No read, and none of the labels but once."""
        if self._of_zeros is None:
            self._of_zeros = self.passes.value_at(self.slot().slot) * self.factor
        return self._of_zeros

    def evaluate(self, x, out=None):
        """(f, its gradient) at x; its scores to `out`. One read."""
        W, b = self.split(x)
        loss = self.passes.evaluate(W, b, self._dW, self._db, self.factor, None if out is None else out.slot)
        if out is not None:
            out.made = [(WHOLE, x, 1.0)]
        return self._penalised(loss, x)

    def gradient_at(self, x, kept):
        """The same where the scores of x are kept. One read."""
        loss = self.passes.gradient_at(kept.slot, self._dW, self._db, self.factor)
        return self._penalised(loss, x)

    def _penalised(self, loss, x):
        g, W = self._gradient(), x[: self.count]
        if self.l2:
            g[: self.count] += 2 * self.l2 * W
            loss += self.l2 * dot(W, W)
        return loss, g

    def scores(self, d, out):
        """The scores of a direction. One read."""
        V, c = self.split(d)
        self.passes.scores(V, c, out.slot)
        out.made = [(WHOLE, d, 1.0)]

    def of_direction(self, x, d, kept, trial):
        """Make of the scores of x + d in `trial` those of d; where d is so small that they would be rounding, by a read."""
        if np.abs(d).max() <= self.rounding**0.5 * np.abs(x).max(initial=0.0):
            self.scores(d, trial)
        else:
            self._less(trial, kept)

    def _less(self, trial, kept):
        trial.slot -= kept.slot
        trial.made = [(LESS, trial.made[0][1], 1.0)]

    def move(self, kept, trial, step):
        """Add to the kept scores those of a direction, in `trial`, times the step."""
        trial.slot *= trial.slot.dtype.type(step)
        kept.slot += trial.slot
        kind, x, _ = trial.made[0]
        kept.made.append((kind, x, step))

    def remade(self, made):
        """Scores as others were made, with the same bits. A read an entry of `made`."""
        kept, trial = self.slot(), self.slot()
        self.scores(made[0][1], kept)
        for kind, x, step in made[1:]:
            self.scores(x, trial)
            if kind == LESS:
                self._less(trial, kept)
            self.move(kept, trial, step)
        return kept

    def hessian_product(self, kept, v):
        """The second derivative of f at kept scores times v. One read."""
        V, c = self.split(v)
        self.passes.hessian_product(kept.slot, V, c, self._dW, self._db, self.factor)
        product = self._gradient()
        product[: self.count] += 2 * self.l2 * v[: self.count]
        return product

    def hessian(self, kept):
        """The second derivative of f at kept scores, (size, size). One read."""
        pairs = self._pairs()
        grams = iter(self._grams(kept, pairs))
        total = next(grams)
        for more in grams:
            total += more
        return self._whole_hessian(total, pairs)

    def mean_hessian(self, kept):
        """The same as if the rows' second derivatives by the scores were their mean in every row, as they are at zeros: of one
        Gram matrix instead of one a pair of classes, made once. Of rows in memory.
        """
        loss, dtype, pairs = self.objective.loss, self.objective.dtype, self._pairs()
        means = np.zeros((self.shape[0], self.shape[0]))
        for own, part, scores in self._each(kept):
            means += curvatures(loss, part, own.by_class(scores)).sum(axis=2, dtype=np.float64)
        if self._flat is None:
            self._flat = np.zeros((self.shape[1] + (self.size > self.count),) * 2)
            for own, part, _ in self._each(kept):
                weight = np.ones(part.n, dtype) if part.weight is None else part.weight
                self._flat += own.gram((weight * dtype.type(self.factor))[None], self.size > self.count)[0]
        return self._whole_hessian([self.factor * means[pair] * self._flat for pair in pairs], pairs)

    def _pairs(self):
        classes = self.shape[0]
        return [(c, k) for c in range(classes) for k in range(c, classes)]

    def _whole_hessian(self, blocks, pairs):
        """Of blocks of the mean loss's, which may be written to: that for x, with the penalty's part."""
        H = blocks[0].astype(np.float64, copy=False) if len(pairs) == 1 else self._joined(blocks, pairs)
        if self.scaling is not None:
            H = self.scaling.hessian(H, self.size - self.count)
        np.einsum("ii->i", H)[: self.count] += 2 * self.l2
        return H

    def _joined(self, blocks, pairs):
        """The blocks of pairs of classes, b's among them, as one matrix for x."""
        (classes, features), b = self.shape, self.count
        H = np.empty((self.size, self.size))
        own = [slice(c * features, (c + 1) * features) for c in range(classes)]
        for pair, block in zip(pairs, blocks, strict=True):
            for c, k in (pair, pair[::-1]):
                H[own[c], own[k]] = block[:features, :features]
                if self.size > self.count:
                    H[b + c, own[k]] = H[own[c], b + k] = block[features, :features]
                    H[b + c, b + k] = block[features, features]
        return H

    def _grams(self, kept, pairs):
        """weighted_grams of every part of the rows."""
        loss, ones = self.objective.loss, self.size > self.count
        if self.objective.rows.is_remote:
            return self.passes.grams(kept.slot, pairs, self.factor, ones)
        each = self._each(kept)
        return (
            weighted_grams(loss, part, own, scores, pairs, self.factor, ones) for own, part, scores in each
        )

    def _each(self, kept):
        """(its passes, its rows, its scores) of every part of the rows."""
        slot = kept.slot
        return (
            self.passes.each(slot)
            if isinstance(slot, parted.Slots)
            else [(self.passes, self.objective.rows, slot)]
        )

    def slopes(self, kept):
        """The derivative of each row's part of f by its score, (n,), of one class."""
        each = [
            slopes(self.objective.loss, part, own.by_class(scores)) for own, part, scores in self._each(kept)
        ]
        return np.concatenate(each).astype(np.float64) * self.factor

    def curvature(self, kept):
        """The second derivative of each row's part of f by its score, (n,), of one class."""
        loss = self.objective.loss
        each = [curvatures(loss, part, own.by_class(scores))[0, 0] for own, part, scores in self._each(kept)]
        return np.concatenate(each).astype(np.float64) * self.factor

    def along(self, x, d, kept, direction):
        """t -> (f, df/dt) at x + t d, from kept scores of x and d. No read."""
        W, V = x[: self.count], d[: self.count]
        squares = dot(W, W), dot(W, V), dot(V, V)

        def phi(t):
            loss, slope = self.passes.line(kept.slot, direction.slot, t)
            a, b, c = squares
            value = loss * self.factor + self.l2 * (a + 2 * t * b + t * t * c)
            return value, slope * self.factor + 2 * self.l2 * (b + t * c)

        return phi

    def whole(self, f, x):
        """The objective: f and what is not smooth. x is not to be changed: its sum is asked for again and again."""
        if not self.l1:
            return f
        if self._sum[0] is not x:
            self._sum = x, float(np.abs(x[: self.count]).sum())
        return f + self.l1 * self._sum[1]

    def steepest(self, x, g):
        """The gradient of the whole objective: the subgradient nearest to 0, without what bounds stop. Not to be changed."""
        if self._steepest[0] is x and self._steepest[1] is g:  # it is asked for four times an iteration
            return self._steepest[2]
        found = self._made_steepest(x, g)
        self._steepest = x, g, found
        return found

    def _made_steepest(self, x, g):
        if self.l1:
            g = g.copy()
            W, part = x[: self.count], g[: self.count]
            # with rounding, or that leads away from 0 at the largest l1 with a weight
            held = self.l1 * (1 + self.rounding)
            used = np.flatnonzero(W)
            slopes = part[used] + self.l1 * np.sign(W[used])
            part -= np.clip(part, -held, held)
            part[used] = slopes
        if self.bounds is not None:
            low, high = self.bounds
            W, g = x[: self.count], g.copy()
            part = g[: self.count]
            part[((low >= W) & (part > 0)) | ((high <= W) & (part < 0))] = 0
        return g

    def norm(self, x, g):
        """The largest entry of the gradient of the whole objective, without its sign."""
        return float(np.abs(self.steepest(x, g)).max(initial=0.0))

    def measure(self, x, g):
        """The norm by the sizes of the entries: what tol bounds."""
        g = self.steepest(x, g)
        return float(np.abs(g if self.entry_sizes is None else g / self.entry_sizes).max(initial=0.0))
