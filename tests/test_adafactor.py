"""The compiled step of Adafactor and PlainAdafactor: NumPy's bits on arrays of any form."""

import os

import numpy as np
import pytest

import fastopt as fo
from fastopt import native

pytestmark = pytest.mark.skipif(not native.available(), reason="fastopt._native is not built")

SHAPES = [
    (),
    (1,),
    (70,),
    (2500,),
    (5, 3),
    (1, 40),
    (40, 1),
    (100, 33),
    (33, 1100),
    (64, 64),
    (2, 3, 40, 50),
    (0, 5),
    (4, 0),
]
RULES = [
    fo.Adafactor(),
    fo.Adafactor(beta1=0.9, weight_decay=0.1),
    fo.Adafactor(relative=False, threshold=0.3, weight_decay=0.1, decay_by_lr=True),
    fo.Adafactor(eps1=0.0),
    fo.PlainAdafactor(),
]


def run(rule, backend, dtype, scale=1.0, **options):
    rng = np.random.default_rng(6)
    params = [np.array(rng.standard_normal(shape), dtype) for shape in SHAPES]
    opt = fo.Optimizer(params, rule, backend=backend, **options)
    for t in range(4):
        grads = [
            np.array(scale * rng.standard_normal(shape) * 10.0 ** rng.integers(-3, 3), dtype)
            for shape in SHAPES
        ]
        grads[7][:3], grads[7][:, 4] = 0, 0
        if t == 2:
            grads[4] = grads[2] = None
        opt.step(grads)
    return [a.tobytes() for a in (*params, *(s for each in opt._states() for s in each.values()))]


@pytest.mark.parametrize("dtype", ["f4", "f8"])
@pytest.mark.parametrize("rule", RULES, ids=range(len(RULES)))
def test_bits_of_numpy(rule, dtype, need):
    need("numba")
    for scale in (1.0, 1e-25, 1e30 if dtype == "f4" else 1e170):
        assert run(rule, "numba", dtype, scale) == run(rule, "numpy", dtype, scale), scale
    for options in (
        {"clip": 3.0},
        {"clip": 0.5, "clip_by": "value", "maximize": True},
        {"nonfinite": "skip"},
    ):
        assert run(rule, "numba", dtype, **options) == run(rule, "numpy", dtype, **options), options


@pytest.mark.parametrize("rule", RULES, ids=range(len(RULES)))
def test_back_end_c_takes_them(rule):
    """Also arrays in another order than C's, which NumPy steps."""
    for dtype in ("f4", "f8"):
        for options in ({}, {"clip": 3.0}, {"nonfinite": "skip"}):
            assert run(rule, "c", dtype, **options) == run(rule, "numpy", dtype, **options), options
    turned = [np.asfortranarray(np.arange(12.0).reshape(3, 4)) for _ in range(2)]
    for p, backend in zip(turned, ("c", "numpy"), strict=True):
        opt = fo.Optimizer(p, rule, backend=backend)
        assert opt.backend == backend
        opt.step(np.cos(p))
    assert turned[0].tobytes() == turned[1].tobytes()
    with pytest.raises(ValueError, match="Muon is not in the C library"):
        fo.Optimizer(np.ones((2, 2)), fo.Muon(), backend="c")


def test_instruction_sets_show_in_no_bit(need):
    need("numba")
    reference = run(RULES[1], "numba", "f4")
    try:
        for flag in ("avx512", "avx512,avx2"):
            native.select_features(flag)
            assert run(RULES[1], "numba", "f4") == reference
    finally:
        native.select_features(os.environ.get("FASTOPT_DISABLE_CPU_FEATURES", ""))


def test_nonfinite_gradients_change_nothing(rng):
    p, g = rng.standard_normal((2, 50, 30))
    before, opt = p.copy(), fo.Optimizer(p, fo.Adafactor())
    g[49, 29] = np.inf
    with pytest.raises(FloatingPointError, match="grads"):
        opt.step(g)
    assert (p == before).all() and opt.t == 0 and not opt.state["r"].any()


def test_orders_and_strides_of_memory(rng):
    """A Fortran-ordered matrix, one with gaps, and gradients in another order than their parameter."""
    start, gradients = rng.standard_normal((50, 30)), rng.standard_normal((3, 50, 30))
    plain = start.copy()
    gaps = np.zeros((50, 60))[:, ::2]
    gaps[...] = start
    turned = np.asfortranarray(start)
    optimizers = [fo.Optimizer(p, fo.Adafactor()) for p in (plain, gaps, turned)]
    for g in gradients:
        for opt, given in zip(optimizers, (np.asfortranarray(g), g, g), strict=True):
            opt.step(given)
    assert plain.tobytes() == np.ascontiguousarray(gaps).tobytes()
    np.testing.assert_allclose(turned, plain, rtol=1e-12)
