"""check_rule, check_loss, the structured numeric gradient; built-in losses under gradcheck."""

from typing import NamedTuple

import numpy as np
import pytest

from fastopt import losses, rules
from fastopt.checking import check_loss, check_rule, gradcheck, numeric_linear_gradient
from fastopt.checking.formulas import labels, rows
from fastopt.checking.linear import by_formula
from fastopt.engines import choose

LOSSES = [*(loss() for loss in losses.LOSSES), losses.MulticlassHinge(margin=0.5, squared=True)]
BACK_ENDS = ["numpy"] + ["numba"] * choose.has_numba() + ["c"] * choose.has_c()


def _id(loss):
    return type(loss).__name__ + ("2" if "squared" in loss._fields and loss.squared else "")


class OneThird(NamedTuple):
    """p = p - lr*g/3, and wrong in its dtype."""

    lr: float = 0.1
    slots = ()

    @staticmethod
    def coefficients(h, t):
        return (h.lr,)

    @staticmethod
    def update(h, k, p, g, s):
        return p - k[0] * g * np.float64(1 / 3), ()


class Heavy(NamedTuple):
    """v = momentum*v + g;  p = p - lr*v."""

    lr: float = 0.1
    momentum: float = 0.9
    slots = ("v",)

    @staticmethod
    def coefficients(h, t):
        return h.lr, h.momentum

    @staticmethod
    def update(h, k, p, g, s):
        v = k[1] * s[0] + g
        return p - k[0] * v, (v,)


class Lost(Heavy):
    @staticmethod
    def update(h, k, p, g, s):
        return p - k[0] * g, ()


def test_rules():
    for rule in (rules.Adam(weight_decay=0.01), rules.Lion(), Heavy()):
        assert check_rule(rule)
    report = check_rule(OneThird(), raise_exception=False)
    assert not report and "float64" in report.text()
    with pytest.raises(TypeError, match="1 slots, not 0"):
        check_rule(Lost())
    with pytest.raises(TypeError, match="write Heavy"):
        check_rule(Heavy)


@pytest.mark.parametrize("loss", LOSSES, ids=_id)
def test_losses(loss):
    pytest.importorskip("fastopt.linear")
    assert check_loss(loss)


class Cubed(NamedTuple):
    """L = sum_c s_c^3, with a wrong derivative."""

    one_row = "class"

    @staticmethod
    def rows(k, s, y, d):
        loss = np.zeros_like(s[0])
        for c in range(len(s)):
            loss = loss + s[c] * s[c] * s[c]
            d[c] = s[c] * s[c]
        return loss


def test_wrong_loss():
    report = check_loss(Cubed(), raise_exception=False)
    assert not report and any("factor 1/3" in c or "0.3333" in c for c in report.causes), report.text()


@pytest.mark.parametrize("loss", LOSSES, ids=_id)
@pytest.mark.parametrize("classes", [1, 4])
def test_structured_numeric_gradient(loss, classes):
    """Against the formula's own derivatives, dense and CSR, with and without compiled code."""
    scipy_sparse = pytest.importorskip("scipy.sparse")
    rng = np.random.default_rng(0)
    W, b, X = rng.normal(size=(classes, 131)), rng.normal(size=classes), rng.normal(size=(1100, 131))
    X[rng.random(X.shape) < 0.5] = 0
    X *= 0.1  # scores whose exp is no huge number
    y = labels(loss, classes, 1100, rng)
    _, d = rows(loss, X @ W.T + b, y)
    expected = d.T @ X / 1100 + 0.2 * W
    given = y + 1 if classes == 1 and loss.one_row == "binary" else y
    for data in (X, scipy_sparse.csr_array(X)):
        dW, db = numeric_linear_gradient(loss, W, data, given, b, l2=0.1)
        assert dW == pytest.approx(expected, abs=2e-6) and db == pytest.approx(d.mean(0), abs=2e-6)
    plain = by_formula(loss, X @ W.T + b, X, y, np.full(1100, 1 / 1100), np.full(W.shape, 1e-6))
    assert plain + 0.2 * W == pytest.approx(expected, abs=2e-6)


@pytest.mark.parametrize(
    "seeds", [range(2), pytest.param(range(2, 6), marks=pytest.mark.long)], ids=["two", "four_more"]
)
@pytest.mark.parametrize("backend", BACK_ENDS)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("loss", LOSSES, ids=_id)
def test_built_in_losses_pass(loss, dtype, backend, seeds):
    """value_and_grad under gradcheck, dense and CSR, at random points and exactly on the hinges."""
    if backend == "c" and type(loss) not in losses.IN_C:
        pytest.skip("not in the C library")
    linear = pytest.importorskip("fastopt.linear")
    sparse = pytest.importorskip("scipy.sparse")
    for seed in seeds:
        rng = np.random.default_rng([seed, 9])
        on_kinks = seed % 2
        X = (rng.integers(-2, 3, (9, 4)) if on_kinks else rng.normal(size=(9, 4))).astype(dtype)
        W = (rng.integers(-1, 2, (3, 4)) if on_kinks else rng.normal(size=(3, 4))).astype(dtype)
        y, b = rng.integers(0, 3, 9), np.zeros(3, dtype)
        for data in (X, sparse.csr_array(X)):

            def pair(W, b, data=data, y=y):
                data = data.astype(W.dtype)
                return linear.value_and_grad(loss, W, data, y, b, l2=0.05, backend=backend)

            def strict(W, b, data=data, y=y):
                return linear.value_and_grad(loss, W, data, y, b, l2=0.05, backend=backend)

            for f in (pair, strict):
                report = gradcheck(f, None, (W, b), raise_exception=False)
                assert report, report.text()
