"""fo.minimize: every solver finds minima, its status is true, its limits hold."""

import math
import os
import signal
import threading

import numpy as np
import pytest

import fastopt as fo

METHODS = ("lbfgs", "bfgs", "newton", "newton-cg", "nelder-mead")
WITH_GRADIENT = METHODS[:-1]
methods = pytest.mark.parametrize("method", METHODS)
with_gradient = pytest.mark.parametrize("method", WITH_GRADIENT)
either = pytest.mark.parametrize("how", ["plain", "compiled"])


def rosenbrock(x):
    s = 0.0
    for i in range(x.size - 1):
        s += 100 * (x[i + 1] - x[i] ** 2) ** 2 + (1 - x[i]) ** 2
    return s


def rosenbrock_gradient(x):
    g = np.zeros(x.size)
    for i in range(x.size - 1):
        a = x[i + 1] - x[i] ** 2
        g[i] += -400 * a * x[i] - 2 * (1 - x[i])
        g[i + 1] += 200 * a
    return g


@pytest.fixture
def made(how):
    """made(function): itself, or compiled."""
    if how == "plain":
        return lambda f: f
    return pytest.importorskip("numba").njit


def truth(result, fun, gradient=None, gtol=1e-5):
    """What a result must be, whatever the run was."""
    assert result.fun == fun(result.x) or (math.isnan(result.fun) and math.isnan(fun(result.x)))
    if "optimality" in result and gradient is not None:
        assert result.optimality == pytest.approx(np.abs(gradient(result.x)).max(), rel=1e-6, abs=1e-12)
        if result.status == 0:
            assert np.abs(gradient(result.x)).max() <= gtol
        elif result.optimality <= gtol:
            assert result.success
    assert result.success == (result.status <= 4)


@methods
@either
@pytest.mark.parametrize("n", [2, 5])
def test_rosenbrock(method, made, n):
    jac = None if method == "nelder-mead" else made(rosenbrock_gradient)
    x0 = np.tile([-1.2, 1.0], n)[:n]
    result = fo.minimize(made(rosenbrock), x0, jac=jac, method=method)
    assert result.success, result.message
    if n == 2 or method == "newton-cg":
        np.testing.assert_allclose(result.x, 1, atol=1e-4)
    truth(result, rosenbrock, rosenbrock_gradient)
    assert (x0 == np.tile([-1.2, 1.0], n)[:n]).all()


@with_gradient
@either
def test_differences_take_the_place_of_derivatives(method, made):
    result = fo.minimize(made(rosenbrock), [-1.2, 1.0], method=method)
    np.testing.assert_allclose(result.x, 1, atol=1e-4)
    assert result.success


@either
def test_arguments_and_both_at_once(made):
    def fun(x, center, weights):
        d = x - center
        return np.sum(weights * d * d), 2 * weights * d

    center, weights = np.array([1.0, -2.0, 3.0]), np.array([1.0, 10.0, 100.0])
    result = fo.minimize(made(fun), np.zeros(3), (center, weights), jac=True)
    np.testing.assert_allclose(result.x, center, atol=1e-5)


@either
@pytest.mark.parametrize("method", ["lbfgs", "nelder-mead"])
def test_bounds(method, made, rng):
    optimize = pytest.importorskip("scipy.optimize")
    A = rng.standard_normal((6, 6))
    A = A @ A.T + np.eye(6)
    b = 5 * rng.standard_normal(6)
    outside = []

    def fun(x):
        return 0.5 * np.sum(x * np.sum(A * x, axis=1)) - np.sum(b * x)

    def watched(x):
        if (x < -1).any() or (x > 0.5).any():
            outside.append(x)
        return fun(x)

    bounds = [(-1, 0.5)] * 6
    f = watched if made(fun) is fun else made(fun)
    options = {"maxiter": 20_000} if method == "nelder-mead" else {}
    result = fo.minimize(f, np.zeros(6), method=method, bounds=bounds, **options)
    known = optimize.minimize(fun, np.zeros(6), method="L-BFGS-B", bounds=bounds, tol=1e-12)
    assert result.success and result.fun <= known.fun + 1e-5
    assert not outside
    assert ((result.x >= -1) & (result.x <= 0.5)).all()


