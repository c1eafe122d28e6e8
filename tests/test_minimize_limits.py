"""Bad inputs of every kind to every solver, compiled or not: a true status or a clear error, and never a hang."""

import math
import os
import signal
import threading
import time

import numpy as np
import pytest

import fastopt as fo

pytestmark = pytest.mark.filterwarnings("ignore::RuntimeWarning")


def value(x, kind, a):
    """One text for all kinds, so that Numba compiles once."""
    s = 0.0
    for i in range(x.size):
        s += x[i] * x[i]
    if kind == 1:
        return np.nan
    if kind == 2:
        return s if x[0] > 0 else np.nan
    if kind == 3:
        return np.inf
    if kind == 4:
        return -np.inf
    if kind == 5:  # no lower bound
        return -(s**1.5)
    if kind == 6:
        return np.sum(x)
    if kind == 7:
        return 1.0
    if kind == 8:  # steps
        return np.sum(np.floor(4 * x))
    if kind == 9:  # a kink
        return np.sum(np.abs(x - 0.1))
    if kind == 10:
        return 1e300 * s
    if kind == 11:
        return 1e-300 * s
    if kind == 12:
        return math.exp(min(50 * x[0], 700.0)) + s
    if kind == 13:
        if x[0] > 0.3:
            raise ZeroDivisionError("mine")
        return s
    if kind == 14:
        return -s if s < 1e10 else np.inf
    if kind == 15:
        return -math.exp(min(x[0], 709.0))
    if kind == 16:
        return math.atan(1e8 * x[0]) + s * 1e-12
    return s


def gradient(x, kind, a):
    g = np.empty(x.size)
    for i in range(x.size):
        g[i] = 2 * x[i]
    if a == 1:  # the wrong sign
        g *= -1.0
    if a == 2:
        g[:] = np.nan
    if a == 3:
        g[:] = 0.0
    if a == 4:  # the wrong shape
        return np.zeros(x.size + 1)
    if a == 5:
        g *= 1e308
    if a == 6:
        g[:] = np.inf
    if a == 7:
        raise ValueError("gradient")
    return g


def residual(p, kind, a):
    r = np.empty(4)
    for i in range(4):
        r[i] = p[0] * i - 1.0 + p[p.size - 1]
    if kind == 1:
        r[:] = np.nan
    if kind == 2 and p[0] < 0.2:
        r[:] = np.nan
    if kind == 3:
        r[0] = np.inf
    if kind == 4:
        r *= 1e200
    if kind == 5:
        r *= 1e-200
    if kind == 6:
        r[:] = 0
    if kind == 7:
        r[:] = 1
    if kind == 8:
        r[:] = np.floor(r * 4)
    if kind == 9 and p[0] > 0.3:
        raise ZeroDivisionError("mine")
    if kind == 10:
        r[:] = np.exp(-np.abs(p[0])) + 1
    if kind == 11:  # another shape elsewhere
        return np.ones(3 if p[0] > 0.1 else 4)
    return r


def jacobian(p, kind, a):
    J = np.zeros((4, p.size))
    for i in range(4):
        J[i, 0] = i
        J[i, p.size - 1] += 1
    if a == 1:
        J *= -1
    if a == 2:
        J[:] = np.nan
    if a == 3:
        J[:] = 0
    if a == 4:
        return np.zeros((3, p.size))
    if a == 5:
        J *= 1e300
    return J


STARTS = (
    [1.0, 2.0],
    [math.nan, 1.0],
    [math.inf, 1.0],
    [],
    [[1.0]],
    [1e200, -1e200],
    [1e-200, 0.0],
    [0.0],
    [1e308, 1e308],
    [0.05] * 5,
)
BOUNDS = (
    None,
    [(0, 1)],
    [(1, 0), (0, 1)],
    [(0.5, 0.5), (-1, 1)],
    [(math.nan, 1), (0, 1)],
    [(None, None), (0, None)],
    [(2, 3), (-5, -4)],
    [(-math.inf, math.inf), (math.inf, math.inf)],
    [(1, 1), (1, 1)],
)
LIMITS = (
    {"maxfev": 400, "maxiter": 300},
    {},
    {"maxfev": 1},
    {"maxiter": 0},
    {"seconds": 0.3},
    {"gtol": 0, "ftol": 0, "xtol": 0, "maxiter": 1000},
)
RULES = {"sgd": fo.SGD(0.1), "adam": fo.Adam(0.1)}
METHODS = ("lbfgs", "bfgs", "newton", "newton-cg", "nelder-mead", "lm", "sgd", "adam")
QUICK = ("lbfgs", "bfgs", "adam")  # compiled ones for the default suite
SAID = ("mine", "gradient", "x0", "X0", "bounds", "shape", "takes no", "return")  # what an error is about


