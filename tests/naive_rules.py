"""Naive reference versions of more rules, written from the papers, in plain float64 NumPy.

Slow and obvious on purpose; nothing here is shared with the package.

Every rule is a class: Rule(**hyper).step(p, g) -> the new p.  p and g are one array and are never
changed; the state is the dict `state`, with the count of steps in state["t"] (1 during the first step).
The hyperparameters are attributes, so a schedule sets rule.lr before a step.

This file:          SGD, RMSProp, AMSGrad, NAdam, RAdam, AdEMAMix, Rprop, ASGD, Cautious*.
naive_matrix_rules: AdafactorPlain, Adafactor, LARS, LAMB, Muon (whole-array norms and factors).
naive_wrappers:     SAM, Lookahead, Averaged, ScheduleFree*, gradient clipping.
naive_schedules:    schedules that naive.py does not have.
"""

import numpy as np


def _f(x):
    return np.array(x, dtype=np.float64)  # always a copy


class Rule:
    """A rule with hyperparameters `defaults`; update(p, g, s, t) gives the new p and changes s."""

    defaults = {}

    def __init__(self, **hyper):
        for name in hyper:
            if name not in self.defaults:
                raise TypeError(f"{type(self).__name__} has no hyperparameter {name}")
        self.__dict__.update({**self.defaults, **hyper})
        self.state = {"t": 0}

    def slot(self, name, p, fill=0.0):
        """The state array `name`, first of all full of `fill`."""
        if name not in self.state:
            self.state[name] = np.full(np.shape(p), fill, dtype=np.float64)
        return self.state[name]

    def step(self, p, g):
        self.state["t"] += 1
        return self.update(_f(p), _f(g), self.state, self.state["t"])


class SGD(Rule):
    """Stochastic gradient descent with momentum, dampening, Nesterov and either kind of decay.

    b_1 = g_1;  b_t = momentum*b_(t-1) + (1 - dampening)*g_t;  p -= lr*b_t
    (nesterov: p -= lr*(g_t + momentum*b_t)); coupled decay adds weight_decay*p to g,
    decoupled decay (SGDW, Loshchilov and Hutter, 2019) takes lr*weight_decay*p off p beforehand.
    torch: the same, no decoupled decay; the first buffer is g itself, dampening or not.
    optax.trace: no dampening.  Keras: v = momentum*v - lr*g; p += v (the same for a constant rate).
    """

    defaults = dict(lr=1e-3, momentum=0.0, dampening=0.0, nesterov=False, weight_decay=0.0, decoupled=False)

    def update(self, p, g, s, t):
        if self.decoupled:
            p = p * (1 - self.lr * self.weight_decay)
        else:
            g = g + self.weight_decay * p
        if self.momentum == 0:
            return p - self.lr * g
        s["v"] = g if t == 1 else self.momentum * s["v"] + (1 - self.dampening) * g
        direction = g + self.momentum * s["v"] if self.nesterov else s["v"]
        return p - self.lr * direction


class RMSProp(Rule):
    """RMSProp (Tieleman and Hinton, 2012) with momentum, centred or not (Graves, 2013).

    v = decay*v + (1-decay)*g^2;  b = momentum*b + g/(sqrt(v) + eps);  p -= lr*b;
    centred: v - m^2 in place of v, m = decay*m + (1-decay)*g.
    torch: this (decay is its alpha).  TensorFlow and Keras: b = momentum*b + lr*g/sqrt(v + eps), p -= b
    (rate_in_buffer=True, eps_in_root=True; the rate inside only matters when it changes).
    optax: eps inside the root by default (eps_in_sqrt), then trace as torch.
    """

    defaults = dict(
        lr=0.01,
        decay=0.99,
        eps=1e-8,
        momentum=0.0,
        centered=False,
        weight_decay=0.0,
        rate_in_buffer=False,
        eps_in_root=False,
    )

    def update(self, p, g, s, t):
        g = g + self.weight_decay * p
        s["v"] = self.decay * self.slot("v", p) + (1 - self.decay) * g**2
        v = s["v"]
        if self.centered:
            s["m"] = self.decay * self.slot("m", p) + (1 - self.decay) * g
            v = np.maximum(v - s["m"] ** 2, 0.0)
        root = np.sqrt(v + self.eps) if self.eps_in_root else np.sqrt(v) + self.eps
        inside = self.lr if self.rate_in_buffer else 1.0
        outside = 1.0 if self.rate_in_buffer else self.lr
        s["b"] = self.momentum * self.slot("b", p) + inside * g / root
        return p - outside * s["b"]


