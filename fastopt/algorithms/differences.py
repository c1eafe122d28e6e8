"""Derivatives that were not given: central differences inside the bounds.

The step along an entry is relative to the larger of its size and its size at the start, where that is
not 0: parameters of 1e-7 and of 1e7 are both ordinary.
"""

import numpy as np


def sizes(x0):
    """What the entries of x are of the order of, from the start: |x0_i|, or 1 where that is 0."""
    size = np.abs(x0)
    size[~(np.isfinite(size) & (size > 0))] = 1.0
    return size


def step(x, size, root):
    """The step along one entry."""
    return root * max(size, abs(x))


def along(x, v, size, root):
    """The step along v: no entry moves further than its own step; 0 where v is 0."""
    h = np.inf
    for i in range(x.size):
        if v[i] != 0.0:
            h = min(h, step(x[i], size[i], root) / abs(v[i]))
    return h if h < np.inf else 0.0


def ends(x, h, low, high):
    """Two points around x, h away, moved inside the bounds."""
    a, b = min(x + h, high), max(x - h, low)
    return (a, b) if a > b else (x, x)


def beyond(x, h, low, high):
    """A point h away inside the bounds: above x, or below; x where there is none."""
    return x + h if x + h <= high else x - h if x - h >= low else x


def root_of(dtype, power):
    return float(np.finfo(dtype).eps) ** power


def _sides(x, i, root, bounds, size):
    h = step(float(x[i]), float(size[i]), root)
    low, high = (-np.inf, np.inf) if bounds is None else bounds[:, i]
    return ends(x[i], x.dtype.type(h), low, high)


def gradient(f, x, g, bounds, size):
    """g by central differences; returns the number of calls of f."""
    root, x = root_of(x.dtype, 1 / 3), x.copy()
    for i in range(x.size):
        keep = x[i]
        a, b = _sides(x, i, root, bounds, size)
        x[i] = a
        plus = f(x)
        x[i] = b
        minus = f(x)
        x[i] = keep
        g[i] = (plus - minus) / (float(a) - float(b)) if a > b else 0.0
    return 2 * x.size


def forward(f, fx, x, g, bounds, size):
    """g by differences to the value fx at x; returns the number of calls of f. size: below 0, which asks for them."""
    root, x = root_of(x.dtype, 1 / 2), x.copy()
    for i in range(x.size):
        keep = x[i]
        low, high = (-np.inf, np.inf) if bounds is None else bounds[:, i]
        x[i] = beyond(keep, x.dtype.type(step(float(keep), -float(size[i]), root)), low, high)
        g[i] = (f(x) - fx) / (float(x[i]) - float(keep)) if x[i] != keep else 0.0
        x[i] = keep
    return x.size


def jacobian(f, x, r, J, bounds, size):
    """J (flat, row by row) by central differences of the vector f; returns the number of calls."""
    n = x.size
    root, x = root_of(x.dtype, 1 / 3), x.copy()
    J = J.reshape(r.size, n)
    for i in range(n):
        keep = x[i]
        a, b = _sides(x, i, root, bounds, size)
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


def hessian_row(gradient, x, H, i, bounds, size):
    """Row i of H (flat) by a central difference of the gradient(x, g); with the last one H is made symmetric."""
    n = x.size
    x, H, up, down = x.copy(), H.reshape(n, n), np.empty_like(x), np.empty_like(x)
    a, b = _sides(x, i, root_of(x.dtype, 1 / 3), bounds, size)
    x[i] = a
    gradient(x, up)
    x[i] = b
    gradient(x, down)
    H[i] = (up - down) / (float(a) - float(b)) if a > b else 0.0
    if i == n - 1:
        H[...] = (H + H.T) / 2


def product(gradient, x, v, out, size):
    """The Hessian times v by a central difference of the gradient along v."""
    h = along(x, v, size, root_of(x.dtype, 1 / 3))
    if h == 0.0:
        out[:] = 0.0
        return
    up, down = np.empty_like(x), np.empty_like(x)
    gradient(x + x.dtype.type(h) * v, up)
    gradient(x - x.dtype.type(h) * v, down)
    out[:] = (up - down) / (2 * h)
