"""Gradient descent with a velocity."""

from typing import NamedTuple


class Momentum(NamedTuple):
    """v = momentum*v + (1 - dampening)*g;  p = p - lr*v.

    With dampening = momentum it is the averaged form of the lectures. undamped_start=True leaves the dampening
    out of the first step, v = g, as torch.optim.SGD does: without it the two differ from the first step on where
    dampening is not 0.
    Source: Polyak 1964. Keras multiplies lr into v: ClassicalMomentum.
    """

    lr: float = 0.01
    momentum: float = 0.9
    dampening: float = 0.0
    weight_decay: float = 0.0
    undamped_start: bool = False

    slots = ("v",)
    small = ("signed",)

    @staticmethod
    def coefficients(h, t):
        share = 1.0 if h.undamped_start and t == 1 else 1 - h.dampening
        return h.lr, h.momentum, share, h.weight_decay

    @staticmethod
    def update(h, k, p, g, s):
        lr, momentum, share, weight_decay = k
        (v,) = s
        g = g + weight_decay * p
        v = momentum * v + share * g
        return p - lr * v, (v,)


class MomentumW(NamedTuple):
    """p = (1 - lr*weight_decay)*p, then Momentum's step with the plain gradient.

    Source: Loshchilov & Hutter 2019, algorithm 1 (SGDW), with lr outside the velocity as in torch. torch.optim has
    no decoupled decay for SGD; Keras' SGD(momentum=..., weight_decay=...) has it, with lr inside the velocity.
    """

    lr: float = 0.01
    momentum: float = 0.9
    dampening: float = 0.0
    weight_decay: float = 0.01

    slots = ("v",)

    @staticmethod
    def coefficients(h, t):
        return h.lr, h.momentum, 1 - h.dampening, 1 - h.lr * h.weight_decay

    @staticmethod
    def update(h, k, p, g, s):
        lr, momentum, share, keep = k
        (v,) = s
        v = momentum * v + share * g
        return keep * p - lr * v, (v,)


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
        return (
            2 * h.lr,
            h.momentum,
            h.weight_decay,
            0.5,
            0.5 * h.momentum,
        )  # the sum below would overflow before lr

    @staticmethod
    def update(h, k, p, g, s):
        twice_lr, momentum, weight_decay, half, half_momentum = k
        (v,) = s
        g = g + weight_decay * p
        v = momentum * v + g
        return p - twice_lr * (half * g + half_momentum * v), (v,)
