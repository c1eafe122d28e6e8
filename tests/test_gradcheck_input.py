"""Bad input: one clear error each; x is never modified."""

import numpy as np
import pytest

from fastopt.checking import EvaluationError, gradcheck, numeric_gradient, numeric_jacobian


@pytest.mark.parametrize(
    ("f", "x", "error", "words"),
    [
        (lambda x: x * 2, np.ones(3), ValueError, "where a number is due"),
        (lambda x: None, np.ones(3), TypeError, "return"),
        (lambda x: "a", np.ones(3), TypeError, "not a number"),
        (lambda x: 1j * x.sum(), np.ones(3), TypeError, "complex"),
        (np.sum, np.ones(3, int), TypeError, "integers"),
        (np.sum, np.ones(3, complex), TypeError, "real and the imaginary"),
        (np.sum, np.ones(0), ValueError, "empty"),
        (np.sum, np.array([1, np.nan]), ValueError, r"x\[1\] is nan"),
        (np.sum, np.array(["a"]), TypeError, "floating"),
        (3.0, np.ones(3), TypeError, "must be a function"),
        (lambda x: (np.sum(x), x), np.ones(3), TypeError, "grad=None"),
    ],
)
def test_bad_input(f, x, error, words):
    with pytest.raises(error, match=words):
        numeric_gradient(f, x)


def test_scalar_is_due_in_numeric_gradient_only():
    assert numeric_jacobian(lambda x: x * 2, np.ones(3)).shape == (3, 3)


def test_wrong_gradient_shape():
    with pytest.raises(ValueError, match=r"shape \(2,\), expected \(3,\)"):
        gradcheck(np.sum, lambda x: np.ones(2), np.ones(3))
    with pytest.raises(ValueError, match="2 arrays"):
        gradcheck(lambda a, b: a.sum() + b.sum(), lambda a, b: a, (np.ones(3), np.ones(2)))
    with pytest.raises(TypeError, match="None"):
        gradcheck(np.sum, lambda x: None, np.ones(3))


def test_error_in_the_middle_says_where():
    def f(x):
        if x[2] > 1:
            raise KeyError("boom")
        return x.sum()

    with pytest.raises(EvaluationError, match=r"KeyError (near x|with x\[2\] moved by).*boom") as caught:
        numeric_gradient(f, np.ones(4))
    assert isinstance(caught.value.__cause__, KeyError)


def test_f_that_modifies_x():
    def f(x):
        x += 1
        return x.sum()

    x = np.ones(3)
    with pytest.raises(EvaluationError, match="modifies its argument"):
        numeric_gradient(f, x)
    assert (x == 1).all()

    def grad(x):
        x[1] = 0
        return np.ones(3)

    with pytest.raises(EvaluationError, match=r"modifies its argument at x\[1\]"):
        gradcheck(np.sum, grad, x)


def test_f_that_modifies_x_now_and_then():
    calls = []

    def f(x):
        calls.append(1)
        if len(calls) == 4:
            x[0] = 7
        return x.sum()

    with pytest.raises(EvaluationError, match="modifies"):
        numeric_gradient(f, np.ones(5))


@pytest.mark.parametrize("method", ["x", None])
def test_unknown_method(method):
    with pytest.raises(ValueError, match="central"):
        numeric_gradient(np.sum, np.ones(2), method=method)


def test_unknown_mode_and_tolerances():
    with pytest.raises(ValueError, match="directions"):
        gradcheck(np.sum, np.ones_like, np.ones(2), mode="fast")
    with pytest.raises(ValueError, match="atol"):
        gradcheck(np.sum, np.ones_like, np.ones(2), atol=-1)


def test_memory_of_any_kind():
    """Strided, reversed, Fortran-ordered, broadcast (overlapping), read-only, byte-swapped and 0-d x."""
    base = np.random.default_rng(0).normal(size=(6, 8))
    frozen = base.copy()
    frozen.flags.writeable = False
    swapped = base.astype(base.dtype.newbyteorder())
    for x in (base[::2, ::-3], base.T, np.broadcast_to(base[0], (3, 8)), frozen, swapped, np.asarray(2.0)):
        before = x.copy()
        assert numeric_gradient(lambda x: np.sum(x**2), x) == pytest.approx(
            2 * np.asarray(x, float), rel=1e-8
        )
        assert gradcheck(lambda x: np.sum(x**2), lambda x: 2 * x, x)
        assert (x == before).all()


def test_gradient_given_with_the_value():
    x = np.arange(1.0, 4.0)
    assert gradcheck(lambda x: np.sum(x**2), lambda x: (np.sum(x**2), 2 * x), x).ok
    assert gradcheck(lambda x: np.sum(x**2), lambda x: tuple(2 * x), x[:2]).ok


def test_array_where_the_gradient_is_that_of_a_number():
    with pytest.raises(ValueError, match="f returns an array"):
        gradcheck(lambda x: x**2, lambda x: 2 * x, np.ones(3))
