"""Naive reference versions, written from the papers, in plain float64 NumPy.

Slow and obvious on purpose; nothing here is shared with the package.

Rules:     rule(p, g, s, t, *, hyper...) -> (p_new, s_new); t counts from 1;
           inputs are never modified.  RULES[name] = (rule, slot names).
Losses:    linear_value_and_grad(loss_name, W, X, y, ...) -> (value, dW, db).
Schedules: step(a0, drop, every) etc. return a function of t; t counts from 0.
"""

import naive_rules
import numpy as np


def _f(x):
    return np.array(x, dtype=np.float64)  # always a copy


# ---------------------------------------------------------------- update rules


def sgd(p, g, s, t, *, lr=0.01, weight_decay=0.0):
    """Stochastic gradient descent (Robbins and Monro, 1951)."""
    p, g = _f(p), _f(g)
    g = g + weight_decay * p
    return p - lr * g, {}


def momentum(p, g, s, t, *, lr=0.01, momentum=0.9, dampening=0.0, weight_decay=0.0, undamped_start=False):
    """Heavy ball (Polyak, 1964); the rate multiplies the velocity. undamped_start: v = g first, as torch."""
    p, g, v = _f(p), _f(g), _f(s["v"])
    g = g + weight_decay * p
    v = momentum * v + (g if undamped_start and t == 1 else (1 - dampening) * g)
    return p - lr * v, {"v": v}


def classical_momentum(p, g, s, t, *, lr=0.01, momentum=0.9, weight_decay=0.0):
    """Heavy ball (Polyak, 1964) as in Sutskever et al. (2013), eq. 1-2; the rate is inside the velocity."""
    p, g, v = _f(p), _f(g), _f(s["v"])
    g = g + weight_decay * p
    v = momentum * v - lr * g
    return p + v, {"v": v}


def nesterov(p, g, s, t, *, lr=0.01, momentum=0.9, weight_decay=0.0):
    """Nesterov (1983), re-arranged so that p is the look-ahead point (Bengio et al., 2012)."""
    p, g, v = _f(p), _f(g), _f(s["v"])
    g = g + weight_decay * p
    v = momentum * v + g
    return p - lr * (g + momentum * v), {"v": v}


def nesterov_lookahead(grad, p0, lr, momentum, steps):
    """Nesterov, look-ahead form (Sutskever et al., 2013, eq. 3-4).

    Returns the list of look-ahead points p + momentum*v, one after each step."""
    p = _f(p0)
    v = np.zeros_like(p)
    points = []
    for _ in range(steps):
        ahead = p + momentum * v
        v = momentum * v - lr * _f(grad(ahead))
        p = p + v
        points.append(p + momentum * v)
    return points


def adagrad(p, g, s, t, *, lr=0.01, initial_accumulator_value=0.0, eps=1e-10, weight_decay=0.0):
    """AdaGrad, diagonal (Duchi, Hazan and Singer, 2011); eps outside the root.

    initial_accumulator_value only matters to initial()."""
    p, g, v = _f(p), _f(g), _f(s["v"])
    g = g + weight_decay * p
    v = v + g**2
    return p - lr * g / (np.sqrt(v) + eps), {"v": v}


def rmsprop(p, g, s, t, *, lr=0.01, decay=0.9, eps=1e-8, weight_decay=0.0):
    """RMSProp (Tieleman and Hinton, 2012, lecture 6.5); eps outside the root."""
    p, g, v = _f(p), _f(g), _f(s["v"])
    g = g + weight_decay * p
    v = decay * v + (1 - decay) * g * g
    return p - lr * g / (np.sqrt(v) + eps), {"v": v}


def centered_rmsprop(p, g, s, t, *, lr=0.01, decay=0.9, eps=1e-8, weight_decay=0.0):
    """RMSProp over the variance of the gradient (Graves, 2013, without his momentum)."""
    p, g, v, m = _f(p), _f(g), _f(s["v"]), _f(s["m"])
    g = g + weight_decay * p
    v = decay * v + (1 - decay) * g * g
    m = decay * m + (1 - decay) * g
    var = np.maximum(v - m**2, 0.0)
    return p - lr * g / (np.sqrt(var) + eps), {"v": v, "m": m}


