"""Detectors that look at the loss around the last parameters: its gradient and its curvature."""

import numpy as np

from fastopt.diagnostics.finding import detector
from fastopt.diagnostics.lanczos import lanczos

CONDITION = 1e6
SMALL = 1e-2  # a gradient of that share of the largest seen counts as small


def extremes(case):
    """(smallest, largest) curvature by 24 Lanczos steps at the last parameters, or None."""
    product, n = _product(case)
    if product is None:
        return None
    with np.errstate(all="ignore"):
        try:
            low, high, _ = lanczos(product, n)
        except (ValueError, np.linalg.LinAlgError):
            return None
    return (low, high) if np.isfinite(low) and np.isfinite(high) else None


def _product(case):
    """(v -> H v, size), or (None, 0)."""
    if case.objective is not None and case.W is not None:
        return _objective_product(case), case.W.size + (0 if case.b is None else case.b.size)
    if case.point is None:
        return None, 0
    x = np.asarray(case.point, float).ravel()
    if case.hessian_product is not None:
        return lambda v: case.hessian_product(x, v), x.size
    if case.gradient is not None:
        return lambda v: _difference(case.gradient, x, v), x.size
    return None, 0


def _objective_product(case):
    objective, W, b = case.objective, case.W, case.b

    def product(v):
        v = np.asarray(v, W.dtype)
        V = v[: W.size].reshape(W.shape)
        if b is None:
            return objective.hessian_product(W, None, V).ravel()
        HV, Hc = objective.hessian_product(W, b, V, v[W.size :].copy())
        return np.concatenate([HV.ravel(), Hc])

    return product


def _difference(gradient, x, v):
    """H v by central differences of the gradient."""
    h = 1e-5 * max(1.0, float(np.linalg.norm(x))) / max(float(np.linalg.norm(v)), 1e-300)
    return (np.asarray(gradient(x + h * v), float) - np.asarray(gradient(x - h * v), float)).ravel() / (2 * h)


@detector(
    "incorrect gradient",
    rule="a directional derivative by differences deviates from the gradient's by more than its error estimate",
    window="three random directions at the last parameters",
    cure="check the formula: fo.gradcheck names the entries and a likely cause",
    needs=("value", "gradient", "point"),
)
def incorrect_gradient(case):
    x = np.asarray(case.point, float)
    g = np.asarray(case.gradient(x), float)
    rng = np.random.default_rng(0)
    for _ in range(3):
        v = rng.normal(size=x.shape)
        v /= np.linalg.norm(v)
        numeric, error = _directional(case.value, x, v)
        analytic = float(np.sum(g * v))
        if abs(analytic - numeric) > max(1e-4 * max(abs(numeric), np.linalg.norm(g)), 20 * error):
            return f"along a random direction the gradient says {analytic:.6g}, differences say {numeric:.6g} (±{error:.1g})"
    return None


def _directional(f, x, v):
    """(derivative along v, error): central differences with two steps, extrapolated."""
    h = 1e-3 * max(1.0, float(np.max(np.abs(x), initial=0.0)))
    big = (f(x + h * v) - f(x - h * v)) / (2 * h)
    small = (f(x + h / 8 * v) - f(x - h / 8 * v)) / (h / 4)
    rounding = 4 * np.finfo(float).eps * abs(f(x)) / h * 8
    return small + (small - big) / 63, abs(small - big) / 63 + rounding


@detector(
    "ill-conditioning",
    rule="columns, filled in 1 % of the rows or more, whose sizes (root mean square of what is not 0) differ by more "
    "than 30, or that lie further from 0 than 10 deviations; for a function of one's own, curvatures that differ by more than 1e6",
    window="400 rows spread over X, or 24 Lanczos steps at the last parameters",
    cure="standardise these columns (fo.readers and LinearClassifier do it), or use L-BFGS or Newton",
    needs=(),
)
def ill_conditioning(case):
    if case.X is not None:
        from fastopt.diagnostics import columns

        return columns.scales(case)
    if case.point is None or (found := case.curvature()) is None:
        return None
    low, high = found
    if low > 0 and high > CONDITION * low:
        return f"curvatures between {low:.2g} and {high:.2g}: condition number {high / low:.1g} or more"
    return None


@detector(
    "saddle",
    rule="the smallest curvature is negative, below -1e-3 of the largest, while the gradient is below a hundredth of the "
    "largest seen",
    window="24 Lanczos steps at the last parameters",
    cure="move a little along the negative direction (noise does it), or use momentum or a trust region",
    needs=("point",),
)
def saddle(case):
    if case.gradient is None and case.gradient_norm is None:
        return None
    norm = (
        float(np.linalg.norm(case.gradient(case.point)))
        if case.gradient is not None
        else case.gradient_norm[-1]
    )
    top = norm if case.gradient_norm is None else np.nanmax(case.gradient_norm)
    if case.gradient_norm is not None and not norm <= SMALL * top:
        return None
    if case.gradient_norm is None and not norm < 1e-2:
        return None
    if (found := case.curvature()) is None:
        return None
    low, high = found
    if low < -1e-3 * max(abs(high), abs(low)):
        return f"the gradient is {norm:.2g}, and the curvature is {low:.3g} along one direction ({high:.3g} along another)"
    return None


@detector(
    "rate near its limit",
    rule="without momentum, the learning rate of the last half is above 0.9 times 2/largest curvature",
    window="the last half of the run, 24 Lanczos steps at the last parameters",
    cure="lower the learning rate to half of 2/largest curvature; standardise the features",
    needs=("lr", "rule"),
)
def rate_near_limit(case):
    if case.rule is None or type(case.rule).__name__ != "SGD" or (found := case.curvature()) is None:
        return None
    lr = float(np.nanmean(case.lr[len(case.lr) // 2 :]))
    share = lr * found[1] / 2
    if share > 0.9:
        return f"the learning rate {lr:.3g} is {share:.3g} times 2/largest curvature ({found[1]:.3g})"
    return None


@detector(
    "local optima",
    rule="the lowest and the highest final loss of restarts differ by more than 5 % of the lowest, or 1e-3",
    window="three restarts at least",
    cure="keep the best of several starts (fo.random_restarts), use noise or momentum, or a convex model",
    needs=("restarts",),
)
def local_optima(case):
    ends = np.asarray(case.restarts, float)
    ends = ends[np.isfinite(ends)]
    if len(ends) < 3:
        return None
    apart = ends.max() - ends.min()
    if apart > max(1e-3, 0.05 * abs(ends.min())):
        return f"{len(ends)} restarts end between {ends.min():.4g} and {ends.max():.4g}"
    return None
