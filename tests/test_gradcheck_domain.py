"""Domains and their edges, bounds, steps by the caller, functions that remember x, dtypes that depend on values."""

import copy
import math
import pickle

import numpy as np
import pytest

from fastopt.checking import (
    EvaluationError,
    GradcheckError,
    NotAnalyticError,
    gradcheck,
    gradgradcheck,
    hessian_vector_product,
    numeric_gradient,
    numeric_hessian,
    numeric_jacobian,
)
from fastopt.functions import NumericGradient

# (f that raises or is NaN beside x, its derivative, x)
EDGES = {
    "log near 0": (lambda v: math.log(v[0]), lambda v: 1 / v, [1e-9]),
    "log1p": (lambda v: math.log(v[0] - 1), lambda v: 1 / (v - 1), [1 + 1e-9]),
    "Cholesky": (
        lambda v: float(np.linalg.cholesky(np.diag(v)).trace()),
        lambda v: 0.5 / np.sqrt(v),
        [1e-12, 1.0],
    ),
    "pole": (lambda v: 1 / (v[0] - 2), lambda v: -1 / (v - 2) ** 2, [2 + 1e-8]),
    "entropy near 1": (
        lambda v: v[0] * math.log(v[0]) + (1 - v[0]) * math.log(1 - v[0]),
        lambda v: np.log(v / (1 - v)),
        [1 - 1e-12],
    ),
    "at the edge": (lambda v: math.acos(v[0]) ** 2, lambda v: np.array([-2.0]), [1.0]),
}


@pytest.mark.parametrize("name", EDGES)
@pytest.mark.filterwarnings("ignore")
def test_the_end_of_the_domain_is_no_error(name):
    f, gradient, x = EDGES[name]
    x = np.array(x)
    report = gradcheck(f, gradient, x, raise_exception=False)
    assert report.outcome != "wrong", report.text()
    assert not gradcheck(f, lambda v: 1.01 * gradient(v) + 1, x, raise_exception=False)
    if name != "entropy near 1":
        assert report, report.text()
        assert numeric_gradient(f, x) == pytest.approx(gradient(x), rel=1e-4)


def test_f_that_raises_at_every_step():
    def f(v):
        if v[0] != 1:
            raise ValueError("only at 1")
        return 1.0

    with pytest.raises(EvaluationError, match=r"only at 1.*bounds"):
        numeric_gradient(f, np.ones(1))
    report = gradcheck(f, np.zeros_like, np.ones(1), raise_exception=False)
    assert report.outcome == "undecided" and "end of the domain" in report.text()


class Inside:
    """A smooth f that fails the test where it is called outside of [0, 1]."""

    def __call__(self, v):
        assert ((v >= 0) & (v <= 1)).all()
        return float(np.sum(np.exp(v) + v**2))

    @staticmethod
    def gradient(v):
        return np.exp(v) + 2 * v


X = np.array([0.0, 0.5, 1.0, 1e-9])


@pytest.mark.parametrize("bounds", [(0, 1), (0.0, np.ones(4)), ([0, 0, 0, 0], [1, 1, 1, 1])])
@pytest.mark.parametrize("method", ["forward", "central", "five-point", "richardson"])
def test_bounds_of_numeric_gradients(method, bounds):
    f = Inside()
    right = f.gradient(X)
    found, error = numeric_gradient(f, X, bounds=bounds, method=method, return_error=True)
    assert found == pytest.approx(right, abs=1e-6) and (np.abs(found - right) <= 10 * error + 1e-7).all()
    assert numeric_gradient(f, X, bounds=bounds, method=method, eps=1e-5) == pytest.approx(right, abs=1e-4)


@pytest.mark.parametrize("mode", ["full", "directions"])
def test_bounds_of_gradcheck(mode):
    f = Inside()
    assert gradcheck(f, f.gradient, X, bounds=(0, 1), mode=mode)
    for factor in (1.01, -1, 0):
        report = gradcheck(
            f, lambda v, s=factor: s * f.gradient(v), X, bounds=(0, 1), mode=mode, raise_exception=False
        )
        assert report.outcome == "wrong"


def test_bounds_of_hessians():
    f = Inside()
    right = np.diag(np.exp(X) + 2)
    assert numeric_hessian(f, X, bounds=(0, 1)) == pytest.approx(right, abs=1e-2)
    assert numeric_hessian(f, X, bounds=(0, 1), grad=f.gradient) == pytest.approx(right, abs=1e-4)
    assert hessian_vector_product(f.gradient, X, np.ones(4), bounds=(0, 1)) == pytest.approx(
        np.diag(right), abs=1e-3
    )
    assert gradgradcheck(f.gradient, right, X, bounds=(0, 1))