def adam(p, g, s, t, *, lr=1e-3, beta1=0.9, beta2=0.999, eps=1e-8, weight_decay=0.0, bias_correction=True):
    """Adam (Kingma and Ba, 2015), algorithm 1; coupled weight decay."""
    p, g, m, v = _f(p), _f(g), _f(s["m"]), _f(s["v"])
    g = g + weight_decay * p
    m = beta1 * m + (1 - beta1) * g
    v = beta2 * v + (1 - beta2) * g * g
    m_hat, v_hat = m, v
    if bias_correction:
        m_hat = m / (1 - beta1**t)
        v_hat = v / (1 - beta2**t)
    return p - lr * m_hat / (np.sqrt(v_hat) + eps), {"m": m, "v": v}


def adamw(p, g, s, t, *, lr=1e-3, beta1=0.9, beta2=0.999, eps=1e-8, weight_decay=0.01, bias_correction=True):
    """AdamW (Loshchilov and Hutter, 2019), algorithm 2; decay decoupled and scaled by the rate."""
    p, g, m, v = _f(p), _f(g), _f(s["m"]), _f(s["v"])
    m = beta1 * m + (1 - beta1) * g
    v = beta2 * v + (1 - beta2) * g * g
    m_hat, v_hat = m, v
    if bias_correction:
        m_hat = m / (1 - beta1**t)
        v_hat = v / (1 - beta2**t)
    return p - lr * (m_hat / (np.sqrt(v_hat) + eps) + weight_decay * p), {"m": m, "v": v}


def amsgrad(p, g, s, t, *, lr=1e-3, beta1=0.9, beta2=0.999, eps=1e-8, weight_decay=0.0, bias_correction=True):
    """AMSGrad (Reddi, Kale and Kumar, 2018), algorithm 2, plus Adam's bias correction.

    The maximum is taken over the uncorrected v; the correction comes after."""
    p, g, m, v, u = _f(p), _f(g), _f(s["m"]), _f(s["v"]), _f(s["u"])
    g = g + weight_decay * p
    m = beta1 * m + (1 - beta1) * g
    v = beta2 * v + (1 - beta2) * g * g
    u = np.maximum(u, v)
    m_hat, u_hat = m, u
    if bias_correction:
        m_hat = m / (1 - beta1**t)
        u_hat = u / (1 - beta2**t)
    return p - lr * m_hat / (np.sqrt(u_hat) + eps), {"m": m, "v": v, "u": u}


def adadelta(p, g, s, t, *, lr=1.0, rho=0.95, eps=1e-6, weight_decay=0.0):
    """AdaDelta (Zeiler, 2012), algorithm 1; eps inside both roots; u averages the updates without lr."""
    p, g, v, u = _f(p), _f(g), _f(s["v"]), _f(s["u"])
    g = g + weight_decay * p
    v = rho * v + (1 - rho) * g * g
    dx = np.sqrt(u + eps) / np.sqrt(v + eps) * g
    u = rho * u + (1 - rho) * dx * dx
    return p - lr * dx, {"v": v, "u": u}


def adamax(p, g, s, t, *, lr=2e-3, beta1=0.9, beta2=0.999, eps=1e-8, weight_decay=0.0):
    """Adamax (Kingma and Ba, 2015), algorithm 2; eps added to |g| inside the maximum."""
    p, g, m, u = _f(p), _f(g), _f(s["m"]), _f(s["u"])
    g = g + weight_decay * p
    m = beta1 * m + (1 - beta1) * g
    u = np.maximum(beta2 * u, np.abs(g) + eps)
    return p - lr / (1 - beta1**t) * m / u, {"m": m, "u": u}


def nadam(p, g, s, t, *, lr=2e-3, beta1=0.9, beta2=0.999, eps=1e-8, weight_decay=0.0, momentum_decay=4e-3):
    """NAdam (Dozat, 2016), with mu_i = beta1*(1 - 0.96**(i*momentum_decay)/2)."""
    p, g, m, v = _f(p), _f(g), _f(s["m"]), _f(s["v"])
    g = g + weight_decay * p

    def mu(i):
        return beta1 * (1 - 0.5 * 0.96 ** (i * momentum_decay))

    product = 1.0
    for i in range(1, t + 1):
        product = product * mu(i)
    m = beta1 * m + (1 - beta1) * g
    v = beta2 * v + (1 - beta2) * g * g
    m_hat = mu(t + 1) * m / (1 - product * mu(t + 1)) + (1 - mu(t)) * g / (1 - product)
    v_hat = v / (1 - beta2**t)
    return p - lr * m_hat / (np.sqrt(v_hat) + eps), {"m": m, "v": v}


