"""Numba types that stand for a formula (a rule or a loss), so that one kernel serves them all.

A value of this type is empty at run time; its type tells the compiler which formula to inline.
The type's name holds a digest of the formula's code, so an edited formula is another type: it is
compiled anew and never found under the old one in the disk cache, and no user class is pickled.
"""

import functools

from numba.core import types
from numba.extending import NativeValue, models, overload, register_model, unbox

from fastopt.fingerprint import digest
from fastopt.rules import limits

_CLASSES: dict = {}


class Formula(types.Type):
    """A formula on arrays of `dtype` ("float32" or "float64"), with so many coefficients."""

    def __init__(self, reference, dtype, coefficients):
        self.reference = reference
        self.element = getattr(types, dtype)
        self.coefficients = coefficients
        super().__init__(name=f"Formula({reference}, {dtype}, {coefficients})")

    @property
    def formula(self):
        return _CLASSES[self.reference]


FormulaModel = models.OpaqueModel  # a value is empty
register_model(Formula)(FormulaModel)


@unbox(Formula)
def _unbox(typ, obj, c):
    return NativeValue(c.context.get_dummy_value())


def formula_type(cls, dtype, coefficients=0):
    own = cls.__module__.startswith("fastopt.")  # nobody edits these in a running process: 20 us
    return (_type_once if own else _type)(cls, str(dtype), coefficients)


def _type(cls, dtype, coefficients):
    reference = f"{cls.__module__}.{cls.__qualname__}#{digest(cls)}"
    _CLASSES[reference] = cls
    return Formula(reference, dtype, coefficients)


_type_once = functools.cache(_type)


@overload(limits.held)
def _held(x, most):
    def held(x, most):  # Numba's np.where of numbers makes arrays
        x = most if x > most else x
        return -most if x < -most else x

    return held
