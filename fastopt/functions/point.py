"""The point x at which f is examined: one array, or a tuple, list or dict of arrays."""

import math
from collections.abc import Mapping
from numbers import Real

import numpy as np

from fastopt.structure import Structure


class Point:
    """x as one flat float64 vector; x itself is copied once and never touched.

    A tuple is spread over the arguments of f, as in torch; a list or a dict is passed whole.
    """

    def __init__(self, x, what="x"):
        self.errors = np.geterr()
        self._structure, given = Structure.of(x, _sequence(x))
        self.kind, self.names = self._structure
        self.arrays = [_checked(a, _title(what, name)) for name, a in zip(self.names, given, strict=True)]
        self.shapes = [a.shape for a in self.arrays]
        self.dtypes = [a.dtype for a in self.arrays]
        self.offsets = np.cumsum([0, *(a.size for a in self.arrays)])
        self.values = np.concatenate([a.ravel() for a in self.arrays], dtype=np.float64)
        if not self.size:
            raise ValueError(f"{what} is empty: there is nothing to differentiate")
        bad = np.flatnonzero(~np.isfinite(self.values))
        if bad.size:
            raise ValueError(f"{what} is not finite: {self.label(bad[0])} is {self.values[bad[0]]}")

    @property
    def size(self):
        return int(self.offsets[-1])

    @property
    def dtype(self):
        """The least precise dtype of the arrays."""
        return max(self.dtypes, key=lambda d: np.finfo(d).eps)

    def locate(self, i):
        """Number of the array and index in it of flat entry i."""
        k = int(np.searchsorted(self.offsets, i, side="right")) - 1
        index = np.unravel_index(int(i - self.offsets[k]), self.shapes[k])
        return k, tuple(int(j) for j in index)

    def label(self, i):
        k, index = self.locate(i)
        return f"{self.title(k)}[{', '.join(map(str, index))}]" if index else self.title(k)

    def title(self, k):
        return _title("x", self.names[k])

    def pack(self, arrays):
        """Arrays in the structure of x."""
        return self._structure.pack(arrays)

    def call(self, f, argument):
        """f as the caller would call it, under the error settings that the point was made with.

        f may overflow beside x; what the checker computes from that is judged, not warned of.
        """
        with np.errstate(**self.errors):
            return f(*argument) if self.kind == "tuple" else f(argument)

    def steps(self, eps, what="eps"):
        """eps, one number or an array for all entries or in the structure of x, as a number or flat array."""
        if eps is None or np.ndim(eps) == 0 and not isinstance(eps, Mapping):
            found = eps
        else:
            found = self._spread(eps, what)
        if found is not None and np.asarray(found).dtype.kind not in "fiub":
            raise TypeError(f"{what} must be a number above 0, or an array of them, not {eps!r:.60}")
        if found is not None and not (np.isfinite(found) & (np.asarray(found) > 0)).all():
            raise ValueError(f"{what} must be positive, not {eps}")
        return None if found is None else np.asarray(found, float) if np.ndim(found) else float(found)

    def limits(self, bounds):
        """bounds as flat (lower, upper), or None; scipy's Bounds too. x must lie within."""
        if bounds is None:
            return None
        if hasattr(bounds, "lb") and hasattr(bounds, "ub"):
            bounds = bounds.lb, bounds.ub
        if not isinstance(bounds, (tuple, list)) or len(bounds) != 2:
            raise ValueError("bounds must be (lower, upper), each a number, None, or in the structure of x")
        lower = np.broadcast_to(self._spread(bounds[0], "bounds", -np.inf), self.size)
        upper = np.broadcast_to(self._spread(bounds[1], "bounds", np.inf), self.size)
        for bad, why in (
            (~(lower < upper), "leave no room: the lower is not below the upper"),
            (~((lower <= self.values) & (self.values <= upper)), "do not hold x"),
        ):
            if bad.any():
                i = int(np.flatnonzero(bad)[0])
                raise ValueError(
                    f"bounds [{lower[i]:g}, {upper[i]:g}] of {self.label(i)} = {self.values[i]:g} {why}"
                )
        return lower, upper

    def _spread(self, given, what, none=np.nan):
        """A number, a flat array, or arrays in the structure of x that broadcast to theirs, as flat numbers."""
        if given is None:
            return np.full(self.size, none)
        if isinstance(given, Mapping) or (self.kind != "array" and isinstance(given, (tuple, list))):
            parts = self._parts(given, what)
        elif np.ndim(given) == 0:
            return np.full(self.size, float(given))
        elif self.kind != "array" and np.shape(given) == (self.size,):
            return np.asarray(given, dtype=float)
        else:
            parts = [given]
        flat = np.empty(self.size)
        for k, part in enumerate(parts):
            part = np.asarray(none if part is None else part, dtype=float)
            if part.shape == (flat[self.offsets[k] : self.offsets[k + 1]].size,):
                part = part.reshape(self.shapes[k])
            try:
                part = np.broadcast_to(part, self.shapes[k])
            except ValueError:
                raise ValueError(f"{what} has shape {part.shape}, {self.title(k)} {self.shapes[k]}") from None
            flat[self.offsets[k] : self.offsets[k + 1]] = part.ravel()
        return flat

    @np.errstate(over="ignore")
    def restore(self, flat, leading=(), dtypes=None):
        """A flat result (leading..., size) as arrays in the structure of x."""
        parts = []
        for k, shape in enumerate(self.shapes):
            part = flat[..., self.offsets[k] : self.offsets[k + 1]]
            dtype = self.dtypes[k] if dtypes is None else dtypes
            parts.append(part.reshape((*leading, *shape)).astype(dtype))
        return self.pack(parts)

    def flatten(self, g, leading=(), what="the gradient"):
        """A gradient in the structure of x (or a Jacobian: shapes leading + shape) as (outputs, size)."""
        rows = math.prod(leading)
        flat = np.empty((rows, self.size))
        for k, part in enumerate(self._parts(g, what)):
            name = what if self.kind == "array" else f"{what} of {self.title(k)}"
            part = _numbers(part, name)
            size, expected = math.prod(self.shapes[k]), (*leading, *self.shapes[k])
            if part.shape not in (expected, (*leading, size), (rows, size)):
                why = f": f returns an array {leading}, not one number" if leading else ""
                raise ValueError(f"{name} has shape {part.shape}, expected {expected}{why}")
            flat[:, self.offsets[k] : self.offsets[k + 1]] = part.reshape(rows, size)
        return flat

    def dtypes_of(self, g):
        """The floating dtypes of the arrays of a gradient."""
        arrays = (np.asarray(part) for part in self._parts(g, "the gradient") if part is not None)
        return {a.dtype for a in arrays if a.dtype.kind == "f"}

    def _parts(self, g, what):
        is_sequence = isinstance(g, (tuple, list))
        if is_sequence or self.kind in ("array", "dict"):
            parts = self._structure.parts(g)
        else:
            parts = [g] if len(self.names) == 1 else None
        if parts is not None:
            return parts
        if self.kind == "dict":
            given = sorted(map(str, g)) if isinstance(g, Mapping) else type(g).__name__
            raise ValueError(f"{what} must be a dict with keys {self.names}, not {given}")
        given = f"{len(g)} arrays" if is_sequence else type(g).__name__
        raise ValueError(f"{what} must be {len(self.names)} arrays, one for each of x, not {given}")


