"""f, called with care: results checked, x guarded, errors placed, the end of its domain noticed, calls counted."""

import time
from typing import Any

import numpy as np

from fastopt.functions.point import Workspace


class EvaluationError(RuntimeError):
    """f or the gradient raised, or modified its argument."""


# What arithmetic beside x may raise: math.log(-1), 1/0, a Cholesky factor that does not exist.
_OUTSIDE = (ArithmeticError, ValueError)
_KEPT = 1 << 26  # bytes of arrays kept for an f that remembers them by identity


class Function:
    """f at points near x, as a float64 vector of its outputs (one for a scalar f).

    dtype None gives f arrays in the dtypes of x, float64 gives it copies in double precision. bounds: flat
    (lower, upper): f is never called outside of them. Outside, and where f raises ArithmeticError or
    ValueError beside x, its value is NaN; at x itself every error is one.
    """

    def __init__(self, f, point, *, name="f", dtype=None, scalar=False, with_gradient=False, bounds=None):
        if not callable(f):
            raise TypeError(f"{name} must be a function, not {type(f).__name__}")
        self.f, self.point, self.name = f, point, name
        self.scalar, self.with_gradient = scalar, with_gradient
        self.work = Workspace(point, dtype)
        self.dtype = np.dtype(dtype or point.dtype)
        bounds_or_none: Any = (None, None) if bounds is None else bounds
        self.lower, self.upper = bounds_or_none
        self.calls, self.seconds, self.gradient = 0, 0.0, None
        self.shape, self.raised, self.value_dtypes = None, None, []
        self._kept: Any = None
        start = time.perf_counter()
        self.value = self.at(point.values)
        self.seconds = time.perf_counter() - start

    def move(self, flat, value=None):
        """Look at another point of the same shape; value: f there, if it is known."""
        self.point.values = np.array(flat, dtype=np.float64).reshape(-1)
        self.value = self.at(self.point.values) if value is None else np.array([float(value)])

    @property
    def eps(self):
        """Unit roundoff of x or of the value, whichever is coarser."""
        return float(max(np.finfo(self.dtype).eps, self.value_eps))

    @property
    def outputs(self):
        return self.value.size

    def at(self, flat):
        """f at a flat point; afterwards the point must be what it was."""
        if self._outside(flat):
            return np.full(self.value.shape, np.nan)
        self.work.fill(flat)
        value = self._call("at x" if flat is self.point.values else "near x")
        self._guard(flat)
        return value

    def realised(self, flat):
        """The flat point as it is after rounding to the dtype that f is given."""
        self.work.fill(flat)
        return self.work.read()

    def moved(self, i, t):
        """(realised step, f) with flat entry i moved by t; the rest is restored, not checked."""
        x = self.point.values[i]
        taken = self.work.put(i, x + t)
        step = taken - x
        if self.lower is not None and not self.lower[i] <= taken <= self.upper[i]:
            self.work.put(i, x)
            return step, np.full(self.value.shape, np.nan)
        try:
            value = self._call("with {} moved by {:.1e}", i, t)
        finally:
            self.work.put(i, x)
        return step, value

    def shifted(self, begin, step):
        """(realised step, f) with the entries from begin on moved by the vector step; then restored."""
        x = self.point.values[begin : begin + len(step)]
        there = self.work.put_range(begin, x + step)
        taken = there - x
        if self._outside(there, begin):
            self.work.put_range(begin, x)
            return taken, np.full(self.value.shape, np.nan)
        try:
            value = self._call(f"with entries {begin} to {begin + len(step) - 1} moved")
        finally:
            self.work.put_range(begin, x)
        return taken, value

    def start(self):
        """Before a series of `moved`."""
        self.work.fill(self.point.values)

    def finish(self):
        """After a series of `moved`: nothing else may have changed."""
        self._guard(self.point.values)

    def _guard(self, flat):
        i = self.work.changed(flat)
        if i is not None:
            raise EvaluationError(
                f"{self.name} modifies its argument: {self.point.label(i)} was {flat[i]:.6g} before the call "
                f"and {self.work.read()[i]:.6g} after it; work on a copy"
            )

    def _outside(self, flat, begin=0):
        if self.lower is None:
            return False
        part = slice(begin, begin + len(flat))
        return bool(((flat < self.lower[part]) | (flat > self.upper[part])).any())

    def _call(self, where, i=None, t=0.0):
        self.calls += 1
        try:
            result = self.work.call(self.f) if self._kept is None else self._call_on_copy()
        except Exception as error:
            place = where if i is None else where.format(self.point.label(i), t)
            message = f"{self.name} raised {type(error).__name__} {place}: {error}"
            if isinstance(error, _OUTSIDE) and where != "at x":
                self.raised = self.raised or (message, error)
                return np.full(self.value.shape, np.nan)
            raise EvaluationError(message) from error
        return self._value(result)

    def _call_on_copy(self):
        """A new array each time, kept so that no later one gets its address."""
        argument = self.work.copy()
        if self.calls * self.point.size * 8 < _KEPT:
            self._kept.append(argument)
        return self.point.call(self.f, argument)

    @property
    def by_identity(self):
        """Whether f was found to answer by the identity of x; it is given copies since."""
        return self._kept is not None

    def notice_identity(self):
        """After f did not move at all: whether it moves on a new array; then it gets a new one each time."""
        if self._kept is not None:
            return False
        x = self.point.values
        moved = x + 1e-3 * np.where(x == 0, 1.0, x)
        stale = self.at(moved)
        self._kept = []
        if np.array_equal(self.at(moved), stale, equal_nan=True):
            self._kept = None
            return False
        self.value = self.at(x)
        return True

    def _value(self, result):
        if self.with_gradient:
            result, self.gradient = _split(result, self.name)
        elif (
            isinstance(result, (tuple, list))
            and len(result) > 1
            and np.ndim(result[0]) == 0 < np.ndim(result[1])
        ):
            raise TypeError(f"{self.name} returned a tuple; leave grad=None if it is (value, gradient)")
        value = self._number(result)
        if self.scalar and value.ndim:
            raise ValueError(
                f"{self.name} returned an array of shape {value.shape} where a number is due; "
                "sum it, or use numeric_jacobian"
            )
        if self.shape is None:
            self.shape = value.shape
            self.value_eps = 0.0
        if value.dtype not in self.value_dtypes:
            self.value_dtypes.append(value.dtype)
            if value.dtype.kind == "f":  # the coarsest that f returned
                self.value_eps = max(self.value_eps, float(np.finfo(value.dtype).eps))
        if value.shape != self.shape:
            raise ValueError(f"{self.name} returned shape {value.shape} after {self.shape}")
        return np.array(value, dtype=np.float64).reshape(-1)

    def _number(self, result):
        if result is None:
            raise TypeError(f"{self.name} returned None: is a return statement missing?")
        value = np.asarray(result)
        if value.dtype.kind == "c":
            raise TypeError(f"{self.name} returned a complex value; check its real and imaginary part apart")
        if value.dtype.kind not in "fiub":
            raise TypeError(f"{self.name} returned {type(result).__name__}, not a number")
        if value.size == 0:
            raise ValueError(f"{self.name} returned an empty array")
        return value


def _split(result, name):
    if not isinstance(result, (tuple, list)) or len(result) < 2:
        kind = f"a {type(result).__name__}"
        raise TypeError(f"without grad, {name} must return (value, gradient), not {kind}")
    return result[0], result[1] if len(result) == 2 else tuple(result[1:])


@np.errstate(all="ignore")
def in_double(f, point, **options):
    """f evaluated in double precision where it accepts that, else in the dtype of x.

    Differences of float32 values lose half of the digits; a formula that takes float64 as well is
    better judged there.
    """
    own = Function(f, point, **options)
    if point.dtype == np.float64 or np.finfo(point.dtype).eps < np.finfo(np.float64).eps:
        return own
    try:
        double = Function(f, point, dtype=np.float64, **options)
    except (EvaluationError, TypeError, ValueError):  # f was not made for this dtype
        return own
    largest = np.abs(own.value[np.isfinite(own.value)]).max(initial=0)
    close = np.allclose(double.value, own.value, rtol=1e-2, atol=1e-3 * largest, equal_nan=True)
    if not close:
        return own
    double.calls += own.calls
    return double
