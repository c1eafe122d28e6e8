"""Tables with named fields (kernels/language/table.py): what kernels read and write is what Python finds."""

import numpy as np
import pytest


@pytest.fixture(scope="module")
def table():
    pytest.importorskip("numba")
    from fastopt.kernels.language import table

    return table


def test_places_and_values(table):
    pair = table.Table("pair", "a b", floats="c")
    assert (pair.a, pair.b, pair.c) == (0, 1, 2)
    assert pair.filled(b=7).tolist() == [0, 7, 0]
    numbers = table.Table("floats", floats="x y").filled(y=0.5)
    assert numbers.dtype == np.float64 and numbers.tolist() == [0, 0.5]
    with pytest.raises(AttributeError, match="d"):
        pair.filled(d=1)


@pytest.mark.parametrize("fields", ["a a", "type", "filled"])
def test_a_name_that_is_taken(table, fields):
    with pytest.raises(TypeError, match="cannot be called"):
        table.Table("bad", fields)


def test_types_differ_by_fields(table):
    one, same, other = (table.Table("one", fields).type for fields in ("a b", "a b", "b a"))
    assert one == same and one != other


def test_reads_and_writes_in_a_kernel(table):
    from numba import njit

    inner = table.Table("inner", floats="x y")
    outer = table.Table("outer", "number result", inside=inner, absent=inner)
    numbers = inner.filled(x=1.25, y=3.0)
    array = outer.filled(number=41, inside=numbers.ctypes.data)

    def run(at):
        at.result = at.number + 1
        at.inside.y = at.number  # takes the field's type
        return at.inside.x, bool(at.inside), bool(at.absent), table.address_of(at)

    compiled = njit(run)
    compiled.compile(table.arguments(outer))
    found = compiled.overloads[table.arguments(outer)].entry_point(array.ctypes.data)
    assert found == (1.25, True, False, array.ctypes.data)
    assert array[outer.result] == 42 and numbers.tolist() == [1.25, 41.0]


def test_a_name_that_is_not_there(table):
    from numba import njit
    from numba.core.errors import TypingError

    at = table.Table("small", "a")
    with pytest.raises(TypingError, match="'b'"):
        njit(lambda small: small.b).compile(table.arguments(at))
