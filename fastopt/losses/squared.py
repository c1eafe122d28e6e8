"""Squared error."""

from typing import NamedTuple

import numpy as np

from fastopt.losses.vocabulary import zeros


class SquaredError(NamedTuple):
    """L = 1/2 sum_c (s_c - [c = y])^2;  dL/ds_c = s_c - [c = y].

    One score: L = 1/2 (s - y)^2 with a real y. Source: Bishop 2006, eq. 3.12 and 4.1.3.
    torch.nn.MSELoss has no 1/2 and divides by the classes.
    """

    one_row = "real"

    @staticmethod
    def rows(k, s, y, d):
        loss = zeros(s[0])
        for c in range(len(s)):
            t = s[c] - y if len(s) == 1 else np.where(y == c, s[c] - 1, s[c])
            loss = loss + t * t
            d[c] = t
        return loss / 2

    @staticmethod
    def curvature(k, s, y, v, d):
        for c in range(len(s)):
            d[c] = v[c]
