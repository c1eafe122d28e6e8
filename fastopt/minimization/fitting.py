"""fo.least_squares: nonlinear least squares with the covariance of the parameters."""

import numpy as np

from fastopt.algorithms import differences, state
from fastopt.minimization.minimizing import minimize
from fastopt.minimization.problem import Functions, bounds_array, start_point


def least_squares(
    residual,
    x0,
    args=(),
    *,
    jac=None,
    bounds=None,
    gtol=None,
    ftol=None,
    xtol=None,
    target=None,
    maxiter=None,
    maxfev=None,
    seconds=None,
    callback=None,
):
    """Minimize half the sum of squares of residual(x, *args), an array (m,), by Levenberg and Marquardt's method.

    jac: Jacobian (m, n), a function; None: central differences inside the bounds; "complex": the complex step,
        exact for analytic residuals. bounds: as in fo.minimize, or SciPy's two arrays (low, high).
    Other arguments as in fo.minimize with method="lm" (gtol: cosine between residuals and columns).

    Result: that of fo.minimize, with
        cost = fun, half the sum of squares; residuals (m,); jac (m, n), the Jacobian at x; grad = jac' residuals;
        covariance (n, n): s^2 (J'J)^-1 with s^2 = 2 cost/(m - n), NaN where m <= n or J has not full rank;
        stderr (n,): the roots of its diagonal.
    For weights multiply the residuals by sqrt(weight). scipy.optimize.least_squares returns residuals as `fun`.
    """
    if isinstance(bounds, tuple) and len(bounds) == 2:
        bounds = _pairs(bounds, np.size(x0))
    result = minimize(
        x0=x0, args=args, residual=residual, jac=jac, bounds=bounds, gtol=gtol, ftol=ftol, xtol=xtol,
        target=target, maxiter=maxiter, maxfev=maxfev, seconds=seconds, callback=callback,
    )  # fmt: skip
    return _with_statistics(result, residual, jac, args if type(args) is tuple else (args,), x0, bounds)


def _pairs(bounds, n):
    """SciPy's (low, high) as n pairs; n pairs stay."""
    first, second = bounds
    if n == 2 and np.size(first) == 2 and np.size(second) == 2:
        raise ValueError(
            "bounds: two pairs for two parameters can be read in two ways; pass a list of pairs [(low, high), ...] "
            "or scipy.optimize.Bounds(low, high)"
        )
    return list(zip(np.broadcast_to(first, n), np.broadcast_to(second, n), strict=True))


def _with_statistics(result, residual, jac, args, x0, bounds):
    x = result.x
    low_high = bounds_array(bounds, x.size, x.dtype)
    functions = Functions(
        None, args, jac, residual=residual, bounds=low_high, size=differences.sizes(start_point(x0))
    )
    r = np.array(residual(x.copy(), *args), x.dtype).reshape(-1)
    J = np.full((r.size, x.size), np.nan, x.dtype)
    if result.status != state.NOT_FINITE:
        functions.jacobian(x, r, J.reshape(-1))
    result["cost"], result["residuals"] = result.fun, r
    result["grad"], result["jac"] = J.T @ r, J
    result["covariance"] = covariance(J, result.fun)
    result["stderr"] = np.sqrt(np.diag(result["covariance"]))
    return result


def covariance(J, cost):
    """s^2 (J'J)^-1 from the singular values of J with its columns scaled to length 1; NaN where it is unknown."""
    m, n = J.shape
    scales = np.sqrt(np.sum(np.square(J, dtype=np.float64), axis=0))
    if m <= n or not np.isfinite(scales).all() or not (scales > 0).all():
        return np.full((n, n), np.nan)
    _, s, Vt = np.linalg.svd(J / scales, full_matrices=False)
    if s[-1] <= np.finfo(np.float64).eps * m * s[0]:
        return np.full((n, n), np.nan)
    half = (Vt.T / s) / scales[:, None]
    return 2 * cost / (m - n) * (half @ half.T)
