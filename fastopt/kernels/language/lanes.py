"""Numba types that let a loss's formula work on a register of rows at a time.

Lanes is a vector over rows, LaneMask the outcome of a comparison, Scores a block (classes, rows)
of which s[c] is read or written as Lanes. Arithmetic, comparisons and the functions of NumPy in
losses/__init__.py compile to vector instructions; numbers take the element type of the lanes.
"""

import operator
from itertools import product

import numpy as np
from llvmlite import ir
from numba.core import cgutils, types
from numba.core.datamodel import models as data_models
from numba.core.imputils import lower_builtin
from numba.core.typing.templates import AbstractTemplate, infer_global, signature
from numba.extending import intrinsic, make_attribute_wrapper, models, register_model

from fastopt.kernels.language import vecmath
from fastopt.kernels.language import vectors as v
from fastopt.kernels.language.block import BLOCK
from fastopt.kernels.language.compile import kernel
from fastopt.kernels.language.vectors import VECTOR_BYTES, Vector
from fastopt.losses.vocabulary import zeros


class Lanes(types.Type):
    def __init__(self, element):
        self.element = element
        self.count = VECTOR_BYTES * 8 // element.bitwidth
        super().__init__(name=f"Lanes({element})")


class LaneMask(types.Type):
    def __init__(self, element):
        self.element = element
        super().__init__(name=f"LaneMask({element})")


class Scores(types.Type):
    def __init__(self, loss):
        self.loss = loss
        self.element = loss.element
        super().__init__(name=f"Scores({loss})")


def llvm_element(element):
    return ir.FloatType() if element.bitwidth == 32 else ir.DoubleType()


@register_model(Lanes)
class _LanesModel(data_models.PrimitiveModel):
    def __init__(self, manager, lanes):
        super().__init__(manager, lanes, v.vector_type(llvm_element(lanes.element)))


@register_model(LaneMask)
class _MaskModel(data_models.PrimitiveModel):
    def __init__(self, manager, mask):
        count = v.lanes_of(llvm_element(mask.element))
        super().__init__(manager, mask, ir.VectorType(ir.IntType(1), count))


@register_model(Scores)
class _ScoresModel(models.StructModel):
    def __init__(self, manager, scores):
        super().__init__(manager, scores, [("address", types.int64), ("classes", types.int64)])


make_attribute_wrapper(Scores, "classes", "classes")


@intrinsic
def scores_at(typing, h, address, classes):
    """The lanes of a block of scores that begin at an address."""
    result = Scores(h)

    def codegen(context, builder, signature, args):
        block = cgutils.create_struct_proxy(result)(context, builder)
        block.address, block.classes = args[1:]
        return block._getvalue()

    return result(h, address, classes), codegen


def times_plus(a, b, c):
    """a * b + c of lanes, rounded once; a is no number."""


def _is_number(t):
    return isinstance(t, (types.Number, types.Boolean))


def _element(args):
    """The element type of the lanes among the arguments; None if others than numbers are there."""
    found = [a for a in args if isinstance(a, (Lanes, LaneMask))]
    if not found or not all(_is_number(a) or a in found for a in args):
        return None
    return found[0].element


def _vector(context, builder, value, given, element):
    """An argument as a Vector of the element type; numbers are cast, then repeated."""
    if not _is_number(given):
        return Vector(builder, value)
    scalar = context.cast(builder, value, given, element)
    return v.splat(builder, v.vector_type(llvm_element(element)), scalar)


def _define(function, arity, emit, result=Lanes, masks=()):
    """Let Numba compile function(*lanes) by emit(*vectors); `masks`: positions that are masks."""

    class Template(AbstractTemplate):
        def generic(self, args, kws):
            element = _element(args)
            if element is None or len(args) != arity or kws:
                return None
            if any(isinstance(a, LaneMask) != (i in masks) for i, a in enumerate(args)):
                return None
            return signature(result(element), *args)

    def lower(context, builder, sig, args):
        element = sig.return_type.element
        given = [_vector(context, builder, a, t, element) for a, t in zip(args, sig.args, strict=True)]
        return emit(*given).value

    infer_global(function)(Template)
    choices = [[LaneMask] if i in masks else [Lanes, types.Number] for i in range(arity)]
    for kinds in product(*choices):
        if any(k is not types.Number for k in kinds):
            lower_builtin(function, *kinds)(lower)


_define(operator.add, 2, operator.add)
_define(operator.sub, 2, operator.sub)
_define(operator.mul, 2, operator.mul)
_define(operator.truediv, 2, operator.truediv)
_define(operator.neg, 1, operator.neg)
for _function, _sign in (
    (operator.lt, "<"),
    (operator.le, "<="),
    (operator.gt, ">"),
    (operator.ge, ">="),
    (operator.eq, "=="),
    (operator.ne, "!="),
):
    _define(_function, 2, lambda a, b, sign=_sign: a.compare(sign, b), LaneMask)
