"""As test_rule_range.py, of rules around others, of norms, without a schedule, and of state in few bits."""

import naive
import numpy as np
import pytest
from test_rule_range import SIGNS, SIZES, WIDE, G

import fastopt as fo

BASES = [
    fo.SGD(0.01),
    fo.Momentum(0.01),
    fo.Adam(0.001),
    fo.AdamW(0.001, weight_decay=0.0),
    fo.Lion(0.001),
    fo.RMSProp(0.01),
]
EPS, T = (1e-40, 1e-8, 1.0), (1, 1000, 10**9)


class Base:
    """A naive rule with its state, in float64."""

    def __init__(self, rule, size):
        self.step_of, self.hyper = naive.RULES[type(rule).__name__][0], rule._asdict()
        self.state = naive.initial(type(rule).__name__, size, **self.hyper)

    def step(self, p, g, t):
        p, self.state = self.step_of(p, g, self.state, t, **self.hyper)
        return p


def averaged(base, p, t, gradients):
    """The iterates and, as what must be right too, their exponential average."""
    average = p
    for i, g in enumerate(gradients):
        p = base.step(p, g, t + i)
        share = max(0.1, 1 / (t + i))
        average = (1 - share) * average + share * p
    return p, average


def lookahead(base, p, t, gradients):
    slow = p
    for i, g in enumerate(gradients):
        p = base.step(p, g, t + i)
        if (t + i) % 2 == 0:
            p = slow = slow + 0.5 * (p - slow)
    return p, slow


def schedule_free(base, p, t, gradients):
    x = z = p
    for i, g in enumerate(gradients):
        z = base.step(z, g, t + i)
        x = x + (z - x) / (t + i)
    return 0.1 * z + 0.9 * x, x


def cautious(base, p, t, gradients):
    for i, g in enumerate(gradients):
        move = base.step(np.zeros_like(p), g, t + i)
        agree = move * np.sign(g) < 0
        p = p + move * agree / max(agree.mean(), 1e-3)
    return p, p


WRAPPERS = [
    (lambda base: fo.Averaged(base, 0.9), averaged),
    (lambda base: fo.Lookahead(base, 2), lookahead),
    (fo.ScheduleFree, schedule_free),
    (fo.Cautious, cautious),
]


def with_eps(rule, eps):
    return rule._replace(eps=eps) if "eps" in rule._fields else rule


@pytest.mark.parametrize("base", BASES, ids=lambda r: type(r).__name__)
@pytest.mark.parametrize("wrap, reference", WRAPPERS, ids=lambda x: getattr(x, "__name__", "")[:13])
@pytest.mark.parametrize("other", ["numpy", "c"])
def test_range_around(wrap, reference, base, other, need):
    need(other)
    # What a rule alone holds to within 1 % (test_rule_range.py says where), and gradients that no step loses.
    large = np.abs(G) >= 3e-17 if "eps" in base._fields else np.abs(G) >= 1e-30
    g = G[(G == 0) | large]
    if reference is cautious:  # an element that is no float32 any more leaves no count of those that agree
        g = g[np.abs(g) < 1e36]
    for eps in EPS if "eps" in base._fields else EPS[:1]:
        rule = wrap(with_eps(base, eps))
        for start in (1.0, 1e-6):
            for t in T:
                look_around(rule, reference, Base(with_eps(base, eps), g.size), g, start, t, other)


def look_around(rule, reference, base, g, start, t, backend):
    p = np.full(g.size, start, "f4")
    opt = fo.Optimizer(p, rule, backend=backend)
    opt.t = t - 1
    for sign in SIGNS:
        opt.step(np.float32(sign) * g)
    with np.errstate(all="ignore"):
        exact, beside = reference(base, np.full(g.size, start), t, [sign * g.astype("f8") for sign in SIGNS])
    told = f"{type(rule).__name__}, eps {getattr(rule, 'eps', None)}, t = {t}, p = {start}, {backend}"
    within = (np.abs(exact) < 1e36) & (np.abs(beside) < 1e36) & (np.abs(g) < 1e36)
    assert within.sum() > g.size / 2, told
    pairs = [(p, exact), (opt.averaged(), beside)] if hasattr(rule, "averaged") else [(p, exact)]
    for ours, wanted in pairs:
        went, should = ours.astype("f8") - start, wanted - start
        assert np.isfinite(ours[within]).all(), f"{told}: not finite at g = {g[within & ~np.isfinite(ours)]}"
        # of (p - 0.1*z)/0.9 both are numbers of the size that z went
        room = 40 * np.spacing(np.maximum(np.abs(p), start).astype("f4"))
        far = within & ~(np.abs(went - should) <= 0.02 * np.abs(should) + room)
        assert not far.any(), f"{told}: g = {g[far]}: {went[far]}, exact {should[far]}"


