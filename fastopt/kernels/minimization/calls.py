"""Calling a user's functions by address, with their exceptions; arrays at addresses."""

from llvmlite import ir
from numba.core import cgutils, types
from numba.extending import intrinsic, overload
from numba.np import arrayobj

from fastopt.algorithms import calls

# What a compiled solver takes for `fun`: addresses of wrappers (user.py) and of their data.
VALUE, EVALUATE, SECOND, PRODUCT, DATA = range(5)
FUNCTIONS = 5


@intrinsic
def checked_call(typing, address, integers):
    """Call a kernel f(h, so many int64) -> float64 by its native_address; its exception goes on from here."""
    integers = types.UniTuple(types.int64, len(integers))
    arguments = [types.voidptr, *integers]

    def codegen(context, builder, signature, args):
        convention = context.call_conv
        kind = convention.get_function_type(types.float64, arguments)
        function = builder.inttoptr(args[0], kind.as_pointer())
        given = [ir.Constant(cgutils.voidptr_t, None)]
        given += [builder.extract_value(args[1], j) for j in range(integers.count)]
        status, value = convention.call_function(builder, function, types.float64, arguments, given)
        with cgutils.if_unlikely(builder, status.is_error):
            convention.return_status_propagate(builder, status)
        return value

    return types.float64(types.int64, integers), codegen


@intrinsic
def start_of(typing, array):
    """The address of the first element of an array or a span."""

    def codegen(context, builder, signature, args):
        data = cgutils.create_struct_proxy(array)(context, builder, args[0]).data
        return builder.ptrtoint(data, ir.IntType(64))

    return types.int64(array), codegen


def _view(result, context, builder, address, shape):
    array = context.make_array(result)(context, builder)
    item = context.get_constant(types.intp, result.dtype.bitwidth // 8)
    strides = [item]
    for size in reversed(shape[1:]):
        strides.insert(0, builder.mul(strides[0], size))
    data = builder.inttoptr(address, array.data.type)
    arrayobj.populate_array(array, data, shape, strides, item, None)
    return array._getvalue()


@intrinsic
def array_at(typing, h, address, n):
    """n elements of h's dtype at an address, to be written too; nobody owns them."""
    result = types.Array(h.element, 1, "C")

    def codegen(context, builder, signature, args):
        return _view(result, context, builder, args[1], [args[2]])

    return result(h, types.int64, types.int64), codegen


@intrinsic
def matrix_at(typing, h, address, rows, columns):
    result = types.Array(h.element, 2, "C")

    def codegen(context, builder, signature, args):
        return _view(result, context, builder, args[1], list(args[2:]))

    return result(h, types.int64, types.int64, types.int64), codegen


@intrinsic
def constant_at(typing, h, address, n):
    """The same, not to be written."""
    result = types.Array(h.element, 1, "C", readonly=True)

    def codegen(context, builder, signature, args):
        return _view(result, context, builder, args[1], [args[2]])

    return result(h, types.int64, types.int64), codegen


@intrinsic
def doubles_at(typing, address, n):
    result = types.Array(types.float64, 1, "C")

    def codegen(context, builder, signature, args):
        return _view(result, context, builder, args[0], [args[1]])

    return result(types.int64, types.int64), codegen


def _by_address(fun):
    return isinstance(fun, types.UniTuple)


@overload(calls.evaluate)
def _evaluate(fun, x, g):
    if _by_address(fun):
        return lambda fun, x, g: checked_call(fun[EVALUATE], (start_of(x), start_of(g), x.size, fun[DATA]))


@overload(calls.value)
def _value(fun, x):
    if _by_address(fun):
        return lambda fun, x: checked_call(fun[VALUE], (start_of(x), x.size, fun[DATA]))


@overload(calls.hessian)
def _hessian(fun, x, H, row):
    if _by_address(fun):

        def call(fun, x, H, row):
            return checked_call(fun[SECOND], (start_of(x), start_of(H), row, x.size, fun[DATA]))

        return call


@overload(calls.product)
def _product(fun, x, v, out):
    if _by_address(fun):

        def call(fun, x, v, out):
            checked_call(fun[PRODUCT], (start_of(x), start_of(v), start_of(out), x.size, fun[DATA]))

        return call


@overload(calls.residuals)
def _residuals(fun, x, r):
    if _by_address(fun):

        def call(fun, x, r):
            checked_call(fun[VALUE], (start_of(x), start_of(r), x.size, r.size, fun[DATA]))

        return call


@overload(calls.jacobian)
def _jacobian(fun, x, r, J):
    if _by_address(fun):

        def call(fun, x, r, J):
            integers = start_of(x), start_of(r), start_of(J), x.size, r.size, fun[DATA]
            checked_call(fun[SECOND], integers)

        return call
