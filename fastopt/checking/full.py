"""Every entry compared: central differences first, a ladder of steps for those that look wrong."""

from dataclasses import dataclass

import numpy as np

from fastopt.functions.differences import doubt, entry_slope, first_steps, probe, rounding
from fastopt.functions.ladder import Slope

DEFAULT_ATOL = 1e-5

# A gradient with more confirmed wrong entries than this is wrong; the rest keep their first estimate.
ENOUGH = 300

OK, WRONG, SUBGRADIENT, UNDECIDED = range(4)


@dataclass
class Comparison:
    """(outputs, size) arrays; left and right hold one-sided slopes at kinks, else NaN."""

    analytic: np.ndarray
    numeric: np.ndarray
    error: np.ndarray
    floor: np.ndarray  # what the precision of the gradient's own dtype allows
    atol: float
    rtol: float
    coarse: float = 0.0  # share of the largest slope below which an f of low precision tells nothing
    follows: bool = False  # atol is the default, which follows the scale of the derivative

    def __post_init__(self):
        shape = self.analytic.shape
        self.lift = np.zeros(shape)  # |f(x + h) - f(x)| / h at a large step, where it was asked for
        self.h = np.zeros(shape)
        self.left, self.right = np.full(shape, np.nan), np.full(shape, np.nan)
        self.status = np.zeros(shape, np.int8)
        self.refined = np.zeros(shape[1], bool)

    def follow(self):
        """Set an atol that was not given by what has been measured."""
        if self.follows:
            self.atol = default_atol(self.numeric)

    def tolerance(self):
        return self.atol + self.rtol * np.abs(self.numeric) + self.floor

    def difference(self):
        """|analytic - numeric|, or the distance to [left, right] at a kink; NaN counts as infinite."""
        distance = np.abs(self.analytic - self.numeric)
        low, high = np.minimum(self.left, self.right), np.maximum(self.left, self.right)
        outside = np.maximum(np.maximum(low - self.analytic, self.analytic - high), 0)
        distance = np.where(np.isnan(self.left), distance, outside)
        return np.where(np.isnan(distance), np.inf, distance)

    def blur(self):
        """How far a value may lie from the numeric one and still be the same to the eye of a diagnosis."""
        return self.tolerance() + 2 * np.where(np.isfinite(self.error), self.error, 0)

    def excess(self):
        """Difference in units of the tolerance: above 1 is wrong."""
        difference = self.difference()
        excess = difference / np.maximum(self.tolerance(), np.finfo(float).tiny)
        return np.where(np.isinf(difference), np.inf, excess)

    def judge(self):
        """Wrong where the difference exceeds tolerance and twice the error; where it does not exceed the
        tolerance, the error must not either. What lies between, and what was not measured, is undecided."""
        difference, tolerance = self.difference(), self.tolerance()
        error = np.where(np.isfinite(self.numeric), self.error, np.inf)
        measured = np.isfinite(error)
        self.status[:] = OK
        self.status[~np.isnan(self.left)] = SUBGRADIENT
        # Between slopes that are far apart, 3 % of their distance is near enough.
        sure = np.maximum(tolerance, np.where(np.isnan(self.left), 0, 0.03 * np.abs(self.right - self.left)))
        largest = np.nanmax(np.abs(self.numeric), axis=1, initial=0, keepdims=True)
        sure = np.maximum(sure, self.coarse * largest)
        near = tolerance + 2 * error if self.coarse else tolerance
        self.status[(difference > near) | ~(error <= sure)] = UNDECIDED
        self.status[(difference > tolerance + 2 * error) & measured] = WRONG
        # The search goes on until f moves: where it never did, f does not depend on the entry.
        self.status[self.refined & (self.analytic == 0) & (self.numeric == 0) & np.isfinite(error)] = OK
        if self.follows:
            self.status[self.refined & vanishing(difference, error, self.lift)] = OK
        self.status[~np.isfinite(self.analytic)] = WRONG

    def take(self, i, slope: Slope):
        self.refined[i] = True
        self.numeric[:, i], self.error[:, i], self.h[:, i] = slope.value, slope.error, slope.h
        self.left[:, i] = np.where(slope.kink, slope.left, np.nan)
        self.right[:, i] = np.where(slope.kink, slope.right, np.nan)


def default_atol(numeric):
    """1e-5, or 1e-5 of the largest entry where that is less: a gradient of 0 is no gradient of sin(x/1e8)."""
    numeric = np.asarray(numeric, dtype=float)
    return DEFAULT_ATOL * float(min(1.0, np.abs(numeric[np.isfinite(numeric)]).max(initial=0)))


