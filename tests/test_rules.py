"""The rules against the naive reference and torch, and the lectures' own figures."""

import itertools

import naive
import numpy as np
import pytest

import fastopt as fo
from fastopt.rules import RULES

# Values to cross; a field that is not named here stays at its default.
GRID = {
    "lr": (0.3,),
    "weight_decay": (0.0, 0.1),
    "eps": (1e-8, 0.5),
    "beta1": (0.0, 0.9),
    "beta2": (0.5, 0.999),
    "momentum": (0.0, 0.9, 1.0),
    "dampening": (0.0, 0.9, 1.0),
    "decay": (0.0, 0.95),
    "rho": (0.5, 0.95),
    "bias_correction": (True, False),
    "momentum_decay": (0.0, 4e-3, 1.0),
    "initial_accumulator_value": (0.0, 0.1),
    "undamped_start": (False, True),
    "beta3": (0.99,),
    "alpha": (0.75, 5.0),
    "warmup": (0.0, 8.0),
    "lambd": (1e-4, 0.1),
    "t0": (3.0, 1e6),
    "etaminus": (0.5,),
    "etaplus": (1.2,),
    "step_min": (1e-6, 0.2),
    "step_max": (0.4, 50.0),
}


def grid(cls):
    """Every combination of the hyperparameters of a rule, as dicts."""
    fields = [f for f in cls._fields if f in GRID]
    assert set(cls._fields) == set(fields), "a hyperparameter that the tests do not know"
    return [dict(zip(fields, v, strict=True)) for v in itertools.product(*(GRID[f] for f in fields))]


def reference(cls, p, g, state, t, hyper):
    function, slots = naive.RULES[cls.__name__]
    assert slots == cls.slots
    return function(p, g, state, t, **hyper)


def random_state(cls, size, rng):
    """Slots as a run could have left them: second moments at least the squares of the first."""
    m = rng.standard_normal(size)
    means = {"m": m, "n": 0.01 * m}
    return {slot: means.get(slot, m**2 + rng.random(size) + 0.1) for slot in cls.slots}


def assert_close(actual, expected):
    np.testing.assert_allclose(actual, expected, rtol=1e-12, atol=1e-13)


def per_rule(f):
    return pytest.mark.parametrize("cls", RULES, ids=lambda c: c.__name__)(f)


def test_every_rule_has_a_reference():
    assert {c.__name__ for c in RULES} == set(naive.RULES)
    assert all(hasattr(fo, c.__name__) for c in RULES)


@per_rule
@pytest.mark.parametrize("t", [1, 2, 1000])
def test_one_step(cls, t, rng):
    for hyper, zero in itertools.product(grid(cls), (False, True)):
        p, g = rng.standard_normal((2, 5))
        g *= not zero
        state = naive.initial(cls.__name__, 5, **hyper) if t == 1 else random_state(cls, 5, rng)
        opt = fo.Optimizer(p.copy(), cls(**hyper))
        if t > 1:
            opt.t = t - 1
            for slot in cls.slots:
                opt.state[slot][...] = state[slot]
        mine = opt._params.arrays[0]
        opt.step(g)
        with np.errstate(all="ignore"):
            expected, slots = reference(cls, p, g, state, t, hyper)
        assert_close(mine, expected)
        for slot in cls.slots:
            assert_close(opt.state[slot], slots[slot])


@per_rule
def test_twenty_steps(cls, rng, backend):
    for hyper in grid(cls)[:: 1 if backend == "numpy" else 5]:
        p = rng.standard_normal(7)
        theirs, state = p.copy(), naive.initial(cls.__name__, 7, **hyper)
        opt = fo.Optimizer(p, cls(**hyper), backend=backend)
        for t in range(1, 21):
            g = rng.standard_normal(7)
            opt.step(g)
            theirs, state = reference(cls, theirs, g, state, t, hyper)
        assert_close(p, theirs)
        for slot in cls.slots:
            assert_close(opt.state[slot], state[slot])


@per_rule
def test_float32_follows_float64(cls, rng):
    p = rng.standard_normal(50)
    narrow = p.astype("f4")
    wide, single = fo.Optimizer(p, cls()), fo.Optimizer(narrow, cls())
    for _ in range(20):
        g = rng.standard_normal(50)
        wide.step(g)
        single.step(g.astype("f4"))
    np.testing.assert_allclose(narrow, p, rtol=1e-4, atol=1e-5)


