"""What machine instructions a rule's formula becomes."""

import re

from numba import njit
from numba.core import types

from fastopt.kernels.language.formula import formula_type
from fastopt.kernels.step import elementwise


def step_instructions(cls, dtype, coefficients):
    """Names of the instructions in the loop of a rule on arrays of dtype ("float32", "float64").

    Compiled anew: what comes from the disk cache cannot be inspected.
    """
    h = formula_type(cls, dtype, coefficients)
    loop = njit(nogil=True, error_model="numpy")(elementwise.update_chunk.py_func)
    plan = types.NamedUniTuple(types.int64, len(elementwise.PLAN), elementwise.PlanTuple)
    loop.compile((h, types.UniTuple(h.element, coefficients), plan, types.int64, types.int64))
    text = loop.inspect_asm(loop.signatures[0])
    return {name.removeprefix("v") for name in re.findall(r"^\s+(v?[a-z]+[0-9]*[a-z]*)\b", text, re.M)}