class AMSGrad(Rule):
    """AMSGrad (Reddi, Kale and Kumar, 2018, algorithm 2) with Adam's bias correction and decoupled decay.

    m, v as Adam;  u = max(u, v);  p = p*(1 - lr*weight_decay) - lr*(m/(1-beta1^t))/(sqrt(u/(1-beta2^t)) + eps).
    torch.AdamW(amsgrad=True): the same.  optax: the maximum over the corrected v.
    Keras: maximum over the uncorrected v, and lr*sqrt(1-beta2^t)/(1-beta1^t)*m/(sqrt(u) + eps): another eps.
    The paper has no bias correction.
    """

    defaults = dict(lr=1e-3, beta1=0.9, beta2=0.999, eps=1e-8, weight_decay=0.01, decoupled=True)

    def update(self, p, g, s, t):
        if self.decoupled:
            p = p * (1 - self.lr * self.weight_decay)
        else:
            g = g + self.weight_decay * p
        s["m"] = self.beta1 * self.slot("m", p) + (1 - self.beta1) * g
        s["v"] = self.beta2 * self.slot("v", p) + (1 - self.beta2) * g**2
        s["u"] = np.maximum(self.slot("u", p), s["v"])
        m_hat = s["m"] / (1 - self.beta1**t)
        u_hat = s["u"] / (1 - self.beta2**t)
        return p - self.lr * m_hat / (np.sqrt(u_hat) + self.eps)


class NAdam(Rule):
    """NAdam (Dozat, 2016), mu_i = beta1*(1 - 0.96^(i*momentum_decay)/2), with either kind of decay.

    p -= lr*(mu_(t+1)*m/(1 - prod_1^(t+1) mu) + (1-mu_t)*g/(1 - prod_1^t mu))/(sqrt(v/(1-beta2^t)) + eps).
    torch: the same; decoupled is its decoupled_weight_decay.  Keras: momentum_decay = 1 (0.96^t).
    optax.nadam: a constant mu = beta1 instead.
    """

    defaults = dict(
        lr=2e-3, beta1=0.9, beta2=0.999, eps=1e-8, momentum_decay=4e-3, weight_decay=0.0, decoupled=False
    )

    def update(self, p, g, s, t):
        if self.decoupled:
            p = p * (1 - self.lr * self.weight_decay)
        else:
            g = g + self.weight_decay * p
        mu = self.beta1 * (1 - 0.5 * 0.96 ** (t * self.momentum_decay))
        mu_next = self.beta1 * (1 - 0.5 * 0.96 ** ((t + 1) * self.momentum_decay))
        s["product"] = s.get("product", 1.0) * mu
        s["m"] = self.beta1 * self.slot("m", p) + (1 - self.beta1) * g
        s["v"] = self.beta2 * self.slot("v", p) + (1 - self.beta2) * g**2
        m_hat = mu_next * s["m"] / (1 - s["product"] * mu_next) + (1 - mu) * g / (1 - s["product"])
        return p - self.lr * m_hat / (np.sqrt(s["v"] / (1 - self.beta2**t)) + self.eps)


class RAdam(Rule):
    """RAdam (Liu et al., 2020, algorithm 2).

    rho_inf = 2/(1-beta2) - 1;  rho_t = rho_inf - 2 t beta2^t/(1-beta2^t);  m_hat = m/(1-beta1^t);
    rho_t > threshold: p -= lr*r_t*m_hat*sqrt(1-beta2^t)/(sqrt(v) + eps), otherwise p -= lr*m_hat;
    r_t = sqrt((rho_t-4)(rho_t-2) rho_inf / ((rho_inf-4)(rho_inf-2) rho_t)).
    Paper: threshold 4 and no eps.  torch: threshold 5, eps as here.
    optax: threshold 5, eps added to sqrt(v/(1-beta2^t)) (eps_on_corrected=True).
    """

    defaults = dict(
        lr=1e-3,
        beta1=0.9,
        beta2=0.999,
        eps=1e-8,
        threshold=5.0,
        weight_decay=0.0,
        decoupled=False,
        eps_on_corrected=False,
    )

    def update(self, p, g, s, t):
        if self.decoupled:
            p = p * (1 - self.lr * self.weight_decay)
        else:
            g = g + self.weight_decay * p
        s["m"] = self.beta1 * self.slot("m", p) + (1 - self.beta1) * g
        s["v"] = self.beta2 * self.slot("v", p) + (1 - self.beta2) * g**2
        m_hat = s["m"] / (1 - self.beta1**t)
        correction = 1 - self.beta2**t
        rho_inf = 2 / (1 - self.beta2) - 1
        rho = rho_inf - 2 * t * self.beta2**t / correction
        if rho <= self.threshold:
            return p - self.lr * m_hat
        r = np.sqrt((rho - 4) * (rho - 2) * rho_inf / ((rho_inf - 4) * (rho_inf - 2) * rho))
        if self.eps_on_corrected:
            return p - self.lr * r * m_hat / (np.sqrt(s["v"] / correction) + self.eps)
        return p - self.lr * r * m_hat * np.sqrt(correction) / (np.sqrt(s["v"]) + self.eps)