def lion(p, g, s, t, *, lr=1e-4, beta1=0.9, beta2=0.99, weight_decay=0.0):
    """Lion (Chen et al., 2023), algorithm 2; decoupled decay, sign(0) = 0."""
    p, g, m = _f(p), _f(g), _f(s["m"])
    c = beta1 * m + (1 - beta1) * g
    p = p * (1 - lr * weight_decay) - lr * np.sign(c)
    m = beta2 * m + (1 - beta2) * g
    return p, {"m": m}


RULES = {
    "SGD": (sgd, ()),
    "Momentum": (momentum, ("v",)),
    "ClassicalMomentum": (classical_momentum, ("v",)),
    "Nesterov": (nesterov, ("v",)),
    "AdaGrad": (adagrad, ("v",)),
    "RMSProp": (rmsprop, ("v",)),
    "CenteredRMSProp": (centered_rmsprop, ("v", "m")),
    "Adam": (adam, ("m", "v")),
    "AdamW": (adamw, ("m", "v")),
    "AMSGrad": (amsgrad, ("m", "v", "u")),
    "AdaDelta": (adadelta, ("v", "u")),
    "Adamax": (adamax, ("m", "u")),
    "NAdam": (nadam, ("m", "v")),
    "Lion": (lion, ("m",)),
    **naive_rules.FUNCTIONS,
}


def initial(name, shape, **hyper):
    """Starting slots: zeros, but AdaGrad's v is initial_accumulator_value, Rprop's sizes lr."""
    slots = {slot: np.zeros(shape) for slot in RULES[name][1]}
    if name == "AdaGrad":
        slots["v"] = np.full(shape, float(hyper.get("initial_accumulator_value", 0.0)))
    if name == "Rprop":
        slots["size"] = np.full(shape, float(hyper.get("lr", 0.01)))
    return slots


# ---------------------------------------------------------------------- losses


def softmax_cross_entropy(scores, y):
    """-log softmax(scores)[y] for one score vector, the maximum taken out first."""
    top = max(float(a) for a in scores)
    total = 0.0
    for a in scores:
        total += np.exp(float(a) - top)
    return float(np.log(total) - (float(scores[y]) - top))


def svm_loss(scores, y, margin=1):
    """Multiclass hinge of one score vector (Weston and Watkins, 1999)."""
    loss = 0.0
    for j in range(len(scores)):
        if j != y:
            loss += max(0.0, float(scores[j]) - float(scores[y]) + margin)
    return loss


def _softmax(s, y):
    """Cross-entropy of one row and its gradient in the scores."""
    top = max(s)
    e = [np.exp(a - top) for a in s]
    total = sum(e)
    ds = [e[c] / total - (1.0 if c == y else 0.0) for c in range(len(s))]
    return softmax_cross_entropy(s, y), ds


def _multiclass_hinge(s, y, margin=1, squared=False):
    """Weston and Watkins (1999); the gradient at the kink is 0."""
    loss, ds = 0.0, [0.0] * len(s)
    for j in range(len(s)):
        if j == y:
            continue
        a = s[j] - s[y] + margin
        if a > 0:
            loss += a * a if squared else a
            d = 2 * a if squared else 1.0
            ds[j] += d
            ds[y] -= d
    return loss, ds


def _squared_error(s, y):
    """Half the squared distance: to the one-hot label, or to the real y when there is one score."""
    loss, ds = 0.0, []
    for c in range(len(s)):
        target = y if len(s) == 1 else (1.0 if c == y else 0.0)
        loss += 0.5 * (s[c] - target) ** 2
        ds.append(s[c] - target)
    return loss, ds


def _sign(y, c, classes):
    """+1 or -1: label 1 against 0 for one score, class c against the rest for several."""
    positive = (y == 1) if classes == 1 else (y == c)
    return 1.0 if positive else -1.0


def _logistic(s, y):
    """log(1 + exp(-z s)), summed over the classes one-versus-rest."""
    loss, ds = 0.0, []
    for c in range(len(s)):
        z = _sign(y, c, len(s))
        a = z * s[c]
        if a >= 0:
            e = np.exp(-a)
            loss += np.log1p(e)
            ds.append(-z * e / (1 + e))
        else:
            e = np.exp(a)
            loss += -a + np.log1p(e)
            ds.append(-z / (1 + e))
    return loss, ds


def _hinge(s, y):
    """max(0, 1 - z s) (Cortes and Vapnik, 1995), one-versus-rest; the gradient at the kink is 0."""
    loss, ds = 0.0, []
    for c in range(len(s)):
        z = _sign(y, c, len(s))
        a = 1 - z * s[c]
        loss += a if a > 0 else 0.0
        ds.append(-z if a > 0 else 0.0)
    return loss, ds


