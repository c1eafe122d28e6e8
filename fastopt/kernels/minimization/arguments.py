"""The user's `args` in memory, where a wrapper reads them: a tuple as Numba lays it out.

The arrays' owners are left out, since Python keeps them alive for the whole run.
"""

from llvmlite import ir
from numba import typeof
from numba.core import types
from numba.extending import intrinsic, overload

from fastopt.kernels.language.compile import entry, kernel

# What the `data` of a wrapper points to: int64 numbers.
DATA_ARGUMENTS, DATA_NEARBY, DATA_ROW = range(3)
DATA = 3


def _without_owner(context, builder, given, value):
    if isinstance(given, types.Array):
        array = context.make_array(given)(context, builder, value)
        array.meminfo = ir.Constant(array.meminfo.type, None)
        array.parent = ir.Constant(array.parent.type, None)
        return array._getvalue()
    return value


def without_owners(context, builder, kinds, value):
    """The tuple without the owners of its arrays."""
    for i, t in enumerate(kinds):
        item = _without_owner(context, builder, t, builder.extract_value(value, i))
        value = builder.insert_value(value, item, i)
    return value


@intrinsic
def _store(typing, args, address):
    """Write a tuple at an address."""

    def codegen(context, builder, signature, values):
        kind = context.get_value_type(args)
        given = without_owners(context, builder, args, values[0])
        builder.store(given, builder.inttoptr(values[1], kind.as_pointer()), align=1)
        return context.get_dummy_value()

    return types.none(args, types.int64), codegen


@intrinsic
def _size(typing, args):
    def codegen(context, builder, signature, values):
        size = context.get_abi_sizeof(context.get_value_type(args))
        return ir.Constant(ir.IntType(64), size)

    return types.int64(args), codegen


@intrinsic
def _load(typing, h, address):
    result = h.args

    def codegen(context, builder, signature, values):
        kind = context.get_value_type(result)
        return builder.load(builder.inttoptr(values[1], kind.as_pointer()), align=1)

    return result(h, types.int64), codegen


@kernel
def store(args, address):
    """Write the tuple there, unless the address is 0; its size in bytes."""
    if address:
        _store(args, address)
    return _size(args)


def supported(args):
    """Whether every argument is an array or a number that compiled code takes."""
    try:
        found = [typeof(a) for a in args]
    except ValueError:
        return False
    return all(isinstance(t, (types.Array, types.Number, types.Boolean)) for t in found)


def typed(args):
    """The Numba type of the tuple."""
    return typeof(tuple(args))


def storer(kind):
    """store(args, address) for arguments of this type, to be called directly."""
    return entry(store, kind, types.int64)


def arguments(h, data):
    raise NotImplementedError


@overload(arguments)
def _arguments(h, data):
    if len(h.args) == 0:
        return lambda h, data: ()
    if not any(h.rows):
        return lambda h, data: _load(h, read_integer(data, DATA_ARGUMENTS))
    items = ", ".join(f"a[{i}][k]" if row else f"a[{i}]" for i, row in enumerate(h.rows))
    scope = {"load": _load, "integer": read_integer, "ARGUMENTS": DATA_ARGUMENTS, "ROW": DATA_ROW}
    text = f"""
def select(h, data):
    a, k = load(h, integer(data, ARGUMENTS)), integer(data, ROW)
    return ({items},)
"""
    exec(text, scope)
    return scope["select"]


@intrinsic
def read_integer(typing, address, index):
    """int64 number `index` at an address."""

    def codegen(context, builder, signature, values):
        where = builder.inttoptr(values[0], ir.IntType(64).as_pointer())
        return builder.load(builder.gep(where, [values[1]]))

    return types.int64(types.int64, types.int64), codegen
