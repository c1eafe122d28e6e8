"""fo.jit.minimize: inside a user's compiled code, cached, in prange, without allocation."""

import numpy as np
import pytest

import fastopt as fo

CODE = """
import numpy as np, fastopt as fo
from numba import njit, prange

@njit(cache=True)
def rosen(x):
    return 100.0 * (x[1] - x[0] * x[0]) ** 2 + (1.0 - x[0]) ** 2

@njit(cache=True)
def gradient(x, g):
    a = x[1] - x[0] * x[0]
    g[0], g[1] = -400.0 * a * x[0] - 2.0 * (1.0 - x[0]), 200.0 * a

@njit(cache=True)
def bowl(x, center):
    return np.sum((x - center) ** 2)

@njit(cache=True)
def bad(x):
    if x[0] > 0.5:
        raise ValueError("too far")
    return rosen(x)

@njit(cache=True)
def residual(p, t, y):
    return p[0] * np.exp(-p[1] * t) - y

@njit(cache=True)
def one(x0):
    r = fo.jit.minimize(rosen, x0, jac=gradient, method="bfgs")
    return r.x, r.fun, r.status, r.nit, r.nfev, r.optimality

@njit(cache=True)
def others(x0, center, t, y):
    a = fo.jit.minimize(rosen, x0, jac=gradient, method="lbfgs").x
    b = fo.jit.minimize(rosen, x0, method="nelder-mead").x
    c = fo.jit.minimize(bowl, x0, args=(center,)).x
    d = fo.jit.minimize(residual, x0, args=(t, y), method="lm").x
    return a, b, c, d

@njit(cache=True)
def without_allocation(x0, work, count):
    s = 0.0
    for _ in range(count):
        s += fo.jit.minimize(rosen, x0, gradient, work=work).x[0]
    return s

@njit(cache=True, parallel=True)
def in_prange(X):
    ends = np.empty_like(X)
    for k in prange(X.shape[0]):
        ends[k] = fo.jit.minimize(rosen, X[k], gradient).x
    return ends

@njit(cache=True)
def failing(x0):
    return fo.jit.minimize(bad, x0).fun
"""

RUN = """
import sys
sys.path.insert(0, {folder!r})
import numpy as np, fastopt as fo, owncode as m
x0 = np.array([-1.2, 1.0])
x, fun, status, nit, nfev, optimality = m.one(x0)
known = fo.minimize(m.rosen, x0, jac=m.gradient, method="bfgs")
assert (x == known.x).all() and status == 0 and nit == known.nit and nfev == known.nfev, (x, known)
t = np.linspace(0, 2, 9)
a, b, c, d = m.others(x0, np.array([3.0, -4.0]), t, 2 * np.exp(-0.7 * t))
assert np.allclose(a, 1, atol=1e-4) and np.allclose(b, 1, atol=1e-4), (a, b)
assert np.allclose(c, [3, -4], atol=1e-4) and np.allclose(d, [2, 0.7]), (c, d)
work = fo.jit.workspace(2)
assert abs(m.without_allocation(x0, work, 3) - 3) < 1e-3
import numba.core.runtime as runtime
before = runtime.rtsys.get_allocation_stats().alloc
m.without_allocation(x0, work, 100)
assert runtime.rtsys.get_allocation_stats().alloc - before < 5
rng = np.random.default_rng(0)
ends = m.in_prange(rng.standard_normal((50, 2)))
assert np.allclose(ends, 1, atol=1e-3)
try:
    m.failing(x0)
    raise SystemExit("no exception")
except ValueError as error:
    assert "too far" in str(error)
print(sum(sum(f.stats.cache_hits.values()) for f in (m.one, m.others, m.in_prange, m.failing)))
"""


@pytest.mark.long
def test_in_cached_code(numba, python, tmp_path):
    (tmp_path / "owncode.py").write_text(CODE)
    code = RUN.format(folder=str(tmp_path))
    cache = {"NUMBA_CACHE_DIR": str(tmp_path / "cache")}
    assert python(code, timeout=600, NUMBA_DEBUG_NRT="0", NUMBA_NRT_STATS="1", **cache) == "0\n"
    assert python(code, timeout=600, NUMBA_NRT_STATS="1", **cache) == "4\n"


