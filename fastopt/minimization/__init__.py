"""Minimization of any function: one problem or very many, plain Python or compiled."""

from fastopt.minimization.fitting import least_squares
from fastopt.minimization.many import minimize_many
from fastopt.minimization.minimizing import minimize
from fastopt.minimization.scipy_interface import scipy_method

__all__ = ["least_squares", "minimize", "minimize_many", "scipy_method"]
