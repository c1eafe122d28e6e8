"""Numeric derivatives and the check of analytic ones against them."""

from fastopt.checking.check import gradcheck
from fastopt.checking.complexstep import NotAnalyticError
from fastopt.checking.formulas import check_loss, check_rule
from fastopt.checking.hessian import gradgradcheck
from fastopt.checking.linear import numeric_linear_gradient
from fastopt.checking.numeric import (
    hessian_vector_product,
    numeric_gradient,
    numeric_hessian,
    numeric_jacobian,
)
from fastopt.checking.report import GradcheckError
from fastopt.functions.guarded import EvaluationError

__all__ = [
    "EvaluationError",
    "GradcheckError",
    "NotAnalyticError",
    "check_loss",
    "check_rule",
    "gradcheck",
    "gradgradcheck",
    "hessian_vector_product",
    "numeric_gradient",
    "numeric_hessian",
    "numeric_jacobian",
    "numeric_linear_gradient",
]
