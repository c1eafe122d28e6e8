"""Rules wider than one element, rules around others, parameter groups: against naive references and by their meaning."""

from typing import NamedTuple

import naive
import naive_wide
import numpy as np
import pytest

import fastopt as fo
from fastopt import rules
from fastopt.plan import CHUNK
from fastopt.stepping import ascent

OWN = ["numba", "numpy"]  # the engines that have rules of one's own
CASES = [
    (fo.LARS, naive_wide.lars, {"weight_decay": 0.1, "trust": 0.5}),
    (fo.LARS, naive_wide.lars, {"eps": 0.3}),
    (fo.LAMB, naive_wide.lamb, {"lr": 0.1, "weight_decay": 0.1}),
    (fo.PlainAdafactor, naive_wide.plain_adafactor, {"lr": 0.1, "beta2": 0.9, "eps": 1e-3}),
    (fo.Adafactor, naive_wide.adafactor, {"weight_decay": 0.1}),
    (fo.Adafactor, naive_wide.adafactor, {"beta1": 0.9, "threshold": 0.5, "lr": 0.5}),
    (fo.Muon, naive_wide.muon, {"weight_decay": 0.1}),
    (fo.RAdam, naive_wide.radam, {"lr": 0.1, "weight_decay": 0.1}),
    (fo.RAdam, naive_wide.radam, {"lr": 0.1, "beta2": 0.9}),
    (fo.AdEMAMix, naive_wide.ademamix, {"lr": 0.1, "weight_decay": 0.1}),
    (fo.AdEMAMix, naive_wide.ademamix, {"lr": 0.1, "warmup": 8.0, "beta3": 0.999}),
]


@pytest.mark.parametrize(
    "cls, reference, hyper", CASES, ids=[f"{c.__name__}-{i}" for i, (c, *_) in enumerate(CASES)]
)
def test_twenty_steps(cls, reference, hyper, backend, rng):
    if backend == "c" and not rules.is_in_c(cls()):
        pytest.skip("whole matrices are not in C")
    p = rng.standard_normal((6, 4))
    opt, expected = fo.Optimizer(p, cls(**hyper), backend=backend), p.copy()
    state = {slot: a.copy() for slot, a in opt.state.items()}
    for t in range(1, 21):
        g = rng.standard_normal((6, 4)) * 10.0 ** rng.integers(-2, 3)
        opt.step(g)
        expected, state = reference(expected, g, state, t, **hyper)
    np.testing.assert_allclose(p, expected, rtol=1e-9, atol=1e-12)
    for slot, a in opt.state.items():
        np.testing.assert_allclose(a, state[slot], rtol=1e-9, atol=1e-14)


@pytest.mark.parametrize(
    "cls", [c for c in rules.FURTHER if not getattr(c, "whole", False)], ids=lambda c: c.__name__
)
@pytest.mark.parametrize("dtype", ["f4", pytest.param("f8", marks=pytest.mark.long)])
def test_numba_has_numpys_bits(cls, dtype, need, many_threads):
    """Odd sizes, several chunks, clipping, two threads."""
    need("numba")
    results = []
    for backend, threads in (("numpy", 1), ("numba", 1), ("numba", 2)):
        rng = np.random.default_rng(5)
        params = [rng.standard_normal(n).astype(dtype) for n in (0, 1, 33, 2 * CHUNK + 77)]
        opt = fo.Optimizer(params, cls(), backend=backend, threads=threads, clip=5.0)
        for _ in range(3):
            opt.step([rng.standard_normal(p.size).astype(dtype) for p in params])
        results.append(
            [a.tobytes() for a in (*params, *(s for each in opt._states() for s in each.values()))]
        )
    assert results[0] == results[1] == results[2]


def test_factored_state_is_small():
    for rule, numbers in (
        (fo.PlainAdafactor(), 300),
        (fo.Adafactor(), 300),
        (fo.Adafactor(beta1=0.9), 20_300),
    ):
        opt = fo.Optimizer(np.zeros((100, 200)), rule)
        assert sum(a.size for a in opt.state.values()) == numbers
    opt = fo.Optimizer(np.zeros((3, 100, 200), order="F"), fo.Adafactor())
    assert [opt.state[s].shape for s in ("r", "c", "m")] == [(3, 100), (3, 200), (0,)]
    assert fo.Optimizer(np.zeros(50), fo.Adafactor()).state["r"].shape == (50,)


