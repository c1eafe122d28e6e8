"""fo.functions: functions to try minimizers on, with gradient, Hessian, minimum, and compiled forms.

Each is an `Example`: f(x), f.gradient(x), f.hessian(x), f.minimum, f.start, f.compiled (the same functions by
Numba, made at first use). fo.minimize(f.compiled.value, f.start, jac=f.compiled.gradient) runs without Python.
"""

import functools
from typing import Any, NamedTuple

import numpy as np


class Compiled(NamedTuple):
    value: Any
    gradient: Any
    hessian: Any


class Example:
    """A function of a 1-D array with its derivatives. Calling it gives the value."""

    def __init__(self, name, value, gradient, hessian, start, minimum=None, lowest=None):
        self.name, self.value, self.gradient, self.hessian = name, value, gradient, hessian
        self.start = np.asarray(start, np.float64)
        self.minimum = None if minimum is None else np.asarray(minimum, np.float64)
        self.lowest = lowest

    def __call__(self, x):
        return self.value(np.asarray(x))

    @functools.cached_property
    def compiled(self):
        """(value, gradient, hessian) compiled by Numba, without the GIL."""
        from fastopt.kernels.minimization.compiled import compiled

        return Compiled(*(compiled(f) for f in (self.value, self.gradient, self.hessian)))

    def __repr__(self):
        return f"<fo.functions.{self.name}>"


def quadratic(n=2, condition=10.0, rotation=0, minimum=None):
    """(x - m)'A(x - m)/2 with eigenvalues spread evenly in the logarithm from 1 to `condition`.

    rotation: None for a diagonal A, or the seed of a random rotation. minimum: m, by default 1, 2, ..., n.
    """
    values = np.geomspace(1.0, float(condition), n) if n > 1 else np.array([float(condition)])
    A = np.diag(values)
    if rotation is not None:
        Q, _ = np.linalg.qr(np.random.default_rng(rotation).standard_normal((n, n)))
        A = Q @ A @ Q.T
        A = (A + A.T) / 2
    m = np.arange(1.0, n + 1) if minimum is None else np.array(minimum, np.float64)

    def value(x):
        s = 0.0
        for i in range(x.size):
            t = 0.0
            for j in range(x.size):
                t += A[i, j] * (x[j] - m[j])
            s += t * (x[i] - m[i])
        return 0.5 * s

    def gradient(x):
        g = np.zeros_like(x)
        for i in range(x.size):
            for j in range(x.size):
                g[i] += A[i, j] * (x[j] - m[j])
        return g

    def hessian(x):
        return A.copy()

    return Example("quadratic", value, gradient, hessian, np.zeros(n), m, 0.0)


def rosenbrock(n=2):
    """sum_i 100 (x_{i+1} - x_i^2)^2 + (1 - x_i)^2, from (-1.2, 1, ...). Rosenbrock 1960."""
    return Example(
        "rosenbrock", _rosenbrock, _rosenbrock_gradient, _rosenbrock_hessian, np.resize([-1.2, 1.0], n),
        np.ones(n), 0.0,
    )  # fmt: skip


def _rosenbrock(x):
    s = 0.0
    for i in range(x.size - 1):
        s += 100.0 * (x[i + 1] - x[i] * x[i]) ** 2 + (1.0 - x[i]) ** 2
    return s


def _rosenbrock_gradient(x):
    g = np.zeros_like(x)
    for i in range(x.size - 1):
        a = x[i + 1] - x[i] * x[i]
        g[i] += -400.0 * a * x[i] - 2.0 * (1.0 - x[i])
        g[i + 1] += 200.0 * a
    return g


def _rosenbrock_hessian(x):
    n = x.size
    H = np.zeros((n, n))
    for i in range(n - 1):
        H[i, i] += 1200.0 * x[i] * x[i] - 400.0 * x[i + 1] + 2.0
        H[i + 1, i + 1] += 200.0
        H[i, i + 1] -= 400.0 * x[i]
        H[i + 1, i] -= 400.0 * x[i]
    return H


