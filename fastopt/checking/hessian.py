"""gradgradcheck: a Hessian, or its products with vectors, against differences of the gradient."""

import time

import numpy as np

from fastopt.checking import analytic as analytic_gradient
from fastopt.checking import diagnosis, full
from fastopt.checking.check import ROWS, VERDICTS, Run, why_undecided, worst_text
from fastopt.checking.numeric import flat_gradient
from fastopt.checking.report import GradcheckError, Report, Row
from fastopt.functions import noise, second
from fastopt.functions.guarded import in_double
from fastopt.functions.point import Point


def gradgradcheck(
    grad,
    hess,
    x,
    *,
    eps=None,
    atol=None,
    rtol=1e-3,
    raise_exception=True,
    bounds=None,
    allow_undecided=False,
    product=False,
    directions=4,
    seed=0,
):
    """Compare a Hessian, or Hessian-vector products, with differences of the gradient.

    grad: gradient in the structure of x. hess: a function of x (or an array) giving the Hessian, of shape
    (size, size) or x.shape + x.shape; with product=True a function of (x, v) giving the Hessian times v, both
    in the structure of x, checked on `directions` random v. The rest as in gradcheck.
    """
    started = time.perf_counter()
    point = Point(x)
    function = in_double(flat_gradient(grad, point), point, bounds=point.limits(bounds))
    rng = np.random.default_rng(seed)
    eps = point.steps(eps)
    if product:
        report = _check_products(function, hess, rng, eps, atol, rtol, directions, allow_undecided)
    else:
        matrix = _square(point.call(hess, x) if callable(hess) else hess, point)
        values = analytic_gradient.Analytic(matrix, np.zeros_like(matrix), 0.0)
        report = Run(function, values, atol, rtol, eps, rng, None, allow_undecided).report("full", 0)
        least = full.default_atol(matrix) if atol is None else atol
        with np.errstate(invalid="ignore"):
            symmetric = not np.abs(matrix - matrix.T).max() > least + rtol * np.abs(matrix).max()
        if not symmetric:
            report.causes.append("the Hessian is not symmetric")
    report.seconds = time.perf_counter() - started
    if raise_exception and not report.ok:
        raise GradcheckError(report)
    return report


def _square(matrix, point):
    matrix = np.asarray(matrix)
    n = point.size
    if matrix.size != n * n or matrix.dtype.kind not in "fiu":
        raise ValueError(f"the Hessian has shape {matrix.shape}, expected ({n}, {n})")
    return matrix.reshape(n, n).astype(np.float64)


@np.errstate(all="ignore")
def _check_products(function, hess, rng, eps, atol, rtol, count, allow_undecided):
    """Hessian-vector products along random v against the slope of the gradient along v."""
    point = function.point
    level = noise.measure(function, rng).level
    columns = []
    for v in _vectors(point.values, count, rng):
        with np.errstate(**point.errors):
            products = hess(point.restore(point.values), point.restore(v))
        columns.append((v, point.flatten(products, what="the product")[0]))
    analytic = np.array([p for _, p in columns]).T
    nothing = (np.zeros_like(analytic) for _ in range(3))
    result = full.Comparison(analytic, *nothing, atol or 0.0, rtol, follows=atol is None)  # type: ignore[arg-type]
    for k, (v, _) in enumerate(columns):
        first = None if eps is None else second.step_along(function, v, eps)
        tolerance = (result.atol + rtol * np.abs(analytic[:, k])) / 20
        result.take(k, second.slope_along(function, v, level, start=first, target=tolerance))
    result.follow()
    result.judge()
    settings = {"eps": None if eps is None else np.max(eps), "atol": result.atol, "rtol": rtol}
    report = Report(True, "", "products", settings=settings)
    wrong, undecided = result.status == full.WRONG, result.status == full.UNDECIDED
    report.counts = {"entries": analytic.size, "compared": analytic.size, "wrong": int(wrong.sum()),
                     "subgradients": int((result.status == full.SUBGRADIENT).sum()),
                     "undecided": int(undecided.sum())}  # fmt: skip
    report.noise, report.evaluations = float(level.max()), function.calls
    excess = result.excess()
    order = np.lexsort((-excess.ravel(), -(2 * wrong + undecided).ravel()))[:ROWS]
    for j in order:
        i, k = (int(q) for q in np.unravel_index(j, excess.shape))
        a, n = float(result.analytic[i, k]), float(result.numeric[i, k])
        cause = diagnosis.entry_cause(a, n, float(result.tolerance()[i, k])) if wrong[i, k] else ""
        report.rows.append(Row(f"(Hv)[{point.label(i)}], v {k}", (k, *point.locate(i)[1]), a, n, None, None,
                               float(result.error[i, k]), float(result.h[i, k]), float(excess[i, k]),
                               VERDICTS[result.status[i, k]], cause))  # fmt: skip
    if wrong.any():
        report.fail(
            f"{int(wrong.sum())} of {wrong.size} entries of Hv wrong; worst {worst_text(report.rows[0])}"
        )
        report.causes = diagnosis.causes(
            result.analytic.ravel(), result.numeric.ravel(), wrong.ravel(), np.zeros(wrong.size), (wrong.size,),
            result.tolerance().ravel(), False,
        )  # fmt: skip
    elif undecided.any():
        report.leave(f"{int(undecided.sum())} of {wrong.size} entries of Hv undecided", allow_undecided)
        report.warnings.append(why_undecided(result, report.noise))
    else:
        report.verdict = f"{count} Hessian-vector products agree"
    return report


def _vectors(x, count, rng):
    """Random vectors; as long as x entry by entry where its entries differ in size by far."""
    sizes = np.abs(x[x != 0])
    scale = np.abs(x) if sizes.size and sizes.max() > 1e3 * sizes.min() else np.ones(x.size)
    scale = np.where(scale == 0, sizes.min(initial=1.0), scale)
    return [rng.standard_normal(x.size) * scale for _ in range(count)]