class AdEMAMix(Rule):
    """AdEMAMix (Pagliardini, Ablin and Grangier, 2024, algorithm 1).

    m1 = beta1*m1 + (1-beta1)*g;  m2 = beta3_t*m2 + (1-beta3_t)*g;  v = beta2*v + (1-beta2)*g^2;
    p -= lr*((m1/(1-beta1^t) + alpha_t*m2)/(sqrt(v/(1-beta2^t)) + eps) + weight_decay*p); m2 is never corrected.
    Warm-up over T = warmup steps: alpha_t = min(t*alpha/T, alpha),
    beta3_t = min(exp(ln beta1 ln beta3/((1-t/T) ln beta3 + (t/T) ln beta1)), beta3).  warmup=0: none.
    The authors' torch code: alpha=2 by default, the two warm-ups set apart.  optax: alpha=5, a schedule
    passed as b3 or alpha counts t from 0.  torch and Keras have no AdEMAMix.
    """

    defaults = dict(
        lr=1e-3, beta1=0.9, beta2=0.999, beta3=0.9999, alpha=5.0, warmup=0, eps=1e-8, weight_decay=0.0
    )

    def warmed(self, t):
        """(alpha_t, beta3_t)."""
        if self.warmup == 0 or t >= self.warmup:
            return self.alpha, self.beta3
        a = t / self.warmup
        if self.beta1 == 0:
            return a * self.alpha, self.beta3
        slow, fast = np.log(self.beta3), np.log(self.beta1)
        return a * self.alpha, min(np.exp(fast * slow / ((1 - a) * slow + a * fast)), self.beta3)

    def update(self, p, g, s, t):
        alpha, beta3 = self.warmed(t)
        s["m1"] = self.beta1 * self.slot("m1", p) + (1 - self.beta1) * g
        s["m2"] = beta3 * self.slot("m2", p) + (1 - beta3) * g
        s["v"] = self.beta2 * self.slot("v", p) + (1 - self.beta2) * g**2
        numerator = s["m1"] / (1 - self.beta1**t) + alpha * s["m2"]
        root = np.sqrt(s["v"] / (1 - self.beta2**t)) + self.eps
        return p - self.lr * (numerator / root + self.weight_decay * p)


class Rprop(Rule):
    """Resilient propagation, iRprop- (Igel and Huesken, 2003), as torch.

    Sign of g_t*g_(t-1): +  size = min(size*etaplus, step_max);  -  size = max(size*etaminus, step_min) and g_t
    counts as 0, now and at the next step;  0  size stays.  p -= size*sign(g_t).  All sizes start at lr.
    torch: the same (every size is clamped at every step).  Riedmiller and Braun (1993) also take the last step
    back on a change of sign.  optax.rprop: as torch.  Keras has none.
    """

    defaults = dict(lr=1e-2, etaminus=0.5, etaplus=1.2, step_min=1e-6, step_max=50.0)

    def update(self, p, g, s, t):
        size, before = self.slot("size", p, self.lr), self.slot("g", p)
        for i in np.ndindex(p.shape):
            change = np.sign(g[i]) * np.sign(before[i])
            factor = self.etaplus if change > 0 else self.etaminus if change < 0 else 1.0
            size[i] = min(max(size[i] * factor, self.step_min), self.step_max)
            if change < 0:
                g[i] = 0.0
            p[i] -= size[i] * np.sign(g[i])
        s["g"] = g
        return p


class ASGD(Rule):
    """Averaged SGD (Polyak and Juditsky, 1992) in Bottou's form, as torch.

    eta_t = lr/(1 + lambd*lr*t)^alpha with eta_0 = lr;  p = p*(1 - lambd*eta_(t-1)) - eta_(t-1)*g;
    ax += mu_(t-1)*(p - ax), mu_t = 1/max(1, t - t0), mu_0 = 1.  state["ax"] is the average.
    torch: the same.  optax and Keras have none.
    """

    defaults = dict(lr=1e-2, lambd=1e-4, alpha=0.75, t0=1e6, weight_decay=0.0)

    def update(self, p, g, s, t):
        g = g + self.weight_decay * p
        eta = self.lr if t == 1 else self.lr / (1 + self.lambd * self.lr * (t - 1)) ** self.alpha
        mu = 1.0 if t == 1 else 1 / max(1, t - 1 - self.t0)
        p = p * (1 - self.lambd * eta) - eta * g
        s["ax"] = self.slot("ax", p) + mu * (p - s["ax"])
        return p.copy()


