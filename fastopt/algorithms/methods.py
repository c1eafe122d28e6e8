"""The solvers by name, and what each needs."""

from typing import Any, NamedTuple

from fastopt.algorithms.bfgs import bfgs, bfgs_size
from fastopt.algorithms.descent import descent, descent_size
from fastopt.algorithms.lbfgs import lbfgs, lbfgs_size
from fastopt.algorithms.levenberg_marquardt import levenberg_marquardt, levenberg_size
from fastopt.algorithms.nelder_mead import nelder_mead, nelder_mead_size
from fastopt.algorithms.newton import newton, newton_cg, newton_cg_size, newton_size


class Method(NamedTuple):
    solver: Any  # f(fun, x, g, bounds, head, work)
    size: Any  # of work, from (n, memory, rows)
    bounds: bool = False
    needs: str = "gradient"  # or "value", "hessian", "product", "residuals"
    gtol: float = 1e-5
    ftol: float = 0.0
    xtol: float = 0.0
    follows_start: bool = False  # the default of gtol is relative to a small gradient at the start


METHODS = {
    "lbfgs": Method(lbfgs, lbfgs_size, bounds=True, follows_start=True),
    "bfgs": Method(bfgs, bfgs_size, follows_start=True),
    "newton": Method(newton, newton_size, needs="hessian", follows_start=True),
    "newton-cg": Method(newton_cg, newton_cg_size, needs="product", follows_start=True),
    "nelder-mead": Method(nelder_mead, nelder_mead_size, bounds=True, needs="value", ftol=1e-8, xtol=1e-8),
    "lm": Method(
        levenberg_marquardt,
        levenberg_size,
        bounds=True,
        needs="residuals",
        gtol=1e-10,
        ftol=1e-15,
        xtol=1e-12,
    ),
}
DESCENT = Method(descent, descent_size, bounds=True)  # by a rule, which the solver takes besides
SOLVERS = {**METHODS, "descent": DESCENT}

ALIASES = {"l-bfgs": "lbfgs", "l-bfgs-b": "lbfgs", "neldermead": "nelder-mead", "newtoncg": "newton-cg",
           "levenberg-marquardt": "lm"}  # fmt: skip


def method_name(name):
    if isinstance(name, str):
        key = name.lower().replace("_", "-")
        key = ALIASES.get(key, key)
        if key in METHODS:
            return key
    raise ValueError(f"method must be one of {', '.join(METHODS)}, not {name!r}")
