"""Complex step: Im f(x + ih)/h has no cancellation, and is meaningless where f is not analytic."""

import warnings

import numpy as np

from fastopt.functions import line
from fastopt.functions.noise import measure

_H = 1e-100  # relative to x
_REFUSED = {
    np.absolute: "abs", np.fabs: "abs", np.maximum: "max", np.minimum: "min", np.fmax: "max", np.fmin: "min",
    np.greater: "a comparison (>)", np.greater_equal: "a comparison (>=)", np.less: "a comparison (<)",
    np.less_equal: "a comparison (<=)", np.equal: "a comparison (==)", np.not_equal: "a comparison (!=)",
    np.sign: "sign", np.conjugate: "conj", np.floor: "floor", np.ceil: "ceil", np.rint: "rint",
    np.logical_not: "a truth value", np.logical_and: "a truth value", np.logical_or: "a truth value",
    np.isfinite: None, np.isnan: None, np.isinf: None,
}  # fmt: skip
_REFUSED_FUNCTIONS = (
    "real", "imag", "angle", "abs", "amax", "amin", "max", "min", "sort", "argsort", "argmax", "argmin", "clip",
    "median", "partition", "vdot", "linalg.norm", "where", "real_if_close", "percentile", "quantile", "nanmax",
)  # fmt: skip


class NotAnalyticError(TypeError):
    """The complex step does not apply to this function."""


class _Traced(np.ndarray):
    """A complex array that refuses what has no complex derivative."""

    def __array_ufunc__(self, ufunc, method, *inputs, out=None, **keywords):
        reason = _REFUSED.get(ufunc, "")
        if reason:
            raise NotAnalyticError(_message(reason))
        plain = [np.asarray(i) if isinstance(i, _Traced) else i for i in inputs]
        if out is not None:
            keywords["out"] = tuple(np.asarray(o) if isinstance(o, _Traced) else o for o in out)
        result = getattr(ufunc, method)(*plain, **keywords)
        if out is not None:
            return out[0]
        return _traced(result)

    def __array_function__(self, function, types, arguments, keywords):
        name = function.__name__ if "linalg" not in function.__module__ else f"linalg.{function.__name__}"
        if name in _REFUSED_FUNCTIONS and not (name == "where" and len(arguments) < 2):
            raise NotAnalyticError(_message(f"np.{name}"))
        return _traced(super().__array_function__(function, types, arguments, keywords))

    def __getitem__(self, index):
        return _traced(super().__getitem__(index))

    def __bool__(self):
        raise NotAnalyticError(_message("a truth value"))

    def __float__(self):
        raise NotAnalyticError("the complex step needs f to take complex numbers; it converts one to float")

    @property
    def real(self):
        raise NotAnalyticError(_message(".real"))

    @property
    def imag(self):
        raise NotAnalyticError(_message(".imag"))


def _traced(a):
    if isinstance(a, tuple):
        return tuple(_traced(part) for part in a)
    if isinstance(a, np.ndarray | np.generic) and np.asarray(a).dtype.kind == "c":
        return np.asarray(a).view(_Traced)
    return a


def _message(operation):
    return (
        f"the complex step does not apply: f uses {operation}, which is not analytic; "
        'use method="central" or "richardson"'
    )


def complex_gradient(f, point, function):
    """(outputs, size) derivatives; refused where f is not analytic, with the reason."""
    if hasattr(f, "py_func"):
        f = f.py_func
    arrays = [a.astype(np.complex128).view(_Traced) for a in point.arrays]
    value = _call(f, point, arrays)
    if np.asarray(value).dtype.kind != "c":
        raise NotAnalyticError("the complex step does not apply: f returns a real number at a complex x")
    result = np.empty((function.outputs, point.size))
    plain = [a.astype(np.complex128) for a in point.arrays]
    for i in range(point.size):
        k, index = point.locate(i)
        keep = plain[k][index]
        h = max(_H * (abs(keep) or 1.0), 1e-280)
        plain[k][index] = keep + 1j * h
        result[:, i] = np.asarray(_call(f, point, plain)).imag.reshape(-1) / h
        plain[k][index] = keep
    _compare(result, point, function)
    return result


def _call(f, point, arrays):
    with warnings.catch_warnings():
        warnings.simplefilter("error", np.exceptions.ComplexWarning)
        try:
            return point.call(f, point.pack([a.copy() for a in arrays]))
        except NotAnalyticError:
            raise
        except (np.exceptions.ComplexWarning, TypeError, ValueError, AttributeError) as error:
            raise NotAnalyticError(
                f"the complex step does not apply: f does not take complex x ({error})"
            ) from error


def _compare(result, point, function):
    """Differences along random directions must agree within their error: not every trick is seen by the tracer.

    Entries are moved by shares of themselves; a zero by as much as the least of the others.
    """
    size = np.abs(point.values)
    size[size == 0] = min(1.0, size[size > 0].min(initial=1.0))
    direction = np.random.default_rng(0).uniform(0.5, 1.5, point.size) * size
    noise = measure(function, np.random.default_rng(0)).level
    eps = float(np.finfo(function.dtype).eps)
    function.start()
    found = line.slope(
        lambda t: (t, function.shifted(0, t * direction)[1]), function.value, noise,
        line.Range(0.01, 16 * eps, 1e6, 2 * eps, joint=True), relative=1e-6,
    )  # fmt: skip
    _, far = function.shifted(0, 1e-3 * direction)
    function.finish()
    complex_step = result @ direction
    # Where the derivative is 0 the slope to a point further off is the measure.
    secant = np.nan_to_num(np.abs(far - function.value) / 1e-3, posinf=0.0)
    allowed = 1e-2 * np.abs(result) @ direction + 4 * found.error + 1e-6 * secant
    bad = np.abs(found.value - complex_step) > allowed
    bad |= found.kink & np.isfinite(found.error)
    if bad.any():
        raise NotAnalyticError(
            "the complex step does not apply: it disagrees with a difference quotient "
            f"({complex_step[bad][0]:.6g} against {found.value[bad][0]:.6g}), so f is not analytic"
        )