@methods
@either
def test_limits(method, made):
    fun, jac = made(rosenbrock), None if method == "nelder-mead" else made(rosenbrock_gradient)
    result = fo.minimize(fun, [-1.2, 1.0], jac=jac, method=method, maxiter=3)
    assert result.nit == 3 and result.status == 5 and not result.success
    result = fo.minimize(fun, [-1.2, 1.0], jac=jac, method=method, maxfev=7)
    assert result.nfev <= 7 and result.status == 6
    truth(result, rosenbrock)
    result = fo.minimize(fun, [-1.2, 1.0], jac=jac, method=method, target=0.5)
    assert result.fun <= 0.5 and result.status == 3
    result = fo.minimize(fun, [-1.2, 1.0], jac=jac, method=method, gtol=0, ftol=0, xtol=0, seconds=0)
    assert result.status == 7 and result.fun <= rosenbrock(np.array([-1.2, 1.0]))


@methods
def test_best_point_of_all(method):
    seen = []

    def fun(x):
        seen.append(rosenbrock(x) + 0.3 * np.sin(50 * x[0]))
        return seen[-1]

    result = fo.minimize(fun, [-1.2, 1.0], method=method, maxfev=60)
    if method == "nelder-mead":
        assert result.fun == min(seen)
    assert result.fun <= seen[0]


@with_gradient
@either
def test_nan_beside_the_start_shortens_the_step(method, made):
    def fun(x):
        return x[0] - np.log(x[0]) + x[1] ** 2 if x[0] > 0 else np.nan

    def jac(x):
        return np.array([1 - 1 / x[0], 2 * x[1]])

    result = fo.minimize(made(fun), [0.01, 3.0], jac=made(jac), method=method)
    assert result.success, result.message
    np.testing.assert_allclose(result.x, [1, 0], atol=1e-4)


@methods
@either
def test_hopeless_functions(method, made):
    def nan(x):
        return np.nan * x[0]

    def falling(x):
        return -(x[0] ** 3)

    def wrong_gradient(x):
        return -2 * x

    def bowl(x):
        return np.sum(x * x)

    assert fo.minimize(made(nan), [1.0, 2.0], method=method).status == 9
    result = fo.minimize(made(falling), [1.0], method=method)
    assert not result.success and result.status in (8, 10)
    if method != "nelder-mead":
        result = fo.minimize(made(bowl), [1.0, 2.0], jac=made(wrong_gradient), method=method)
        assert not result.success and result.fun <= 5


def test_callback():
    points = []

    def modern(intermediate_result):
        points.append(intermediate_result.fun)
        if len(points) == 3:
            raise StopIteration

    result = fo.minimize(rosenbrock, [-1.2, 1.0], callback=modern)
    assert result.status == 11 and len(points) == 3 and result.nit == 3
    assert result.fun == min(points) == rosenbrock(result.x)
    old = []
    result = fo.minimize(rosenbrock, [-1.2, 1.0], callback=lambda x: old.append(x))
    assert len(old) == result.nit


@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="no timer")
@methods
@either
def test_interrupt(method, made):
    def endless(x):
        s = 0.0
        for i in range(2000):
            s += np.cos(i * x[0])
        return s * 1e-3 + np.sum(x * x)

    fun = made(endless)
    fo.minimize(fun, [1.0, 1.0], method=method, maxiter=1)
    timer = threading.Timer(0.3, os.kill, (os.getpid(), signal.SIGINT))
    timer.start()
    try:
        while True:
            result = fo.minimize(fun, [1.0, 1.0], method=method, gtol=0, ftol=0, xtol=0)
            if result.status == 12:
                break
            assert timer.is_alive() or result.status != 12
    except KeyboardInterrupt:  # it came between two runs
        return
    finally:
        timer.join()
    if np.isnan(result.fun):  # it came amid the first evaluation: nothing is known but the start
        assert result.nfev <= 1 and np.array_equal(result.x, [1.0, 1.0])
    else:
        assert result.fun <= endless(np.ones(2))
    assert "interrupted" in result.message


@either
def test_exceptions_reach_the_caller(made):
    def fun(x):
        if x[0] > 0.5:
            raise ValueError("too far")
        return (x[0] - 3) ** 2

    with pytest.raises(ValueError, match="too far"):
        fo.minimize(made(fun), [0.0])


@either
def test_a_function_that_changes_its_argument(made):
    def fun(x):
        x -= 1.0
        return np.sum(x * x)

    result = fo.minimize(made(fun), np.array([3.0, 4.0]))
    np.testing.assert_allclose(result.x, 1, atol=1e-4)


