"""Healthy and sick runs, seeded, as arguments of fo.diagnose: what the table of detectors is counted on."""

import functools

import numpy as np

import fastopt as fo
from fastopt.reports.surfaces import SURFACES


@functools.cache
def digits():
    from fastopt import data

    d = data.load("digits")
    return d.x_train.astype(np.float64) / 16, d.y_train


def blobs(rng, n=300, features=8, classes=3, apart=1.6):
    y = rng.integers(0, classes, n)
    return rng.normal(size=(n, features)) + apart * rng.normal(size=(classes, features))[y], y


def descent(H, lr, steps, rng, *, momentum=0.0, noise=0.0, rates=None):
    """Curves of gradient descent on w'Hw/2 from a random start; noise: of the gradient."""
    w, v = rng.normal(size=len(H)), 0.0
    curves, before = {"loss": [], "gradient_norm": [], "lr": [], "cosine": []}, None
    for t in range(steps):
        g = H @ w + noise * rng.normal(size=len(H))
        rate = lr if rates is None else rates[t]
        cosine = np.nan if before is None else before @ g / (np.linalg.norm(before) * np.linalg.norm(g))
        for name, value in (
            ("loss", 0.5 * w @ H @ w),
            ("gradient_norm", np.linalg.norm(g)),
            ("lr", rate),
            ("cosine", cosine),
        ):
            curves[name].append(value)
        before = g
        v = momentum * v + g
        w = w - rate * v
    return {k: np.array(v) for k, v in curves.items()}


def quadratic(rng, n=10, condition=50.0):
    Q, _ = np.linalg.qr(rng.normal(size=(n, n)))
    return Q @ np.diag(np.geomspace(1, condition, n)) @ Q.T


def on_surface(name, lr, steps, start):
    s, x = SURFACES[name], np.array(start, float)
    losses, norms = [], []
    for _ in range(steps):
        g = s.gradient(x)
        losses.append(s.value(x))
        norms.append(np.linalg.norm(g))
        x = x - lr * g
    return {"loss": np.array(losses), "gradient_norm": np.array(norms)}, x


def layer(rng, kind, *, bias=0.0, scale=1.0):
    x = rng.normal(size=(200, 20))
    z = x @ rng.normal(size=(20, 30)) * scale / np.sqrt(20) + bias
    return {
        "relu": lambda: np.maximum(z, 0),
        "tanh": lambda: np.tanh(z),
        "sigmoid": lambda: 1 / (1 + np.exp(-z)),
    }[kind]()


# --- healthy ---
def healthy(seed):
    """One of 100 runs without a fault: training, descent, noisy descent with decay, networks' layers, functions."""
    rng = np.random.default_rng([1, seed])
    kind = seed % 5
    if kind in (0, 1):
        return trained_well(rng, seed)
    if kind == 2:
        H = quadratic(rng, condition=rng.uniform(3, 60))
        top = np.linalg.eigvalsh(H)[-1]
        momentum = 0.0 if seed % 2 else 0.8
        return descent(H, 1.0 / top, int(rng.integers(60, 300)), rng, momentum=momentum), {}
    if kind == 3:
        H, steps = quadratic(rng, condition=10), 300
        rates = 0.05 / (1 + 0.05 * np.arange(steps))
        return descent(H, None, steps, rng, noise=0.3, rates=rates), {}
    curves = descent(quadratic(rng), 0.02, 120, rng)
    name = ("relu", "tanh", "sigmoid")[seed % 3]
    A = rng.normal(size=(4, 6))
    ends = [1.5 + 1e-6 * rng.normal() for _ in range(4)]
    return curves, dict(
        activations={"hidden": layer(rng, name)}, weights={"hidden": rng.normal(size=(30, 20))}, restarts=ends,
        value=lambda x: float(np.sum(np.log(np.cosh(A @ x))) + 0.5 * x @ x), point=0.1 * rng.normal(size=6),
        gradient=lambda x: A.T @ np.tanh(A @ x) + x,
    )  # fmt: skip


def trained_well(rng, seed):
    X, y = digits() if seed % 2 else blobs(rng)
    if seed % 2:
        keep = rng.choice(len(y), 600, replace=False)
        X, y = X[keep], y[keep]
    loss = (
        (fo.Softmax(), fo.MulticlassHinge(squared=True), fo.SquaredError())[seed % 3]
        if seed % 2
        else fo.Softmax()
    )
    if isinstance(loss, fo.SquaredError):
        loss = fo.Softmax()
    rule = (fo.SGD(0.05), fo.Momentum(0.01), fo.Adam(0.01), fo.RMSProp(0.005))[seed % 4]
    fit = fo.train(
        X, y, loss, rule, fo.schedules.Cosine(), epochs=int(rng.integers(20, 40)), batch_size=int(rng.choice([16, 32, 64])),
        l2=1e-3, seed=seed, validation=0.2,
    )  # fmt: skip
    return fit, dict(X=X, y=y, rule=rule, l2=1e-3)


