"""Derivatives that were not given: central differences inside the bounds."""

import numpy as np


def step(x, root):
    """The step along one entry: relative to its size, or to 1 where it is smaller."""
    return root * max(1.0, abs(x))


def ends(x, h, low, high):
    """Two points around x, h away, moved inside the bounds."""
    a, b = min(x + h, high), max(x - h, low)
    return (a, b) if a > b else (x, x)


def root_of(dtype, power):
    return float(np.finfo(dtype).eps) ** power


def _sides(x, i, root, bounds):
    h = step(float(x[i]), root)
    low, high = (-np.inf, np.inf) if bounds is None else bounds[:, i]
    return ends(x[i], x.dtype.type(h), low, high)


def gradient(f, x, value, g, bounds):
    """g by central differences; returns the number of calls of f."""
    root, x = root_of(x.dtype, 1 / 3), x.copy()
    for i in range(x.size):
        keep = x[i]
        a, b = _sides(x, i, root, bounds)
        x[i] = a
        plus = f(x)
        x[i] = b
        minus = f(x)
        x[i] = keep
        g[i] = (plus - minus) / (float(a) - float(b)) if a > b else 0.0
    return 2 * x.size


def jacobian(f, x, r, J, bounds):
    """J (flat, row by row) by central differences of the vector f; returns the number of calls."""
    n = x.size
    root, x = root_of(x.dtype, 1 / 3), x.copy()
    J = J.reshape(r.size, n)
    for i in range(n):
        keep = x[i]
        a, b = _sides(x, i, root, bounds)
        x[i] = a
        plus = f(x)
        x[i] = b
        minus = f(x)
        x[i] = keep
        J[:, i] = (plus - minus) / (float(a) - float(b)) if a > b else 0.0
    return 2 * n


def complex_jacobian(f, x, r, J):
    """J (flat) by the complex step, exact for an analytic f (Squire & Trapp 1998)."""
    J = J.reshape(r.size, x.size)
    z = x.astype(np.complex128)
    for i in range(x.size):
        z[i] = complex(x[i], 1e-200)
        J[:, i] = np.asarray(f(z.copy())).imag / 1e-200
        z[i] = x[i]


def hessian(gradient, x, H, bounds):
    """H (flat) by central differences of the gradient(x, g), made symmetric."""
    n = x.size
    root, x = root_of(x.dtype, 1 / 3), x.copy()
    H, up, down = H.reshape(n, n), np.empty_like(x), np.empty_like(x)
    for i in range(n):
        keep = x[i]
        a, b = _sides(x, i, root, bounds)
        x[i] = a
        gradient(x, up)
        x[i] = b
        gradient(x, down)
        x[i] = keep
        H[i] = (up - down) / (float(a) - float(b)) if a > b else 0.0
    H[...] = (H + H.T) / 2


def product(gradient, x, v, out):
    """The Hessian times v by a central difference of the gradient along v."""
    size = float(np.max(np.abs(v)))
    if size == 0.0:
        out[:] = 0.0
        return
    h = root_of(x.dtype, 1 / 3) * max(1.0, float(np.max(np.abs(x)))) / size
    up, down = np.empty_like(x), np.empty_like(x)
    gradient(x + x.dtype.type(h) * v, up)
    gradient(x - x.dtype.type(h) * v, down)
    out[:] = (up - down) / (2 * h)
