"""A linear model's rows as the kernels read them, and the gradient over all of them. No Numba here: whose kernels they
are, Numba's or the C library's, is what `entries` says (kernels/entries.py, engines/c_entries.py).
"""

from typing import NamedTuple

import numpy as np

from fastopt.arrays import NAMES, aligned_empty, aligned_zeros
from fastopt.kernels.gradient import sizes
from fastopt.kernels.gradient.division import MOST, row_groups
from fastopt.kernels.language.block import BLOCK
from fastopt.kernels.tables import PROBLEM, WORKER
from fastopt.native import address
from fastopt.threads import share

# Multiply-adds of one pass above which threads pay: about 1 ms of work, some 0.1 ms to share it.
PARALLEL_WORK = 1 << 24
READING = 10  # as many take as long as reading an entry: two threads, logistic L-BFGS on 100,000 x 50, 98 ms instead of 156


class Halves(NamedTuple):
    """first: features of the first half, and room for those of the second. apart: numbers from one to the other."""

    first: int
    apart: int


class Problem:
    """Rows, a loss and the kernels for them; `at` is the address of the table they take.

    Keeps alive what the table points to, but for W and b, which are set before each use. unchecked:
    column numbers of CSR rows have not been looked at; a gradient does it on the way.
    """

    def __init__(self, entries, rows, loss, unchecked=False):
        self.entries = entries
        self.dtype, self.n = rows.dtype, rows.n
        self.classes, self.features = rows.classes, rows.features
        self.numbers = np.array([rows.scale, *map(float, loss)], np.float64)
        self.rows, self.loss, self._kept = rows, loss, []
        itemsize, self.dtype_name = self.dtype.itemsize, NAMES[self.dtype]
        self.sparse = rows.sparse is not None
        self.width = sizes.padded_classes(self.classes, itemsize) if self.sparse else self.classes
        table = PROBLEM.filled()
        table[PROBLEM.classes], table[PROBLEM.features] = self.classes, self.features
        table[PROBLEM.width], table[PROBLEM.w_stride] = self.width, self.features * itemsize
        table[PROBLEM.numbers], table[PROBLEM.y] = address(self.numbers), address(rows.y)
        table[PROBLEM.y_kind] = 0 if rows.y.dtype.kind == "f" else rows.y.itemsize
        table[PROBLEM.y_shift] = int(self.classes == 1 and loss.one_row == "binary")
        table[PROBLEM.shares] = rows.y.shape[1] if rows.soft else 0
        table[PROBLEM.weights] = 0 if rows.weight is None else address(rows.weight)
        table[PROBLEM.block_rows] = BLOCK if self.sparse else sizes.block_rows(self.features * itemsize)
        table[PROBLEM.unchecked] = int(unchecked)
        if self.sparse:
            values, indices, indptr = rows.sparse
            table[PROBLEM.indices], table[PROBLEM.indptr] = address(indices), address(indptr)
            table[PROBLEM.X], table[PROBLEM.x_kind] = address(values), 8 * indices.itemsize
        else:
            table[PROBLEM.X], table[PROBLEM.x_stride] = address(rows.X), rows.features * rows.X.itemsize
            table[PROBLEM.x_kind] = int(rows.X.itemsize == 1)
        for place, value in entries.fields(loss, self.dtype_name, self.sparse):
            table[place] = value
        self.table = table
        self.at = address(self.table)
        self.scratch_bytes = sizes.scratch_bytes(
            self.classes, self.features, itemsize, table[PROBLEM.x_kind], self.width, table[PROBLEM.shares]
        )
        self._set, self.halves = {}, None

    def set(self, name, array):
        """Point one entry of the table at an array (None: at nothing), and keep the array."""
        self._set[name] = array
        self.table[getattr(PROBLEM, name)] = 0 if array is None else address(array)

    def by_feature(self, W=None):
        """W as (features, width) with zeros for padding, and memory for a whole vector after it."""
        size, lanes = self.features * self.width, 64 // self.dtype.itemsize
        result = aligned_zeros(size + lanes, self.dtype)[:size].reshape(self.features, self.width)
        if W is not None:
            result[:, : self.classes] = W.T
        return result

    def partial_elements(self):
        return self.width * self.features + self.classes

    def like_weights(self):
        """Zeros for W, or its gradient, as the kernels hold it."""
        if self.sparse:
            return self.by_feature()
        if self.halves:
            return aligned_zeros(2 * self.halves.apart, self.dtype)
        return aligned_zeros(self.classes * self.features, self.dtype).reshape(self.classes, self.features)

    def places(self, groups):
        """Memory for the gradients of groups 1, 2, ... and for the losses of all."""
        partials = aligned_empty(
            (groups - 1) * self.partial_elements() + 64, self.dtype
        )  # each clears its own
        return partials, np.zeros(groups)

    def worker(self, batch, groups, group_rows, dW, db, places, scratch_bytes):
        """Address of a thread's table, as groups.py has it; several threads may share the places."""
        table, memory = self.worker_table(batch, group_rows, dW, db, places, scratch_bytes)
        self._kept += [table, *memory]
        return address(table)

    def worker_table(self, batch, group_rows, dW, db, places, scratch_bytes):
        """(a worker's table, the arrays that it points to); dW and db may be set later."""
        sources, scratch = np.zeros(2 * MOST, np.int64), aligned_zeros(scratch_bytes + 64, np.uint8)
        memory = dict(zip(("partials", "losses"), places, strict=True))
        memory |= {"first": dW, "first_bias": db, "sources": sources, "scratch": scratch}
        addresses = {name: 0 if array is None else address(array) for name, array in memory.items()}
        return WORKER.filled(batch=batch, n=self.n, group_rows=group_rows, **addresses), [*memory.values()]

    def halve(self):
        """Hold the weights by halves of the features, and sum scores so (division.by_halves)."""
        first, itemsize = -(-self.features // 32) * 16, self.dtype.itemsize  # whole vectors
        # A page apart: what one core fetches ahead of itself it would take from the other.
        apart = -(-(self.classes * first * itemsize + 4096) // 64) * 64 // itemsize
        self.halves = Halves(first, apart)
        fields = {"half": first, "w_stride": first * itemsize, "jump": (apart - first) * itemsize}
        for name, value in fields.items():
            self.table[getattr(PROBLEM, name)] = value

    def parts(self, W, held):
        """[(part of W, where the kernels hold it)], of an array of like_weights."""
        if self.sparse:
            return [(W, held[:, : self.classes].T)]
        first, apart = self.halves
        blocks = [held[i * apart :][: self.classes * first].reshape(self.classes, first) for i in (0, 1)]
        return [(W[:, :first], blocks[0]), (W[:, first:], blocks[1][:, : self.features - first])]

    def groups(self, n):
        """(groups, rows in each) for n rows."""
        return row_groups(n, self.partial_elements() * self.dtype.itemsize, self.sparse)


class BoundGradient:
    """The gradient of all rows, everything made once: called with (W, b, dW, db, scale, l2).

    W, dW: (classes, features), b, db: (classes,) or None, C-ordered, of the rows' dtype. Writes
    scale * (sum over rows) + the penalty's part to dW and db and returns the value; None, where column numbers
    are unchecked and not all in X. Calls must not overlap: they share memory.
    """

    def __init__(self, entries, rows, loss, threads, unchecked=False):
        self.problem = problem = Problem(entries, rows, loss, unchecked)
        groups, group_rows = problem.groups(problem.n)
        self.threads = (
            1 if max(rows.work, READING * rows.entries) < PARALLEL_WORK else max(1, min(threads, groups))
        )
        self.counter = np.zeros(1, np.int64)
        self.count_at = address(self.counter)
        places = problem.places(groups)
        self.losses = places[1]
        made = [
            problem.worker_table(problem.n, group_rows, None, None, places, problem.scratch_bytes)
            for _ in range(self.threads)
        ]
        self.tables, self._memory = [table for table, _ in made], [memory for _, memory in made]
        self.worker = [address(table) for table in self.tables]
        self.finish = entries.finish_gradient(problem.dtype_name)
        self.held = (problem.by_feature(), problem.by_feature()) if problem.sparse else None

    def __call__(self, W, b, dW, db, scale, l2):
        problem = self.problem
        if self.held is None:
            return self._dense(W, b, dW, db, scale, l2)
        by_feature, sums = self.held
        by_feature[:, : problem.classes] = W.T
        value = self._dense(by_feature, b, sums, db, scale, l2)
        if problem.table[PROBLEM.bad]:
            return None
        problem.table[PROBLEM.unchecked] = 0
        dW[...] = sums.T[: problem.classes]
        return value

    def _dense(self, W, b, dW, db, scale, l2):
        """The same with W and dW as the kernels hold them."""
        self.aim(W, b, dW, db)
        at = self.problem.at
        if self.threads > 1:
            take = self.problem.entries.take_groups(self.problem.dtype_name)
            share(lambda own: take(0, at, own, self.count_at), self.worker, self.threads)
        return self.finish(0, at, self.worker[0], self.count_at, scale, l2)

    def aim(self, W, b, dW, db):
        """Point the tables at these arrays (None: at nothing), with no group taken."""
        table = self.problem.table
        table[PROBLEM.W], table[PROBLEM.b] = 0 if W is None else address(W), 0 if b is None else address(b)
        first, first_bias = 0 if dW is None else address(dW), 0 if db is None else address(db)
        for worker in self.tables:
            worker[WORKER.first], worker[WORKER.first_bias] = first, first_bias
        self.counter[0] = 0