def test_adafactor_of_vectors_and_higher_ranks(rng):
    for shape in ((7,), (2, 3, 4), ()):
        p = rng.standard_normal(shape)
        opt, expected = fo.Optimizer(p, fo.Adafactor()), np.array(p)
        state = {s: a.copy() for s, a in opt.state.items()}
        for t in range(1, 6):
            g = rng.standard_normal(shape)
            opt.step(np.asarray(g))
            expected, state = naive_wide.adafactor(expected, np.asarray(g), state, t)
        np.testing.assert_allclose(p, expected, rtol=1e-10)


@pytest.mark.parametrize("shape", [(0, 3), (3, 0), (0, 3, 2), (2, 0, 3), (0,), (1, 1)])
@pytest.mark.parametrize("rule", [fo.Muon(), fo.Adafactor(), fo.PlainAdafactor(), fo.LARS(), fo.LAMB()])
@pytest.mark.parametrize("engine", ["auto", "numpy"])
def test_arrays_without_elements(engine, rule, shape):
    p, beside = np.ones(shape), np.ones((4, 3))
    alone = beside.copy()
    opt, expected = (fo.Optimizer(a, rule, backend=engine) for a in ([p, beside], alone))
    for _ in range(2):
        opt.step([np.ones(shape), np.ones((4, 3))])
        expected.step(np.ones((4, 3)))
    assert p.shape == shape and np.isfinite(p).all()
    np.testing.assert_array_equal(beside, alone)


@pytest.mark.parametrize("order", ["C", "F"])
def test_whole_rules_keep_the_layout(order, rng):
    a, gradients = rng.standard_normal((5, 3)), rng.standard_normal((3, 5, 3))
    p, q = np.array(a, order=order), a.copy()
    ours, theirs = fo.Optimizer(p, fo.Muon()), fo.Optimizer(q, fo.Muon())
    for g in gradients:
        ours.step(np.array(g, order=order))
        theirs.step(g)
    np.testing.assert_allclose(p, q, rtol=1e-12)


def test_muons_step_is_orthogonal(rng):
    p = np.zeros((30, 12))
    fo.Optimizer(p, fo.Muon(lr=1.0)).step(rng.standard_normal((30, 12)))
    sizes = np.linalg.svd(p / np.sqrt(30 / 12), compute_uv=False)
    assert (sizes > 0.6).all() and (sizes < 1.3).all()


def test_torch_adafactor_and_radam(rng):
    torch = pytest.importorskip("torch", reason="torch is not installed")
    for rule, make in (
        (fo.RAdam(0.1, weight_decay=0.1), lambda x: torch.optim.RAdam(x, lr=0.1, weight_decay=0.1)),
        (fo.Adafactor(0.5), lambda x: torch.optim.Adafactor(x, lr=0.5, eps=(1e-30, 1e-3))),
    ):
        p = rng.standard_normal((5, 4))
        tensor = torch.tensor(p, requires_grad=True)
        opt, theirs = fo.Optimizer(p, rule), make([tensor])
        for _ in range(20):
            g = rng.standard_normal((5, 4))
            tensor.grad = torch.tensor(g)
            theirs.step()
            opt.step(g)
        np.testing.assert_allclose(p, tensor.detach().numpy(), rtol=1e-9)


# ---------------------------------------------------------------- around others


@pytest.mark.parametrize(
    "base", [fo.SGD(0.1), fo.Adam(0.1), fo.Momentum(0.1)], ids=lambda r: type(r).__name__
)
def test_averaged(base, backend, rng):
    """The base's bits, and beside them the average of its iterates."""
    gradients, start = rng.standard_normal((12, 5)), rng.standard_normal(5)
    p, iterates = start.copy(), []
    plain = fo.Optimizer(p, base, backend=backend)
    for g in gradients:
        plain.step(g)
        iterates.append(p.copy())
    for decay, begin in ((1.0, 0), (1.0, 4), (0.7, 0), (0.7, 3)):
        q = start.copy()
        opt = fo.Optimizer(q, fo.Averaged(base, decay, begin), backend=backend)
        for g in gradients:
            opt.step(g)
        assert (q == p).all()
        if decay == 1:
            expected = np.mean(iterates[begin:], axis=0)
        else:
            expected = iterates[begin]
            for n, x in enumerate(iterates[begin:], 1):
                share = max(1 - decay, 1 / n)
                expected = (1 - share) * expected + share * x
        np.testing.assert_allclose(opt.averaged(), expected, rtol=1e-12)
        assert opt.averaged() is not opt.state["average"]


