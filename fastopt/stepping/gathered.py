"""Gradients of several micro-batches, added up to those of one step."""

import numpy as np

from fastopt import arrays, rounding


class Gathered:
    """Sums of the gradients given since the last step. of: how many make a step; sums: {number of the array: its sum}.

    Those of parameters of 16 bits are added up in float32, and rounded once.
    """

    def __init__(self, of):
        self.of, self.count, self.sums = of, 0, {}

    def add(self, tables):
        """Add what the tables have taken; True if it makes a step, and then they have taken the sums."""
        for table in tables:
            for j, i in enumerate(table.members):
                self._add(i, table, j)
        self.count += 1
        if self.count < self.of:
            return False
        sums, self.count, self.sums = self.sums, 0, {}
        for table in tables:
            odd = table.take([_in_dtype(sums.get(i), table.dtype) for i in table.members])
            while odd >= 0:
                if table.gradients[odd] is None:  # no micro-batch had a gradient for it
                    table.leave_out(odd)
                else:  # in another order of memory, as sums from a file are
                    table.place_gradient(odd, table.gradients[odd])
                odd = table.watch.again(odd + 1)
        return True

    def _add(self, i, table, j):
        g = table.gradients[j]
        if g is None or j in table.missing:
            return
        g = rounding.as_float32(g) if arrays.half_of(table.dtype) else g
        if i in self.sums:
            self.sums[i] += g
        else:
            memory = np.empty(g.size, g.dtype)
            self.sums[i] = arrays.in_shape(memory, table.shapes[j], table.axes[j])
            self.sums[i][...] = g


def _in_dtype(g, dtype):
    return g if g is None or g.dtype == dtype else rounding.as_half(g, dtype)
