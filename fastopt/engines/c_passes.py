"""The passes of solvers over the rows by the C library's loops; what it has no loops for by NumPy's."""

import numpy as np

from fastopt.engines import c_entries, passes
from fastopt.kernels.solvers.kept import KeptPasses


class Passes(KeptPasses):
    """See KeptPasses: with products with the Hessian, and Gram matrices."""

    def __init__(self, rows, loss, threads):
        super().__init__(c_entries, rows, rows.formula(loss), threads)
        self._by_numpy = passes.Passes(rows, loss)

    def hessian_product(self, kept, V, c, HV, Hc, scale):
        """scale * (the loss's second derivative at kept scores times (V, c)) to HV and Hc."""
        self.reads += 1
        self._by_numpy.hessian_product(np.ascontiguousarray(self.by_row(kept).T), V, c, HV, Hc, scale)

    def gram(self, diagonals):
        """X' D X for each row of diagonals (count, n): (count, features, features). One read."""
        self.reads += 1
        return self._by_numpy.gram(diagonals)
