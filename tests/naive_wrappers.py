"""Naive reference versions of what goes around a rule: SAM, Lookahead, averages, schedule-free, clipping.

The rules they take are those of naive_rules.py (or anything with step(p, g) -> p).
"""

from copy import deepcopy

import numpy as np
from naive_rules import Rule, _f

# ------------------------------------------------------------------------- SAM


def _joint_norm(arrays, q):
    """The q-norm of all arrays seen as one vector, q in [1, inf]."""
    top = max((float(np.abs(a).max()) for a in arrays if a.size), default=0.0)
    if top == 0 or np.isinf(q) or not np.isfinite(top):
        return top
    return top * sum(float(((np.abs(a) / top) ** q).sum()) for a in arrays) ** (1 / q)


def sam_ascent(params, grads, rho=0.05, p=2.0, adaptive=False, eta=0.01):
    """The ascent e (a list of arrays) of SAM (Foret et al., 2021, eq. 2), over all arrays together.

    e = rho*sign(g)*|g|^(q-1)/||g||_q^(q-1), 1/p + 1/q = 1, p in (1, inf]: the maximizer of <e, g> with ||e||_p <= rho.
    p = 2: rho*g/||g||;  p = inf: rho*sign(g).  A zero gradient gives e = 0.
    adaptive (ASAM; Kwon et al., 2021, eq. 6): T = |w| + eta, h = T*g, e = rho*T*sign(h)*|h|^(q-1)/||h||_q^(q-1):
    p = 2: rho*T^2*g/||T g||.  The authors' code takes T = 1 for biases, rho=0.5, eta=0.01.
    optax.contrib.sam: p = 2 only.  Foret's and davda54's code add 1e-12 to the norm; torch has none.
    """
    params, grads = [_f(w) for w in params], [_f(g) for g in grads]
    T = [np.abs(w) + eta if adaptive else np.ones(w.shape) for w in params]
    h = [a * g for a, g in zip(T, grads, strict=True)]
    q = 1.0 if np.isinf(p) else p / (p - 1)
    size = _joint_norm(h, q)
    if size == 0:
        return [np.zeros(w.shape) for w in params]
    return [rho * a * np.sign(b) * (np.abs(b) / size) ** (q - 1) for a, b in zip(T, h, strict=True)]


class SAM:
    """Sharpness-aware minimization around any rule: p <- base(p, gradient at p + e), e from sam_ascent.

    step(params, grad) takes a list of arrays and grad(list) -> list.  One copy of the base per array.
    The base starts from p, not from p + e, and its decay sees p.
    """

    def __init__(self, base, *, rho=0.05, p=2.0, adaptive=False, eta=0.01):
        self.base, self.hyper, self.bases = base, dict(rho=rho, p=p, adaptive=adaptive, eta=eta), None

    def step(self, params, grad):
        if self.bases is None:
            self.bases = [deepcopy(self.base) for _ in params]
        e = sam_ascent(params, grad(params), **self.hyper)
        g = grad([_f(w) + a for w, a in zip(params, e, strict=True)])
        return [base.step(w, a) for base, w, a in zip(self.bases, params, g, strict=True)]


# -------------------------------------------------------- averages, lookahead


class PolyakAverage:
    """The mean of the iterates after step `start` (Polyak and Juditsky, 1992; tail average: Rakhlin et al., 2012).

    push(p) after every step t = 1, 2, ...: the iterates with t > start enter, a += (p - a)/n;
    value() is a, or the newest p while none has entered.
    torch AveragedModel with get_swa_avg_fn: the same sum, the user calls it from the start step on.
    """

    def __init__(self, *, start=0):
        self.start, self.state = start, {"t": 0, "n": 0}

    def push(self, p):
        s = self.state
        s["t"] += 1
        s["p"] = _f(p)
        if s["t"] > self.start:
            s["n"] += 1
            s["a"] = _f(p) if s["n"] == 1 else s["a"] + (_f(p) - s["a"]) / s["n"]

    def value(self):
        return _f(self.state["a"] if self.state["n"] else self.state["p"])