def _booth(x):
    return (x[0] + 2.0 * x[1] - 7.0) ** 2 + (2.0 * x[0] + x[1] - 5.0) ** 2


def _booth_gradient(x):
    a, b = x[0] + 2.0 * x[1] - 7.0, 2.0 * x[0] + x[1] - 5.0
    return np.array([2.0 * a + 4.0 * b, 4.0 * a + 2.0 * b])


def _booth_hessian(x):
    return np.array([[10.0, 8.0], [8.0, 10.0]])


# The lectures' (x + 2y - 7)^2 + (2x + y - 5)^2.
booth = Example("booth", _booth, _booth_gradient, _booth_hessian, [-5.0, -5.0], [1.0, 3.0], 0.0)


def _beale(x):
    a, b = x[0], x[1]
    return (1.5 - a + a * b) ** 2 + (2.25 - a + a * b**2) ** 2 + (2.625 - a + a * b**3) ** 2


def _beale_gradient(x):
    a, b = x[0], x[1]
    g = np.zeros(2)
    for k in range(1, 4):
        c = 1.5 if k == 1 else 2.25 if k == 2 else 2.625
        r = c - a + a * b**k
        g[0] += 2.0 * r * (b**k - 1.0)
        g[1] += 2.0 * r * a * k * b ** (k - 1)
    return g


def _beale_hessian(x):
    a, b = x[0], x[1]
    H = np.zeros((2, 2))
    for k in range(1, 4):
        c = 1.5 if k == 1 else 2.25 if k == 2 else 2.625
        r = c - a + a * b**k
        u, v = b**k - 1.0, a * k * b ** (k - 1)
        second = a * k * (k - 1) * b ** (k - 2) if k > 1 else 0.0
        H[0, 0] += 2.0 * u * u
        H[0, 1] += 2.0 * (u * v + r * k * b ** (k - 1))
        H[1, 1] += 2.0 * (v * v + r * second)
    H[1, 0] = H[0, 1]
    return H


beale = Example("beale", _beale, _beale_gradient, _beale_hessian, [1.0, 1.0], [3.0, 0.5], 0.0)


def _himmelblau(x):
    return (x[0] ** 2 + x[1] - 11.0) ** 2 + (x[0] + x[1] ** 2 - 7.0) ** 2


def _himmelblau_gradient(x):
    a, b = x[0] ** 2 + x[1] - 11.0, x[0] + x[1] ** 2 - 7.0
    return np.array([4.0 * a * x[0] + 2.0 * b, 2.0 * a + 4.0 * b * x[1]])


def _himmelblau_hessian(x):
    cross = 4.0 * (x[0] + x[1])
    return np.array(
        [[12.0 * x[0] ** 2 + 4.0 * x[1] - 42.0, cross], [cross, 12.0 * x[1] ** 2 + 4.0 * x[0] - 26.0]]
    )


# One of four minima of the same value.
himmelblau = Example(
    "himmelblau", _himmelblau, _himmelblau_gradient, _himmelblau_hessian, [0.0, 0.0], [3.0, 2.0], 0.0
)


def _saddle(x):
    return x[0] ** 2 - x[1] ** 2 + x[1] ** 4


def _saddle_gradient(x):
    return np.array([2.0 * x[0], -2.0 * x[1] + 4.0 * x[1] ** 3])


def _saddle_hessian(x):
    return np.array([[2.0, 0.0], [0.0, -2.0 + 12.0 * x[1] ** 2]])


# The lectures' saddle, from its exact point: minima at (0, +-1/sqrt 2).
saddle = Example("saddle", _saddle, _saddle_gradient, _saddle_hessian, [0.0, 0.0], [0.0, 0.5**0.5], -0.25)


