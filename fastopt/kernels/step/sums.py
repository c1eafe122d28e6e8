"""Sums of squares over an array of what a rule measures, in the order in which the NumPy engine takes them."""

import numpy as np
from llvmlite import ir
from numba.core import cgutils, types
from numba.extending import intrinsic, overload

from fastopt.kernels.language.compile import entry, kernel
from fastopt.kernels.language.memory import read, write
from fastopt.kernels.step.elementwise import (
    chunk_of,
    element_addresses,
    flush_denormals,
    gradient_factors,
    load_elements,
    measure_of,
    read_coefficients,
    read_plan,
    restore_denormals,
)

PARTS, MOST = 32, 8  # parts of a sum; norms that a rule may take


def measure_element(h, k, p, g, s):
    """Stands for the `measure` of the rule that the type of h names."""


@overload(measure_element)
def _measure_element(h, k, p, g, s):
    return measure_of(h.formula)


@intrinsic
def _parts(typing, h):
    """The address of room for the parts of all sums, on this thread's stack."""

    def codegen(context, builder, signature, args):
        room = ir.ArrayType(ir.DoubleType(), PARTS * MOST)
        return builder.ptrtoint(cgutils.alloca_once(builder, room), ir.IntType(64))

    return types.int64(h), codegen


@kernel
def _add(parts, j, values):
    for i in range(len(values)):
        at, value = i * PARTS + j, np.float64(values[i])
        write(parts, at, read(np.float64, parts, at) + value * value)


@kernel
def _sum(parts, i):
    width = PARTS
    while width > 1:
        width //= 2
        for j in range(width):
            at = i * PARTS + j
            write(parts, at, read(np.float64, parts, at) + read(np.float64, parts, at + width))
    return read(np.float64, parts, i * PARTS)


@kernel
def measure(h, at, out, begin, end):
    """For each of the chunks [begin, end) the sums of squares of what the rule measures, a row of `out` each."""
    plan = read_plan(at)
    parts, (unit, scale) = _parts(h), gradient_factors(h, plan)
    before = flush_denormals()
    for c in range(begin, end):
        array, first, last = chunk_of(plan.chunks, c)
        k = read_coefficients(h, read(np.int64, plan.k, array))
        addresses = element_addresses(h, plan.p, plan.g, plan.s, plan.arrays, array, first)
        for j in range(PARTS * MOST):
            write(parts, j, 0.0)
        count = 0
        for i in range(last - first):
            x = load_elements(h, addresses, i)
            values = measure_element(h, k, x[0], x[1] * unit * scale, x[2:])
            count = len(values)
            _add(parts, i % PARTS, values)
        for i in range(count):
            write(out, c * count + i, _sum(parts, i))
    restore_denormals(before)


def measure_entry(rule_type):
    return entry(measure, rule_type, *[types.int64] * 4)
