"""Runs with lazily scaled weights, W = alpha * V: see scaled.py and single_rows.py."""

import numpy as np

from fastopt.kernels.gradient.sizes import scaled_bytes
from fastopt.kernels.tables import NUMBERS, PROBLEM
from fastopt.kernels.training.epoch import Epoch
from fastopt.rules import linear_coefficients


class ScaledWeights(Epoch):
    loop = "scaled_steps"
    holds_weights_apart = True

    def scratch_bytes(self):
        problem = self.problem
        features, shares = 0 if problem.sparse else problem.features, problem.table[PROBLEM.shares]
        return scaled_bytes(
            problem.classes, problem.width, self.batch, problem.dtype.itemsize, features, shares
        )

    def prepare(self, fields):
        self.problem.set("b", None)  # scores without the bias: alpha multiplies them
        return fields

    def bind(self, K):
        return linear_coefficients(self.rule, self.l2, K)

    def move_in(self, begin):
        if begin > 0:
            return  # V and alpha stand as the last stretch left them
        super().move_in(begin)
        self.numbers[NUMBERS.alpha] = 1.0
        self.numbers[NUMBERS.squares] = np.sum(np.square(self.W, dtype=np.float64))

    def move_out(self):
        super().move_out()
        self.W *= self.W.dtype.type(self.numbers[NUMBERS.alpha])


class SingleRows(ScaledWeights):
    loop = "single_row_steps"

    def kernels(self, entries):
        problem = self.problem
        return [*super().kernels(entries), (PROBLEM.loss, entries.row_loss(problem.loss, problem.dtype_name))]

    def prepare(self, fields):
        problem = self.problem
        problem.table[PROBLEM.loss] = problem.entries.row_loss(problem.loss, problem.dtype_name)
        return super().prepare(fields)
