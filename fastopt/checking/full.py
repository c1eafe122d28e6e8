"""Every entry compared: central differences first, a ladder of steps for those that look wrong."""

from dataclasses import dataclass

import numpy as np

from fastopt.checking import numeric
from fastopt.functions.ladder import Slope

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

    def __post_init__(self):
        shape = self.analytic.shape
        self.h = np.zeros(shape)
        self.left, self.right = np.full(shape, np.nan), np.full(shape, np.nan)
        self.status = np.zeros(shape, np.int8)
        self.refined = np.zeros(shape[1], bool)

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
        """Wrong where the difference exceeds tolerance and error; undecided where it is between."""
        difference, tolerance = self.difference(), self.tolerance()
        blur = self.blur()
        self.status[:] = OK
        self.status[~np.isnan(self.left)] = SUBGRADIENT
        self.status[(difference > tolerance) & (difference <= blur)] = UNDECIDED
        self.status[(difference > blur) | np.isinf(difference)] = WRONG

    def take(self, i, slope: Slope):
        self.refined[i] = True
        self.numeric[:, i], self.error[:, i], self.h[:, i] = slope.value, slope.error, slope.h
        self.left[:, i] = np.where(slope.kink, slope.left, np.nan)
        self.right[:, i] = np.where(slope.kink, slope.right, np.nan)


def compare(function, analytic, floor, noise, *, eps, atol, rtol):
    """Comparison of an analytic (outputs, size) derivative with differences of f."""
    h = numeric.steps(function, eps)
    probes = numeric.probe(function, h)
    rounding = 2 * noise / (probes.up - probes.down)[:, None]
    result = Comparison(analytic, probes.central.T.copy(), rounding.T.copy(), floor, atol, rtol)
    result.h[:] = probes.up
    gap = np.abs((probes.plus - function.value) / probes.up[:, None]
                 - (probes.minus - function.value) / probes.down[:, None]).T  # fmt: skip
    kinked = _still_apart(function, probes, gap, result)
    tolerance = result.tolerance()
    far = ~(result.difference() + result.error <= tolerance) | ~np.isfinite(analytic)
    _refine(function, result, noise, (far | kinked).any(0))
    result.judge()
    return result


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


def _refine(function, result, noise, which):
    """Replace the first estimates by the ladder's, worst first, until the verdict is beyond doubt."""
    excess = result.excess().max(0)
    order = np.flatnonzero(which)
    order = order[np.argsort(-excess[order], kind="stable")]
    tolerance = np.maximum(result.tolerance(), np.finfo(float).tiny)
    confirmed = 0
    function.start()
    for i in order:
        slope = numeric.entry_slope(function, i, noise, target=tolerance[:, i] / 20)
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
        result.floor[:, column], result.atol, result.rtol,
    )  # fmt: skip
    part.left, part.right = result.left[:, column], result.right[:, column]
    part.judge()
    return part
