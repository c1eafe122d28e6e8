"""Rules for whole matrices: factored second moments, orthogonal steps. NumPy computes them on every back end."""

from math import prod, sqrt
from typing import NamedTuple

import numpy as np

from fastopt.rules.limits import TINY, held, reach_of_mean


def _factored(shape):
    return len(shape) >= 2


def _axes_of(shape):
    """Shapes of the means over the last axis (rows) and over the one before it (columns)."""
    return shape[:-1], (*shape[:-2], shape[-1])


class PlainAdafactor(NamedTuple):
    """R = beta2*R + (1-beta2)*(G^2) 1;  C = beta2*C + (1-beta2)*1'(G^2);
    V = R C/(1'R)/(1 - beta2^t);  X = X - lr*G/(sqrt(V) + eps).

    The plain factored form of the lectures' Adafactor: no first moment, no clipping, a rate of its own. The state
    of n x m numbers is n + m; higher ranks are taken over the last two axes, vectors are not factored.
    Source: Shazeer & Stern 2018, section 3, algorithm 2. Adafactor has the paper's full form.
    """

    lr: float = 1e-3
    beta2: float = 0.999
    eps: float = 1e-8

    slots = ("r", "c")
    whole = True

    @staticmethod
    def slot_shapes(h, shape):
        return _axes_of(shape) if _factored(shape) else (shape, (0,))

    @staticmethod
    def coefficients(h, t):
        return h.lr, h.beta2, 1 - h.beta2, 1 / sqrt(1 - h.beta2**t), h.eps, TINY

    @staticmethod
    def update(h, k, p, g, s):
        lr, beta2, share, root, eps, tiny = k
        r, c = s
        g = _within(g, _most(p, tiny))
        if not _factored(p.shape):
            r = beta2 * r + share * g * g
            return p - lr * g / (np.sqrt(r) * root + eps), (r, c)
        rows, columns = _sums_of_squares(g)
        r = beta2 * r + share * rows.astype(p.dtype)
        c = beta2 * c + share * columns.astype(p.dtype)
        total = _in_turn(r).astype(p.dtype)[..., None]
        of_row = np.sqrt(np.where(total > 0, r / np.where(total > 0, total, 1), r))[..., None]
        return p - lr * g / (of_row * (np.sqrt(c) * root)[..., None, :] + eps), (r, c)


def _most(p, tiny):
    """Up to where a gradient counts: so that a sum of squares over p, and twice that, are numbers of the dtype."""
    return np.sqrt(tiny) / tiny / np.sqrt(p.dtype.type(max(1, p.size)))


def _within(g, most):
    """g in another unit where an element is beyond `most`: the array's step does not look at the unit."""
    largest = np.abs(g).max(initial=0)
    return g * (most / largest) if largest > most else g


