"""The C library: rules bit for bit as NumPy computes them, linear models against float64 formulas."""

import os
import subprocess
import sys

import numpy as np
import pytest

import fastopt as fo
from fastopt import engines, native
from fastopt.engines.scores import row_scores
from fastopt.rules import IN_C, coefficient_count, has_norms, in_dtype

pytestmark = pytest.mark.skipif(not native.available(), reason="fastopt._native is not built")

DTYPES = (np.float32, np.float64)
SIZES = (0, 1, 2, 3, 7, 8, 15, 16, 17, 31, 33, 63, 65, 1000)
DISABLE = ("", "avx512", "avx512,avx2")  # leaves, at most: avx512, avx2, plain
CLASSES = (1, 2, 3, 5, 7, 10, 26, 33)
FEATURES = (1, 3, 15, 16, 17, 54, 784)


@pytest.fixture(params=DISABLE, ids=["all", "no avx512", "plain"])
def features(request):
    yield native.select_features(request.param)
    native.select_features(os.environ.get("FASTOPT_DISABLE_CPU_FEATURES", ""))


def test_environment_variable_turns_features_off(tmp_path):
    code = "from fastopt import native; print(native.features())"
    environment = {**os.environ, "FASTOPT_DISABLE_CPU_FEATURES": "avx512, avx2"}
    command = [sys.executable, "-P", "-c", code]
    answer = subprocess.run(
        command, env=environment, cwd=tmp_path, check=False, capture_output=True, text=True
    )
    assert answer.stdout.strip() == "plain", answer.stderr


# ---- rules ----


ELEMENTWISE = [Rule for Rule in IN_C if not has_norms(Rule)]  # test_native_around.py has the others


def variants(Rule):
    yield Rule()
    changed = {"weight_decay": 0.02, "dampening": 0.3, "bias_correction": False, "lr": 0.05, "eps": 1e-3}
    yield Rule(**{name: value for name, value in changed.items() if name in Rule._fields})


def fill_coefficients(rule, t):
    h, k = np.array(rule, float), np.empty(len(rule.coefficients(rule, t)))
    native.coefficients_function()(native.rule_number(rule), native.address(h), t, native.address(k))
    return k


def test_rules_are_numbered_as_in_python():
    assert native.rules() == [Rule.__name__ for Rule in IN_C]
    for j, Rule in enumerate(IN_C):
        h = native.ffi.new("double[16]")
        native.lib.fo_rule_defaults(j, h)
        assert native.lib.fo_rule_hyperparameters(j) == len(Rule._fields)
        assert list(h)[: len(Rule._fields)] == [float(x) for x in Rule()]
        assert native.lib.fo_rule_slots(j) == len(Rule.slots)
        assert native.lib.fo_rule_coefficients(j) == coefficient_count(Rule())
    assert native.lib.fo_rule_name(len(IN_C)) == native.ffi.NULL
    assert native.lib.fo_rule_by_name(b"Adan") == -1


@pytest.mark.parametrize("Rule", IN_C)
def test_coefficients_have_pythons_bits(Rule):
    for rule in variants(Rule):
        for t in (1, 2, 3, 10, 999, 100_000):
            assert fill_coefficients(rule, t).tolist() == list(rule.coefficients(rule, t))


def starts(rule):
    return rule.initial(rule) if hasattr(rule, "initial") else (0.0,) * len(rule.slots)


def reference_step(rule, t, p, g, s):
    k = in_dtype(rule.coefficients(rule, t), p.dtype)
    with np.errstate(all="ignore"), native.denormals_flushed():
        p, s = rule.update(rule, k, p, g, tuple(s))
    return p, list(s)