def test_bad_bounds():
    for bounds, words in (
        ((2, 3), "do not hold x"),
        ((1, 0), "no room"),
        (7, "lower, upper"),
        ((0, [1, 2]), "shape"),
    ):
        with pytest.raises(ValueError, match=words):
            numeric_gradient(np.sum, np.ones(3), bounds=bounds)


def test_structured_bounds():
    x = {"a": np.zeros(2), "b": np.ones((2, 2))}
    found = numeric_gradient(
        lambda p: np.sum(p["a"] ** 2) + np.sum(p["b"] ** 3), x, bounds=({"a": 0, "b": None}, None)
    )
    assert found["a"] == pytest.approx(np.zeros(2), abs=1e-6) and found["b"] == pytest.approx(3 * x["b"])


class Memo:
    """f and gradient that compute when they meet another array object."""

    x = None

    def look(self, x):
        if x is not self.x:
            self.x, self.value, self.slope = x, float(np.sum(x**2)), 2 * x

    def f(self, x):
        self.look(x)
        return self.value

    def gradient(self, x):
        self.look(x)
        return self.slope


@pytest.mark.parametrize("mode", ["full", "directions"])
def test_functions_that_remember_x_by_identity(mode):
    x = np.arange(1.0, 5.0)
    memo = Memo()
    report = gradcheck(memo.f, memo.gradient, x, mode=mode)
    assert "identity" in report.text()
    assert gradcheck(Memo().f, lambda x: 1.5 * x, x, mode=mode, raise_exception=False).outcome == "wrong"


@pytest.mark.parametrize("options", [{}, {"eps": 1e-6}, {"method": "richardson"}, {"method": "forward"}])
def test_numeric_gradient_of_functions_that_remember(options):
    x = np.arange(1.0, 5.0)
    seen = {}

    def by_number(x):
        return seen.setdefault(id(x), (float(np.sum(x**2)), x))[0]

    for f in (Memo().f, by_number):
        assert numeric_gradient(f, x, **options) == pytest.approx(2 * x, rel=1e-5)
    assert numeric_hessian(Memo().f, x) == pytest.approx(2 * np.eye(4), abs=1e-3)


def test_dtypes_that_depend_on_values():
    def f(x):
        value = np.sum(x**2)
        return np.float32(value) if x[0] > 1 else value

    report = gradcheck(f, lambda x: 2 * x, np.array([1.0, 2.0]))
    assert "dtype of f's value depends on x" in report.text()
    assert gradcheck(lambda x: np.sum(x**2), lambda x: (2 * x).astype(np.float32), np.array([1.1, 2.0]))


def test_steps_of_the_caller_everywhere():
    x, eps = np.array([1.0, 2.0]), np.array([1e-5, 1e-6])

    def f(v):
        return v @ v

    def gradient(v):
        return 2 * v

    for method in ("forward", "central", "five-point", "richardson", "complex"):
        for with_error in (False, True):
            found = numeric_gradient(f, x, eps=eps, method=method, return_error=with_error)
            assert (found[0] if with_error else found) == pytest.approx(2 * x, rel=1e-4)
    assert numeric_jacobian(lambda v: v * v, x, eps=eps, return_error=True)[0] == pytest.approx(
        np.diag(2 * x)
    )
    assert numeric_hessian(f, x, eps=100 * eps) == pytest.approx(2 * np.eye(2), abs=1e-2)
    assert hessian_vector_product(gradient, x, x, eps=eps) == pytest.approx(2 * x)
    assert gradcheck(f, gradient, x, eps=eps) and gradgradcheck(gradient, 2 * np.eye(2), x, eps=eps)
    assert gradgradcheck(gradient, lambda x, v: 2 * v, x, eps=eps, product=True)
    for bad in (0, -1, np.nan, np.array([1e-6, -1]), np.ones(3)):
        for call, arguments in (
            (gradcheck, (f, gradient, x)),
            (numeric_gradient, (f, x)),
            (numeric_hessian, (f, x)),
            (hessian_vector_product, (gradient, x, x)),
        ):
            with pytest.raises(ValueError, match="eps"):
                call(*arguments, eps=bad)


def test_undecided_is_no_pass_unless_the_caller_says_so():
    x = np.array([1.0, 2, 3])

    def f(v):
        return 1e16 + float(np.sin(v).sum())

    with pytest.raises(GradcheckError, match="UNDECIDED: 3 of 3 entries undecided"):
        gradcheck(f, lambda v: -np.cos(v), x)
    assert gradcheck(f, np.cos, x, allow_undecided=True).outcome == "undecided"
    wrong = gradcheck(lambda v: float(v @ v), lambda v: 3 * v, x, allow_undecided=True, raise_exception=False)
    assert wrong.outcome == "wrong" and not wrong


