"""Naive reference versions of the rules that use norms or factors of a whole array; see naive_rules.py."""

import numpy as np
from naive_rules import Rule


def _rms(x):
    return np.sqrt((x**2).sum() / x.size)


def _norm(x):
    return float(np.sqrt((x**2).sum()))


def factored(s, square, beta2):
    """R and C of s moved towards the square's sums (over the last and the last but one axis); returns R C/1'R.

    One factorization per matrix of the last two axes.  A matrix whose sum is 0 gives zeros."""
    rows, cols = square.sum(axis=-1), square.sum(axis=-2)
    s["R"] = beta2 * s.get("R", np.zeros(rows.shape)) + (1 - beta2) * rows
    s["C"] = beta2 * s.get("C", np.zeros(cols.shape)) + (1 - beta2) * cols
    V = np.zeros(square.shape)
    for batch in np.ndindex(square.shape[:-2]):
        R, C = s["R"][batch], s["C"][batch]
        if R.sum() > 0:
            V[batch] = np.outer(R, C) / R.sum()
    return V


class AdafactorPlain(Rule):
    """Adafactor in the lectures' plain form: Adam's second moment factored, no first moment.

    R = beta2*R + (1-beta2)*(G^2) 1;  C = beta2*C + (1-beta2)*1' (G^2);  V = (R C/1'R)/(1 - beta2^t);
    X -= lr*G/(sqrt(V) + eps).  (Shazeer and Stern, 2018, algorithm 2, plus the lectures' eps.)
    Rank >= 2: factored over the last two axes; rank 0 or 1: V = v/(1 - beta2^t), v = beta2*v + (1-beta2)*g^2.
    weight_decay is decoupled, as AdamW.
    """

    defaults = dict(lr=1e-3, beta2=0.999, eps=1e-8, weight_decay=0.0)

    def update(self, p, g, s, t):
        p = p * (1 - self.lr * self.weight_decay)
        if p.ndim < 2:
            V = s["v"] = self.beta2 * self.slot("v", p) + (1 - self.beta2) * g**2
        else:
            V = factored(s, g**2, self.beta2)
        return p - self.lr * g / (np.sqrt(V / (1 - self.beta2**t)) + self.eps)


class Adafactor(Rule):
    """Adafactor (Shazeer and Stern, 2018, algorithms 4 and 5), with an optional first moment.

    rho_t = min(lr, 1/sqrt(t)) (lr itself if not relative_step);
    a_t = max(eps2, RMS(X_(t-1)))*rho_t (rho_t itself if not scale_parameter);  b2_t = 1 - t^(-decay);
    R = b2_t*R + (1-b2_t)*(G^2 + eps1) 1, C likewise, V = R C/1'R (rank >= 2, over the last two axes; else V whole);
    U = G/sqrt(V);  U /= max(1, RMS(U)/d);  u = a_t*U, with beta1: m = beta1*m + (1-beta1)*u and u = m;  X -= u.
    weight_decay, with X_(t-1): decay_by "lr": lr*weight_decay*X (torch, Keras), "step": a_t*weight_decay*X
    (Hugging Face, mesh-tensorflow), "plain": weight_decay*X (optax).  The paper has no decay.
    torch: eps1 is not added to G^2: V = max(R C/max(mean R, eps1), eps1^2) with R, C means
    (eps_by="clamp"; eps1 = the dtype's eps), always relative and scaled, no beta1.
    optax: factored over the two largest axes and only from 128x128 on; the rate is not relative.
    Keras: as here, lr=1e-3, no beta1.  A zero gradient with eps1 = 0 gives no update.
    """

    defaults = dict(
        lr=1e-2,
        eps1=1e-30,
        eps2=1e-3,
        d=1.0,
        decay=0.8,
        beta1=None,
        weight_decay=0.0,
        relative_step=True,
        scale_parameter=True,
        eps_by="add",
        decay_by="lr",
    )

    def second_moment(self, p, g, s, beta2):
        square = g**2 + (self.eps1 if self.eps_by == "add" else 0.0)
        if p.ndim < 2:
            V = s["v"] = beta2 * self.slot("v", p) + (1 - beta2) * square
            least = 0.0
        else:
            V = factored(s, square, beta2)
            least = self.eps1
        if self.eps_by == "add":
            return V
        for batch in np.ndindex(V.shape[:-2] if p.ndim >= 2 else ()):
            if least > 0:  # mean R below eps1 counts as eps1
                mean = s["R"][batch].sum() / (p.shape[-1] * p.shape[-2])
                V[batch] = V[batch] * (mean / max(mean, least))
        return np.maximum(V, self.eps1**2)

    def update(self, p, g, s, t):
        rate = min(self.lr, 1 / np.sqrt(t)) if self.relative_step else self.lr
        a = max(self.eps2, _rms(p)) * rate if self.scale_parameter else rate
        V = self.second_moment(p, g, s, 1 - t ** (-self.decay))
        U = np.where(V > 0, g / np.sqrt(np.where(V > 0, V, 1.0)), 0.0)
        u = a * U / max(1.0, _rms(U) / self.d)
        if self.beta1 is not None:
            s["m"] = self.beta1 * self.slot("m", p) + (1 - self.beta1) * u
            u = s["m"]
        decay = {"lr": self.lr, "step": a, "plain": 1.0}[self.decay_by] * self.weight_decay
        return p - decay * p - u


