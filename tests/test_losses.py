"""Losses against explicit loops in float64, the lectures' figures, and what happens at a kink."""

import math
import re

import naive
import numpy as np
import pytest

import fastopt as fo
from fastopt.losses import IN_C, LOSSES, has_curvature
from fastopt.solvers.curvature import curvatures


def snake(loss):
    return re.sub(r"(?<!^)(?=[A-Z])", "_", loss.__name__).lower()


def need_loss(loss, backend):
    if backend == "c" and loss not in IN_C:
        pytest.skip(f"{loss.__name__} is not in the C library")


CAT_CAR_FROG = np.array([[3.2, 5.1, -1.7], [1.3, 4.9, 2.0], [2.2, 2.5, -3.1]])


def values_and_dscores(loss, scores, y, backend):
    """Loss and dscores of each row, through value_and_grad: with X the unit matrix, dW is dscores."""
    losses, slopes = [], []
    for row, label in zip(scores, y, strict=True):
        W, b = np.zeros((len(row), 1), scores.dtype), np.array(row)
        X, label = np.zeros((1, 1), scores.dtype), np.array([label])
        value, _, db = fo.value_and_grad(loss, W, X, label, b, backend=backend)
        losses.append(value)
        slopes.append(db)
    return np.array(losses), np.array(slopes)


def test_hinge_of_cat_car_and_frog(backend):
    losses, _ = values_and_dscores(fo.MulticlassHinge(), CAT_CAR_FROG, [0, 1, 2], backend)
    assert losses == pytest.approx([2.9, 0, 12.9])
    W, X = CAT_CAR_FROG.T.copy(), np.eye(3)
    value, _ = fo.value_and_grad(fo.MulticlassHinge(), W, X, np.arange(3), backend=backend)
    assert value == pytest.approx(5.27, abs=0.005)


def test_a_satisfied_hinge_is_content_and_the_softmax_is_not(backend):
    scores = np.array([[10.0, -2, 3], [10, 9, 9], [10, -100, -100]])
    hinge, _ = values_and_dscores(fo.MulticlassHinge(), scores, [0, 0, 0], backend)
    softmax, _ = values_and_dscores(fo.Softmax(), scores, [0, 0, 0], backend)
    assert (hinge == 0).all()
    assert softmax[1] > softmax[0] > 0
    moved = scores.copy()
    moved[2, 0] -= 0.1
    after, _ = values_and_dscores(fo.MulticlassHinge(), moved, [0, 0, 0], backend)
    assert (after == 0).all()


def test_at_a_kink_the_derivative_is_that_of_the_inactive_side(backend):
    scores = np.array([[1.0, 0.0, 0.0]])
    _, slopes = values_and_dscores(fo.MulticlassHinge(), scores, [0], backend)
    assert (slopes == 0).all()
    _, slopes = values_and_dscores(fo.MulticlassHinge(squared=True), scores, [0], backend)
    assert (slopes == 0).all()
    _, slopes = values_and_dscores(fo.Hinge(), np.array([[1.0, -1.0]]), [0], backend)
    assert (slopes == 0).all()


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_scores_of_any_size_give_finite_losses(backend, dtype):
    for big in (50, 1e4, np.finfo(dtype).max / 4):
        scores = np.array([[big, -big, 0], [-big, big, 0]], dtype)
        for loss in (fo.Softmax(), fo.Logistic(), fo.MulticlassHinge(), fo.Hinge()):
            values, slopes = values_and_dscores(loss, scores, [0, 0], backend)
            assert np.isfinite(values).all() and np.isfinite(slopes).all()


@pytest.mark.parametrize("loss", LOSSES, ids=lambda loss: loss.__name__)
def test_nan_and_inf_show(loss, backend):
    need_loss(loss, backend)
    for bad in (np.nan, np.inf):
        for place in range(3):
            scores = np.array([[0.5, -0.5, 0.25]])
            scores[0, place] = bad
            values, _ = values_and_dscores(loss(), scores, [1], backend)
            if np.isnan(bad):
                assert not np.isfinite(values[0]), place


@pytest.mark.parametrize("loss", LOSSES, ids=lambda loss: loss.__name__)
@pytest.mark.parametrize("classes", [1, 2, 5])
def test_rows_against_the_definition(loss, classes, backend):
    need_loss(loss, backend)
    rng = np.random.default_rng(classes)
    scores = rng.normal(0, 2, (20, classes))
    y = rng.integers(0, 2 if classes == 1 and loss.one_row == "binary" else classes, 20)
    if classes == 1 and loss.one_row == "real":
        y = rng.normal(size=20)
    values, slopes = values_and_dscores(loss(), scores, y, backend)
    for i in range(20):
        value, db = naive.LOSSES[snake(loss)](scores[i], y[i])
        assert values[i] == pytest.approx(value, rel=1e-13, abs=1e-15)
        assert slopes[i] == pytest.approx(db, rel=1e-13, abs=1e-15)


