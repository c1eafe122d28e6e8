"""The passes that solvers make over the rows by Numba's kernels (passes.py)."""

import functools

from fastopt.kernels import entries
from fastopt.kernels.language.formula import formula_type
from fastopt.kernels.language.memory import element_type, native_address
from fastopt.kernels.solvers import passes
from fastopt.kernels.solvers.gram import Gram
from fastopt.kernels.solvers.kept import KeptPasses
from fastopt.kernels.tables import CURVED, LINE, PROBLEM, SCORED, SIDE, SUMMED
from fastopt.native import address


@functools.cache
def _pass_address(dtype, name):
    return native_address(getattr(passes, name), element_type(dtype), PROBLEM, 7, SIDE)


@functools.cache
def _curvature_address(loss_type):
    return native_address(passes.block_curvature, loss_type, PROBLEM, 7)


class Passes(KeptPasses):
    """See KeptPasses: with products with the Hessian, and Gram matrices."""

    def __init__(self, rows, loss, threads):
        super().__init__(entries, rows, loss, threads)
        self._loss_type = formula_type(type(loss), self.problem.dtype_name, len(loss))
        self._loss = int(self.problem.table[PROBLEM.loss])
        self._name = "pass_sparse_rows" if self.problem.sparse else "pass_rows"

    def hessian_product(self, kept, V, c, HV, Hc, scale):
        """scale * (the loss's second derivative at kept scores times (V, c)) to HV and Hc."""
        self._sums(SCORED | CURVED | SUMMED, kept, None, V, c, HV, Hc, scale)

    def gram(self, diagonals):
        """X' D X for each row of diagonals (count, n): (count, features, features). One read."""
        self.reads += 1
        try:
            return Gram(self.problem, self._threads)(diagonals)
        finally:
            self.problem.table[PROBLEM.line] = address(self._line)

    def _prepare(self, kind, kept, out):
        super()._prepare(kind, kept, out)
        table, name = self.problem.table, "line_rows" if kind == LINE else self._name
        table[PROBLEM.add_rows] = _pass_address(self.problem.dtype_name, name)
        table[PROBLEM.loss] = _curvature_address(self._loss_type) if kind & CURVED else self._loss
