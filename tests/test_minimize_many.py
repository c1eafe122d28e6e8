"""fo.minimize_many: each problem as if it were alone, whatever the threads; statuses that are true."""

import numpy as np
import pytest

import fastopt as fo

T = np.linspace(0, 4, 20)


def decay(t, a, b, c):
    return a * np.exp(-b * t) + c


def slopes(t, a, b, c):
    e = np.exp(-b * t)
    return e, -a * t * e, 1.0


def oscillating(t, a, b, c):
    return a * np.cos(b * t) + c


def problems(n, rng):
    true = np.stack([rng.uniform(1, 5, n), rng.uniform(0.3, 2.5, n), rng.uniform(-1, 1, n)], axis=1)
    return true, decay(T, *true.T[:, :, None]) + 0.05 * rng.standard_normal((n, T.size))


def cosine(p, y, weights=1.0):
    """The largest cosine between residuals and a derivative, from the formulas."""
    r = (decay(T, *p) - y) * np.sqrt(weights)
    columns = [np.broadcast_to(s, T.shape) * np.sqrt(weights) for s in slopes(T, *p)]
    size = np.linalg.norm(r)
    return max(abs(c @ r) / (np.linalg.norm(c) * size or 1) for c in columns) if size else 0.0


@pytest.fixture
def curve(numba):
    return numba.njit(decay), numba.njit(slopes)


@pytest.mark.parametrize("given", [True, False])
@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_curves(given, dtype, curve, rng):
    model, jac = curve
    true, Y = problems(300, rng)
    start = np.array([2.0, 1.0, 0.0], dtype)
    result = fo.minimize_many(model, start, (T, Y), jac=jac if given else None, method="curve-fit")
    assert result.success.mean() > 0.99 and result.x.dtype == dtype
    for i in np.flatnonzero(result.success)[:60]:
        assert cosine(result.x[i].astype(float), Y[i]) < (2e-6 if dtype == "float64" else 2e-2)
        assert result.fun[i] == pytest.approx(0.5 * np.sum((decay(T, *result.x[i]) - Y[i]) ** 2), rel=1e-4)


