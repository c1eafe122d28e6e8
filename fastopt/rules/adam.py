"""Adam and its kin: a running mean of gradients over a running mean of their squares."""

from math import sqrt
from typing import NamedTuple

import numpy as np

from fastopt.rules.limits import TINY, held, reach_of_mean


class Adam(NamedTuple):
    """m = beta1*m + (1-beta1)*g;  v = beta2*v + (1-beta2)*g^2;
    p = p - lr*m_hat/(sqrt(v_hat) + eps),  m_hat = m/(1-beta1^t),  v_hat = v/(1-beta2^t).

    bias_correction=False leaves m and v as they are: the lectures' "almost Adam".
    Source: Kingma & Ba 2015, algorithm 1. Same as torch.optim.Adam and optax.adam; Keras uses the
    paper's eps-hat (1e-7, before the correction of v).
    """

    lr: float = 1e-3
    beta1: float = 0.9
    beta2: float = 0.999
    eps: float = 1e-8
    weight_decay: float = 0.0
    bias_correction: bool = True

    slots = ("m", "v")
    small = ("signed", "positive")

    @staticmethod
    def coefficients(h, t):
        lr, root = h.lr, 1.0
        if h.bias_correction:
            lr = h.lr / (1 - h.beta1**t)
            root = 1 / sqrt(1 - h.beta2**t)
        shares = h.beta1, 1 - h.beta1, h.beta2, 1 - h.beta2
        return lr, root, *shares, h.eps, h.weight_decay, lr / root * reach_of_mean(h.beta1, h.beta2), TINY

    @staticmethod
    def update(h, k, p, g, s):
        lr, root, beta1, share1, beta2, share2, eps, weight_decay, reach, tiny = k
        m, v = s
        g = held(g + weight_decay * p, np.sqrt(tiny) / tiny)
        m = beta1 * m + share1 * g
        v = beta2 * v + share2 * g * g
        return p - held(lr * m / (np.sqrt(v) * root + eps), reach), (m, v)


class AdamW(NamedTuple):
    """p = (1 - lr*weight_decay)*p, then Adam's step with the plain gradient.

    Source: Loshchilov & Hutter 2019, algorithm 2. Same as torch.optim.AdamW; optax.adamw has
    weight_decay = 1e-4 and Keras 0.004 by default.
    """

    lr: float = 1e-3
    beta1: float = 0.9
    beta2: float = 0.999
    eps: float = 1e-8
    weight_decay: float = 0.01

    slots = ("m", "v")
    small = ("signed", "positive")

    @staticmethod
    def coefficients(h, t):
        lr = h.lr / (1 - h.beta1**t)
        root = 1 / sqrt(1 - h.beta2**t)
        shares, keep = (h.beta1, 1 - h.beta1, h.beta2, 1 - h.beta2), 1 - h.lr * h.weight_decay
        return lr, root, *shares, h.eps, keep, lr / root * reach_of_mean(h.beta1, h.beta2), TINY

    @staticmethod
    def update(h, k, p, g, s):
        lr, root, beta1, share1, beta2, share2, eps, keep, reach, tiny = k
        m, v = s
        g = held(g, np.sqrt(tiny) / tiny)
        m = beta1 * m + share1 * g
        v = beta2 * v + share2 * g * g
        return keep * p - held(lr * m / (np.sqrt(v) * root + eps), reach), (m, v)


class AMSGrad(NamedTuple):
    """Adam with u = max(u, v) in the place of v.

    Source: Reddi et al. 2018, algorithm 2, with Adam's bias correction. Same as
    torch.optim.Adam(amsgrad=True); optax.amsgrad takes the maximum of the corrected v.
    """

    lr: float = 1e-3
    beta1: float = 0.9
    beta2: float = 0.999
    eps: float = 1e-8
    weight_decay: float = 0.0

    slots = ("m", "v", "u")
    small = ("signed", "positive", "positive")

    @staticmethod
    def coefficients(h, t):
        lr = h.lr / (1 - h.beta1**t)
        root = 1 / sqrt(1 - h.beta2**t)
        shares = h.beta1, 1 - h.beta1, h.beta2, 1 - h.beta2
        return lr, root, *shares, h.eps, h.weight_decay, lr / root * reach_of_mean(h.beta1, h.beta2), TINY

    @staticmethod
    def update(h, k, p, g, s):
        lr, root, beta1, share1, beta2, share2, eps, weight_decay, reach, tiny = k
        m, v, u = s
        g = held(g + weight_decay * p, np.sqrt(tiny) / tiny)
        m = beta1 * m + share1 * g
        v = beta2 * v + share2 * g * g
        u = np.maximum(u, v)
        return p - held(lr * m / (np.sqrt(u) * root + eps), reach), (m, v, u)


class AMSGradW(NamedTuple):
    """p = (1 - lr*weight_decay)*p, then AMSGrad's step with the plain gradient.

    Source: Reddi et al. 2018, algorithm 2, and Loshchilov & Hutter 2019, algorithm 2. Same as
    torch.optim.AdamW(amsgrad=True) and Keras' AdamW(amsgrad=True) but for eps (Keras' is the paper's eps-hat).
    """

    lr: float = 1e-3
    beta1: float = 0.9
    beta2: float = 0.999
    eps: float = 1e-8
    weight_decay: float = 0.01

    slots = ("m", "v", "u")

    @staticmethod
    def coefficients(h, t):
        lr = h.lr / (1 - h.beta1**t)
        root = 1 / sqrt(1 - h.beta2**t)
        shares, keep = (h.beta1, 1 - h.beta1, h.beta2, 1 - h.beta2), 1 - h.lr * h.weight_decay
        return lr, root, *shares, h.eps, keep, lr / root * reach_of_mean(h.beta1, h.beta2), TINY

    @staticmethod
    def update(h, k, p, g, s):
        lr, root, beta1, share1, beta2, share2, eps, keep, reach, tiny = k
        m, v, u = s
        g = held(g, np.sqrt(tiny) / tiny)
        m = beta1 * m + share1 * g
        v = beta2 * v + share2 * g * g
        u = np.maximum(u, v)
        return keep * p - held(lr * m / (np.sqrt(u) * root + eps), reach), (m, v, u)