@methods
@either
def test_float32_stays(method, made):
    dtypes = set()

    def fun(x):
        return (x[0] - 1) * (x[0] - 1) + 10 * (x[1] + 2) * (x[1] + 2)

    def watched(x):
        dtypes.add(x.dtype)
        return fun(x)

    f = watched if made(fun) is fun else made(fun)
    if f is not watched and method != "bfgs":
        pytest.skip("one solver for float32 is enough to compile")
    result = fo.minimize(f, np.array([3, 3], np.float32), method=method)
    assert result.x.dtype == np.float32 and dtypes <= {np.dtype(np.float32)}
    np.testing.assert_allclose(result.x, [1, -2], atol=2e-3)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"x0": []}, "x0 is empty"),
        ({"x0": [[1.0, 2.0]]}, "one dimension"),
        ({"x0": ["a"]}, "real numbers"),
        ({"method": "sgd"}, "method must be one of"),
        ({"fun": 3}, "fun must be a function"),
        ({"jac": "2-point"}, "jac must be a function"),
        ({"bounds": [(0, 1)]}, "a pair"),
        ({"bounds": 5}, "a pair .* not 5"),
        ({"bounds": [("a", 1), (0, 1)]}, "a pair .* of numbers"),
        ({"bounds": [(1, 0), (0, 1)]}, "low end 1 is above"),
        ({"target": float("nan")}, "target is NaN"),
        ({"target": "a"}, "target must be a number"),
        ({"method": "bfgs", "bounds": [(0, 1), (0, 1)]}, "takes no bounds"),
        ({"gtol": -1}, "gtol must be"),
        ({"maxfev": 0}, "maxfev must be"),
        ({"memory": 0}, "memory must be"),
        ({"memory": "a"}, "memory must be"),
        ({"fun": lambda x: x}, "one real number"),
        ({"fun": lambda x: 1j}, "one real number"),
        ({"jac": lambda x: np.zeros(3)}, "must return shape"),
        ({"jac": True}, "value, gradient"),
        ({"callback": 3}, "callback must be"),
    ],
)
def test_refusals(change, message):
    arguments = {"fun": lambda x: float(np.sum(x * x)), "x0": [1.0, 2.0], **change}
    with pytest.raises((TypeError, ValueError), match=message):
        fo.minimize(**arguments)


@methods
def test_as_a_method_of_scipy(method):
    optimize = pytest.importorskip("scipy.optimize")
    jac = {} if method == "nelder-mead" else {"jac": rosenbrock_gradient}
    result = optimize.minimize(rosenbrock, [-1.2, 1.0], method=fo.scipy_method(method), **jac)
    assert isinstance(result, optimize.OptimizeResult) and result.success
    np.testing.assert_allclose(result.x, 1, atol=1e-4)
    limited = optimize.minimize(
        rosenbrock, [-1.2, 1.0], method=fo.scipy_method(method), options={"maxiter": 2}, **jac
    )
    assert limited.nit == 2


def test_scipy_method_refuses():
    with pytest.raises(ValueError, match="method must be one of"):
        fo.scipy_method("powell")
    with pytest.raises(ValueError, match="no options"):
        fo.scipy_method("bfgs")(rosenbrock, [1.0, 2.0], eps=1)


@either
def test_many_threads_at_once(made):
    fun, jac, x0 = made(rosenbrock), made(rosenbrock_gradient), np.array([-1.2, 1.0])
    known = fo.minimize(fun, x0, jac=jac)
    results = []
    threads = [
        threading.Thread(target=lambda: [results.append(fo.minimize(fun, x0, jac=jac)) for _ in range(5)])
        for _ in range(4)
    ]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert len(results) == 20
    assert all((r.x == known.x).all() and r.nfev == known.nfev for r in results)


