"""Rules around others, and rules with norms, in the C library: what it says of them, and NumPy's bits."""

import os

import numpy as np
import pytest

import fastopt as fo
from fastopt import native, rules
from fastopt.plan import CHUNK

pytestmark = pytest.mark.skipif(not native.available(), reason="fastopt._native is not built")

ELEMENTWISE = [cls() for cls in rules.IN_C if not rules.has_norms(cls)]
WITH_DECAY = [r._replace(weight_decay=0.1) for r in ELEMENTWISE if "weight_decay" in r._fields]
CAUTIOUS = [fo.Cautious(r) for r in (*ELEMENTWISE, *WITH_DECAY) if not hasattr(r, "copies")]
NORMS = [
    fo.LARS(weight_decay=0.1, trust=0.5),
    fo.LARS(eps=0.3),
    fo.LAMB(weight_decay=0.1),
    fo.LAMB(),
    *CAUTIOUS,
]
AROUND_NORMS = [
    *(fo.Averaged(r, 0.9, 2) for r in NORMS[1:]),
    fo.Lookahead(fo.Cautious(fo.AdamW(0.1, weight_decay=0.1)), 3, 0.4),
    fo.ScheduleFree(fo.Cautious(fo.Momentum(0.1, weight_decay=0.1)), 0.7),
    fo.ScheduleFree(fo.LARS(weight_decay=0.1, trust=0.5), 0.7),
    fo.ScheduleFree(fo.LAMB(), 0.7),
    fo.Averaged(fo.Lookahead(fo.ScheduleFree(fo.LAMB(weight_decay=0.1), 0.5), 2)),
]
AROUND = [
    *(fo.Averaged(r, 0.9, 2) for r in ELEMENTWISE),
    *(fo.Averaged(r) for r in ELEMENTWISE[:2]),
    *(fo.Lookahead(r, 3, 0.4) for r in ELEMENTWISE),
    *(fo.ScheduleFree(r, 0.7) for r in ELEMENTWISE if "z" not in r.slots),
    fo.Lookahead(fo.Averaged(fo.AMSGrad(0.1)), 2),
    fo.Averaged(fo.Lookahead(fo.ScheduleFree(fo.AdEMAMix(0.1), 0.5), 2)),
    fo.ScheduleFree(fo.Averaged(fo.SGD(0.1))),
]
SOME = [fo.Averaged(fo.Adam()), fo.Lookahead(fo.Momentum(), 2), fo.ScheduleFree(fo.RMSProp()), fo.LARS(), fo.LAMB(),
        fo.Cautious(fo.AdamW()), fo.Averaged(fo.ScheduleFree(fo.Cautious(fo.Adam())))]  # fmt: skip
FLAGS = ("", "avx512", "avx512,avx2")


def name_of(rule):
    return type(rule).__name__


def run(rule, backend, dtype="f4", clip=None, threads=1, steps=4):
    """Parameters and state after some steps with odd numbers, as bytes."""
    rng = np.random.default_rng(3)
    params = [rng.standard_normal(n).astype(dtype) for n in (0, 1, 33, 511, CHUNK + 1100)]
    params[2][:4] = 0.0, -0.0, 1e-40, -0.0
    opt = fo.Optimizer(params, rule, backend=backend, clip=clip, threads=threads, nonfinite="allow")
    for t in range(steps):
        grads = [
            (rng.standard_normal(p.size) * 10.0 ** rng.uniform(-3, 3, p.size)).astype(dtype) for p in params
        ]
        grads[2][:8] = 0, 0, 0, -0.0, 1e-40, 1e25, 1e-25, 1
        grads[3][7] = np.nan if t == 2 else 1
        opt.step(grads)
    found = [*params, *(s for each in opt._states() for s in each.values())]
    return [np.where(np.isnan(a), np.full_like(a, np.nan), a).tobytes() for a in found]  # any NaN is the same


@pytest.mark.parametrize("rule", [*AROUND, *NORMS, *AROUND_NORMS], ids=name_of)
def test_numbers_and_coefficients(rule):
    number, h = native.rule_number(rule), np.array(rule, float)
    assert rules.is_in_c(rule) and number >= 0
    assert native.lib.fo_rule_slots(number) == len(rule.slots)
    assert native.lib.fo_rule_hyperparameters(number) == len(rule._fields)
    assert native.lib.fo_rule_norms(number) == rules.norm_count(rule)
    assert native.lib.fo_rule_coefficients(number) == rules.coefficient_count(rule)
    start = native.ffi.new("double *")
    for j, (slot, value) in enumerate(zip(rule.slots, rules.initial(rule), strict=True)):
        found = native.lib.fo_rule_start(number, j, native.ffi.from_buffer("double[]", h), start)
        assert found == (slot in getattr(rule, "copies", ()))
        assert found or start[0] == value
    k = np.zeros(rules.coefficient_count(rule))
    for t in (1, 2, 3, 6, 12, 1000, 10**7):
        native.coefficients_function()(number, native.address(h), t, native.address(k))
        expected = rule.coefficients(rule, float(t))
        assert k[: len(expected)].tolist() == list(expected)


