"""Minimization of any function: one problem or very many, plain Python or compiled."""

from fastopt.minimization.fitting import least_squares
from fastopt.minimization.linear_search import random_linear_search
from fastopt.minimization.many import minimize_many
from fastopt.minimization.minimizing import minimize
from fastopt.minimization.scipy_interface import scipy_method
from fastopt.minimization.searches import grid_search, random_restarts, random_search, successive_halving

__all__ = [
    "grid_search",
    "least_squares",
    "minimize",
    "minimize_many",
    "random_linear_search",
    "random_restarts",
    "random_search",
    "scipy_method",
    "successive_halving",
]
