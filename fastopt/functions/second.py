"""Second differences of f, and its derivative along one direction."""

import numpy as np

from fastopt.functions import line
from fastopt.functions.differences import derivative, first_steps, grain, typical
from fastopt.functions.noise import measure

_TRIES = 12


@np.errstate(all="ignore")
def hessian(function, eps=None):
    """H_ij = (f(+,+) - f(+,-) - f(-,+) + f(-,-)) / 4 h_i h_j of a scalar f; the diagonal from f(+), f, f(-).

    Without eps the steps follow the scale of f: those of the central difference, made longer by
    eps^(1/4 - 1/3), then until two of them agree. At a bound the centre moves inside by a step.
    """
    if eps is not None:
        h = _inside(function, first_steps(function, eps=eps))
    else:
        noise = measure(function, np.random.default_rng(0)).level
        found = derivative(function, noise=noise)
        h = _inside(function, found.steps * function.eps ** (1 / 4 - 1 / 3))
        h = np.array([_second_step(function, i, h[i], float(noise[0])) for i in range(len(h))])
    return _of_steps(function, h)


def _inside(function, h):
    """The steps, as short as the bounds allow, with the point moved to where there is room for them."""
    if function.lower is not None:
        h = np.minimum(h, (function.upper - function.lower) / 4)
        x = function.point.values
        function.move(np.clip(x, function.lower + h, function.upper - h))
    return h


def _second_step(function, i, h, noise):
    """A step at which the second difference along entry i stands above the noise and agrees with a shorter one."""
    noise = max(noise, function.eps * abs(function.value[0]))
    longest = 1e10 * typical(function.point.values)[i]
    function.start()
    best, fine = h, False
    value, blur = _second(function, i, h, noise)
    for _ in range(_TRIES):
        inner, its_blur = _second(function, i, h / 2.3, noise)
        agree = abs(value - inner) <= its_blur + blur + 1e-3 * abs(inner)
        if not agree:  # too long
            if fine:
                break
            h /= 8
        elif blur <= 1e-5 * abs(value) or h > longest:
            best = h
            break
        else:
            best, fine = h, True
            h *= 8
        value, blur = _second(function, i, h, noise)
    function.finish()
    return best


def _second(function, i, h, noise):
    up, plus = function.moved(i, h)
    down, minus = function.moved(i, -h)
    room = (up - down) ** 2 / 4
    return float(plus[0] - 2 * function.value[0] + minus[0]) / room, 4 * noise / room


def _of_steps(function, h):
    x = function.point.values
    n = x.size
    matrix = np.empty((n, n))

    def moved(i, a, j=0, b=0.0):
        y = x.copy()
        y[i] += a
        y[j] += b
        return function.at(y)[0]

    centre = function.value[0]
    for i in range(n):
        matrix[i, i] = (moved(i, h[i]) - 2 * centre + moved(i, -h[i])) / h[i] ** 2
        for j in range(i):
            corners = [moved(i, a * h[i], j, b * h[j]) * a * b for a in (1, -1) for b in (1, -1)]
            matrix[i, j] = matrix[j, i] = sum(corners) / (4 * h[i] * h[j])
    return matrix


@np.errstate(all="ignore")
def along(function, direction, eps=None):
    """Derivative of f (any number of outputs) along a flat direction: two evaluations where the step fits."""
    length = np.abs(direction).max()
    if not length:
        return np.zeros_like(function.value)
    x, t = function.point.values, step_along(function, direction, eps)
    if function.lower is not None:
        room = t * np.abs(direction)
        x = np.clip(x, function.lower + room, function.upper - room)
    slope, _ = _across(function, x, t * direction, t)
    if eps is not None or _fits(function, x, t, direction, slope):
        return slope
    found = slope_along(function, direction, measure(function, np.random.default_rng(0)).level, relative=1e-9)
    return np.where(np.isfinite(found.value), found.value, slope)


def _across(function, x, step, t):
    """(slope by t, its rounding) from both ends of a step, as long as it is after rounding."""
    up, down = function.realised(x + step), function.realised(x - step)
    length = np.dot(up - down, step) / np.dot(step, step) * t
    plus, minus = function.at(up), function.at(down)
    blur = 4 * function.eps * np.maximum(np.abs(plus), np.abs(minus))
    return (plus - minus) / length, blur / length


def step_along(function, direction, eps=None):
    """The t at which no entry of x + t*direction has moved by more than its first step."""
    moving = direction != 0
    return float((first_steps(function, eps=eps)[moving] / np.abs(direction[moving])).min())


@np.errstate(all="ignore")
def slope_along(function, direction, noise, *, start=None, **options):
    """line.slope of f along a flat direction."""
    moving = direction != 0
    own = float((grain(function)[moving] / np.abs(direction[moving])).max())
    unit = step_along(function, direction)
    steps = line.Range(start or 1e3 * unit, 16 * own, 1e16 * unit, own, function.eps > 1e-15, True)
    function.start()
    found = line.slope(
        lambda t: (t, function.shifted(0, t * direction)[1]), function.value, noise, steps,
        floor=np.abs(function.value) * function.eps / 2, **options,
    )  # fmt: skip
    function.finish()
    return found


def _fits(function, x, t, direction, slope):
    """Whether a much smaller step gives the same slopes, to its rounding, and they stand above it."""
    small = 1.7e-3 * t
    near, blur = _across(function, x, small * direction, small)
    largest = np.abs(slope).max()
    agree = np.abs(near - slope) <= 8 * blur + 1e-5 * np.abs(slope) + 1e-8 * largest
    return bool(agree.all() and 1.7e-3 * blur.max() <= 1e-5 * largest)