@pytest.mark.parametrize("rule", [*NORMS, *AROUND_NORMS], ids=name_of)
def test_numbers_from_norms(rule):
    number, h = native.rule_number(rule), np.array(rule, float)
    count = rules.coefficient_count(rule) - rule.numbers
    for norms in ([3.0, 2.0], [0.0, 1.0], [1.0, 0.0], [1e-30, 1e-30], [1e30, 1e25], [7.0, np.inf]):
        k, norms = np.zeros(count + rule.numbers), np.array(norms[: rule.measures])
        as_double = [native.ffi.from_buffer("double[]", a) for a in (h, norms, k)]
        assert native.lib.fo_from_norms(number, *as_double[:2], 10, as_double[2]) == 0
        expected = rule.from_norms(rule, tuple(rule.coefficients(rule, 1.0)), norms.tolist(), 10)
        assert k[count:].tolist() == list(expected)


@pytest.mark.parametrize("dtype", ["f4", pytest.param("f8", marks=pytest.mark.long)])
@pytest.mark.parametrize("rule", [*AROUND, *NORMS, *AROUND_NORMS], ids=name_of)
def test_c_has_numpys_bits(rule, dtype):
    clip = 5.0 if rules.has_norms(rule) else None
    assert run(rule, "c", dtype, clip) == run(rule, "numpy", dtype, clip)


@pytest.mark.parametrize("rule", SOME, ids=name_of)
def test_c_has_numpys_bits_in_float64(rule):
    for clip in (None, 5.0):
        assert run(rule, "c", "f8", clip) == run(rule, "numpy", "f8", clip)


@pytest.mark.parametrize("rule", SOME, ids=name_of)
def test_instruction_sets_and_threads_show_in_no_bit(rule, many_threads):
    reference = run(rule, "c")
    assert run(rule, "c", threads=2) == reference
    try:
        for flag in FLAGS:
            native.select_features(flag)
            assert run(rule, "c") == reference, flag
    finally:
        native.select_features(os.environ.get("FASTOPT_DISABLE_CPU_FEATURES", ""))


@pytest.mark.parametrize(
    "rule", [*SOME[:2], *(pytest.param(r, marks=pytest.mark.long) for r in SOME[2:])], ids=name_of
)
def test_numba_has_their_bits(rule, need):
    need("numba")
    assert run(rule, "numba") == run(rule, "c")


def test_the_library_knows_what_goes_around_what():
    around, by_name = native.lib.fo_rule_around, native.lib.fo_rule_by_name
    adam, z = by_name(b"Adam"), by_name(b"ScheduleFreeSGD")
    averaged, lookahead, free, cautious = 1, 2, 3, 4
    assert native.ffi.string(native.lib.fo_rule_name(around(averaged, adam))) == b"Adam"
    assert around(free, z) == around(free, around(averaged, z)) == around(free, around(free, adam)) == -1
    assert around(cautious, z) == around(cautious, around(averaged, adam)) == -1
    assert around(cautious, around(cautious, adam)) == around(cautious, by_name(b"LARS")) == -1
    assert around(free, around(lookahead, around(free, around(cautious, adam)))) == -1
    assert around(averaged, -1) == around(0, adam) == around(5, adam) == around(averaged, 255) == -1
    three = around(averaged, around(lookahead, around(free, adam)))
    assert three > 0 and native.lib.fo_rule_slots(three) == 5 and around(averaged, three) == -1
    for odd in (1 << 20, 1 << 17, 1 << 11, (1 << 11) + adam, around(averaged, adam) + (5 << 11)):
        assert native.lib.fo_rule_slots(odd) == -1 and native.lib.fo_rule_name(odd) == native.ffi.NULL


def test_a_users_class_around_which_a_rule_goes_is_not_in_c():
    class Mine(fo.Adam):
        __slots__ = ()

    assert not rules.is_in_c(Mine()) and not rules.is_in_c(fo.Averaged(Mine()))
    with pytest.raises(ValueError, match="AveragedMine is not in the C library"):
        fo.Optimizer(np.zeros(2), fo.Averaged(Mine()), backend="c")


@pytest.mark.parametrize("rule", [fo.Averaged(fo.Adam(0.02), begin=5), fo.Lookahead(fo.AMSGrad(0.02), 4),
                                  fo.ScheduleFree(fo.SGD(0.1))], ids=name_of)  # fmt: skip
@pytest.mark.parametrize("batch", [1, 16])
def test_training_in_c_takes_them(rule, batch, rng):
    X = rng.standard_normal((60, 5))
    y = (X @ rng.standard_normal(5) > 0).astype(int)
    ours, theirs = (fo.train(X, y, rule=rule, epochs=3, batch_size=batch, backend=b) for b in ("c", "numpy"))
    assert ours.backend == "c"
    np.testing.assert_allclose(ours.W, theirs.W, rtol=1e-10, atol=1e-13)
