"""Problems from the literature, measured rates of convergence, and bad inputs: nothing hangs, no status lies."""

import itertools
import math

import numpy as np
import pytest
from minimize_problems import more_garbow_hillstrom, more_wild

import fastopt as fo
from fastopt.algorithms.trust_region import exact_step

PROBLEMS = {p.name: p for p in more_garbow_hillstrom()}
QUICK = ("beale", "wood", "gaussian", "powell_badly_scaled", "kowalik_osborne", "penalty_1")


@pytest.mark.parametrize("name", PROBLEMS)
def test_gradients_of_the_problems(name):
    p = PROBLEMS[name]
    x = p.start + 0.01 * np.cos(np.arange(p.start.size))
    assert fo.gradcheck(p.value, p.gradient, x, raise_exception=False)


@pytest.mark.parametrize("name", [n for n in PROBLEMS if PROBLEMS[n].known])
def test_minima_of_the_paper(name):
    p = PROBLEMS[name]
    result = fo.least_squares(p.r, p.start, jac=p.jacobian, maxiter=3000)
    assert 2 * result.cost == pytest.approx(p.known, rel=1e-5)


@pytest.mark.parametrize("method", ["lbfgs", "bfgs", "newton"])
@pytest.mark.parametrize("name", QUICK)
def test_some_problems(name, method):
    p = PROBLEMS[name]
    hess = p.hessian if method == "newton" else None
    result = fo.minimize(p.value, p.start, jac=p.gradient, hess=hess, method=method, gtol=1e-9)
    known = p.known or 0.0
    assert result.fun - known <= 1e-5 * (p.value(p.start) - known)


def test_newton_leaves_the_subspace_of_a_symmetric_start():
    p = PROBLEMS[
        "biggs"
    ]  # x_1 = x_5, x_3 = x_6: the gradient has nothing along the direction of least curvature
    result = fo.minimize(p.value, p.start, jac=p.gradient, hess=p.hessian, method="newton", gtol=1e-9)
    assert result.success and result.fun < 1e-9


@pytest.mark.long
def test_all_problems():
    counts = {"lbfgs": 0, "bfgs": 0, "newton": 0}
    problems = list(more_wild())
    assert len(problems) == 53
    for p in problems:
        ends = {}
        for method in counts:
            hess = p.hessian if method == "newton" else None
            ends[method] = fo.minimize(
                p.value, p.start, jac=p.gradient, hess=hess, method=method, gtol=1e-10, maxfev=2000
            ).fun
        for method, f in ends.items():
            counts[method] += f <= min(ends.values()) + 1e-5 * (p.value(p.start) - min(ends.values()))
    assert all(count >= 50 for count in counts.values()), counts


def distances(**options):
    """|x - minimum| after each iteration on a quadratic or Rosenbrock's function."""
    f = options.pop("f")
    found = [np.linalg.norm(f.start - f.minimum)]
    fo.minimize(
        f,
        f.start,
        jac=f.gradient,
        gtol=0,
        callback=lambda x: found.append(np.linalg.norm(x - f.minimum)),
        **options,
    )
    return np.array([d for d in found if d > 1e-13])