class Adafactor(NamedTuple):
    """rho_t = min(lr, 1/sqrt(t));  a_t = max(eps2, RMS(X))*rho_t;  b_t = 1 - t^-decay;
    R = b_t*R + (1-b_t)*(G^2 + eps1) mean over rows, C likewise over columns;  U = G/sqrt(R C/mean(R));
    U = U/max(1, RMS(U)/threshold);  with beta1 > 0: M = beta1*M + (1-beta1)*U, U = M;
    X = (1 - a_t*weight_decay)*X - a_t*U.

    relative=False takes lr as the step a_t itself; decay_by_lr=True multiplies weight_decay with lr, not a_t, as
    torch and Keras do. State of n x m: n + m numbers, and n*m more with beta1.
    Source: Shazeer & Stern 2018, algorithms 4 and 5. torch.optim.Adafactor has no beta1 and keeps V at eps1^2 and above
    instead of adding eps1 to G^2; optax has other defaults.
    """

    lr: float = 1e-2
    eps1: float = 1e-30
    eps2: float = 1e-3
    threshold: float = 1.0
    decay: float = 0.8
    beta1: float = 0.0
    weight_decay: float = 0.0
    relative: bool = True
    decay_by_lr: bool = False

    slots = ("r", "c", "m")
    whole = True

    @staticmethod
    def slot_shapes(h, shape):
        first = shape if h.beta1 > 0 else (0,)
        return (*_axes_of(shape), first) if _factored(shape) else (shape, (0,), first)

    @staticmethod
    def coefficients(h, t):
        beta2 = 1 - t**-h.decay
        rate = min(h.lr, 1 / sqrt(t)) if h.relative else h.lr
        scaled = 1.0 if h.relative else 0.0
        decay = (0.0, h.lr * h.weight_decay) if h.decay_by_lr else (h.weight_decay, 0.0)
        return rate, scaled, beta2, 1 - beta2, h.eps1, h.eps2, h.threshold, h.beta1, *decay, TINY

    @staticmethod
    def update(h, k, p, g, s):
        rate, scaled, beta2, share, eps1, eps2, threshold, beta1, of_step, of_lr, tiny = k
        r, c, m = s
        g = _within(g, _most(p, tiny))
        if _factored(p.shape):
            rows, columns = _sums_of_squares(g)
            r = beta2 * r + share * (rows / max(1, g.shape[-1]) + float(eps1)).astype(p.dtype)
            c = beta2 * c + share * (columns / max(1, g.shape[-2]) + float(eps1)).astype(p.dtype)
            mean = (_in_turn(r) / max(1, g.shape[-2])).astype(p.dtype)[..., None]
            of_row = _inverse_root(np.where(mean > 0, r / np.where(mean > 0, mean, 1), r))[..., None]
            of_column = _inverse_root(c)[..., None, :]
        else:
            r = beta2 * r + share * (g * g + eps1)
            of_row, of_column = _inverse_root(r), p.dtype.type(1)
        step = rate * max(eps2, _rms(p)) if scaled else rate
        beyond = _rms(g * of_row * of_column) / threshold
        u = g * (of_row * (1 / beyond if beyond > 1 else 1)) * of_column
        if m.size:
            m = beta1 * m + (1 - beta1) * u
            u = m
        return (1 - (step * of_step + of_lr)) * p - step * u, (r, c, m)


# Sums in float64, since squares of float32 leave its range, in the order of csrc/adafactor.inc.h: of a row in 32 parts,
# part j has the elements j, j + 32, ... in order, then halves are added; of rows, and of columns, one after the other.


