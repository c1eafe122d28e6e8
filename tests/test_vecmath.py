"""exp, log and log1p of the kernels: at most 2 ulp from the truth, the whole range of numbers."""

import numpy as np
import pytest

pytest.importorskip("numba")

from fastopt.kernels.language.compile import entry, kernel  # noqa: E402
from fastopt.kernels.language.lanes import load_lanes, store_lanes  # noqa: E402
from fastopt.kernels.language.memory import element_type, lane_count  # noqa: E402


@kernel
def _exp(h, x, out, n):
    for i in range(0, n, lane_count(h)):
        store_lanes(h, out, i, n, np.exp(load_lanes(h, x, i, n)))


@kernel
def _log(h, x, out, n):
    for i in range(0, n, lane_count(h)):
        store_lanes(h, out, i, n, np.log(load_lanes(h, x, i, n)))


@kernel
def _log1p(h, x, out, n):
    for i in range(0, n, lane_count(h)):
        store_lanes(h, out, i, n, np.log1p(load_lanes(h, x, i, n)))


def apply(function, x):
    from numba.core import types

    x = np.ascontiguousarray(x)
    out = np.empty_like(x)
    run = entry(function, element_type(x.dtype.name), *[types.int64] * 3)
    run(None, x.ctypes.data, out.ctypes.data, x.size)
    return out


def errors_in_ulp(found, truth):
    """Distance from the truth (of a wider type) in units of the last place of the found type."""
    info = np.finfo(found.dtype)
    with np.errstate(all="ignore"):
        rounded = truth.astype(found.dtype)
        ulp = np.spacing(np.maximum(np.abs(rounded), info.tiny)).astype(truth.dtype)
        error = np.abs(found.astype(truth.dtype) - truth) / ulp
    both = (found == rounded) | (np.isnan(found) & np.isnan(rounded))
    error[both] = np.minimum(error[both], 0.5)
    error[both & ~np.isfinite(rounded)] = 0
    return error


def every_float32(step):
    """Every step-th float32 there is, in parts of 16 million."""
    for begin in range(0, 1 << 32, step << 24):
        bits = np.arange(begin, min(begin + (step << 24), 1 << 32), step, dtype=np.uint64)
        x = bits.astype(np.uint32).view(np.float32)
        yield x[~np.isnan(x)]


SPECIAL = np.array([0.0, -0.0, np.inf, -np.inf, np.nan, 1, -1, 1e-45, -1e-45, 1e-40, 3e38, -3e38, 88.7, 88.8])
FUNCTIONS = [(_exp, np.exp), (_log, np.log), (_log1p, np.log1p)]
functions = pytest.mark.parametrize(("function", "truth"), FUNCTIONS, ids=["exp", "log", "log1p"])


@functions
@pytest.mark.parametrize("step", [4001, pytest.param(37, marks=pytest.mark.long)])
def test_float32(function, truth, step):
    for part in every_float32(step):
        with np.errstate(all="ignore"):
            error = errors_in_ulp(apply(function, part), truth(part.astype(np.float64)))
        assert np.nanmax(error) <= 2, part[np.nanargmax(error)]
        assert not np.isnan(error).any()


@functions
def test_float64(function, truth):
    if np.finfo(np.longdouble).nmant < 60:
        pytest.skip("no wider type to compare with")
    rng = np.random.default_rng(0)
    bits = rng.integers(0, 1 << 63, 200_000, dtype=np.uint64) * 2 + rng.integers(
        0, 2, 200_000, dtype=np.uint64
    )
    x = np.concatenate([bits.view(np.float64), rng.uniform(-750, 710, 100_000), rng.uniform(0, 3, 100_000)])
    x = x[np.isfinite(x)]
    with np.errstate(all="ignore"):
        error = errors_in_ulp(apply(function, x), truth(x.astype(np.longdouble)))
    assert np.nanmax(error) <= 2, x[np.nanargmax(error)]
    assert not np.isnan(error).any()


@functions
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_special_numbers(function, truth, dtype):
    with np.errstate(all="ignore"):
        x = SPECIAL.astype(dtype)
        expected = truth(x.astype(np.longdouble)).astype(dtype)
    found = apply(function, x)
    assert np.array_equal(np.isnan(found), np.isnan(expected))
    assert np.array_equal(np.isinf(found), np.isinf(expected))
    assert errors_in_ulp(found, expected.astype(np.longdouble))[~np.isnan(x)].max() <= 2
