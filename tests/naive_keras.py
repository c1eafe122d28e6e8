"""The update formulas that Keras publishes (keras.io/api/optimizers and the papers that its pages name), in NumPy float64.

Each is step(w, g, s, t, **hyper) -> the new w, with the state in the dict s. Decay as Keras has it: off w, before the step.
"""

import numpy as np


def _slot(s, name, w, start=0.0):
    return s.get(name, np.full(w.shape, start))


def sgd(w, g, s, t, *, lr=0.01, momentum=0.0, nesterov=False, weight_decay=0.0):
    w = w - lr * weight_decay * w
    if momentum == 0:
        return w - lr * g
    s["v"] = momentum * _slot(s, "v", w) - lr * g
    return w + momentum * s["v"] - lr * g if nesterov else w + s["v"]


def adagrad(w, g, s, t, *, lr=0.001, initial_accumulator_value=0.1, epsilon=1e-7):
    s["a"] = _slot(s, "a", w, initial_accumulator_value) + g**2
    return w - lr * g / np.sqrt(s["a"] + epsilon)


def rmsprop(w, g, s, t, *, lr=0.001, rho=0.9, momentum=0.0, epsilon=1e-7, centered=False):
    s["v"] = rho * _slot(s, "v", w) + (1 - rho) * g**2
    below = s["v"] + epsilon
    if centered:
        s["m"] = rho * _slot(s, "m", w) + (1 - rho) * g
        below = below - s["m"] ** 2
    step = lr * g / np.sqrt(below)
    if momentum > 0:
        step = s["b"] = momentum * _slot(s, "b", w) + step
    return w - step


def adam(w, g, s, t, *, lr=0.001, beta_1=0.9, beta_2=0.999, epsilon=1e-7, amsgrad=False, weight_decay=0.0):
    """Kingma & Ba 2014, the form before section 2.1, whose epsilon is "epsilon hat"."""
    w = w - lr * weight_decay * w
    alpha = lr * np.sqrt(1 - beta_2**t) / (1 - beta_1**t)
    s["m"] = beta_1 * _slot(s, "m", w) + (1 - beta_1) * g
    v = s["v"] = beta_2 * _slot(s, "v", w) + (1 - beta_2) * g**2
    if amsgrad:
        v = s["u"] = np.maximum(_slot(s, "u", w), v)
    return w - alpha * s["m"] / (np.sqrt(v) + epsilon)


def adadelta(w, g, s, t, *, lr=0.001, rho=0.95, epsilon=1e-7):
    s["v"] = rho * _slot(s, "v", w) + (1 - rho) * g**2
    delta = -np.sqrt(_slot(s, "u", w) + epsilon) / np.sqrt(s["v"] + epsilon) * g
    s["u"] = rho * _slot(s, "u", w) + (1 - rho) * delta**2
    return w + lr * delta


def adamax(w, g, s, t, *, lr=0.001, beta_1=0.9, beta_2=0.999, epsilon=1e-7):
    s["m"] = beta_1 * _slot(s, "m", w) + (1 - beta_1) * g
    s["u"] = np.maximum(beta_2 * _slot(s, "u", w), np.abs(g))
    return w - lr / (1 - beta_1**t) * s["m"] / (s["u"] + epsilon)


def nadam(w, g, s, t, *, lr=0.001, beta_1=0.9, beta_2=0.999, epsilon=1e-7, weight_decay=0.0):
    """Dozat 2015, with mu_t = beta_1*(1 - 0.5*0.96^t)."""
    w = w - lr * weight_decay * w
    now, then = (beta_1 * (1 - 0.5 * 0.96**i) for i in (t, t + 1))
    s["product"] = s.get("product", 1.0) * now
    s["m"] = beta_1 * _slot(s, "m", w) + (1 - beta_1) * g
    s["v"] = beta_2 * _slot(s, "v", w) + (1 - beta_2) * g**2
    m_hat = then * s["m"] / (1 - s["product"] * then) + (1 - now) * g / (1 - s["product"])
    return w - lr * m_hat / (np.sqrt(s["v"] / (1 - beta_2**t)) + epsilon)


def lion(w, g, s, t, *, lr=0.001, beta_1=0.9, beta_2=0.99, weight_decay=0.0):
    w = w - lr * weight_decay * w
    m = _slot(s, "m", w)
    s["m"] = beta_2 * m + (1 - beta_2) * g
    return w - lr * np.sign(beta_1 * m + (1 - beta_1) * g)


def adafactor(
    w, g, s, t, *, lr=0.001, beta_2_decay=-0.8, epsilon_1=1e-30, epsilon_2=1e-3, clip_threshold=1.0
):
    """Shazeer & Stern 2018, algorithm 4, with relative steps."""
    rms_of_w = np.sqrt(np.mean(w**2))
    alpha = max(epsilon_2, rms_of_w) * min(lr, 1 / np.sqrt(t))
    beta_2 = 1 - t**beta_2_decay
    square = g**2 + epsilon_1
    s["r"] = beta_2 * s.get("r", 0.0) + (1 - beta_2) * square.mean(axis=-1)
    s["c"] = beta_2 * s.get("c", 0.0) + (1 - beta_2) * square.mean(axis=-2)
    u = g / np.sqrt(np.outer(s["r"] / s["r"].mean(), s["c"]))
    return w - alpha * u / max(1.0, np.sqrt(np.mean(u**2)) / clip_threshold)


def lamb(w, g, s, t, *, lr=0.001, beta_1=0.9, beta_2=0.999, epsilon=1e-7, weight_decay=0.0):
    w = w - lr * weight_decay * w
    s["m"] = beta_1 * _slot(s, "m", w) + (1 - beta_1) * g
    s["v"] = beta_2 * _slot(s, "v", w) + (1 - beta_2) * g**2
    u = s["m"] / (1 - beta_1**t) / (np.sqrt(s["v"] / (1 - beta_2**t)) + epsilon)
    return w - lr * np.linalg.norm(w) / np.linalg.norm(u) * u
