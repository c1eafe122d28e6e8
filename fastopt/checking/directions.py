"""A gradient of any size checked along a few random directions; bisection names the wrong entries.

The residual r(y) = f(y) - f(x) - a.(y - x) of the analytic gradient a has slope 0 at x in every direction.
|r(x + hv)| falls as h^2 where a is right and as h where it is wrong (the Taylor remainder test). One wrong
entry in a million still shows: the slope of r is known to the rounding of f, not to a tolerance.
"""

import heapq
from typing import NamedTuple

import numpy as np

from fastopt.checking import full
from fastopt.checking.full import OK, SUBGRADIENT, UNDECIDED, WRONG, Comparison, coarse
from fastopt.functions import line
from fastopt.functions.differences import entry_slope, grain, typical

_EPS = np.finfo(np.float64).eps
_LEAVES = 8  # wrong entries to name
_SAMPLES = 8  # entries looked at besides, for the diagnosis


class Direction(NamedTuple):
    """analytic and numeric: derivative along the direction; order: how the Taylor remainder falls with h."""

    name: str
    analytic: float
    numeric: float
    error: float
    tolerance: float
    order: float
    status: int
    deviates: bool  # beyond the numeric error, whatever the tolerance


class Residual:
    """r along blocks of entries; a vector-valued f is first weighted to one number."""

    def __init__(self, function, analytic, noise, rng):
        self.function = function
        m = function.outputs
        self.weights = np.ones(1) if m == 1 else rng.choice([-1.0, 1.0], m) * rng.uniform(0.5, 1.5, m)
        self.a = self.weights @ analytic
        self.noise = np.atleast_1d(np.sqrt(np.dot(self.weights**2, noise**2)))
        self.value = self.weights @ function.value
        self.grain = grain(function)

    def moved(self, v, t, begin=0):
        """(t, r at x + t v); v moves the entries from begin on."""
        step, value = self.function.shifted(begin, t * v)
        part = self.a[begin : begin + len(v)]
        return t, np.atleast_1d(self.weights @ value - self.value - np.dot(part, step))

    def slope(self, begin, v, target=0.0, enough=None, start=0.01, known=None):
        """Slope of r along v, which moves the entries from begin on: (numeric - analytic).v

        An error above `enough` has the scale of f along v searched for. start, known: as of line.slope.
        """
        moving = v != 0
        own = float((self.grain[begin : begin + len(v)][moving] / np.abs(v[moving])).max(initial=0))
        # Every entry moves by many times its grain: the sum of their roundings is the noise that was measured.
        steps = line.Range(start, 64 * own, 1e6, 0.0)
        floor = np.zeros(1) + np.abs(self.value) * self.function.eps / 2
        return line.slope(
            lambda t: self.moved(v, t, begin), np.zeros(1), self.noise, steps, floor=floor, size=np.abs(self.value) + np.zeros(1),
            target=target, relative=1e-4, enough=enough, known=known,
        )  # fmt: skip


def check_directions(function, analytic, floor, noise, *, count, atol, rtol, rng, budget):
    """(directions, entries, Comparison of these entries); budget: evaluations spent on naming entries."""
    residual = Residual(function, analytic, noise, rng)
    function.start()
    x = function.point.values
    own = np.where(x == 0, min(1.0, np.abs(x[x != 0]).min(initial=1.0)), np.abs(x))
    directions, worst = _measured(residual, typical(x), count, floor, atol, rtol, rng)
    if any(d.status == UNDECIDED for d in directions) and not np.array_equal(own, typical(x)):
        others, its_worst = _measured(residual, own, count, floor, atol, rtol, rng)
        if sum(d.status == UNDECIDED for d in others) < sum(d.status == UNDECIDED for d in directions):
            directions, worst = others, its_worst
    if worst is None:
        entries = np.zeros(0, np.int64)
    else:
        entries = _locate(residual, *worst, function.calls + budget)
        entries = np.concatenate([entries, _sample(residual, entries, rng)])
    result = _entries(function, analytic, floor, noise, entries, atol, rtol)
    function.finish()
    return directions, entries, result


def _measured(residual, scale, count, floor, atol, rtol, rng):
    """Directions with entries about as long as `scale`, and the (v, slope) that deviates most."""
    measured = []
    for name, v in _vectors(residual.a, scale, count, rng):
        v = _inwards(residual.function, v)
        enough = ((atol or 0.0) + rtol * abs(float(np.dot(residual.a, v)))) / 2
        measured.append((name, residual.slope(0, v, enough=enough), v))
    follows = atol is None
    if follows:
        atol = full.default_atol([np.dot(residual.a, v) + slope.value[0] for _, slope, v in measured])
    directions, worst = [], None
    for name, slope, v in measured:
        direction = _judge(name, slope, v, residual, floor, atol, rtol, follows)
        directions.append(direction)
        if direction.deviates and (worst is None or abs(slope.value[0]) > abs(worst[1].value[0])):
            worst = (v, slope)
    return directions, worst