def _sums_of_squares(x):
    """Of each row and of each column of matrices."""
    matrices = x.reshape(prod(x.shape[:-2]), *x.shape[-2:])  # -1 is not for arrays without elements
    rows, columns = np.zeros(matrices.shape[:2]), np.zeros((len(matrices), x.shape[-1]))
    some = max(1, _PART // max(1, x.shape[-1]))
    for matrix, of_rows, of_columns in zip(matrices, rows, columns, strict=True):
        for i in range(0, len(matrix), some):
            squares = np.square(matrix[i : i + some], dtype=np.float64)
            of_rows[i : i + some] = _in_parts(squares)
            for row in squares:
                of_columns += row
    return rows.reshape(x.shape[:-1]), columns.reshape(*x.shape[:-2], x.shape[-1])


def _in_parts(squares):
    """Sums of the rows."""
    parts, full = np.zeros((len(squares), 32)), squares.shape[1] // 32 * 32
    for j in range(0, full, 32):
        parts += squares[:, j : j + 32]
    parts[:, : squares.shape[1] - full] += squares[:, full:]
    for width in (16, 8, 4, 2, 1):
        parts = parts[:, :width] + parts[:, width : 2 * width]
    return parts[:, 0]


def _in_turn(r):
    """Sums over the last axis, in order."""
    return np.add.accumulate(r, axis=-1, dtype=np.float64)[..., -1] if r.size else np.zeros(r.shape[:-1])


_PART = 1 << 14  # numbers squared at once: in float64 they stay in the second-level cache


def _rms(x):
    """sqrt of the mean square; of matrices by their rows, of a vector by one."""
    if not x.size:
        return x.dtype.type(0)
    rows = x.reshape(-1, x.shape[-1]) if x.ndim > 1 else x.reshape(1, -1)
    total, some = 0.0, max(1, _PART // rows.shape[1])
    for i in range(0, len(rows), some):
        for of_row in _in_parts(np.square(rows[i : i + some], dtype=np.float64)).tolist():
            total += of_row
    return x.dtype.type(sqrt(total / x.size))


def _inverse_root(x):
    """1/sqrt(x), and 0 where x is 0."""
    return np.where(x > 0, 1 / np.sqrt(np.where(x > 0, x, 1)), x.dtype.type(0))


class Muon(NamedTuple):
    """V = momentum*V + G;  O = orthogonal(G + momentum*V) by ns_steps Newton-Schulz steps;
    X = (1 - lr*weight_decay)*X - lr*sqrt(max(1, n/m))*O, for matrices n x m. Other arrays take AdamW's step with
    adam_lr, beta1, beta2, eps (slots "v" and "u" are then Adam's m and v).

    Higher ranks are flattened to (first axis, rest). Source: Jordan et al. 2024 (kellerjordan.github.io/posts/muon),
    with Nesterov's momentum; ns_steps and ns_a, ns_b, ns_c are those of `orthogonal`. torch.optim.Muon averages the
    momentum, (1-momentum)*G, which has the same direction, computes O in bfloat16, takes only matrices, and has lr 1e-3
    and weight_decay 0.1 by default.
    """

    lr: float = 0.02
    momentum: float = 0.95
    weight_decay: float = 0.0
    adam_lr: float = 1e-3
    beta1: float = 0.9
    beta2: float = 0.999
    eps: float = 1e-8
    ns_steps: float = 5.0
    ns_a: float = 3.4445
    ns_b: float = -4.775
    ns_c: float = 2.0315

    slots = ("v", "u")
    whole = True

    @staticmethod
    def slot_shapes(h, shape):
        return (shape, (0,)) if _factored(shape) else (shape, shape)

    @staticmethod
    def coefficients(h, t):
        first, root = h.adam_lr / (1 - h.beta1**t), 1 / sqrt(1 - h.beta2**t)
        shares, reach = (h.beta1, 1 - h.beta1, h.beta2, 1 - h.beta2), reach_of_mean(h.beta1, h.beta2)
        adam = first, root, *shares, h.eps, 1 - h.adam_lr * h.weight_decay, first / root * reach, TINY
        iteration = h.ns_steps, h.ns_a, h.ns_b, h.ns_c
        return (h.lr, h.momentum, 1 - h.lr * h.weight_decay, max(1 - h.momentum, 1e-6) / 4, *iteration, *adam)

    @staticmethod
    def update(h, k, p, g, s):
        lr, momentum, keep, room, steps, a, b, c, *adam = k
        v, u = s
        if not _factored(p.shape):
            first, root, beta1, share1, beta2, share2, eps, keep, reach, tiny = adam
            g = held(g, np.sqrt(tiny) / tiny)
            v = beta1 * v + share1 * g
            u = beta2 * u + share2 * g * g
            return keep * p - held(first * v / (np.sqrt(u) * root + eps), reach), (v, u)
        g = _within(
            g, room * _most(p, adam[-1])
        )  # so that the norm of the sum below is a number of the dtype
        v = momentum * v + g
        step = (g + momentum * v).reshape(len(p), p.size // max(1, len(p)))
        scale = p.dtype.type(sqrt(max(1.0, step.shape[0] / max(1, step.shape[1]))))
        return keep * p - lr * scale * orthogonal(step, steps, a, b, c).reshape(p.shape), (v, u)


def orthogonal(G, steps, a, b, c):
    """About the nearest matrix with orthonormal rows or columns: X = a*X + (b*A + c*A^2) X, A = X X'."""
    X = G.T if G.shape[0] > G.shape[1] else G
    X = X / (np.linalg.norm(X) + G.dtype.type(1e-7))
    for _ in range(int(steps)):
        A = X @ X.T
        X = a * X + (b * A + c * (A @ A)) @ X
    return X.T if G.shape[0] > G.shape[1] else X
