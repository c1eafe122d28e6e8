"""Tables in memory with named fields, which kernels read as attributes: `problem.classes`, `side.lost = 1`.

A table is eight bytes a field: an int64, a float64, or the address of another table. It is declared once. Kernels
get its address as an argument of the declaration's type; Python fills an array and finds a field in it by
the declaration's attribute: `array[PROBLEM.classes]`. A read is one load from address + constant, as in C.
"""

import hashlib

import numpy as np
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


class TableType(types.Type):
    """The address of a table; fields: ((name, its type), ...)."""

    def __init__(self, name, fields):
        self.fields = fields
        text = " ".join(f"{field}:{kind}" for field, kind in fields)
        super().__init__(name=f"Table({name}, {hashlib.sha256(text.encode()).hexdigest()[:8]})")


class Table:
    """Declares a table: names of its int64 fields, of its float64 fields, and fields that point to other tables.

    Each name is an attribute, the field's place in an array of `filled`; `type` is what a kernel's argument is.
    """

    def __init__(self, name, integers="", floats="", **tables):
        fields = [(field, types.int64) for field in integers.split()]
        fields += [(field, types.float64) for field in floats.split()]
        fields += [(field, table.type) for field, table in tables.items()]
        self.type = TableType(name, tuple(fields))
        self._dtype = np.float64 if floats and len(fields) == len(floats.split()) else np.int64
        for place, (field, _) in enumerate(fields):
            if hasattr(self, field):
                raise TypeError(f"table {name}: a field cannot be called {field}, or not twice")
            setattr(self, field, place)

    def filled(self, **values):
        """An array of the fields' values, 0 where none is given: int64, or float64 where all fields are."""
        array = np.zeros(len(self.type.fields), self._dtype)
        for field, value in values.items():
            array[getattr(self, field)] = value
        return array


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
