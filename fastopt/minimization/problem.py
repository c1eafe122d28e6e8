"""What minimize was given, checked; and the user's Python functions as a solver calls them."""

import numbers

import numpy as np

from fastopt.algorithms import differences
from fastopt.arrays import check_unmasked


class NumberNeeded(TypeError):
    """A function returned something else than one real number."""


def start_point(x0, name="x0"):
    """A copy as a 1-D array: float32 stays, other numbers become float64."""
    x = real_numbers(x0, name)
    if x.ndim > 1:
        raise ValueError(
            f"{name} must have one dimension, not shape {x.shape}: pass {name}.ravel() and reshape in fun"
        )
    if x.size == 0:
        raise ValueError(f"{name} is empty: there is nothing to minimize over")
    dtype = np.float32 if x.dtype == np.float32 else np.float64
    return np.array(x, dtype).reshape(-1)


def real_numbers(given, name):
    """As an array; TypeError for anything but real numbers, and for a mask with something under it."""
    check_unmasked(given, name)
    try:
        array = np.asarray(given)
    except ValueError:  # lists of different lengths
        raise ValueError(f"{name} must be an array of real numbers, not {given!r:.60}") from None
    if array.dtype.kind not in "fiub":
        raise TypeError(f"{name} must hold real numbers, not {array.dtype}")
    return array


def compiled_arguments(args):
    """The arguments as compiled functions take them: arrays in this machine's byte order.

    TypeError for what Numba has no code for, and for a mask, which it would not see.
    """
    return tuple(_native(a, f"args[{i}]") if isinstance(a, np.ndarray) else a for i, a in enumerate(args))


def _native(array, name):
    check_unmasked(array, name)
    dtype = array.dtype
    if (
        dtype.kind == "O"
        or dtype.kind in "fc"
        and dtype.itemsize not in ((4, 8) if dtype.kind == "f" else (8, 16))
    ):
        raise TypeError(
            f"{name} is an array of {dtype}, which compiled functions do not take: convert it with astype(float)"
        )
    return np.asarray(array, dtype.newbyteorder("="))


def bounds_array(bounds, n, dtype=np.float64):
    """(2, n): low and high ends, from SciPy's Bounds or n pairs (low, high), None for no bound; None if all are open."""
    if bounds is None:
        return None
    if hasattr(bounds, "lb") and hasattr(bounds, "ub"):
        ends = np.array([np.broadcast_to(np.asarray(b, np.float64), (n,)) for b in (bounds.lb, bounds.ub)])
    else:
        try:
            pairs = [
                (-np.inf if a is None else float(a), np.inf if b is None else float(b)) for a, b in bounds
            ]
        except (TypeError, ValueError):
            pairs = []
        if len(pairs) != n:
            raise ValueError(
                f"bounds must be a pair (low, high) of numbers or None for each of the {n} entries of x0, "
                f"not {bounds!r:.80}"
            )
        ends = np.array(pairs, np.float64).T
    result = np.array(ends, dtype, order="C")
    if np.isnan(result).any():
        raise ValueError("bounds must not be NaN; None or inf means no bound")
    if (result[0] > result[1]).any():
        i = int(np.argmax(result[0] > result[1]))
        raise ValueError(f"bounds[{i}]: the low end {result[0, i]:g} is above the high end {result[1, i]:g}")
    if (result[0] == np.inf).any() or (result[1] == -np.inf).any():
        raise ValueError("bounds: no number is above inf or below -inf")
    return None if np.isinf(result).all() and not (result[0] == result[1]).any() else result


def checked_function(f, name, optional=True):
    if f is None and optional:
        return None
    if not callable(f):
        raise TypeError(f"{name} must be a function, not {type(f).__name__}")
    return f


def limit(value, name, default):
    """A limit as a float; None is the default."""
    if value is None:
        return default
    if isinstance(value, bool) or not isinstance(value, numbers.Real) or not value >= 0:  # type: ignore[operator]
        raise ValueError(f"{name} must be a number, at least 0, not {value!r}")
    return float(value)


