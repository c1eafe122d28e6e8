"""gradgradcheck: a Hessian, or its products with vectors, against differences of the gradient."""

import time

import numpy as np

from fastopt.checking import analytic as analytic_gradient
from fastopt.checking import diagnosis, full
from fastopt.checking.check import ROWS, VERDICTS, Run, worst_text
from fastopt.checking.numeric import flat_gradient
from fastopt.checking.report import GradcheckError, Report, Row
from fastopt.functions import ladder, noise
from fastopt.functions.guarded import in_double
from fastopt.functions.point import Point


def gradgradcheck(
    grad,
    hess,
    x,
    *,
    eps=1e-6,
    atol=1e-5,
    rtol=1e-3,
    raise_exception=True,
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
    function = in_double(flat_gradient(grad, point), point)
    rng = np.random.default_rng(seed)
    if product:
        report = _check_products(function, hess, rng, eps, atol, rtol, directions)
    else:
        matrix = _square(point.call(hess, x) if callable(hess) else hess, point)
        values = analytic_gradient.Analytic(matrix, np.zeros_like(matrix), 0.0)
        report = Run(function, values, atol, rtol, eps, rng, None).report("full", 0)
        with np.errstate(invalid="ignore"):
            symmetric = not np.abs(matrix - matrix.T).max() > atol + rtol * np.abs(matrix).max()
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
def _check_products(function, hess, rng, eps, atol, rtol, count):
    """Hessian-vector products along random v against ladders of the gradient along v."""
    point = function.point
    level = noise.measure(function, rng).level
    columns = []
    for _ in range(count):
        v = rng.standard_normal(point.size)
        with np.errstate(**point.errors):
            products = hess(point.restore(point.values), point.restore(v))
        columns.append((v, point.flatten(products, what="the product")[0]))
    analytic = np.array([p for _, p in columns]).T
    result = full.Comparison(analytic, *(np.zeros_like(analytic) for _ in range(3)), atol, rtol)
    function.start()
    for k, (v, _) in enumerate(columns):
        phi = _along(function, v)
        tolerance = (atol + rtol * np.abs(analytic[:, k])) / 20
        start = 0.01 / max(1.0, np.linalg.norm(v) / 10)
        result.take(k, ladder.slope(phi, function.value, level, start, target=tolerance))
    function.finish()
    result.judge()
    report = Report(True, "", "products", settings={"eps": eps, "atol": atol, "rtol": rtol})
    wrong = result.status == full.WRONG
    report.counts = {"entries": analytic.size, "compared": analytic.size, "wrong": int(wrong.sum()),
                     "subgradients": int((result.status == full.SUBGRADIENT).sum()),
                     "undecided": int((result.status == full.UNDECIDED).sum())}  # fmt: skip
    report.noise, report.evaluations = float(level.max()), function.calls
    excess = result.excess()
    order = np.lexsort((-excess.ravel(), -wrong.ravel().astype(int)))[:ROWS]
    for j in order:
        i, k = (int(q) for q in np.unravel_index(j, excess.shape))
        a, n = float(result.analytic[i, k]), float(result.numeric[i, k])
        cause = diagnosis.entry_cause(a, n, float(result.tolerance()[i, k])) if wrong[i, k] else ""
        report.rows.append(Row(f"(Hv)[{point.label(i)}], v {k}", (k, *point.locate(i)[1]), a, n, None, None,
                               float(result.error[i, k]), float(result.h[i, k]), float(excess[i, k]),
                               VERDICTS[result.status[i, k]], cause))  # fmt: skip
    report.ok = not wrong.any()
    if not report.ok:
        report.verdict = (
            f"{int(wrong.sum())} of {wrong.size} entries of Hv wrong; worst {worst_text(report.rows[0])}"
        )
        report.causes = diagnosis.causes(
            result.analytic.ravel(), result.numeric.ravel(), wrong.ravel(), np.zeros(wrong.size), (wrong.size,),
            result.tolerance().ravel(), False,
        )  # fmt: skip
    else:
        report.verdict = f"{count} Hessian-vector products agree"
    return report


def _along(function, v):
    def phi(t):
        _, value = function.shifted(0, t * v)
        return t, value

    return phi
