"""Passes over the rows that solvers make, with kept scores, by the kernels of Numba or C (kernels/entries.py). No Numba here."""

import numpy as np

from fastopt.arrays import aligned_zeros
from fastopt.kernels.gradient.problem import BoundGradient
from fastopt.kernels.gradient.sizes import BLOCK
from fastopt.kernels.tables import CURVED, LINE, LOST, PROBLEM, SCORED, SUMMED
from fastopt.losses import has_curvature
from fastopt.native import address
from fastopt.threads import share

PANEL = 40  # features of a task of a Gram matrix: whole strips of classes
# Up to so many features of CSR rows are one panel (123 of a9a: 121 KB), and rows are taken in so many groups.
NARROW, GROUPS = 256, 4
LINE_WORK = 1 << 17  # numbers of scores above which a line search is shared: some 0.3 ms


class KeptPasses:
    """Passes over all rows; those that read X are counted in `reads`. Calls must not overlap.

    W, V, dW: (classes, features), b, c, db: (classes,) or None, C-ordered, of the rows' dtype. Scores are
    kept in a `slot()`, an array in the kernels' order of which sums and multiples may be taken. Sums do not
    depend on the number of threads.
    """

    def __init__(self, entries, rows, loss, threads):
        self.entries, self._bound = entries, BoundGradient(entries, rows, loss, threads)
        self.problem, self.reads = self._bound.problem, 0
        self.block = int(self.problem.table[PROBLEM.block_rows])
        self.blocks = -(-rows.n // self.block)
        self._line = np.zeros(1 + self.blocks)
        self.problem.table[PROBLEM.line] = address(self._line)
        self._threads = self._bound.threads
        self._below = None  # which entries of a Gram matrix are the others' mirror images
        # for a Gram matrix: of a block of rows, or 16 bytes an entry of the longest row
        if rows.sparse is None:
            a_row = rows.features * rows.dtype.itemsize + 128
            self._room = 2 * BLOCK * 8 + (PANEL + 1) * BLOCK * rows.dtype.itemsize + BLOCK * a_row + 128
        else:
            self._room = 16 * int(np.diff(rows.sparse[2]).max(initial=0)) + 16

    @property
    def backend(self):
        return self.entries.NAME

    def kernels(self, entries):
        """Make all that passes call; what PROBLEM has of it, as [(place, value)]."""
        problem = self.problem
        dtype, of_rows = problem.dtype_name, (problem.loss, problem.dtype_name, problem.sparse)
        entries.take_groups(dtype), entries.finish_gradient(dtype)
        for kind in (SCORED, LINE, CURVED) if has_curvature(problem.loss) else (SCORED, LINE):
            entries.of_pass(*of_rows, kind)
        entries.gram(dtype, problem.sparse)
        return entries.fields(*of_rows)

    def go_over(self, entries):
        """Go on with these kernels, between two passes: the tables and all numbers stay, and so do the bits."""
        for place, value in self.kernels(entries):
            self.problem.table[place] = value
        self.entries = self.problem.entries = entries
        self._bound.finish = entries.finish_gradient(self.problem.dtype_name)

    def slot(self):
        shape = (self.blocks, self.problem.classes, BLOCK)
        return aligned_zeros(int(np.prod(shape)), self.problem.dtype).reshape(shape)

    def by_row(self, slot):
        """Kept scores as (n, classes)."""
        classes = self.problem.classes
        return slot[:, :, : self.block].transpose(0, 2, 1).reshape(-1, classes)[: self.problem.n]

    def by_class(self, slot):
        """The same as (classes, n)."""
        classes = self.problem.classes
        return slot[:, :, : self.block].transpose(1, 0, 2).reshape(classes, -1)[:, : self.problem.n]

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

    def hessian_product(self, kept, V, c, HV, Hc, scale):
        """scale * (the loss's second derivative at kept scores times (V, c)) to HV and Hc."""
        self._sums(SCORED | CURVED | SUMMED, kept, None, V, c, HV, Hc, scale)

    def gram(self, diagonals, ones=False):
        """X' D X for each row of diagonals (count, n) of the rows' dtype: (count, features, features), symmetric. One read.

        Of the rows' dtype, from CSR rows float64. ones: with one more feature, which is 1 in every row. A task is a panel
        of features, which reads rows in order, or a group of rows, so that sums do not depend on who does what.
        """
        self.reads += 1
        problem, features, count = self.problem, self.problem.features, len(diagonals)
        dtype, groups, panel = problem.dtype, 1, PANEL
        if problem.sparse:
            dtype, narrow = np.dtype(np.float64), features <= NARROW
            groups, panel = GROUPS if narrow and count == 1 else 1, NARROW if narrow else PANEL
        sides = self._panels(diagonals, dtype, groups, panel)
        result = np.empty((count, features + ones, features + ones), sides.dtype)
        one_side = sides[:, :features]
        if problem.sparse:
            at = np.arange(features)
            result[:, :features, :features] = one_side + one_side.transpose(0, 2, 1)
            result[:, at, at] += sides[:, features + 1]
        else:
            if self._below is None:
                self._below = np.tri(features, k=-1, dtype=bool)
            whole = result[:, :features, :features]
            whole[:] = one_side
            np.copyto(whole, one_side.transpose(0, 2, 1), where=self._below)
        if ones:
            result[:, features, :features] = result[:, :features, features] = sides[:, features]
            result[:, features, features] = diagonals.sum(axis=1, dtype=np.float64)
        return result

    def _panels(self, diagonals, dtype, groups, panel):
        """(count, features + 2, features) of gram.py's kernels, of groups of rows, `panel` features a task."""
        problem, features, count = self.problem, self.problem.features, len(diagonals)
        # whole lines to each row, so that no two panels share one
        stride = -(-features * dtype.itemsize // 64) * 64
        found = aligned_zeros(count * groups * (features + 2) * stride // dtype.itemsize, dtype)
        found = found.reshape(count, groups, features + 2, -1)
        ends = [problem.n * i // groups for i in range(groups + 1)]
        run = self.entries.gram(problem.dtype_name, problem.sparse)

        def work(task):
            d, group, first = task
            scratch = np.empty(self._room, np.uint8)
            run(0, problem.at, address(diagonals[d]), ends[group], ends[group + 1], first, min(first + panel, features),
                address(found[d, group]), stride, address(scratch))  # fmt: skip

        share(work, [(d, group, j) for d in range(count) for group in range(groups) for j in range(0, features, panel)],
              self._threads)  # fmt: skip
        total = found[:, 0, :, :features]
        for group in range(1, groups):
            total += found[:, group, :, :features]
        return total

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
        problem, table = self.problem, self.problem.table
        for place, value in self.entries.of_pass(problem.loss, problem.dtype_name, problem.sparse, kind):
            table[place] = value
        table[PROBLEM.pass_kind] = kind
        table[PROBLEM.kept] = 0 if kept is None else address(kept)
        table[PROBLEM.out] = 0 if out is None else address(out)

    def _take(self, W, b, dW, db, threads):
        """All groups of rows, without their sums."""
        bound = self._bound
        bound.aim(W, b, dW, db)
        take, at = self.entries.take_groups(self.problem.dtype_name), self.problem.at
        share(lambda own: take(0, at, own, bound.count_at), bound.worker[:threads], threads)
