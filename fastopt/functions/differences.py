"""Derivatives by differences whose steps follow the scale on which f changes, entry by entry.

All entries get a first step. Blocks of entries moved together by much smaller steps tell whether f there
is what these slopes say (`doubt`): a period, a bell or an edge narrower than the step shows, for a few
evaluations a block. Entries whose slope is in doubt, or drowned in rounding, are measured on their own.
"""

from typing import Any, NamedTuple

import numpy as np

from fastopt.functions import line
from fastopt.functions.guarded import EvaluationError, Function
from fastopt.functions.ladder import EPS
from fastopt.functions.noise import measure
from fastopt.functions.point import Point

METHODS = ("forward", "central", "five-point")
# Steps that balance truncation against rounding: eps^(1/(order + 1)).
_ROOTS = {"forward": 2, "central": 3, "five-point": 5}
# An entry is measured on its own where rounding may be a larger share of its slope, or where
# smaller steps say something else by more than a hundredth of that.
_ENOUGH = {"forward": 1e-3, "central": 1e-4, "five-point": 1e-4}
_COMPILED_FROM = 64
_LARGE = 1e3, 1e6, 1e9  # times the step: whether f depends on an entry at all
_SMALL = 0.19, 2.3e-3, 1.1e-6  # shares of the step that tell whether it is too large
_CALLS_TRUSTED = 25  # of NumericGradient, on the steps found by the first


class Probes(NamedTuple):
    """f at x + up_i e_i and x + down_i e_i; down is negative (or 0 and minus = f(x))."""

    up: np.ndarray  # (size,)
    plus: np.ndarray  # (size, outputs)
    down: np.ndarray
    minus: np.ndarray

    @property
    def central(self):
        return (self.plus - self.minus) / (self.up - self.down)[:, None]


class Derivative(NamedTuple):
    """values, error: (outputs, size); steps: (size,), for a central difference at a point nearby."""

    values: np.ndarray
    error: np.ndarray
    steps: np.ndarray


def typical(x):
    """Where the search for the scale of each entry begins; f decides where it ends."""
    return np.maximum(1.0, np.abs(x))


def first_steps(function, method="central", eps=None):
    """The first step of every entry; eps: relative to max(1, |x_i|)."""
    eps = function.eps ** (1 / _ROOTS[method]) if eps is None else eps
    return eps * typical(function.point.values)


def grain(function):
    """Distance of x to its neighbours in the dtype that f is given: (size,)."""
    return np.abs(np.spacing(function.point.values.astype(function.dtype))).astype(np.float64)


def probe(function, h, two_sided=True):
    """f on both sides of x along every entry; NaN outside of its domain."""
    probes = _probe_compiled(function, h, two_sided) or _probe_each(function, h, two_sided)
    still = not (probes.plus != probes.plus[0]).any() and not (probes.minus != probes.plus[0]).any()
    if still and function.notice_identity():
        return _probe_each(function, h, two_sided)
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


def compiled(function):
    """Whether f is a function compiled by Numba."""
    return hasattr(function.f, "py_func") and hasattr(function.f, "nopython_signatures")


def _probe_compiled(function, h, two_sided):
    """The loop over entries compiled, where f is; None where it is not, or takes several arrays."""
    if (
        not compiled(function)
        or function.point.kind != "array"
        or function.shape != ()
        or len(h) < _COMPILED_FROM
    ):
        return None
    if function.lower is not None:
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


def rounding(function, probes, noise):
    """(outputs, size) of what the noise of f and of x makes of the slopes."""
    largest = np.maximum(np.abs(probes.plus), np.abs(probes.minus))
    blur = 4 * np.maximum(noise, EPS / 2 * largest) + 2 * grain(function)[:, None] * np.abs(probes.central)
    return (blur / (probes.up - probes.down)[:, None]).T