def test_from_python(numba):
    fun = numba.njit(lambda x: np.sum((x - 1.0) ** 2))
    found = fo.jit.minimize(fun, np.zeros(3))
    np.testing.assert_allclose(found.x, 1, atol=1e-5)
    with pytest.raises(ValueError, match="method must be one of"):
        fo.jit.workspace(2, "adam")


def test_what_does_not_fit_is_said_where_it_is_compiled(numba):
    njit = numba.njit
    fun = njit(lambda x: (x[0] - 1.0) ** 2 + x[1] ** 2)
    scaled = njit(lambda x, a: a * ((x[0] - 1.0) ** 2 + x[1] ** 2))
    x = np.zeros(2)

    def refused(message, f=fun, x=x, jac=None, **more):
        hess, args, method = more.get("hess"), more.get("args", ()), more.get("method", "bfgs")
        maxiter, work = more.get("maxiter", 9), more.get("work")

        if method == "lm":
            code = njit(lambda x, args: fo.jit.minimize(f, x, args=args, method="lm").x)
        elif hess is not None:
            code = njit(
                lambda x, args: fo.jit.minimize(f, x, jac=jac, hess=hess, args=args, method="newton").x
            )
        elif jac is not None:
            code = njit(lambda x, args: fo.jit.minimize(f, x, jac=jac, args=args).x)
        elif work is not None:
            code = njit(lambda x, args: fo.jit.minimize(f, x, work=args, maxiter=9).x)
            args = work
        else:
            code = njit(lambda x, args: fo.jit.minimize(f, x, args=args, maxiter=maxiter).x)
        with pytest.raises(numba.TypingError, match=f"fo.jit.minimize: {message}"):
            code(x, args)

    refused(r"fun does not compile for the arguments \(readonly array|fun does not compile", scaled)
    refused("fun does not compile", fun, args=(1.0,))
    refused("fun must return a number, not", njit(lambda x: x))
    refused("fun must return an array of one dimension, not float64", method="lm")
    refused("jac must return an array of dimension 1, not float64", jac=fun)
    refused("jac does not compile", jac=njit(lambda x, a, b: x))
    refused("hess must return an array of 2 dimensions", jac=njit(lambda x: 2 * x), hess=njit(lambda x: x))
    refused("x0 must be an array of one dimension", x=np.zeros((2, 2)))
    refused("x0 must be an array of one dimension", x=1.0)
    refused("args must be a tuple", scaled, args=2.0)
    refused("maxiter must be a number", maxiter="many")
    refused(
        "work must be an array from fo.jit.workspace", work=np.zeros(fo.jit.workspace(2).size, np.float32)
    )
    with pytest.raises(numba.TypingError, match="fo.jit.minimize: method must be one of"):
        njit(lambda x: fo.jit.minimize(fun, x, method="adam").x)(x)
    with pytest.raises(ValueError, match="n must be at least 1"):
        fo.jit.workspace(-1)


@pytest.mark.parametrize("method", ["bfgs", "lbfgs"])
def test_work_that_is_too_small_is_not_written_beyond(method, numba):
    fun = numba.njit(lambda x: np.sum((x - 1.0) ** 2))
    if method == "bfgs":
        code = numba.njit(lambda x, work: fo.jit.minimize(fun, x, work=work).x)
    else:
        code = numba.njit(lambda x, work: fo.jit.minimize(fun, x, method="lbfgs", work=work).x)
    enough = fo.jit.workspace(6, method)
    np.testing.assert_allclose(code(np.zeros(6), enough), 1, atol=1e-4)
    for n in (5, 2, 1):
        room = np.full(enough.size, 7.0)  # what lies behind it must stay
        with pytest.raises(ValueError, match="work is too small"):
            code(np.zeros(6), room[: fo.jit.workspace(n, method).size])
        assert (room == 7.0).all()


def test_functions_with_signatures_or_that_write_into_x(numba):
    signed = numba.njit("float64(float64[:])")(lambda x: (x[0] - 1.0) ** 2 + (x[1] + 2.0) ** 2)

    @numba.njit
    def writes(x):
        x[0] -= 1.0
        x[1] += 2.0
        return x[0] ** 2 + x[1] ** 2

    for fun in (signed, writes):
        code = numba.njit(lambda x: fo.jit.minimize(fun, x).x)  # noqa: B023
        np.testing.assert_allclose(code(np.zeros(2)), [1, -2], atol=1e-4)
