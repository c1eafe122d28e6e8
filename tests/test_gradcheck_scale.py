"""Gradients of any size: directions, Taylor remainders, bisection."""

import numpy as np
import pytest

from fastopt.checking import gradcheck


def f(x):
    return np.sum(np.sin(x) * x)


def df(x):
    return np.cos(x) * x + np.sin(x)


def _mutant(at, factor):
    def wrong(x):
        g = df(x)
        g[at] *= factor
        return g

    return wrong


def _directions(grad, n, seed=0, **options):
    x = np.random.default_rng(seed).normal(size=n)
    return gradcheck(f, grad, x, mode="directions", raise_exception=False, **options)


def test_right_and_wrong_order():
    report = _directions(df, 5000)
    assert report and all(abs(d.order - 2) < 0.3 for d in report.directions)
    assert report.evaluations < 200
    report = _directions(lambda x: 2 * df(x), 5000)
    assert not report and all(abs(d.order - 1) < 0.3 for d in report.directions)
    assert "factor 2" in report.causes[0]


@pytest.mark.parametrize("factor", [-1, 0, 1.05, np.nan])
def test_one_wrong_entry_is_named(factor):
    for seed in range(5):
        at = int(np.random.default_rng(seed + 100).integers(20_000))
        report = _directions(_mutant(at, factor), 20_000, seed, atol=1e-9)
        assert not report and report.rows[0].index == (at,), report.text()


def test_a_few_wrong_entries_are_all_named():
    at = np.array([17, 4000, 4001, 19_999])
    report = _directions(_mutant(at, -1), 20_000)
    assert {row.index[0] for row in report.rows if row.verdict == "wrong"} == set(at.tolist())


def test_swapped_entries_do_not_cancel():
    def wrong(x):
        g = df(x)
        g[[5, 900]] = g[[900, 5]]
        return g

    report = _directions(wrong, 2000)
    assert {row.index[0] for row in report.rows if row.verdict == "wrong"} == {5, 900}


def test_kinks_and_float32():
    x = np.random.default_rng(0).normal(size=3000)
    x[::7] = 0
    assert gradcheck(lambda x: np.abs(x).sum(), np.sign, x, mode="directions")
    for seed in range(20):
        x = np.random.default_rng(seed).normal(size=3000).astype(np.float32)
        report = gradcheck(lambda x: np.float32(f(x)), df, x, mode="directions", raise_exception=False)
        assert report, report.text()


def test_auto_chooses_by_cost():
    assert gradcheck(f, df, np.ones(10)).mode == "full"
    assert gradcheck(f, df, np.random.default_rng(0).normal(size=100_000), seconds=0.1).mode == "directions"


def test_vector_valued():
    A = np.random.default_rng(0).normal(size=(6, 50))
    x = np.random.default_rng(1).normal(size=50)
    assert gradcheck(lambda x: np.sin(A @ x), lambda x: np.cos(A @ x)[:, None] * A, x, mode="directions")
    J = A.copy()
    J[2, 30] += 0.1
    assert not gradcheck(lambda x: A @ x, lambda x: J, x, mode="directions", raise_exception=False)


@pytest.mark.long
@pytest.mark.parametrize("kind", ["right", "sign", "zero", "3e-3", "1e-6", "all 3e-3", "all 1e-6"])
def test_one_in_a_million(kind):
    n = 1_000_000
    rng = np.random.default_rng(5)
    x = rng.normal(size=n)
    at = int(rng.integers(n))
    tolerance = {"atol": 1e-9, "rtol": 1e-7} if "1e-6" in kind else {}
    grads = {
        "right": df, "sign": _mutant(at, -1), "zero": _mutant(at, 0), "3e-3": _mutant(at, 1 - 3e-3),
        "1e-6": _mutant(at, 1 + 1e-6), "all 3e-3": lambda x: df(x) * 1.003, "all 1e-6": lambda x: df(x) * (1 + 1e-6),
    }  # fmt: skip
    x[at] = 3.0
    report = gradcheck(f, grads[kind], x, raise_exception=False, **tolerance)
    assert report.mode == "directions"
    if kind == "right":
        assert report
    else:
        assert not report, report.text()
        if "all" not in kind:
            assert (at,) in [row.index for row in report.rows[:5] if row.verdict == "wrong"], report.text()


@pytest.mark.parametrize("scale", [1, 1e4, 1e8])
def test_wrong_sign_of_a_noisy_float32_sum_is_named(scale):
    s = np.float32(scale)

    def single(x):
        assert x.dtype == np.float32
        return np.sum(x * x * s) + s * np.float32(x.size)

    x = np.random.default_rng(0).normal(size=1000).astype(np.float32)
    report = gradcheck(single, lambda x: -2 * x * s if x.dtype == s.dtype else None, x, raise_exception=False)
    assert "wrong sign" in report.causes[0]
