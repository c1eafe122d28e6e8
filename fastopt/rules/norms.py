"""Rules whose step is in proportion to the norm of the array: layer-wise rates."""

from math import floor, log, sqrt
from typing import NamedTuple

import numpy as np

from fastopt.rules.limits import TINY, held, reach_of_mean


class LARS(NamedTuple):
    """rate = trust*|p|/(|g| + weight_decay*|p| + eps), norms of each array, 1 where one of them is 0;
    v = momentum*v + lr*rate*(g + weight_decay*p);  p = p - v.

    Source: You, Gitman & Ginsburg 2017, algorithm 1. optax.lars multiplies lr behind the momentum, which
    differs when lr changes; torch has none.
    """

    lr: float = 0.1
    momentum: float = 0.9
    weight_decay: float = 0.0
    trust: float = 0.001
    eps: float = 0.0

    slots = ("v",)
    measures, numbers = 2, 2

    @staticmethod
    def coefficients(h, t):
        return h.momentum, h.weight_decay

    @staticmethod
    def measure(h, k, p, g, s):
        return p, g

    @staticmethod
    def from_norms(h, k, norms, size):
        of_p, of_g = norms
        below = of_g + h.weight_decay * of_p + h.eps
        rate = h.lr * (h.trust * of_p / below if of_p > 0 and of_g > 0 else 1.0)
        # Norms beyond 1e19 need two factors, a power of two first: their quotient is no float32.
        unit = 1.0
        if of_g > 1e19 or 0 < of_g < 1e-19:
            unit = 2.0 ** max(-120, min(120, -1 - floor(log(min(of_g, 1e300)) / log(2))))
        return rate / unit, unit

    @staticmethod
    def update(h, k, p, g, s):
        momentum, weight_decay, rate, unit = k
        (v,) = s
        v = momentum * v + rate * (unit * g + unit * weight_decay * p)
        return p - v, (v,)


class LAMB(NamedTuple):
    """Adam's m_hat and v_hat;  u = m_hat/(sqrt(v_hat) + eps) + weight_decay*p;  p = p - lr*|p|/|u|*u,
    norms of each array; the ratio is 1 where one of them is 0.

    Source: You et al. 2020, algorithm 2, with phi(x) = x. Same as optax.lamb (whose eps_root is 0); torch has none.
    """

    lr: float = 1e-3
    beta1: float = 0.9
    beta2: float = 0.999
    eps: float = 1e-6
    weight_decay: float = 0.0

    slots = ("m", "v")
    measures, numbers = 2, 1

    @staticmethod
    def coefficients(h, t):
        first, root = 1 / (1 - h.beta1**t), 1 / sqrt(1 - h.beta2**t)
        shares, reach = (h.beta1, 1 - h.beta1, h.beta2, 1 - h.beta2), reach_of_mean(h.beta1, h.beta2)
        return first, root, *shares, h.eps, h.weight_decay, first / root * reach, TINY

    @staticmethod
    def measure(h, k, p, g, s):
        first, root, beta1, share1, beta2, share2, eps, weight_decay, reach, tiny = k
        m, v = s
        g = held(g, np.sqrt(tiny) / tiny)
        m = beta1 * m + share1 * g
        v = beta2 * v + share2 * g * g
        return p, held(first * m / (np.sqrt(v) * root + eps), reach) + weight_decay * p

    @staticmethod
    def from_norms(h, k, norms, size):
        of_p, of_u = norms
        return (h.lr * (of_p / of_u if of_p > 0 and of_u > 0 else 1.0),)

    @staticmethod
    def update(h, k, p, g, s):
        first, root, beta1, share1, beta2, share2, eps, weight_decay, reach, tiny, rate = k
        m, v = s
        g = held(g, np.sqrt(tiny) / tiny)
        m = beta1 * m + share1 * g
        v = beta2 * v + share2 * g * g
        return p - rate * (held(first * m / (np.sqrt(v) * root + eps), reach) + weight_decay * p), (m, v)
