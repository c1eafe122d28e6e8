"""fo.least_squares: the 27 problems of NIST, covariance, bounds."""

import numpy as np
import pytest
from nist_problems import MODELS, digits, read

import fastopt as fo


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("start", [0, 1])
def test_nist(name, start, data):
    problem = read(data(f"nist/{name}.dat"))
    result = fo.least_squares(problem.residual, problem.starts[start])
    assert result.success, result.message
    assert digits(result.x, problem.certified) >= 6
    if name != "Lanczos1":  # its sum of squares, 1.4e-25, is the rounding of the data
        assert 2 * result.cost == pytest.approx(problem.squares, rel=1e-8)
        assert digits(result.stderr, problem.deviations) >= 4


@pytest.mark.parametrize("name", ["Misra1a", "Eckerle4", "Thurber", "BoxBOD"])
def test_complex_step(name, data):
    problem = read(data(f"nist/{name}.dat"))
    result = fo.least_squares(problem.residual, problem.starts[1], jac="complex")
    assert digits(result.x, problem.certified) >= 7


def decay(p, t, y):
    return p[0] * np.exp(-p[1] * t) + p[2] - y


def decay_jacobian(p, t, y):
    e = np.exp(-p[1] * t)
    return np.stack((e, -p[0] * t * e, np.ones_like(t)), axis=1)


def into(p, t, y, out):
    e = np.exp(-p[1] * t)
    out[:, 0] = e
    out[:, 1] = -p[0] * t * e
    out[:, 2] = 1.0


T = np.linspace(0, 4, 25)
Y = 2 * np.exp(-1.3 * T) + 0.5 + 0.01 * np.cos(9 * T)


def test_against_scipy():
    optimize = pytest.importorskip("scipy.optimize")
    known, covariance = optimize.curve_fit(
        lambda t, a, b, c: decay((a, b, c), t, 0.0), T, Y, (1, 1, 0), ftol=1e-14, xtol=1e-14
    )
    result = fo.least_squares(decay, [1, 1, 0], (T, Y), jac=decay_jacobian)
    np.testing.assert_allclose(result.x, known, rtol=1e-6)
    np.testing.assert_allclose(result.covariance, covariance, rtol=1e-4)
    np.testing.assert_allclose(result.stderr, np.sqrt(np.diag(covariance)), rtol=1e-4)
    assert result.residuals.shape == (25,) and result.jac.shape == (25, 3)
    np.testing.assert_allclose(result.grad, result.jac.T @ result.residuals)


@pytest.mark.parametrize("jac", [None, decay_jacobian, into, "complex"])
def test_compiled(jac, numba):
    plain = fo.least_squares(decay, [1, 1, 0], (T, Y), jac=decay_jacobian)
    compiled = numba.njit(jac) if callable(jac) else jac
    result = fo.least_squares(numba.njit(decay), [1, 1, 0], (T, Y), jac=compiled)
    assert result.success
    np.testing.assert_allclose(result.x, plain.x, rtol=1e-7)
    np.testing.assert_allclose(result.covariance, plain.covariance, rtol=1e-5)


@pytest.mark.parametrize("how", ["plain", "compiled"])
def test_bounds(how):
    optimize = pytest.importorskip("scipy.optimize")
    f = decay if how == "plain" else pytest.importorskip("numba").njit(decay)
    low, high = [0, 0, 0.6], [1.8, np.inf, np.inf]
    known = optimize.least_squares(decay, [1, 1, 0.7], args=(T, Y), bounds=(low, high), xtol=1e-12)
    for bounds in ((low, high), list(zip(low, high, strict=True)), optimize.Bounds(low, high)):
        result = fo.least_squares(f, [1, 1, 0.7], (T, Y), bounds=bounds)
        assert result.cost <= known.cost * (1 + 1e-6)
        assert (result.x >= low).all() and (result.x <= high).all()


def test_covariance_that_is_unknown():
    result = fo.least_squares(lambda p: np.array([p[0] + p[1] - 1, 0.0, 2 * (p[0] + p[1] - 1)]), [0.0, 0.0])
    assert np.isnan(result.covariance).all()
    result = fo.least_squares(lambda p: p - 1, [0.0, 0.0])
    assert np.isnan(result.covariance).all() and result.success


def test_refusals():
    with pytest.raises(ValueError, match="two ways"):
        fo.least_squares(lambda p: p, [1.0, 2.0], bounds=((0, 1), (0, 1)))
    with pytest.raises(ValueError, match="not both"):
        fo.minimize(lambda p: p, [1.0], residual=lambda p: p)
    with pytest.raises(TypeError, match="residual"):
        fo.least_squares(lambda p: np.array([]), [1.0])


def test_a_column_that_is_lost_beside_the_others_does_not_set_its_parameters_steps():
    """DENSCHNE of CUTE from ten times its start: exp(-80) in the third column, by which a step would be 1e35 long."""

    def residual(x):
        return np.array([x[0], x[1] + x[1] ** 2, np.exp(x[2]) - 1])

    def jac(x):
        return np.diag([1, 1 + 2 * x[1], np.exp(x[2])])

    result = fo.minimize(residual=residual, x0=[20.0, 30.0, -80.0], jac=jac)
    assert result.success and result.fun < 1e-20


def test_a_linear_model_that_promises_rounding_is_convergence():
    """Where steps shrink because rounding hides what they bring, not at a Jacobian of wrong sign."""
    t = np.linspace(0, 3.4, 25)
    y = 3 * np.exp(-0.5 * t) + 4 * np.exp(-3 * t) + 0.05 * np.cos(40 * t)

    def residual(x):
        return x[0] * np.exp(-x[1] * t) + x[2] * np.exp(-x[3] * t) - y

    def jac(x):
        a, b = np.exp(-x[1] * t), np.exp(-x[3] * t)
        return np.stack([a, -t * x[0] * a, b, -t * x[2] * b], axis=1)

    for seed in range(10):
        x0 = np.array([3, 0.5, 4, 3]) * np.exp(np.random.default_rng(seed).uniform(-1.5, 1.5, 4))
        result = fo.minimize(residual=residual, x0=x0, jac=jac, gtol=0, xtol=0, ftol=0)
        assert result.success == (result.status == 1), result
        wrong = fo.minimize(residual=residual, x0=x0, jac=lambda x: -jac(x))
        assert not wrong.success
    assert result.success and abs(jac(result.x).T @ residual(result.x)).max() < 1e-7
