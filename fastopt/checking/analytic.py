"""The gradient under test at x, and how exact its own dtype lets it be."""

from typing import NamedTuple

import numpy as np

from fastopt.functions.guarded import EvaluationError
from fastopt.functions.point import Workspace


class Analytic(NamedTuple):
    values: np.ndarray  # (outputs, size) float64
    floor: np.ndarray  # (outputs, size) rounding to be expected
    repeat: float  # how far two evaluations lie apart


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
    at = _gradient_of(grad, function)
    values, again = at(None, point.values), at(None, point.values)
    repeat = float(np.nan_to_num(np.abs(values - again)).max())
    eps = float(np.finfo(point.dtype).eps)
    if eps <= np.finfo(np.float64).eps:
        return Analytic(values, np.zeros_like(values), repeat)
    double = _in_double(at, point, values)
    if double is not None:
        return Analytic(double, np.zeros_like(values), repeat)
    return Analytic(values, _rounding(at, point, values, eps), repeat)


def _gradient_of(grad, function):
    """(dtype, flat x) -> (outputs, size)"""
    point = function.point
    name = "f" if grad is None else "the gradient"

    def at(dtype, flat):
        work = Workspace(point, dtype)
        work.fill(flat)
        try:
            result = work.call(function.f if grad is None else grad)
        except Exception as error:
            raise EvaluationError(f"{name} raised {type(error).__name__} at x: {error}") from error
        i = work.changed(flat)
        if i is not None:
            raise EvaluationError(f"{name} modifies its argument at {point.label(i)}; work on a copy")
        if grad is None:
            result = result[1] if len(result) == 2 else tuple(result[1:])
        elif _is_pair(result, (*function.shape, *point.shapes[0])) and point.kind == "array":
            result = result[1]
        return point.flatten(result, function.shape)

    return at


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
    moves = []
    for _ in range(5):
        moved = point.values * (1 + eps * rng.choice([-1.0, 1.0], point.size))
        moves.append(np.abs(at(None, moved) - values))
    largest = np.nan_to_num(np.abs(values)).max(axis=1, keepdims=True)
    floor = 3 * np.nan_to_num(np.median(moves, axis=0)) + 4 * eps * largest
    return np.minimum(floor, max(1e-3, 16 * eps) * largest)