def result_of(made, method, entry, kind, a, x0, bounds, limits, numeric):
    fun, jac = ("residual", "jacobian") if method == "lm" else ("value", "gradient")
    fun, jac = made[fun], None if numeric or method == "nelder-mead" else made[jac]
    given = dict(jac=jac, bounds=bounds, **limits)
    if entry == "many" and method not in RULES:
        X = np.tile(np.asarray(x0, float), (3, 1)) if np.ndim(x0) == 1 and len(x0) else x0
        found = fo.minimize_many(fun, X, (kind, a), method=method, **given)
        return [
            (found.x[i], found.fun[i], found.status[i], found.success[i], found.nit[i], found.nfev[i])
            for i in range(len(found.x))
        ]
    if method == "lm":
        r = fo.least_squares(fun, x0, (kind, a), **given)
    elif method in RULES:
        r = fo.minimize(fun, x0, (kind, a), rule=RULES[method], **given)
    else:
        r = fo.minimize(fun, x0, (kind, a), method=method, **given)
    return [(r.x, r.fun, r.status, r.success, r.nit, r.nfev)]


def check(made, methods, rng):
    method = methods[rng.integers(len(methods))]
    kind, a = int(rng.integers(17)), int(rng.integers(8))
    x0, limits = STARTS[rng.integers(len(STARTS))], LIMITS[rng.integers(len(LIMITS))]
    bounds = BOUNDS[rng.integers(len(BOUNDS))] if rng.random() < 0.5 else None
    entry, numeric = ("many" if rng.random() < 0.3 else "one"), bool(rng.random() < 0.3)
    case = method, entry, kind, a, x0, bounds, limits, numeric
    try:
        with np.errstate(all="ignore"):
            found = result_of(made, method, entry, kind, a, x0, bounds, limits, numeric)
    except (ValueError, TypeError, ZeroDivisionError) as error:
        assert any(word in str(error) for word in SAID), (case, error)
        return
    for x, f, status, success, nit, nfev in found:
        what = case, x, f, status, nit, nfev
        assert nit <= limits.get("maxiter", math.inf), what
        assert nfev <= max(limits.get("maxfev", math.inf), 2 * x.size + 2), (
            what
        )  # one gradient there always is
        assert success == (0 <= status <= 4), what
        if success:
            assert math.isfinite(f) and np.isfinite(x).all(), what
        if method == "lm" or status == 13 or (status == 7 and f != f):  # f is NaN: its turn never came
            continue
        known = float(value(x.copy(), kind, a))
        assert known == f or (known != known and not math.isfinite(f)), (what, known)
        if bounds is not None and np.isfinite(x).all():
            low = [-math.inf if b[0] is None else b[0] for b in bounds]
            high = [math.inf if b[1] is None else b[1] for b in bounds]
            assert (x >= low).all() and (x <= high).all(), what
        if status == 0 and not numeric and bounds is None:
            assert np.abs(gradient(x, kind, a)).max() <= 1e-5, what


PLAIN = {"value": value, "gradient": gradient, "residual": residual, "jacobian": jacobian}


@pytest.fixture(scope="module")
def made():
    numba = pytest.importorskip("numba")
    return {name: numba.njit(f) for name, f in PLAIN.items()}


def test_bad_inputs_to_python_functions():
    rng = np.random.default_rng(1)
    for _ in range(150):
        check(PLAIN, METHODS, rng)


def test_bad_inputs_to_compiled_functions(made):
    rng = np.random.default_rng(2)
    for _ in range(150):
        check(made, QUICK, rng)


@pytest.mark.long
def test_a_thousand_bad_inputs_to_python_functions():
    rng = np.random.default_rng(3)
    for _ in range(1000):
        check(PLAIN, METHODS, rng)


@pytest.mark.long
def test_a_thousand_bad_inputs_to_compiled_functions(made):
    rng = np.random.default_rng(4)
    for _ in range(1000):
        check(made, METHODS, rng)


