"""A digest of a formula's code: a kernel or a checkpoint of another formula of the same name is not taken."""

import hashlib
import types

_FIXED = {"numpy", "numba", "math", "cmath", "builtins"}  # modules that nobody edits


def digest(cls):
    """Hex digest of all functions and constants of a class and of what they use by name."""
    h = hashlib.sha256()
    seen = set()
    h.update(repr(getattr(cls, "_fields", ())).encode())
    for name in sorted(vars(cls)):
        value = vars(cls)[name]
        if isinstance(value, staticmethod):
            _feed(h, value.__func__, seen)
        elif not name.startswith("_"):
            _feed(h, value, seen)
    return h.hexdigest()[:16]


def _feed(h, value, seen):
    if isinstance(value, types.FunctionType):
        if value in seen:
            return
        seen.add(value)
        _feed_code(h, value.__code__)
        _feed(h, value.__defaults__, seen)
        _feed_names(h, set(_names(value.__code__)), value.__globals__, seen)
        for cell in value.__closure__ or ():
            _feed(h, cell.cell_contents, seen)
    elif hasattr(value, "py_func"):  # a user's own compiled helper
        _feed(h, value.py_func, seen)
    elif isinstance(value, types.ModuleType):
        h.update(value.__name__.encode())
    elif isinstance(value, (int, float, str, bool, tuple, type(None))):
        h.update(repr(value).encode())
    elif hasattr(value, "__qualname__"):
        h.update(f"{value.__module__}.{value.__qualname__}".encode())
    elif hasattr(value, "tobytes"):  # an array frozen into the compiled code
        h.update(value.tobytes())


def _feed_names(h, names, scope, seen):
    """What the names stand for in a scope; with a module, what they stand for in that module too."""
    for name in sorted(names & scope.keys()):
        value = scope[name]
        h.update(name.encode())
        _feed(h, value, seen)
        if isinstance(value, types.ModuleType) and value not in seen:
            seen.add(value)
            if value.__name__.partition(".")[0] not in _FIXED:
                _feed_names(h, names, vars(value), seen)


def _feed_code(h, code):
    h.update(code.co_code)
    h.update(repr(code.co_names).encode())
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            _feed_code(h, constant)
        else:
            h.update(repr(constant).encode())


def _names(code):
    yield from code.co_names
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            yield from _names(constant)