class Workspace:
    """Contiguous copies of the arrays of a point that f is given and that may be moved."""

    def __init__(self, point, dtype=None):
        self.point = point
        dtypes = [dtype or d for d in point.dtypes]
        arrays = [np.empty(shape, d) for shape, d in zip(point.shapes, dtypes, strict=True)]
        self._flats = [a.reshape(-1) for a in arrays]
        self._argument = point.pack(arrays)
        self.fill(point.values)

    def call(self, f):
        return self.point.call(f, self._argument)

    def copy(self):
        """The argument of f in arrays of its own."""
        shapes = self.point.shapes
        return self.point.pack([f.reshape(s).copy() for f, s in zip(self._flats, shapes, strict=True)])

    def fill(self, flat):
        for k, part in enumerate(self._flats):
            part[:] = flat[self.point.offsets[k] : self.point.offsets[k + 1]]

    def read(self):
        return np.concatenate(self._flats, dtype=np.float64)

    def put(self, i, value):
        """Set flat entry i; the value it takes in the array's dtype."""
        if len(self._flats) == 1:
            part, j = self._flats[0], i
        else:
            k = int(np.searchsorted(self.point.offsets, i, side="right")) - 1
            part, j = self._flats[k], i - self.point.offsets[k]
        part[j] = value
        return float(part[j])

    def put_range(self, begin, values):
        """Set flat entries from begin on; the values they take in the arrays' dtypes."""
        taken = np.empty(len(values))
        end = begin + len(values)
        for k, part in enumerate(self._flats):
            first, last = self.point.offsets[k], self.point.offsets[k + 1]
            a, b = max(begin, first), min(end, last)
            if a < b:
                part[a - first : b - first] = values[a - begin : b - begin]
                taken[a - begin : b - begin] = part[a - first : b - first]
        return taken

    def changed(self, flat):
        """First flat entry that differs from what was put in, or None."""
        for k, part in enumerate(self._flats):
            expected = flat[self.point.offsets[k] : self.point.offsets[k + 1]].astype(part.dtype)
            if not np.array_equal(part, expected, equal_nan=True):
                different = (part != expected) & ~((part != part) & (expected != expected))
                return int(self.point.offsets[k] + np.flatnonzero(different)[0])
        return None


def _sequence(x):
    """Whether x is a sequence of arrays; one of numbers is an array."""
    if not isinstance(x, (tuple, list)) or not x or all(isinstance(v, Real) for v in x):
        return None
    return "list" if type(x) is list else "tuple"


def _title(what, name):
    if name is None:
        return what
    return f"{what}[{name}]" if isinstance(name, int) else str(name)


def _checked(a, name):
    a = np.asarray(a)
    if a.dtype.kind == "c":
        raise TypeError(
            f"{name} is complex: check f as a function of the real and the imaginary part, "
            "f(re, im) with x=(re, im)"
        )
    if a.dtype.kind in "iub":
        raise TypeError(
            f"{name} holds integers ({a.dtype}): a step of 1e-6 cannot be added; pass {name}.astype(float)"
        )
    if a.dtype.kind != "f":
        raise TypeError(f"{name} must be an array of floating point numbers, not {a.dtype}")
    return np.array(a, dtype=a.dtype.newbyteorder("="), order="C")


def _numbers(a, name):
    if a is None:
        raise TypeError(f"{name} is None: does the function lack a return statement?")
    a = np.asarray(a)
    if a.dtype.kind == "c":
        raise TypeError(f"{name} is complex; a real array is needed")
    if a.dtype.kind not in "fiub":
        raise TypeError(f"{name} is not numeric: {a.dtype}")
    return a