# --- sick: disease -> kinds, each rng -> (run, arguments) ---
def too_slow_training(rng):
    X, y = blobs(rng)
    return fo.train(X, y, rule=fo.SGD(1e-5), epochs=20, batch_size=32), dict(X=X, y=y, rule=fo.SGD(1e-5))


def too_slow_descent(rng):
    H = quadratic(rng)
    return descent(H, 1e-3 / np.linalg.eigvalsh(H)[-1], 200, rng), {}


def diverging_descent(rng):
    H = quadratic(rng)
    return descent(H, 2.05 / np.linalg.eigvalsh(H)[-1], 150, rng), {}


def diverging_training(rng):
    """Mini-batches of squared error, by hand: fo.train refuses to go on."""
    X, y = blobs(rng, classes=2)
    W, losses = np.zeros(X.shape[1]), []
    for _ in range(80):
        rows = rng.integers(0, len(y), 32)
        r = X[rows] @ W - y[rows]
        losses.append(0.5 * np.mean(r * r))
        W = W - 1.2 * X[rows].T @ r / 32
    return {"loss": losses}, {}


def overflowing(rng):
    curves = descent(quadratic(rng), 3.0, 400, rng)
    with np.errstate(all="ignore"):
        curves["loss"] = curves["loss"] ** 4
    return {"loss": np.where(curves["loss"] > 1e300, np.inf, curves["loss"])}, {}


def zigzag(rng):
    H = quadratic(rng)
    return descent(H, 1.96 / np.linalg.eigvalsh(H)[-1], 120, rng), {}


def ringing(rng):
    curves = descent(np.eye(6) * rng.uniform(0.8, 1.2), 0.05, 300, rng, momentum=0.98)
    return {"loss": curves["loss"]}, {}


def noisy_floor(rng):
    return {"loss": descent(quadratic(rng, condition=5), 0.1, 300, rng, noise=0.6)["loss"]}, {}


def noisy_batches(rng):
    X, y = blobs(rng, apart=0.8)
    objective = fo.Objective(fo.Softmax(), X, y)
    W, b = objective.zeros()
    opt, losses = fo.Optimizer([W, b], fo.SGD(0.7)), []
    for _ in range(300):
        rows = objective.rows.take(np.sort(rng.integers(0, len(y), 4)))
        value, dW, db = fo.Objective.of_rows(fo.Softmax(), rows).value_and_grad(W, b)
        losses.append(objective.value(W, b))
        opt.step([dW, db])
    return {"loss": losses}, {}


def flat_then_down(rng):
    curves, _ = on_surface("plateau", 0.3, 500, np.array([-2.9, 2.2]) + 0.05 * rng.normal(size=2))
    return curves, {}


def flat_sigmoid(rng):
    """A sigmoid unit that starts saturated on the wrong side."""
    w, losses = -7.0 - rng.uniform(0, 0.3), []
    for _ in range(1200):
        p = 1 / (1 + np.exp(-w))
        losses.append(0.5 * (p - 1) ** 2)
        w -= 3.0 * (p - 1) * p * (1 - p)
    return {"loss": losses}, {}


def few_rows(rng):
    X = rng.normal(size=(80, 60))
    y = ((X[:, 0] + 1.2 * rng.normal(size=80)) > 0).astype(int)
    return fo.train(X, y, rule=fo.Adam(0.02), epochs=80, batch_size=16, validation=0.4), {}


def few_digits(rng):
    X, y = digits()
    keep = rng.choice(len(y), 120, replace=False)
    labels = np.where(rng.random(120) < 0.3, rng.integers(0, 10, 120), y[keep])
    return fo.train(X[keep], labels, rule=fo.Momentum(0.1), epochs=120, batch_size=8, validation=0.4), {}


def decayed_descent(rng):
    H = quadratic(rng, condition=100)
    rates = np.where(np.arange(200) < 25, 1.0, 0.02) / 100
    return descent(H, None, 200, rng, rates=rates), {}


def decayed_training(rng):
    X, y = blobs(rng)
    schedule = fo.schedules.Step(every=8, drop=0.01)
    return fo.train(X, y, rule=fo.SGD(0.02), schedule=schedule, epochs=40, batch_size=None), {}


def wrong_gradient(change):
    def make(rng):
        A = rng.normal(size=(5, 4))
        point = rng.normal(size=4)
        gradient = lambda x: change(A.T @ (4 * (A @ x) ** 3))  # noqa: E731
        return {}, dict(value=lambda x: float(np.sum((A @ x) ** 4)), gradient=gradient, point=point)

    return make


def one_entry(g):
    g = g.copy()
    g[0] = 0
    return g


def stuck_restarts(rng):
    ends = [on_surface("local-minima", 0.002, 200, rng.uniform(-3, 3, 2))[0]["loss"][-1] for _ in range(6)]
    return {}, dict(restarts=ends)


