"""Element-wise rules of recent practice."""

from math import exp, inf, log, sqrt
from typing import NamedTuple

import numpy as np

from fastopt.rules.limits import TINY, held, reach_of_long_mean, reach_of_mean


class RAdam(NamedTuple):
    """rho_inf = 2/(1-beta2) - 1;  rho_t = rho_inf - 2*t*beta2^t/(1-beta2^t);  Adam's m_hat and v;
    rho_t > 5: r = sqrt((rho_t-4)(rho_t-2)*rho_inf/((rho_inf-4)(rho_inf-2)*rho_t)),
    p = p - lr*r*m_hat*sqrt(1-beta2^t)/(sqrt(v) + eps);  otherwise p = p - lr*m_hat.

    Source: Liu et al. 2020, algorithm 2. Same as torch.optim.RAdam (5 in the place of the paper's 4) and
    optax.radam(threshold=5) but for eps, which optax adds to the corrected root, and for optax' rho_t, which is
    a difference of float32 numbers there.
    """

    lr: float = 1e-3
    beta1: float = 0.9
    beta2: float = 0.999
    eps: float = 1e-8
    weight_decay: float = 0.0

    slots = ("m", "v")

    @staticmethod
    def coefficients(h, t):
        plain, adaptive, reach, free = _rectified(h, t)
        shares = h.beta1, 1 - h.beta1, h.beta2, 1 - h.beta2
        return plain, adaptive, *shares, h.eps, h.weight_decay, reach, TINY, free

    @staticmethod
    def update(h, k, p, g, s):
        plain, adaptive, beta1, share1, beta2, share2, eps, weight_decay, reach, tiny, free = k
        m, v = s
        g, most = g + weight_decay * p, np.sqrt(tiny) / tiny
        m = beta1 * m + share1 * held(g, np.maximum(most, free))
        g = held(g, most)
        v = beta2 * v + share2 * g * g
        return p - plain * m - held(adaptive * m / (np.sqrt(v) + eps), reach), (m, v)


def _rectified(h, t):
    """Rates of m as it is and of m over the root, how long the latter step can be, and whether m takes any g (inf or 0)."""
    rate, left = h.lr / (1 - h.beta1**t), 1 - h.beta2**t
    longest = 2 / (1 - h.beta2) - 1
    length = longest - 2 * t * h.beta2**t / left
    if length <= 5:
        return rate, 0.0, 0.0, inf
    r = (length - 4) * (length - 2) * longest / ((longest - 4) * (longest - 2) * length)
    adaptive = rate * sqrt(r) * sqrt(left)
    return 0.0, adaptive, adaptive * reach_of_mean(h.beta1, h.beta2), 0.0


class RAdamW(NamedTuple):
    """p = (1 - lr*weight_decay)*p, then RAdam's step with the plain gradient.

    Source: Liu et al. 2020, algorithm 2, and Loshchilov & Hutter 2019, algorithm 2. Same as
    torch.optim.RAdam(decoupled_weight_decay=True).
    """

    lr: float = 1e-3
    beta1: float = 0.9
    beta2: float = 0.999
    eps: float = 1e-8
    weight_decay: float = 0.01

    slots = ("m", "v")

    @staticmethod
    def coefficients(h, t):
        plain, adaptive, reach, free = _rectified(h, t)
        shares, keep = (h.beta1, 1 - h.beta1, h.beta2, 1 - h.beta2), 1 - h.lr * h.weight_decay
        return plain, adaptive, *shares, h.eps, keep, reach, TINY, free

    @staticmethod
    def update(h, k, p, g, s):
        plain, adaptive, beta1, share1, beta2, share2, eps, keep, reach, tiny, free = k
        m, v = s
        most = np.sqrt(tiny) / tiny
        m = beta1 * m + share1 * held(g, np.maximum(most, free))
        g = held(g, most)
        v = beta2 * v + share2 * g * g
        return keep * p - plain * m - held(adaptive * m / (np.sqrt(v) + eps), reach), (m, v)


