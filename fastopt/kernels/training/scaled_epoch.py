"""Runs with lazily scaled weights, W = alpha * V: see scaled.py and single_rows.py."""

import functools

import numpy as np

from fastopt.kernels.gradient.linear import PROBLEM
from fastopt.kernels.language.formula import formula_type
from fastopt.kernels.language.memory import native_address
from fastopt.kernels.training import scaled, single_rows
from fastopt.kernels.training.epoch import Epoch
from fastopt.kernels.training.steps import NUMBERS
from fastopt.rules import linear_coefficients


class ScaledWeights(Epoch):
    kernel = scaled.scaled_steps
    holds_weights_apart = True

    def scratch_bytes(self):
        problem = self.problem
        features, shares = 0 if problem.sparse else problem.features, problem.table[PROBLEM.shares]
        return scaled.scaled_bytes(
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
    kernel = single_rows.single_row_steps

    def prepare(self, fields):
        loss = self.problem.loss
        loss_type = formula_type(type(loss), self.problem.dtype_name, len(loss))
        self.problem.table[PROBLEM.loss] = _row_loss_address(loss_type)
        return super().prepare(fields)


@functools.cache
def _row_loss_address(loss_type):
    return native_address(single_rows.row_loss, loss_type, PROBLEM, 3)