def _inwards(function, v):
    """Entries at a bound move away from it."""
    if function.lower is None:
        return v
    x = function.point.values
    above, below = function.upper - x, x - function.lower
    near = np.minimum(above, below) < 0.02 * np.abs(v)
    return np.where(near, np.where(above < below, -1.0, 1.0) * np.abs(v), v)


def _vectors(a, scale, count, rng):
    """Random signs and lengths around 1; one direction follows the signs of a, where nothing cancels."""
    yield "sign(gradient)", np.where(a < 0, -1.0, 1.0) * scale
    for k in range(count):
        yield f"random {k + 1}", rng.choice([-1.0, 1.0], a.size) * rng.uniform(0.5, 1.5, a.size) * scale


def _judge(name, slope, v, residual, floor, atol, rtol, follows):
    analytic = float(np.dot(residual.a, v))
    delta, error = float(slope.value[0]), float(slope.error[0])
    low, high = sorted((float(slope.left[0]), float(slope.right[0])))
    # The gradient's own rounding adds up at random along a direction.
    rounding = 4 * _EPS * np.linalg.norm(residual.a * v)
    rounding += float(np.linalg.norm((np.abs(residual.weights) @ floor) * v))
    tolerance = atol + rtol * abs(analytic + delta) + rounding
    outside = max(low, -high, 0.0) if slope.kink[0] else abs(delta)
    sure = coarse(residual.function) * float(np.linalg.norm(residual.a * v))
    deviates = bool(outside > 4 * error + rounding)
    status = SUBGRADIENT if slope.kink[0] else OK
    if outside > tolerance + 2 * error and np.isfinite(error):
        status = WRONG
    elif not (outside <= tolerance + 2 * error * (sure > 0) and error <= max(tolerance, sure)):
        status = UNDECIDED
    if follows and status in (WRONG, UNDECIDED) and outside <= full.DEFAULT_ATOL:
        lift = full.lifted(lambda t: residual.moved(v, t), 0.0, 0.01)
        if full.vanishing(outside, error, lift[0]):
            status, deviates = OK, False
    order = taylor_order(slope.steps, slope.remainder[:, 0], residual.noise[0])
    return Direction(name, analytic, analytic + delta, error, tolerance, order, status, deviates)


def taylor_order(h, remainder, noise):
    """Slope of log remainder over log h on the smallest steps that stand above the noise; NaN if none do."""
    clear = np.flatnonzero(remainder > 100 * noise)[-2:]
    if len(clear) < 2:
        return float("nan")
    return float(np.polyfit(np.log(h[clear]), np.log(remainder[clear]), 1)[0])


def _locate(residual, v, slope, limit):
    """Entries at which the residual has a slope, found by halving the blocks that deviate most.

    The halves of a block share its direction, so one measurement gives both. Blocks are taken in the order
    of deviation / size^0.6, which leads down to a single entry first, whether few or all are wrong.
    """
    found = []
    start = slope.steps[0] if slope.steps.size else 0.01
    unchecked = np.zeros(1), np.full(1, np.inf)  # the whole direction was checked
    heap = [(0.0, 0, v.size, float(slope.value[0]), float(slope.error[0]))]
    while heap and len(found) < _LEAVES and residual.function.calls < limit:
        _, begin, end, delta, error = heapq.heappop(heap)
        if end - begin == 1:
            found.append(begin)
            continue
        middle = (begin + end) // 2
        half = residual.slope(
            begin, v[begin:middle], target=abs(delta) / 50, enough=np.inf, start=start, known=unchecked
        )
        left, left_error = float(half.value[0]), float(half.error[0])
        right, right_error = delta - left, error + left_error
        for first, last, part, its_error in (
            (begin, middle, left, left_error),
            (middle, end, right, right_error),
        ):
            if abs(part) > 4 * its_error and abs(part) > 1e-3 * abs(delta):
                heapq.heappush(heap, (-abs(part) / (last - first) ** 0.6, first, last, part, its_error))
    return np.array(found, dtype=np.int64)


def _sample(residual, entries, rng):
    largest = np.argpartition(-np.abs(residual.a), min(_SAMPLES // 2, residual.a.size - 1))[: _SAMPLES // 2]
    drawn = rng.integers(0, residual.a.size, _SAMPLES // 2)
    return np.setdiff1d(np.concatenate([largest, drawn]), entries)


def _entries(function, analytic, floor, noise, entries, atol, rtol):
    shape = (function.outputs, len(entries))
    nothing = np.full(shape, np.nan)
    result = Comparison(
        analytic[:, entries],
        nothing,
        nothing.copy(),
        floor[:, entries],
        atol or 0.0,
        rtol,
        coarse(function),
        atol is None,
    )
    for k, i in enumerate(entries):
        target = (result.atol + rtol * np.abs(analytic[:, i])) / 20
        result.take(k, entry_slope(function, int(i), noise, target=target))
    result.follow()
    result.judge()
    full.look_around(function, result)
    return result
