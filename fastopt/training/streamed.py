"""A training run over a source: window by window, the next one read while this one is trained on."""

import numpy as np

from fastopt.parts import ahead
from fastopt.training.run import Run


class StreamedRun(Run):
    """As Run; a window holds whole batches, so that a batch never spans two reads.

    "shuffle": pieces in an order drawn for the epoch, rows shuffled within a window of eight pieces.
    """

    def __init__(self, examples, settings, start, path):
        if settings.sampling == "replacement":
            raise ValueError(
                'sampling="replacement" wants X in memory; a source takes "shuffle" or "sequential"'
            )
        batch, most = settings.batch, max(1, examples.rows.part_rows // 2)
        if batch > 2 * most:
            raise ValueError(
                f"batch_size = {batch:,} of a source: at most {2 * most:,} rows fit into a window; for whole "
                'batches take solver="lbfgs"'
            )
        self._window = max(batch, most // batch * batch)
        super().__init__(examples, settings, start, path)

    def _windows(self):
        of, first = self.settings, 0
        rng = np.random.default_rng([of.seed, self.epoch])
        drawn = None if of.sampling == "sequential" else rng
        for rows in ahead(lambda: self.rows.windows(self._window, drawn), self.rows.source.in_flight):
            self._epoch_loop = self._bind(rows)
            last = first + -(-rows.n // of.batch)
            order = np.random.default_rng([of.seed, self.epoch, first]).permutation(rows.n)
            yield first, last, None if drawn is None else order
            first = last