class Adamax(NamedTuple):
    """m = beta1*m + (1-beta1)*g;  u = max(beta2*u, |g| + eps);  p = p - lr/(1-beta1^t)*m/u.

    Source: Kingma & Ba 2015, algorithm 2 (eps, which keeps u above 0, is torch's).
    Same as torch.optim.Adamax; Keras adds eps to u in the division.
    """

    lr: float = 2e-3
    beta1: float = 0.9
    beta2: float = 0.999
    eps: float = 1e-8
    weight_decay: float = 0.0

    slots = ("m", "u")
    small = ("signed", "positive")

    @staticmethod
    def coefficients(h, t):
        return h.lr / (1 - h.beta1**t), h.beta1, 1 - h.beta1, h.beta2, h.eps, h.weight_decay, TINY

    @staticmethod
    def update(h, k, p, g, s):
        lr, beta1, share1, beta2, eps, weight_decay, tiny = k
        m, u = s
        g = held(g + weight_decay * p, np.sqrt(tiny) / tiny)
        m = beta1 * m + share1 * g
        u = np.maximum(beta2 * u, np.abs(g) + eps)
        return p - lr * m / u, (m, u)


class NAdam(NamedTuple):
    """Adam's m and v;  mu_t = beta1*(1 - 0.96^(t*momentum_decay)/2),  P_t = mu_1*...*mu_t;
    p = p - lr*(mu_{t+1}*m/(1-P_{t+1}) + (1-mu_t)*g/(1-P_t))/(sqrt(v_hat) + eps).

    Source: Dozat 2016, algorithm 2. Same as torch.optim.NAdam and Keras; optax.nadam keeps mu at
    beta1, as a momentum_decay of 1e9 does here (0.96^1e9 = 0); a decay of 0 keeps it at beta1/2.
    """

    lr: float = 2e-3
    beta1: float = 0.9
    beta2: float = 0.999
    eps: float = 1e-8
    weight_decay: float = 0.0
    momentum_decay: float = 4e-3

    slots = ("m", "v")
    small = ("signed", "positive")

    @staticmethod
    def coefficients(h, t):
        lr_g, lr_m, root, reach = _nadam(h, t)
        shares = h.beta1, 1 - h.beta1, h.beta2, 1 - h.beta2
        return lr_g, lr_m, root, *shares, h.eps, h.weight_decay, reach, TINY

    @staticmethod
    def update(h, k, p, g, s):
        lr_g, lr_m, root, beta1, share1, beta2, share2, eps, weight_decay, reach, tiny = k
        m, v = s
        g = held(g + weight_decay * p, np.sqrt(tiny) / tiny)
        m = beta1 * m + share1 * g
        v = beta2 * v + share2 * g * g
        return p - held((lr_g * g + lr_m * m) / (np.sqrt(v) * root + eps), reach), (m, v)


def _nadam(h, t):
    """Rates of g and of m, the root's correction, and how long the step can be."""
    mu = h.beta1 * (1 - 0.5 * 0.96 ** (t * h.momentum_decay))
    mu_next = h.beta1 * (1 - 0.5 * 0.96 ** ((t + 1) * h.momentum_decay))
    # P_t <= beta1^t: once that is below 1e-20, 1 - P_t is 1 and the product need not be taken.
    product = 0.0
    if h.beta1**t > 1e-20:
        product = 1.0
        i = 1.0
        while i <= t and product > 1e-20:
            product *= h.beta1 * (1 - 0.5 * 0.96 ** (i * h.momentum_decay))
            i += 1.0
    lr_g = h.lr * (1 - mu) / (1 - product)
    lr_m = h.lr * mu_next / (1 - product * mu_next)
    root = 1 / sqrt(1 - h.beta2**t)
    reach = lr_g * reach_of_mean(0.0, h.beta2) + lr_m * reach_of_mean(h.beta1, h.beta2)
    return lr_g, lr_m, root, reach / root


class NAdamW(NamedTuple):
    """p = (1 - lr*weight_decay)*p, then NAdam's step with the plain gradient.

    Source: Dozat 2016, algorithm 2, and Loshchilov & Hutter 2019, algorithm 2. Same as
    torch.optim.NAdam(decoupled_weight_decay=True); optax.nadamw and timm's NAdamW keep mu at beta1.
    """

    lr: float = 2e-3
    beta1: float = 0.9
    beta2: float = 0.999
    eps: float = 1e-8
    weight_decay: float = 0.01
    momentum_decay: float = 4e-3

    slots = ("m", "v")

    @staticmethod
    def coefficients(h, t):
        lr_g, lr_m, root, reach = _nadam(h, t)
        shares, keep = (h.beta1, 1 - h.beta1, h.beta2, 1 - h.beta2), 1 - h.lr * h.weight_decay
        return lr_g, lr_m, root, *shares, h.eps, keep, reach, TINY

    @staticmethod
    def update(h, k, p, g, s):
        lr_g, lr_m, root, beta1, share1, beta2, share2, eps, keep, reach, tiny = k
        m, v = s
        g = held(g, np.sqrt(tiny) / tiny)
        m = beta1 * m + share1 * g
        v = beta2 * v + share2 * g * g
        return keep * p - held((lr_g * g + lr_m * m) / (np.sqrt(v) * root + eps), reach), (m, v)
