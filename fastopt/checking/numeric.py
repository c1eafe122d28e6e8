"""Numeric derivatives: gradient, Jacobian, Hessian, Hessian-vector product."""

import numpy as np

from fastopt.checking.complexstep import complex_gradient
from fastopt.functions import line, second
from fastopt.functions.differences import (
    derivative,
    differences,
    entry_slope,
    first_steps,
    refuse_nothing,
)
from fastopt.functions.guarded import in_double
from fastopt.functions.noise import measure
from fastopt.functions.point import Point

METHODS = ("forward", "central", "five-point", "complex", "richardson")


def numeric_gradient(f, x, *, method="central", eps=None, bounds=None, return_error=False):
    """Gradient of a scalar f at x by differences, in the structure, shapes and dtypes of x.

    method: "forward" and "central" (errors about 1e-8 and 1e-10 of f), "five-point" (1e-12), "complex"
    (exact; f must be analytic: refused with the reason where it is not), "richardson" (steps h, h/4, ...
    extrapolated, least error found per entry; about 20 evaluations an entry).
    eps: None: the steps follow the scale on which f changes at x, found from f entry by entry. Else exactly
    these steps, relative to max(1, |x_i|): a number, or an array for all entries or in the structure of x.
    x: an array of any shape, a tuple (f(*x)), a list or a dict (f(x)) of arrays; it is copied, never
    modified. float32: f is given a float64 copy where it accepts one. A function compiled by Numba is
    evaluated in a compiled loop on all threads.
    bounds: (lower, upper), each a number, None or in the structure of x, or scipy's Bounds: f is never
    called outside of them; at their edge differences are one-sided, of second order. So they are where f
    is NaN, or raises ArithmeticError or ValueError, on one side of x.
    return_error=True: (gradient, error), both in the structure of x; the error is an estimate.
    """
    point = Point(x)
    gradient, error, _ = _derivative(f, point, method, eps, bounds, scalar=True, with_error=return_error)
    if return_error:
        return point.restore(gradient[0]), point.restore(error[0])
    return point.restore(gradient[0])


def numeric_jacobian(f, x, *, method="central", eps=None, bounds=None, return_error=False):
    """Jacobian of f at x: shape f(x).shape + x.shape, one such array for each array of x.

    Arguments as in numeric_gradient.
    """
    point = Point(x)
    found, error, shape = _derivative(f, point, method, eps, bounds, with_error=return_error)
    jacobian = point.restore(found.reshape(*shape, -1), shape)
    return (jacobian, point.restore(error.reshape(*shape, -1), shape)) if return_error else jacobian


def numeric_hessian(f, x, *, grad=None, eps=None, bounds=None):
    """Hessian (size, size) in float64, symmetric; sizes of several arrays are added up.

    With grad, central differences of the gradient (error about 1e-9); without, second differences of f
    (about 1e-6). eps and bounds as in numeric_gradient; at a bound, without grad, the Hessian is that of
    a point one step inside.
    """
    point = Point(x)
    if grad is None:
        function = in_double(f, point, scalar=True, bounds=point.limits(bounds))
        return second.hessian(function, point.steps(eps))
    jacobian, _, _ = _derivative(flat_gradient(grad, point), point, "central", eps, bounds)
    with np.errstate(over="ignore", invalid="ignore"):
        return (jacobian + jacobian.T) / 2


def hessian_vector_product(grad, x, v, *, eps=None, bounds=None):
    """Hessian at x times v, in x's structure: (grad(x + h v) - grad(x - h v)) / 2h.

    Three gradients where the first h fits; where the scale of f is another, it is searched for. eps: the
    step of x, as in numeric_gradient. bounds: as there.
    """
    point = Point(x)
    direction = point.flatten(v, what="v")[0]
    gradient = in_double(flat_gradient(grad, point), point, bounds=point.limits(bounds))
    return point.restore(second.along(gradient, direction, point.steps(eps)))


def flat_gradient(grad, point):
    """grad as a function of x that returns one flat vector."""
    if not callable(grad):
        raise TypeError(f"grad must be a function, not {type(grad).__name__}")

    def flat(*arguments):
        return point.flatten(grad(*arguments))[0]

    return flat


@np.errstate(all="ignore")
def _derivative(f, point, method, eps, bounds, *, scalar=False, with_error=False):
    """(outputs, size) derivatives, their error estimates or None, and the shape of f."""
    if method not in METHODS:
        raise ValueError(f"method must be one of {', '.join(METHODS)}, not {method!r}")
    eps = point.steps(eps)
    function = in_double(f, point, scalar=scalar, bounds=point.limits(bounds))
    if method == "complex":
        result = complex_gradient(f, point, function)
        error = np.abs(result) * 4 * np.finfo(np.float64).eps
    elif method == "richardson":
        result, error = _richardson(function, eps)
    elif eps is None:
        result, error, _ = derivative(function, method)
    else:
        result, error = _at_given_steps(function, method, eps, with_error)
    return result, error, function.shape


def _at_given_steps(function, method, eps, with_error):
    """The caller's steps; the error from steps of half their size, and from rounding."""
    result = _differences(function, method, eps)
    refuse_nothing(function, result)
    if not with_error:
        return result, None
    other = _differences(function, method, eps / 2)
    level = measure(function, np.random.default_rng(0)).level
    return result, np.abs(result - other) * 2 + 4 * level[:, None] / first_steps(function, eps=eps)


def _differences(function, method, eps):
    """Differences of a method at given steps; those that leave the domain of f are shortened."""
    h = first_steps(function, eps=eps)
    probes, slopes = differences(function, method, h)
    bad = np.flatnonzero(~np.isfinite(slopes).all(0))
    if bad.size and np.isfinite(function.value).all():
        function.start()
        for i in bad:
            slopes[:, i] = _shortened(function, i, h[i])
        function.finish()
    return slopes


def _shortened(function, i, h):
    """A central difference inside the domain at a hundredth of the first step that is; else a one-sided one."""
    inside = None
    step = h
    for _ in range(12):
        step /= 100 if inside is not None else 10
        (up, plus), (down, minus) = function.moved(i, step), function.moved(i, -step)
        if up > 0 > down and np.isfinite(plus).all() and np.isfinite(minus).all():
            slope = (plus - minus) / (up - down)
            if inside is not None:
                return slope
            inside = slope
    return inside if inside is not None else _one_sided(function, i, h)


def _one_sided(function, i, h):
    value = function.value
    for side in (h, -h):
        (near, first), (far, other) = function.moved(i, side), function.moved(i, 2 * side)
        slope = line.one_sided(near, first - value, far, other - value)
        if np.isfinite(slope).all():
            return slope
    return np.full(value.shape, np.nan)


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
    refuse_nothing(function, result)
    return result, error