def test_lookahead(backend, rng):
    fast = rng.standard_normal(4)
    slow, p, state = fast.copy(), fast.copy(), naive.initial("Adam", 4)
    opt = fo.Optimizer(p, fo.Lookahead(fo.Adam(0.1), every=3, alpha=0.4), backend=backend)
    for t in range(1, 11):
        g = rng.standard_normal(4)
        fast, state = naive.adam(fast, g, state, t, lr=0.1)
        if t % 3 == 0:
            slow = slow + 0.4 * (fast - slow)
            fast = slow.copy()
        opt.step(g)
        np.testing.assert_allclose(p, fast, rtol=1e-12)


@pytest.mark.parametrize("momentum", [0.9, 0.3, 1.0])
@pytest.mark.parametrize("base", ["SGD", "Adam"])
def test_schedule_free_around_a_rule(base, momentum, backend, rng):
    z, state = rng.standard_normal(4), naive.initial("Adam", 4)
    p, x = z.copy(), 0
    opt = fo.Optimizer(p, fo.ScheduleFree(getattr(fo, base)(0.1), momentum), backend=backend)
    for t in range(1, 30):
        g = rng.standard_normal(4)
        if base == "SGD":
            z = z - 0.1 * g
        else:
            z, state = naive.adam(z, g, state, t, lr=0.1)
        x = x + (z - x) / t
        opt.step(g)
        np.testing.assert_allclose(p, (1 - momentum) * z + momentum * x, rtol=1e-12)
        np.testing.assert_allclose(opt.averaged(), x, rtol=1e-10)


def test_schedule_free_is_schedule_free_sgd(rng):
    p, q = np.ones(5), np.ones(5)
    ours, known = fo.Optimizer(p, fo.ScheduleFree(fo.SGD(0.3))), fo.Optimizer(q, fo.ScheduleFreeSGD(0.3))
    for _ in range(20):
        g = rng.standard_normal(5)
        ours.step(g)
        known.step(g)
        np.testing.assert_allclose(p, q, rtol=1e-12)
    np.testing.assert_allclose(ours.averaged(), known.averaged(), rtol=1e-11)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: fo.ScheduleFree(fo.SGD(), momentum=0), "0 < momentum <= 1"),
        (lambda: fo.ScheduleFree(fo.ScheduleFreeSGD()), "without averages of its own"),
        (lambda: fo.ScheduleFree(fo.SAM(fo.SGD())), "write SAM"),
    ],
)
def test_schedule_free_refuses(make, words):
    with pytest.raises((TypeError, ValueError), match=words):
        make()


def test_wrappers_take_schedules_and_own_rules(numba):
    class Mine(NamedTuple):
        lr: float = 1.0
        slots = ()

        @staticmethod
        def coefficients(h, t):
            return (h.lr,)

        @staticmethod
        def update(h, k, p, g, s):
            return p - k[0] * g, ()

    p = np.zeros(3, "f4")
    rule = fo.Lookahead(fo.Averaged(Mine()), every=100)
    opt = fo.Optimizer(p, rule, backend="numba", schedules={"lr": fo.schedules.Step(1, 0.5)})
    for _ in range(3):
        opt.step(np.ones(3, "f4"))
    assert (p == -1.75).all()
    np.testing.assert_allclose(opt.state["average"], (-1 - 1.5 - 1.75) / 3, rtol=1e-6)


@pytest.mark.parametrize("warmup", [0, 4])
def test_schedule_free(warmup, backend, rng):
    start = rng.standard_normal(5)
    v = np.zeros(5)

    def adam(g, t):
        v[...] = 0.99 * v + 0.01 * g**2
        return g / (np.sqrt(v / (1 - 0.99**t)) + 1e-8)

    for rule, direction, momentum in (
        (fo.ScheduleFreeSGD(0.3, 0.8, 0.1, warmup), lambda g, t: g, 0.8),
        (fo.ScheduleFreeAdamW(0.3, 0.8, 0.99, 1e-8, 0.1, warmup), adam, 0.8),
    ):
        p, theirs = start.copy(), naive_wide.ScheduleFree(start, direction, 0.3, momentum, 0.1, warmup)
        opt = fo.Optimizer(p, rule, backend=backend)
        for t in range(1, 16):
            g = np.cos(t * np.arange(5.0))
            opt.step(g)
            theirs.step(g, t)
            np.testing.assert_allclose(p, theirs.y(), rtol=1e-9, atol=1e-12)
            np.testing.assert_allclose(opt.averaged(), theirs.x, rtol=1e-9, atol=1e-12)