@pytest.mark.parametrize("condition", [3.0, 10.0, 100.0])
def test_gradient_descent_is_linear_at_the_predicted_rate(condition):
    """With lr = 2/(1 + c) the error falls by (c - 1)/(c + 1) a step: Polyak 1963."""
    f = fo.functions.quadratic(3, condition, rotation=1)
    d = distances(f=f, rule=fo.SGD(lr=2 / (1 + condition)), maxiter=int(12 * condition))
    rate = (d[-1] / d[len(d) // 2]) ** (1 / (len(d) - 1 - len(d) // 2))
    assert rate == pytest.approx((condition - 1) / (condition + 1), rel=0.02)


def test_newton_is_quadratic():
    d = distances(
        f=fo.functions.rosenbrock(2), method="newton", hess=fo.functions.rosenbrock(2).hessian, maxiter=60
    )
    tail = d[(d < 0.1) & (d > 1e-9)]
    orders = np.log(tail[1:]) / np.log(tail[:-1])
    assert orders[-1] > 1.6


@pytest.mark.parametrize("method", ["lbfgs", "bfgs"])
def test_quasi_newton_is_superlinear(method):
    d = distances(f=fo.functions.rosenbrock(2), method=method, maxiter=100)
    tail = d[d < 0.3]
    ratios = tail[1:] / tail[:-1]
    assert np.exp(np.mean(np.log(ratios[-3:]))) < 0.25 * 0.99  # gradient descent: 0.998


# ---- bad inputs -----------------------------------------------------------------------------------------


def raising(x):
    if x[0] > 0.3:
        raise ZeroDivisionError("mine")
    return float(np.sum((x - 1) ** 2))


def changing(x):
    x *= 0.5
    return float(np.sum(x**2))


FUNCTIONS = {
    "bowl": lambda x: float(np.sum(x**2)),
    "nan": lambda x: math.nan,
    "nan beside": lambda x: float(np.sum(x**2)) if x[0] > 0 else math.nan,
    "inf": lambda x: math.inf,
    "minus inf": lambda x: -math.inf,
    "falling": lambda x: -float(np.sum(np.abs(x) ** 3)),
    "line": lambda x: float(np.sum(x)),
    "constant": lambda x: 1.0,
    "steps": lambda x: float(np.sum(np.floor(4 * x) ** 2)),
    "kink": lambda x: float(np.sum(np.abs(x - 0.1))),
    "huge": lambda x: 1e300 * float(np.sum(x**2)),
    "tiny": lambda x: 1e-300 * float(np.sum(x**2)),
    "noise": lambda x: float(np.sum(x**2)) + 1e-3 * math.sin(1e9 * float(x[0])),
    "exponential": lambda x: float(np.exp(np.minimum(50 * x[0], 700.0))) + float(np.sum(x**2)),
    "raises": raising,
    "changes its argument": changing,
    "array": lambda x: x,
    "text": lambda x: "1",
    "none": lambda x: None,
    "complex": lambda x: 1j,
}
GRADIENTS = {
    "differences": None,
    "right": lambda x: 2 * x,
    "wrong sign": lambda x: -2 * x,
    "nan": lambda x: np.full_like(x, math.nan),
    "zero": np.zeros_like,
    "shape": lambda x: np.zeros(x.size + 1),
}
STARTS = (
    [1.0, 2.0],
    [math.nan, 1.0],
    [math.inf, 1.0],
    [],
    [[1.0]],
    [1e200, -1e200],
    [1e-200, 0.0],
    ["a"],
    [0.0],
)
BOUNDS = (
    None,
    [(0, 1)],
    [(1, 0), (0, 1)],
    [(0.5, 0.5), (-1, 1)],
    [(math.nan, 1), (0, 1)],
    [(None, None), (0, None)],
)
CASES = list(
    itertools.product(
        FUNCTIONS, GRADIENTS, STARTS, BOUNDS, ("lbfgs", "bfgs", "newton", "newton-cg", "nelder-mead")
    )
)


def check_one(case):
    fun, jac, x0, bounds, method = case
    calls, best = 0, math.inf

    def counted(x):
        nonlocal calls, best
        calls += 1
        f = FUNCTIONS[fun](x)
        if isinstance(f, float) and f < best:
            best = f
        return f

    with np.errstate(all="ignore"):
        try:
            result = fo.minimize(
                counted, x0, jac=GRADIENTS[jac], bounds=bounds, method=method, maxfev=400, maxiter=300
            )
        except (ValueError, TypeError, ZeroDivisionError) as error:
            assert str(error)
            return
        assert calls <= 400 + 1 and result.nfev <= 401, case
        assert result.nit <= 300
        assert result.success == (0 <= result.status <= 4)
        if result.success:
            assert math.isfinite(result.fun), case
        if fun not in ("noise", "changes its argument") and np.isfinite(result.x).all():
            f = FUNCTIONS[fun](result.x.copy())
            assert f == result.fun or (result.status == 9 and not math.isfinite(f)), case
        if result.status == 0 and jac == "right":
            g = 2 * result.x
            if bounds is None:
                assert np.abs(g).max() <= 1e-5, case


def test_bad_inputs():
    """A random fifth of a thousand; all of it and more with --long."""
    for i in np.random.default_rng(5).choice(len(CASES), 200, replace=False):
        check_one(CASES[i])


@pytest.mark.long
def test_a_thousand_bad_inputs():
    for i in np.random.default_rng(6).choice(len(CASES), 1000, replace=False):
        check_one(CASES[i])


@pytest.mark.parametrize("method", ["lbfgs", "bfgs", "newton", "newton-cg"])
@pytest.mark.parametrize("unit", [1e-12, 1e-4, 1.0, 1e6])
@pytest.mark.parametrize("factor", [1e-12, 1.0, 1e12])
def test_units_do_not_matter(method, unit, factor):
    def fun(x):
        u = x / unit
        return factor * (100 * (u[1] - u[0] ** 2) ** 2 + (1 - u[0]) ** 2)

    def jac(x):
        u = x / unit
        inner = u[1] - u[0] ** 2
        return factor / unit * np.array([-400 * u[0] * inner - 2 * (1 - u[0]), 200 * inner])

    r = fo.minimize(fun, unit * np.array([-1.2, 1.0]), jac=jac, method=method)
    assert r.success and np.abs(r.x / unit - 1).max() < 2e-3


def test_a_start_at_the_minimum_is_a_success():
    for shift in (1e-9, 1e-7, 0.0):
        r = fo.minimize(lambda x: 7 + np.sum((x - 1) ** 2), [1.0, 1.0 + shift], jac=lambda x: 2 * (x - 1))
        assert r.success and "gtol" in r.message


def least_in_a_ball(A, g, radius):
    """The least of g'p + p'Ap/2 for |p| <= radius: eigenvectors and bisection for the shift."""
    values, Q = np.linalg.eigh(A)
    c = Q.T @ g

    def model(p):
        return g @ p + 0.5 * p @ A @ p

    if values[0] > 0 and np.linalg.norm(c / values) <= radius:
        return model(-Q @ (c / values))
    low = max(0.0, -values[0]) * (1 + 1e-14) + 1e-15
    if np.linalg.norm(c / (values + low)) < radius:  # the hard case
        others = values - values[0] > 1e-10
        p = -Q[:, others] @ (c[others] / (values[others] - values[0]))
        t = math.sqrt(max(0.0, radius * radius - p @ p))
        return min(model(p + t * Q[:, 0]), model(p - t * Q[:, 0]))
    high = low + np.linalg.norm(g) / radius + 1
    for _ in range(200):
        shift = (low + high) / 2
        low, high = (shift, high) if np.linalg.norm(c / (values + shift)) > radius else (low, shift)
    return model(-Q @ (c / (values + high)))


def test_the_step_in_a_ball(rng):
    """Moré and Sorensen's step brings nearly all of the least value, in the hard case and near it too."""
    for _ in range(300):
        n = int(rng.integers(1, 8))
        Q, _ = np.linalg.qr(rng.standard_normal((n, n)))
        values = rng.standard_normal(n) * 10 ** rng.uniform(-3, 3, n)
        A = (Q * values) @ Q.T
        A, g = (A + A.T) / 2, rng.standard_normal(n) * 10 ** rng.uniform(-6, 3)
        if rng.random() < 0.4 and n > 1:  # nothing along the direction of least curvature
            lowest = Q[:, np.argmin(values)]
            g -= lowest * (lowest @ g)
        radius = 10 ** rng.uniform(-3, 3)
        L, p, w = np.zeros(n * n), np.zeros(n), np.zeros(n)
        promised = exact_step(A.ravel(), L, n, g, radius, p, w)
        assert np.linalg.norm(p) <= 1.1001 * radius
        assert promised == pytest.approx(-(g @ p + 0.5 * p @ A @ p), rel=1e-6)
        assert promised >= -0.79 * least_in_a_ball(A, g, radius)


@pytest.mark.parametrize("method", ["lbfgs", "bfgs", "newton", "newton-cg", "nelder-mead"])
@pytest.mark.parametrize(
    "unit_x, unit_f", [(1e-12, 1e-12), (1e12, 1e12), (1e12, 1e-12), (1e-12, 1e12), (1.0, 1e12)]
)
def test_units_of_x_and_f_do_not_matter(method, unit_x, unit_f):
    p = PROBLEMS["rosenbrock"]

    def fun(x):
        return unit_f * (1.0 + p.value(x / unit_x))

    def jac(x):
        return unit_f / unit_x * p.gradient(x / unit_x)

    def hess(x):
        return unit_f / unit_x**2 * p.hessian(x / unit_x)

    given = {} if method == "nelder-mead" else {"jac": jac}
    given |= {"hess": hess} if "newton" in method else {}
    result = fo.minimize(fun, p.start * unit_x, method=method, **given)
    assert result.success
    np.testing.assert_allclose(result.x / unit_x, 1.0, atol=0.02)


@pytest.mark.parametrize("method", ["lbfgs", "bfgs", "newton"])
def test_a_far_minimum_from_zero_is_not_called_unbounded(method):
    def jac(x):
        return 2e-12 * (x / 1e12 - 1.0)

    result = fo.minimize(lambda x: np.sum((x / 1e12 - 1.0) ** 2), np.zeros(3), jac=jac, method=method)
    assert result.success
    np.testing.assert_allclose(result.x, 1e12, rtol=1e-3)


@pytest.mark.parametrize("unit_x, unit_f", [(1e12, 1e-12), (1e12, 1.0), (1e-12, 1e12), (1.0, 1e-12)])
def test_a_first_column_of_zeros_has_no_unit(unit_x, unit_f):
    p = PROBLEMS["beale"]  # at its start the residuals do not depend on the first entry
    root = np.sqrt(unit_f)
    r = fo.minimize(
        residual=lambda x: root * p.r(x / unit_x),
        jac=lambda x: root / unit_x * p.jacobian(x / unit_x),
        x0=unit_x * p.start,
    )
    assert r.success and r.fun < 1e-20 * unit_f


@pytest.mark.parametrize("unit_x, unit_f", [(1e12, 1.0), (1e-12, 1e-12)])
def test_a_simplex_that_has_collapsed_is_no_success(unit_x, unit_f):
    p = PROBLEMS["watson"]  # from zeros, which tell nothing about the unit of x
    r = fo.minimize(
        lambda x: unit_f * p.value(x / unit_x), unit_x * p.start, method="nelder-mead", maxiter=10_000
    )
    assert r.success and r.fun < 2.29e-3 * unit_f


@pytest.mark.parametrize("bounds", [None, [(-1, 1), (0, 1)]])
@pytest.mark.parametrize("start", [1e-20, -1e-200, 1e-300, 1e-310])
def test_a_simplex_too_small_to_see_the_function_is_no_success(start, bounds):
    r = fo.minimize(
        lambda x: float(np.sum((x - 0.3) ** 2)), [start, abs(start)], method="nelder-mead", bounds=bounds
    )
    assert r.success and np.abs(r.x - 0.3).max() < 1e-3


@pytest.mark.parametrize("bounded", [False, True])
def test_two_loops_are_the_updates_multiplied_out(bounded, rng):
    """Against BFGS' formula on matrices (Nocedal & Wright 2006, equation 7.16), in the free entries alone with bounds."""
    from fastopt.algorithms.lbfgs import two_free_loops, two_loops

    n, memory, pairs, newest = 5, 4, 3, 1  # the oldest is number 3
    A = rng.standard_normal((n, n))
    A = A @ A.T + np.eye(n)
    free = np.array([1.0, 1, 0, 1, 1]) if bounded else np.ones(n)
    S = free * rng.standard_normal((memory, n))
    Y = S @ A
    g = free * rng.standard_normal(n)
    s, y = free * S[newest], free * Y[newest]
    H = (s @ y) / (y @ y) * np.diag(free)
    for j in (3, 0, 1):
        s, y = free * S[j], free * Y[j]
        if bounded and j == 0:
            Y[j] -= 2 * y  # no curvature there: left out
            continue
        V = np.eye(n) - np.outer(y, s) / (s @ y)
        H = V.T @ H @ V + np.outer(s, s) / (s @ y)
    rho = 1 / np.einsum("ij,ij->i", S, S @ A)
    q, kept = g.copy(), (S.ravel(), Y.ravel(), rho, np.empty(memory), pairs, newest, memory)
    if bounded:
        two_free_loops(q, *kept, free, np.empty(n))
    else:
        two_loops(q, *kept)
    np.testing.assert_allclose(q, -H @ g, rtol=1e-10, atol=1e-12)


def test_pairs_beyond_what_helps_are_not_kept():
    """More than 2n + 2 pairs are as many: the run is the same."""
    p = PROBLEMS["beale"]
    runs = [fo.minimize(p.value, p.start, jac=p.gradient, memory=m, gtol=1e-9) for m in (4, 6, 7, 50)]
    assert all((r.x == runs[1].x).all() and r.nfev == runs[1].nfev for r in runs[2:])
    assert (runs[0].x != runs[1].x).any() and all(r.success for r in runs)


@pytest.mark.parametrize("compiled", [False, True])
def test_a_box_is_crossed_by_the_first_step(compiled):
    """Where all entries have two bounds, the first trial is the gradient, which the box shortens: a vertex at once."""
    n = 50
    slopes = np.arange(1.0, n + 1)

    def convex(x):
        return np.sum(slopes * x * x) / 2, slopes * x

    fun = pytest.importorskip("numba").njit(convex) if compiled else convex
    box = fo.minimize(fun, np.full(n, 0.5), jac=True, bounds=[(0.1, 10)] * n)
    assert box.success and (box.x == 0.1).all() and box.nfev == 2
    half = fo.minimize(fun, np.full(n, 0.5), jac=True, bounds=[(0.1, None)] * n)
    assert half.success and (half.x == 0.1).all()


def test_many_bounds_are_reached_at_once():
    """A function that falls without curvature, or whose quasi-Newton end points leave the box, is not led from bound to bound."""
    n = 200
    weights = np.arange(1.0, n + 1)

    def concave(x):
        return float(-weights @ x**2), -2 * weights * x

    result = fo.minimize(concave, np.full(n, 0.5), jac=True, bounds=[(0.1, 10)] * n)
    assert result.success and (result.x == 10).all() and result.nfev < 20

    def chain(x):  # EXPLIN of CUTE
        e = np.exp(0.1 * x[:30] * x[1:31])
        g = -10 * weights[:60]
        g[:30] += 0.1 * e * x[1:31]
        g[1:31] += 0.1 * e * x[:30]
        return float(e.sum() - 10 * weights[:60] @ x), g

    held = []
    result = fo.minimize(
        chain, np.zeros(60), jac=True, bounds=[(0, 10)] * 60, callback=lambda x: held.append((x == 10).sum())
    )
    assert result.success and (result.x[31:] == 10).all() and max(np.diff(held)) > 20


@pytest.mark.parametrize("method", ["bfgs", "lbfgs"])
@pytest.mark.parametrize("start", [(129.10815154, 427.15455307), (448.94367494, -39.95486069)])
def test_a_model_that_sees_one_direction_only_is_forgotten(method, start):
    """Jennrich and Sampson's function from far: its curvature at 427 made every step along the other variable shorter
    than rounding, and BFGS ended in "success" at 2.7e22 with a gradient of 1e22."""
    i = np.arange(1, 11)

    def residuals(x):
        return 2 + 2 * i - np.exp(i * x[0] / 50) - np.exp(i * x[1] / 50)

    def gradient(x):
        return -2 / 50 * np.array([residuals(x) @ (i * np.exp(i * each / 50)) for each in x])

    result = fo.minimize(lambda x: float(residuals(x) @ residuals(x)), start, jac=gradient, method=method)
    assert result.success
    assert np.abs(gradient(result.x)).max() <= 1e-4


def zettl(x):
    return 0.25 * x[0] + (x[0] ** 2 - 2 * x[0] + x[1] ** 2) ** 2


def hosaki(x):
    a = 1 - 8 * x[0] + 7 * x[0] ** 2 - 7 / 3 * x[0] ** 3 + x[0] ** 4 / 4
    return a * x[1] ** 2 * np.exp(-x[1])


def price(x):
    return 1 + np.sin(x[0]) ** 2 + np.sin(x[1]) ** 2 - 0.1 * np.exp(-(x[0] ** 2) - x[1] ** 2)


@pytest.mark.parametrize(
    "fun, start, bounds, reached",
    [
        (zettl, (-9.933, 0.003), [(None, 1.927), (None, 9.525)], -0.0037912),
        (hosaki, (3.151, 1.067), [(3.151, 3.187), (1.067, 4.295)], -1.6978),
        (price, (-411.116, -186.739), [(-411.614, 90.812), (-393.023, -186.739)], 1.0),
    ],
)
def test_a_simplex_clipped_to_a_bound_leaves_it_where_the_function_falls(fun, start, bounds, reached):
    """Bounds that are narrower than 5 % of an entry, or a valley that is: it ended at the bound in "success"."""
    result = fo.minimize(fun, start, method="nelder-mead", bounds=bounds)
    assert result.success
    assert result.fun <= reached + 1e-3


def largest_residual(c):
    A, b = np.array([[2.0, 1], [-1, 3], [1, -1]]), np.array([1.0, 2, -1])

    def gradient(x):
        i = np.argmax(np.abs(A @ x - b))
        return A[i] * np.sign((A @ x - b)[i])

    return lambda x: c + np.abs(A @ x - b).max(), gradient


def nesterov(c):
    def gradient(x):
        s = np.where(x[1] > 2 * abs(x[0]) - 1, 1.0, -1.0)
        return np.array([0.25 * np.sign(x[0] - 1) - 2 * s * np.sign(x[0]), s])

    return lambda x: c + 0.25 * abs(x[0] - 1) + abs(x[1] - 2 * abs(x[0]) + 1), gradient


def sum_of_sizes(c):
    return lambda x: c + np.abs(x).sum(), lambda x: np.where(x > 0, 1.0, -1.0)


@pytest.mark.parametrize("method", ["lbfgs", "bfgs"])
@pytest.mark.parametrize("problem", [largest_residual, nesterov, sum_of_sizes])
def test_a_kink_is_no_success(problem, method):
    """The model of a kink promises nothing, at its lowest point and elsewhere, while the gradient stays as it was."""
    for c in (1.0, 1000.0):
        f, gradient = problem(c)
        for start in ([-1.0, 1.0], [0.3, -0.8]):
            r = fo.minimize(f, start, jac=gradient, method=method)
            assert not r.success or r.optimality == 0.0, r


@pytest.mark.parametrize("method", ["lbfgs", "bfgs"])
def test_a_sum_of_squares_of_0_in_large_units_is_a_success(method):
    """f is rounding at the end, so that it is no measure of what rounding hides."""

    def himmelblau(x):
        a, b = x
        r, s = a * a + b - 11, a + b * b - 7
        return r * r + s * s, np.array([4 * a * r + 2 * s, 2 * r + 4 * b * s])

    for unit_x, unit_f in ((1.0, 1e12), (1e-8, 1e12)):

        def fun(x, unit_x=unit_x, unit_f=unit_f):
            f, g = himmelblau(x / unit_x)
            return unit_f * f, unit_f / unit_x * g

        for start in ([1.0, 1.0], [-2.0, 3.5], [4.0, -1.0]):
            r = fo.minimize(fun, unit_x * np.array(start), jac=True, method=method)
            assert r.success and r.fun < 1e-25 * unit_f, r


def test_newton_cg_does_not_follow_the_units_of_f():
    calls = []
    for unit in (1e-9, 1.0, 1e9):

        def f(x, unit=unit):
            return unit * (100 * np.sum((x[1:] - x[:-1] ** 2) ** 2) + np.sum((1 - x) ** 2))

        def gradient(x, unit=unit):
            inner = x[1:] - x[:-1] ** 2
            g = -2 * (1 - x)
            g[:-1] -= 400 * x[:-1] * inner
            g[1:] += 200 * inner
            return unit * g

        r = fo.minimize(f, np.full(10, -0.9), jac=gradient, method="newton-cg", gtol=1e-7 * unit)
        assert r.success
        calls.append(r.nfev)
    assert max(calls) <= 1.2 * min(calls), calls


@pytest.mark.parametrize("jac", [True, False])
def test_a_minimum_with_a_singular_jacobian_is_a_success(jac):
    """Freudenstein and Roth's higher minimum: the linear model promises all of the sum there, and no step brings it."""

    def residual(x):
        return np.array(
            [-13 + x[0] + ((5 - x[1]) * x[1] - 2) * x[1], -29 + x[0] + ((x[1] + 1) * x[1] - 14) * x[1]]
        )

    def jacobian(x):
        return np.array([[1, 10 * x[1] - 3 * x[1] ** 2 - 2], [1, 3 * x[1] ** 2 + 2 * x[1] - 14]])

    for start in (
        [5, -20],
        [3.3821811165140465, -0.46442147411852813],
        [-50.05596093182988, -33.27396768819517],
        [3.088892591167886, -2.346961119117767],
        [-2.5051450448151287, -16.72450131117632],
        [-5.372948620990869, -27.536180597014386],
    ):
        r = fo.least_squares(residual, np.array(start), jac=jacobian if jac else None)
        assert r.success and r.cost == pytest.approx(24.49212683962, rel=1e-9), r
        wrong = fo.least_squares(residual, np.array(start), jac=lambda x: -jacobian(x))
        assert not wrong.success