def equal_start(rng):
    """A hidden layer trained from equal weights."""
    X, t = rng.normal(size=(100, 5)), rng.normal(size=100)
    W, v = np.full((8, 5), 0.3), np.full(8, 0.2)
    for _ in range(50):
        h = np.tanh(X @ W.T)
        r = h @ v - t
        W, v = W - 0.05 * ((r[:, None] * v) * (1 - h * h)).T @ X / 100, v - 0.05 * h.T @ r / 100
    return {}, dict(weights={"hidden": W})


def twin_units(rng):
    W = rng.normal(size=(12, 6))
    W[7] = W[3]
    return {}, dict(weights=W)


def on_ridge(rng):
    s = SURFACES["saddle"]
    curves, x = on_surface("saddle", 0.2, 40, (rng.uniform(-2, 2), 1e-9))
    return curves, dict(gradient=s.gradient, value=s.value, point=x)


def indefinite(rng):
    H = quadratic(rng, n=12)
    H = H - 3 * np.eye(12)
    return {}, dict(gradient=lambda x: H @ x, value=lambda x: 0.5 * float(x @ H @ x), point=np.full(12, 1e-8))


def large_column(rng):
    X, y = blobs(rng)
    X[:, 2] *= 1000
    return fo.train(X, y, rule=fo.SGD(1e-8), epochs=10), dict(X=X, y=y)


def far_column(rng):
    X, y = blobs(rng)
    X[:, 1] += 500
    return fo.train(X, y, rule=fo.SGD(1e-7), epochs=10), dict(X=X, y=y)


def steep_function(rng):
    scales = np.geomspace(1, 1e8, 6)
    return {}, dict(
        gradient=lambda x: scales * x, value=lambda x: 0.5 * float(scales @ (x * x)), point=rng.normal(size=6)
    )


def rare_class(rng):
    X, y = blobs(rng, n=600)
    keep = np.concatenate([np.flatnonzero(y != 2), np.flatnonzero(y == 2)[:6]])
    return fo.train(X[keep], y[keep], epochs=10), dict(X=X[keep], y=y[keep])


def at_the_limit(rng):
    X = rng.normal(size=(200, 6)) * np.geomspace(1, 3, 6)
    y = X @ rng.normal(size=6) + rng.normal(size=200)
    rows = np.column_stack([X, np.ones(200)])
    rule = fo.SGD(0.97 * 2 / np.linalg.eigvalsh(rows.T @ rows / 200)[-1])
    return fo.train(X, y, fo.SquaredError(), rule, epochs=60, batch_size=None), dict(X=X, y=y, rule=rule)


SICK = {
    "instability": (diverging_descent, diverging_training, overflowing),
    "oscillations": (zigzag, ringing),
    "fluctuations": (noisy_floor, noisy_batches),
    "slow progress": (too_slow_training, too_slow_descent),
    "plateau": (flat_then_down, flat_sigmoid),
    "over-fitting": (few_rows, few_digits),
    "rate decayed too early": (decayed_descent, decayed_training),
    "incorrect gradient": (
        wrong_gradient(np.negative),
        wrong_gradient(lambda g: 2 * g),
        wrong_gradient(one_entry),
    ),
    "ill-conditioning": (large_column, far_column, steep_function),
    "saddle": (on_ridge, indefinite),
    "rate near its limit": (at_the_limit,),
    "local optima": (stuck_restarts,),
    "class imbalance": (rare_class,),
    "dead units": (lambda rng: ({}, dict(activations=layer(rng, "relu", bias=-12.0))),),
    "saturated units": (
        lambda rng: ({}, dict(activations=layer(rng, "tanh", scale=400.0))),
        lambda rng: ({}, dict(activations={"gates": layer(rng, "sigmoid", scale=900.0)})),
    ),
    "symmetric weights": (equal_start, twin_units),
}


def found(run, arguments):
    """Names of the problems that fo.diagnose finds."""
    return fo.diagnose(run, **arguments).problems


@np.errstate(all="ignore")
def count(healthy_runs, seeds):
    """{disease: {detector: hits}}, {disease: sick runs}, {detector: healthy seeds}, what was missed."""
    table, sick, alarms, missed = {}, {}, {}, []
    for disease, kinds in SICK.items():
        hits = table.setdefault(disease, {})
        sick[disease] = len(kinds) * seeds
        for k, kind in enumerate(kinds):
            for seed in range(seeds):
                problems = found(*kind(np.random.default_rng([2, k, seed])))
                if disease not in problems:
                    missed.append((disease, k, seed))
                for problem in problems:
                    hits[problem] = hits.get(problem, 0) + 1
    for seed in healthy_runs:
        for problem in found(*healthy(seed)):
            alarms.setdefault(problem, []).append(seed)
    return table, sick, alarms, missed
