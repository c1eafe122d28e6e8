"""The climb of sharpness-aware minimization, and the way back."""

import math
from collections import deque
from operator import setitem

import numpy as np

BLOCK = 1 << 14  # elements: what a formula makes on its way stays in the cache


def climb(sam, params, grads, sign=1.0):
    """Where it leads, an array for each parameter. sign: -1 where the gradients are of what is maximized."""
    ends = [np.empty_like(p) for p in params]
    blocks = [b for arrays in zip(ends, params, grads, strict=True) for b in _blocks(*arrays)]
    with np.errstate(all="ignore"):
        top = np.max([_largest(_felt(sam, p, g)) for _, p, g in blocks], initial=0.0)  # NaN where one is
        if 0 < top < np.inf:
            _climb(sam, blocks, top, sign)
        else:
            for end, p, _ in blocks:
                end[...] = p
    return ends


def _climb(sam, blocks, top, sign):
    q = 1.0 if sam.p == np.inf else sam.p / (sam.p - 1)

    def scaled(p, g):  # by the largest one, so that no power leaves the range
        return _felt(sam, p, g).astype(np.float64) / top

    below = math.fsum(float(np.sum(np.abs(scaled(p, g)) ** q)) for _, p, g in blocks) if q > 1 else 1.0
    length = sign * sam.rho / below ** ((q - 1) / q)
    for end, p, g in blocks:
        step = scaled(p, g)
        if q != 2:
            step = np.sign(step) * np.abs(step) ** (q - 1) if q > 1 else np.sign(step)
        if sam.adaptive:
            step *= np.abs(p) + p.dtype.type(sam.eta)
        np.add(p, (length * step).astype(p.dtype), out=end)


def _felt(sam, p, g):
    return (np.abs(p) + p.dtype.type(sam.eta)) * g if sam.adaptive else g


def _largest(g):
    return np.maximum(g.max(initial=0), -g.min(initial=0))


def _blocks(*arrays):
    """Parts of arrays of one shape that lie alike and without gaps; or the arrays, whole."""
    first = arrays[0]
    for flat in (lambda a: a, lambda a: a.T):
        if all(flat(a).flags.c_contiguous for a in arrays):
            rows = [flat(a).reshape(-1) for a in arrays]
            return [tuple(r[i : i + BLOCK] for r in rows) for i in range(0, first.size, BLOCK)]
    return [arrays]


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
