"""Reading and writing memory at integer addresses inside kernels."""

from llvmlite import ir
from numba.core import cgutils, types
from numba.extending import intrinsic

from fastopt.kernels.language import vectors as v
from fastopt.kernels.language.compile import entry
from fastopt.kernels.language.formula import formula_type
from fastopt.kernels.language.table import TableType, arguments


class Element:
    """The formula of kernels that know nothing but a dtype."""


def element_type(dtype):
    return formula_type(Element, dtype)


def native_address(dispatcher, h, *given):
    """The address of a kernel f(h, tables and int64) -> float64, for `call`; given: see table.arguments.

    Kernels that call by address are not compiled into one another: the tiles are compiled once for
    all losses and rules (seconds), a loss once for all rules.
    """
    kinds = (h, *arguments(*given))
    entry(dispatcher, *kinds)
    result = dispatcher.overloads[kinds]
    return result.library.get_pointer_to_function(result.fndesc.llvm_func_name)


@intrinsic
def call(typing, address, given):
    """Call a kernel by its native_address, with a tuple of tables and int64 after h."""
    kinds = types.Tuple([kind if isinstance(kind, TableType) else types.int64 for kind in given])

    def codegen(context, builder, signature, args):
        double, any_pointer = ir.DoubleType(), ir.IntType(8).as_pointer()
        result = cgutils.alloca_once(builder, double)
        error = cgutils.alloca_once(builder, any_pointer)
        values = [result, error, ir.Constant(any_pointer, None)]
        values += [builder.extract_value(args[1], j) for j in range(len(kinds))]
        function_type = ir.FunctionType(ir.IntType(32), [value.type for value in values])
        builder.call(builder.inttoptr(args[0], function_type.as_pointer()), values)
        return builder.load(result)

    return types.float64(types.int64, kinds), codegen


@intrinsic
def read(typing, dtype, address, index):
    """Element `index` of an array of dtype (a NumPy scalar type) at an address."""
    result = dtype.dtype

    def codegen(context, builder, signature, args):
        where = v.pointer(builder, args[1], context.get_value_type(result), args[2])
        return builder.load(where)

    return result(dtype, address, index), codegen


@intrinsic
def read_element(typing, h, address, index):
    """Element `index` of an array of the formula's dtype."""

    def codegen(context, builder, signature, args):
        where = v.pointer(builder, args[1], context.get_value_type(h.element), args[2])
        return builder.load(where)

    return h.element(h, address, index), codegen


@intrinsic
def write(typing, address, index, value):
    """Write a number of any type as it is."""

    def codegen(context, builder, signature, args):
        builder.store(args[2], v.pointer(builder, args[0], args[2].type, args[1]))
        return context.get_dummy_value()

    return types.none(address, index, value), codegen


@intrinsic
def write_element(typing, h, address, index, value):
    """Write a number in the formula's dtype."""

    def codegen(context, builder, signature, args):
        number = context.cast(builder, args[3], value, h.element)
        builder.store(number, v.pointer(builder, args[1], number.type, args[2]))
        return context.get_dummy_value()

    return types.none(h, address, index, value), codegen


@intrinsic
def fetch(typing, address):
    """Ask for the line at an address, which need not be one of the process."""

    def codegen(context, builder, signature, args):
        v.prefetch(builder, args[0], ir.Constant(v.INT64, 0))
        return context.get_dummy_value()

    return types.none(address), codegen


@intrinsic
def clear(typing, address, size):
    """Set so many bytes to 0."""

    def codegen(context, builder, signature, args):
        where = v.pointer(builder, args[0], ir.IntType(8))
        function_type = ir.FunctionType(ir.VoidType(), [where.type, ir.IntType(8), v.INT64, ir.IntType(1)])
        memset = v.declare(builder.module, function_type, "llvm.memset.p0.i64")
        builder.call(memset, [where, ir.Constant(ir.IntType(8), 0), args[1], ir.Constant(ir.IntType(1), 0)])
        return context.get_dummy_value()

    return types.none(address, size), codegen


@intrinsic
def element_size(typing, h):
    def codegen(context, builder, signature, args):
        return ir.Constant(v.INT64, h.element.bitwidth // 8)

    return types.int64(h), codegen


@intrinsic
def lane_count(typing, h):
    def codegen(context, builder, signature, args):
        return ir.Constant(v.INT64, v.VECTOR_BYTES * 8 // h.element.bitwidth)

    return types.int64(h), codegen


@intrinsic
def widen(typing, h, source, target, count, scale):
    """target[i] = scale * source[i], from uint8 to the formula's dtype."""

    def codegen(context, builder, signature, args):
        _, source, target, count, scale = args
        element = context.get_value_type(h.element)
        vector = v.vector_type(element)
        bytes_ = ir.VectorType(ir.IntType(8), vector.count)
        factor = v.splat(builder, vector, context.cast(builder, scale, types.float64, h.element))

        def convert(x, i, mask=None):
            x = v.Vector(builder, builder.uitofp(x.value, vector)) * factor
            if mask is None:
                v.store(x, target, i)
            else:
                v.store_masked(x, target, i, mask)

        def whole(i, _):
            convert(v.load(builder, source, bytes_, i), i)
            return []

        def part(i, _):
            mask = v.first_lanes(builder, vector, builder.sub(count, i))
            convert(v.load_masked(builder, source, bytes_, i, mask), i, mask)
            return []

        full = builder.and_(count, ir.Constant(v.INT64, -vector.count))
        v.loop(builder, ir.Constant(v.INT64, 0), full, vector.count, [], whole)
        v.loop(builder, full, count, vector.count, [], part)
        return context.get_dummy_value()

    return types.none(h, source, target, count, scale), codegen


@intrinsic
def zero(typing, h):
    def codegen(context, builder, signature, args):
        return ir.Constant(context.get_value_type(h.element), 0.0)

    return h.element(h), codegen


@intrinsic
def as_element(typing, h, number):
    """A number in the formula's dtype."""

    def codegen(context, builder, signature, args):
        return context.cast(builder, args[1], number, h.element)

    return h.element(h, number), codegen
