"""Functions with known gradients, and seeded ways of getting a gradient wrong.

Shared by the tests and by bench/gradcheck_peers.py, so that every checker sees the same cases.
"""

from typing import NamedTuple

import numpy as np


class Problem(NamedTuple):
    name: str
    f: object
    grad: object
    x: np.ndarray
    l2: float = 0.0  # the gradient holds 2*l2*x
    samples: int = 1  # f is a mean over so many rows


class Case(NamedTuple):
    """wrong: flat indices of entries beyond the tolerance; empty for a correct gradient."""

    problem: Problem
    kind: str
    grad: object
    wrong: np.ndarray
    tolerance: dict


class Single(NamedTuple):
    """A random generator that draws float32."""

    rng: np.random.Generator

    def normal(self, size):
        return self.rng.normal(size=size).astype(np.float32)

    def integers(self, *arguments):
        return self.rng.integers(*arguments)


def quadratic(rng):
    A = rng.normal(size=(12, 12))
    A = A + A.T
    return Problem("quadratic", lambda x: x @ A @ x / 2, lambda x: A @ x, rng.normal(size=12))


def rosenbrock(rng):
    def f(x):
        return np.sum(100 * (x[1:] - x[:-1] ** 2) ** 2 + (1 - x[:-1]) ** 2)

    def grad(x):
        g = np.zeros_like(x)
        g[:-1] = -400 * x[:-1] * (x[1:] - x[:-1] ** 2) - 2 * (1 - x[:-1])
        g[1:] += 200 * (x[1:] - x[:-1] ** 2)
        return g

    return Problem("rosenbrock", f, grad, rng.normal(size=10))


def waves(rng):
    def grad(x):
        return np.cos(x) * x**2 + 2 * x * np.sin(x)

    return Problem("waves", lambda x: np.sum(np.sin(x) * x**2), grad, rng.normal(size=(4, 5)))


def logsumexp(rng):
    def grad(x):
        e = np.exp(x - x.max())
        return e / e.sum()

    return Problem(
        "logsumexp", lambda x: x.max() + np.log(np.exp(x - x.max()).sum()), grad, rng.normal(size=8)
    )


def _linear(rng, classes=5, features=7, n=40):
    X = rng.normal(size=(n, features))
    X[:, -1] = 1
    return X, rng.integers(0, classes, n), rng.normal(size=(classes, features)), 0.05


def softmax(rng):
    X, y, W, l2 = _linear(rng)
    rows = np.arange(len(y))

    def shares(W):
        s = X @ W.T
        e = np.exp(s - s.max(1, keepdims=True))
        return s, e / e.sum(1, keepdims=True)

    def f(W):
        s, _ = shares(W)
        top = s.max(1)
        return np.mean(top + np.log(np.exp(s - top[:, None]).sum(1)) - s[rows, y]) + l2 * np.sum(W * W)

    def grad(W):
        _, p = shares(W)
        p[rows, y] -= 1
        return p.T @ X / len(y) + 2 * l2 * W

    return Problem("softmax", f, grad, W, l2, len(y))


def hinge(rng):
    X, y, W, l2 = _linear(rng)
    rows = np.arange(len(y))

    def margins(W):
        s = X @ W.T
        t = np.maximum(0, s - s[rows, y][:, None] + 1)
        t[rows, y] = 0
        return t

    def grad(W):
        d = (margins(W) > 0).astype(X.dtype)
        d[rows, y] = -d.sum(1)
        return d.T @ X / len(y) + 2 * l2 * W

    return Problem("hinge", lambda W: margins(W).sum() / len(y) + l2 * np.sum(W * W), grad, W, l2, len(y))


def least_squares(rng):
    A, b = rng.normal(size=(30, 9)), rng.normal(size=30)
    return Problem(
        "least squares",
        lambda x: np.mean((A @ x - b) ** 2) / 2 + 0.1 * np.sum(x * x),
        lambda x: A.T @ (A @ x - b) / 30 + 0.2 * x,
        rng.normal(size=9), 0.1, 30,
    )  # fmt: skip


def relu_net(rng):
    X, t, V = rng.normal(size=(25, 6)), rng.normal(size=25), rng.normal(size=8)

    def f(W):
        return np.mean((np.maximum(0, X @ W) @ V - t) ** 2) / 2

    def grad(W):
        z = X @ W
        r = (np.maximum(0, z) @ V - t) / len(t)
        return X.T @ (r[:, None] * V * (z > 0))

    return Problem("relu net", f, grad, rng.normal(size=(6, 8)), 0.0, 25)


