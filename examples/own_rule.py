"""An update rule of one's own: checked, compiled on its first step, used by the optimizer and by fo.train."""

from typing import NamedTuple

import numpy as np

import fastopt as fo


class SignMomentum(NamedTuple):
    """m = beta m + (1 - beta) g;  p = p - lr sign(m)."""

    lr: float = 1e-3
    beta: float = 0.9

    slots = ("m",)  # names of state arrays, each of the parameter's shape

    @staticmethod
    def coefficients(h, t):  # once a step, in float64
        return h.lr, h.beta, 1 - h.beta

    @staticmethod
    def update(h, k, p, g, s):  # once an element, in the array's dtype
        m = k[1] * s[0] + k[2] * g
        return p - k[0] * np.sign(m), (m,)


if __name__ == "__main__":
    print(fo.check_rule(SignMomentum()))
    p = np.ones(5, np.float32)
    optimizer = fo.Optimizer(p, SignMomentum(lr=0.01))
    for _ in range(200):
        optimizer.step(2 * p)
    print(p, optimizer.state["m"])
    assert abs(p).max() < 0.05
    X = np.random.default_rng(0).normal(size=(500, 4)).astype(np.float32)
    fit = fo.train(X, (X[:, 0] > 0).astype(int), rule=SignMomentum(), epochs=5)
    print(fit.history["loss_train"])
    assert fit.history["loss_train"][-1] < fit.history["loss_train"][0]
