"""Gradients of every size, eps from 1e-40 to 1, t to 1e9: no NaN and no frozen parameter that exact arithmetic has not.

The references are those of naive*.py: in float64 no square of a float32 overflows or vanishes. What the package says
of itself (docs/decisions/rules.md) is taken for granted here: what is subnormal within a step is zero (gradients below
1e-32, times a rate), and where squares are lost beside an eps that is smaller still, a step is right within a factor.
"""

import naive
import naive_rules
import naive_wide
import numpy as np
import pytest

import fastopt as fo
from fastopt.rules import RULES

SIZES = np.array([0, 1e-45, 1e-42, 1e-38, 2e-38, 1e-37, 1e-36, 1.1e-33, 1e-30, 1e-25, 1e-22, 3e-20, 1e-19, 2e-19, 1e-18, 1e-15,
                  1e-10, 1e-5, 1, 1e5, 1e10, 1e15, 9e18, 1e19, 1.8e19, 3e19, 1e20, 5e20, 1e25, 1e30, 1e35, 1e38, 3e38])  # fmt: skip
G = np.concatenate([SIZES, -SIZES]).astype("f4")
EPS, T = (1e-40, 1e-30, 1e-19, 1e-12, 1e-8, 1e-3, 1.0), (1, 2, 1000, 10**9)
TINY, LARGEST = float(np.finfo("f4").tiny), float(np.finfo("f4").max)
SIGNS = (1, 1, 0, -1, 1)  # of the gradients of one run


def reference(cls):
    """(step, slots); NAdam's own reference multiplies t numbers."""
    if cls is fo.NAdam:
        return naive_rules.FUNCTIONS["NAdamW"]
    return naive.RULES[cls.__name__]


def runs(cls, hyper, start, t, dtype, backend):
    """(parameters of the package, of the reference, whether the reference's state is all numbers of the dtype)."""
    g = np.where(np.abs(G) < TINY, 0, G).astype("f8")
    p, exact = np.full(G.size, start, dtype), np.full(G.size, start, "f8")
    opt = fo.Optimizer(p, cls(**hyper), backend=backend)
    opt.t = t - 1
    step, _ = reference(cls)
    full = dict(zip(cls._fields, cls(**hyper), strict=True))
    state, within = naive.initial(cls.__name__, G.size, **full), np.ones(G.size, bool)
    for i, sign in enumerate(SIGNS):
        opt.step((sign * G).astype(dtype))
        with np.errstate(all="ignore"):
            exact, state = step(exact, sign * g, state, t + i, **full)
        kept = [state[s] for s in set(state) - {"v", "u"}] if "eps" in cls._fields else state.values()
        for a in (exact, *kept):
            within &= np.abs(a) < LARGEST
    return p.astype("f8"), exact, within


def look(cls, hyper, start, t, dtype, backend):
    ours, exact, within = runs(cls, hyper, start, t, dtype, backend)
    told = f"{cls.__name__}({hyper}), t = {t}, p = {start}, {dtype}, {backend}"
    assert within.sum() > G.size / 3, told
    bad = within & ~np.isfinite(ours)
    assert not bad.any(), f"{told}: not finite at g = {G[bad]}"
    within &= (G == 0) | (np.abs(G) >= 1e-32)
    ulp = float(np.spacing(np.full(1, start, dtype))[0])
    went, should = np.abs(ours - start), np.abs(exact - start)
    frozen = within & (should > 50 * ulp) & (went == 0)
    assert not frozen.any(), f"{told}: stands still at g = {G[frozen]}, exact: {should[frozen]}"
    plain = within & ((np.abs(G) >= 3e-17) | (hyper.get("eps", 1) >= 1e-12))
    close = 0.2 if cls is fo.AdaGrad else 0.01  # its sum of squares ends at three of the largest
    far = plain & ~(np.abs(ours - exact) <= close * should + 20 * ulp)
    if cls in (fo.CenteredRMSProp, fo.CenteredRMSPropMomentum):  # a variance of equal numbers is rounding
        far &= ~(went < 3 * should) | ~(went > should / 3)
    assert not far.any(), f"{told}: g = {G[far]}: {ours[far] - start}, exact {exact[far] - start}"
    endless = cls is fo.AdEMAMix and t > 10**5  # n remembers longer than v: its step has no bound
    if "Centered" not in cls.__name__ and not endless:
        wild = within & (went > 40 * should + 20 * ulp)
        assert not wild.any(), f"{told}: g = {G[wild]}: {went[wild]}, exact {should[wild]}"


def cases(cls, eps, ts, starts=(1.0, 1e-6)):
    for e in eps if "eps" in cls._fields else eps[:1]:
        hyper = {"eps": e} if "eps" in cls._fields else {}
        if "weight_decay" in cls._fields:
            hyper["weight_decay"] = 0.0
        yield from ((hyper, start, t) for start in starts for t in ts)


rules = pytest.mark.parametrize("cls", RULES, ids=lambda c: c.__name__)


@rules
@pytest.mark.parametrize("other", ["numpy", "c"])
def test_range(cls, other, need):
    need(other)
    for hyper, start, t in cases(cls, EPS[::3] if other == "c" else EPS, T[::3]):
        look(cls, hyper, start, t, "float32", other)


