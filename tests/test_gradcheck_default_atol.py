"""The default atol follows the scale of the derivative, and knows an optimum when it sees one."""

import numpy as np
import pytest

import fastopt as fo

SCALES = [1e-8, 1e-2, 1e4, 1e6, 1e8, 1e12]


def outcome(f, grad, x, **options):
    report = fo.gradcheck(f, grad, x, raise_exception=False, **options)
    return "pass" if report.ok else report.outcome


@pytest.mark.parametrize("mode", ["full", "directions"])
@pytest.mark.parametrize("scale", SCALES)
@pytest.mark.parametrize("near", [1.0, 1e-3])
def test_wrong_gradients_of_wide_functions_fail(scale, mode, near):
    x = np.array([0.3, 2.0, 4.0]) * scale * near

    def f(x):
        return float(np.sum(np.sin(x / scale)))

    def grad(x):
        return np.cos(x / scale) / scale

    assert outcome(f, grad, x, mode=mode) == "pass"
    assert outcome(f, lambda x: 0 * x, x, mode=mode) == "wrong"
    assert outcome(f, lambda x: -grad(x), x, mode=mode) == "wrong"
    assert outcome(f, lambda x: 1.01 * grad(x), x, mode=mode) == "wrong"


def test_a_number_stays_absolute():
    assert fo.gradcheck(lambda x: float(np.sin(x / 1e8).sum()), lambda x: 0 * x, np.ones(3), atol=1e-5)
    assert not fo.gradcheck(
        lambda x: float(np.sin(x / 1e8).sum()), lambda x: 0 * x, np.ones(3), raise_exception=False
    )


@pytest.mark.parametrize("mode", ["full", "directions"])
@pytest.mark.parametrize("scale", [1e-9, 1e-3, 1.0, 1e3, 1e6, 1e9])
def test_no_false_alarm_at_an_optimum(scale, mode):
    rng = np.random.default_rng(0)
    A, y = rng.standard_normal((12, 5)), rng.standard_normal(12)
    best = np.linalg.lstsq(A, y, rcond=None)[0] * scale

    def f(x):
        return float(np.sum((A @ (x / scale) - y) ** 2))

    def grad(x):
        return 2 * A.T @ (A @ (x / scale) - y) / scale

    assert outcome(f, grad, best, mode=mode) != "wrong"
    if scale >= 1:
        assert outcome(f, grad, best, mode=mode) == "pass"
    exact = np.full(4, scale)
    squares = outcome(
        lambda x: float(np.sum((x / scale - 1) ** 2)), lambda x: 2 * (x / scale - 1) / scale, exact, mode=mode
    )
    assert squares != "wrong"


def test_converged_softmax_passes():
    rng = np.random.default_rng(3)
    X, y = rng.standard_normal((40, 3)), rng.integers(0, 3, 40)

    def value_and_grad(w):
        scores = X @ w.reshape(3, 3)
        p = np.exp(scores - scores.max(1, keepdims=True))
        p /= p.sum(1, keepdims=True)
        value = -np.log(p[np.arange(40), y]).mean() + 0.05 * w @ w
        p[np.arange(40), y] -= 1
        return float(value), (X.T @ p / 40).ravel() + 0.1 * w

    w = np.zeros(9)
    for _ in range(3000):
        w -= 0.5 * value_and_grad(w)[1]
    assert np.abs(value_and_grad(w)[1]).max() < 1e-12
    for mode in ("full", "directions"):
        assert outcome(value_and_grad, None, w, mode=mode) == "pass"
        wrong = outcome(
            lambda v: value_and_grad(v)[0], lambda v: 1.01 * value_and_grad(v)[1], w + 1e-3, mode=mode
        )
        assert wrong == "wrong"


def test_hessians_too():
    s, x = 1e6, np.array([0.3, 1.1]) * 1e6

    def grad(x):
        return np.cos(x / s) / s

    def hess(x):
        return np.diag(-np.sin(x / s) / s**2)

    assert fo.gradgradcheck(grad, hess, x)
    for wrong in (lambda x: 0 * hess(x), lambda x: -hess(x), lambda x: 1.01 * hess(x)):
        assert not fo.gradgradcheck(grad, wrong, x, raise_exception=False)
    assert fo.gradgradcheck(grad, lambda x, v: hess(x) @ v, x, product=True)
    assert not fo.gradgradcheck(grad, lambda x, v: 0 * v, x, product=True, raise_exception=False)


def test_periods_written_in_few_digits():
    s = 1e-12
    x = np.array([20000.3, 19999.7]) * s

    def f(x):
        return float(np.sum(0.5 * x / s + np.sin(2 * np.pi * x / s)))

    def grad(x):
        return 0.5 / s + 2 * np.pi / s * np.cos(2 * np.pi * x / s)

    assert fo.gradcheck(f, grad, x)
    assert not fo.gradcheck(f, np.full(2, 0.5 / s), x, raise_exception=False)