@pytest.mark.parametrize("method", ["bfgs", "nelder-mead"])
def test_again(method, numba, rng):
    """What is kept between two calls changes no bit, and is not taken for another problem's."""
    fun, jac = numba.njit(rosenbrock), None
    starts = [np.array([-1.2, 1.0]), np.array([3.0, 0.5]), np.array([1e-3, -700.0]), np.array([np.nan, 1.0])]

    def solved(start, **options):
        return fo.minimize(fun, start, jac=jac, method=method, **options)

    first = [solved(list(x)) for x in starts]  # nothing is kept for a list
    for _ in range(2):
        results = [solved(x) for x in starts]
        for a, b, x in zip(first, results, starts, strict=True):
            assert list(a) == list(b) and a.message == b.message
            for key in a:
                np.testing.assert_array_equal(a[key], b[key])
            assert b.x is not x
    assert not np.shares_memory(results[0].x, results[1].x)
    limited = [solved(starts[0], maxiter=k).nit for k in (2, 3, 2)]
    assert limited == [2, 3, 2]
    assert solved(starts[0].astype(np.float32)).x.dtype == np.float32 if method == "bfgs" else True
    assert solved(starts[0], gtol=1.0).success
    with pytest.raises(ValueError, match="gtol"):
        solved(starts[0], gtol=True)
    with pytest.raises(ValueError, match="x0 is empty"):
        solved(np.empty(0))
    assert solved(np.array([-1, 1])).x.dtype == np.float64


@pytest.mark.parametrize("method", ["lbfgs", "bfgs"])
@pytest.mark.parametrize("how", ["plain", "compiled", "bounded"])
def test_differences_are_to_one_side_until_the_end(method, how, numba):
    if (method, how) == ("bfgs", "bounded"):
        pytest.skip("bfgs takes no bounds")
    n, calls = 8, []
    x0 = np.linspace(-1.0, 1.5, n)
    fun = numba.njit(rosenbrock) if how == "compiled" else lambda x: calls.append(1) or rosenbrock(x)
    bounds = [(-2.0, 0.5)] * n if how == "bounded" else None
    for maxfev in (None, 100, n + 2):
        calls.clear()
        r = fo.minimize(fun, x0, method=method, bounds=bounds, maxfev=maxfev)
        assert how == "compiled" or r.nfev == len(calls)
        assert maxfev is None or r.nfev <= maxfev
        if maxfev is None:
            given = fo.minimize(rosenbrock, x0, jac=rosenbrock_gradient, method=method, bounds=bounds)
            assert r.success and r.nfev < 1.5 * (n + 1) * given.nfev
            free = np.ones(n, bool) if bounds is None else r.x < 0.5
            np.testing.assert_allclose(
                r.jac[free], rosenbrock_gradient(r.x)[free], atol=3e-7
            )  # one-sided: 1e-5


OTHER_WAYS = [
    pytest.param(method, way, marks=() if "lbfgs" in method or way == "float32" else pytest.mark.long)
    for way in ("float32", "both", "count", "many")
    for method in METHODS
]  # each is a solver to compile


@pytest.mark.parametrize("method, way", OTHER_WAYS)
def test_values_of_other_types_than_float64(method, way, numba):
    """A compiled function may return float32 or an int: once its bits were taken for a float64's."""
    if way == "both" and method == "nelder-mead":
        pytest.skip("takes no gradient")
    start = np.array([-0.5, 2.0, 3.0], np.float64 if way == "count" else np.float32)

    @numba.njit
    def fun(x):
        return np.sum((x - np.float32(1)) ** 2)  # float32 of float32

    @numba.njit
    def gradient(x):
        return np.float32(2) * (x - np.float32(1))

    @numba.njit
    def both(x):
        return fun(x), gradient(x)

    @numba.njit
    def count(x):
        return 7 + int(np.abs(x).sum() > 1e9)

    jac = None if way == "count" or method == "nelder-mead" else True if way == "both" else gradient
    f = {"both": both, "count": count}.get(way, fun)
    if way == "many":
        r = fo.minimize_many(f, start[None], jac=jac, method=method)
        found, value, success = r.x[0], r.fun[0], r.success[0]
    else:
        r = fo.minimize(f, start, jac=jac, method=method)
        found, value, success = r.x, r.fun, r.success
    assert success
    if way == "count":
        assert value == 7.0
    else:
        np.testing.assert_allclose(found, 1, atol=1e-3)
        assert found.dtype == np.float32 and value == np.sum((found - np.float32(1)) ** 2)


def test_a_grid_of_float32_values(numba):
    f = numba.njit(lambda x: np.float32(x[0] * x[0]))
    r = fo.grid_search(f, [[3.0, -1.5, 2.0]])
    assert r.fun == 2.25 and (r.x == [-1.5]).all()
