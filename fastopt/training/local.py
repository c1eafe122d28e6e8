"""A training run on Dask's workers by local-update SGD: see fastopt.distributed.local."""

import numpy as np

from fastopt.distributed.local import Task, averaged
from fastopt.parts import SourceLost
from fastopt.stepping.coefficients import coefficient_table
from fastopt.training.run import Run
from fastopt.training.settings import identity
from fastopt.training.wide import is_wide

LOCAL_STEPS = 100  # of a round, where nobody says


class LocalRun(Run):
    """As Run. A stretch is a round: `local_steps` steps of every part of the data, or those left of the epoch.

    An epoch takes about as many rows as there are: rows / (batch * parts) steps of each part.
    """

    def __init__(self, examples, settings, start, path, local_steps):
        rows = examples.rows
        if is_wide(settings.rule):
            name = type(settings.rule).__name__
            raise ValueError(
                f"{name} is no rule of local-update SGD: it wants gradients or arrays as a whole"
            )
        if settings.average:
            raise ValueError(
                "average is for one process; local-update SGD averages over the parts: leave it out"
            )
        self._task = Task(settings.rule, settings.batch, local_steps, settings.l2, settings.sampling, settings.seed,
                          rows.n * rows.one_over_weights)  # fmt: skip
        super().__init__(examples, settings, start, path)
        self._steps_at_once = local_steps

    def _identity_of(self, start):
        rows = self.rows
        return identity(self.settings, self.examples, start) | {
            "local_steps": self._task.steps,
            "rows of partitions": list(rows.counts),
            "weight": float(rows.weight_sum),
        }

    def _loss_at_start(self, start):
        rows, (W, b) = self.rows, (self.W, self.b)
        gradient = rows.bind_gradient(self.settings.backend, self.settings.loss, rows.threads)
        return gradient(W, b, np.empty_like(W), np.empty_like(b), rows.one_over_weights, 0.0)

    def _stretch(self, order, begin, end, loss_sum):
        of, arrays = self.settings, [self.W, *self.W_slots, self.b, *self.b_slots]
        K = coefficient_table(of.rule, of.schedules, self.step, end - begin, self._taken)
        left = of.steps_per_epoch * of.epochs - self.step
        try:
            found, loss, norm, finite = averaged(self.rows, arrays, K, self.step, left, self._task)
        except SourceLost as error:
            error.W, error.b, _ = self._good
            raise
        for array, numbers in zip(arrays, found, strict=True):
            array[...] = numbers
        self.step += end - begin
        if not finite or not self._is_finite():
            self._diverge(self.step, "the loss is not finite")
        self._keep()
        return loss_sum + loss * (end - begin), norm
