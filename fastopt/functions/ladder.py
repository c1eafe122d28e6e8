"""The slope of f along one line from a ladder of steps: extrapolated, with an error, or a kink.

Differences at h, h/4, h/16 ... are extrapolated to h = 0 (Ridders 1982); the entry of the tableau with
the least error estimate wins. Steps whose one-sided slopes do not draw together as those of a smooth
function do give no extrapolation: their plain differences must agree instead.
"""

from typing import NamedTuple

import numpy as np

FACTOR = 4.0
EPS = float(np.finfo(np.float64).eps)
_DEPTH = 5


class Slope(NamedTuple):
    """Each field but h and steps: one number per output of f."""

    value: np.ndarray
    error: np.ndarray
    left: np.ndarray
    right: np.ndarray
    kink: np.ndarray  # the one-sided slopes stay apart
    h: float  # the smallest step that was used
    steps: np.ndarray  # rows h
    central: np.ndarray  # rows: central difference at that h
    remainder: np.ndarray  # rows: |f(h) - f(0)| at that h


class _Rungs:
    """What was measured at each step, largest first."""

    def __init__(self, value, noise, grain):
        self.value, self.noise, self.grain = value, noise, grain
        self.h, self.central, self.right, self.left, self.rounding, self.moved = [], [], [], [], [], []

    def add(self, up, plus, down, minus):
        self.h.append(up)
        self.central.append((plus - minus) / (up - down))
        self.right.append((plus - self.value) / up)
        self.left.append((minus - self.value) / down)
        # Values far above f(x) are rounded by their own size.
        noise = np.maximum(self.noise, EPS / 2 * np.maximum(np.abs(plus), np.abs(minus)))
        self.rounding.append((4 * noise + 2 * self.grain * np.abs(self.central[-1])) / (up - down))
        self.moved.append(np.abs(plus - self.value))

    def gap(self, k):
        return self.right[k] - self.left[k]

    def smooth(self, k):
        """Whether the one-sided slopes drew together on the way to rung k."""
        if k == 0:
            return np.zeros(self.value.shape, bool)
        return np.abs(self.gap(k)) <= 0.4 * np.abs(self.gap(k - 1)) + 3 * self.rounding[k]


def slope(phi, value, noise, start, *, target=0.0, lowest=2e-9, relative=1e-13, grain=0.0):
    """Derivative at 0 of t -> f(x + t*v). phi(t) gives (realised t, f); value is f(x).

    Ends when the error is below target (absolute, or `relative` of the value), when rounding is all
    that is left, or below `lowest` (relative to start/0.01).
    """
    rungs, tableau = _Rungs(value, noise, grain), []
    best = np.full(value.shape, np.nan)
    error = np.full(value.shape, np.inf)
    h, failures = start, 0
    while h > lowest * start * 100 and len(rungs.h) < 16:
        up, plus = phi(h)
        down, minus = phi(-h)
        if not (np.isfinite(plus).all() and np.isfinite(minus).all()) or up == 0 or down == 0:
            failures += 1
            if failures > 24 or up == 0 or down == 0:
                break
            if len(rungs.h) == 0:
                start = h / 8
            rungs, tableau, h = _Rungs(value, noise, grain), [], h / 8
            continue
        rungs.add(up, plus, down, minus)
        best, error = _improve(rungs, tableau, best, error)
        if _finished(rungs, best, error, target, relative):
            break
        h /= FACTOR
    return _result(rungs, best, error)


def _improve(rungs, tableau, best, error):
    """One more row of the tableau; the best entry so far and its error."""
    k = len(rungs.h) - 1
    row = [rungs.central[k]]
    rounding = rungs.rounding[k]
    settled = rungs.smooth(k) & rungs.smooth(k - 1) if k > 1 else np.zeros(best.shape, bool)
    # A kink nearer than this step: the slope is somewhere between the one-sided ones.
    kinked = np.where(settled, 0, np.abs(rungs.gap(k)) / 2)
    for j in range(min(k, _DEPTH)):
        previous = tableau[-1][j]
        weight = FACTOR ** (2 * (j + 1))
        better = (weight * row[j] - previous) / (weight - 1)
        plain = np.abs(row[j] - previous) + rounding + kinked
        spread = np.maximum(np.abs(better - row[j]), np.abs(better - previous) / 2) + rounding
        if j == 0:
            best, error = _take(row[0], plain, best, error)
        best, error = _take(better, np.where(settled, spread, np.inf), best, error)
        row.append(better)
    tableau.append(row)
    return best, error


def _take(value, its_error, best, error):
    closer = its_error < error
    return np.where(closer, value, best), np.where(closer, its_error, error)


def _finished(rungs, best, error, target, relative):
    k = len(rungs.h) - 1
    if k < 2:
        return False
    settled = rungs.smooth(k) & rungs.smooth(k - 1)
    good = error <= np.maximum(target, relative * np.abs(best))
    limit = rungs.rounding[k] >= error / 2
    blurred = np.abs(rungs.gap(k)) < 10 * rungs.rounding[k]
    return bool(np.all((settled & (good | limit)) | (limit & blurred)))


def _result(rungs, best, error):
    if not rungs.h:
        nan = np.full(best.shape, np.nan)
        none = np.zeros((0, best.size))
        return Slope(nan, nan, nan, nan, np.zeros(best.shape, bool), np.nan, np.zeros(0), none, none)
    left, left_error = _one_sided(rungs.left, rungs.rounding)
    right, right_error = _one_sided(rungs.right, rungs.rounding)
    kink = _stays_apart(rungs) & (np.abs(right - left) > 5 * (left_error + right_error))
    error = np.where(kink, np.maximum(left_error, right_error), error)
    return Slope(
        np.where(kink, (left + right) / 2, best), error, left, right, kink, rungs.h[-1],
        np.array(rungs.h), np.array(rungs.central), np.array(rungs.moved),
    )  # fmt: skip


def _one_sided(slopes, rounding):
    """First-order extrapolation of forward (or backward) differences."""
    best, error = slopes[-1], np.abs(slopes[-1] - slopes[max(0, len(slopes) - 2)]) + rounding[-1]
    previous = None
    for k in range(1, len(slopes)):
        better = (FACTOR * slopes[k] - slopes[k - 1]) / (FACTOR - 1)
        if previous is not None:
            best, error = _take(better, np.abs(better - previous) + 2 * rounding[k], best, error)
        previous = better
    return best, error


def _stays_apart(rungs):
    """Whether the gap between the one-sided slopes did not halve over the last three rungs it is seen on.

    Where rungs below show no gap, rounding must have been large enough to hide it.
    """
    count = len(rungs.h)
    if count < 3:
        return np.zeros(rungs.value.shape, bool)
    gaps = np.abs([rungs.gap(k) for k in range(count)])
    blur = 10 * np.array(rungs.rounding)
    last = count - 1 - np.argmax((gaps > blur)[::-1], axis=0)
    column = np.arange(gaps.shape[1])
    seen = gaps[last, column]
    below = np.minimum(last + 1, count - 1)
    hidden = (last == count - 1) | (blur[below, column] > seen / 2)
    return (last >= 2) & (seen > blur[last, column]) & hidden & (seen > gaps[last - 2, column] / 2)
