"""How exact f is: the same point twice, then the rounding noise of its values."""

import math
import time
from typing import NamedTuple

import numpy as np

_POINTS = 7
# Hamming's factors: E[(k-th difference of white noise)^2] = sigma^2 * (2k)!/(k!)^2.
_GAMMA = [math.factorial(k) ** 2 / math.factorial(2 * k) for k in range(_POINTS)]


class Noise(NamedTuple):
    """level: standard deviation of the rounding noise of each output of f, in the unit of f.
    repeat: how far two evaluations at the same point lie apart. seconds: one evaluation."""

    level: np.ndarray
    repeat: np.ndarray
    seconds: float


@np.errstate(all="ignore")
def measure(function, rng):
    """Difference tables of f along a random line, as in Moré & Wild 2011 (ECnoise).

    Beyond the third difference a smooth f has nothing left at such spacings but noise. The spacing
    grows while f does not move, which is so where f rounds x to a coarser dtype.
    """
    x = function.point.values
    start = time.perf_counter()
    again = function.at(x)
    seconds = time.perf_counter() - start
    repeat = np.abs(again - function.value)
    # Few values of low precision measure their noise badly: sums of them were off by 5 units of it.
    share = 1 if function.eps > 1e-15 else 0.5
    floor = np.maximum(np.abs(function.value) * function.eps * share, repeat)
    size = np.abs(x)
    size[size == 0] = min(1.0, size[size > 0].min(initial=1.0))
    # Multiples of the distance to the next number, so that the points are equally spaced after rounding.
    grain = np.spacing(size.astype(function.dtype)).astype(np.float64)
    direction = rng.choice([-1.0, 1.0], x.size) * grain
    spacing = 64.0
    level, moved = np.zeros_like(floor), False
    for _ in range(4):
        values = np.array([function.at(x + j * spacing * direction) for j in range(1, _POINTS)])
        values = np.vstack([function.value, values])
        level = np.maximum(level, of_series(values))
        moved |= bool((values[1:] != values[:-1]).any())
        if (values[1:] != values[:-1]).mean() > 0.5 or spacing * function.eps > 1e-4:
            break
        spacing *= 1024
    if not moved and function.notice_identity():
        return measure(function, rng)
    return Noise(np.maximum(np.nan_to_num(level, nan=0.0, posinf=0.0), floor), repeat, seconds)


def of_series(values):
    """Noise of each output of f at equally spaced points (points, outputs)."""
    estimates = []
    for k in range(1, _POINTS):
        values = np.diff(values, axis=0)
        estimates.append(np.sqrt(_GAMMA[k] * np.mean(values**2, axis=0)))
    return np.max(estimates[3:], axis=0)
