"""RMSProp, plain and centered, without and with momentum."""

from typing import NamedTuple

import numpy as np

from fastopt.rules.limits import TINY, held, reach_of_mean


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
        reach = h.lr * reach_of_mean(0.0, h.decay)
        return h.lr, h.decay, 1 - h.decay, h.eps, h.weight_decay, reach, TINY

    @staticmethod
    def update(h, k, p, g, s):
        lr, decay, share, eps, weight_decay, reach, tiny = k
        (v,) = s
        g = held(g + weight_decay * p, np.sqrt(tiny) / tiny)
        v = decay * v + share * g * g
        return p - held(lr * g / (np.sqrt(v) + eps), reach), (v,)


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
        return h.lr, h.decay, 1 - h.decay, h.eps, h.weight_decay, 0.0, TINY

    @staticmethod
    def update(h, k, p, g, s):
        lr, decay, share, eps, weight_decay, zero, tiny = k
        v, m = s
        g = held(g + weight_decay * p, np.sqrt(tiny) / tiny)
        v = decay * v + share * g * g
        m = decay * m + share * g
        return p - lr * g / (np.sqrt(np.maximum(v - m * m, zero)) + eps), (v, m)


class RMSPropMomentum(NamedTuple):
    """v = decay*v + (1-decay)*g^2;  b = momentum*b + g/(sqrt(v) + eps);  p = p - lr*b.

    Source: Tieleman & Hinton 2012, lecture 6e, with the momentum of Graves 2013, eq. 42-43. Same as
    torch.optim.RMSprop(momentum=...), whose decay is called alpha; optax.rmsprop(momentum=...) is the same with
    eps_in_sqrt=False. Keras keeps lr in b, and eps inside the root.
    """

    lr: float = 0.01
    decay: float = 0.9
    momentum: float = 0.9
    eps: float = 1e-8
    weight_decay: float = 0.0

    slots = ("v", "b")

    @staticmethod
    def coefficients(h, t):
        reach = reach_of_mean(0.0, h.decay)
        return h.lr, h.decay, 1 - h.decay, h.momentum, h.eps, h.weight_decay, reach, TINY

    @staticmethod
    def update(h, k, p, g, s):
        lr, decay, share, momentum, eps, weight_decay, reach, tiny = k
        v, b = s
        g = held(g + weight_decay * p, np.sqrt(tiny) / tiny)
        v = decay * v + share * g * g
        b = momentum * b + held(g / (np.sqrt(v) + eps), reach)
        return p - lr * b, (v, b)


class CenteredRMSPropMomentum(NamedTuple):
    """v, m as CenteredRMSProp;  b = momentum*b + g/(sqrt(max(v - m^2, 0)) + eps);  p = p - lr*b.

    Source: Graves 2013, eq. 38-45. Same as torch.optim.RMSprop(centered=True, momentum=...), but for a variance that
    rounds below 0.
    """

    lr: float = 0.01
    decay: float = 0.9
    momentum: float = 0.9
    eps: float = 1e-8
    weight_decay: float = 0.0

    slots = ("v", "m", "b")

    @staticmethod
    def coefficients(h, t):
        return h.lr, h.decay, 1 - h.decay, h.momentum, h.eps, h.weight_decay, 0.0, TINY

    @staticmethod
    def update(h, k, p, g, s):
        lr, decay, share, momentum, eps, weight_decay, zero, tiny = k
        v, m, b = s
        g = held(g + weight_decay * p, np.sqrt(tiny) / tiny)
        v = decay * v + share * g * g
        m = decay * m + share * g
        b = momentum * b + g / (np.sqrt(np.maximum(v - m * m, zero)) + eps)
        return p - lr * b, (v, m, b)
