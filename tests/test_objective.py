"""fo.Objective against value_and_grad, loops and differences; penalties against their definitions."""

import gc
import threading

import numpy as np
import pytest
from test_linear import CASES, assert_close, dtypes, losses, oracle, problem

import fastopt as fo
from fastopt import penalties
from fastopt.losses import has_curvature


@losses
@dtypes
def test_same_bits_as_value_and_grad(loss, dtype, backend):
    for classes, features, n in [(1, 7, 30), (3, 16, 1500)]:
        W, X, y, b, weight = problem(loss, classes, features, n, dtype)
        objective = fo.Objective(loss, X, y, l2=0.3, sample_weight=weight, classes=classes, backend=backend)
        expected = fo.value_and_grad(loss, W, X, y, b, 0.3, weight, backend=backend)
        out = np.empty_like(W), np.empty_like(b)
        for _ in range(2):
            for found in (objective.value_and_grad(W, b), objective.value_and_grad(W, b, out)):
                assert found[0] == expected[0] == objective.value(W, b)
                assert all(np.array_equal(p, q) for p, q in zip(found[1:], expected[1:], strict=True))
        assert found[1] is out[0] and found[2] is out[1]


def test_sums_over_parts_add_up(backend):
    sparse = pytest.importorskip("scipy.sparse")
    W, X, y, b, weight = problem(fo.Softmax(), 4, 9, 300, "float64")
    value, dW, db = oracle(fo.Softmax(), W, X, y, b, 0.2, weight)
    for wrap in (np.asarray, sparse.csr_array):
        sums = [0.0, 0.0, 0.0, 0.0]
        for part in (slice(0, 100), slice(100, 101), slice(101, 300)):
            objective = fo.Objective(
                fo.Softmax(),
                wrap(X[part]),
                y[part],
                l2=0.2,
                sample_weight=weight[part],
                classes=4,
                backend=backend,
            )
            sums = [s + t for s, t in zip(sums, objective.gradient_sums(W, b), strict=True)]
        loss, dW_sum, db_sum, total = sums
        assert total == pytest.approx(weight.sum())
        assert loss / total + 0.2 * (W * W).sum() == pytest.approx(value, rel=1e-12)
        assert_close((dW_sum / total + 0.4 * W, db_sum / total), (dW, db), "float64")


def test_scores(backend):
    W, X, y, b, _ = problem(fo.Logistic(), 3, 9, 2500, "float64")
    objective = fo.Objective(fo.Logistic(), X, y, backend=backend)
    assert np.allclose(objective.scores(W, b), X @ W.T + b, rtol=1e-13, atol=1e-13)
    bare = fo.Objective(fo.Logistic(), X, y, fit_intercept=False, backend=backend)
    assert np.allclose(bare.scores(W), X @ W.T, rtol=1e-13, atol=1e-13)
    assert bare.zeros()[1] is None and bare.value_and_grad(W)[1].shape == W.shape
    with pytest.raises(ValueError, match="fit_intercept"):
        bare.value(W, b)
    with pytest.raises(ValueError, match="fit_intercept"):
        objective.value(W)


@pytest.mark.parametrize("loss", [x for x in CASES if has_curvature(x)], ids=str)
@pytest.mark.parametrize("classes", [1, 4])
def test_hessian_against_differences_of_gradients(loss, classes, backend, rng):
    W, X, y, b, weight = problem(loss, classes, 5, 60, "float64")
    objective = fo.Objective(loss, X, y, l2=0.2, sample_weight=weight, classes=classes, backend=backend)
    V, c = rng.normal(size=W.shape), rng.normal(size=b.shape)
    HV, Hc = objective.hessian_product(W, b, V, c)
    h = 1e-6
    up, down = (objective.value_and_grad(W + t * V, b + t * c) for t in (h, -h))
    assert np.allclose(HV, (up[1] - down[1]) / (2 * h), atol=1e-6)
    assert np.allclose(Hc, (up[2] - down[2]) / (2 * h), atol=1e-6)
    H = objective.hessian(W, b)
    product = H @ np.concatenate([V.ravel(), c])
    assert np.allclose(product, np.concatenate([HV.ravel(), Hc]), rtol=1e-10, atol=1e-12)
    assert np.linalg.eigvalsh(H).min() > -1e-10


def test_a_loss_without_curvature_says_so(backend):
    W, X, y, b, _ = problem(fo.Hinge(), 1, 5, 60, "float64")
    for loss in (fo.Hinge(), fo.MulticlassHinge()):
        with pytest.raises(ValueError, match="second derivative"):
            fo.Objective(loss, X, y, classes=2, backend=backend).hessian_product(
                *[np.zeros(s) for s in ((2, 5), 2, (2, 5), 2)]
            )


