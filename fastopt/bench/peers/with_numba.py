"""What a good Numba programmer writes: one loop a rule, over all cores.

Each takes the hyperparameters of its step as numbers of the array's dtype, since Numba would compute
float32 times a Python number in float64. Written from the papers, apart from fastopt's formulas; a test
compares the two. The gradients are in with_numba_linear.py.
"""

import contextlib
from collections.abc import Callable

import numba
import numpy as np
from numba import njit, prange

from fastopt.rules import initial


@contextlib.contextmanager
def threads(count):
    """A context in which parallel loops use this many threads."""
    before = numba.get_num_threads()
    numba.set_num_threads(count)
    try:
        yield
    finally:
        numba.set_num_threads(before)


def bind(rule, params):
    """step(grads): one step of the rule on a list of arrays; LookupError for a rule that is not here."""
    loop, numbers = LOOPS[type(rule).__name__]
    slots = [[np.full(p.size, start, p.dtype) for start in initial(rule)] for p in params]
    t = 0

    def step(grads):
        nonlocal t
        t += 1
        for p, g, state in zip(params, grads, slots, strict=True):
            loop(p.ravel(), g.ravel(), *state, *map(p.dtype.type, numbers(rule, t)))

    return step


@njit(parallel=True)
def sgd(p, g, lr):
    for i in prange(len(p)):
        p[i] -= lr * g[i]


@njit(parallel=True)
def momentum(p, g, v, lr, mu):
    for i in prange(len(p)):
        v[i] = mu * v[i] + g[i]
        p[i] -= lr * v[i]


@njit(parallel=True)
def classical_momentum(p, g, v, lr, mu):
    for i in prange(len(p)):
        v[i] = mu * v[i] - lr * g[i]
        p[i] += v[i]


@njit(parallel=True)
def nesterov(p, g, v, lr, mu):
    for i in prange(len(p)):
        v[i] = mu * v[i] + g[i]
        p[i] -= lr * (g[i] + mu * v[i])


@njit(parallel=True)
def adagrad(p, g, r, lr, eps):
    for i in prange(len(p)):
        r[i] += g[i] * g[i]
        p[i] -= lr * g[i] / (np.sqrt(r[i]) + eps)


@njit(parallel=True)
def rmsprop(p, g, r, lr, decay, share, eps):
    for i in prange(len(p)):
        r[i] = decay * r[i] + share * g[i] * g[i]
        p[i] -= lr * g[i] / (np.sqrt(r[i]) + eps)


@njit(parallel=True)
def centered_rmsprop(p, g, r, m, lr, decay, share, eps):
    for i in prange(len(p)):
        r[i] = decay * r[i] + share * g[i] * g[i]
        m[i] = decay * m[i] + share * g[i]
        p[i] -= lr * g[i] / (np.sqrt(max(r[i] - m[i] * m[i], g[i] * 0)) + eps)


@njit(parallel=True)
def adam(p, g, m, v, lr, root, beta1, share1, beta2, share2, eps):
    for i in prange(len(p)):
        m[i] = beta1 * m[i] + share1 * g[i]
        v[i] = beta2 * v[i] + share2 * g[i] * g[i]
        p[i] -= lr * m[i] / (root * np.sqrt(v[i]) + eps)


@njit(parallel=True)
def adamw(p, g, m, v, lr, root, beta1, share1, beta2, share2, eps, keep):
    for i in prange(len(p)):
        m[i] = beta1 * m[i] + share1 * g[i]
        v[i] = beta2 * v[i] + share2 * g[i] * g[i]
        p[i] = keep * p[i] - lr * m[i] / (root * np.sqrt(v[i]) + eps)


@njit(parallel=True)
def amsgrad(p, g, m, v, u, lr, root, beta1, share1, beta2, share2, eps):
    for i in prange(len(p)):
        m[i] = beta1 * m[i] + share1 * g[i]
        v[i] = beta2 * v[i] + share2 * g[i] * g[i]
        u[i] = max(u[i], v[i])
        p[i] -= lr * m[i] / (root * np.sqrt(u[i]) + eps)


@njit(parallel=True)
def adadelta(p, g, r, d, lr, rho, share, eps):
    for i in prange(len(p)):
        r[i] = rho * r[i] + share * g[i] * g[i]
        move = np.sqrt((d[i] + eps) / (r[i] + eps)) * g[i]
        d[i] = rho * d[i] + share * move * move
        p[i] -= lr * move


@njit(parallel=True)
def adamax(p, g, m, u, lr, beta1, share1, beta2, eps):
    for i in prange(len(p)):
        m[i] = beta1 * m[i] + share1 * g[i]
        u[i] = max(beta2 * u[i], abs(g[i]) + eps)
        p[i] -= lr * m[i] / u[i]


@njit(parallel=True)
def nadam(p, g, m, v, lr_m, lr_g, root, beta1, share1, beta2, share2, eps):
    for i in prange(len(p)):
        m[i] = beta1 * m[i] + share1 * g[i]
        v[i] = beta2 * v[i] + share2 * g[i] * g[i]
        p[i] -= (lr_m * m[i] + lr_g * g[i]) / (root * np.sqrt(v[i]) + eps)


@njit(parallel=True)
def lion(p, g, m, lr, beta1, share1, beta2, share2):
    for i in prange(len(p)):
        p[i] -= lr * np.sign(beta1 * m[i] + share1 * g[i])
        m[i] = beta2 * m[i] + share2 * g[i]


def _moments(h, t):
    lr, root = h.lr / (1 - h.beta1**t), (1 - h.beta2**t) ** -0.5
    return lr, root, h.beta1, 1 - h.beta1, h.beta2, 1 - h.beta2, h.eps


def _nadam(h, t):
    mu = [h.beta1 * (1 - 0.5 * 0.96 ** (i * h.momentum_decay)) for i in range(1, t + 2)]
    product = np.prod(mu[:-1])
    lr_m, lr_g = h.lr * mu[t] / (1 - product * mu[t]), h.lr * (1 - mu[t - 1]) / (1 - product)
    return lr_m, lr_g, *_moments(h, t)[1:]


LOOPS: dict[str, tuple[Callable, Callable]] = {
    "SGD": (sgd, lambda h, t: (h.lr,)),
    "Momentum": (momentum, lambda h, t: (h.lr, h.momentum)),
    "ClassicalMomentum": (classical_momentum, lambda h, t: (h.lr, h.momentum)),
    "Nesterov": (nesterov, lambda h, t: (h.lr, h.momentum)),
    "AdaGrad": (adagrad, lambda h, t: (h.lr, h.eps)),
    "RMSProp": (rmsprop, lambda h, t: (h.lr, h.decay, 1 - h.decay, h.eps)),
    "CenteredRMSProp": (centered_rmsprop, lambda h, t: (h.lr, h.decay, 1 - h.decay, h.eps)),
    "Adam": (adam, _moments),
    "AdamW": (adamw, lambda h, t: (*_moments(h, t), 1 - h.lr * h.weight_decay)),
    "AMSGrad": (amsgrad, _moments),
    "AdaDelta": (adadelta, lambda h, t: (h.lr, h.rho, 1 - h.rho, h.eps)),
    "Adamax": (adamax, lambda h, t: (h.lr / (1 - h.beta1**t), h.beta1, 1 - h.beta1, h.beta2, h.eps)),
    "NAdam": (nadam, _nadam),
    "Lion": (lion, lambda h, t: (h.lr, h.beta1, 1 - h.beta1, h.beta2, 1 - h.beta2)),
}
