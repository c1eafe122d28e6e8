"""Gradient descent with a velocity."""

from typing import NamedTuple


class Momentum(NamedTuple):
    """v = momentum*v + (1 - dampening)*g;  p = p - lr*v.

    With dampening = momentum it is the averaged form of the lectures.
    Source: Polyak 1964. torch.optim.SGD starts with v = g, whatever the dampening: the two differ
    from the first step on where dampening is not 0. Keras multiplies lr into v: ClassicalMomentum.
    """

    lr: float = 0.01
    momentum: float = 0.9
    dampening: float = 0.0
    weight_decay: float = 0.0

    slots = ("v",)
    small = ("signed",)

    @staticmethod
    def coefficients(h, t):
        return h.lr, h.momentum, 1 - h.dampening, h.weight_decay

    @staticmethod
    def update(h, k, p, g, s):
        lr, momentum, share, weight_decay = k
        (v,) = s
        g = g + weight_decay * p
        v = momentum * v + share * g
        return p - lr * v, (v,)


class ClassicalMomentum(NamedTuple):
    """v = momentum*v - lr*g;  p = p + v.

    Equal to Momentum while lr is constant, and only then: here v keeps the old learning rate.
    Source: Sutskever et al. 2013, eq. 1-2. Same as keras.optimizers.SGD(momentum); torch and optax
    have the other form.
    """

    lr: float = 0.01
    momentum: float = 0.9
    weight_decay: float = 0.0

    slots = ("v",)
    small = ("signed",)

    @staticmethod
    def coefficients(h, t):
        return h.lr, h.momentum, h.weight_decay

    @staticmethod
    def update(h, k, p, g, s):
        lr, momentum, weight_decay = k
        (v,) = s
        g = g + weight_decay * p
        v = momentum * v - lr * g
        return p + v, (v,)


class Nesterov(NamedTuple):
    """v = momentum*v + g;  p = p - lr*(g + momentum*v).

    The re-arranged form: p is the look-ahead point. Source: Nesterov 1983; Bengio et al. 2013,
    eq. 7. Same as torch.optim.SGD(nesterov=True) and optax.sgd(nesterov=True); Keras keeps lr in v,
    which differs when lr changes.
    """

    lr: float = 0.01
    momentum: float = 0.9
    weight_decay: float = 0.0

    slots = ("v",)
    small = ("signed",)

    @staticmethod
    def coefficients(h, t):
        return h.lr, h.momentum, h.weight_decay

    @staticmethod
    def update(h, k, p, g, s):
        lr, momentum, weight_decay = k
        (v,) = s
        g = g + weight_decay * p
        v = momentum * v + g
        return p - lr * (g + momentum * v), (v,)