def test_averaged_is_refused_where_there_is_none():
    with pytest.raises(TypeError, match=r"Adam keeps no average: use fo.Averaged\(Adam"):
        fo.Optimizer(np.zeros(2), fo.Adam()).averaged()


# ------------------------------------------------------------------------- SAM


@pytest.mark.parametrize("p_norm", [1.5, 2.0, 4.0, np.inf])
@pytest.mark.parametrize("scale", [1e-200, 1.0, 1e200])
def test_sam_climbs_and_comes_back(p_norm, scale, rng):
    """The climb is the point of the ball of radius rho (in the p-norm) where the linear model is highest."""
    params = [rng.standard_normal(3), rng.standard_normal((2, 2))]
    before = [p.copy() for p in params]
    opt = fo.Optimizer(params, fo.SAM(fo.SGD(0.1), rho=0.3, p=p_norm))
    grads = [scale * rng.standard_normal(p.shape) for p in params]
    opt.ascend(grads)
    moved = np.concatenate([(p - b).ravel() for p, b in zip(params, before, strict=True)])
    g = np.concatenate([g.ravel() / scale for g in grads])
    assert np.linalg.norm(moved, p_norm) == pytest.approx(0.3)
    q = 1.0 if p_norm == np.inf else p_norm / (p_norm - 1)
    assert moved @ g == pytest.approx(0.3 * np.linalg.norm(g, q))  # Hoelder's inequality with equality
    opt.step([np.ones_like(p) for p in params])
    for p, b in zip(params, before, strict=True):
        np.testing.assert_array_equal(p, b - 0.1)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("scale", [1e-30, 1.0, 1e30])
def test_sam_climbs_to_the_same_bits_on_every_engine(dtype, scale, need, many_threads):
    """And to the point that the formula gives in double precision, wherever the arrays and the gradient lie."""

    def climbed(backend, threads):
        rng = np.random.default_rng(5)
        params = [
            rng.standard_normal((3, 40000)),
            np.asfortranarray(rng.standard_normal((40, 7))),
            rng.standard_normal((6, 8)),
        ]
        params = [p.astype(dtype) for p in params]
        params[2] = params[2][:, ::2]
        grads = [(scale * rng.standard_normal(p.shape)).astype(dtype) for p in params]
        grads[0] = grads[0][::-1]
        wanted = [p.astype(np.float64) for p in params]
        norm = np.sqrt(sum(np.sum(np.square(g.astype(np.float64))) for g in grads))
        wanted = [w - 0.3 * g.astype(np.float64) / norm for w, g in zip(wanted, grads, strict=True)]
        opt = fo.Optimizer(
            params, fo.SAM(fo.SGD(0.1), rho=0.3), backend=backend, threads=threads, maximize=True
        )
        for _ in range(2):
            opt.ascend(grads)  # the second one from where the first began
        for p, w in zip(params, wanted, strict=True):
            np.testing.assert_allclose(p, w, rtol=0, atol=4 * np.finfo(dtype).eps)
        return [p.tobytes() for p in params]

    found = climbed("numpy", 1)
    for backend, threads in (("c", 1), ("c", 3), ("numba", 3)):
        need(backend)
        assert climbed(backend, threads) == found


def test_sam_after_an_interrupt_stands_where_it_climbs_to(monkeypatch, rng):
    p = rng.standard_normal(50)
    q, before, g = p.copy(), p.copy(), rng.standard_normal(50)
    fo.Optimizer(q, fo.SAM(fo.SGD(0.1))).ascend(g)
    opt, real, calls = fo.Optimizer(p, fo.SAM(fo.SGD(0.1))), ascent.share, []

    def interrupted(function, parts, threads):
        real(function, parts, threads)
        calls.append(1)
        if len(calls) == 1:
            raise KeyboardInterrupt

    monkeypatch.setattr(ascent, "share", interrupted)
    with pytest.raises(KeyboardInterrupt):
        opt.ascend(g)
    assert p.tobytes() == q.tobytes() and len(calls) == 2
    opt.step(np.zeros(50))
    assert p.tobytes() == before.tobytes()


