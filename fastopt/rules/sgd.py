"""Gradient descent, and what its authors averaged and adapted without momentum."""

from typing import NamedTuple

import numpy as np


class SGD(NamedTuple):
    """g = g + weight_decay*p;  p = p - lr*g.

    Source: Robbins & Monro 1951. Same as torch.optim.SGD and optax.sgd without momentum;
    keras.optimizers.SGD has no coupled weight decay.
    """

    lr: float = 0.01
    weight_decay: float = 0.0

    slots = ()
    linear = True

    @staticmethod
    def coefficients(h, t):
        return h.lr, h.weight_decay

    @staticmethod
    def update(h, k, p, g, s):
        lr, weight_decay = k
        g = g + weight_decay * p
        return p - lr * g, ()


class SGDW(NamedTuple):
    """p = (1 - lr*weight_decay)*p - lr*g.

    Source: Loshchilov & Hutter 2019, algorithm 1, without momentum (MomentumW has it). In numbers this is SGD but for
    rounding. Same as keras.optimizers.SGD(weight_decay=...); torch.optim.SGD has the coupled decay.
    """

    lr: float = 0.01
    weight_decay: float = 0.01

    slots = ()
    linear = True

    @staticmethod
    def coefficients(h, t):
        return h.lr, 1 - h.lr * h.weight_decay

    @staticmethod
    def update(h, k, p, g, s):
        lr, keep = k
        return keep * p - lr * g, ()


class ASGD(NamedTuple):
    """eta = lr/(1 + lambd*lr*(t-1))^alpha;  p = (1 - lambd*eta)*p - eta*g;
    ax = ax + mu*(p - ax),  mu = 1/max(1, t-1-t0):  ax is p until step t0, and the mean of the iterates from then on.

    ax is what `Optimizer.averaged()` gives. Source: Polyak & Juditsky 1992; the decreasing rate is that of Bottou's
    sgd (2010). Same as torch.optim.ASGD; optax and Keras have none. Averaged(rule) is the mean around any other rule.
    """

    lr: float = 0.01
    lambd: float = 1e-4
    alpha: float = 0.75
    t0: float = 1e6
    weight_decay: float = 0.0

    slots = ("ax",)

    @staticmethod
    def coefficients(h, t):
        eta = h.lr / (1 + h.lambd * h.lr * (t - 1)) ** h.alpha
        return 1 - h.lambd * eta, eta, 1 / max(1.0, t - 1 - h.t0), h.weight_decay

    @staticmethod
    def update(h, k, p, g, s):
        keep, eta, mu, weight_decay = k
        (ax,) = s
        g = g + weight_decay * p
        p = keep * p - eta * g
        return p, (ax + mu * (p - ax),)

    @staticmethod
    def averaged(h, p, s):
        return s["ax"]


class Rprop(NamedTuple):
    """c = sign(g_t)*sign(g_{t-1});  size = min(max(size*factor, step_min), step_max), factor = etaplus where c > 0,
    etaminus where c < 0, else 1;  where c < 0, g_t counts as 0, now and at the next step;  p = p - size*sign(g_t).

    For whole gradients, not for mini-batches. All sizes start at lr, which means nothing afterwards.
    Source: Riedmiller & Braun 1993, in the form of Igel & Huesken 2003 (iRprop-). Same as torch.optim.Rprop;
    optax.rprop (0.2.8) gives at each step the update of the step before; Keras has none.
    """

    lr: float = 0.01
    etaminus: float = 0.5
    etaplus: float = 1.2
    step_min: float = 1e-6
    step_max: float = 50.0

    slots = ("before", "size")

    @staticmethod
    def initial(h):
        return 0.0, h.lr

    @staticmethod
    def coefficients(h, t):
        return h.etaminus, h.etaplus, h.step_min, h.step_max, 1.0, 0.0

    @staticmethod
    def update(h, k, p, g, s):
        less, more, step_min, step_max, one, zero = k
        before, size = s
        change = np.sign(g) * np.sign(before)
        rise, fall = np.maximum(change, zero), np.maximum(-change, zero)
        factor = more * rise + less * fall + (one - rise - fall)
        size = np.minimum(np.maximum(size * factor, step_min), step_max)
        g = g * (one - fall)
        return p - size * np.sign(g), (g, size)
