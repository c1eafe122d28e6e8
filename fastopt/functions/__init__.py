"""A user's function, called with care, and its derivatives by differences."""

from fastopt.functions.differences import NumericGradient
from fastopt.functions.guarded import EvaluationError

__all__ = ["EvaluationError", "NumericGradient"]