class EMA:
    """Exponential moving average of the iterates: a = d_n*a + (1-d_n)*p, n = 1, 2, ... for pushes after `start`.

    init="first": a = p at the first push (torch get_ema_avg_fn, Keras);
    init="zero": a starts at 0 and value() is a/(1 - d_1 d_2 ... d_n) (debias; optax.ema).
    init=an array: that array, e.g. the parameters before training.
    warmup: d_n = min(decay, (1+n)/(10+n)) (TensorFlow's num_updates = n), else d_n = decay.
    """

    def __init__(self, *, decay=0.999, start=0, warmup=False, init="first"):
        self.decay, self.start, self.warmup, self.init = decay, start, warmup, init
        self.state = {"t": 0, "n": 0, "product": 1.0}

    def push(self, p):
        s = self.state
        s["t"] += 1
        s["p"] = _f(p)
        if s["t"] <= self.start:
            return
        s["n"] += 1
        d = min(self.decay, (1 + s["n"]) / (10 + s["n"])) if self.warmup else self.decay
        s["product"] *= d
        if s["n"] > 1:
            a = s["a"]
        elif isinstance(self.init, str):
            a = _f(p) if self.init == "first" else np.zeros(np.shape(p))
        else:
            a = _f(self.init)
        s["a"] = d * a + (1 - d) * _f(p)

    def value(self):
        s = self.state
        if s["n"] == 0:
            return _f(s["p"])
        zero = isinstance(self.init, str) and self.init == "zero"
        return _f(s["a"]) / (1 - s["product"]) if zero else _f(s["a"])


class Averaged:
    """A rule whose iterates an average watches; step gives the rule's own p, averaged() the average."""

    def __init__(self, base, average):
        self.base, self.average = base, average

    def step(self, p, g):
        p = self.base.step(p, g)
        self.average.push(p)
        return p

    def averaged(self):
        return self.average.value()


class Lookahead:
    """Lookahead (Zhang et al., 2019, algorithm 1): after every k steps of the base, slow += alpha*(fast - slow),
    fast = slow.

    slow starts at the p of the first step.  The base keeps its state, or starts afresh (reset).
    optax.lookahead: the same (no defaults).  torch and Keras have none.
    """

    def __init__(self, base, *, k=5, alpha=0.5, reset=False):
        self.base, self.fresh, self.k, self.alpha, self.reset = base, deepcopy(base), k, alpha, reset
        self.state = {"t": 0}

    def step(self, p, g):
        s = self.state
        if s["t"] == 0:
            s["slow"] = _f(p)
        s["t"] += 1
        p = self.base.step(p, g)
        if s["t"] % self.k == 0:
            s["slow"] = s["slow"] + self.alpha * (p - s["slow"])
            p = s["slow"].copy()
            if self.reset:
                self.base = deepcopy(self.fresh)
        return p


# -------------------------------------------------------------- schedule-free


class _ScheduleFree(Rule):
    """z, x, y of Defazio et al. (2024); a subclass gives direction(p, g, s, t) and the name of beta."""

    def update(self, p, g, s, t):
        if t == 1:
            s["z"], s["x"] = p.copy(), p.copy()
            s["total"] = 0.0
        beta = getattr(self, self.beta)
        rate = self.lr * (min(1.0, t / self.warmup_steps) if self.warmup_steps else 1.0)
        rate = rate * self.correction(t)
        s["largest"] = max(rate, s.get("largest", 0.0))
        weight = t**self.r * (rate if self.weight_by == "rate" else s["largest"]) ** self.weight_lr_power
        s["total"] += weight
        c = weight / s["total"] if s["total"] > 0 else 0.0
        s["z"] = s["z"] - rate * (self.direction(p, g, s, t) + self.weight_decay * p)
        s["x"] = (1 - c) * s["x"] + c * s["z"]
        return (1 - beta) * s["z"] + beta * s["x"]

    def correction(self, t):
        return 1.0

    def averaged(self):
        """x, the point to evaluate."""
        return _f(self.state["x"])


