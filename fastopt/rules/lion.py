"""Lion: the sign of an interpolated gradient."""

from math import floor, log
from typing import NamedTuple

import numpy as np


class Lion(NamedTuple):
    """c = beta1*m + (1-beta1)*g;  p = (1 - lr*weight_decay)*p - lr*sign(c);
    m = beta2*m + (1-beta2)*g.

    Source: Chen et al. 2023, program 1. Same as optax.lion and keras.optimizers.Lion
    (weight_decay = 1e-3 in optax); torch has none.
    """

    lr: float = 1e-4
    beta1: float = 0.9
    beta2: float = 0.99
    weight_decay: float = 0.0

    slots = ("m",)
    small = ("signed",)

    @staticmethod
    def coefficients(h, t):
        keep = 1 - h.lr * h.weight_decay
        up = 2.0 ** (-1 - floor(log(1 - h.beta1) / log(2)))  # times c, so that a small g is not lost in it
        return h.lr, up * h.beta1, up * (1 - h.beta1), h.beta2, 1 - h.beta2, keep

    @staticmethod
    def update(h, k, p, g, s):
        lr, beta1, share1, beta2, share2, keep = k
        (m,) = s
        c = beta1 * m + share1 * g
        m = beta2 * m + share2 * g
        return keep * p - lr * np.sign(c), (m,)