@pytest.mark.parametrize("cls", [fo.ScheduleFreeSGD, fo.ScheduleFreeAdamW], ids=lambda c: c.__name__)
@pytest.mark.parametrize("other", ["numpy", "c"])
def test_range_of_schedule_free_rules(cls, other, need):
    need(other)
    for eps in EPS if cls is fo.ScheduleFreeAdamW else EPS[:1]:
        rule = with_eps(cls(lr=0.01), eps)
        g = G[(G == 0) | (np.abs(G) >= (1e-30 if cls is fo.ScheduleFreeSGD else 3e-17))]
        base = fo.SGD(0.01) if cls is fo.ScheduleFreeSGD else fo.RMSProp(0.01, 0.999, eps)
        for t in (1, 1000):
            reference = Base(base, g.size)
            if cls is fo.ScheduleFreeAdamW:  # its v is corrected
                reference = Corrected(g.size, eps)
            look_around(rule, schedule_free, reference, g, 1.0, t, other)


class Corrected:
    def __init__(self, size, eps):
        self.v, self.eps = np.zeros(size), eps

    def step(self, z, g, t):
        self.v = 0.999 * self.v + 0.001 * g * g
        return z - 0.01 * g / (np.sqrt(self.v / (1 - 0.999**t)) + self.eps)


@pytest.mark.parametrize("t0", [1, 1000, 10**9])
@pytest.mark.parametrize("rule, reference", WIDE[:2], ids=["LARS", "LAMB"])
def test_range_of_norms(rule, reference, t0, backend, rng):
    """Arrays whose gradients are of one size each, any eps, any t."""
    form, start = rng.uniform(0.5, 1, 50) * rng.choice([-1, 1], 50), rng.standard_normal(50).astype("f4")
    sizes = SIZES[(SIZES == 0) | ((SIZES > 1e-30) & (SIZES < 2e38))]
    for eps in (0.0, 1e-40, 1e-8, 1.0):
        if eps == 0 and type(rule) is fo.LAMB:
            continue
        params, exact = [start.copy() for _ in sizes], [start.astype("f8") for _ in sizes]
        opt = fo.Optimizer(params, rule._replace(eps=eps), backend=backend)
        opt.t = t0 - 1
        states = [{s: np.zeros(50) for s in rule.slots} for _ in sizes]
        for t in range(t0, t0 + 3):
            gradients = [(size * form).astype("f4") for size in sizes]
            opt.step(gradients)
            for i, g in enumerate(gradients):
                with np.errstate(all="ignore"):
                    exact[i], states[i] = reference(exact[i], g.astype("f8"), states[i], t, eps=eps)
        for size, ours, theirs in zip(sizes, params, exact, strict=True):
            if np.isfinite(theirs).all() and not (0 < size < 3e-17 and type(rule) is fo.LAMB and eps < 1e-12):
                np.testing.assert_allclose(ours, theirs, rtol=0, atol=0.02 * np.abs(theirs - start).max() + 1e-6,
                                           err_msg=f"g of {size}, eps {eps}")  # fmt: skip
            assert np.isfinite(ours).all(), (size, eps)


@pytest.mark.parametrize("p_norm", [1.5, 2.0, np.inf])
def test_range_of_sams_climb(p_norm):
    for size in (1e-45, 1e-40, 1e-20, 1.0, 1e19, 3e38):
        p = np.ones(4, "f4")
        opt = fo.Optimizer(p, fo.SAM(fo.SGD(0.1), rho=0.5, p=p_norm))
        opt.ascend(np.full(4, size, "f4"))
        np.testing.assert_allclose(p, 1 + 0.5 * 4 ** (-1 / p_norm), rtol=1e-6)
        opt.step(np.zeros(4, "f4"))
        assert (p == 1).all()


@pytest.mark.parametrize("state_dtype", ["float32", "bfloat16", "float8"])
@pytest.mark.parametrize("parameter", ["float32", "bfloat16"])
@pytest.mark.parametrize(
    "cls", [fo.Adam, fo.AdamW, fo.AMSGrad, fo.Lion, fo.Momentum], ids=lambda c: c.__name__
)
def test_range_of_state_in_few_bits(cls, parameter, state_dtype, need):
    """Blocks of 256 equal gradients, whose mean step is the exact one: rounding has no bias."""
    need("c")
    kind = pytest.importorskip("ml_dtypes").bfloat16 if parameter == "bfloat16" else np.float32
    sizes = SIZES[((3e-17 if "eps" in cls._fields else 1e-25) <= SIZES) & (SIZES < 1e35)]
    g = np.repeat(sizes, 256).astype(kind)
    exact_g = g.astype("f8")
    for t in (1, 1000):
        for eps in EPS if "eps" in cls._fields else EPS[:1]:
            rule = with_eps(cls(lr=0.125)._replace(**{"weight_decay": 0.0}), eps)
            p = np.zeros(g.size, kind)
            opt, base, exact = (
                fo.Optimizer(p, rule, state_dtype=state_dtype, backend="c"),
                Base(rule, g.size),
                np.zeros(g.size),
            )
            opt.t = t - 1
            for i, sign in enumerate(SIGNS):
                opt.step((sign * g.astype("f4")).astype(kind))
                exact = base.step(exact, sign * exact_g, t + i)
            went, should = (a.astype("f8").reshape(-1, 256).mean(axis=1) for a in (p, exact))
            told = f"{rule}, {state_dtype}, t = {t}"
            assert np.isfinite(p.astype("f4")).all(), told
            np.testing.assert_allclose(went, should, rtol=0.08, err_msg=told)
