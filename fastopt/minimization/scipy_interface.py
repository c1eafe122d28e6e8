"""fo.scipy_method: the solvers as custom methods of scipy.optimize.minimize."""

from fastopt.algorithms.methods import METHODS, method_name
from fastopt.minimization.minimizing import minimize

_RENAMED = {"maxfun": "maxfev", "maxcor": "memory", "fatol": "ftol", "xatol": "xtol"}
_OPTIONS = {"gtol", "ftol", "xtol", "target", "maxiter", "maxfev", "seconds", "memory"}
_IGNORED = {"disp", "return_all"}


def scipy_method(name):
    """A solver for scipy.optimize.minimize(fun, x0, method=fo.scipy_method("lbfgs"), ...).

    name: as in fo.minimize. SciPy's arguments fun, x0, args, jac, hess, hessp, bounds, tol and callback mean
    what they mean there; options: gtol, ftol, xtol, target, maxiter, maxfev (maxfun), seconds, memory (maxcor).
    SciPy wraps compiled functions into Python ones here; fo.minimize calls them directly.
    Raises ValueError for an unknown solver, for constraints, and for options that the solver has not.
    """
    name = method_name(name)

    def method(fun, x0, args=(), jac=None, hess=None, hessp=None, bounds=None, constraints=(), callback=None,
               **options):  # fmt: skip
        if constraints != () and constraints is not None and len(constraints):
            raise ValueError(f"fo.scipy_method({name!r}) takes no constraints")
        tol = options.pop("tol", None)
        options = {_RENAMED.get(key, key): value for key, value in options.items() if key not in _IGNORED}
        if unknown := set(options) - _OPTIONS:
            raise ValueError(f"fo.scipy_method({name!r}) has no options {sorted(unknown)}")
        if tol is not None:
            for key in ("ftol", "xtol") if METHODS[name].needs == "value" else ("gtol",):
                options.setdefault(key, tol)
        return minimize(
            fun, x0, args, jac=jac if callable(jac) or jac is True else None, hess=hess if callable(hess) else None,
            hessp=hessp, bounds=bounds, callback=callback, method=name, **options,
        )  # fmt: skip

    method.__name__ = name
    return method
