"""The passes that solvers make over the rows, bound to a linear model's rows and loss (passes.py)."""

import functools

import numpy as np

from fastopt.arrays import aligned_zeros
from fastopt.kernels import entries
from fastopt.kernels.gradient.problem import BoundGradient
from fastopt.kernels.language.formula import formula_type
from fastopt.kernels.language.lanes import BLOCK
from fastopt.kernels.language.memory import element_type, native_address
from fastopt.kernels.solvers import passes
from fastopt.kernels.solvers.gram import Gram
from fastopt.kernels.solvers.passes import CURVED, LOST, SCORED, SUMMED
from fastopt.kernels.tables import PROBLEM, SIDE
from fastopt.native import address
from fastopt.threads import share

LINE_WORK = 1 << 17  # numbers of scores above which a line search is shared: some 0.3 ms


@functools.cache
def _pass_address(dtype, name):
    return native_address(getattr(passes, name), element_type(dtype), PROBLEM, 7, SIDE)


@functools.cache
def _curvature_address(loss_type):
    return native_address(passes.block_curvature, loss_type, PROBLEM, 7)


class Passes:
    """Passes over all rows; those that read X are counted in `reads`. Calls must not overlap.

    W, V, dW: (classes, features), b, c, db: (classes,) or None, C-ordered, of the rows' dtype. Scores are
    kept in a `slot()`, an array in the kernels' order of which sums and multiples may be taken. Sums do not
    depend on the number of threads.
    """

    def __init__(self, rows, loss, threads):
        self._bound = BoundGradient(entries, rows, loss, threads)
        self.problem, self.reads = self._bound.problem, 0
        self._loss_type = formula_type(type(loss), self.problem.dtype_name, len(loss))
        self._loss = int(self.problem.table[PROBLEM.loss])
        self.block = int(self.problem.table[PROBLEM.block_rows])
        self.blocks = -(-rows.n // self.block)
        self._line = np.zeros(1 + self.blocks)
        self.problem.table[PROBLEM.line] = address(self._line)
        name = "pass_sparse_rows" if self.problem.sparse else "pass_rows"
        self._rows = _pass_address(self.problem.dtype_name, name)
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
        return self._sums(SCORED | LOST | SUMMED, self._loss, None, out, W, b, dW, db, scale)

    def gradient_at(self, kept, dW, db, scale):
        """The same at kept scores."""
        return self._sums(LOST | SUMMED, self._loss, kept, None, dW, None, dW, db, scale)

    def hessian_product(self, kept, V, c, HV, Hc, scale):
        """scale * (the loss's second derivative at kept scores times (V, c)) to HV and Hc."""
        curvature = _curvature_address(self._loss_type)
        self._sums(SCORED | CURVED | SUMMED, curvature, kept, None, V, c, HV, Hc, scale)

    def scores(self, V, c, out):
        """The scores of V and c, to `out`."""
        self.reads += 1
        self._prepare(self._rows, SCORED, self._loss, None, out)
        problem = self.problem
        if problem.sparse:
            held, _ = self._bound.held
            held[:, : problem.classes] = V.T
            V = held
        self._take(V, c, None, None, self._threads)

    def gram(self, diagonals):
        """X' D X for each row of diagonals (count, n): (count, features, features). One read."""
        self.reads += 1
        try:
            return Gram(self.problem, self._threads)(diagonals)
        finally:
            self.problem.table[PROBLEM.line] = address(self._line)

    def value_at(self, kept):
        """The loss's sum at kept scores."""
        return self._losses(LOST, kept, None)

    def line(self, kept, direction, t):
        """(the loss's sum at kept + t * direction, its derivative by t)."""
        self._line[:] = 0
        self._line[0] = t
        loss = self._losses(0, kept, direction, "line_rows")
        return loss, float(self._line[1:].sum())

    def _sums(self, kind, loss, kept, out, W, b, dW, db, scale):
        self.reads += 1
        self._prepare(self._rows, kind, loss, kept, out)
        return self._bound(W, b, dW, db, scale, 0.0)

    def _losses(self, kind, kept, out, name=None):
        rows = self._rows if name is None else _pass_address(self.problem.dtype_name, name)
        self._prepare(rows, kind, self._loss, kept, out)
        self._take(None, None, None, None, self._threads if kept.size > LINE_WORK else 1)
        return float(np.add.accumulate(self._bound.losses)[-1])

    def _prepare(self, rows, kind, loss, kept, out):
        table = self.problem.table
        table[PROBLEM.add_rows], table[PROBLEM.loss], table[PROBLEM.pass_kind] = rows, loss, kind
        table[PROBLEM.kept] = 0 if kept is None else address(kept)
        table[PROBLEM.out] = 0 if out is None else address(out)

    def _take(self, W, b, dW, db, threads):
        """All groups of rows, without their sums."""
        bound = self._bound
        bound.aim(W, b, dW, db)
        take, at = entries.take_groups(self.problem.dtype_name), self.problem.at
        share(lambda own: take(0, at, own, bound.count_at), bound.worker[:threads], threads)