PROBLEMS = (quadratic, rosenbrock, waves, logsumexp, softmax, hinge, least_squares, relu_net)
DEFAULT = {"atol": 1e-5, "rtol": 1e-3}
TIGHT = {"atol": 1e-9, "rtol": 1e-7}


def _entry(g, rng):
    """An entry large enough to matter."""
    large = np.flatnonzero(np.abs(g.ravel()) > 0.2 * np.abs(g).max())
    return np.unravel_index(rng.choice(large), g.shape)


def _one(change):
    def mutate(problem, rng):
        at = _entry(problem.grad(problem.x), rng)

        def wrong(x):
            g = problem.grad(x).copy()
            g[at] = change(g[at])
            return g

        return wrong

    return mutate


def _all(change):
    return lambda problem, rng: lambda x: change(problem.grad(x))


def _row(axis):
    def mutate(problem, rng):
        if problem.x.ndim < 2:
            return None
        at = [slice(None)] * 2
        at[axis] = rng.integers(problem.x.shape[axis])
        factor = rng.choice([-1.0, 0.0, 2.0])

        def wrong(x):
            g = problem.grad(x).copy()
            g[tuple(at)] *= factor
            return g

        return wrong

    return mutate


def _swap(problem, rng):
    i, j = rng.choice(problem.x.size, 2, replace=False)

    def wrong(x):
        g = problem.grad(x).copy()
        flat = g.reshape(-1)
        flat[i], flat[j] = flat[j], flat[i]
        return g

    return wrong


def _transposed(problem, rng):
    if problem.x.ndim < 2:
        return None
    return lambda x: np.ascontiguousarray(problem.grad(x).T).reshape(x.shape)


def _no_regulariser(problem, rng):
    if not problem.l2:
        return None
    return lambda x: problem.grad(x) - 2 * problem.l2 * x


def _no_mean(problem, rng):
    if problem.samples == 1:
        return None
    return lambda x: problem.grad(x) * problem.samples


MUTATIONS = {
    "sign": (_all(lambda g: -g), DEFAULT),
    "factor 2": (_all(lambda g: 2 * g), DEFAULT),
    "factor 1/2": (_all(lambda g: g / 2), DEFAULT),
    "missing 1/n": (_no_mean, DEFAULT),
    "missing regulariser": (_no_regulariser, DEFAULT),
    "transposed": (_transposed, DEFAULT),
    "index off by one": (_all(lambda g: np.roll(g, 1, axis=-1)), DEFAULT),
    "two swapped": (_swap, DEFAULT),
    "one class": (_row(0), DEFAULT),
    "one feature": (_row(1), DEFAULT),
    "one entry, sign": (_one(lambda v: -v), DEFAULT),
    "one entry, zero": (_one(lambda v: 0.0), DEFAULT),
    "one entry, NaN": (_one(lambda v: np.nan), DEFAULT),
    "all, 3e-3": (_all(lambda g: g * (1 + 3e-3)), DEFAULT),
    "one entry, 3e-3": (_one(lambda v: v * (1 - 3e-3)), DEFAULT),
    "all, 1e-6": (_all(lambda g: g * (1 - 1e-6)), TIGHT),
    "one entry, 1e-6": (_one(lambda v: v * (1 + 1e-6)), TIGHT),
}


def _case(problem, kind, grad, tolerance):
    g, m = problem.grad(problem.x).ravel(), np.asarray(grad(problem.x)).ravel()
    wrong = ~(np.abs(m - g) <= 1.2 * (tolerance["atol"] + tolerance["rtol"] * np.abs(g)))
    return Case(problem, kind, grad, np.flatnonzero(wrong), tolerance)


def mutants(count=200, seed=0):
    """`count` wrong gradients; every kind of mistake on every problem it applies to."""
    cases, round_ = [], 0
    while len(cases) < count:
        for p, make in enumerate(PROBLEMS):
            for k, (kind, (mutate, tolerance)) in enumerate(MUTATIONS.items()):
                rng = np.random.default_rng([seed, round_, p, k])
                problem = make(rng)
                wrong = mutate(problem, rng)
                if wrong is None:
                    continue
                case = _case(problem, kind, wrong, tolerance)
                if case.wrong.size:
                    cases.append(case)
        round_ += 1
    rng = np.random.default_rng(seed)
    return [cases[i] for i in sorted(rng.permutation(len(cases))[:count])]


def correct(count=200, seed=1):
    cases = []
    for j in range(count):
        rng = np.random.default_rng([seed, j])
        problem = PROBLEMS[j % len(PROBLEMS)](rng)
        tolerance = (DEFAULT, TIGHT)[(j // len(PROBLEMS)) % 2]
        cases.append(_case(problem, "correct", problem.grad, tolerance))
    return cases
