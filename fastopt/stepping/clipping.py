"""Clipping by the norm of all gradients together, without a copy of them.

The norm is taken from sums that each table has of its chunks: one read of the gradients, which finds NaN
and inf as well. Where it is too large, kernels multiply gradients by two factors on their way.
"""

import math

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


def _sum(tables, looks, unit):
    """Of the squares of all gradients times unit; the same in any order of the chunks."""
    for _, squares in looks:
        squares(unit)
    sums = [s for table in tables for s in table.sums.tolist()]
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
