"""Numeric derivatives: gradient, Jacobian, Hessian, Hessian-vector product."""

from typing import NamedTuple

import numpy as np

from fastopt.checking.complexstep import complex_gradient
from fastopt.functions import ladder
from fastopt.functions.guarded import Function, in_double
from fastopt.functions.noise import measure
from fastopt.functions.point import Point

METHODS = ("forward", "central", "five-point", "complex", "richardson")
# Steps that balance truncation against rounding: eps^(1/(order + 1)).
_ROOTS = {"forward": 2, "central": 3, "five-point": 5}
_COMPILED_FROM = 64


class Probes(NamedTuple):
    """f at x + up_i e_i and x + down_i e_i; down is negative (or 0 and minus = f(x))."""

    up: np.ndarray  # (size,)
    plus: np.ndarray  # (size, outputs)
    down: np.ndarray
    minus: np.ndarray

    @property
    def central(self):
        return (self.plus - self.minus) / (self.up - self.down)[:, None]


def numeric_gradient(f, x, *, method="central", eps=None, return_error=False):
    """Gradient of a scalar f at x by differences, in the structure, shapes and dtypes of x.

    method: "forward" and "central" (errors about 1e-8 and 1e-10 of f), "five-point" (1e-12), "complex"
    (exact; f must be analytic: refused with the reason where it is not), "richardson" (steps h, h/4, ...
    extrapolated, least error found per entry; about 20 evaluations an entry).
    eps: step relative to max(1, |x_i|); by default from the dtype and the method.
    x: an array of any shape, a tuple (f(*x)), a list or a dict (f(x)) of arrays; it is copied, never
    modified. float32: f is given a float64 copy where it accepts one. A function compiled by Numba is
    evaluated in a compiled loop on all threads.
    return_error=True: (gradient, error), both in the structure of x; the error is an estimate.
    """
    point = Point(x)
    gradient, error = _derivative(f, point, method, eps, scalar=True, with_error=return_error)
    if return_error:
        return point.restore(gradient[0]), point.restore(error[0])
    return point.restore(gradient[0])


def numeric_jacobian(f, x, *, method="central", eps=None, return_error=False):
    """Jacobian of f at x: shape f(x).shape + x.shape, one such array for each array of x.

    Arguments as in numeric_gradient.
    """
    point = Point(x)
    jacobian, error, shape = _derivative(f, point, method, eps, with_error=return_error, with_shape=True)
    if return_error:
        return point.restore(jacobian.reshape(*shape, -1), shape), point.restore(
            error.reshape(*shape, -1), shape
        )
    return point.restore(jacobian.reshape(*shape, -1), shape)


def numeric_hessian(f, x, *, grad=None, eps=None):
    """Hessian (size, size) in float64, symmetric; sizes of several arrays are added up.

    With grad, central differences of the gradient (error about 1e-9); without, second differences of f
    (about 1e-6).
    """
    point = Point(x)
    if grad is None:
        return _second_differences(in_double(f, point, scalar=True), eps)
    flat = flat_gradient(grad, point)
    jacobian, _ = _derivative(flat, point, "central", eps)
    with np.errstate(over="ignore", invalid="ignore"):
        return (jacobian + jacobian.T) / 2


def hessian_vector_product(grad, x, v, *, eps=None):
    """Hessian at x times v, from two gradients: (grad(x + h v) - grad(x - h v)) / 2h, in x's structure."""
    point = Point(x)
    direction = point.flatten(v, what="v")[0]
    gradient = in_double(flat_gradient(grad, point), point)
    return point.restore(product(gradient, direction, eps))


@np.errstate(all="ignore")
def product(gradient, direction, eps=None):
    """The same on flat vectors; gradient is a Function."""
    length = np.abs(direction).max()
    if not length:
        return np.zeros_like(direction)
    h = (eps or gradient.eps ** (1 / 3)) * max(1.0, np.abs(gradient.point.values).max()) / length
    x = gradient.point.values
    up, down = gradient.realised(x + h * direction), gradient.realised(x - h * direction)
    step = np.dot(up - down, direction) / np.dot(direction, direction)
    return (gradient.at(up) - gradient.at(down)) / step


def flat_gradient(grad, point):
    """grad as a function of x that returns one flat vector."""
    if not callable(grad):
        raise TypeError(f"grad must be a function, not {type(grad).__name__}")

    def flat(*arguments):
        return point.flatten(grad(*arguments))[0]

    return flat


@np.errstate(all="ignore")
def _derivative(f, point, method, eps, *, scalar=False, with_error=False, with_shape=False):
    """(outputs, size) derivatives and error estimates."""
    if method not in METHODS:
        raise ValueError(f"method must be one of {', '.join(METHODS)}, not {method!r}")
    if eps is not None and not np.all(np.asarray(eps) > 0):
        raise ValueError(f"eps must be positive, not {eps}")
    function = in_double(f, point, scalar=scalar)
    error = None
    if method == "complex":
        result = complex_gradient(f, point, function)
        error = np.abs(result) * 4 * np.finfo(np.float64).eps
    elif method == "richardson":
        result, error = _richardson(function, eps)
    else:
        result = _differences(function, method, eps)
        if with_error:
            other = _differences(function, method, (eps or default_eps(function, method)) / 2)
            error = np.abs(result - other) * 2 + measure(function, np.random.default_rng(0)).level[
                :, None
            ] * 4 / (steps(function, eps or default_eps(function, method)))
    return (result, error, function.shape) if with_shape else (result, error)


