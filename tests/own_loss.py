"""A loss as a user would write it."""

from typing import NamedTuple

import numpy as np


class Huber(NamedTuple):
    """t^2/2 for |t| <= delta, delta*(|t| - delta/2) beyond, t = s - y."""

    delta: float = 1.0

    one_row = "real"

    @staticmethod
    def rows(k, s, y, d):
        (delta,) = k
        t = s[0] - y
        size = np.abs(t)
        d[0] = np.maximum(np.minimum(t, delta), -delta)
        return np.where(size <= delta, t * t / 2, delta * (size - delta / 2))
