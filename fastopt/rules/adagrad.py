"""Rules that scale by an accumulated or running mean of squared gradients."""

from typing import NamedTuple

import numpy as np

from fastopt.rules.limits import TINY, held


class AdaGrad(NamedTuple):
    """v = v + g^2;  p = p - lr*g/(sqrt(v) + eps), v starting at initial_accumulator_value.

    Source: Duchi et al. 2011. Same as torch.optim.Adagrad (its lr_decay is
    schedules.InverseTime here). optax and Keras put eps inside the root.
    """

    lr: float = 0.01
    initial_accumulator_value: float = 0.0
    eps: float = 1e-10
    weight_decay: float = 0.0

    slots = ("v",)

    @staticmethod
    def initial(h):
        return (h.initial_accumulator_value,)

    @staticmethod
    def coefficients(h, t):
        return h.lr, h.eps, h.weight_decay, 2 * h.lr, TINY, 3.0

    @staticmethod
    def update(h, k, p, g, s):
        lr, eps, weight_decay, reach, tiny, three = k
        (v,) = s
        g = held(g + weight_decay * p, np.sqrt(tiny) / tiny)
        v = held(v + g * g, three / tiny)  # a sum has no share that keeps it within the dtype
        return p - held(lr * g / (np.sqrt(v) + eps), reach), (v,)


class AdaDelta(NamedTuple):
    """v = rho*v + (1-rho)*g^2;  d = sqrt(u + eps)/sqrt(v + eps)*g;
    u = rho*u + (1-rho)*d^2;  p = p - lr*d.

    Source: Zeiler 2012, algorithm 1 (eps inside the roots, lr = 1). Same as torch.optim.Adadelta
    and optax.adadelta, whose rho is 0.9 by default; Keras starts at lr = 0.001.
    """

    lr: float = 1.0
    rho: float = 0.95
    eps: float = 1e-6
    weight_decay: float = 0.0

    slots = ("v", "u")

    @staticmethod
    def coefficients(h, t):
        return h.lr, h.rho, 1 - h.rho, h.eps, h.weight_decay, TINY

    @staticmethod
    def update(h, k, p, g, s):
        lr, rho, share, eps, weight_decay, tiny = k
        v, u = s
        g = held(g + weight_decay * p, np.sqrt(tiny) / tiny)
        v = rho * v + share * g * g
        d = np.sqrt(u + eps) / np.sqrt(v + eps) * g
        u = rho * u + share * d * d
        return p - lr * d, (v, u)
