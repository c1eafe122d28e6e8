"""The climb of sharpness-aware minimization, and the way back."""

from collections import deque
from operator import setitem

import numpy as np


def climb(sam, params, grads):
    """How far each parameter is moved: a list of arrays, of the parameters' dtypes."""
    with np.errstate(all="ignore"):
        if sam.adaptive:
            sizes = [np.abs(p) + p.dtype.type(sam.eta) for p in params]
            grads = [t * g for t, g in zip(sizes, grads, strict=True)]
        top = max((float(np.max(np.abs(g), initial=0.0)) for g in grads), default=0.0)
        if not 0 < top < np.inf:
            return [np.zeros_like(p) for p in params]
        scaled = [np.asarray(g, np.float64) / top for g in grads]  # so that no power leaves the range
        if sam.p == np.inf:
            steps = [np.sign(g) for g in scaled]
        else:
            q = sam.p / (sam.p - 1)
            below = sum(float(np.sum(np.abs(g) ** q)) for g in scaled) ** ((q - 1) / q)
            steps = [np.sign(g) * np.abs(g) ** (q - 1) / below for g in scaled]
        if sam.adaptive:
            steps = [t * e for t, e in zip(sizes, steps, strict=True)]
        return [(sam.rho * e).astype(p.dtype) for p, e in zip(params, steps, strict=True)]


def write(arrays, values):
    """All of them in one call of C, within which no Ctrl-C is looked at."""
    deque(map(setitem, arrays, [...] * len(arrays), values), maxlen=0)


def checked(sam):
    """The SAM with its numbers checked."""
    for field, low in (("rho", 0), ("eta", 0)):
        value = getattr(sam, field)
        if (
            isinstance(value, bool)
            or not isinstance(value, (int, float, np.floating))
            or not low <= value < np.inf
        ):
            raise ValueError(f"SAM({field}={value!r}): {low} <= {field} < inf is needed")
    if isinstance(sam.p, bool) or not isinstance(sam.p, (int, float, np.floating)) or not sam.p > 1:
        raise ValueError(f"SAM(p={sam.p!r}): 1 < p <= inf is needed")
    if sam.adaptive and sam.p != 2:
        raise ValueError(f"SAM(adaptive=True, p={sam.p!r}): the adaptive form has p = 2")
    return sam
