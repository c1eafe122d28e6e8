"""State and parameters of few bits: against another writing of the description in fastopt/storage.py, element by
element in Python's whole numbers."""

import struct

import numpy as np
import pytest

import fastopt as fo
from fastopt.storage import noise_bases

BACKENDS = ("numba", "c", "numpy")
RULES = [
    fo.AdamW(1e-2),
    fo.Adam(1e-2),
    fo.AMSGrad(1e-2),
    fo.Lion(1e-3),
    fo.Momentum(0.1),
    fo.Averaged(fo.Momentum(0.1)),
]
WEYL, STEP, LARGEST = 0x9E3779B1, 0xC2B2AE35, 0x7F7FFFFF


def bits(x):
    return struct.unpack("<I", struct.pack("<f", x))[0]


def number(b):
    return np.float32(struct.unpack("<f", struct.pack("<I", b))[0])


def bfloat16(x):
    """float32 numbers rounded to bfloat16, to nearest, as 16-bit words."""
    return np.array(
        [min((bits(v) & 0x7FFFFFFF) + 0x8000, 0x7F800000) >> 16 | bits(v) >> 16 & 0x8000 for v in x],
        np.uint16,
    )


def widened(words):
    return (np.asarray(words, np.uint32) << 16).view(np.float32)


def half_type(kind):
    return pytest.importorskip("ml_dtypes").bfloat16 if kind == "bfloat16" else np.dtype(kind)


def noise(seed_key, t, i):
    key = (seed_key + t * STEP) & 0xFFFFFFFF
    key = (key ^ key >> 16) * 0x21F0AAAD & 0xFFFFFFFF
    key = (key ^ key >> 15) * 0xD35A2D97 & 0xFFFFFFFF
    return (i * WEYL + (key ^ key >> 15)) & 0xFFFFFFFF


def rounded_bf16(x, n):
    """x on 16 bits: its size plus noise, cut."""
    size, sign = bits(x) & 0x7FFFFFFF, bits(x) >> 31
    return (min(size + n, max(size, LARGEST)) | sign << 31) >> 16


def eight(values, words, signed):
    """(codes, base) of a block of at most 256 float32 numbers."""
    last, sizes = (127 if signed else 255), [bits(v) & 0x7FFFFFFF for v in values]
    base = max(((max(sizes) + 0xFFFFF) >> 20) - last, 0)
    codes = []
    for v, size, n in zip(values, sizes, words, strict=True):
        code = max((min(size + n, max(size, LARGEST)) >> 20) - base, 0)
        codes.append(code | (bits(v) >> 31) << 7 if signed else code)
    return codes, base


def decoded(code, base, signed):
    if not signed:
        return number((code + base) << 20)
    size, sign = code & 127, code >> 7
    return number(((size + base) << 20 if size else 0) | sign << 31)


