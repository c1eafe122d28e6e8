"""A run that begins in Python while its solver is compiled: the bits of a compiled one, wherever it goes over."""

import numpy as np
import pytest

import fastopt as fo
from fastopt import functions
from fastopt.minimization import again, minimizing

numba = pytest.importorskip("numba")
beginning = pytest.importorskip("fastopt.kernels.minimization.beginning")

METHODS = ("lbfgs", "bfgs", "newton", "newton-cg", "nelder-mead")


@numba.njit
def decay(x, t, y):
    return x[0] * np.exp(-x[1] * t) + x[2] - y


@numba.njit
def not_everywhere(x):
    return np.sqrt(x[0]) + 1 / x[0] if x[0] < 3 else np.nan


@pytest.fixture
def run(monkeypatch):
    """run(after, ...): minimize, which goes over to the kernel at its call number `after` (0: compiled from the start)."""
    ready = beginning.Beginning.compiled

    def call(after, *args, **given):
        calls = 0

        def compiled(self):
            nonlocal calls
            calls += 1
            kernel = None
            while kernel is None and calls > after:
                kernel = ready(self)
            return kernel

        monkeypatch.setattr(beginning.Beginning, "compiled", compiled)
        monkeypatch.setattr(minimizing, "FEW", 4096 if after else 0)
        again._KEPT.clear()
        return fo.minimize(*args, **given)

    return call


def assert_same(found, expected):
    assert (found.status, found.nit, found.nfev) == (expected.status, expected.nit, expected.nfev)
    np.testing.assert_array_equal(found.x, expected.x)
    np.testing.assert_array_equal(found.fun, expected.fun)
    if "jac" in expected:
        np.testing.assert_array_equal(found.jac, expected.jac)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("given", ["gradient", "numeric", "bounds"])
def test_bits(method, given, run, rng):
    bounds = None
    if given == "bounds":
        if method not in ("lbfgs", "nelder-mead"):
            pytest.skip("takes no bounds")
        bounds = [(-2, 0.5), (None, 2)] + [(-3, 3)] * 2
    f = functions.rosenbrock(4).compiled
    jac = f.gradient if given == "gradient" and method != "nelder-mead" else None
    for _ in range(3):
        x0 = rng.uniform(-2, 2, 4)
        options = dict(jac=jac, method=method, bounds=bounds, maxiter=300)
        expected = run(0, f.value, x0, **options)
        for after in (1 << 40, int(rng.integers(2, 12))):
            assert_same(run(after, f.value, x0, **options), expected)


@pytest.mark.parametrize("n", [1, 2, 9, 40])
def test_bits_of_sizes_and_units(n, run, rng):
    f = functions.quadratic(n, condition=1e4, rotation=3).compiled
    for unit in (1e-9, 1.0, 1e9):
        x0 = unit * rng.standard_normal(n)
        expected = run(0, f.value, x0, jac=f.gradient)
        assert_same(run(1 << 40, f.value, x0, jac=f.gradient), expected)


def test_bits_of_squares(run, rng):
    t = np.linspace(0, 4, 30)
    y = 2 * np.exp(-1.3 * t) + 0.5 + 0.01 * rng.standard_normal(30)
    for x0 in ([1.0, 1.0, 0.0], [10.0, 0.1, -3.0]):
        options = dict(residual=decay, x0=np.array(x0), args=(t, y))
        expected = run(0, **options)
        assert expected.success
        for after in (1 << 40, 3):
            assert_same(run(after, **options), expected)


def test_bits_where_the_function_ends(run):
    for x0 in (0.1, 2.9, 3.5):
        for method in ("lbfgs", "nelder-mead"):
            expected = run(0, not_everywhere, np.array([x0]), method=method)
            assert_same(run(1 << 40, not_everywhere, np.array([x0]), method=method), expected)


def test_limits_and_interrupts_of_a_beginning(run):
    f = functions.rosenbrock(4).compiled
    found = run(1 << 40, f.value, -np.ones(4), jac=f.gradient, maxiter=3)
    assert found.nit == 3 and not found.success

    def stop(intermediate_result):
        raise StopIteration

    assert run(1 << 40, f.value, -np.ones(4), jac=f.gradient, callback=stop).nit <= 1


def test_a_first_call_waits_for_no_solver(python, tmp_path):
    said = python(
        """
import numpy as np, fastopt as fo
from numba import njit
@njit
def f(x):
    return (x[0] - 1) ** 2 + (x[1] + 2) ** 4
found = fo.minimize(f, np.zeros(2))
from fastopt import background
print(found.success, background._made)
import time
limit = time.monotonic() + 250
while not background._made and time.monotonic() < limit:
    time.sleep(0.1)
later = fo.minimize(f, np.zeros(2))
print(len(background._made), (later.x == found.x).all(), later.nfev == found.nfev)
""",
        NUMBA_CACHE_DIR=str(tmp_path),
        FASTOPT_BACKEND="auto",
    )
    assert said.split() == ["True", "{}", "1", "True", "True"]