class Functions:
    """The user's functions, called with copies of x; counts what is called.

    fun(x, *args) -> number; jac(x, *args) -> gradient, True (fun returns both) or None (differences
    inside the bounds). residual and its jac likewise for sums of squares.
    """

    def __init__(self, fun, args=(), jac=None, hess=None, hessp=None, residual=None, bounds=None, size=None):
        self.fun, self.args, self.jac, self.hess, self.hessp = fun, args, jac, hess, hessp
        self.residual, self.bounds, self.size = residual, bounds, size
        self.nfev = self.njev = self.nhev = 0
        self.second = None  # (x, the Hessian there)

    def value(self, x):
        self.nfev += 1
        return as_number(self.fun(x.copy(), *self.args))

    def evaluate(self, x, g):
        if self.jac is True:
            self.nfev += 1
            self.njev += 1
            both = self.fun(x.copy(), *self.args)
            if not isinstance(both, tuple) or len(both) != 2:
                raise TypeError("jac=True: fun must return (value, gradient)")
            put(both[1], g, "the gradient of fun")
            return as_number(both[0])
        f = self.value(x)
        if self.jac is None:
            if self.size[0] < 0:
                self.nfev += differences.forward(self._plain, f, x, g, self.bounds, self.size)
            else:
                self.nfev += differences.gradient(self._plain, x, g, self.bounds, self.size)
        else:
            self.njev += 1
            self._given(x, g)
        return f

    def _given(self, x, g):
        if fills(self.jac, len(self.args)):
            self.jac(x.copy(), *self.args, g)
        else:
            put(self.jac(x.copy(), *self.args), g, "jac")

    def gradient(self, x, g):
        if self.jac is None or self.jac is True:
            self.evaluate(x, g)
        else:
            self.njev += 1
            self._given(x, g)

    def _plain(self, x):
        return as_number(self.fun(x.copy(), *self.args))

    def hessian(self, x, H, row):
        n = x.size
        self.nhev += row == 0
        if self.hess is not None:
            put(self.hess(x.copy(), *self.args), H.reshape(n, n), "hess")
            return n
        differences.hessian_row(self.gradient, x, H, row, self.bounds, self.size)
        return row + 1

    def product(self, x, v, out):
        self.nhev += 1
        if self.hessp is not None:
            put(self.hessp(x.copy(), v.copy(), *self.args), out, "hessp")
        elif self.hess is not None:
            if self.second is None or not np.array_equal(self.second[0], x):  # of x there are many products
                H = np.empty((x.size, x.size), x.dtype)
                put(self.hess(x.copy(), *self.args), H, "hess")
                self.second = x.copy(), H
            np.dot(self.second[1], v, out=out)
        else:
            differences.product(self.gradient, x, v, out, self.size)

    def count_residuals(self, x):
        """m, from one call at x."""
        r = self._residuals(x)
        if r.dtype.kind not in "fiub" or r.size == 0:
            raise TypeError(
                f"residual must return real numbers, at least one, not {r.dtype} of shape {r.shape}"
            )
        self.nfev += 1
        return r.size

    def residuals(self, x, r):
        self.nfev += 1
        put(np.atleast_1d(self.residual(x.copy(), *self.args)), r, "residual")

    def jacobian(self, x, r, J):
        self.njev += 1
        if self.jac == "complex":
            differences.complex_jacobian(lambda z: self.residual(z, *self.args), x, r, J)
        elif self.jac is None:
            self.nfev += differences.jacobian(self._residuals, x, r, J, self.bounds, self.size)
        else:
            out = J.reshape(r.size, x.size)
            if fills(self.jac, len(self.args)):
                self.jac(x.copy(), *self.args, out)
            else:
                put(self.jac(x.copy(), *self.args), out, "jac")

    def _residuals(self, x):
        return np.asarray(self.residual(x.copy(), *self.args)).reshape(-1)


def fills(jac, arguments):
    """Whether a compiled jac takes the array to fill as its last argument."""
    if not hasattr(jac, "py_func"):
        return False
    return jac.py_func.__code__.co_argcount - len(jac.py_func.__defaults__ or ()) == arguments + 2


def as_number(f):
    if type(f) is float:
        return f
    if np.size(f) != 1 or np.asarray(f).dtype.kind not in "fiub":
        shape, dtype = np.shape(f), np.asarray(f).dtype
        raise NumberNeeded(f"fun must return one real number, not {dtype} of shape {shape}")
    return float(np.asarray(f).reshape(()))


def put(given, out, name):
    """Copy what a function returned, if it has the shape that is needed."""
    given = np.asarray(given)
    if given.shape != out.shape:
        raise ValueError(f"{name} must return shape {out.shape}, not {given.shape}")
    if given.dtype.kind not in "fiub":
        raise TypeError(f"{name} must return real numbers, not {given.dtype}")
    out[...] = given