def doubt(function, probes, slopes, noise, rng):
    """(outputs, size): how far slopes may be off beyond rounding, inf where f is not finite nearby.

    Blocks of entries are moved by shares of their steps; what f does beyond the sum of the slopes is
    charged to each entry of the block.
    """
    size = function.point.size
    # Where an evaluation costs less than its call, few blocks; else small ones, which say where.
    length = 4096 if compiled(function) else int(np.clip(size // 4, 64, 512))
    h, own = probes.up, grain(function)
    bends = np.abs(probes.plus + probes.minus - 2 * function.value).T
    result = np.zeros((function.outputs, size))
    function.start()
    for begin in range(0, size, length):
        part = slice(begin, begin + length)
        v = rng.choice([-1.0, 1.0], h[part].size) * rng.uniform(0.7, 1.3, h[part].size) * h[part]
        blur = 8 * noise + 4 * np.sqrt(((slopes[:, part] * own[part]) ** 2).sum(1))
        worst = np.zeros(function.outputs)
        for t in _SMALL:
            missed = _missed(function, begin, t * v, slopes[:, part], blur + 4 * noise * t * np.sqrt(v.size))
            lift = np.where(missed[1] > 2 * blur + 2 * t * bends[:, part].sum(1), missed[1], 0)
            worst = np.maximum(worst, np.maximum(missed[0] / (2 * t), lift))
        result[:, part] = np.where(np.isnan(worst), np.inf, worst)[:, None] / h[part]
    function.finish()
    return result


def _missed(function, begin, step, slopes, blur):
    """(f's move beyond slopes and blur, the mean of both sides above f(x)): per output."""
    up, plus = function.shifted(begin, step)
    down, minus = function.shifted(begin, -step)
    miss = np.abs(plus - minus - slopes @ (up - down))
    return np.maximum(miss - blur, 0), np.abs(plus + minus - 2 * function.value)


def entry_range(function, i, start=0.01):
    """Steps for the search along entry i."""
    x = abs(function.point.values[i])
    own = float(np.spacing(function.dtype.type(x)))
    lowest = 4 * own
    if x == 0:
        others = np.abs(function.point.values)
        lowest = 1e-20 * min(1.0, others[others > 0].min(initial=1.0))
    return line.Range(start * max(1.0, x), lowest, 1e14 * max(1.0, x), own, function.eps > 1e-15)


@np.errstate(all="ignore")
def entry_slope(function, i, noise, *, target=0.0, relative=1e-13, start=0.01, known=None):
    """line.slope along entry i; `start` and `finish` of the function are the caller's."""
    # The few values of low precision measure their noise badly: not below that of all entries then.
    floor = noise if function.eps > 1e-15 else np.abs(function.value) * function.eps / 2
    return line.slope(
        lambda t: function.moved(i, t), function.value, noise, entry_range(function, i, start),
        floor=floor, target=target, relative=relative, known=known,
    )  # fmt: skip


@np.errstate(all="ignore")
def derivative(function, method="central", *, noise=None, rng=None):
    """Derivative of f by differences of a method, with steps that f itself has confirmed."""
    rng = rng or np.random.default_rng(0)
    noise = measure(function, rng).level if noise is None else noise
    h = first_steps(function, method)
    probes, slopes = differences(function, method, h)
    blur = rounding(function, probes, noise)
    doubts = doubt(function, probes, slopes, noise, rng)
    error, steps = blur + doubts, h.copy()
    enough = _ENOUGH[method] * np.abs(slopes).max(axis=0)
    unsettled = ~((blur <= enough) & (doubts <= enough / 100 + 2 * blur)).all(axis=0)
    for i in _unsettled(function, probes, unsettled, error, noise, rng):
        found = _alone(function, i, probes, slopes[:, i], error[:, i], noise, _ENOUGH[method] / 10)
        closer = (found.error < error[:, i]) | ~np.isfinite(error[:, i])
        slopes[:, i] = np.where(closer, found.value, slopes[:, i])
        error[:, i] = np.where(closer, found.error, error[:, i])
        if np.isfinite(found.h):
            steps[i] = found.h
    function.finish()
    refuse_nothing(function, slopes)
    return Derivative(slopes, error, steps)


def differences(function, method, h):
    """(probes, slopes (outputs, size)) at given steps."""
    probes = probe(function, h, two_sided=method != "forward")
    if method != "five-point":
        return probes, probes.central.T.copy()
    return probes, ((4 * probes.central - probe(function, 2 * h).central) / 3).T.copy()


def _unsettled(function, probes, unsettled, error, noise, rng):
    """Entries to measure on their own; those on which f does not depend are told by moving them together."""
    still = unsettled & (probes.plus == function.value).all(1) & (probes.minus == function.value).all(1)
    still &= np.isfinite(error).all(0)
    function.start()
    if still.sum() > 1:
        entries = np.flatnonzero(still)
        for first in range(0, len(entries), 64):
            group = entries[first : first + 64]
            if _independent(function, group, probes.up[group], noise, rng):
                unsettled[group] = False
        function.start()
    return np.flatnonzero(unsettled)


def _independent(function, group, h, noise, rng):
    for factor in _LARGE:
        moved = function.point.values.copy()
        moved[group] += factor * h * rng.choice([-1.0, 1.0], len(group))
        if not (np.abs(function.at(moved) - function.value) <= 4 * noise).all():
            return False
    return True


def _alone(function, i, probes, slope, error, noise, enough):
    """Slope of one entry: steps raised where only rounding is in the way, else the whole search."""
    steps = entry_range(function, i)

    def phi(t):
        return function.moved(i, t)

    rounded = 8 * noise / (probes.up[i] - probes.down[i]) + 1e-9 * np.abs(slope)
    if probes.down[i] < 0 and (error <= rounded).all():
        there = {
            probes.up[i]: (probes.up[i], probes.plus[i]),
            probes.down[i]: (probes.down[i], probes.minus[i]),
        }
        return line.raised(phi, function.value, noise, steps, probes.up[i], there, enough)
    return entry_slope(function, i, noise, relative=enough / 100)


def refuse_nothing(function, slopes):
    """Where f raised at every step there is no derivative to return."""
    if function.raised and np.isnan(slopes).any():
        message, error = function.raised
        raise EvaluationError(f"{message}; if x is at the edge of the domain of f, give bounds=") from error


class NumericGradient:
    """gradient = NumericGradient(f, x, bounds=(lower, upper)); gradient(x, value).

    f: function of a float64 array that returns a number. x: a point of the shape that f takes.
    bounds: (lower, upper), each a number, an array like x or None: f is never called outside of them, and
    differences at their edge are one-sided, of second order. f may raise ArithmeticError or ValueError, or
    return NaN, beside x: that is read as the end of its domain.

    The first call finds the scale on which f changes, entry by entry, in some 15 evaluations more than two
    an entry; later ones use its steps, until x has moved far or they stop to fit.
    """

    def __init__(self, f, x, *, bounds=None):
        point = Point(np.asarray(x, dtype=np.float64))
        self.function = Function(f, point, scalar=True, bounds=point.limits(bounds))
        self.at: Any = None
        self.steps: Any = None
        self.age = 0

    @property
    def evaluations(self):
        """How often f was called."""
        return self.function.calls

    @np.errstate(all="ignore")
    def __call__(self, x, value=None):
        """The gradient at x, in its shape; NaN where f has no finite value beside x. value: f(x), if known."""
        function = self.function
        function.move(x, value)
        gradient = None if self._stale() else self._with_steps()
        if gradient is None:
            found = derivative(function)
            gradient, self.steps = found.values[0], found.steps
            self.at, self.age = function.point.values.copy(), 0
        self.age += 1
        return gradient.reshape(function.point.shapes[0])

    def _stale(self):
        if self.at is None or self.age >= _CALLS_TRUSTED:
            return True
        x = np.abs(self.function.point.values)
        return bool((x > 10 * np.abs(self.at) + 1e6 * self.steps).any())

    def _with_steps(self):
        """Central differences, one-sided at bounds; None where they do not fit."""
        function, x = self.function, self.function.point.values
        gradient = np.empty(x.size)
        function.start()
        for i in range(x.size):
            h = self.steps[i]
            up, plus = function.moved(i, h)
            down, minus = function.moved(i, -h)
            if not (np.isfinite(plus[0]) and np.isfinite(minus[0])):
                return None if function.lower is None else self._at_edge(gradient)
            gradient[i] = (plus[0] - minus[0]) / (up - down)
        function.finish()
        return gradient

    def _at_edge(self, gradient):
        """Entries one by one, those at a bound from inside."""
        function, x = self.function, self.function.point.values
        for i in range(x.size):
            h = self.steps[i]
            above, below = function.upper[i] - x[i], x[i] - function.lower[i]
            if min(above, below) >= h:
                (up, plus), (down, minus) = function.moved(i, h), function.moved(i, -h)
                gradient[i] = (plus[0] - minus[0]) / (up - down)
            else:
                h = (1.0 if above >= below else -1.0) * min(h, max(above, below) / 2)
                (near, first), (far, second) = function.moved(i, h), function.moved(i, 2 * h)
                value = function.value
                gradient[i] = line.one_sided(near, first - value, far, second - value)[0]
            if not np.isfinite(gradient[i]):
                return None
        function.finish()
        return gradient