def default_eps(function, method="central"):
    return function.eps ** (1 / _ROOTS[method])


def steps(function, eps):
    """Step of every entry: eps relative to max(1, |x_i|)."""
    return eps * np.maximum(1.0, np.abs(function.point.values))


def _differences(function, method, eps):
    h = steps(function, default_eps(function, method) if eps is None else eps)
    if method == "forward":
        return probe(function, h, two_sided=False).central.T
    near = probe(function, h)
    if method == "central":
        return near.central.T
    return ((4 * near.central - probe(function, 2 * h).central) / 3).T


def probe(function, h, two_sided=True):
    """f on both sides of x along every entry; a step onto which f is not finite is shortened."""
    probes = _probe_compiled(function, h, two_sided) or _probe_each(function, h, two_sided)
    sound = np.isfinite(probes.plus) & np.isfinite(probes.minus)
    if not sound.all() and np.isfinite(function.value).all():
        function.start()
        for i in np.flatnonzero(~sound.all(axis=1)):
            _shorten(function, probes, i, h[i], two_sided)
        function.finish()
    return probes


def _probe_each(function, h, two_sided):
    size = function.point.size
    up, plus = np.empty(size), np.empty((size, function.outputs))
    down, minus = np.zeros(size), np.tile(function.value, (size, 1))
    function.start()
    for i in range(size):
        up[i], plus[i] = function.moved(i, h[i])
        if two_sided:
            down[i], minus[i] = function.moved(i, -h[i])
    function.finish()
    return Probes(up, plus, down, minus)


def _shorten(function, probes, i, h, two_sided):
    """The first step with finite values shows where the domain ends: a hundredth of it is used."""
    inside = False
    for _ in range(12):
        h /= 100 if inside else 10
        up, plus = function.moved(i, h)
        down, minus = function.moved(i, -h) if two_sided else (0.0, function.value)
        if up > down and np.isfinite(plus).all() and np.isfinite(minus).all():
            probes.up[i], probes.plus[i], probes.down[i], probes.minus[i] = up, plus, down, minus
            if inside:
                return
            inside = True


def _probe_compiled(function, h, two_sided):
    """The loop over entries compiled, where f is; None where it is not, or takes several arrays."""
    compiled = hasattr(function.f, "py_func") and hasattr(function.f, "nopython_signatures")
    if not compiled or function.point.kind != "array" or function.shape != () or len(h) < _COMPILED_FROM:
        return None
    from fastopt.kernels.differences import numeric as kernels

    x = function.point.arrays[0].astype(function.dtype)
    result = kernels.probe(function.f, x, np.ascontiguousarray(h, dtype=np.float64), two_sided)
    if result is None:
        return None
    function.calls += (2 if two_sided else 1) * len(h)
    up, plus, down, minus = result
    if not two_sided:
        minus[:] = function.value
    return Probes(up, plus[:, None], down, minus[:, None])


@np.errstate(all="ignore")
def entry_slope(function, i, noise, target=0.0, start=0.01):
    """ladder.slope along entry i; `start` and `finish` are the caller's."""
    step = start * max(1.0, abs(function.point.values[i]))
    return ladder.slope(lambda t: function.moved(i, t), function.value, noise, step, target=target)


def _richardson(function, eps):
    noise = measure(function, np.random.default_rng(0)).level
    size = function.point.size
    result, error = np.empty((function.outputs, size)), np.empty((function.outputs, size))
    start = np.broadcast_to(0.01 if eps is None else eps, size)
    function.start()
    for i in range(size):
        slope = entry_slope(function, i, noise, start=start[i])
        result[:, i], error[:, i] = slope.value, slope.error
    function.finish()
    return result, error


@np.errstate(all="ignore")
def _second_differences(function, eps):
    """H_ij = (f(+,+) - f(+,-) - f(-,+) + f(-,-)) / 4 h_i h_j; the diagonal from f(+), f, f(-)."""
    x = function.point.values
    h = steps(function, function.eps ** (1 / 4) if eps is None else eps)
    n = x.size
    hessian = np.empty((n, n))

    def moved(i, a, j=0, b=0.0):
        y = x.copy()
        y[i] += a
        y[j] += b
        return function.at(y)[0]

    for i in range(n):
        hessian[i, i] = (moved(i, h[i]) - 2 * function.value[0] + moved(i, -h[i])) / h[i] ** 2
        for j in range(i):
            corners = [moved(i, a * h[i], j, b * h[j]) * a * b for a in (1, -1) for b in (1, -1)]
            hessian[i, j] = hessian[j, i] = sum(corners) / (4 * h[i] * h[j])
    return hessian


__all__ = ["Function", "hessian_vector_product", "numeric_gradient", "numeric_hessian", "numeric_jacobian"]
