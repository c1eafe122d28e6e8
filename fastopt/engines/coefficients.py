"""A rule's coefficients at a step: the same bits from every engine, and the fastest way to them."""

import struct

import numpy as np

from fastopt import native
from fastopt.engines.choose import has_c
from fastopt.native import address
from fastopt.rules import contract, is_in_c


def bind_coefficients(rule, k):
    """A function fill(rule, t) that writes the rule's coefficients at step t into the array k."""
    if is_in_c(rule) and has_c():
        return _coefficients_in_c(rule, k)
    pack, buffer, count = struct.Struct(f"{len(k)}d").pack_into, memoryview(k).cast("B"), len(k)

    def fill(now, t):
        values = now.coefficients(now, float(t))
        if type(values) is not tuple or len(values) != count:
            contract.check_coefficients(now, values, count)
        pack(buffer, 0, *values)

    return fill


def _coefficients_in_c(rule, k):
    """The same bits as in Python, in a third of the time (0.4 us for Adam)."""
    h = np.array(rule, np.float64)
    number, h_address, k_address = native.rule_number(rule), address(h), address(k)
    compute, last = native.coefficients_function(), rule

    def fill(now, t):
        nonlocal last
        if now is not last:
            h[:] = now
            last = now
        compute(number, h_address, t, k_address)

    return fill
