"""The climb of sharpness-aware minimization, and the way back."""

import math
from collections import deque
from operator import setitem

import numpy as np

from fastopt import native
from fastopt.engines import choose
from fastopt.threads import share

BLOCK = 1 << 14  # elements: what a formula makes on its way stays in the cache
_PART = 1 << 18  # elements that a thread takes at once


def is_straight(sam):
    """Whether the climb goes along the gradient, so that nothing need be known of it but its norm."""
    return sam.p == 2 and not sam.adaptive


def climb(sam, params, origin, grads, norm, sign, threads):
    """Take the parameters to where it leads from `origin`, a copy of them. sign: -1 where the gradients are of what is
    maximized. norm: (norm * unit, unit) of the gradients, for a climb that is straight; threads: 0 for NumPy.
    """
    if is_straight(sam):
        _climb_straight(sam.rho, params, origin, grads, *norm, sign, threads)
        return
    blocks = _blocks_of(params, origin, grads, BLOCK)
    with np.errstate(all="ignore"):
        top = np.max([_largest(_felt(sam, p, g)) for _, p, g in blocks], initial=0.0)  # NaN where one is
        if 0 < top < np.inf:
            _climb(sam, blocks, top, sign)


def _climb_straight(rho, params, origin, grads, norm, unit, sign, threads):
    if not 0 < norm < math.inf:
        return
    length = sign * rho / norm

    def by_numpy(part):
        end, p, g = part
        with np.errstate(all="ignore"):
            np.add(p, (g.astype(np.float64) * unit * length).astype(p.dtype), out=end)

    def compiled(part):
        if not part[0].flags.c_contiguous:  # no block of one row
            by_numpy(part)
            return
        end, p, g = map(native.address, part)
        native.climb_function(part[0].dtype)(end, p, g, unit, length, part[0].size)

    blocks = _blocks_of(params, origin, grads, _PART if threads else BLOCK)
    several = threads if sum(map(np.size, params)) * 4 >= choose.PARALLEL_NUMBERS else 1
    share(compiled if threads else by_numpy, blocks, several)


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


def _blocks_of(params, origin, grads, size):
    return [b for arrays in zip(params, origin, grads, strict=True) for b in _blocks(arrays, size)]


def _blocks(arrays, size):
    """Parts of arrays of one shape that lie alike and without gaps; or the arrays, whole."""
    first = arrays[0]
    for flat in (lambda a: a, lambda a: a.T):
        if all(flat(a).flags.c_contiguous for a in arrays):
            rows = [flat(a).reshape(-1) for a in arrays]
            return [tuple(r[i : i + size] for r in rows) for i in range(0, first.size, size)]
    return [arrays]


def room_like(rooms, i, p):
    """Room for a copy of parameter i, that lies as it does and is kept for the next climb: new memory takes as long as the copy."""
    if i not in rooms:
        rooms[i] = np.empty_like(p, subok=False)
    return rooms[i]


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
