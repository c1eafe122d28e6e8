"""Clipping by the norm of all gradients together, of each array's, or by value, without a copy of them.

The norm is taken from sums that each table has of its chunks: one read of the gradients, which finds NaN
and inf as well. Where it is too large, kernels multiply gradients by two factors on their way.
"""

import itertools
import math

BY = ("norm", "array norm", "value")
_SMALL, _LARGE, _UNIT = 1e-280, 1e280, 2.0**500  # sums outside of these have lost digits, or more


def norm_of(tables, looks):
    """(norm * unit, unit) of the gradients of all tables; the norm is NaN or inf where one of them is.

    looks: an engine's bind_look of each table. unit is not 1 where squares would leave float64's range.
    """
    total, unit = _sum(tables, looks, 1.0), 1.0
    if total <= _SMALL:
        unit = _UNIT
    elif total >= _LARGE and all(first_bad() < 0 for first_bad, _ in looks):
        unit = 1 / _UNIT
    if unit != 1.0:
        total = _sum(tables, looks, unit)
    return math.sqrt(total), unit


def array_norms(table, look):
    """(norm * unit, unit) of each array's gradient."""
    first_bad, squares = look
    squares(1.0)
    found = [(total, 1.0) for total in _sums_of_arrays(table)]
    for beyond, unit in ((lambda s: s <= _SMALL, _UNIT), (lambda s: s >= _LARGE, 1 / _UNIT)):
        if any(beyond(total) for total, _ in found) and (unit > 1 or first_bad() < 0):
            squares(unit)
            again = _sums_of_arrays(table)
            found = [(t, unit) if beyond(s) else (s, u) for (s, u), t in zip(found, again, strict=True)]
    return [(math.sqrt(total), unit) for total, unit in found]


def _sums_of_arrays(table):
    sums, first = table.sums.tolist(), table.first_chunk
    return [_exact_sum(sums[a:b]) for a, b in itertools.pairwise(first)]


def set_factors(table, scale, clip, by, norms):
    """What the table's gradients are multiplied by and held within. scale: by what they are multiplied for other
    reasons than their norm; norms: (norm * unit, unit) of what is given, before `scale`: of each array, or one for all.
    """
    table.factors[:] = scale, 1.0, math.inf
    if clip is None:
        return
    if by == "value":
        table.factors[:, 2] = table.as_bound(clip)
        return
    pairs = [factors(norm, unit, clip / abs(scale)) for norm, unit in norms]
    # where both factors are in use the first is a power of two that must not be changed
    table.factors[:, :2] = [(scale, b) if a == 1.0 else (a, b * scale) for a, b in pairs]


def _sum(tables, looks, unit):
    """Of the squares of all gradients times unit; the same in any order of the chunks."""
    for _, squares in looks:
        squares(unit)
    return _exact_sum([s for table in tables for s in table.sums.tolist()])


def _exact_sum(sums):
    try:
        return math.fsum(sums)
    except (OverflowError, ValueError):  # beyond the range; or inf and NaN together
        return math.nan if any(map(math.isnan, sums)) else math.inf


def factors(norm, unit, limit):
    """(a, b): gradients g * a * b have the norm `limit`; (1, 1) where theirs is not larger. norm: theirs times unit.

    a is a power of two other than 1 where b alone would be too small a number for float32, or for float64.
    """
    if norm <= limit * unit:
        return 1.0, 1.0
    scale = limit / norm * unit
    if not math.isfinite(norm) or (unit == 1.0 and scale > 2.0**-100):
        return 1.0, scale
    exponent = round(math.log2(norm) - math.log2(unit))
    a = 2.0 ** -min(exponent, 120 if exponent < 200 else 1000)
    return a, limit / (norm * (a / unit))
