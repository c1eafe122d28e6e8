"""Numbers that several threads read and write: int64 at an address."""

from llvmlite import ir
from numba.core import types
from numba.extending import intrinsic

from fastopt.kernels.language import vectors as v


@intrinsic
def load_shared(typing, address):
    """The number; what its writer wrote before it is seen as well."""

    def codegen(context, builder, signature, args):
        return builder.load_atomic(v.pointer(builder, args[0], v.INT64), "acquire", 8)

    return types.int64(types.int64), codegen


@intrinsic
def store_shared(typing, address, value):
    def codegen(context, builder, signature, args):
        builder.store_atomic(args[1], v.pointer(builder, args[0], v.INT64), "release", 8)
        return context.get_dummy_value()

    return types.none(types.int64, types.int64), codegen


@intrinsic
def add_shared(typing, address, value):
    """Add to the number; returns what it was."""

    def codegen(context, builder, signature, args):
        where = v.pointer(builder, args[0], v.INT64)
        return builder.atomic_rmw("add", where, args[1], "seq_cst")

    return types.int64(types.int64, types.int64), codegen


@intrinsic
def replace_shared(typing, address, old, new):
    """Write `new` if the number is `old`; whether it was."""

    def codegen(context, builder, signature, args):
        where = v.pointer(builder, args[0], v.INT64)
        outcome = builder.cmpxchg(where, args[1], args[2], "seq_cst", "seq_cst")
        return builder.extract_value(outcome, 1)

    return types.boolean(types.int64, types.int64, types.int64), codegen


@intrinsic
def spin(typing):
    """A moment's rest in a loop that waits for another thread."""

    def codegen(context, builder, signature, args):
        if v.X86:
            nothing = ir.FunctionType(ir.VoidType(), [])
            builder.call(v.declare(builder.module, nothing, "llvm.x86.sse2.pause"), [])
        return context.get_dummy_value()

    return types.none(), codegen
