"""A digest of a formula's code: a kernel or a checkpoint of another formula of the same name is not taken."""

import enum
import hashlib
import secrets
import sys
import types

import numpy as np

# Packages that nobody edits while a cache of kernels lasts (Numba's key has its own version and NumPy's code goes
# into no kernel).
_FIXED = {"numpy", "numba", "math", "cmath", "builtins", "operator", "typing", "collections", "llvmlite"}


def digest(cls):
    """Hex digest of all functions and constants of a class, its own and inherited, and of what they use by name.

    Of a function: of its code and of what that uses.
    Where something in it cannot be read (an object of a library's own), the digest is one of this
    process alone, so that no kernel is taken from the cache of an earlier one.
    """
    h = hashlib.sha256()
    seen = set()
    if isinstance(cls, types.FunctionType):
        _feed(h, cls, seen)
        return h.hexdigest()[:16]
    h.update(repr(getattr(cls, "_fields", ())).encode())
    parents = [parent for parent in cls.__mro__ if parent not in (object, tuple)]
    for name in sorted({name for parent in parents for name in vars(parent)}):
        value = next(vars(parent)[name] for parent in parents if name in vars(parent))
        if isinstance(value, (staticmethod, classmethod)):
            h.update(name.encode())
            _feed(h, value.__func__, seen)
        elif not name.startswith("_") and name not in getattr(cls, "_fields", ()):
            h.update(name.encode())
            _feed(h, value, seen)
    return h.hexdigest()[:16]


_PLAIN = (int, float, complex, str, bytes, bool, range, slice, type(None), type(Ellipsis))
_OF_THIS_PROCESS = secrets.token_bytes(16)


def _feed(h, value, seen):
    if isinstance(value, enum.Enum):
        h.update(str(value).encode())
        _feed(h, value.value, seen)
    elif isinstance(value, _PLAIN):
        h.update(repr(value).encode())
    elif isinstance(value, dict):
        _feed(h, tuple(value.items()), seen)
    elif isinstance(value, (tuple, list, set, frozenset)):
        h.update(f"{type(value).__name__}{len(value)}".encode())
        for item in sorted(value, key=repr) if isinstance(value, (set, frozenset)) else value:
            _feed(h, item, seen)
    elif isinstance(value, (np.ndarray, np.generic)):  # frozen into the compiled code
        h.update(f"{value.dtype}{value.shape}".encode() + value.tobytes())
    elif id(value) in seen:
        return
    elif isinstance(value, types.ModuleType):
        h.update(value.__name__.encode())
    elif _of(value) in _FIXED:
        name = getattr(value, "__qualname__", None) or getattr(value, "__name__", "")
        h.update(f"{_of(value)}.{name}".encode() if name else _OF_THIS_PROCESS)
    else:
        seen.add(id(value))
        _feed_object(h, value, seen)


def _of(value):
    """The package that a function, class or object comes from."""
    if isinstance(value, types.FunctionType):
        return str(value.__globals__.get("__name__", "")).partition(".")[0]
    if isinstance(value, np.ufunc) and getattr(np, value.__name__, None) is not value:
        return ""  # made of a user's function
    module = getattr(value, "__module__", None) or type(value).__module__
    own = any(hasattr(value, name) for name in _INSIDE)  # a user's function that a library compiled
    return "" if own else str(module).partition(".")[0]


# Where libraries keep the function that they compiled or wrapped: Numba's njit, vectorize and cfunc, intrinsic and
# overload, functools.partial and wraps.
_INSIDE = ("py_func", "_pyfunc", "_defn", "__wrapped__", "func")


def _feed_object(h, value, seen):
    if isinstance(value, types.FunctionType):
        _feed_code(h, value.__code__)
        _feed(h, value.__defaults__, seen)
        _feed(h, sorted((value.__kwdefaults__ or {}).items()), seen)
        _feed_names(h, set(_names(value.__code__)), value.__globals__, seen)
        for cell in value.__closure__ or ():
            _feed(h, cell.cell_contents, seen)
        for replacement in _overloads(value):
            _feed(h, replacement, seen)
        return
    parts = [getattr(value, name, None) for name in _INSIDE]
    parts = [part for part in parts if callable(part)]
    if parts:
        parts += [getattr(value, name, None) for name in ("args", "keywords", "targetoptions", "identity")]
    elif isinstance(value, type):
        parts = [getattr(member, "__func__", member) for name, member in sorted(vars(value).items())
                 if not name.startswith("__") or callable(member)]  # fmt: skip
    elif isinstance(value, property):
        parts = [value.fget]
    h.update(getattr(value, "__qualname__", type(value).__qualname__).encode())
    for part in parts:
        _feed(h, part, seen)
    if not parts:
        h.update(_OF_THIS_PROCESS + str(id(value)).encode())


def _overloads(function):
    """What Numba puts in a plain function's place: the functions under @overload."""
    registry = sys.modules.get("numba.core.registry")
    if registry is None:
        return []
    context = registry.cpu_target.typing_context
    context.refresh()  # takes over what was registered since
    found = context._lookup_global(function)
    templates = getattr(found, "templates", ())
    given = [getattr(template, "_overload_func", None) for template in templates]
    return [f for f in given if f is not None and _of(f) not in _FIXED]


def _feed_names(h, names, scope, seen):
    """What the names stand for in a scope; with a module, what they stand for in that module too."""
    for name in sorted(names & scope.keys()):
        value = scope[name]
        h.update(name.encode())
        _feed(h, value, seen)
        if isinstance(value, types.ModuleType) and id(value) not in seen:
            seen.add(id(value))
            if value.__name__.partition(".")[0] not in _FIXED:
                _feed_names(h, names, vars(value), seen)


def _feed_code(h, code):
    h.update(code.co_code)
    h.update(repr(code.co_names).encode())
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            _feed_code(h, constant)
        elif isinstance(constant, frozenset):  # whose order differs from process to process
            h.update(repr(sorted(map(repr, constant))).encode())
        else:
            h.update(repr(constant).encode())


def _names(code):
    yield from code.co_names
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            yield from _names(constant)