TORCH = [
    (fo.SGD(0.1, weight_decay=0.1), "SGD", {}),
    (fo.Momentum(0.1, weight_decay=0.1), "SGD", {"momentum": 0.9}),
    (fo.Nesterov(0.1, weight_decay=0.1), "SGD", {"momentum": 0.9, "nesterov": True}),
    (fo.AdaGrad(0.1, 0.2, weight_decay=0.1), "Adagrad", {"initial_accumulator_value": 0.2}),
    (fo.RMSProp(0.1, weight_decay=0.1), "RMSprop", {"alpha": 0.9}),
    (fo.CenteredRMSProp(0.1, weight_decay=0.1), "RMSprop", {"alpha": 0.9, "centered": True}),
    (fo.Adam(0.1, weight_decay=0.1), "Adam", {}),
    (fo.AdamW(0.1, weight_decay=0.1), "AdamW", {}),
    (fo.AMSGrad(0.1, weight_decay=0.1), "Adam", {"amsgrad": True}),
    (fo.AdaDelta(0.9, weight_decay=0.1), "Adadelta", {"rho": 0.95}),
    (fo.Adamax(0.1, weight_decay=0.1), "Adamax", {}),
    (fo.NAdam(0.1, weight_decay=0.1), "NAdam", {}),
    (
        fo.Momentum(0.1, dampening=0.5, undamped_start=True, weight_decay=0.1),
        "SGD",
        {"momentum": 0.9, "dampening": 0.5},
    ),
    (fo.RMSPropMomentum(0.1, weight_decay=0.1), "RMSprop", {"alpha": 0.9, "momentum": 0.9}),
    (
        fo.CenteredRMSPropMomentum(0.1, weight_decay=0.1),
        "RMSprop",
        {"alpha": 0.9, "momentum": 0.9, "centered": True},
    ),
    (fo.AMSGradW(0.1, weight_decay=0.1), "AdamW", {"amsgrad": True}),
    (fo.NAdamW(0.1, weight_decay=0.1), "NAdam", {"decoupled_weight_decay": True}),
    (fo.RAdam(0.1, weight_decay=0.1), "RAdam", {}),
    (fo.RAdamW(0.1, weight_decay=0.1), "RAdam", {"decoupled_weight_decay": True}),
    (fo.Rprop(0.1), "Rprop", {}),
    (fo.ASGD(0.1, t0=5, weight_decay=0.1), "ASGD", {"t0": 5}),
]  # ClassicalMomentum, Lion, SGDW, MomentumW and AdEMAMix have no counterpart in torch


@pytest.mark.parametrize("rule, name, options", TORCH, ids=[type(r).__name__ for r, *_ in TORCH])
def test_torch(rule, name, options, rng):
    torch = pytest.importorskip("torch", reason="torch is not installed")
    p = rng.standard_normal(9)
    tensor = torch.tensor(p, requires_grad=True)
    default = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)  # torch keeps NAdam's product of mu in this dtype
    try:
        options = {"lr": rule.lr, **options}
        if "weight_decay" in rule._fields:
            options["weight_decay"] = rule.weight_decay
        theirs, mine = getattr(torch.optim, name)([tensor], **options), fo.Optimizer(p, rule)
        for _ in range(20):
            g = rng.standard_normal(9)
            tensor.grad = torch.tensor(g)
            theirs.step()
            mine.step(g)
    finally:
        torch.set_default_dtype(default)
    np.testing.assert_allclose(p, tensor.detach().numpy(), rtol=1e-11, atol=1e-12)


# ------------------------------------------------------------- the lectures' figures


def descend(lr, steps):
    """Distances to the minimum (1, 3) of (x+2y-7)^2 + (2x+y-5)^2, along (1, 1) and (1, -1).

    These are the axes of the bowl, with curvature 18 and 2: a step multiplies the first by
    1 - 18 lr, the second by 1 - 2 lr.
    """
    p = np.array([-5.0, 5.0])
    opt, path = fo.Optimizer(p, fo.SGD(lr)), []
    for _ in range(steps):
        a, b = p[0] + 2 * p[1] - 7, 2 * p[0] + p[1] - 5
        opt.step(np.array([2 * a + 4 * b, 4 * a + 2 * b]))
        x, y = p - (1, 3)
        path.append(((x + y) / np.sqrt(2), (x - y) / np.sqrt(2)))
    return np.array(path)


def test_learning_rates_of_the_lectures():
    start = np.hypot(6, 2)
    distance = {lr: np.hypot(*descend(lr, 50)[-1]) for lr in (0.01, 0.10, 0.11, 0.12)}
    assert 0.2 * start < distance[0.01] < start  # falls short: still far after 50 steps
    assert distance[0.10] < 1e-4 * start
    assert distance[0.12] > 100 * start
    steep = descend(0.11, 50)[:, 0]  # jumps over the valley at every step, hardly coming nearer
    assert (steep[1:] * steep[:-1] < 0).all()
    assert 0.3 < steep[-1] / steep[1] < 0.5


@pytest.mark.parametrize("momentum", [0.0, 0.5, 0.9, 0.99])
def test_nesterov_is_the_look_ahead_form(momentum, rng):
    root = rng.standard_normal((4, 4))
    A, b, p = root @ root.T, rng.standard_normal(4), rng.standard_normal(4)
    points = naive.nesterov_lookahead(lambda x: A @ x - b, p, 0.02, momentum, 60)
    opt = fo.Optimizer(p, fo.Nesterov(0.02, momentum))
    for point in points:
        opt.step(A @ p - b)
        np.testing.assert_allclose(p, point, rtol=1e-10, atol=1e-12)


def momentum_runs(schedules, rng):
    p, q = np.ones(3), np.ones(3)
    a = fo.Optimizer(p, fo.Momentum(0.1), schedules=schedules)
    b = fo.Optimizer(q, fo.ClassicalMomentum(0.1), schedules=schedules)
    for _ in range(30):
        g = rng.standard_normal(3)
        a.step(g)
        b.step(g)
    return p, q


def test_momentum_forms_agree_at_constant_lr_only(rng):
    np.testing.assert_allclose(*momentum_runs(None, rng), rtol=1e-12)
    p, q = momentum_runs({"lr": fo.schedules.Step(every=10, drop=0.5)}, rng)
    assert not np.isclose(p, q, rtol=1e-3).any()


def test_dampened_momentum_is_the_average_of_gradients(rng):
    p, v = np.zeros(3), np.zeros(3)
    opt = fo.Optimizer(p, fo.Momentum(1.0, momentum=0.9, dampening=0.9))
    for _ in range(30):
        g = rng.standard_normal(3)
        opt.step(g)
        v = 0.9 * v + 0.1 * g
    np.testing.assert_allclose(opt.state["v"], v, rtol=1e-12)