class ScheduleFreeSGD(_ScheduleFree):
    """Schedule-free SGD (Defazio et al., 2024, eq. 2-4).  p is y, the point of the gradient; averaged() is x.

    z_(t+1) = z_t - gamma_t*(g(y_t) + weight_decay*y_t);  x_(t+1) = (1-c)*x_t + c*z_(t+1);
    y_(t+1) = (1-beta)*z_(t+1) + beta*x_(t+1);  y_1 = z_1 = x_1 = p.
    gamma_t = lr*min(1, t/warmup_steps);  c = w_t/sum_1^t w_i, w_t = t^r*gamma_t^weight_lr_power (c = 1/t for a
    constant rate and r = 0).  weight_by="largest": the largest gamma so far in place of gamma_t (the authors' code
    and optax; the same as long as the rate never falls).
    The authors' code: the same, x kept only implicitly.  optax: the decay is the base's; with warm-up
    its base starts at the rate 0.
    """

    defaults = dict(
        lr=1.0,
        momentum=0.9,
        weight_decay=0.0,
        warmup_steps=0,
        r=0.0,
        weight_lr_power=2.0,
        weight_by="largest",
    )

    beta = "momentum"

    def direction(self, p, g, s, t):
        return g


class ScheduleFreeAdamW(_ScheduleFree):
    """Schedule-free AdamW (Defazio et al., 2024, algorithm 1).  p is y; averaged() is x; decay at y.

    v = beta2*v + (1-beta2)*g^2;  z -= gamma_t*(g/(sqrt(v/(1-beta2^t)) + eps) + weight_decay*y);  x, y, gamma_t
    and the weights as ScheduleFreeSGD with beta = beta1.
    bias="moment": this, the authors' code from 1.3 on and optax.
    bias="rate": gamma_t = lr*sqrt(1-beta2^t)*min(1, t/warmup_steps) and g/(sqrt(v) + eps): the paper and the
    authors' first code; it changes the decay and the weights of the average too.
    """

    defaults = dict(
        lr=0.0025,
        beta1=0.9,
        beta2=0.999,
        eps=1e-8,
        weight_decay=0.0,
        warmup_steps=0,
        r=0.0,
        weight_lr_power=2.0,
        weight_by="largest",
        bias="moment",
    )

    beta = "beta1"

    def correction(self, t):
        return np.sqrt(1 - self.beta2**t) if self.bias == "rate" else 1.0

    def direction(self, p, g, s, t):
        s["v"] = self.beta2 * self.slot("v", p) + (1 - self.beta2) * g**2
        v = s["v"] if self.bias == "rate" else s["v"] / (1 - self.beta2**t)
        return g / (np.sqrt(v) + self.eps)


# ------------------------------------------------------------------- clipping


def clip_global_norm(grads, max_norm, *, norm=2.0, eps=0.0):
    """(clipped list, norm before): all arrays times min(1, max_norm/(||g|| + eps)) (Pascanu et al., 2013).

    torch clip_grad_norm_: eps=1e-6.  optax.clip_by_global_norm, Keras global_clipnorm: eps=0."""
    grads = [_f(g) for g in grads]
    size = _joint_norm(grads, norm)
    factor = min(1.0, max_norm / (size + eps)) if size > 0 else 1.0
    return [factor * g for g in grads], size


def clip_array_norm(grads, max_norm, *, norm=2.0, eps=0.0):
    """Every array clipped by its own norm (Keras clipnorm; optax.clip_by_block_rms with the RMS instead)."""
    return [clip_global_norm([g], max_norm, norm=norm, eps=eps)[0][0] for g in grads]


def clip_value(grads, limit):
    """Every element into [-limit, limit] (torch clip_grad_value_, optax.clip, Keras clipvalue)."""
    return [np.minimum(np.maximum(_f(g), -limit), limit) for g in grads]