def native_step(rule, t, p, g, s, check=False):
    """One step of lists of arrays; s holds a list of arrays a slot."""
    k = fill_coefficients(rule, t)
    flat = [a for slot in s for a in slot]
    chunks = np.array([(j, b, min(b + 24, a.size)) for j, a in enumerate(p) for b in range(0, a.size, 24)])
    tables = [np.array([native.address(a) for a in x]) for x in ([k] * len(p), p, g, flat or p)]
    clock, factors = np.zeros(1, np.int64), np.tile([1.0, 1.0, np.inf], (len(p), 1))
    addresses = [native.address(x) for x in (*tables, chunks, clock, factors)]
    numbers = [native.rule_number(rule), *addresses[:4], len(p), *addresses[4:]]
    plan = np.array(numbers, np.int64)
    bad = native.step_function(p[0].dtype)(native.address(plan), check, 0, len(chunks))
    assert clock[0] == (bad < 0)
    return bad


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("Rule", ELEMENTWISE)
def test_update_has_numpys_bits(Rule, dtype, features):
    rng = np.random.default_rng(0)
    for rule in variants(Rule):
        p = [rng.standard_normal(n).astype(dtype) for n in SIZES]
        s = [[np.full(n, start, dtype) for n in SIZES] for start in starts(rule)]
        expected = [(a.copy(), [slot[j].copy() for slot in s]) for j, a in enumerate(p)]
        for t in range(1, 21):
            g = [rng.standard_normal(n).astype(dtype) for n in SIZES]
            g[-1][:50] = 0
            native_step(rule, t, p, g, s)
            for j, (q, u) in enumerate(expected):
                expected[j] = reference_step(rule, t, q, g[j], u)
                np.testing.assert_array_equal(p[j], expected[j][0])
                for slot, u_new in zip(s, expected[j][1], strict=True):
                    np.testing.assert_array_equal(slot[j], u_new)


@pytest.mark.parametrize("Rule", ELEMENTWISE)
def test_update_of_odd_values_is_numpys(Rule, features):
    g = np.array([np.nan, np.inf, -np.inf, 0.0, -0.0, 1e-30, 1e30, 1.0] * 5, np.float32)
    for rule in variants(Rule):
        p, s = np.ones_like(g), [np.full_like(g, start) for start in starts(rule)]
        q, u = reference_step(rule, 1, p.copy(), g, s)
        native_step(rule, 1, [p], [g], [[x] for x in s])
        np.testing.assert_array_equal(p, q)
        for x, y in zip(s, u, strict=True):
            np.testing.assert_array_equal(x, y)


def test_run_with_check_changes_nothing(features):
    rule = IN_C[native.rules().index("Adam")]()
    p = [np.ones(n, np.float32) for n in (5, 100, 7)]
    g = [np.ones(n, np.float32) for n in (5, 100, 7)]
    s = [[np.zeros_like(a) for a in p] for _ in rule.slots]
    g[1][99] = np.nan
    assert native_step(rule, 1, p, g, s, check=True) == 1
    assert all((a == 1).all() for a in p)
    g[1][99] = 1
    assert native_step(rule, 1, p, g, s, check=True) == -1
    assert all((a < 1).all() for a in p)