@pytest.mark.parametrize("cls", [fo.AdamW, fo.Nesterov, fo.AdaGrad], ids=lambda c: c.__name__)
def test_range_in_numba(cls, need):
    need("numba")
    for hyper, start, t in cases(cls, EPS[::3], T[:1]):
        look(cls, hyper, start, t, "float32", "numba")


@pytest.mark.long
@rules
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_range_everywhere(cls, dtype, backend):
    for hyper, start, t in cases(cls, EPS, T):
        look(cls, hyper, start, t, dtype, backend)


WIDE = [
    (fo.LARS(), naive_wide.lars),
    (fo.LAMB(), naive_wide.lamb),
    (fo.PlainAdafactor(), naive_wide.plain_adafactor),
    (fo.Adafactor(), naive_wide.adafactor),
    (fo.Muon(), naive_wide.muon),
]


def run_wide(rule, reference, start, form, t, hyper, steps=4):
    """Arrays whose gradients are of one size each: [(size, parameter, the reference's)]."""
    sizes = SIZES[SIZES < 2e38]
    params = [start.copy() for _ in sizes]
    opt, exact = fo.Optimizer(params, rule._replace(**hyper)), [start.astype("f8") for _ in sizes]
    opt.t = t - 1
    states = [{s: np.array(a, "f8") for s, a in each.items()} for each in opt._states()]
    for i in range(t, t + steps):
        gradients = [(size * form).astype("f4") for size in sizes]
        opt.step(gradients)
        for j, g in enumerate(gradients):
            g = np.where(np.abs(g) < TINY, 0, g).astype("f8")
            with np.errstate(all="ignore"):
                exact[j], states[j] = reference(exact[j], g, states[j], i, **hyper)
    return list(zip(sizes, params, exact, strict=True))


def look_wide(found, start, told, lost=1e-36):
    for size, ours, theirs in found:
        assert np.isfinite(ours).all(), (size, told)
        if np.isfinite(theirs).all() and not 0 < size <= lost:
            room = 0.05 * np.abs(theirs - start).max() + 1e-6
            np.testing.assert_allclose(ours, theirs, rtol=0, atol=room, err_msg=f"g of {size}, {told}")


@pytest.mark.parametrize("rule, reference", WIDE, ids=[type(r).__name__ for r, _ in WIDE])
def test_range_of_wide_rules(rule, reference, rng):
    """Matrices of 3 x 4; Muon's constant of 1e-7 lets it stand still below."""
    form = rng.uniform(0.5, 1, (3, 4)) * rng.choice([-1, 1], (3, 4))
    start = rng.standard_normal((3, 4)).astype("f4")
    for t in (1, 1000, 10**9):
        look_wide(run_wide(rule, reference, start, form, t, {}), start, f"t = {t}")


@pytest.mark.parametrize("shape", [(3, 4), (7,)], ids=["matrix", "vector"])
def test_range_of_adafactors_constants(shape, rng):
    form, start = (
        rng.uniform(0.5, 1, shape) * rng.choice([-1, 1], shape),
        rng.standard_normal(shape).astype("f4"),
    )
    for t in (1, 1000, 10**9):
        for eps1 in EPS:
            for more in ({}, {"eps2": 1e-40}, {"eps2": 1.0}, {"threshold": 1e-3}, {"beta1": 0.9}):
                hyper = {"eps1": eps1, **more}
                found = run_wide(fo.Adafactor(), naive_wide.adafactor, start, form, t, hyper)
                # beside a smaller eps1 these squares are lost in float32
                look_wide(found, start, f"t = {t}, {hyper}", 1e-17 if eps1 < 1e-32 else 1e-36)


def test_range_of_plain_adafactors_eps(rng):
    form, start = (
        rng.uniform(0.5, 1, (3, 4)) * rng.choice([-1, 1], (3, 4)),
        rng.standard_normal((3, 4)).astype("f4"),
    )
    for t in (1, 1000, 10**9):
        for eps in EPS:
            found = run_wide(fo.PlainAdafactor(), naive_wide.plain_adafactor, start, form, t, {"eps": eps})
            look_wide(found, start, f"t = {t}, eps = {eps}", 1e-17 if eps < 1e-12 else 1e-36)


def test_range_of_muons_vectors(rng):
    """They take AdamW's step."""

    def adamw(p, g, s, t, **hyper):
        p, state = naive.RULES["AdamW"][0](p, g, {"m": s["v"], "v": s["u"]}, t, **adam, **hyper)
        return p, {"v": state["m"], "u": state["v"]}

    adam = {"lr": 1e-3, "beta1": 0.9, "beta2": 0.999, "weight_decay": 0.0}
    form, start = rng.uniform(0.5, 1, 7) * rng.choice([-1, 1], 7), rng.standard_normal(7).astype("f4")
    for t in (1, 1000, 10**9):
        for eps in EPS:
            found = run_wide(fo.Muon(), adamw, start, form, t, {"eps": eps})
            look_wide(found, start, f"t = {t}, eps = {eps}", 1e-17 if eps < 1e-12 else 1e-36)
