"""Tables (kernels/tables.py) in Numba's kernels, which read and write fields as attributes: `problem.classes`,
`side.lost = 1`. They get a table's address as an argument of the declaration's type; a read is one load from address
+ constant, as in C.
"""

import functools
import hashlib

from llvmlite import ir
from numba.core import cgutils, types
from numba.core.datamodel import models as data_models
from numba.core.imputils import lower_builtin, lower_getattr_generic, lower_setattr_generic
from numba.core.typing.templates import (
    AbstractTemplate,
    AttributeTemplate,
    infer_getattr,
    infer_global,
    signature,
)
from numba.extending import intrinsic, register_model, unbox

from fastopt.kernels.language import vectors as v
from fastopt.kernels.tables import Table


class TableType(types.Type):
    """The address of a table; fields: ((name, its type), ...)."""

    def __init__(self, name, fields):
        self.fields = fields
        text = " ".join(f"{field}:{kind}" for field, kind in fields)
        super().__init__(name=f"Table({name}, {hashlib.sha256(text.encode()).hexdigest()[:8]})")


@functools.cache
def type_of(table):
    """The type of a declaration: an address, of which fields can be asked."""
    kinds = {int: types.int64, float: types.float64}
    fields = tuple(
        (field, type_of(kind) if isinstance(kind, Table) else kinds[kind]) for field, kind in table.fields
    )
    return TableType(table.name, fields)


def arguments(*given):
    """Types of a kernel's arguments after h: a declaration for a table, a number for so many int64."""
    kinds = [[one.type] if isinstance(one, Table) else [types.int64] * one for one in given]
    return tuple(kind for part in kinds for kind in part)


@register_model(TableType)
class _TableModel(data_models.PrimitiveModel):
    def __init__(self, manager, table):
        super().__init__(manager, table, v.INT64)


@unbox(TableType)
def _unbox(table, obj, c):
    return c.unbox(types.int64, obj)


@infer_getattr
class _Fields(AttributeTemplate):
    key = TableType

    def generic_resolve(self, table, name):
        return dict(table.fields).get(name)


def _field(context, builder, table, at, name):
    """(type of a field, a pointer to it)"""
    place = [field for field, _ in table.fields].index(name)
    kind = table.fields[place][1]
    return kind, v.pointer(builder, at, context.get_value_type(kind), ir.Constant(v.INT64, place))


@lower_getattr_generic(TableType)
def _get(context, builder, table, at, name):
    return builder.load(_field(context, builder, table, at, name)[1])


@lower_setattr_generic(TableType)
def _set(context, builder, sig, args, name):
    kind, where = _field(context, builder, sig.args[0], args[0], name)
    builder.store(context.cast(builder, args[1], sig.args[1], kind), where)


@infer_global(bool)
class _Bool(AbstractTemplate):
    def generic(self, args, kws):
        if len(args) == 1 and isinstance(args[0], TableType):
            return signature(types.boolean, *args)


@lower_builtin(bool, TableType)
def _is_there(context, builder, sig, args):
    """Whether there is a table: its address is not 0."""
    return cgutils.is_not_null(builder, args[0])


@intrinsic
def address_of(typing, table):
    """The address as a number."""

    def codegen(context, builder, signature, args):
        return args[0]

    return types.int64(table), codegen