def _squared_hinge(s, y):
    """max(0, 1 - z s)^2, one-versus-rest (Chang, Hsieh and Lin, 2008)."""
    loss, ds = 0.0, []
    for c in range(len(s)):
        z = _sign(y, c, len(s))
        a = max(0.0, 1 - z * s[c])
        loss += a**2
        ds.append(-2 * z * a)
    return loss, ds


def _modified_huber(s, y):
    """max(0, 1 - z s)^2 where z s >= -1, -4 z s elsewhere (Zhang, 2004)."""
    loss, ds = 0.0, []
    for c in range(len(s)):
        z = _sign(y, c, len(s))
        m = z * s[c]
        if m >= 1:
            ds.append(0.0)
        elif m >= -1:
            loss += (1 - m) ** 2
            ds.append(-2 * z * (1 - m))
        else:
            loss += -4 * m
            ds.append(-4 * z)
    return loss, ds


def _crammer_singer(s, y, margin=1):
    """The largest violation alone; the first of equal ones (Crammer and Singer, 2001)."""
    ds, worst, at = [0.0] * len(s), 0.0, None
    for c in range(len(s)):
        if c != y and s[c] - s[y] + margin > worst:
            worst, at = s[c] - s[y] + margin, c
    if at is not None:
        ds[at] += 1.0
        ds[y] -= 1.0
    return worst, ds


def _target(y, c, classes):
    """The real y of one score; 1 for class y and 0 for the others."""
    return y if classes == 1 else (1.0 if c == y else 0.0)


def _huber(s, y, delta=1.0):
    """Huber (1964): t^2/2 up to delta, then a straight line."""
    loss, ds = 0.0, []
    for c in range(len(s)):
        t = s[c] - _target(y, c, len(s))
        if abs(t) <= delta:
            loss += 0.5 * t * t
            ds.append(t)
        else:
            loss += delta * abs(t) - 0.5 * delta * delta
            ds.append(delta if t > 0 else -delta)
    return loss, ds


def _epsilon_insensitive(s, y, epsilon=0.1, squared=False):
    """Vapnik (1995); nothing up to epsilon."""
    loss, ds = 0.0, []
    for c in range(len(s)):
        t = s[c] - _target(y, c, len(s))
        a, sign = abs(t) - epsilon, 1.0 if t > 0 else -1.0
        if a <= 0:
            ds.append(0.0)
            continue
        loss += a * a if squared else a
        ds.append(2 * a * sign if squared else sign)
    return loss, ds


def _poisson(s, y):
    """exp(s) - y s."""
    loss, ds = 0.0, []
    for c in range(len(s)):
        t = _target(y, c, len(s))
        loss += np.exp(s[c]) - t * s[c]
        ds.append(np.exp(s[c]) - t)
    return loss, ds


REAL = ("squared_error", "huber", "epsilon_insensitive", "poisson")


def _quantile(s, y, quantile=0.5):
    """The pinball loss of Koenker and Bassett (1978), summed over scores as the squared error."""
    loss, ds = 0.0, []
    for c in range(len(s)):
        target = y if len(s) == 1 else (1.0 if c == y else 0.0)
        if target > s[c]:
            loss += quantile * (target - s[c])
            ds.append(-quantile)
        else:
            loss += (1 - quantile) * (s[c] - target)
            ds.append(1 - quantile if s[c] > target else 0.0)
    return loss, ds


LOSSES = {
    "squared_hinge": _squared_hinge,
    "modified_huber": _modified_huber,
    "crammer_singer": _crammer_singer,
    "huber": _huber,
    "epsilon_insensitive": _epsilon_insensitive,
    "quantile": _quantile,
    "poisson": _poisson,
    "softmax": _softmax,
    "multiclass_hinge": _multiclass_hinge,
    "squared_error": _squared_error,
    "logistic": _logistic,
    "hinge": _hinge,
}