class Naive:
    """AdamW or Momentum on float32 parameters with slots in few bits."""

    def __init__(self, rule, p, state_dtype, kinds):
        self.rule, self.p, self.form, self.kinds, self.t = rule, p.copy(), state_dtype, kinds, 0
        self.s = [np.zeros_like(p) for _ in kinds]
        self.keys = [int(k) for k in noise_bases(0, [0])[0]]

    def step(self, g):
        self.t += 1
        k = [np.float32(v) for v in self.rule.coefficients(self.rule, float(self.t))]
        self.p, new = self.rule.update(self.rule, k, self.p, g, tuple(self.s))
        self.s = [self.stored(j, np.asarray(s, np.float32)) for j, s in enumerate(new)]

    def stored(self, j, s):
        words = [noise(self.keys[j // 2], self.t, i) for i in range(len(s))]
        if self.form == "bfloat16":
            parts = [w >> 16 if j % 2 else w & 0xFFFF for w in words]
            return widened([rounded_bf16(x, n) for x, n in zip(s, parts, strict=True)])
        signed, out = self.kinds[j] == "signed", []
        parts = [w >> 12 if j % 2 else w << 4 & 0xFFFFF for w in words]
        for a in range(0, len(s), 256):
            codes, base = eight(s[a : a + 256], parts[a : a + 256], signed)
            out += [decoded(c, base, signed) for c in codes]
        return np.array(out, np.float32)


def gradients(n, steps=4, seed=0):
    rng = np.random.default_rng(seed)
    return [(rng.normal(size=n) * 10.0 ** rng.uniform(-3, 1, n)).astype(np.float32) for _ in range(steps)]


@pytest.mark.parametrize("state_dtype", ["bfloat16", "float8"])
@pytest.mark.parametrize("n", [1, 300, 513])
@pytest.mark.parametrize("rule", [fo.AdamW(1e-2), fo.Momentum(0.1)], ids=lambda r: type(r).__name__)
def test_the_description_element_by_element(rule, n, state_dtype):
    p = np.random.default_rng(1).normal(size=n).astype(np.float32)
    opt = fo.Optimizer(p, rule, state_dtype=state_dtype)
    naive = Naive(rule, p, state_dtype, ("signed", "positive")[: len(rule.slots)])
    for g in gradients(n):
        opt.step(g)
        naive.step(g)
    np.testing.assert_array_equal(p, naive.p)


@pytest.mark.parametrize("parameter", ["float32", "float16", "bfloat16"])
@pytest.mark.parametrize("state_dtype", ["float32", "bfloat16", "float8"])
@pytest.mark.parametrize("rule", RULES, ids=lambda r: type(r).__name__)
def test_the_same_bits_everywhere(rule, state_dtype, parameter, need):
    kind = half_type(parameter)
    for n in (1, 255, 257, 1000):
        found = []
        for backend in BACKENDS:
            need(backend)
            p = np.random.default_rng(n).normal(size=n).astype(np.float32).astype(kind)
            opt = fo.Optimizer(p, rule, state_dtype=state_dtype, backend=backend)
            for g in gradients(n, 3, n):
                opt.step(g.astype(kind))
            state = opt.state_dict()["state"]
            found.append((p.tobytes(), {name: a.tobytes() for name, a in state.items()}))
        assert all(other == found[0] for other in found), n


def test_threads_show_in_no_bit(need):
    need("c")
    n, outcome = 4_000_037, []
    g = np.random.default_rng(0).normal(size=n).astype(np.float32)
    for threads, backend in ((1, "c"), (2, "c"), (2, "auto")):
        p = np.zeros(n, np.float32)
        opt = fo.Optimizer(p, fo.AdamW(1e-2), state_dtype="float8", threads=threads, backend=backend)
        opt.step(g), opt.step(g)
        outcome.append(p)
    assert all(np.array_equal(p, outcome[0]) for p in outcome)


@pytest.mark.parametrize("parameter", ["bfloat16", "float16"])
def test_the_master_is_exact(parameter):
    """With a float32 state, 16-bit weights are the rounded weights of a float32 run on the same gradients."""
    kind = half_type(parameter)
    p = np.random.default_rng(2).normal(size=999).astype(np.float32).astype(kind)
    master = p.astype(np.float32)
    opt, exact = fo.Optimizer(p, fo.AdamW(1e-3), state_dtype="float32"), fo.Optimizer(master, fo.AdamW(1e-3))
    for g in gradients(999, 50):
        g = g.astype(kind)
        opt.step(g), exact.step(g.astype(np.float32))
    wanted = bfloat16(master) if parameter == "bfloat16" else master.astype(np.float16).view(np.uint16)
    np.testing.assert_array_equal(p.view(np.uint16), wanted)


@pytest.mark.parametrize("state_dtype", ["bfloat16", "float8"])
def test_rounding_is_without_bias(state_dtype):
    """The mean of many roundings of numbers over four decades is the numbers."""
    n, times = 256, 4000
    g = (np.where(np.arange(n) % 3, 1, -1) * 10.0 ** np.linspace(-1.9, 1.9, n)).astype(np.float32)
    p, total = np.zeros(n, np.float32), np.zeros(n)
    squares = np.zeros(n)
    opt = fo.Optimizer(p, fo.Momentum(lr=1.0, momentum=0.5), state_dtype=state_dtype)
    for _ in range(times):  # v -> v / 2 + g: from v = 2 g it stays there, but for rounding
        before = p.copy()
        opt.step(g)
        v = (before - p).astype(np.float64)
        total += v
        squares += v * v
        p[...] = 0
    mean = total[:] / times
    spread = np.sqrt(np.maximum(squares / times - mean**2, 0))
    late = 2 * g.astype(np.float64) * (1 - (1 - 0.5**times) / times)
    assert (np.abs(mean - late) <= 10 * spread / np.sqrt(times) + 1e-6 * np.abs(late)).all()


@pytest.mark.parametrize("state_dtype", ["bfloat16", "float8"])
def test_softmax_on_digits_ends_where_float32_does(state_dtype):
    X, y, X_test, y_test = (np.asarray(a) for a in digits())
    accuracy = {}
    for form in (None, state_dtype):
        W = np.zeros((10, X.shape[1]), np.float32)
        opt = fo.Optimizer(W, fo.AdamW(1e-2), state_dtype=form)
        objective = fo.Objective(fo.Softmax(), X, y, fit_intercept=False)
        for _ in range(200):
            opt.step(objective.value_and_grad(W)[1])
        accuracy[form] = ((X_test @ W.T).argmax(axis=1) == y_test).mean()
    assert abs(accuracy[state_dtype] - accuracy[None]) <= 1.01 / len(y_test) + 0.002


def digits():
    from fastopt.readers import open_data

    found = open_data("digits")
    (X, y), (X_test, y_test) = found.whole(), found.test()
    return (X / 16).astype(np.float32), y.astype(np.int64), (X_test / 16).astype(np.float32), y_test


@pytest.mark.parametrize("state_dtype", ["bfloat16", "float8"])
@pytest.mark.parametrize("parameter", ["float32", "bfloat16", "float16"])
def test_saved_and_taken_up_again(state_dtype, parameter, tmp_path):
    kind = half_type(parameter)

    def fresh():
        p = np.random.default_rng(5).normal(size=700).astype(np.float32).astype(kind)
        return p, fo.Optimizer(p, fo.AdamW(1e-2), state_dtype=state_dtype)

    first, opt = fresh()
    steps = [g.astype(kind) for g in gradients(700, 6)]
    for g in steps[:3]:
        opt.step(g)
    saved, at = opt.state_dict(), first.copy()
    opt.save(tmp_path / "opt.safetensors")
    for g in steps[3:]:
        opt.step(g)
    second, other = fresh()
    second[...] = at
    other.load_state_dict(saved)
    third = np.array(at)
    loaded = fo.Optimizer.load(tmp_path / "opt.safetensors", third)
    for g in steps[3:]:
        other.step(g), loaded.step(g)
    assert first.tobytes() == second.tobytes() == third.tobytes()


def test_bytes_of_an_element():
    n = 1 << 16
    for parameter, state_dtype, wanted in (
        ("bfloat16", "bfloat16", 2 + 2 + 2 + 2), ("bfloat16", "float8", 2 + 2 + 1 + 1), ("float32", "bfloat16", 4 + 2 + 2),
        ("bfloat16", "bfloat16-no-master", 2 + 2 + 2),
    ):  # fmt: skip
        p = np.zeros(n, half_type(parameter))
        opt = fo.Optimizer(p, fo.AdamW(1e-3), state_dtype=state_dtype)
        kept = sum(a.nbytes for a in opt.state_dict()["state"].values())
        assert wanted <= (p.nbytes + kept) / n < wanted + 0.05


def test_nan_and_inf_are_seen_before_anything_changes(need):
    for backend in BACKENDS:
        need(backend)
        for kind in (np.float32, np.float16):
            p = np.ones(600, kind)
            opt = fo.Optimizer(p, fo.AdamW(1e-2), state_dtype="float8", backend=backend)
            g = np.ones(600, kind)
            opt.step(g)
            before, state = p.tobytes(), opt.state_dict()["state"]
            for bad in (np.nan, np.inf):
                g[599] = bad
                with pytest.raises(FloatingPointError):
                    opt.step(g)
            assert p.tobytes() == before
            for name, value in opt.state_dict()["state"].items():
                np.testing.assert_array_equal(value, state[name])


def test_refusals():
    p = np.zeros(10, np.float32)
    for error, match, make in (
        (ValueError, "state_dtype", lambda: fo.Optimizer(p, fo.Adam(), state_dtype="int4")),
        (TypeError, "float64", lambda: fo.Optimizer(np.zeros(3), fo.Adam(), state_dtype="bfloat16")),
        (ValueError, "AdaGrad", lambda: fo.Optimizer(p, fo.AdaGrad(), state_dtype="bfloat16")),
        (TypeError, "whole", lambda: fo.Optimizer(p, fo.LAMB(), state_dtype="bfloat16")),
        (TypeError, "no-master|master", lambda: fo.Optimizer(p, fo.Adam(), state_dtype="bfloat16-no-master")),
    ):
        with pytest.raises(error, match=match):
            make()
    opt = fo.Optimizer(p, fo.Adam(), state_dtype="bfloat16")
    with pytest.raises(ValueError, match="state_dtype"):
        fo.Optimizer(p.copy(), fo.Adam()).load_state_dict(opt.state_dict())


def test_a_torch_model_in_bfloat16():
    torch = pytest.importorskip("torch")
    torch.manual_seed(0)
    model = torch.nn.Linear(5, 3).to(torch.bfloat16)
    opt = fo.Optimizer(dict(model.named_parameters()), fo.AdamW(1e-2), state_dtype="bfloat16")
    x, losses = torch.randn(64, 5, dtype=torch.bfloat16), []
    wanted = x @ torch.randn(5, 3, dtype=torch.bfloat16)
    for _ in range(100):
        opt.zero_grad()
        loss = ((model(x) - wanted) ** 2).mean()
        loss.backward()
        opt.step()
        losses.append(float(loss))
    assert losses[-1] < 0.5 * losses[0]