class LARS(Rule):
    """LARS (You, Gitman and Ginsburg, 2017, algorithm 1).

    trust = eta*||p||/(||g|| + weight_decay*||p|| + eps);  v = momentum*v + lr*trust*(g + weight_decay*p);  p -= v.
    trust is 1 where ||p|| or ||g|| is 0.  The rate is inside the velocity.  eta is optax's trust_coefficient.
    norm="sum": ||g + weight_decay*p|| in place of ||g|| + weight_decay*||p|| (optax.lars).
    nesterov: p -= momentum*v + lr*trust*(g + weight_decay*p).
    torch and Keras have none.
    """

    defaults = dict(
        lr=0.1, momentum=0.9, weight_decay=0.0, eta=1e-3, eps=0.0, nesterov=False, norm="separate"
    )

    def update(self, p, g, s, t):
        d = g + self.weight_decay * p
        size = _norm(d) if self.norm == "sum" else _norm(g) + self.weight_decay * _norm(p)
        zero = _norm(p) == 0 or (_norm(d) if self.norm == "sum" else _norm(g)) == 0
        trust = 1.0 if zero else self.eta * _norm(p) / (size + self.eps)
        u = self.lr * trust * d
        s["v"] = self.momentum * self.slot("v", p) + u
        return p - (self.momentum * s["v"] + u if self.nesterov else s["v"])


class LAMB(Rule):
    """LAMB (You et al., 2020, algorithm 2).

    r = m_hat/(sqrt(v_hat) + eps);  d = r + weight_decay*p;  p -= lr*(phi(||p||)/||d||)*d;
    phi(z) = min(max(z, lower), upper), by default z; the ratio is 1 where ||p|| or ||d|| is 0.
    optax.lamb: the same, eps 1e-6.  Keras: eps 1e-7, its decay is outside the ratio.  torch has none.
    """

    defaults = dict(
        lr=1e-3,
        beta1=0.9,
        beta2=0.999,
        eps=1e-6,
        weight_decay=0.0,
        lower=0.0,
        upper=np.inf,
        bias_correction=True,
    )

    def update(self, p, g, s, t):
        s["m"] = self.beta1 * self.slot("m", p) + (1 - self.beta1) * g
        s["v"] = self.beta2 * self.slot("v", p) + (1 - self.beta2) * g**2
        m_hat, v_hat = s["m"], s["v"]
        if self.bias_correction:
            m_hat, v_hat = m_hat / (1 - self.beta1**t), v_hat / (1 - self.beta2**t)
        d = m_hat / (np.sqrt(v_hat) + self.eps) + self.weight_decay * p
        w, size = _norm(p), _norm(d)
        ratio = 1.0 if w == 0 or size == 0 else min(max(w, self.lower), self.upper) / size
        return p - self.lr * ratio * d


