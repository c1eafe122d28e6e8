"""Solvers of linear models on fo.Objective, with a proof of convergence in what they report.

A solver is a generator of iterates (x, f, g): the point, the smooth part's value and gradient there; it ends
where it finds no smaller value. `solve` says when to stop before, and measures the end anew.
"""

from fastopt.solvers.choose import SOLVERS
from fastopt.solvers.solve import Report, Solution, solve

__all__ = ["SOLVERS", "Report", "Solution", "solve"]
