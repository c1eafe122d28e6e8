"""The compiled training loop against the NumPy one, and the same bits however it is run."""

import numpy as np
import pytest

import fastopt as fo
from fastopt import engines
from fastopt.rows import checked_rows
from fastopt.stepping.coefficients import coefficient_table

SOFTMAX, MOMENTUM = fo.Softmax(), fo.Momentum(0.05)
compiled = pytest.mark.parametrize("backend", ["numba", "c"])


def trained(backend, X, y, *, loss=SOFTMAX, rule=MOMENTUM, batch=32, l2=0.0, cuts=(), threads=1,
            weight=None, seed=0):  # fmt: skip
    """(W, b, loss, norm) after one epoch, which is interrupted after the steps `cuts`."""
    rows = checked_rows(loss, X, y, weight=weight)
    shapes = ((rows.classes, rows.features), (rows.classes,))
    parameters = [(np.zeros(s, rows.dtype), [np.zeros(s, rows.dtype) for _ in rule.slots]) for s in shapes]
    run = engines.get(backend).bind_epoch(rows, loss, rule, parameters, batch, l2, threads)
    order = np.random.default_rng(seed).permutation(rows.n)
    steps = -(-rows.n // batch)
    total, norm, begin = 0.0, 0.0, 0
    for end in (*cuts, steps):
        K = coefficient_table(rule, {}, begin, end - begin)
        stopped, total, norm = run(K, order, begin, end, total)
        assert stopped == end
        begin = end
    return parameters[0][0], parameters[1][0], total, norm


def data(kind="float32", n=300, features=37, classes=5):
    rng = np.random.default_rng(0)
    X = rng.normal(size=(n, features)) * (rng.random((n, features)) < 0.3)
    y = (X @ rng.normal(size=(features, classes))).argmax(axis=1)
    if kind == "csr":
        return pytest.importorskip("scipy.sparse").csr_array(X.astype("float32")), y
    if kind == "uint8":
        return (np.clip(X, 0, 2) * 100).astype(np.uint8), y
    return X.astype(kind), y


@pytest.mark.parametrize("kind", ["float32", "float64", "csr", "uint8"])
@pytest.mark.parametrize("batch", [1, 7, 32, 300])
@pytest.mark.parametrize("rule", [fo.SGD(0.05), fo.Adam(0.01)], ids=["SGD", "Adam"])
def test_like_numpy(need, kind, batch, rule):
    need("numba")
    X, y = data(kind)
    weight = np.linspace(0.5, 2, len(y))
    for options in ({"l2": 1e-3}, {"weight": weight}, {}):
        ours = trained("numba", X, y, rule=rule, batch=batch, **options)
        theirs = trained("numpy", X, y, rule=rule, batch=batch, **options)
        tolerance = 1e-10 if kind == "float64" else 2e-4
        for a, b in zip(ours, theirs, strict=True):
            assert np.max(np.abs(a - b)) <= tolerance * (1 + np.max(np.abs(b)))


@compiled
@pytest.mark.parametrize("kind", ["float32", "csr", "uint8"])
@pytest.mark.parametrize("batch", [1, 32, 300])
@pytest.mark.parametrize("weighted", [False, True])
def test_same_bits_wherever_a_stretch_ends(need, kind, batch, weighted, backend):
    need(backend)
    X, y = data(kind)
    weight = np.linspace(0.5, 2, len(y)) if weighted else None
    for rule in (fo.SGD(0.05), fo.Momentum(0.05)):
        whole = trained(backend, X, y, rule=rule, batch=batch, weight=weight, l2=0.0)
        steps = -(-300 // batch)
        cuts = sorted({1, steps // 3, steps // 2} - {0, steps})
        cut = trained(backend, X, y, rule=rule, batch=batch, weight=weight, l2=0.0, cuts=cuts)
        assert np.array_equal(whole[0], cut[0]) and np.array_equal(whole[1], cut[1]) and whole[2] == cut[2]


# (features, batch): shared by groups of rows; by halves of the features, which are not equally many
SHARED = [(130, 1000), (523, 33)]


@pytest.fixture
def shared_always(monkeypatch):
    from fastopt.kernels.training import shared_epoch, strategies

    monkeypatch.setattr(strategies, "CREW_WORK", 0)
    monkeypatch.setattr(strategies, "PAIR_WORK", 0)
    return lambda: monkeypatch.setattr(shared_epoch, "patience", lambda work: 0)


@compiled
@pytest.mark.parametrize("features, batch", SHARED)
@pytest.mark.parametrize("kind", ["float32", "float64", "uint8"])
def test_same_bits_on_threads(need, shared_always, features, batch, kind, backend):
    need(backend)
    X, y = data(kind, n=3000, features=features)
    for options in ({"l2": 1e-3}, {"weight": np.linspace(0.5, 2, len(y)), "loss": fo.MulticlassHinge()}):
        alone = trained(backend, X, y, batch=batch, threads=1, **options)
        for threads in (2, 3, 64):
            together = trained(backend, X, y, batch=batch, threads=threads, cuts=(1,), **options)
            assert all(np.array_equal(a, b) for a, b in zip(alone, together, strict=True))


@compiled
@pytest.mark.parametrize("kind, features, batch", [*(("float32", *shape) for shape in SHARED),
                                                   *(("uint8", *shape) for shape in SHARED), ("csr", 130, 1000)])  # fmt: skip
def test_same_bits_when_every_helper_is_late(need, shared_always, kind, features, batch, backend):
    """The leader takes back at once what a helper has begun; what that writes later must not show."""
    need(backend)
    X, y = data(kind, n=6000, features=features)
    alone = trained(backend, X, y, rule=fo.Adam(0.01), batch=batch, threads=1)
    shared_always()
    for threads in (2, 4):
        for _ in range(5):
            together = trained(backend, X, y, rule=fo.Adam(0.01), batch=batch, threads=threads)
            assert all(np.array_equal(a, b) for a, b in zip(alone, together, strict=True))


@compiled
@pytest.mark.parametrize("features, batch", [(512, 2), (513, 33), (600, 70), (2100, 40), (5000, 9)])
def test_a_pair_like_numpy_and_alone(need, shared_always, features, batch, backend):
    """One block of rows a batch, several, blocks of fewer rows, a last batch of one; rows without weight."""
    need(backend)
    X, y = data("float64", n=8 * batch + 1, features=features)
    weight = np.where(np.arange(len(y)) % 5 < 2, 0.0, np.linspace(0.5, 2, len(y)))
    weight[:batch] = 0
    for options in (
        {"l2": 1e-3, "weight": weight},
        {"rule": fo.Adam(0.01), "loss": fo.MulticlassHinge(squared=True)},
    ):
        alone = trained(backend, X, y, batch=batch, threads=1, **options)
        together = trained(backend, X, y, batch=batch, threads=2, cuts=(2,), **options)
        theirs = trained("numpy", X, y, batch=batch, **options)
        for a, b, c in zip(alone, together, theirs, strict=True):
            assert np.array_equal(a, b) and np.max(np.abs(a - c)) <= 1e-9 * (1 + np.max(np.abs(c)))


@compiled
@pytest.mark.parametrize("impatient", [False, True])
def test_a_pair_ends_every_stretch(need, shared_always, impatient, backend):
    """Steps as short as can be, in many stretches: nobody waits for what does not come."""
    need(backend)
    X, y = data(n=4000, features=512, classes=2)
    alone = trained(backend, X, y, batch=2, threads=1)
    if impatient:
        shared_always()
    for begin in range(3):
        together = trained(backend, X, y, batch=2, threads=2, cuts=range(1 + begin, 2000, 7))
        assert all(np.array_equal(a, b) for a, b in zip(alone, together, strict=True))


@compiled
@pytest.mark.parametrize("batch", [20, 33, 70])
def test_a_pair_stops_where_the_loss_is_not_finite(need, shared_always, batch, backend):
    need(backend)
    X, y = data(n=3000, features=523)
    X[2000] *= 1e37  # in the middle of a stretch
    stopped = []
    for threads in (1, 2):
        with pytest.raises(fo.Diverged) as error:
            fo.train(X, y, rule=fo.SGD(10.0), batch_size=batch, sampling="sequential", threads=threads)
        stopped.append(error.value)
    assert stopped[0].step == stopped[1].step >= 2000 // batch
    assert np.array_equal(stopped[0].fit.W, stopped[1].fit.W)


LAZY = [
    (fo.SGD(0.05), 1e-2),
    (fo.SGD(0.05, weight_decay=0.1), 0.0),
    (fo.SGD(0.05, weight_decay=0.1), 1e-2),
    (fo.SGD(0.01), 60.0),  # a step shrinks the weights below 0
    (fo.SGD(0.01), 50.0),  # and to 0 exactly
]


@pytest.mark.parametrize("rule, l2", LAZY, ids=str)
@pytest.mark.parametrize("kind", ["float64", "csr"])
@pytest.mark.parametrize("batch", [1, 2, 33])
@compiled
def test_lazily_scaled_weights(need, kind, rule, l2, batch, backend):
    need(backend)
    X, y = data(kind, n=1000)
    cuts = [1, 9, 1000 // batch // 2]
    ours = trained(backend, X, y, rule=rule, l2=l2, batch=batch)
    again = trained(backend, X, y, rule=rule, l2=l2, batch=batch, cuts=cuts)
    theirs = trained("numpy", X, y, rule=rule, l2=l2, batch=batch)
    tolerance = 1e-9 if kind == "float64" else 1e-3
    for a, b, c in zip(ours, theirs, again, strict=True):
        assert np.max(np.abs(a - b)) <= tolerance * (1 + np.max(np.abs(b)))
        assert np.array_equal(a, c) or np.ndim(a) == 0


@compiled
@pytest.mark.parametrize("n, batch", [(129, 2), (129, 32), (100, 33)])
def test_a_last_batch_of_one_sparse_row(need, n, batch, backend):
    need(backend)
    X, y = data("csr", n=n, classes=10)
    for l2 in (0.0, 1e-2):
        ours = trained(backend, X, y, rule=fo.SGD(0.5), batch=batch, l2=l2)
        theirs = trained("numpy", X, y, rule=fo.SGD(0.5), batch=batch, l2=l2)
        for a, b in zip(ours, theirs, strict=True):
            assert np.allclose(a, b, rtol=1e-4, atol=1e-5)


@compiled
@pytest.mark.parametrize("batch", [1, 2])
def test_a_sparse_row_with_a_feature_twice(need, batch, backend):
    need(backend)
    sparse = pytest.importorskip("scipy.sparse")
    rng = np.random.default_rng(0)
    columns, values = rng.integers(0, 4, 600).astype("int32"), rng.normal(size=600)
    X = sparse.csr_array((values, columns, np.arange(0, 601, 6, dtype="int32")), shape=(100, 4))
    ours = trained(backend, X, np.arange(100) % 3, rule=fo.SGD(0.1), batch=batch, l2=0.1)
    theirs = trained("numpy", X, np.arange(100) % 3, rule=fo.SGD(0.1), batch=batch, l2=0.1)
    assert all(np.allclose(a, b, rtol=1e-9, atol=1e-12) for a, b in zip(ours, theirs, strict=True))


@compiled
def test_a_long_run_keeps_lazily_scaled_weights_in_range(need, backend):
    """Without being taken over now and then, alpha would leave float32 after 1,000 steps of these."""
    need(backend)
    X, y = data("csr", n=3000)
    ours = trained(backend, X, y, rule=fo.SGD(0.1), l2=0.5, batch=1)
    theirs = trained("numpy", X, y, rule=fo.SGD(0.1), l2=0.5, batch=1)
    assert np.allclose(ours[0], theirs[0], atol=1e-4) and np.isclose(ours[2], theirs[2], rtol=1e-4)


def test_stops_before_a_step_without_a_finite_loss(need):
    need("numba")
    X, y = data()
    X[100] = np.inf
    rows = checked_rows(fo.Softmax(), X, y)
    parameters = [(np.zeros((5, 37), "float32"), []), (np.zeros(5, "float32"), [])]
    run = engines.get("numba").bind_epoch(rows, fo.Softmax(), fo.SGD(0.1), parameters, 1, 0.0, 1)
    K = coefficient_table(fo.SGD(0.1), {}, 0, 300)
    stopped, total, _ = run(K, None, 0, 300, 0.0)
    assert stopped == 100 and np.isfinite(total) and np.isfinite(parameters[0][0]).all()


@pytest.mark.parametrize("classes", [1, 3, 17])
@pytest.mark.parametrize("index", ["int32", "int64"])
@pytest.mark.parametrize("rule, l2", [(fo.SGD(0.05), 0.0), (fo.SGD(0.05, weight_decay=0.1), 1e-2)], ids=str)
def test_single_sparse_rows_like_numpy(need, classes, index, rule, l2):
    """Empty rows, columns that repeat, rows without weight, a learning rate that changes with every step."""
    need("numba")
    sparse = pytest.importorskip("scipy.sparse")
    rng = np.random.default_rng(classes)
    lengths = rng.integers(0, 9, 200)
    indptr = np.concatenate([[0], np.cumsum(lengths)]).astype(index)
    columns, values = rng.integers(0, 40, indptr[-1]).astype(index), rng.normal(size=indptr[-1])
    X = sparse.csr_array((values, columns, indptr), shape=(200, 40))
    weight = np.where(np.arange(200) % 7 == 3, 0.0, 1.0)
    schedules = {"lr": fo.schedules.Cosine(steps=200)}
    for loss in (fo.Softmax(), fo.Logistic(), fo.MulticlassHinge(squared=True), fo.SquaredError()):
        if (classes == 1) != (loss.one_row == "binary"):
            continue
        y = rng.integers(0, max(2, classes), 200)
        results = []
        for backend in ("numba", "numpy"):
            rows = checked_rows(loss, X, y, classes=classes, weight=weight)
            start = np.random.default_rng(1).normal(size=(classes, 40))
            parameters = [(start.copy(), []), (np.zeros(classes), [])]
            run = engines.get(backend).bind_epoch(rows, loss, rule, parameters, 1, l2, 1)
            K = coefficient_table(rule, schedules, 0, 200)
            results.append(
                (*run(K[:90], None, 0, 90, 0.0)[:1], *run(K[90:], None, 90, 200, 0.0)[1:], parameters[0][0])
            )
        for a, b in zip(*results, strict=True):
            assert np.max(np.abs(a - b)) <= 1e-9 * (1 + np.max(np.abs(b)))
