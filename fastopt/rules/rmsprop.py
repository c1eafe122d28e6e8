"""RMSProp, plain and centered."""

from typing import NamedTuple

import numpy as np


class RMSProp(NamedTuple):
    """v = decay*v + (1-decay)*g^2;  p = p - lr*g/(sqrt(v) + eps).

    Source: Tieleman & Hinton 2012, lecture 6e. torch.optim.RMSprop calls decay alpha (0.99 by
    default); optax puts eps inside the root by default, Keras always.
    """

    lr: float = 0.01
    decay: float = 0.9
    eps: float = 1e-8
    weight_decay: float = 0.0

    slots = ("v",)

    @staticmethod
    def coefficients(h, t):
        return h.lr, h.decay, 1 - h.decay, h.eps, h.weight_decay

    @staticmethod
    def update(h, k, p, g, s):
        lr, decay, share, eps, weight_decay = k
        (v,) = s
        g = g + weight_decay * p
        v = decay * v + share * g * g
        return p - lr * g / (np.sqrt(v) + eps), (v,)


class CenteredRMSProp(NamedTuple):
    """v = decay*v + (1-decay)*g^2;  m = decay*m + (1-decay)*g;
    p = p - lr*g/(sqrt(max(v - m^2, 0)) + eps).

    Source: Graves 2013, eq. 38-45. Same as torch.optim.RMSprop(centered=True), but a variance that
    rounds below 0 counts as 0 (torch's root is NaN then).
    """

    lr: float = 0.01
    decay: float = 0.9
    eps: float = 1e-8
    weight_decay: float = 0.0

    slots = ("v", "m")

    @staticmethod
    def coefficients(h, t):
        return h.lr, h.decay, 1 - h.decay, h.eps, h.weight_decay, 0.0

    @staticmethod
    def update(h, k, p, g, s):
        lr, decay, share, eps, weight_decay, zero = k
        v, m = s
        g = g + weight_decay * p
        v = decay * v + share * g * g
        m = decay * m + share * g
        return p - lr * g / (np.sqrt(np.maximum(v - m * m, zero)) + eps), (v, m)
