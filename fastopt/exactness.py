"""Whether NumPy and a compiler give a formula the same bits: then one may go on where the other stopped."""

import dis
import types

import numpy as np

# What IEEE 754 rounds in one way only. Not among them: exp, log, pow, which differ from library to library; sign, maximum
# and minimum, where NumPy's and Numba's zeros have other signs.
_FUNCTIONS = {
    "sqrt",
    "abs",
    "absolute",
    "square",
    "negative",
    "positive",
    "copysign",
    "floor",
    "ceil",
    "trunc",
    "rint",
}
_OPERATORS = {"+", "-", "*", "/", "+=", "-=", "*=", "/=", "[]", "", None}
_BRANCHES = ("POP_JUMP", "JUMP", "FOR_ITER", "IMPORT", "YIELD", "SETUP", "STORE_GLOBAL", "MAKE_FUNCTION")


def is_exact(rule):
    """Whether an element-wise rule's update, and what it measures, is made of such operations alone.

    fastopt's own are. Of a user's it is read off the code; what cannot be read counts as not exact.
    """
    cls = type(rule)
    while hasattr(cls, "around"):  # Averaged and Lookahead: exact around what is
        cls = cls.base
    if cls.__module__.startswith("fastopt."):
        return True
    functions = [getattr(cls, name) for name in ("update", "measure") if hasattr(cls, name)]
    return all(_rounds_alike(f, set()) for f in functions)


def _rounds_alike(function, seen):
    if not isinstance(function, types.FunctionType):
        return False
    if function in seen:
        return True
    seen.add(function)
    code = function.__code__
    if any(isinstance(constant, types.CodeType) for constant in code.co_consts):
        return False
    for step in dis.get_instructions(code):
        if step.opname == "BINARY_OP" and step.argrepr not in _OPERATORS:
            return False
        if step.opname.startswith(_BRANCHES):
            return False
    cells = [cell.cell_contents for cell in function.__closure__ or ()]
    modules, scope = [np], function.__globals__
    for name in code.co_names:
        if isinstance(scope.get(name), types.ModuleType):
            modules.append(scope[name])
    values = [*cells, *(_meanings(name, scope, modules) for name in code.co_names)]
    return all(_is_harmless(value, seen) for value in values)


def _meanings(name, scope, modules):
    """All that a name may stand for: a global, or an attribute of a module in use."""
    if name in scope:
        return (scope[name],)
    found = [getattr(module, name) for module in modules if hasattr(module, name)]
    return tuple(found) or (_BUILT_IN.get(name, _UNKNOWN),)


_UNKNOWN = object()
_BUILT_IN = {"abs": np.abs}


def _is_harmless(value, seen):
    if isinstance(value, tuple):
        return all(_is_harmless(one, seen) for one in value)
    if isinstance(value, np.ufunc):
        return value.__name__ in _FUNCTIONS and getattr(np, value.__name__) is value
    if isinstance(value, (bool, int, float, np.floating, np.integer)):
        return True
    if isinstance(value, types.ModuleType):
        return True
    return _rounds_alike(value, seen)