@pytest.mark.long
@pytest.mark.parametrize("method", ["bfgs", "lbfgs", "newton", "nelder-mead", "lm"])
def test_bad_inputs_inside_compiled_code(method, made, numba):
    squares = method == "lm"
    fun, jac = (made[name] for name in (("residual", "jacobian") if squares else ("value", "gradient")))
    name = method

    @numba.njit
    def inside(x0, kind, a):
        return fo.jit.minimize(fun, x0, jac, args=(kind, a), method=name, maxiter=300)

    def known_value(x, kind, a):
        return 0.5 * np.sum(residual(x, kind, a) ** 2) if squares else value(x, kind, a)

    for kind in range(17):
        for a in range(8):
            for x0 in ([1.0, 2.0], [math.nan, 1.0], [1e200, 0.0], [0.0, 1e-200], [0.05] * 5):
                try:
                    found = inside(np.array(x0), kind, a)
                except (ValueError, ZeroDivisionError) as error:
                    assert any(word in str(error) for word in SAID)
                    continue
                what = method, kind, a, x0, found
                assert found.nit <= 300, what
                known = known_value(found.x.copy(), kind, a)
                same = known == pytest.approx(found.fun, rel=1e-12) if squares else known == found.fun
                assert same or (not math.isfinite(known) and not math.isfinite(found.fun)), what
                if 0 <= found.status <= 4:
                    assert math.isfinite(found.fun) and np.isfinite(found.x).all(), what


# ---- Ctrl-C in compiled code ------------------------------------------------------------------------------


@pytest.fixture
def slow(numba):
    @numba.njit
    def fun(x):
        """Some tenths of a millisecond; its minimum is never reached."""
        s = 0.0
        for i in range(30_000):
            s += math.cos(i * x[0])
        return 1e-5 * s + x[0] ** 2 + x[1] ** 2

    return fun


def interrupted(call):
    """call() with Ctrl-C 0.5 s after its begin, and how long it took from there."""
    timer = threading.Timer(0.5, os.kill, (os.getpid(), signal.SIGINT))
    timer.start()
    begin = time.perf_counter()
    result = call()
    timer.join()
    return result, time.perf_counter() - begin - 0.5


@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="no timer")
@pytest.mark.parametrize("threads", [1, 2])
def test_interrupt_of_many(threads, slow):
    never = dict(jac=None, gtol=0, maxiter=10**9, method="bfgs", threads=threads)
    X = np.ones((40_000, 2)) + np.arange(40_000)[:, None]
    fo.minimize_many(slow, X[:1], **{**never, "maxiter": 1})
    result, took = interrupted(lambda: fo.minimize_many(slow, X, **never))
    assert took < 10  # all of it would take an hour
    assert (result.status == 12).any() and not result.success[result.status == 12].any()
    for i in np.flatnonzero(np.isfinite(result.fun))[:3]:
        assert result.fun[i] == pytest.approx(slow(result.x[i])) and result.fun[i] <= slow(X[i])
    assert (result.x[-1] == X[-1]).all() and np.isnan(result.fun[-1])


def test_the_value_is_that_of_the_point_when_the_clock_ends_a_run():
    for method in ("nelder-mead", "bfgs", "lbfgs", "newton"):
        for seconds in (0, 1e-4, 1e-3):
            r = fo.minimize(
                lambda x: float(np.sum((x - 3) ** 4)), np.arange(6.0), method=method, seconds=seconds
            )
            assert r.fun == np.sum((r.x - 3) ** 4)


def test_seconds_of_many(slow):
    X = np.ones((40_000, 2))
    result = fo.minimize_many(slow, X, method="bfgs", gtol=0, seconds=0.3)
    assert (result.status == 7).any() and not result.success[-1]
    plain = fo.minimize_many(lambda x: time.sleep(0.01) or float(np.sum(x**2)), X, seconds=0.2)
    assert plain.status[-1] == 7 and plain.success[0]


@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="no timer")
def test_interrupt_of_searches(slow):
    box = [(-1, 1)] * 2
    fo.random_search(slow, box, samples=1)
    result, took = interrupted(lambda: fo.random_search(slow, box, samples=10**6, threads=2))
    assert not result.success and "interrupted" in result.message and took < 10
    result, took = interrupted(lambda: fo.random_restarts(slow, box, restarts=10**4, maxiter=20, threads=2))
    assert not result.success and result.status == 12 and took < 20
    assert result.fun == min(r.fun for r in result.results) and len(result.results) < 10**4


@pytest.mark.parametrize("compiled", [False, True])
def test_limits_inside_a_hessian_by_differences(compiled):
    """A row of it between two looks at the clock; what was not evaluated is not counted."""

    def quartic(x):
        return np.sum(x**4)

    if compiled:
        quartic = pytest.importorskip("numba").njit(quartic)
    x0 = np.linspace(1, 2, 30)
    cut = fo.minimize(quartic, x0, method="newton", seconds=0)
    assert not cut.success and "seconds" in cut.message and (cut.x == x0).all()
    assert cut.nfev == 61 * (1 + 2)  # gradients at the start, and for one row
    seen = []
    whole = fo.minimize(quartic, x0, method="newton", callback=lambda x: seen.append(x.copy()))
    assert whole.success and len(seen) == whole.nit  # not once a row
    assert whole.nfev == 61 * (60 * whole.nhev + 1 + whole.nit)