@pytest.mark.parametrize("dtype", DTYPES)
def test_all_finite(dtype, features):
    for n in (0, 1, 5, 64, 1023, 1024, 5000):
        x = np.full(n, np.finfo(dtype).max, dtype)
        x[::2] = np.finfo(dtype).smallest_subnormal
        assert native.all_finite(x)
        for i in {0, n // 2, n - 1} & set(range(n)):
            for bad in (np.nan, np.inf, -np.inf):
                y = x.copy()
                y[i] = bad
                assert not native.all_finite(y)


def test_addresses():
    arrays = [np.empty(3), np.empty(0), np.empty((4, 5), np.float32)[2:]]
    assert [native.address(a) for a in arrays] == [a.ctypes.data for a in arrays]


# ---- linear models ----

LOSSES = {
    "softmax": (0, ()),
    "hinge of classes": (1, (1.0, False)),
    "squared hinge of classes": (1, (0.5, True)),
    "squared error": (2, ()),
    "logistic": (3, ()),
    "hinge": (4, ()),
}


def loss_rows(number, h, S, y):
    """Losses and dscores of rows of scores, in float64."""
    i, own = np.arange(len(S)), np.zeros_like(S)
    if y.dtype == np.int64 and (S.shape[1] > 1 or number < 2):
        own[i, y] = 1
    elif y.dtype == np.int64:
        own[:, 0] = y
    if number == 0:
        top = S.max(1, keepdims=True)
        E = np.exp(S - top)
        Z = E.sum(1, keepdims=True)
        return (np.log(Z) + top)[:, 0] - S[i, y], E / Z - own
    if number == 1:
        margin, squared = h
        t = np.maximum(0, S - S[i, y][:, None] + margin) * (1 - own)
        D = 2 * t if squared else (t > 0).astype(float)
        return (t**2 if squared else t).sum(1), D - own * D.sum(1, keepdims=True)
    if number == 2:
        d = S - (own if y.dtype == np.int64 else y[:, None])
        return 0.5 * (d * d).sum(1), d
    z = 2 * own - 1
    if number == 3:
        return np.logaddexp(0, -z * S).sum(1), -z / (1 + np.exp(z * S))
    return np.maximum(0, 1 - z * S).sum(1), -z * (z * S < 1)


def reference_rows(number, h, W, b, X, y, weight, order):
    rows = np.arange(len(X)) if order is None else order
    X, y, w = X[rows].astype(float), y[rows], 1.0 if weight is None else weight[rows].astype(float)
    L, D = loss_rows(number, h, X @ W.T.astype(float) + (0 if b is None else b), y)
    D = (D.T * w).T
    return (w * L).sum(), D.T @ X, D.sum(0)


def problem(rng, number, classes, count, dtype, n=77):
    X = rng.standard_normal((n, count)).astype(dtype) / dtype(np.sqrt(count))
    W = 2 * rng.standard_normal((classes, count)).astype(dtype)
    y = rng.integers(0, max(classes, 2) if number > 1 else classes, n)
    if number == 2 and classes == 1:
        y = rng.standard_normal(n).astype(dtype)
    return X, W, rng.standard_normal(classes).astype(dtype), y


def check_rows(number, h, W, b, X, y, stored=None, weight=None, order=None, scale=1.0):
    data = native.Data(
        number,
        h,
        X if stored is None else stored,
        y,
        W.shape[1],
        W.shape[0],
        weight=weight,
        order=order,
        scale=scale,
    )
    dW, db = np.ones_like(W), None if b is None else np.ones_like(b)
    count = len(X) if order is None else len(order)
    loss = sum(
        native.rows(data, W, b, begin, min(begin + 50, count), dW, db) for begin in range(0, count, 50)
    )
    expected, dW_expected, db_expected = reference_rows(number, h, W, b, X, y, weight, order)
    tolerance = 1e-5 if W.dtype == np.float32 else 1e-13
    close = {"rtol": tolerance, "atol": tolerance * len(X)}
    np.testing.assert_allclose(loss, expected, **close)
    np.testing.assert_allclose(dW - 1, dW_expected, **close)
    if b is not None:
        np.testing.assert_allclose(db - 1, db_expected, **close)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("loss", LOSSES)
def test_rows(loss, dtype, features):
    rng = np.random.default_rng(0)
    number, h = LOSSES[loss]
    for classes in CLASSES:
        for count in FEATURES:
            X, W, b, y = problem(rng, number, classes, count, dtype, n=int(rng.integers(1, 100)))
            check_rows(number, h, W, b if count % 2 else None, X, y)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("loss", LOSSES)
def test_rows_with_weights_and_order(loss, dtype, features):
    rng = np.random.default_rng(1)
    number, h = LOSSES[loss]
    for classes in (1, 3, 10):
        X, W, b, y = problem(rng, number, classes, 17, dtype)
        weight = rng.random(len(X)).astype(dtype)
        check_rows(number, h, W, b, X, y, weight=weight, order=rng.integers(0, len(X), 130))


@pytest.mark.parametrize("dtype", DTYPES)
def test_rows_of_bytes(dtype, features):
    rng = np.random.default_rng(2)
    for count in (1, 17, 784):
        _, W, b, y = problem(rng, 0, 10, count, dtype)
        stored = rng.integers(0, 256, (len(y), count), dtype=np.uint8)
        scale = 1 / (255 * count**0.5)
        check_rows(0, (), W, b, stored.astype(dtype) * dtype(scale), y, stored=stored, scale=scale)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("index", [np.int32, np.int64])
@pytest.mark.parametrize("density", [0.01, 0.5])  # W used in place, and turned
def test_rows_of_csr(density, index, dtype, features):
    rng = np.random.default_rng(3)
    for classes in CLASSES:
        X, W, b, y = problem(rng, 0, classes, 203, dtype, n=150)
        X[rng.random(X.shape) > density] = 0
        rows, indices = np.nonzero(X)
        indptr = np.searchsorted(rows, np.arange(len(X) + 1)).astype(index)
        stored = (X[rows, indices], indices.astype(index), indptr)
        check_rows(0, (), W, b, X, y, stored=stored, order=rng.permutation(len(X)))


@pytest.mark.parametrize("loss", LOSSES)
def test_nan_scores_give_a_nan_loss(loss, features):
    number, h = LOSSES[loss]
    X, W, b, y = problem(np.random.default_rng(4), number, 3, 5, np.float32)
    W[1, 2] = np.nan
    data = native.Data(number, h, X, y, 5, 3)
    assert np.isnan(native.rows(data, W, b, 0, len(X), np.zeros_like(W), np.zeros_like(b)))


@pytest.mark.parametrize("dtype", DTYPES)
def test_scores_far_apart(dtype, features):
    X = np.array([[1000], [-1000], [0]], dtype)
    W, b = np.array([[1], [-1]], dtype), np.zeros(2, dtype)
    y = np.array([1, 0, 0])
    for number in (0, 3):
        check_rows(number, (), W, b, X, y)


@pytest.mark.parametrize("dtype", DTYPES)
def test_threads_do_not_change_the_gradient(dtype):
    rng = np.random.default_rng(5)
    X, W, b, y = problem(rng, 0, 10, 33, dtype, n=5000)
    data = native.Data(0, (), X, y, 33, 10)
    answers = []
    for threads in (1, 2, 3, 64):
        dW, db = np.empty_like(W), np.empty_like(b)
        answers.append((native.gradient(data, W, b, len(X), dW, db, threads), dW.tobytes(), db.tobytes()))
    assert len(set(answers)) == 1
    np.testing.assert_allclose(answers[0][0], reference_rows(0, (), W, b, X, y, None, None)[0], rtol=1e-5)


# ---- epochs ----


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("l2", [0.0, 0.01])
def test_epoch_is_rows_and_updates(l2, dtype):
    rng = np.random.default_rng(6)
    rule = IN_C[native.rules().index("Momentum")](lr=0.1)
    X, W, b, y = problem(rng, 0, 4, 21, dtype, n=103)
    order, batch = rng.permutation(103), 10
    K = np.array([rule.coefficients(rule, t) for t in range(1, 12)])
    W2, b2, s = W.copy(), b.copy(), [np.zeros_like(x) for x in (W, b, W, b)]
    data = native.Data(0, (), X, y, 21, 4, order=order)
    training = native.Training(native.rule_number(rule), K, batch, 103, l2, W, b, s[:1], s[1:2])
    assert native.epoch(data, training, 0, 4) == 4
    assert native.epoch(data, training, 4, 11) == 11
    total, (vW, vb) = 0.0, s[2:]
    for t in range(11):
        rows = order[t * batch : (t + 1) * batch]
        loss, dW, db = reference_rows(0, (), W2, b2, X[rows], y[rows], None, None)
        total += loss / len(rows) + l2 * (W2.astype(float) ** 2).sum()
        vW = 0.9 * vW + dW / len(rows) + 2 * l2 * W2
        vb = 0.9 * vb + db / len(rows)
        W2, b2 = W2 - 0.1 * vW, b2 - 0.1 * vb
    tolerance = 1e-4 if dtype == np.float32 else 1e-12
    np.testing.assert_allclose(training.loss, total, rtol=tolerance)
    np.testing.assert_allclose(W, W2, rtol=tolerance, atol=tolerance)
    np.testing.assert_allclose(b, b2, rtol=tolerance, atol=tolerance)


def test_epoch_stops_before_a_step_that_is_not_finite():
    X, W, b, y = problem(np.random.default_rng(7), 0, 3, 5, np.float64, n=40)
    X[25] = np.inf
    K = np.full((4, 2), [0.1, 0.0])
    data, before = native.Data(0, (), X, y, 5, 3), []
    training = native.Training(0, K, 10, 40, 0.0, W, b, (), ())
    assert native.epoch(data, training, 0, 2) == 2
    before = W.copy(), b.copy()
    assert native.epoch(data, training, 2, 4) == 2
    np.testing.assert_array_equal(W, before[0])
    np.testing.assert_array_equal(b, before[1])


def test_an_interrupt_while_subnormal_numbers_are_switched_off_switches_them_on(monkeypatch):
    lib = native.lib

    class Interrupted:
        def __getattr__(self, name):
            return getattr(lib, name)

        def flush_denormals(self):
            lib.flush_denormals()
            raise KeyboardInterrupt  # Python runs a signal's handler when a call has ended

    monkeypatch.setattr(native, "lib", Interrupted())
    with pytest.raises(KeyboardInterrupt), native.denormals_flushed():
        pass
    assert np.float32(1e-39) * np.float32(0.5) != 0


@pytest.mark.parametrize("n, d, classes", [(1, 784, 10), (1, 3, 1), (77, 33, 26), (700, 2100, 11)])
@pytest.mark.parametrize("kind", ["float32", "float64", "uint8", "int16", "columns"])
def test_scores_of_predictions(kind, n, d, classes, features, rng):
    """Numba's bits, whatever rows are beside a row, on one thread and shared among several."""
    pytest.importorskip("numba")
    X = rng.integers(0, 200, (n, d)).astype(np.float32) / 256
    X = {"uint8": (256 * X).astype(np.uint8), "int16": (256 * X).astype(np.int16), "columns": np.asfortranarray(X)}.get(
        kind, X.astype("float64" if kind == "float64" else "float32")
    )  # fmt: skip
    W = rng.standard_normal((classes, d)).astype(np.float32)
    b, scale = W[:, 0] + 1, 1 / 255 if kind == "uint8" else 1.0
    found = row_scores(X, W, b, scale, threads=2)
    assert found.dtype == (np.float64 if kind == "float64" else np.float32)
    exact = X.astype(np.float64) * scale @ W.astype(np.float64).T + b
    size = np.abs(X.astype(np.float64) * scale) @ np.abs(W.astype(np.float64)).T + np.abs(b)
    assert (np.abs(found - exact) <= 64 * np.finfo(found.dtype).eps * size).all()
    rows = np.ascontiguousarray(X, np.uint8 if kind == "uint8" else found.dtype)
    objective = fo.Objective(
        fo.SquaredError(), rows, np.arange(n) % classes, classes=classes, scale=scale if kind == "uint8" else None,
        backend="numba",
    )  # fmt: skip
    passes = engines.get("numba").bind_passes(fo.SquaredError(), objective.rows, 1)
    kept = passes.slot()
    passes.scores(W.astype(found.dtype), b.astype(found.dtype), kept)
    assert np.array_equal(found, passes.by_row(kept))
    for i in rng.integers(0, n, 3):
        assert np.array_equal(row_scores(X[i : i + 1], W, b, scale), found[i : i + 1])
    assert row_scores(X[:0], W, b, scale).shape == (0, classes)


# ---- what solvers do between passes over the rows ----


def _dot(a, b):
    """Sixteen lanes, then their halves."""
    products = np.zeros(max(1, -(-len(a) // 16)) * 16)
    products[: len(a)] = a * b
    lanes = np.add.accumulate(products.reshape(-1, 16), axis=0)[-1]
    while len(lanes) > 1:
        lanes = lanes[: len(lanes) // 2] + lanes[len(lanes) // 2 :]
    return lanes[0]


@pytest.mark.parametrize("n", [1, 2, 15, 16, 17, 40, 70])
def test_cholesky_in_one_order(n, features, rng):
    A = rng.standard_normal((n, n))
    A = A @ A.T + np.eye(n)
    L, ridge, v = np.tril(A), 0.25, rng.standard_normal(n)
    for i in range(n):
        for j in range(i):
            L[i, j] = (L[i, j] - _dot(L[i, :j], L[j, :j])) / L[j, j]
        L[i, i] = np.sqrt(L[i, i] + ridge - _dot(L[i, :i], L[i, :i]))
    x = v.copy()
    for i in range(n):
        x[i] = (x[i] - _dot(L[i, :i], x[:i])) / L[i, i]
    for i in range(n - 1, -1, -1):
        x[i] /= L[i, i]
        x[:i] -= L[i, :i] * x[i]
    found = native.cholesky(A, ridge)(v)
    assert np.array_equal(found, x)
    assert np.allclose((A + ridge * np.eye(n)) @ found, v, rtol=1e-9, atol=1e-9)
    A[n - 1, n - 1] = -1.0
    assert native.cholesky(A) is None


def test_descent_holds_the_conditions_of_the_minimum(features, rng):
    n = 30
    A = rng.standard_normal((n, n))
    H, g, l1 = A @ A.T + np.eye(n), 5 * rng.standard_normal(n), np.where(np.arange(n) < 20, 2.0, 0.0)
    H[7] = H[:, 7] = 0.0  # without curvature it stays
    low, high = np.full(n, -np.inf), np.full(n, np.inf)
    low[:3], high[20:] = 0.0, 0.05
    z, q = np.zeros(n), g.copy()
    passes = native.descend(H, q, z, l1, low, high, 1e-10, 5000)
    assert 1 < passes < 5000 and z[7] == 0 and (z >= low).all() and (z <= high).all()
    assert np.allclose(q, g + H @ z, atol=1e-9)
    for j in np.delete(np.arange(n), 7):
        left, right = q[j] + np.array([-1, 1]) * l1[j] if z[j] == 0 else 2 * [q[j] + np.sign(z[j]) * l1[j]]
        assert left <= 1e-9 or z[j] == low[j], j
        assert right >= -1e-9 or z[j] == high[j], j
    assert (z == 0).sum() > 1 and (z != 0).sum() > 10
    assert native.descend(H, g.copy(), np.zeros(n), l1, low, high, 1e-10, 3) == 3