def test_curves_against_scipy(curve, rng):
    optimize = pytest.importorskip("scipy.optimize")
    _, Y = problems(40, rng)
    weights = rng.uniform(0.1, 3, T.size)
    result = fo.minimize_many(curve[0], [2.0, 1.0, 0.0], (T, Y, weights), jac=curve[1], method="curve-fit")
    for i in range(40):
        known, _ = optimize.curve_fit(decay, T, Y[i], (2, 1, 0), sigma=1 / np.sqrt(weights), ftol=1e-13)
        np.testing.assert_allclose(result.x[i], known, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("own_t", [False, True])
def test_curves_that_fit_no_lane(own_t, numba, rng):
    true = np.stack([rng.uniform(1, 2, 50), rng.uniform(0.9, 1.1, 50), rng.uniform(-1, 1, 50)], axis=1)
    Y = oscillating(T, *true.T[:, :, None])
    t = np.tile(T, (50, 1)) if own_t else T
    result = fo.minimize_many(numba.njit(oscillating), [1.5, 1.0, 0.0], (t, Y), method="curve-fit")
    assert result.success.all()
    np.testing.assert_allclose(result.x, true, atol=1e-6)


def test_bounds_of_curves(curve, rng):
    _, Y = problems(20, rng)
    bounds = [(0, 2.5), (0, None), (None, None)]
    result = fo.minimize_many(
        curve[0], [2.0, 1.0, 0.0], (T, Y), jac=curve[1], method="curve-fit", bounds=bounds
    )
    assert result.success.all() and (result.x[:, 0] <= 2.5).all()
    for i in range(20):
        alone = fo.least_squares(lambda p, i=i: decay(T, *p) - Y[i], [2.0, 1.0, 0.0], bounds=bounds)
        assert 2 * result.fun[i] == pytest.approx(2 * alone.cost, rel=1e-6)


def test_statuses_of_problems_without_solution(curve, rng):
    _, Y = problems(64, rng)
    Y[3, 5] = np.nan
    Y[10, 0] = np.inf
    Y[20] = 1e308 * np.sign(np.arange(20) - 9.5)
    Y[30] = 0.0
    Y[40] = T  # a straight line: the best decay is infinitely slow
    result = fo.minimize_many(curve[0], [2.0, 1.0, 0.0], (T, Y), jac=curve[1], method="curve-fit")
    alone = fo.minimize_many(
        curve[0], [2.0, 1.0, 0.0], (T, np.delete(Y, [3, 10, 20], axis=0)), jac=curve[1], method="curve-fit"
    )
    assert not result.success[[3, 10, 20]].any()
    assert (np.delete(result.x, [3, 10, 20], axis=0) == alone.x).all()
    for i in np.flatnonzero(result.success):
        assert cosine(result.x[i], Y[i]) < 2e-6 or result.fun[i] < 1e-20
    for i in np.flatnonzero(~result.success):
        assert i in (3, 10, 20) or cosine(result.x[i], Y[i]) > 1e-7
    assert "converged" in result.message


@pytest.mark.parametrize("threads", [1, 2, 5])
def test_same_bits_for_any_number_of_threads(threads, curve, rng, numba):
    _, Y = problems(9000, rng)
    known = fo.minimize_many(curve[0], [2.0, 1.0, 0.0], (T, Y), jac=curve[1], method="curve-fit", threads=1)
    result = fo.minimize_many(
        curve[0], [2.0, 1.0, 0.0], (T, Y), jac=curve[1], method="curve-fit", threads=threads
    )
    assert (known.x == result.x).all() and (known.nfev == result.nfev).all()
    half = fo.minimize_many(curve[0], [2.0, 1.0, 0.0], (T, Y[4444:]), jac=curve[1], method="curve-fit")
    assert (half.x == known.x[4444:]).all()


def bowl(x, center, scale):
    return scale * np.sum((x - center) ** 2) + np.sum(x**4)


def bowl_gradient(x, center, scale):
    return 2 * scale * (x - center) + 4 * x**3


_LONG = [pytest.param(m, marks=pytest.mark.long) for m in ("lbfgs", "newton", "nelder-mead")]


@pytest.mark.parametrize("method", ["bfgs", *_LONG])
def test_each_as_if_alone(method, numba, rng):
    fun, jac = numba.njit(bowl), numba.njit(bowl_gradient)
    centers, X0 = rng.standard_normal((40, 3)), rng.standard_normal((40, 3))
    scales = rng.uniform(0.5, 2, 40)
    jac = None if method == "nelder-mead" else jac
    result = fo.minimize_many(fun, X0, (centers, scales), jac=jac, method=method, threads=2)
    for i in range(0, 40, 7):
        alone = fo.minimize(fun, X0[i], (centers[i], scales[i]), jac=jac, method=method)
        np.testing.assert_allclose(result.x[i], alone.x, rtol=1e-9, atol=1e-12)
        assert result.status[i] == alone.status and result.nit[i] == alone.nit
    assert result.success.all()


def test_shared_arguments_and_bounds(numba, rng):
    fun = numba.njit(bowl)
    centers = 2 * rng.standard_normal((30, 3))
    bounds = np.stack([np.full((30, 3), -0.5), rng.uniform(0, 1, (30, 3))], axis=-1)
    result = fo.minimize_many(fun, np.zeros(3), (centers, 1.0), bounds=bounds)
    assert ((result.x >= bounds[..., 0]) & (result.x <= bounds[..., 1])).all() and result.success.all()
    plain = fo.minimize_many(bowl, np.zeros(3), (centers, 1.0), bounds=bounds)
    np.testing.assert_allclose(result.x, plain.x, atol=1e-5)
    one = fo.minimize_many(fun, np.zeros((30, 3)), (centers[:1], 1.0))
    assert (one.x == one.x[0]).all()


def test_residuals(numba, rng):
    true, Y = problems(30, rng)
    residual = numba.njit(lambda p, t, y: decay_of(p, t) - y)
    result = fo.minimize_many(residual, [2.0, 1.0, 0.0], (T[None], Y), method="lm")
    assert result.success.all()
    for i in range(30):
        assert cosine(result.x[i], Y[i]) < 1e-6


try:
    from numba import njit

    @njit
    def decay_of(p, t):
        return p[0] * np.exp(-p[1] * t) + p[2]
except ImportError:
    pass


def test_functions_that_raise(numba):
    @numba.njit
    def fun(x, a):
        if a > 2:
            raise ValueError("no")
        return (x[0] - a) ** 2

    result = fo.minimize_many(fun, [0.0], (np.array([1.0, 3.0, 2.0, 4.0, 0.0]),))
    assert list(result.status == 13) == [False, True, False, True, False]
    np.testing.assert_allclose(result.x[[0, 2, 4], 0], [1, 2, 0], atol=1e-5)
    with pytest.raises(ValueError, match="no"):
        fo.minimize_many(fun, [0.0], (np.array([3.0, 1.0]),))


def test_progress(numba, capsys):
    fo.minimize_many(numba.njit(bowl), np.zeros((10, 2)), (np.ones((10, 2)), 1.0), progress=True)
    assert "10 of 10" in capsys.readouterr().err


def test_refusals(numba):
    fun = numba.njit(bowl)
    with pytest.raises(ValueError, match="rows"):
        fo.minimize_many(fun, np.zeros((4, 2)), (np.zeros((3, 2)), 1.0))
    with pytest.raises(ValueError, match="X0 must have"):
        fo.minimize_many(fun, np.zeros((2, 2, 2)))
    with pytest.raises(ValueError, match="takes no bounds"):
        fo.minimize_many(fun, np.zeros((4, 2)), method="bfgs", bounds=[(0, 1)] * 2)
    with pytest.raises(ValueError, match="args must be"):
        fo.minimize_many(fun, np.zeros((4, 2)), method="curve-fit")
    with pytest.raises(TypeError, match="compile fun"):
        fo.minimize_many(decay, np.zeros((1, 3)), (T, np.zeros((1, 20))), method="curve-fit")


def test_refusals_of_curves(numba):
    fun, y = numba.njit(decay), np.ones((4, 20))

    def fit(*args, x0=(1.0, 1.0, 0.0), fun=fun, **options):
        return fo.minimize_many(fun, np.array(x0), args, method="curve-fit", **options)

    for option in ("ftol", "xtol", "target", "maxiter", "memory"):  # were taken and forgotten
        with pytest.raises(ValueError, match=f"takes no {option}"):
            fit(T, y, **{option: 1})
    for jac in (True, "complex"):
        with pytest.raises(TypeError, match="jac must be a function"):
            fit(T, y, jac=jac)
    for x0 in ((1.0, 1.0), (1.0, 1.0, 0.0, 0.0)):
        with pytest.raises(TypeError, match=f"fun must be .* {len(x0)} parameters"):
            fit(T, y, x0=x0)
    with pytest.raises(TypeError, match="jac must be jac.* 3 parameters"):
        fit(T, y, jac=numba.njit(lambda t, a: (t, a)))
    with pytest.raises(TypeError, match="fun must return a number, not"):
        fit(T, y, fun=numba.njit(lambda t, a, b, c: (a, b)))
    with pytest.raises(TypeError, match="fun does not compile"):
        fit(T, y, fun=numba.njit(lambda t, a, b, c: a.nothing))
    with pytest.raises(TypeError, match="jac must return a tuple of 3 derivatives"):
        fit(T, y, jac=numba.njit(lambda t, a, b, c: (a, b)))
    for bad in (y + 1j, y.astype(str), y.astype(object), None):
        with pytest.raises(TypeError, match="args: y must hold real numbers"):
            fit(T, bad)
    with pytest.raises(TypeError, match="args: y is a masked array"):
        fit(T, np.ma.array(y, mask=y > 0))
    with pytest.raises(ValueError, match=r"one curve is y\[None\]"):
        fit(T, y[0])
    for empty in (y[:0], y[:, :0]):
        with pytest.raises(ValueError, match="y must have the shape"):
            fit(T, empty)
    with pytest.raises(TypeError, match="tuple"):
        fo.minimize_many(fun, [1.0, 1.0, 0.0], [T, y], method="curve-fit")


def test_evaluations_of_curves_with_bounds(curve, rng):
    """Those for a Jacobian by differences are not taken from the 200 of a curve: a bound that is met takes 197 here."""
    t = np.linspace(0, 5, 40)
    Y = 4.5 * np.exp(-1.9 * t) + 0.2 * rng.normal(size=(50, 40)) + 0.5
    result = fo.minimize_many(
        curve[0], [2.0, 1.0, 0.0], (t, Y), method="curve-fit", bounds=[(0, 3), (0.2, 1.5), (-1, 1)]
    )
    assert result.success.all() and result.nfev.max() > 200


@pytest.mark.parametrize("compiled", [True, False])
def test_arguments_of_other_kinds(compiled, numba):
    """The other byte order, subclasses and odd layouts are read; what compiled code would misread is refused."""
    fun = numba.njit(bowl) if compiled else bowl
    a = np.arange(8.0).reshape(4, 2)
    known = fo.minimize_many(fun, np.zeros((4, 2)), (a, 1.0))
    wide = np.zeros((4, 4))
    wide[:, ::2] = a
    readonly = a.copy()
    readonly.flags.writeable = False
    for given in (a.astype(">f8"), np.asfortranarray(a), wide[:, ::2], readonly, np.ma.array(a), a.tolist()):
        assert (fo.minimize_many(fun, np.zeros((4, 2)), (given, 1.0)).x == known.x).all()
    assert (
        fo.minimize(fun, np.zeros(2), (a[1].astype(">f8"), 1.0)).x
        == fo.minimize(fun, np.zeros(2), (a[1], 1.0)).x
    ).all()
    found = fo.random_search(fun, [(-1, 1)] * 2, (a[1].astype(">f8"), 1.0), samples=10)
    assert found.fun == fo.random_search(fun, [(-1, 1)] * 2, (a[1], 1.0), samples=10).fun
    masked = np.ma.array(a, mask=a > 3)
    with pytest.raises(TypeError, match=r"args\[0\] is a masked array"):
        fo.minimize_many(fun, np.zeros((4, 2)), (masked, 1.0))
    with pytest.raises(TypeError, match="X0 is a masked array"):
        fo.minimize_many(fun, masked, (a, 1.0))
    if compiled:
        for dtype in (object, np.longdouble, np.float16):
            if dtype is np.longdouble and np.longdouble(0).itemsize == 8:
                continue  # Windows
            with pytest.raises(TypeError, match=r"args\[0\] is an array of .*astype"):
                fo.minimize_many(fun, np.zeros((4, 2)), (a.astype(dtype), 1.0))
            with pytest.raises(TypeError, match=r"args\[0\] is an array of .*astype"):
                fo.minimize(fun, np.zeros(2), (a[0].astype(dtype), 1.0))
