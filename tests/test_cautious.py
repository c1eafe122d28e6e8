"""Cautious against the naive rules, and by its meaning."""

import naive_rules
import naive_wrappers
import numpy as np
import pytest

import fastopt as fo

CASES = [
    (fo.Momentum(0.1, weight_decay=0.1), naive_rules.CautiousMomentum(lr=0.1, weight_decay=0.1)),
    (fo.AdamW(0.1, weight_decay=0.1), naive_rules.CautiousAdam(lr=0.1, weight_decay=0.1)),
    (fo.Lion(0.1, weight_decay=0.1), naive_rules.CautiousLion(lr=0.1, weight_decay=0.1)),
]


@pytest.mark.parametrize("base, reference", CASES, ids=[type(b).__name__ for b, _ in CASES])
def test_twenty_steps(base, reference, backend, rng):
    reference = type(reference)(**{f: getattr(reference, f) for f in reference.defaults})
    p = rng.standard_normal((7, 3))
    opt, expected = fo.Optimizer(p, fo.Cautious(base), backend=backend), p.copy()
    for _ in range(20):
        g = rng.standard_normal(p.shape)
        opt.step(g)
        expected = reference.step(expected, g)
    np.testing.assert_allclose(p, expected, rtol=1e-11, atol=1e-12)


@pytest.mark.parametrize("base, reference", CASES, ids=[type(b).__name__ for b, _ in CASES])
def test_averages_and_lookahead_around_it(base, reference, backend, rng):
    fresh = lambda: type(reference)(**{f: getattr(reference, f) for f in reference.defaults})  # noqa: E731
    pairs = (
        (fo.Averaged(fo.Cautious(base), begin=5), naive_wrappers.Averaged(fresh(), naive_wrappers.PolyakAverage(start=5))),
        (fo.Lookahead(fo.Cautious(base), 3, 0.4), naive_wrappers.Lookahead(fresh(), k=3, alpha=0.4)),
    )  # fmt: skip
    for rule, theirs in pairs:
        p = rng.standard_normal((7, 3))
        opt, expected = fo.Optimizer(p, rule, backend=backend), p.copy()
        for _ in range(20):
            g = rng.standard_normal(p.shape)
            opt.step(g)
            expected = theirs.step(expected, g)
        np.testing.assert_allclose(p, expected, rtol=1e-11, atol=1e-12)
        if hasattr(theirs, "averaged"):
            np.testing.assert_allclose(opt.averaged(), theirs.averaged(), rtol=1e-11, atol=1e-12)


@pytest.mark.parametrize("base, reference", CASES, ids=[type(b).__name__ for b, _ in CASES])
def test_schedule_free_around_it(base, reference, backend, rng):
    """Its steps, and the count of what agrees, are at z; the gradient is at y."""
    reference = type(reference)(**{f: getattr(reference, f) for f in reference.defaults})
    y = rng.standard_normal((7, 3))
    opt, x, z = fo.Optimizer(y, fo.ScheduleFree(fo.Cautious(base), 0.7), backend=backend), y.copy(), y.copy()
    for t in range(1, 21):
        g = rng.standard_normal(y.shape)
        opt.step(g)
        z = reference.step(z, g)
        x = x + (z - x) / t
        np.testing.assert_allclose(y, 0.3 * z + 0.7 * x, rtol=1e-10, atol=1e-12)
    np.testing.assert_allclose(opt.averaged(), x, rtol=1e-10, atol=1e-12)


def test_what_is_around_it_goes_into_a_file(tmp_path, rng):
    p, g = rng.standard_normal(40), rng.standard_normal((6, 40))
    opt = fo.Optimizer(p, fo.Averaged(fo.Cautious(fo.AdamW(0.1)), 0.9))
    for now in g[:3]:
        opt.step(now)
    opt.save(tmp_path / "file")
    again = fo.Optimizer.load(tmp_path / "file")
    for now in g[3:]:
        opt.step(now)
        again.step(now)
    assert again.rule == opt.rule and again.averaged().tobytes() == opt.averaged().tobytes()


LONG = [
    pytest.param(b, marks=pytest.mark.long)
    for b in (fo.Nesterov(), fo.Adam(), fo.RMSPropMomentum(), fo.AMSGradW())
]


@pytest.mark.parametrize("base", [fo.NAdam(), *LONG])  # each is a kernel to compile
def test_numba_has_numpys_bits_and_no_step_climbs(base, need, rng):
    need("numba")
    start, gradients = rng.standard_normal(70_001).astype("f4"), rng.standard_normal((5, 70_001)).astype("f4")
    found = []
    for backend in ("numpy", "numba"):
        p = start.copy()
        opt = fo.Optimizer(p, fo.Cautious(base._replace(weight_decay=0.0)), backend=backend)
        for g in gradients:
            before = p.copy()
            opt.step(g)
            assert ((p - before) * g <= 0).all()
            assert (p == before).any() or opt.t == 1
        found.append(p.tobytes())
    assert found[0] == found[1]


def test_zero_gradient_and_state_follow_the_base():
    """All masked: nothing moves but the decay; the moments are the base's."""
    p, q = np.ones(3), np.ones(3)
    ours, base = fo.Optimizer(p, fo.Cautious(fo.Adam())), fo.Optimizer(q, fo.Adam())
    for g in (1.0, 0.0, -3.0):
        before = p.copy()
        ours.step(np.full(3, g))
        base.step(np.full(3, g))
        assert (p == before).all() == (g == 0)
    for slot in base.state:
        np.testing.assert_array_equal(ours.state[slot], base.state[slot])


@pytest.mark.parametrize("base", [fo.Momentum(0.1, weight_decay=0.1), fo.AdamW(0.1), fo.Lion(0.1)])
@pytest.mark.parametrize("odd", [np.inf, -np.inf, np.nan])
def test_a_parameter_that_is_no_number_leaves_the_others_to_go_on(base, odd, backend, rng):
    """As if there were a 0 in its place that has no gradient: neither agrees with anything."""
    p, gradients = rng.standard_normal(300).astype("f4"), rng.standard_normal((4, 300)).astype("f4")
    p[7], q, others = odd, p.copy(), np.arange(300) != 7
    q[7] = 0
    ours, plain = (fo.Optimizer(array, fo.Cautious(base), backend=backend) for array in (p, q))
    start = q.copy()
    for g in gradients:
        ours.step(g)
        plain.step(np.where(others, g, np.float32(0)))
    assert p[others].tobytes() == q[others].tobytes()
    assert not np.isfinite(p[7]) and (q != start)[others].mean() > 0.5


def test_what_it_does_not_take():
    class Mine(fo.SGD):
        pass

    Mine.__module__ = "mine"
    with pytest.raises(TypeError, match="Cautious takes rules that go element by element, not LAMB"):
        fo.Cautious(fo.LAMB())
    with pytest.raises(TypeError, match="not AveragedSGD: write it inside"):
        fo.Cautious(fo.Averaged(fo.SGD()))
    with pytest.raises(ValueError, match="where its weight decay enters is not known"):
        fo.Cautious(Mine(weight_decay=0.1))
    with pytest.raises(TypeError, match=r"write Cautious\(Adam\(...\)\)"):
        fo.Cautious(fo.Adam)