_define(times_plus, 3, lambda a, b, c: a.times_plus(b, c))
_define(np.maximum, 2, lambda a, b: a.maximum(b))
_define(np.minimum, 2, lambda a, b: a.minimum(b))
_define(np.abs, 1, lambda a: a.call("fabs"))
_define(np.sqrt, 1, lambda a: a.call("sqrt"))
_define(np.exp, 1, vecmath.exp)
_define(np.log, 1, vecmath.natural_log)
_define(np.log1p, 1, vecmath.log1p)
_define(np.where, 3, lambda mask, a, b: a.where(mask, b), masks=(0,))
_define(zeros, 1, lambda a: a.splat(0.0))


@infer_global(len)
class _Len(AbstractTemplate):
    def generic(self, args, kws):
        if len(args) == 1 and isinstance(args[0], Scores):
            return signature(types.intp, *args)


@lower_builtin(len, Scores)
def _len(context, builder, sig, args):
    return cgutils.create_struct_proxy(sig.args[0])(context, builder, args[0]).classes


def _row(context, builder, scores, block, c, given):
    block = cgutils.create_struct_proxy(scores)(context, builder, block)
    c = context.cast(builder, c, given, types.int64)
    return block.address, builder.mul(c, ir.Constant(v.INT64, BLOCK))


@infer_global(operator.getitem)
class _GetItem(AbstractTemplate):
    def generic(self, args, kws):
        if isinstance(args[0], Scores) and isinstance(args[1], types.Integer):
            return signature(Lanes(args[0].element), *args)


@lower_builtin(operator.getitem, Scores, types.Integer)
def _getitem(context, builder, sig, args):
    address, index = _row(context, builder, sig.args[0], *args, sig.args[1])
    return v.load(builder, address, v.vector_type(llvm_element(sig.args[0].element)), index).value


@infer_global(operator.setitem)
class _SetItem(AbstractTemplate):
    def generic(self, args, kws):
        block, index, value = args
        if not isinstance(block, Scores) or not isinstance(index, types.Integer):
            return None
        if isinstance(value, Lanes) or _is_number(value):
            return signature(types.none, *args)


@lower_builtin(operator.setitem, Scores, types.Integer, types.Any)
def _setitem(context, builder, sig, args):
    address, index = _row(context, builder, sig.args[0], *args[:2], sig.args[1])
    value = _vector(context, builder, args[2], sig.args[2], sig.args[0].element)
    v.store(value, address, index)
    return context.get_dummy_value()


@intrinsic
def load_lanes(typing, h, address, index, end):
    """Elements index, index + 1, ... of an array; 0 from `end` on."""
    result = Lanes(h.element)

    def codegen(context, builder, signature, args):
        _, address, index, end = args
        vector = v.vector_type(llvm_element(h.element))
        mask = v.first_lanes(builder, vector, builder.sub(end, index))
        return v.load_masked(builder, address, vector, index, mask).value

    return result(h, address, index, end), codegen


@intrinsic
def store_lanes(typing, h, address, index, end, lanes):
    def codegen(context, builder, signature, args):
        _, address, index, end, lanes = args
        vector = v.vector_type(llvm_element(h.element))
        mask = v.first_lanes(builder, vector, builder.sub(end, index))
        v.store_masked(Vector(builder, lanes), address, index, mask)
        return context.get_dummy_value()

    return types.none(h, address, index, end, lanes), codegen


@intrinsic
def same_lanes(typing, h, value):
    """A number in every lane."""
    result = Lanes(h.element)

    def codegen(context, builder, signature, args):
        value = context.cast(builder, args[1], signature.args[1], h.element)
        return v.splat(builder, v.vector_type(llvm_element(h.element)), value).value

    return result(h, value), codegen


@intrinsic
def store_first(typing, h, address, value):
    """Write a vector with the value in its first lane and 0 in the others.

    To read a vector soon after one of its elements was written takes 20 cycles longer.
    """

    def codegen(context, builder, signature, args):
        _, address, value = args
        vector = v.vector_type(llvm_element(h.element))
        value = context.cast(builder, value, signature.args[2], h.element)
        first = builder.insert_element(ir.Constant(vector, None), value, ir.Constant(v.INT32, 0))
        v.store(Vector(builder, first), address)
        return context.get_dummy_value()

    return types.none(h, address, value), codegen


@intrinsic
def sum_lanes(typing, lanes):
    """The sum in float64, pairs first: the same order on every call."""

    def codegen(context, builder, signature, args):
        count = signature.args[0].count
        values = Vector(builder, args[0])
        if signature.args[0].element.bitwidth == 32:
            doubles = ir.VectorType(ir.DoubleType(), count)
            values = Vector(builder, builder.fpext(args[0], doubles))
        while count > 1:
            count //= 2
            values = values.lanes(0, count) + values.lanes(count, 2 * count)
        return values.lane(0)

    return types.float64(lanes), codegen


@intrinsic
def first_lane(typing, lanes):
    """The first lane in float64."""

    def codegen(context, builder, signature, args):
        first = Vector(builder, args[0]).lane(0)
        return first if signature.args[0].element.bitwidth == 64 else builder.fpext(first, ir.DoubleType())

    return types.float64(lanes), codegen


@kernel
def squared_lanes(h, w, dw, index, end, scale, penalty):
    """Sum of squares of scale*dw + penalty*w over the lanes from index on."""
    t = times_plus(load_lanes(h, dw, index, end), scale, load_lanes(h, w, index, end) * penalty)
    return sum_lanes(t * t)