def test_sam_without_a_radius_is_the_base(rng):
    p = rng.standard_normal(6)
    q = p.copy()
    sam, base = fo.Optimizer(p, fo.SAM(fo.Adam(0.1), rho=0.0)), fo.Optimizer(q, fo.Adam(0.1))
    for _ in range(5):
        sam.step_closure(lambda: np.sin(p))
        base.step(np.sin(q))
    assert p.tobytes() == q.tobytes()


def test_sam_of_a_zero_gradient_and_adaptive(rng):
    p = rng.standard_normal(4)
    before = p.copy()
    opt = fo.Optimizer(p, fo.SAM(fo.SGD(0.1)))
    opt.ascend(np.zeros(4))
    assert (p == before).all()
    asam = fo.Optimizer(p, fo.SAM(fo.SGD(0.1), rho=0.5, adaptive=True, eta=0.0))
    g = rng.standard_normal(4)
    asam.ascend(g)
    size = np.abs(before)
    np.testing.assert_allclose(p - before, 0.5 * size**2 * g / np.linalg.norm(size * g))
    with pytest.raises(FloatingPointError, match="grads"):
        asam.step(np.full(4, np.nan))
    np.testing.assert_array_equal(p, before)  # a refused step is one from where the climb began


def test_sam_closure_and_refusals():
    p = np.array([1.0, 2.0])
    opt = fo.Optimizer({"w": p}, fo.SAM(fo.SGD(0.1), rho=0.1))
    loss = opt.step_closure(lambda: (float(p @ p), {"w": 2 * p}))
    g = 2 * (1 + 0.1 / np.sqrt(5)) * np.array([1.0, 2.0])
    assert loss == 5
    np.testing.assert_allclose(p, [1, 2] - 0.1 * g)
    with pytest.raises(TypeError, match="SAM"):
        fo.Optimizer(np.zeros(2), fo.SGD()).ascend(np.ones(2))
    for wrong in ({"rho": -1}, {"p": 1.0}, {"p": 0.5}, {"rho": np.nan}, {"adaptive": True, "p": 3.0}):
        with pytest.raises(ValueError, match="SAM"):
            fo.Optimizer(np.zeros(2), fo.SAM(fo.SGD(), **wrong))


# ---------------------------------------------------------------------- groups


def test_groups(backend):
    params = {"w": np.ones(3, "f4"), "b": np.ones(2, "f4"), "head.bias": np.ones(2), "frozen": np.ones(2)}
    groups = [
        (["b", "*.bias"], {"weight_decay": 0.0}),
        ("b", {"lr": 0.5}),
        (lambda n, a: n == "frozen", "frozen"),
    ]
    opt = fo.Optimizer(params, fo.SGD(0.1, weight_decay=1.0), groups=groups, backend=backend)
    zero = {k: np.zeros_like(p) for k, p in params.items()} | {"frozen": None}
    opt.step(zero)
    np.testing.assert_allclose(params["w"], 0.9, rtol=1e-6)
    assert (params["b"] == 1).all() and (params["head.bias"] == 1).all()
    opt.step({k: np.ones_like(p) for k, p in params.items()} | {"frozen": None})
    assert (params["b"] == 0.5).all() and (params["frozen"] == 1).all()
    np.testing.assert_allclose(params["head.bias"], 0.9)
    assert opt.t == 2
    opt.lr = 1.0  # of those that have none of their own
    opt.step({k: np.ones_like(p) for k, p in params.items()})
    assert (params["b"] == 0).all()
    np.testing.assert_allclose(params["head.bias"], -0.1, rtol=1e-6)


def test_groups_with_other_rules_have_one_norm(backend):
    params = [np.zeros((2, 2)), np.zeros(2), np.zeros(2, "f4")]
    opt = fo.Optimizer(params, fo.SGD(1.0), groups=[(1, fo.Momentum(1.0))], clip=1.0, backend=backend)
    opt.step([np.ones((2, 2)), np.full(2, 2.0), np.full(2, 3.0, "f4")])
    norm = np.sqrt(4 + 8 + 18)
    for p, g in zip(params, (1, 2, 3), strict=True):
        np.testing.assert_allclose(p, -g / norm, rtol=1e-6)
    assert set(opt.state[1]) == {"v"} and not opt.state[0]
    saved = opt.state_dict()
    opt.load_state_dict(saved)