def _plateau(x):
    return 1.0 - np.exp(-0.5 * (x[0] ** 2 + x[1] ** 2))


def _plateau_gradient(x):
    e = np.exp(-0.5 * (x[0] ** 2 + x[1] ** 2))
    return np.array([e * x[0], e * x[1]])


def _plateau_hessian(x):
    e = np.exp(-0.5 * (x[0] ** 2 + x[1] ** 2))
    return np.array([[e * (1.0 - x[0] ** 2), -e * x[0] * x[1]], [-e * x[0] * x[1], e * (1.0 - x[1] ** 2)]])


# Flat away from its minimum: |gradient| is 0.011 at the start.
plateau = Example("plateau", _plateau, _plateau_gradient, _plateau_hessian, [2.5, 2.5], [0.0, 0.0], 0.0)


def _ravine(x):
    return 0.5 * (x[0] ** 2 + 100.0 * x[1] ** 2)


def _ravine_gradient(x):
    return np.array([x[0], 100.0 * x[1]])


def _ravine_hessian(x):
    return np.array([[1.0, 0.0], [0.0, 100.0]])


ravine = Example("ravine", _ravine, _ravine_gradient, _ravine_hessian, [10.0, 1.0], [0.0, 0.0], 0.0)


def rastrigin(n=2):
    """10 n + sum x_i^2 - 10 cos(2 pi x_i): a minimum near every point of whole numbers, the lowest at 0."""
    return Example(
        "rastrigin", _rastrigin, _rastrigin_gradient, _rastrigin_hessian, np.full(n, 2.2), np.zeros(n), 0.0
    )


def _rastrigin(x):
    s = 10.0 * x.size
    for i in range(x.size):
        s += x[i] * x[i] - 10.0 * np.cos(2.0 * np.pi * x[i])
    return s


def _rastrigin_gradient(x):
    return 2.0 * x + 20.0 * np.pi * np.sin(2.0 * np.pi * x)


def _rastrigin_hessian(x):
    n = x.size
    H = np.zeros((n, n))
    for i in range(n):
        H[i, i] = 2.0 + 40.0 * np.pi**2 * np.cos(2.0 * np.pi * x[i])
    return H


def logistic_regression(X, y, l2=1e-3):
    """mean log(1 + exp(-y_i x_i'w)) + l2 |w|^2 / 2 for y of -1 and 1."""
    X, y = np.array(X, np.float64), np.array(y, np.float64)
    if X.ndim != 2 or y.shape != (len(X),) or not np.isin(y, (-1, 1)).all():
        raise ValueError("logistic_regression needs X (n, d) and y (n,) of -1 and 1")
    rows, l2 = len(X), float(l2)

    def value(w):
        s = 0.0
        for i in range(rows):
            z = 0.0
            for j in range(w.size):
                z -= X[i, j] * w[j]
            z *= y[i]
            s += max(z, 0.0) + np.log1p(np.exp(-abs(z)))
        q = 0.0
        for j in range(w.size):
            q += w[j] * w[j]
        return s / rows + 0.5 * l2 * q

    def gradient(w):
        g = l2 * w
        for i in range(rows):
            z = 0.0
            for j in range(w.size):
                z += X[i, j] * w[j]
            share = -y[i] / (1.0 + np.exp(y[i] * z)) / rows
            for j in range(w.size):
                g[j] += share * X[i, j]
        return g

    def hessian(w):
        n = w.size
        H = np.zeros((n, n))
        for i in range(rows):
            z = 0.0
            for j in range(n):
                z += X[i, j] * w[j]
            e = np.exp(-abs(z))
            share = e / (1.0 + e) ** 2 / rows
            for j in range(n):
                for k in range(n):
                    H[j, k] += share * X[i, j] * X[i, k]
        for j in range(n):
            H[j, j] += l2
        return H

    return Example("logistic_regression", value, gradient, hessian, np.zeros(X.shape[1]))
