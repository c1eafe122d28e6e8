"""Passes over the rows that solvers make, with kept scores: what the engines of Numba and C share."""

import numpy as np

from fastopt.arrays import aligned_zeros
from fastopt.kernels.gradient.problem import BoundGradient
from fastopt.kernels.gradient.sizes import BLOCK
from fastopt.kernels.tables import LINE, LOST, PROBLEM, SCORED, SUMMED
from fastopt.native import address
from fastopt.threads import share

LINE_WORK = 1 << 17  # numbers of scores above which a line search is shared: some 0.3 ms


class KeptPasses:
    """Passes over all rows; those that read X are counted in `reads`. Calls must not overlap.

    W, V, dW: (classes, features), b, c, db: (classes,) or None, C-ordered, of the rows' dtype. Scores are
    kept in a `slot()`, an array in the kernels' order of which sums and multiples may be taken. Sums do not
    depend on the number of threads.
    """

    def __init__(self, entries, rows, loss, threads):
        self._entries, self._bound = entries, BoundGradient(entries, rows, loss, threads)
        self.problem, self.reads = self._bound.problem, 0
        self.block = int(self.problem.table[PROBLEM.block_rows])
        self.blocks = -(-rows.n // self.block)
        self._line = np.zeros(1 + self.blocks)
        self.problem.table[PROBLEM.line] = address(self._line)
        self._threads = self._bound.threads

    def slot(self):
        shape = (self.blocks, self.problem.classes, BLOCK)
        return aligned_zeros(int(np.prod(shape)), self.problem.dtype).reshape(shape)

    def by_row(self, slot):
        """Kept scores as (n, classes)."""
        classes = self.problem.classes
        return slot[:, :, : self.block].transpose(0, 2, 1).reshape(-1, classes)[: self.problem.n]

    def from_rows(self, scores):
        """A slot of scores (n, classes)."""
        slot, n = self.slot(), self.problem.n
        padded = np.zeros((self.blocks * self.block, self.problem.classes), self.problem.dtype)
        padded[:n] = scores
        slot[:, :, : self.block] = padded.reshape(self.blocks, self.block, -1).transpose(0, 2, 1)
        return slot

    def evaluate(self, W, b, dW, db, scale, out=None):
        """scale * (loss, and its gradient to dW and db) at W and b, whose scores are kept in `out`."""
        return self._sums(SCORED | LOST | SUMMED, None, out, W, b, dW, db, scale)

    def gradient_at(self, kept, dW, db, scale):
        """The same at kept scores."""
        return self._sums(LOST | SUMMED, kept, None, dW, None, dW, db, scale)

    def scores(self, V, c, out):
        """The scores of V and c, to `out`."""
        self.reads += 1
        self._prepare(SCORED, None, out)
        problem = self.problem
        if problem.sparse:
            held, _ = self._bound.held
            held[:, : problem.classes] = V.T
            V = held
        self._take(V, c, None, None, self._threads)

    def value_at(self, kept):
        """The loss's sum at kept scores."""
        return self._losses(LOST, kept, None)

    def line(self, kept, direction, t):
        """(the loss's sum at kept + t * direction, its derivative by t)."""
        self._line[:] = 0
        self._line[0] = t
        loss = self._losses(LINE, kept, direction)
        return loss, float(self._line[1:].sum())

    def _sums(self, kind, kept, out, W, b, dW, db, scale):
        self.reads += 1
        self._prepare(kind, kept, out)
        return self._bound(W, b, dW, db, scale, 0.0)

    def _losses(self, kind, kept, out):
        self._prepare(kind, kept, out)
        self._take(None, None, None, None, self._threads if kept.size > LINE_WORK else 1)
        return float(np.add.accumulate(self._bound.losses)[-1])

    def _prepare(self, kind, kept, out):
        table = self.problem.table
        table[PROBLEM.pass_kind] = kind
        table[PROBLEM.kept] = 0 if kept is None else address(kept)
        table[PROBLEM.out] = 0 if out is None else address(out)

    def _take(self, W, b, dW, db, threads):
        """All groups of rows, without their sums."""
        bound = self._bound
        bound.aim(W, b, dW, db)
        take, at = self._entries.take_groups(self.problem.dtype_name), self.problem.at
        share(lambda own: take(0, at, own, bound.count_at), bound.worker[:threads], threads)
