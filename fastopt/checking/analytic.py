"""The gradient under test at x, and how exact its own dtype lets it be."""

from typing import NamedTuple

import numpy as np

from fastopt.functions.guarded import EvaluationError
from fastopt.functions.point import Workspace


class Analytic(NamedTuple):
    values: np.ndarray  # (outputs, size) float64
    floor: np.ndarray  # (outputs, size) rounding to be expected
    repeat: float  # how far two evaluations lie apart
    eps: float = float(np.finfo(np.float64).eps)  # rounding of the coarsest of x and the gradient
    dtypes: tuple = ()  # of the gradient where it is evaluated


@np.errstate(all="ignore")
def evaluate(grad, function):
    """grad: a function, an array in the structure of x, or None where f returns (value, gradient).

    In double precision where x is coarser and grad accepts float64: then the formula is judged, and the
    result in the dtype of x must only be near it. Otherwise `floor` is how much the gradient moves when x is
    moved by a rounding error.
    """
    point = function.point
    if grad is not None and not callable(grad):
        values = point.flatten(grad, function.shape, "grad")
        return Analytic(values, np.zeros_like(values), 0.0)
    at = _At(grad, function)
    values, again = at(None, point.values), at(None, point.values)
    repeat = float(np.nan_to_num(np.abs(values - again)).max())
    dtypes = tuple(sorted(map(str, at.dtypes)))
    eps = max(float(np.finfo(d).eps) for d in (point.dtype, *at.dtypes))
    if eps <= np.finfo(np.float64).eps:
        return Analytic(values, np.zeros_like(values), repeat, eps, dtypes)
    double = _in_double(at, point, values) if np.finfo(point.dtype).eps > np.finfo(np.float64).eps else None
    if double is not None:
        return Analytic(double, np.zeros_like(values), repeat, eps, dtypes)
    return Analytic(values, _rounding(at, point, values, eps), repeat, eps, dtypes)


class _At:
    """(dtype, flat x) -> (outputs, size); dtypes: what the gradient had at x in its own dtype."""

    def __init__(self, grad, function):
        self.grad, self.function, self.point = grad, function, function.point
        self.name = "f" if grad is None else "the gradient"
        self.dtypes = set()

    def __call__(self, dtype, flat):
        result = self._evaluated(dtype, flat)
        point, shape = self.point, self.function.shape
        if self.grad is None:
            result = result[1] if len(result) == 2 else tuple(result[1:])
        elif _is_pair(result, (*shape, *point.shapes[0])) and point.kind == "array":
            result = result[1]
        if dtype is None:
            self.dtypes |= point.dtypes_of(result)
        return point.flatten(result, shape)

    def _evaluated(self, dtype, flat):
        work = Workspace(self.point, dtype)
        work.fill(flat)
        try:
            result = work.call(self.function.f if self.grad is None else self.grad)
        except Exception as error:
            raise EvaluationError(f"{self.name} raised {type(error).__name__} at x: {error}") from error
        i = work.changed(flat)
        if i is not None:
            raise EvaluationError(
                f"{self.name} modifies its argument at {self.point.label(i)}; work on a copy"
            )
        return result


def _is_pair(result, shape):
    """Whether it is (value, gradient), not a gradient written as a tuple of two numbers."""
    return isinstance(result, tuple) and len(result) == 2 and np.shape(result[1]) == shape


def _in_double(at, point, values):
    try:
        double = at(np.float64, point.values)
    except (EvaluationError, TypeError, ValueError):  # grad was not made for float64
        return None
    scale = np.nan_to_num(np.abs(double)).max()
    near = np.abs(values - double) <= 1e-2 * np.abs(double) + 1e-3 * scale
    return double if near.all() else None


def _rounding(at, point, values, eps):
    rng = np.random.default_rng(0)
    eps_x = float(np.finfo(point.dtype).eps)
    moves = []
    for _ in range(5):
        moved = point.values * (1 + eps_x * rng.choice([-1.0, 1.0], point.size))
        moves.append(np.abs(at(None, moved) - values))
    largest = np.nan_to_num(np.abs(values)).max(axis=1, keepdims=True)
    floor = 3 * np.nan_to_num(np.median(moves, axis=0)) + 4 * eps * largest
    return np.minimum(floor, max(1e-3, 16 * eps) * largest)
