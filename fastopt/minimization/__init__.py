"""Minimization of any function: one problem or very many, plain Python or compiled."""

from fastopt.minimization.minimizing import minimize

__all__ = ["minimize"]
