"""Sums of squares of gradients, in an order that is the same on every engine (csrc/rules.inc.h, squares)."""

import functools

import numpy as np
from llvmlite import ir
from numba.core import types
from numba.extending import intrinsic

from fastopt.kernels.language import halves
from fastopt.kernels.language import vectors as v
from fastopt.kernels.language.compile import entry, kernel
from fastopt.kernels.language.halves import Bits
from fastopt.kernels.language.memory import read, write
from fastopt.plan import PLAN

PARTS = 32
_CHUNKS, _G = PLAN.index("chunks"), PLAN.index("g")


def _floats(builder, form, values):
    """Numbers of a gradient that is kept in 16 bits as float32."""
    if form == "float32":
        return values
    code = Bits(builder, builder.zext(values, ir.VectorType(v.INT32, PARTS)))
    return (code << 16 if form == "bfloat16" else halves.from_float16(code)).floats()


@intrinsic
def _squares(typing, h, x, count, unit):
    """The sum of (x * unit)^2 of so many elements at address x, in float64.

    Part j of 32 has the elements j, j + 32, ... in order; then halves are added. No multiply-add is fused: for
    float64 it would round otherwise than the C library and NumPy.
    """

    def codegen(context, builder, signature, args):
        _, x, count, unit = args
        form = getattr(h, "gradient", "float32")
        narrow = ir.VectorType(context.get_value_type(h.element) if form == "float32" else v.INT16, PARTS)
        wide = ir.VectorType(ir.DoubleType(), PARTS)
        factor = v.splat(builder, wide, unit)

        def add(part, values):
            values = _floats(builder, form, values)
            values = values if narrow == wide else builder.fpext(values, wide)
            values = builder.fmul(values, factor.value)
            return [v.Vector(builder, builder.fadd(part.value, builder.fmul(values, values)))]

        def whole(i, carried):
            return add(carried[0], v.load(builder, x, narrow, i).value)

        def rest(i, carried):
            mask = v.first_lanes(builder, narrow, builder.sub(count, i))
            return add(carried[0], v.load_masked(builder, x, narrow, i, mask).value)

        zero, full = ir.Constant(v.INT64, 0), builder.and_(count, ir.Constant(v.INT64, -PARTS))
        none = v.Vector(builder, ir.Constant(wide, None))
        part = v.loop(builder, zero, full, PARTS, [none], whole)
        (part,) = v.loop(builder, full, count, PARTS, part, rest)
        width = PARTS
        while width > 1:
            width //= 2
            low, high = part.lanes(0, width), part.lanes(width, 2 * width)
            part = v.Vector(builder, builder.fadd(low.value, high.value))
        return part.lane(0)

    return types.float64(h, x, count, unit), codegen


@intrinsic
def gradient_size(typing, h):
    def codegen(context, builder, signature, args):
        plain = getattr(h, "gradient", "float32") == "float32"
        return ir.Constant(v.INT64, h.element.bitwidth // 8 if plain else 2)

    return types.int64(h), codegen


@kernel
def squares(h, plan, unit, out, begin, end):
    """For each of the chunks [begin, end) the sum of (g * unit)^2, at address out."""
    chunks, g = read(np.int64, plan, _CHUNKS), read(np.int64, plan, _G)
    for c in range(begin, end):
        array, first = read(np.int64, chunks, 3 * c), read(np.int64, chunks, 3 * c + 1)
        count = read(np.int64, chunks, 3 * c + 2) - first
        x = read(np.int64, g, array) + first * gradient_size(h)
        write(out, c, _squares(h, x, count, unit))


@functools.cache
def squares_entry(h):
    return entry(squares, h, types.int64, types.float64, *[types.int64] * 3)