def test_a_gradient_that_jitters():
    rng = np.random.default_rng(0)
    for size, passes in ((1e-7, False), (1e-10, False), (1e-15, True)):
        report = gradcheck(
            lambda x: np.sum(x**2), lambda x, s=size: 2 * x * (1 + s * rng.random(x.shape)), np.linspace(1, 2, 9),
            raise_exception=False,
        )  # fmt: skip
        assert bool(report) is passes


def test_reports_and_errors_cross_processes():
    with pytest.raises(GradcheckError) as caught:
        gradcheck(lambda v: float(v @ v), lambda v: 3 * v, np.ones(3))
    for clone in (pickle.loads(pickle.dumps(caught.value)), copy.deepcopy(caught.value)):
        assert str(clone) == str(caught.value) and clone.report.text() == caught.value.report.text()


@pytest.mark.parametrize(("x0", "width"), [(1e-10, 1e-10), (1e8, 1.0), (1.0, 1e6), (3e7, 1e2), (1e-12, 1e3)])
def test_second_derivatives_on_other_scales(x0, width):
    x = np.array([x0, x0 + 0.3 * width])

    def gradient(v):
        u = (v - x0) / width
        return (np.cos(u + 1) + u[::-1]) / width

    def f(v):
        u = (v - x0) / width
        return float(np.sum(np.sin(u + 1)) + u[0] * u[1])

    right = (np.array([[0, 1.0], [1, 0]]) - np.diag(np.sin((x - x0) / width + 1))) / width**2
    largest = np.abs(right).max()
    assert numeric_hessian(f, x) == pytest.approx(right, abs=1e-3 * largest)
    assert numeric_hessian(f, x, grad=gradient) == pytest.approx(right, abs=1e-4 * largest)
    v = np.array([0.3, -1.7])
    assert hessian_vector_product(gradient, x, v) == pytest.approx(right @ v, abs=1e-4 * largest)
    assert gradgradcheck(gradient, right, x, atol=0)
    assert gradgradcheck(gradient, lambda x, v: right @ v, x, atol=0, product=True)
    for wrong in (1.01 * right, -right, 0 * right):
        assert not gradgradcheck(gradient, wrong, x, atol=0, raise_exception=False)
        assert not gradgradcheck(
            gradient, lambda x, v, w=wrong: w @ v, x, atol=0, product=True, raise_exception=False
        )


@pytest.mark.parametrize("x", [1e-100, 1e-30, 1e-5, 1.0, 1e30])
def test_complex_steps_follow_x(x):
    found = numeric_gradient(lambda v: np.sum(np.log(v)), np.array([x]), method="complex")
    assert found * x == pytest.approx(1, rel=1e-12)


def test_analytic_functions_at_stationary_points():
    zero = np.zeros(3)
    for f in (lambda x: np.sum(x**3), lambda x: np.sum(1 - np.cos(x)), lambda x: np.sum(x**4 - x**5)):
        assert np.abs(numeric_gradient(f, zero, method="complex")).max() < 1e-50
    with pytest.raises(NotAnalyticError):
        numeric_gradient(lambda x: np.sum(np.abs(np.asarray(x))), np.ones(3), method="complex")


class TestNumericGradient:
    @staticmethod
    def f(x):
        return float(np.sum(np.sin(x / WIDTHS) * (1 + x / WIDTHS)))

    @staticmethod
    def right(x):
        u = x / WIDTHS
        return (np.cos(u) * (1 + u) + np.sin(u)) / WIDTHS

    def test_follows_the_scale_and_reuses_it(self):
        x = np.array([0.3, -0.2, 0.7]) * WIDTHS
        gradient = NumericGradient(self.f, x)
        assert gradient(x) == pytest.approx(self.right(x), rel=1e-5)
        before = gradient.evaluations
        for k in range(10):
            y = x * (1 + 0.1 * k)
            assert gradient(y, self.f(y)) == pytest.approx(self.right(y), rel=1e-5)
        assert gradient.evaluations - before == 10 * 6

    def test_bounds(self):
        gradient = NumericGradient(Inside(), X[:3], bounds=(0, 1))
        for x in (X[:3], np.array([0.0, 0.0, 1.0]), np.array([0.2, 1e-12, 1.0])):
            assert gradient(x) == pytest.approx(Inside.gradient(x), abs=1e-6)

    def test_f_that_raises_beside_x(self):
        gradient = NumericGradient(lambda x: math.log(x[0]), np.array([1e-6]))
        assert gradient(np.array([1e-6])) == pytest.approx([1e6], rel=1e-5)
        assert gradient(np.array([2e-9])) == pytest.approx([5e8], rel=1e-4)


WIDTHS = np.array([1e-7, 1.0, 1e9])
