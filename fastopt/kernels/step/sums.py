"""Sums of squares over an array of what a rule measures, in the order in which the NumPy engine takes them."""

import numpy as np
from llvmlite import ir
from numba.core import cgutils, types
from numba.extending import intrinsic, overload

from fastopt.kernels.language import vectors as v
from fastopt.kernels.language.compile import entry, kernel
from fastopt.kernels.language.memory import element_size, read, write
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
    scaled,
    tell_apart,
)

PARTS, MOST = 32, 8  # parts of a sum; norms that a rule may take
BLOCK = 512  # elements whose values are kept in the first cache before they are added up, 32 at a time


def measure_element(h, k, p, g, s):
    """Stands for the `measure` of the rule that the type of h names."""


@overload(measure_element)
def _measure_element(h, k, p, g, s):
    return measure_of(h.formula)


@intrinsic
def _room(typing, h):
    """Addresses of room on this thread's stack: for the parts of all sums, and for a block of each value."""

    def codegen(context, builder, signature, args):
        element = context.get_value_type(h.element)
        parts = cgutils.alloca_once(builder, ir.ArrayType(ir.DoubleType(), PARTS * MOST))
        block = cgutils.alloca_once(builder, ir.ArrayType(element, BLOCK * MOST))
        addresses = [builder.ptrtoint(room, v.INT64) for room in (parts, block)]
        return context.make_tuple(builder, signature.return_type, addresses)

    return types.UniTuple(types.int64, 2)(h), codegen


@intrinsic
def _keep(typing, h, block, i, values, addresses):
    """Write element i of each value's block; told apart from the arrays at the addresses, so that LLVM vectorises."""

    def codegen(context, builder, signature, args):
        _, block, i, values, _ = args
        arrays, kept = signature.args[4].count, signature.args[3].count
        for j in range(kept):
            value = builder.extract_value(values, j)
            where = builder.add(i, ir.Constant(v.INT64, j * BLOCK))
            store = builder.store(value, v.pointer(builder, block, value.type, where))
            tell_apart(store, builder.module, arrays + j, arrays + kept)
        return ir.Constant(v.INT64, kept)

    return types.int64(h, block, i, values, addresses), codegen


@intrinsic
def _add_squares(typing, h, block, count, parts):
    """Add the squares of a block to its parts: part j of 32 has the elements j, j + 32, ... in order."""

    def codegen(context, builder, signature, args):
        _, block, count, parts = args
        narrow = ir.VectorType(context.get_value_type(h.element), PARTS)
        wide = ir.VectorType(ir.DoubleType(), PARTS)

        def add(part, values):
            values = values.value if narrow == wide else builder.fpext(values.value, wide)
            return [v.Vector(builder, builder.fadd(part.value, builder.fmul(values, values)))]

        def whole(i, carried):
            return add(carried[0], v.load(builder, block, narrow, i))

        def rest(i, carried):
            mask = v.first_lanes(builder, narrow, builder.sub(count, i))
            return add(carried[0], v.load_masked(builder, block, narrow, i, mask))

        zero, full = ir.Constant(v.INT64, 0), builder.and_(count, ir.Constant(v.INT64, -PARTS))
        part = v.loop(builder, zero, full, PARTS, [v.load(builder, parts, wide)], whole)
        (part,) = v.loop(builder, full, count, PARTS, part, rest)
        v.store(part, parts)
        return context.get_dummy_value()

    return types.none(h, block, count, parts), codegen


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
    parts, block = _room(h)
    before = flush_denormals()
    for c in range(begin, end):
        array, first, last = chunk_of(plan.chunks, c)
        k, factors = read_coefficients(h, read(np.int64, plan.k, array)), gradient_factors(h, plan, array)
        addresses = element_addresses(h, plan.p, plan.g, plan.s, plan.arrays, array, first)
        for j in range(PARTS * MOST):
            write(parts, j, 0.0)
        kept, size = 0, last - first
        for begun in range(0, size, BLOCK):
            count = min(BLOCK, size - begun)
            for i in range(count):
                x = load_elements(h, addresses, begun + i)
                values = measure_element(h, k, x[0], scaled(x[1], factors), x[2:])
                kept = _keep(h, block, i, values, addresses)
            for i in range(kept):
                _add_squares(h, block + i * BLOCK * element_size(h), count, parts + i * PARTS * 8)
        for i in range(kept):
            write(out, c * kept + i, _sum(parts, i))
    restore_denormals(before)


def measure_entry(rule_type):
    return entry(measure, rule_type, *[types.int64] * 4)