def test_groups_with_schedules(backend):
    params = [np.zeros(1), np.zeros(1)]
    schedules = {"lr": fo.schedules.Step(1, 0.5)}
    opt = fo.Optimizer(params, fo.SGD(1.0), groups=[(1, {"lr": 10.0})], schedules=schedules, backend=backend)
    for _ in range(3):
        opt.step([np.ones(1), np.ones(1)])
    assert params[0] == -1.75 and params[1] == -17.5


@pytest.mark.parametrize(
    "groups, error, message",
    [
        ({"b": {"lr": 1}}, TypeError, "list of"),
        ([("b",)], TypeError, r"groups\[0\] must be a pair"),
        ([("w", {}), ("c", {"lr": 1})], ValueError, r"groups\[1\] selects no array"),
        ([("w", {"rate": 1})], ValueError, r"groups\[0\]: SGD has no 'rate'"),
        ([("w", {"lr": -1})], ValueError, "lr"),
        ([("w", 0.1)], TypeError, "dict of hyperparameters"),
        ([("*", "frozen")], ValueError, "all arrays are frozen"),
        ([(lambda n, a: None, {})], TypeError, "True or False"),
    ],
)
def test_wrong_groups(groups, error, message):
    with pytest.raises(error, match=message):
        fo.Optimizer({"w": np.zeros(2), "b": np.zeros(2)}, fo.SGD(), groups=groups)


# ------------------------------------------------------------ own rules, wider


class Normed(NamedTuple):
    """Gradient descent with the gradient of each array at length 1."""

    lr: float = 0.1
    slots = ()
    measures, numbers = 1, 1

    @staticmethod
    def coefficients(h, t):
        return (h.lr,)

    @staticmethod
    def measure(h, k, p, g, s):
        return (g,)

    @staticmethod
    def from_norms(h, k, norms, size):
        return (1 / norms[0] if norms[0] > 0 else 0.0,)

    @staticmethod
    def update(h, k, p, g, s):
        return p - k[0] * k[1] * g, ()


@pytest.mark.parametrize("backend", OWN)
def test_an_own_rule_with_norms(backend, need, rng):
    need(backend)
    params = [np.zeros(3, "f4"), np.zeros(2 * CHUNK, "f4")]
    g = [rng.standard_normal(p.size).astype("f4") * 1e25 for p in params]  # squares beyond float32
    fo.Optimizer(params, Normed(1.0), backend=backend).step(g)
    for p in params:
        assert np.linalg.norm(p.astype("f8")) == pytest.approx(1, rel=1e-5)


def test_broken_wide_rules():
    for changes, message in (
        ({"measure": lambda h, k, p, g, s: (np.sum(g),)}, "measure must return values of the elements"),
        ({"measure": lambda h, k, p, g, s: g}, "measure must return a tuple of 1"),
        ({"from_norms": lambda h, k, norms, size: norms[0]}, "from_norms must return a tuple of 1"),
        ({"measure": lambda h, k, p, g, s: (g * h.lr,)}, "reads h.lr"),
    ):
        members = {name: staticmethod(f) for name, f in changes.items()}
        cls = type("Mine", (Normed,), members)
        with pytest.raises(TypeError, match=f"Mine.*{message}"):
            fo.Optimizer(np.zeros(3), cls(0.1))


def test_check_rule_takes_wide_rules(numba):
    for rule in (fo.LARS(), fo.PlainAdafactor()):
        assert fo.check_rule(rule, steps=2)


@pytest.mark.parametrize("rule", [fo.ScheduleFreeSGD(momentum=0.0), fo.ScheduleFreeAdamW(beta1=0.0)])
def test_schedule_free_without_interpolation_is_refused(rule):
    """y is z then, and the average could not be told from them."""
    p = np.ones(3)
    with pytest.raises(ValueError, match=r"0 < (momentum|beta1) is needed"):
        fo.Optimizer(p, rule)
    with pytest.raises(ValueError, match="is needed"):
        fo.Optimizer({"a": p, "b": p.copy()}, fo.SGD(), groups=[("b", rule)])
