"""Line searches along a direction of which the scores are known: no trial reads X."""

import numpy as np

DECREASE = 1e-4


class Patience:
    """Ends a run in which for a while neither the value nor the gradient gets smaller: what is left is rounding."""

    def __init__(self, f, g, most=10):
        self._f, self._size, self._left, self._most = f, float(np.abs(g).max(initial=0.0)), most, most

    def array(self):
        """For a State."""
        return np.array([self._f, self._size, self._left, self._most])

    @classmethod
    def taken_up(cls, array):
        self = cls.__new__(cls)
        self._f, self._size, self._left, self._most = array.tolist()
        return self

    def is_over(self, f, g):
        size = float(np.abs(g).max(initial=0.0))
        better = f < self._f or size < self._size
        self._f, self._size = min(f, self._f), min(size, self._size)
        self._left = self._most if better else self._left - 1
        return self.is_spent()

    def is_spent(self):
        return self._left <= 0


def falls(f, slope, f0, slope0, t, rounding):
    """Whether f(t) is lower than f(0) by enough, or, where f shows no difference any more, the slope says so.

    rounding: relative to f. Source: Nocedal & Wright 2006, eq. 3.6a; Hager & Zhang 2005, eq. 4.1.
    """
    if f <= f0 + DECREASE * t * slope0:
        return True
    return f <= f0 + rounding * abs(f0) and slope <= (2 * DECREASE - 1) * slope0


def search(phi, f0, slope0, t=1.0, *, rounding, curvature=0.9, most=30):
    """t where f falls and |slope(t)| <= curvature*|slope0|, and f(t); None without any.

    phi: t -> (f, df/dt) of a convex function. Brackets the zero of the slope and takes secants, or halves.
    Source: Nocedal & Wright 2006, eq. 3.7 (strong Wolfe conditions).
    """
    low, low_slope, high, high_slope = 0.0, slope0, None, None
    best = None
    for _ in range(most):
        f, slope = phi(t)
        good = falls(f, slope, f0, slope0, t, rounding)
        if good and (best is None or f <= best[1]):
            best = t, f
        if good and abs(slope) <= curvature * abs(slope0):
            return t, f
        if slope < 0 and good:
            low, low_slope = t, slope
        else:
            high, high_slope = t, slope if slope > 0 else None
        t = _next(low, low_slope, high, high_slope, slope0)
        if high is not None and high - low <= 1e-12 * high:
            break
    return best


def _next(low, low_slope, high, high_slope, slope0):
    if high is None:
        # the secant from 0, at most ten times as far
        gain = slope0 - low_slope
        t = low * slope0 / gain if gain < 0 else 10 * low
        return min(max(t, 2 * low), 10 * low)
    if high_slope is None:  # not finite, or not convex
        return low + (high - low) / 4
    t = low - low_slope * (high - low) / (high_slope - low_slope)
    margin = (high - low) / 20
    return min(max(t, low + margin), high - margin)
