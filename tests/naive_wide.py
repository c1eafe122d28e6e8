"""Naive reference versions of rules that look at whole arrays, average, or wrap another rule: float64, from the papers."""

import numpy as np


def lars(p, g, s, t, *, lr=0.1, momentum=0.9, weight_decay=0.0, trust=0.001, eps=0.0):
    """You, Gitman and Ginsburg (2017), algorithm 1."""
    of_p, of_g = np.linalg.norm(p), np.linalg.norm(g)
    local = trust * of_p / (of_g + weight_decay * of_p + eps) if of_p > 0 and of_g > 0 else 1.0
    v = momentum * s["v"] + lr * local * (g + weight_decay * p)
    return p - v, {"v": v}


def lamb(p, g, s, t, *, lr=1e-3, beta1=0.9, beta2=0.999, eps=1e-6, weight_decay=0.0):
    """You et al. (2020), algorithm 2, phi the identity."""
    m = beta1 * s["m"] + (1 - beta1) * g
    v = beta2 * s["v"] + (1 - beta2) * g**2
    u = m / (1 - beta1**t) / (np.sqrt(v / (1 - beta2**t)) + eps) + weight_decay * p
    of_p, of_u = np.linalg.norm(p), np.linalg.norm(u)
    ratio = of_p / of_u if of_p > 0 and of_u > 0 else 1.0
    return p - lr * ratio * u, {"m": m, "v": v}


def plain_adafactor(p, g, s, t, *, lr=1e-3, beta2=0.999, eps=1e-8):
    """The factored second moment alone, element by element, for a matrix."""
    rows, columns = p.shape
    r, c, new = np.zeros(rows), np.zeros(columns), np.zeros_like(p)
    for i in range(rows):
        r[i] = beta2 * s["r"][i] + (1 - beta2) * sum(g[i, j] ** 2 for j in range(columns))
    for j in range(columns):
        c[j] = beta2 * s["c"][j] + (1 - beta2) * sum(g[i, j] ** 2 for i in range(rows))
    for i in range(rows):
        for j in range(columns):
            v = r[i] * c[j] / sum(r) / (1 - beta2**t)
            new[i, j] = p[i, j] - lr * g[i, j] / (np.sqrt(v) + eps)
    return new, {"r": r, "c": c}


def adafactor(
    p, g, s, t, *, lr=1e-2, eps1=1e-30, eps2=1e-3, threshold=1.0, decay=0.8, beta1=0.0, weight_decay=0.0
):
    """Shazeer and Stern (2018), algorithms 4 (matrices) and 5 (vectors), with relative steps."""
    beta2 = 1 - t**-decay
    squares = g**2 + eps1
    if p.ndim >= 2:
        r = beta2 * s["r"] + (1 - beta2) * squares.sum(axis=-1) / p.shape[-1]
        c = beta2 * s["c"] + (1 - beta2) * squares.sum(axis=-2) / p.shape[-2]
        v = r[..., :, None] * c[..., None, :] / r.mean(axis=-1)[..., None, None]
    else:
        r, c = beta2 * s["r"] + (1 - beta2) * squares, s["c"]
        v = r
    u = g / np.sqrt(v)
    u = u / max(1.0, np.sqrt(np.mean(u**2)) / threshold)
    step = max(eps2, np.sqrt(np.mean(p**2))) * min(lr, 1 / np.sqrt(t))
    m = beta1 * s["m"] + (1 - beta1) * u if beta1 > 0 else s["m"]
    u = m if beta1 > 0 else u
    return p - step * weight_decay * p - step * u, {"r": r, "c": c, "m": m}


def muon(p, g, s, t, *, lr=0.02, momentum=0.95, weight_decay=0.0):
    """Jordan et al. (2024): Nesterov momentum, five steps of the quintic iteration, for a matrix."""
    v = momentum * s["v"] + g
    X = g + momentum * v
    X = X / (np.sqrt(np.sum(X**2)) + 1e-7)
    for _ in range(5):
        A = X @ X.T
        X = 3.4445 * X - 4.7750 * A @ X + 2.0315 * A @ A @ X
    return p - lr * weight_decay * p - lr * np.sqrt(max(1.0, p.shape[0] / p.shape[1])) * X, {
        "v": v,
        "u": s["u"],
    }


def radam(p, g, s, t, *, lr=1e-3, beta1=0.9, beta2=0.999, eps=1e-8, weight_decay=0.0):
    """Liu et al. (2020), algorithm 2, rectified where rho_t > 5; eps beside the root of the uncorrected v."""
    g = g + weight_decay * p
    m = beta1 * s["m"] + (1 - beta1) * g
    v = beta2 * s["v"] + (1 - beta2) * g**2
    m_hat = m / (1 - beta1**t)
    inf = 2 / (1 - beta2) - 1
    rho = inf - 2 * t * beta2**t / (1 - beta2**t)
    if rho > 5:
        r = np.sqrt((rho - 4) * (rho - 2) * inf / ((inf - 4) * (inf - 2) * rho))
        return p - lr * m_hat * r * np.sqrt(1 - beta2**t) / (np.sqrt(v) + eps), {"m": m, "v": v}
    return p - lr * m_hat, {"m": m, "v": v}


def ademamix(p, g, s, t, *, lr=1e-3, beta1=0.9, beta2=0.999, beta3=0.9999, alpha=5.0, eps=1e-8, weight_decay=0.0,
             warmup=0.0):  # fmt: skip
    """Pagliardini, Ablin and Grangier (2024), algorithm 1, with its two schedulers."""
    if t < warmup:
        x = t / warmup
        alpha = x * alpha
        a, b = np.log(beta1), np.log(beta3)
        beta3 = min(np.exp(a * b / ((1 - x) * b + x * a)), beta3)
    m = beta1 * s["m"] + (1 - beta1) * g
    n = beta3 * s["n"] + (1 - beta3) * g
    v = beta2 * s["v"] + (1 - beta2) * g**2
    step = (m / (1 - beta1**t) + alpha * n) / (np.sqrt(v / (1 - beta2**t)) + eps) + weight_decay * p
    return p - lr * step, {"m": m, "n": n, "v": v}


class ScheduleFree:
    """Defazio et al. (2024) in its three sequences x, y, z, with gradients at y; the average x is kept itself."""

    def __init__(self, start, direction, lr, momentum, weight_decay=0.0, warmup=0):
        self.x, self.z, self.total = start.copy(), start.copy(), 0.0
        self.direction, self.lr, self.momentum, self.decay, self.warmup = (
            direction,
            lr,
            momentum,
            weight_decay,
            warmup,
        )

    def y(self):
        return (1 - self.momentum) * self.z + self.momentum * self.x

    def step(self, g, t):
        lr = self.lr * min(1.0, t / self.warmup) if self.warmup else self.lr
        d = self.direction(g, t) + self.decay * self.y()
        self.total += lr**2
        self.z = self.z - lr * d
        c = lr**2 / self.total
        self.x = (1 - c) * self.x + c * self.z