def cautious(u, g, rescale="clamp"):
    """The update u (p -= lr*u) with the elements that go against the gradient masked (Liang et al., 2024).

    phi = 1[u*g > 0] (0 where u*g = 0);  u*phi*factor, n = size of the array and k = sum(phi):
    "clamp"  1/max(k/n, 1e-3), the authors' code and timm;
    "paper"  n/(k + 1), algorithm 1;   "eps"  n/(k + 1e-8), optax.contrib.cautious;   "none"  1.
    """
    u, g = _f(u), _f(g)
    phi = (u * g > 0).astype(np.float64)
    n, k = phi.size, phi.sum()
    factor = {"clamp": 1 / max(k / n, 1e-3), "paper": n / (k + 1), "eps": n / (k + 1e-8), "none": 1.0}
    return u * phi * factor[rescale]


class CautiousMomentum(Rule):
    """Heavy ball with the cautious mask: v = momentum*v + g;  p -= lr*cautious(v, g); v itself is not masked.

    The mask looks at g with the coupled decay in it."""

    defaults = dict(lr=0.01, momentum=0.9, weight_decay=0.0, rescale="clamp")

    def update(self, p, g, s, t):
        g = g + self.weight_decay * p
        s["v"] = self.momentum * self.slot("v", p) + g
        return p - self.lr * cautious(s["v"], g, self.rescale)


class CautiousAdam(Rule):
    """AdamW with the cautious mask over u = m_hat/(sqrt(v_hat) + eps); the decoupled decay is not masked.

    The mask is that of the sign of m*g, as in the authors' C-AdamW.  optax masks the whole update of its
    base, the decay and the rate included."""

    defaults = dict(lr=1e-3, beta1=0.9, beta2=0.999, eps=1e-8, weight_decay=0.0, rescale="clamp")

    def update(self, p, g, s, t):
        s["m"] = self.beta1 * self.slot("m", p) + (1 - self.beta1) * g
        s["v"] = self.beta2 * self.slot("v", p) + (1 - self.beta2) * g**2
        u = s["m"] / (1 - self.beta1**t) / (np.sqrt(s["v"] / (1 - self.beta2**t)) + self.eps)
        return p * (1 - self.lr * self.weight_decay) - self.lr * cautious(u, g, self.rescale)


class CautiousLion(Rule):
    """Lion with the cautious mask over sign(beta1*m + (1-beta1)*g); the decoupled decay is not masked."""

    defaults = dict(lr=1e-4, beta1=0.9, beta2=0.99, weight_decay=0.0, rescale="clamp")

    def update(self, p, g, s, t):
        u = np.sign(self.beta1 * self.slot("m", p) + (1 - self.beta1) * g)
        s["m"] = self.beta2 * s["m"] + (1 - self.beta2) * g
        return p * (1 - self.lr * self.weight_decay) - self.lr * cautious(u, g, self.rescale)


# ---- the same as functions of the state: rule(p, g, s, t, **hyper) -> (p_new, s_new), as in naive.py ----


def _function(rule, slots, **fixed):
    """slots: the package's name of a slot -> the name in the class above."""

    def step(p, g, s, t, **hyper):
        now = rule(**hyper, **fixed)
        now.state = {"t": t - 1, **{theirs: _f(s[ours]) for ours, theirs in slots.items()}}
        if rule is NAdam:
            mus = [
                now.beta1 * (1 - 0.5 * 0.96 ** (i * now.momentum_decay)) for i in range(1, min(t, 5000))
            ]  # 0
            now.state["product"] = float(np.prod(mus))
        p = now.step(p, g)
        return p, {ours: now.state[theirs] for ours, theirs in slots.items()}

    return step, tuple(slots)


def momentum_w(p, g, s, t, *, lr, momentum, dampening, weight_decay):
    """SGDW of Loshchilov and Hutter (2019), the rate outside the velocity."""
    v = momentum * _f(s["v"]) + (1 - dampening) * _f(g)
    return _f(p) - lr * weight_decay * _f(p) - lr * v, {"v": v}


_ADAM = {"m": "m", "v": "v"}
_AMSGRAD = {**_ADAM, "u": "u"}
FUNCTIONS = {
    "SGDW": _function(SGD, {}, decoupled=True),
    "MomentumW": (momentum_w, ("v",)),
    "RMSPropMomentum": _function(RMSProp, {"v": "v", "b": "b"}),
    "CenteredRMSPropMomentum": _function(RMSProp, {"v": "v", "m": "m", "b": "b"}, centered=True),
    "AMSGradW": _function(AMSGrad, _AMSGRAD),
    "NAdamW": _function(NAdam, _ADAM, decoupled=True),
    "RAdam": _function(RAdam, _ADAM),
    "RAdamW": _function(RAdam, _ADAM, decoupled=True),
    "AdEMAMix": _function(AdEMAMix, {"m": "m1", "n": "m2", "v": "v"}),
    "Rprop": _function(Rprop, {"before": "g", "size": "size"}),
    "ASGD": _function(ASGD, {"ax": "ax"}),
}