def test_penalties_are_what_they_say(rng):
    W = rng.normal(size=(3, 4))
    for penalty, l1, l2 in [(fo.L1(0.3), 0.3, 0), (fo.L2(0.2), 0, 0.2), (fo.ElasticNet(0.3, 0.2), 0.3, 0.2),
                            (penalties.Unpenalised(), 0, 0)]:  # fmt: skip
        assert (penalty.l1, penalty.l2) == (l1, l2)
        assert penalty.value(W) == pytest.approx(l1 * np.abs(W).sum() + l2 * (W * W).sum())
        dW = np.ones_like(W)
        penalty.add_gradient(W, dW)
        assert np.allclose(dW, 1 + 2 * l2 * W)
        V = penalty.prox(W, 0.7)
        for w, v in zip(W.ravel(), V.ravel(), strict=True):
            grid = np.append(np.linspace(-4, 4, 8001), [v, 0.0])
            assert (
                0.7 * l1 * abs(v) + (v - w) ** 2 / 2
                <= (0.7 * l1 * np.abs(grid) + (grid - w) ** 2 / 2).min() + 1e-15
            )
    assert (fo.L1(10.0).prox(W, 1.0) == 0).all()


def test_an_l1_counts_in_the_value_and_not_in_the_gradient(backend):
    W, X, y, b, _ = problem(fo.Softmax(), 3, 5, 40, "float64")
    plain = fo.Objective(fo.Softmax(), X, y, l2=0.1, backend=backend)
    both = fo.Objective(fo.Softmax(), X, y, penalty=fo.ElasticNet(0.4, 0.06), l2=0.04, backend=backend)
    value, dW, db = plain.value_and_grad(W, b)
    again = both.value_and_grad(W, b)
    assert again[0] == pytest.approx(value + 0.4 * np.abs(W).sum(), rel=1e-14)
    assert np.allclose(again[1], dW, rtol=1e-14) and np.array_equal(again[2], db)


class Nearness:
    """A penalty of one's own: sum((W - 1)^2)."""

    l1 = l2 = 0.0

    def value(self, W):
        return float(((W - 1) ** 2).sum())

    def add_gradient(self, W, dW):
        dW += 2 * (W - 1)

    def prox(self, W, step):
        return W


def test_a_penalty_of_ones_own(backend):
    W, X, y, b, _ = problem(fo.Softmax(), 3, 5, 40, "float64")
    value, dW, _ = fo.value_and_grad(fo.Softmax(), W, X, y, b, backend=backend)
    own = fo.Objective(fo.Softmax(), X, y, penalty=Nearness(), backend=backend).value_and_grad(W, b)
    assert own[0] == pytest.approx(value + ((W - 1) ** 2).sum())
    assert np.allclose(own[1], dW + 2 * (W - 1))


REFUSED = [
    (lambda o: fo.L1, "write L1"),
    (lambda o: 0.3, "penalty must be"),
    (lambda o: fo.L1(-1.0), "l1 must be"),
    (lambda o: fo.ElasticNet(0.1, float("nan")), "l2 must be"),
]


@pytest.mark.parametrize(("make", "words"), REFUSED, ids=range(len(REFUSED)))
def test_impossible_penalties(make, words):
    _, X, y, _, _ = problem(fo.Softmax(), 3, 5, 40, "float64")
    with pytest.raises((TypeError, ValueError), match=words):
        fo.Objective(fo.Softmax(), X, y, penalty=make(None))


def test_weights_that_do_not_fit(backend):
    W, X, y, b, _ = problem(fo.Softmax(), 3, 5, 40, "float64")
    objective = fo.Objective(fo.Softmax(), X, y, backend=backend)
    expected = objective.value_and_grad(W, b)
    found = objective.value_and_grad(np.asfortranarray(W), np.repeat(b, 2)[::2])
    assert found[0] == expected[0] and np.array_equal(found[1], expected[1])
    for bad in ((W[:2], b), (W.astype("f4"), b), (W, b[:2]), (W, b.astype("f4")), (W.tolist(), b)):
        with pytest.raises((TypeError, ValueError), match="W|b"):
            objective.value_and_grad(*bad)
    out = np.empty_like(W), np.empty_like(b)
    objective.value_and_grad(W, b, out)
    with pytest.raises(ValueError, match="overlap"):
        objective.value_and_grad(out[0], b, out)


def test_many_calls_keep_nothing(backend):
    W, X, y, b, _ = problem(fo.Softmax(), 2, 20, 100, "float32")
    objective = fo.Objective(fo.Softmax(), X, y, l2=0.1, backend=backend)
    objective.value_and_grad(W, b)
    gc.collect()
    before = len(gc.get_objects())
    for _ in range(3000):
        objective.value_and_grad(W, b)
    gc.collect()
    assert len(gc.get_objects()) < before + 100


def test_callers_wait_for_each_other(backend):
    W, X, y, b, _ = problem(fo.Softmax(), 5, 40, 3000, "float64")
    objective = fo.Objective(fo.Softmax(), X, y, l2=0.1, backend=backend)
    expected = [objective.value(W * k, b) for k in range(8)]
    found = [[] for _ in range(8)]

    def work(k):
        for _ in range(10):
            found[k].append(objective.value(W * k, b))

    workers = [threading.Thread(target=work, args=(k,)) for k in range(8)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert all(values == [expected[k]] * 10 for k, values in enumerate(found))