def test_softmax_gradient_is_the_share_less_the_label(backend):
    _, slopes = values_and_dscores(fo.Softmax(), np.log([[1.0, 2.0, 5.0]]), [2], backend)
    assert slopes[0] == pytest.approx([1 / 8, 2 / 8, 5 / 8 - 1])
    assert math.fsum(slopes[0]) == pytest.approx(0, abs=1e-16)


def test_a_loss_of_ones_own(need):
    """README's form: a loss written outside the package runs on NumPy and in the kernels."""
    from own_loss import Huber

    rng = np.random.default_rng(0)
    X, W, y = rng.normal(size=(100, 7)), rng.normal(size=(1, 7)), rng.normal(size=100)
    value, dW = fo.value_and_grad(Huber(0.5), W, X, y, backend="numpy")
    t = X @ W[0] - y
    expected = np.where(np.abs(t) <= 0.5, 0.5 * t * t, 0.5 * (np.abs(t) - 0.25)).mean()
    assert value == pytest.approx(expected)
    need("numba")
    again, dW_again = fo.value_and_grad(Huber(0.5), W, X, y, backend="numba")
    assert again == pytest.approx(value) and dW_again == pytest.approx(dW)
    with pytest.raises((TypeError, ValueError), match="Huber"):
        fo.value_and_grad(Huber(), W, X, y, backend="c")


VARIANTS = [*(loss() for loss in LOSSES), fo.MulticlassHinge(0.5, True), fo.Huber(0.4),
            fo.EpsilonInsensitive(0.3, True)]  # fmt: skip


class Own(fo.Logistic):
    """A user's."""


@pytest.mark.parametrize("loss", [x for x in VARIANTS if has_curvature(x)], ids=str)
@pytest.mark.parametrize("classes", [1, 2, 5])
def test_curvature_is_that_of_the_slopes(loss, classes, rng):
    """Differences of the naive slopes along a direction, away from kinks."""
    scores, v = rng.normal(0, 2, (50, classes)), rng.normal(size=(50, classes))
    y = rng.integers(0, 2 if classes == 1 and loss.one_row == "binary" else classes, 50)
    if classes == 1 and loss.one_row == "real":
        y = rng.normal(size=50)
    labels = y - 1 if classes == 1 and loss.one_row == "binary" else y
    d, before = np.empty((classes, 50)), scores.copy()
    loss.curvature(
        tuple(map(float, loss)), np.ascontiguousarray(scores.T), labels, np.ascontiguousarray(v.T), d
    )
    assert np.array_equal(scores, before)
    naive_loss, hyper, h = naive.LOSSES[snake(type(loss))], loss._asdict(), 1e-6
    for i in range(50):
        up, down = (np.array(naive_loss(scores[i] + t * v[i], y[i], **hyper)[1]) for t in (h, -h))
        assert d[:, i] == pytest.approx((up - down) / (2 * h), rel=1e-5, abs=1e-6)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(
    "loss", [*(x for x in VARIANTS if has_curvature(x)), Own()], ids=lambda x: type(x).__name__
)
@pytest.mark.parametrize("classes", [1, 4])
def test_curvatures_of_all_classes_by_one_call(loss, classes, dtype, rng, monkeypatch):
    """The bits of one call a class, which formulas of users have."""
    n, calls, formula = 2100, [], type(loss).curvature
    y = rng.integers(0, 2 if classes == 1 and loss.one_row == "binary" else classes, n)
    if classes == 1 and loss.one_row == "real":
        y = rng.normal(size=n)
    weight = rng.random(n)
    rows = fo.Objective(loss, np.ones((n, 1), dtype), y, sample_weight=weight, classes=classes).rows
    scores = rng.normal(0, 3, (classes, n)).astype(dtype)
    wanted = np.empty((classes, classes, n), dtype)
    for c in range(classes):
        v = np.zeros_like(scores)
        v[c] = 1
        formula(tuple(map(float, loss)), scores, rows.labels(loss), v, wanted[c])

    def counted(*arguments):
        calls.append(1)
        formula(*arguments)

    monkeypatch.setattr(type(loss), "curvature", staticmethod(counted))
    assert np.array_equal(curvatures(loss, rows, scores), wanted * rows.weight)
    assert len(calls) == 2 * (classes if isinstance(loss, Own) else 1)  # of 2,048 rows and the rest


def test_a_curvature_that_is_wrong_is_found():
    class Wrong(fo.Logistic):
        @staticmethod
        def curvature(k, s, y, v, d):
            for c in range(len(s)):
                d[c] = v[c]

    report = fo.check_loss(Wrong(), raise_exception=False)
    assert not report and any("curvature" in cause for cause in report.causes)