class AdEMAMix(NamedTuple):
    """Adam's m_hat and v_hat, and n = beta3_t*n + (1-beta3_t)*g with a long memory;
    p = p - lr*((m_hat + alpha_t*n)/(sqrt(v_hat) + eps) + weight_decay*p).

    alpha_t = min(t/warmup, 1)*alpha, and beta3_t goes from beta1 to beta3 in `warmup` steps such that half-lives
    grow linearly; warmup = 0 has both at once. Source: Pagliardini, Ablin & Grangier 2024, algorithm 1.
    Same as optax.contrib.ademamix; torch has none.
    """

    lr: float = 1e-3
    beta1: float = 0.9
    beta2: float = 0.999
    beta3: float = 0.9999
    alpha: float = 5.0
    eps: float = 1e-8
    weight_decay: float = 0.0
    warmup: float = 0.0

    slots = ("m", "n", "v")

    @staticmethod
    def coefficients(h, t):
        beta3, alpha, x = h.beta3, h.alpha, t / h.warmup if h.warmup > 0 else 1.0
        if x < 1:
            alpha = x * h.alpha
            if h.beta1 > 0 and h.beta3 > 0:  # log(0) is -inf: beta3 at once
                short, long = log(h.beta1), log(h.beta3)
                beta3 = min(exp(short * long / ((1 - x) * long + x * short)), h.beta3)
        rate, root = h.lr / (1 - h.beta1**t), 1 / sqrt(1 - h.beta2**t)
        shares = h.beta1, 1 - h.beta1, beta3, 1 - beta3, h.beta2, 1 - h.beta2
        first = 1 - (
            h.beta1 if h.warmup > 0 and h.beta1 < h.beta3 else h.beta3
        )  # the largest share a g had in n
        reach_n = reach_of_long_mean(first, h.beta3, h.beta2, t)
        reach = (rate * reach_of_mean(h.beta1, h.beta2) + h.lr * alpha * reach_n) / root
        return rate, h.lr * alpha, root, *shares, h.eps, 1 - h.lr * h.weight_decay, reach, TINY

    @staticmethod
    def update(h, k, p, g, s):
        rate, rate_n, root, beta1, share1, beta3, share3, beta2, share2, eps, keep, reach, tiny = k
        m, n, v = s
        g = held(g, np.sqrt(tiny) / tiny)
        m = beta1 * m + share1 * g
        n = beta3 * n + share3 * g
        v = beta2 * v + share2 * g * g
        return keep * p - held((rate * m + rate_n * n) / (np.sqrt(v) * root + eps), reach), (m, n, v)


def _free(h, t):
    """(lr, c) of step t: lr warmed up linearly, c = lr_t^2 / (lr_1^2 + ... + lr_t^2)."""
    w = h.warmup
    if w <= 0:
        return h.lr, 1 / t
    if t <= w:
        return h.lr * t / w, 6 * t / ((t + 1) * (2 * t + 1))
    whole = float(int(w))
    return h.lr, 1 / (whole * (whole + 1) * (2 * whole + 1) / (6 * w * w) + (t - whole))


class ScheduleFreeSGD(NamedTuple):
    """g taken at the parameter y;  c = lr_t^2/sum of lr_i^2 (1/t without warm-up);  g = g + weight_decay*y;
    y = (1-c)*y + c*z - lr*(1 - momentum*(1-c))*g;  z = z - lr*g.

    The model to use is x = y + (1 - 1/momentum)*(z - y), which `Optimizer.averaged()` gives: the parameters
    themselves are y, the point of the gradients. lr must not be scheduled: warmup is its only schedule. With momentum = 0
    y is z and x is lost, so that is refused: Averaged(SGD()) is that method.
    Source: Defazio et al. 2024, eq. 2-4. Same as schedulefree.SGDScheduleFree.
    """

    lr: float = 1.0
    momentum: float = 0.9
    weight_decay: float = 0.0
    warmup: float = 0.0

    slots = ("z",)
    copies = ("z",)
    above_zero = ("momentum",)

    @staticmethod
    def coefficients(h, t):
        lr, c = _free(h, t)
        return lr, 1 - c, c, lr * (1 - h.momentum * (1 - c)), h.weight_decay

    @staticmethod
    def update(h, k, p, g, s):
        lr, keep, c, rate, weight_decay = k
        (z,) = s
        g = g + weight_decay * p
        return keep * p + c * z - rate * g, (z - lr * g,)

    @staticmethod
    def averaged(h, p, s):
        return p + (1 - 1 / h.momentum) * (s["z"] - p)


class ScheduleFreeAdamW(NamedTuple):
    """v = beta2*v + (1-beta2)*g^2;  d = g/(sqrt(v_hat) + eps) + weight_decay*y;  c as in ScheduleFreeSGD;
    y = (1-c)*y + c*z - lr*(1 - beta1*(1-c))*d;  z = z - lr*d.

    x = y + (1 - 1/beta1)*(z - y) is what `Optimizer.averaged()` gives. Source: Defazio et al. 2024, algorithm 1.
    Same as schedulefree.AdamWScheduleFree.
    """

    lr: float = 2.5e-3
    beta1: float = 0.9
    beta2: float = 0.999
    eps: float = 1e-8
    weight_decay: float = 0.0
    warmup: float = 0.0

    slots = ("z", "v")
    copies = ("z",)
    above_zero = ("beta1",)

    @staticmethod
    def coefficients(h, t):
        lr, c = _free(h, t)
        root = 1 / sqrt(1 - h.beta2**t)
        rate = lr * (1 - h.beta1 * (1 - c))
        reach = reach_of_mean(0.0, h.beta2) / root
        return lr, 1 - c, c, rate, root, h.beta2, 1 - h.beta2, h.eps, h.weight_decay, reach, TINY

    @staticmethod
    def update(h, k, p, g, s):
        lr, keep, c, rate, root, beta2, share2, eps, weight_decay, reach, tiny = k
        z, v = s
        g = held(g, np.sqrt(tiny) / tiny)
        v = beta2 * v + share2 * g * g
        d = held(g / (np.sqrt(v) * root + eps), reach) + weight_decay * p
        return keep * p + c * z - rate * d, (z - lr * d, v)

    @staticmethod
    def averaged(h, p, s):
        return p + (1 - 1 / h.beta1) * (s["z"] - p)