MUON_COEFFICIENTS = (3.4445, -4.7750, 2.0315)


def newton_schulz(G, steps=5, coefficients=MUON_COEFFICIENTS, eps=1e-7, normalize="clamp"):
    """The quintic Newton-Schulz iteration of Jordan (2024): about U V' of G = U S V'.

    X = G/max(||G||_F, eps) (torch) or G/(||G||_F + eps) (normalize="add", Jordan, optax), transposed if it has
    more rows than columns;  A = X X';  X = a*X + (b*A + c*A A) X, `steps` times.  torch and Jordan: bfloat16.
    """
    a, b, c = coefficients
    X = np.array(G, dtype=np.float64)
    tall = X.shape[0] > X.shape[1]
    X = X.T if tall else X
    X = X / (max(_norm(X), eps) if normalize == "clamp" else _norm(X) + eps)
    for _ in range(steps):
        A = X @ X.T
        X = a * X + (b * A + c * A @ A) @ X
    return X.T if tall else X


def muon_scale(rows, columns, scale):
    """The factor on the rate for a rows x columns update, W being (out, in).

    "original"  sqrt(max(1, rows/columns)): Jordan, torch's default (optax: columns/rows, its kernels are (in, out));
    "match_rms_adamw"  0.2*sqrt(max(rows, columns)): Liu et al., 2025 (Moonlight), torch;
    "spectral"  sqrt(rows/columns): Bernstein, 2025 (modular norm);   "none"  1.
    """
    return {
        "original": np.sqrt(max(1.0, rows / columns)),
        "match_rms_adamw": 0.2 * np.sqrt(max(rows, columns)),
        "spectral": np.sqrt(rows / columns),
        "none": 1.0,
    }[scale]


class Muon(Rule):
    """Muon (Jordan et al., 2024), for matrices; a higher rank is seen as (shape[0], rest).

    B = momentum*B + (1-momentum)*G;  M = (1-momentum)*G + momentum*B if nesterov, else B;
    p = p*(1 - lr*weight_decay) - lr*muon_scale*newton_schulz(M).
    torch: the same in bfloat16, rank 2 only (lr=1e-3, weight_decay=0.1; its text has B = momentum*B + G, which
    the normalization makes the same up to eps: accumulate="sum").  Jordan: lr=0.02, no decay, 4-D flattened.
    optax: eps=1e-8, added; (1-momentum)*G/(1-momentum^t) + momentum*B/(1-momentum^(t+1)), no decay.
    Keras: the sum form, ns_steps=6, eps added; AdamW for what is not a matrix.
    """

    defaults = dict(
        lr=1e-3,
        momentum=0.95,
        nesterov=True,
        weight_decay=0.1,
        ns_steps=5,
        coefficients=MUON_COEFFICIENTS,
        eps=1e-7,
        scale="original",
        normalize="clamp",
        accumulate="mean",
    )

    def update(self, p, g, s, t):
        if p.ndim < 2:
            raise ValueError("Muon is for arrays of rank 2 or more")
        share = 1 - self.momentum if self.accumulate == "mean" else 1.0
        s["v"] = self.momentum * self.slot("v", p) + share * g
        M = share * g + self.momentum * s["v"] if self.nesterov else s["v"]
        M = M.reshape(p.shape[0], -1)
        U = newton_schulz(M, self.ns_steps, self.coefficients, self.eps, self.normalize)
        rate = self.lr * muon_scale(*M.shape, self.scale)
        return p * (1 - self.lr * self.weight_decay) - rate * U.reshape(p.shape)
