"""Runs whose batches several threads share: by groups of rows (crew.py) or by halves of the features (pair.py)."""

import numpy as np

from fastopt.arrays import aligned_zeros
from fastopt.kernels.gradient.division import MOST
from fastopt.kernels.language.block import BLOCK
from fastopt.kernels.tables import CREW_LINE, DISMISSED, DONE, PROBLEM, RUN, SHARED_SIZE, SIDE, STOP, TICKET
from fastopt.kernels.training.epoch import WholeBatches, addresses_of, on_own_lines
from fastopt.native import address
from fastopt.threads import share


def patience(work):
    """Spins, of 50 cycles and more, that take about as long as so many multiply-adds."""
    return 256 + work // 512


class _Shared(WholeBatches):
    """The leader's loop on this thread, while helpers do theirs until they are dismissed."""

    def share(self, work, begin, end):
        shared = self.shared
        shared[:] = 0

        def part(i):
            if i:
                return self.help(i - 1, begin, end)
            try:
                return work()
            finally:
                self.dismiss()

        count = self.strategy.threads
        return share(part, range(count), count, self.dismiss)[0]

    def batch_work(self):
        rows = self.problem.rows
        return self.batch * rows.work // rows.n


class RowGroups(_Shared):
    """Helpers take groups of a batch's rows from the back, and write to places of their own."""

    def prepare(self, fields):
        problem = self.problem
        self.shared = aligned_zeros((DONE + CREW_LINE * MOST) // 8, np.int64)
        dW, db, places = problem.like_weights(), np.empty_like(self.b), problem.places(self.strategy.groups)
        self.helpers = [self.worker(dW, db, places) for _ in range(self.strategy.threads - 1)]
        work = self.batch_work() // self.strategy.groups
        return fields | {"crew": address(self.shared), "others": self.helpers[0], "patience": patience(work)}

    def kernels(self, entries):
        entries.help_crew(self.problem.dtype_name)
        return super().kernels(entries)

    def help(self, i, begin, end):
        help_ = self.problem.entries.help_crew(self.problem.dtype_name)
        return help_(0, self.problem.at, self.helpers[i], address(self.shared))

    def dismiss(self):
        self.shared[TICKET // 8] = DISMISSED


class FeatureHalves(_Shared):
    """Each of two threads has half of the features; they exchange sums of scores."""

    def prepare(self, fields):
        problem = self.problem
        # Two blocks and the notes; a page apart, as W's halves are
        self._block_bytes = BLOCK * problem.classes * problem.dtype.itemsize
        self._sums = [aligned_zeros(2 * self._block_bytes + 4096, np.uint8) for _ in range(2)]
        self.shared = aligned_zeros(SHARED_SIZE, np.int64)
        self._sides = [self._side(which) for which in range(2)]
        self._dW, self._numbers = problem.like_weights(), on_own_lines(self.numbers)
        self._gradients = addresses_of(self._dW, self.b)
        blocks = -(-self.batch // int(problem.table[PROBLEM.block_rows]))
        fields |= {"side": address(self._sides[0]), "blocks": blocks}
        own = {"side": address(self._sides[1]), "worker": self.worker(self._dW, None)}
        own |= {"numbers": address(self._numbers), "g": address(self._gradients)}
        self.helpers_run = RUN.filled(**fields | own)
        return fields

    def _side(self, which):
        """The table of one of the two (SIDE)."""
        features = (0, self.problem.halves.first, self.problem.features)
        side = SIDE.filled(
            which=which,
            first=features[which],
            last=features[which + 1],
            mine=address(self._sums[which]),
            other=address(self._sums[1 - which]),
            block_bytes=self._block_bytes,
            shared=address(self.shared),
            patience=patience(self.batch_work()),
        )
        return on_own_lines(side)

    def share(self, work, begin, end):
        for i in (RUN.update, RUN.K, RUN.k_count):
            self.helpers_run[i] = self.run[i]
        return super().share(work, begin, end)

    def kernels(self, entries):
        entries.loop(self.problem.dtype_name, "help_pair")
        return super().kernels(entries)

    def help(self, i, begin, end):
        help_ = self.problem.entries.loop(self.problem.dtype_name, "help_pair")
        return help_(0, self.problem.at, address(self.helpers_run), begin, end)

    def dismiss(self):
        self.shared[STOP // 8] = 1