def vanishing(difference, error, lift):
    """At an optimum: equal within an error that is nothing beside lift, the slope f has a large step away."""
    limit = DEFAULT_ATOL / 3
    error = np.maximum(error, np.minimum(limit, 1e-13 * lift))
    return (difference <= 3 * error) & (error <= np.minimum(limit, 1e-7 * lift))


def lifted(move, value, h):
    """|f(x + h) - f(x)| / h per output; move(h): (realised step, f); 0 where f is not finite there."""
    ends = np.abs([move(h)[1] - value, move(-h)[1] - value])
    return np.where(np.isfinite(ends), ends, 0).max(axis=0) / h


def coarse(function):
    """In float32 the slope of an entry is known to about 1e-5 of f over its scale."""
    return 0.05 if function.eps > 1e-15 else 0.0


def compare(function, analytic, floor, noise, *, eps, atol, rtol, rng):
    """Comparison of an analytic (outputs, size) derivative with differences of f.

    eps: the first step, relative to max(1, |x_i|); blocks of entries moved by much less tell whether it fits.
    """
    probes = probe(function, first_steps(function, eps=eps))
    slopes = probes.central.T.copy()
    sure = rounding(function, probes, noise)
    error = sure + doubt(function, probes, slopes, noise, rng)
    result = Comparison(analytic, slopes, error, floor, atol or 0.0, rtol, coarse(function), atol is None)
    result.follow()
    result.h[:] = probes.up
    gap = np.abs((probes.plus - function.value) / probes.up[:, None]
                 - (probes.minus - function.value) / probes.down[:, None]).T  # fmt: skip
    kinked = _still_apart(function, probes, gap, result)
    trusted = (error <= 4 * sure).all(0)
    _refine(function, result, noise, (_far(result) | kinked).any(0), trusted)
    if result.follows:  # first slopes that were too large may have made it too wide
        result.follow()
        _refine(function, result, noise, _far(result).any(0) & ~result.refined, trusted)
        result.follow()
    result.judge()
    look_around(function, result)
    return result


def look_around(function, result):
    """What f does a large step away along entries that the default atol would leave in doubt."""
    if not result.follows:
        return
    doubtful = (result.status == WRONG) | (result.status == UNDECIDED)
    doubtful &= result.refined & (result.difference() <= DEFAULT_ATOL)
    function.start()
    for i in np.flatnonzero(doubtful.any(0)):
        h = 0.01 * max(1.0, abs(function.point.values[i]))
        result.lift[:, i] = lifted(lambda t, i=i: function.moved(i, t), function.value, h)
    function.finish()
    result.judge()


def _far(result):
    return ~(result.difference() + result.error <= result.tolerance()) & np.isfinite(result.analytic)


def _still_apart(function, probes, gap, result):
    """Entries whose one-sided slopes differ by more than tolerance and noise, at h and at h/8."""
    apart = gap > result.tolerance() + 4 * result.error
    if not apart.any():
        return apart
    function.start()
    for i in np.flatnonzero(apart.any(0)):
        up, plus = function.moved(i, probes.up[i] / 8)
        down, minus = function.moved(i, probes.down[i] / 8)
        if up > 0 > down:
            closer = np.abs((plus - function.value) / up - (minus - function.value) / down)
            apart[:, i] &= (closer > 0.4 * gap[:, i]) & (closer > 16 * result.error[:, i])
    function.finish()
    return apart


def _refine(function, result, noise, which, trusted):
    """Replace the first estimates by the ladder's, worst first, until the verdict is beyond doubt.

    trusted: entries whose first slope is right but for rounding; the ladder's must agree with it.
    """
    excess = result.excess().max(0)
    order = np.flatnonzero(which)
    order = order[np.argsort(-excess[order], kind="stable")]
    tolerance = np.maximum(result.tolerance(), np.finfo(float).tiny)
    confirmed = 0
    function.start()
    for i in order:
        known = (result.numeric[:, i], result.error[:, i]) if trusted[i] else None
        slope = entry_slope(function, i, noise, target=tolerance[:, i] / 20, known=known)
        result.take(i, slope)
        column = slice(i, i + 1)
        part = _column(result, column)
        confirmed += bool((part.status == WRONG).any())
        if confirmed >= ENOUGH:
            break
    function.finish()


def _column(result, column):
    part = Comparison(
        result.analytic[:, column], result.numeric[:, column], result.error[:, column],
        result.floor[:, column], result.atol, result.rtol, result.coarse, result.follows,
    )  # fmt: skip
    part.refined = result.refined[column]
    part.lift = result.lift[:, column]
    part.left, part.right = result.left[:, column], result.right[:, column]
    part.judge()
    return part
