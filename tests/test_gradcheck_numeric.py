"""Numeric derivatives: accuracy, error estimates, complex step, compiled functions."""

import numpy as np
import pytest

from fastopt.checking import (
    EvaluationError,
    NotAnalyticError,
    gradcheck,
    hessian_vector_product,
    numeric_gradient,
    numeric_hessian,
    numeric_jacobian,
)


def f(x):
    return np.sum(np.sin(x) * x**2)


def df(x):
    return np.cos(x) * x**2 + 2 * x * np.sin(x)


@pytest.mark.parametrize(
    ("method", "error"),
    [("forward", 1e-6), ("central", 1e-9), ("five-point", 1e-11), ("complex", 1e-14), ("richardson", 1e-10)],
)
def test_methods(method, error):
    x = np.random.default_rng(0).normal(size=(3, 4))
    assert np.abs(numeric_gradient(f, x, method=method) - df(x)).max() < error


@pytest.mark.parametrize("method", ["central", "richardson"])
def test_error_estimate_covers_the_error(method):
    rng = np.random.default_rng(1)
    x = rng.normal(size=200) * 10.0 ** rng.uniform(-3, 3, 200)
    g, error = numeric_gradient(f, x, method=method, return_error=True)
    off = np.abs(g - df(x))
    assert (off <= 3 * error + 1e-14).mean() > 0.97 and (off <= 30 * error + 1e-12).all()


def test_float32_is_evaluated_in_double_where_possible():
    x = np.random.default_rng(0).normal(size=50).astype(np.float32)
    g = numeric_gradient(f, x)
    assert g.dtype == np.float32 and np.abs(g - df(x.astype(float))).max() < 1e-6
    single = numeric_gradient(lambda x: np.float32(f(x.astype(np.float32))), x)
    assert np.abs(single - df(x.astype(float))).max() < 0.05


def test_steps_stay_in_the_domain():
    x = np.array([1e-9, 1e-4, 2.0])
    with np.errstate(invalid="ignore"):
        assert numeric_gradient(lambda x: np.log(x).sum(), x) == pytest.approx(1 / x, rel=1e-2)
        assert numeric_gradient(lambda x: np.log(x).sum(), x, method="richardson") == pytest.approx(
            1 / x, rel=1e-6
        )


@pytest.mark.parametrize(
    ("g", "reason"),
    [
        (lambda x: np.abs(x).sum(), "abs"),
        (lambda x: np.maximum(x, 0).sum(), "max"),
        (lambda x: x.max(), "max"),
        (lambda x: (x * (x > 0)).sum(), "comparison"),
        (lambda x: x[0] if x[0] > x[1] else x[1], "comparison"),
        (lambda x: np.where(x, x, 0).sum(), "where"),
        (lambda x: np.linalg.norm(x), "norm"),
        (lambda x: (x * x.conj()).sum(), "conj"),
        (lambda x: (x.real**2).sum(), "real"),
        (lambda x: float(x[0]) ** 2, "complex"),
        (lambda x: 1.0, "real number"),
        (lambda x: np.asarray(x).view(np.float64).reshape(-1)[0] * np.sum(x), "disagrees"),
    ],
)
def test_complex_step_is_refused_with_a_reason(g, reason):
    with pytest.raises(NotAnalyticError, match=reason):
        numeric_gradient(g, np.array([1.0, -2.0, 3.0]), method="complex")


def test_structures():
    x = {"a": np.ones((2, 3)), "b": np.arange(2.0)}
    g = numeric_gradient(lambda p: np.sum(p["a"] ** 2) + p["b"] @ p["b"], x)
    assert g["a"] == pytest.approx(2 * x["a"]) and g["b"] == pytest.approx(2 * x["b"])
    a, b = numeric_gradient(lambda a, b: a.sum() * b.sum(), (np.ones(2), np.ones(3)))
    assert a == pytest.approx(np.full(2, 3.0)) and b == pytest.approx(np.full(3, 2.0))


def test_jacobian_and_hessian():
    A = np.random.default_rng(0).normal(size=(5, 5))
    A = A + A.T
    x, v = np.random.default_rng(1).normal(size=(2, 5))
    H = A + np.diag(6 * x)

    def grad(x):
        return A @ x + 3 * x**2

    assert numeric_jacobian(grad, x) == pytest.approx(H, abs=1e-8)
    assert numeric_jacobian(lambda x: x.reshape(5, 1) * x, x).shape == (5, 1, 5)[:1] + (5, 5)
    assert numeric_hessian(lambda x: x @ A @ x / 2 + np.sum(x**3), x) == pytest.approx(H, abs=1e-5)
    assert numeric_hessian(None, x, grad=grad) == pytest.approx(H, abs=1e-8)
    assert hessian_vector_product(grad, x, v) == pytest.approx(H @ v, abs=1e-8)


def test_compiled_function_gives_the_same():
    numba = pytest.importorskip("numba")

    def rosen(x):
        s = 0.0
        for i in range(x.size - 1):
            s += 100 * (x[i + 1] - x[i] ** 2) ** 2 + (1 - x[i]) ** 2
        return s

    x = np.random.default_rng(0).normal(size=300)
    for method in ("forward", "central", "five-point"):
        found, plain = (numeric_gradient(f, x, method=method) for f in (numba.njit(rosen), rosen))
        assert found == pytest.approx(plain, rel=1e-4)


def test_compiled_function_that_raises_or_modifies():
    numba = pytest.importorskip("numba")

    @numba.njit
    def raising(x):
        if x[250] > 1:
            raise IndexError("boom")
        return x.sum()

    with pytest.raises(EvaluationError, match=r"IndexError with x\[250\] moved.*boom"):
        numeric_gradient(raising, np.ones(300))

    @numba.njit
    def modifying(x):
        if x[250] > 1:
            x[3] = 0
        return x.sum()

    with pytest.raises(EvaluationError, match=r"modifies its argument: x\[3\]"):
        numeric_gradient(modifying, np.ones(300))


def _overflowing(x):
    """Finite at x, infinite a step aside; quiet itself."""
    with np.errstate(over="ignore"):
        return float(np.sum(np.exp(x)))


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("mode", ["full", "directions"])
def test_overflow_beside_x_gives_no_warning(mode):
    for x in (np.array([709.78, 1.0]), np.array([88.72, 1.0], np.float32)):
        for g in (_overflowing, np.exp):  # the second is right
            report = gradcheck(_overflowing, lambda x, g=g: g(x) + 0 * x, x, mode=mode, raise_exception=False)
            list(report.curves(report.rows))
            assert report.text() and report.html()
    for method in ("forward", "central", "five-point", "richardson"):
        numeric_gradient(_overflowing, np.full(2, 709.78), method=method, return_error=True)
    numeric_hessian(_overflowing, np.full(2, 709.78))
    with np.errstate(over="raise"):  # the caller's settings hold inside f
        numeric_gradient(lambda x: np.sum(np.exp(x)), np.ones(2))
        with pytest.raises(EvaluationError, match="FloatingPointError"):
            numeric_gradient(lambda x: np.sum(np.exp(x)), np.full(2, 709.78), method="richardson")


def test_huge_gradients_have_their_cause_named():
    report = gradcheck(lambda x: x.sum(), lambda x: np.full(2, 1e308), np.ones(2), raise_exception=False)
    assert not report
    report = gradcheck(
        lambda x: 1e200 * x.sum(), lambda x: np.full(2, -1e200), np.ones(2), raise_exception=False
    )
    assert "wrong sign" in report.causes[0]
