"""A user's function, called with care, its derivatives by differences; and functions to try minimizers on."""

from fastopt.functions.differences import NumericGradient
from fastopt.functions.examples import (
    Example,
    beale,
    booth,
    himmelblau,
    logistic_regression,
    plateau,
    quadratic,
    rastrigin,
    ravine,
    rosenbrock,
    saddle,
)
from fastopt.functions.guarded import EvaluationError

__all__ = [
    "EvaluationError",
    "Example",
    "NumericGradient",
    "beale",
    "booth",
    "himmelblau",
    "logistic_regression",
    "plateau",
    "quadratic",
    "rastrigin",
    "ravine",
    "rosenbrock",
    "saddle",
]
