"""Python functions called back from compiled solvers."""

import gc
import threading
import weakref

import numpy as np
import pytest

import fastopt as fo
from fastopt.minimization import called, minimizing

pytest.importorskip("numba", reason="numba is not installed")
START = np.array([-1.2, 1.0, 0.8])


def value(x):
    return float(np.sum(100 * (x[1:] - x[:-1] ** 2) ** 2 + (1 - x[:-1]) ** 2))


def slope(x):
    g = np.zeros_like(x)
    bend = x[1:] - x[:-1] ** 2
    g[:-1] = -400 * bend * x[:-1] - 2 * (1 - x[:-1])
    g[1:] += 200 * bend
    return g


def residuals(x):
    return np.concatenate([10 * (x[1:] - x[:-1] ** 2), 1 - x[:-1]])


@pytest.mark.parametrize("method", ["lbfgs", "bfgs", "newton", "newton-cg", "nelder-mead", "lm"])
@pytest.mark.parametrize("given", [True, False])
def test_the_text_and_the_compiled_solver_have_the_same_bits(method, given, monkeypatch):
    """The text alone; compiled; and half by the one, half by the other."""
    if method == "lm":
        options = {"residual": residuals, "x0": START}
    else:
        options = {"fun": value, "x0": START, "jac": slope if given and method != "nelder-mead" else None}
    found = []
    run = called.ready(method, "float64")
    for looks in (1 << 30, 0, 3):
        left = [looks]

        def made(*key, left=left):
            left[0] -= 1
            return run if left[0] < 0 else None

        monkeypatch.setattr(called.background, "made", made)
        monkeypatch.setattr(minimizing, "begins", lambda work: True)
        r = fo.minimize(method=method, **options)
        found.append((r.x.tobytes(), r.fun, r.status, r.nit, r.nfev, r.njev, r.nhev))
    assert r.success
    assert found[0] == found[1] == found[2]


def test_float32_stays_and_large_problems_are_compiled_at_once():
    x0 = np.resize(np.float32([-1.2, 1.0]), 300)
    r = fo.minimize(value, x0, jac=slope)
    assert r.x.dtype == np.float32 and r.success
    assert value(r.x.astype(np.float64)) < value(x0) / 1e3


class Oops(Exception):
    pass


@pytest.mark.parametrize("method", ["lbfgs", "nelder-mead"])
def test_what_a_function_raises_goes_to_the_caller(method, monkeypatch):
    monkeypatch.setattr(minimizing, "begins", lambda work: False)
    calls = []

    def fun(x):
        calls.append(1)
        if len(calls) == 9:
            raise Oops("ninth")
        return value(x)

    with pytest.raises(Oops, match="ninth") as caught:
        fo.minimize(fun, START, method=method)
    assert len(calls) == 9  # not once more
    assert any(entry.name == "fun" for entry in caught.traceback)
    assert fo.minimize(fun, START, method=method).success


def test_ctrl_c_within_a_function_returns_the_best_point(monkeypatch):
    monkeypatch.setattr(minimizing, "begins", lambda work: False)
    seen = []

    def fun(x):
        if len(seen) == 30:
            raise KeyboardInterrupt
        seen.append(value(x))
        return seen[-1]

    r = fo.minimize(fun, START, jac=slope)
    assert not r.success and "interrupted" in r.message
    assert r.fun == min(seen) == value(r.x)


def test_a_function_may_minimize_in_turn_and_threads_do_not_meet(monkeypatch):
    monkeypatch.setattr(minimizing, "begins", lambda work: False)

    def outer(x):
        inner = fo.minimize(lambda z: float((z[0] - x[0]) ** 2 + x[1] ** 2), np.zeros(1), method="bfgs")
        return inner.fun + (x[0] - 3) ** 2

    alone = fo.minimize(outer, np.array([1.0, 1.0]), method="nelder-mead")
    assert alone.success and alone.x == pytest.approx([3, 0], abs=1e-3)
    found = {}

    def work(k):
        found[k] = fo.minimize(value, START + k, jac=slope).x.tobytes()

    threads = [threading.Thread(target=work, args=(k,)) for k in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(fo.minimize(value, START + k, jac=slope).x.tobytes() == x for k, x in found.items())


def test_nothing_is_kept_of_a_run(monkeypatch):
    """No circle of references holds a large problem's arrays until the collector comes."""
    monkeypatch.setattr(minimizing, "begins", lambda work: False)

    class Function:
        def __call__(self, x):
            return value(x)

    fun = Function()
    kept = weakref.ref(fun)
    gc.collect()
    gc.disable()
    try:
        fo.minimize(fun, START, jac=slope)
        del fun
        assert kept() is None
    finally:
        gc.enable()


def test_a_given_hessian_is_evaluated_once_a_point():
    x0, points = np.resize([-1.2, 1.0], 6), []
    second = fo.functions.rosenbrock(6).hessian

    def hess(x):
        points.append(x.tobytes())
        return second(x)

    r = fo.minimize(value, x0, jac=slope, hess=hess, method="newton-cg")
    assert r.success
    assert len(points) == len(set(points))
