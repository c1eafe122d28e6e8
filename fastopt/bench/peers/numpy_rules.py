"""The update rules in NumPy, in place, with two scratch arrays: what a careful person writes.

Each is update(h, t, p, g, slots, a, b) with a, b scratch; weight decay is left out where a rule has it off by
default. Written from the papers, apart from fastopt's formulas; a test compares the two.
"""

import numpy as np

from fastopt.rules import initial


def bind(rule, params):
    """step(grads): one step of the rule on a list of arrays."""
    update, t = UPDATES[type(rule).__name__], 0
    slots = [[np.full_like(p, start) for start in initial(rule)] for p in params]
    scratch = [(np.empty_like(p), np.empty_like(p)) for p in params]

    def step(grads):
        nonlocal t
        t += 1
        for p, g, state, (a, b) in zip(params, grads, slots, scratch, strict=True):
            update(rule, t, p, g, state, a, b)

    return step


def sgd(h, t, p, g, slots, a, b):
    np.multiply(g, h.lr, out=a)
    p -= a


def momentum(h, t, p, g, slots, a, b):
    (v,) = slots
    v *= h.momentum
    v += g
    np.multiply(v, h.lr, out=a)
    p -= a


def classical_momentum(h, t, p, g, slots, a, b):
    (v,) = slots
    v *= h.momentum
    np.multiply(g, h.lr, out=a)
    v -= a
    p += v


def nesterov(h, t, p, g, slots, a, b):
    (v,) = slots
    v *= h.momentum
    v += g
    np.multiply(v, h.momentum, out=a)
    a += g
    a *= h.lr
    p -= a


def adagrad(h, t, p, g, slots, a, b):
    (r,) = slots
    np.multiply(g, g, out=a)
    r += a
    np.sqrt(r, out=a)
    a += h.eps
    _descend(p, h.lr, g, a)


def rmsprop(h, t, p, g, slots, a, b):
    (r,) = slots
    _mean_square(r, g, h.decay, a)
    np.sqrt(r, out=a)
    a += h.eps
    _descend(p, h.lr, g, a)


def centered_rmsprop(h, t, p, g, slots, a, b):
    r, m = slots
    _mean_square(r, g, h.decay, a)
    _mean(m, g, h.decay, a)
    np.multiply(m, m, out=a)
    np.subtract(r, a, out=a)
    np.maximum(a, 0, out=a)
    np.sqrt(a, out=a)
    a += h.eps
    _descend(p, h.lr, g, a)


def adam(h, t, p, g, slots, a, b):
    m, v = slots
    _mean(m, g, h.beta1, a)
    _mean_square(v, g, h.beta2, a)
    np.sqrt(v, out=a)
    a *= (1 - h.beta2**t) ** -0.5
    a += h.eps
    _descend(p, h.lr / (1 - h.beta1**t), m, a)


def adamw(h, t, p, g, slots, a, b):
    p *= 1 - h.lr * h.weight_decay
    adam(h, t, p, g, slots, a, b)


def amsgrad(h, t, p, g, slots, a, b):
    m, v, u = slots
    _mean(m, g, h.beta1, a)
    _mean_square(v, g, h.beta2, a)
    np.maximum(u, v, out=u)
    np.sqrt(u, out=a)
    a *= (1 - h.beta2**t) ** -0.5
    a += h.eps
    _descend(p, h.lr / (1 - h.beta1**t), m, a)


def adadelta(h, t, p, g, slots, a, b):
    r, d = slots
    _mean_square(r, g, h.rho, a)
    np.add(d, h.eps, out=a)
    np.add(r, h.eps, out=b)
    a /= b
    np.sqrt(a, out=a)
    a *= g
    _mean_square(d, a, h.rho, b)
    a *= h.lr
    p -= a


def adamax(h, t, p, g, slots, a, b):
    m, u = slots
    _mean(m, g, h.beta1, a)
    u *= h.beta2
    np.abs(g, out=a)
    a += h.eps
    np.maximum(u, a, out=u)
    np.divide(m, u, out=a)
    a *= h.lr / (1 - h.beta1**t)
    p -= a


def nadam(h, t, p, g, slots, a, b):
    if t == 1:  # the product of the momenta so far is one number, kept behind the slots
        slots.append(1.0)
    m, v, product = slots
    mu, mu_next = (h.beta1 * (1 - 0.5 * 0.96 ** (i * h.momentum_decay)) for i in (t, t + 1))
    slots[2] = product = product * mu
    _mean(m, g, h.beta1, a)
    _mean_square(v, g, h.beta2, a)
    np.sqrt(v, out=a)
    a *= (1 - h.beta2**t) ** -0.5
    a += h.eps
    np.multiply(m, h.lr * mu_next / (1 - product * mu_next), out=b)
    b /= a
    p -= b
    np.multiply(g, h.lr * (1 - mu) / (1 - product), out=b)
    b /= a
    p -= b


def lion(h, t, p, g, slots, a, b):
    (m,) = slots
    np.multiply(m, h.beta1, out=a)
    np.multiply(g, 1 - h.beta1, out=b)
    a += b
    np.sign(a, out=a)
    a *= h.lr
    p -= a
    _mean(m, g, h.beta2, a)


def _mean(m, g, decay, a):
    m *= decay
    np.multiply(g, 1 - decay, out=a)
    m += a


def _mean_square(v, g, decay, a):
    v *= decay
    np.multiply(g, g, out=a)
    a *= 1 - decay
    v += a


def _descend(p, lr, g, divisor):
    np.divide(g, divisor, out=divisor)
    divisor *= lr
    p -= divisor


UPDATES = {
    "SGD": sgd,
    "Momentum": momentum,
    "ClassicalMomentum": classical_momentum,
    "Nesterov": nesterov,
    "AdaGrad": adagrad,
    "RMSProp": rmsprop,
    "CenteredRMSProp": centered_rmsprop,
    "Adam": adam,
    "AdamW": adamw,
    "AMSGrad": amsgrad,
    "AdaDelta": adadelta,
    "Adamax": adamax,
    "NAdam": nadam,
    "Lion": lion,
}
