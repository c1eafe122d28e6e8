"""Gradient descent."""

from typing import NamedTuple


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