def linear_value_and_grad(loss_name, W, X, y, b=None, l2=0.0, sample_weight=None, **hyper):
    """Scores X W^T + b; value = sum_i w_i L_i / sum_i w_i + l2*sum(W**2); b is not penalised.

    Every w_i is 1 without sample_weight.  Returns (value, dW, db), db None without b."""
    W, X = _f(W), _f(X)
    n, features = X.shape
    weights = np.ones(n) if sample_weight is None else _f(sample_weight)
    total = float(sum(weights))
    classes = W.shape[0]
    bias = None if b is None else _f(b).reshape(classes)
    dW = np.zeros((classes, features))
    db = np.zeros(classes)
    value = 0.0
    for i in range(n):
        s = []
        for c in range(classes):
            a = 0.0 if bias is None else float(bias[c])
            for k in range(features):
                a += float(W[c, k]) * float(X[i, k])
            s.append(a)
        label = float(y[i]) if loss_name in REAL and classes == 1 else int(y[i])
        loss, ds = LOSSES[loss_name](s, label, **hyper)
        w = float(weights[i]) / total
        value += w * loss
        for c in range(classes):
            db[c] += w * ds[c]
            for k in range(features):
                dW[c, k] += w * ds[c] * X[i, k]
    for c in range(classes):
        for k in range(features):
            value += l2 * W[c, k] ** 2
            dW[c, k] += 2 * l2 * W[c, k]
    return float(value), dW, (None if b is None else db.reshape(np.shape(b)))


def eval_numerical_gradient(f, x, h=1e-5):
    """Central differences of the scalar f at the float64 array x (changed in place, then restored)."""
    grad = np.zeros_like(x)
    it = np.nditer(x, flags=["multi_index"], op_flags=["readwrite"])
    while not it.finished:
        ix = it.multi_index
        old = x[ix]
        x[ix] = old + h
        above = f(x)
        x[ix] = old - h
        below = f(x)
        x[ix] = old
        grad[ix] = (above - below) / (2 * h)
        it.iternext()
    return grad


# ------------------------------------------------------------------- schedules


def constant(a0):
    """a0."""
    return lambda t: a0


def step(a0, drop, every):
    """a0 * drop**floor(t/every)."""
    return lambda t: a0 * drop ** np.floor(t / every)


def exponential(a0, k):
    """a0 * exp(-k t)."""
    return lambda t: a0 * np.exp(-k * t)


def inverse_time(a0, k):
    """a0 / (1 + k t)."""
    return lambda t: a0 / (1 + k * t)


def cosine(a0, end, steps):
    """Half a cosine from a0 to end (Loshchilov and Hutter, 2017), then end."""
    return lambda t: end + (a0 - end) * (1 + np.cos(np.pi * min(t, steps) / steps)) / 2


def linear(a0, end, steps):
    """A straight line from a0 to end, then end."""
    return lambda t: a0 + (end - a0) * min(t, steps) / steps


def polynomial(a0, end, steps, power):
    """end + (a0 - end) * (1 - t/steps)**power, then end."""
    return lambda t: end + (a0 - end) * (1 - min(t, steps) / steps) ** power


def one_cycle(peak, steps, start=None, end=None, warm=0.3):
    """One cycle (Smith and Topin, 2018) as torch.optim.lr_scheduler.OneCycleLR counts: cosine up to peak at
    t = warm*steps - 1, then down to end at the last step, t = steps - 1.

    start is peak/25 and end is start/1e4 unless given."""
    start = peak / 25 if start is None else start
    end = start / 1e4 if end is None else end
    up, last = max(warm * steps - 1, 0), steps - 1

    def value(t):
        t = min(t, last)
        if t < up:
            return start + (peak - start) * (1 - np.cos(np.pi * t / up)) / 2
        if last == up:
            return peak
        return end + (peak - end) * (1 + np.cos(np.pi * (t - up) / (last - up))) / 2

    return value


def warmup(steps, then):
    """Linear warm-up (Goyal et al., 2017): then(0)*(t+1)/steps while t < steps, after it then(t - steps)."""
    return lambda t: then(0) * (t + 1) / steps if t < steps else then(t - steps)


def milestones(a0, at, drop):
    """a0 * drop for every milestone reached."""
    return lambda t: a0 * drop ** sum(1 for m in at if t >= m)


def piecewise(points):
    """Straight lines between points (t, value)."""

    def value(t):
        if t <= points[0][0]:
            return points[0][1]
        for (t0, a), (t1, b) in zip(points[:-1], points[1:], strict=True):
            if t <= t1:
                return a + (b - a) * (t - t0) / (t1 - t0)
        return points[-1][1]

    return value


def warm_restarts(a0, end, steps, factor):
    """SGDR (Loshchilov and Hutter, 2017): half a cosine, restarted, each time factor times as long."""

    def value(t):
        length = steps
        while t >= length:
            t, length = t - length, length * factor
        return end + (a0 - end) * (1 + np.cos(np.pi * t / length)) / 2

    return value


def chain(*parts):
    """(steps, schedule): each counts from 0; the last has no end."""

    def value(t):
        for steps, schedule in parts[:-1]:
            if t < steps:
                return schedule(t)
            t -= steps
        return parts[-1][1](t)

    return value
