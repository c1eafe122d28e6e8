"""The naive rules of naive_rules.py and naive_matrix_rules.py, against torch.optim and against formulas."""

import math
from copy import deepcopy

import naive
import naive_matrix_rules as matrix
import naive_rules as rules
import numpy as np
import pytest
from naive_cases import SHAPE, STEPS, float64_torch, gradient, run, run_torch, same, start


@pytest.fixture
def torch():
    yield from float64_torch()


TORCH = [
    (rules.SGD(lr=0.02), "SGD", dict(lr=0.02)),
    (
        rules.SGD(lr=0.02, momentum=0.9, dampening=0.3, weight_decay=0.1),
        "SGD",
        dict(lr=0.02, momentum=0.9, dampening=0.3, weight_decay=0.1),
    ),
    (
        rules.SGD(lr=0.01, momentum=0.8, nesterov=True, weight_decay=0.1),
        "SGD",
        dict(lr=0.01, momentum=0.8, nesterov=True, weight_decay=0.1),
    ),
    (rules.RMSProp(), "RMSprop", {}),
    (
        rules.RMSProp(momentum=0.9, weight_decay=0.1, lr=0.003, decay=0.9),
        "RMSprop",
        dict(momentum=0.9, weight_decay=0.1, lr=0.003, alpha=0.9),
    ),
    (rules.AMSGrad(), "AdamW", dict(amsgrad=True)),
    (
        rules.AMSGrad(lr=0.03, beta2=0.9, weight_decay=0.2, eps=1e-3),
        "AdamW",
        dict(lr=0.03, betas=(0.9, 0.9), weight_decay=0.2, eps=1e-3, amsgrad=True),
    ),
    (
        rules.AMSGrad(lr=0.03, weight_decay=0.2, decoupled=False),
        "Adam",
        dict(lr=0.03, weight_decay=0.2, amsgrad=True),
    ),
    (rules.NAdam(), "NAdam", {}),
    (
        rules.NAdam(lr=0.02, weight_decay=0.1, decoupled=True),
        "NAdam",
        dict(lr=0.02, weight_decay=0.1, decoupled_weight_decay=True),
    ),
    (rules.NAdam(lr=0.02, weight_decay=0.1), "NAdam", dict(lr=0.02, weight_decay=0.1)),
    (rules.RAdam(), "RAdam", {}),
    (rules.RAdam(lr=0.02, beta2=0.9, eps=1e-3), "RAdam", dict(lr=0.02, betas=(0.9, 0.9), eps=1e-3)),
    (rules.RAdam(lr=0.02, weight_decay=0.1), "RAdam", dict(lr=0.02, weight_decay=0.1)),
    (
        rules.RAdam(lr=0.02, weight_decay=0.1, decoupled=True),
        "RAdam",
        dict(lr=0.02, weight_decay=0.1, decoupled_weight_decay=True),
    ),
    (rules.Rprop(), "Rprop", {}),
    (
        rules.Rprop(lr=0.1, etaminus=0.3, etaplus=1.5, step_min=0.05, step_max=0.15),
        "Rprop",
        dict(lr=0.1, etas=(0.3, 1.5), step_sizes=(0.05, 0.15)),
    ),
    (rules.ASGD(), "ASGD", {}),
    (
        rules.ASGD(lr=0.03, lambd=0.01, alpha=0.6, t0=10, weight_decay=0.1),
        "ASGD",
        dict(lr=0.03, lambd=0.01, alpha=0.6, t0=10, weight_decay=0.1),
    ),
    # with eps1 = 0 the paper's form and torch's are the same
    (matrix.Adafactor(eps1=0.0), "Adafactor", dict(eps=(0.0, 1e-3))),
    (
        matrix.Adafactor(eps1=0.0, lr=0.1, d=1.5, decay=0.6, weight_decay=0.1),
        "Adafactor",
        dict(eps=(0.0, 1e-3), lr=0.1, d=1.5, beta2_decay=-0.6, weight_decay=0.1),
    ),
    (matrix.Adafactor(eps1=np.finfo(float).eps, eps_by="clamp"), "Adafactor", {}),
    (matrix.Adafactor(eps1=0.3, eps_by="clamp", eps2=2.0), "Adafactor", dict(eps=(0.3, 2.0))),
]


@pytest.mark.parametrize(("rule", "name", "hyper"), TORCH, ids=lambda a: a if isinstance(a, str) else None)
@pytest.mark.parametrize("shape", [SHAPE, (7,), (2, 3, 4)], ids=str)
def test_torch(torch, rule, name, hyper, shape):
    p = start(shape)
    ours = run(deepcopy(rule), p)
    theirs, _, _ = run_torch(torch, lambda w: getattr(torch.optim, name)(w, **hyper), p)
    same(ours, theirs)


def test_torch_centred_rmsprop(torch):
    p = start(SHAPE)
    ours = run(rules.RMSProp(lr=0.003, momentum=0.9, centered=True, eps=1e-2), p)
    make = lambda w: torch.optim.RMSprop(w, lr=0.003, momentum=0.9, centered=True, eps=1e-2)  # noqa: E731
    same(ours, run_torch(torch, make, p)[0])


def test_torch_asgd_average(torch):
    p = start(SHAPE)
    rule = rules.ASGD(lr=0.03, t0=10)
    run(rule, p)
    _, optimizer, w = run_torch(torch, lambda w: torch.optim.ASGD(w, lr=0.03, t0=10), p)
    same(rule.state["ax"], optimizer.state[w]["ax"].numpy())


def test_torch_sgd_decoupled(torch):
    p = start(SHAPE)
    ours = run(rules.SGD(lr=0.02, momentum=0.9, weight_decay=0.1, decoupled=True), p)

    def shrink(w):
        w.data.mul_(1 - 0.02 * 0.1)

    same(ours, run_torch(torch, lambda w: torch.optim.SGD(w, lr=0.02, momentum=0.9), p, before=shrink)[0])


@pytest.mark.parametrize("shape", [(6, 4), (4, 6), (5, 5)], ids=str)
@pytest.mark.parametrize("scale", ["original", "match_rms_adamw"])
@pytest.mark.parametrize("nesterov", [True, False])
def test_torch_muon(torch, monkeypatch, shape, scale, nesterov):
    if not hasattr(torch.optim, "Muon"):
        pytest.skip("this torch has no Muon")
    p = start(shape)
    make = lambda w: torch.optim.Muon(w, lr=0.02, nesterov=nesterov, adjust_lr_fn=scale)  # noqa: E731
    ours = run(matrix.Muon(lr=0.02, nesterov=nesterov, scale=scale), p)
    low = run_torch(torch, make, p, steps=1)[0]
    assert np.abs(ours[:1] - low).max() < 0.02 * 0.2 * math.sqrt(max(shape))  # bfloat16
    monkeypatch.setattr(torch.Tensor, "bfloat16", torch.Tensor.clone)
    same(ours, run_torch(torch, make, p)[0])


def test_muon_orthogonal():
    """Five steps bring every singular value that is not tiny near 1, and keep the singular vectors."""
    G = start((6, 4))
    X = matrix.newton_schulz(G)
    U, S, Vt = np.linalg.svd(G, full_matrices=False)
    D = U.T @ X @ Vt.T
    same(D - np.diag(np.diag(D)), 0, 1e-10)
    assert (np.diag(D) > 0.6).all() and (np.diag(D) < 1.3).all()
    a, b, c = matrix.MUON_COEFFICIENTS
    s = S / np.sqrt((S**2).sum())
    for _ in range(5):
        s = a * s + b * s**3 + c * s**5
    same(np.diag(D), s, 1e-10)


def test_muon_sum_form():
    """The momentum's form only matters through eps; rank 4 is seen as a matrix."""
    p = start((6, 4))
    same(run(matrix.Muon(accumulate="sum"), p), run(matrix.Muon(), p), 1e-9)
    p = start((4, 3, 2, 2))
    flat = matrix.Muon().step(p.reshape(4, -1), gradient(p, 0).reshape(4, -1))
    same(matrix.Muon().step(p, gradient(p, 0)), flat.reshape(p.shape))


def test_adafactor_rank_one():
    """The plain form is Adam's second moment where G^2 has rank 1, and adam with beta1 = 0 for vectors."""
    p = start(SHAPE)
    u, v = start(5, 1), start(4, 2)
    rule, s = matrix.AdafactorPlain(), {"m": np.zeros(SHAPE), "v": np.zeros(SHAPE)}
    a = b = p
    for t in range(STEPS):
        g = (1 + t % 3) * np.outer(u, v) * np.sign(start(SHAPE, t))
        a = rule.step(a, g)
        b, s = naive.adam(b, g, s, t + 1, beta1=0.0)
        same(a, b)
    p = start(7)
    vector = run(matrix.AdafactorPlain(lr=0.02, weight_decay=0.1), p)
    s = {"m": np.zeros(7), "v": np.zeros(7)}
    for t in range(STEPS):
        p, s = naive.adamw(p, gradient(p, t), s, t + 1, lr=0.02, beta1=0.0, weight_decay=0.1)
        same(vector[t], p)


def test_adafactor_parts():
    """Higher rank = the matrices one by one (plain form); beta1 = 0 = no first moment; zero gradient stays."""
    p = start((2, 3, 4))
    whole = run(matrix.AdafactorPlain(), p)
    one = matrix.AdafactorPlain()
    q = p[1]
    for t in range(STEPS):
        before = p if t == 0 else whole[t - 1]
        q = one.step(q, gradient(before, t)[1])
        same(whole[t][1], q)
    same(run(matrix.Adafactor(beta1=0.0), p), run(matrix.Adafactor(), p))
    for rule in (matrix.AdafactorPlain(), matrix.Adafactor(), matrix.Adafactor(eps1=0.0)):
        same(rule.step(p, np.zeros(p.shape)), p)


def test_adafactor_by_hand():
    """Two steps of algorithm 4 with numbers."""
    p, g = np.array([[3.0, 4.0]]), np.array([[1.0, 2.0]])
    rule = matrix.Adafactor(eps1=0.0)
    p1 = rule.step(p, g)  # V = G^2, U = (1, 1), RMS(p) = sqrt(12.5)
    same(p1, p - 0.01 * math.sqrt(12.5))
    beta2 = 1 - 2**-0.8
    h = np.array([[2.0, 1.0]])
    V = beta2 * g**2 + (1 - beta2) * h**2
    U = h / np.sqrt(V)
    U = U / max(1, math.sqrt((U**2).mean()))
    same(rule.step(p1, h), p1 - 0.01 * math.sqrt((p1**2).mean()) * U)


def test_radam_early():
    """beta2 = 0.999: steps 1 to 5 are momentum without the root (rho_5 = 4.99.. <= 5), step 6 is not."""
    p, g = np.array([1.0]), np.array([100.0])
    rule = rules.RAdam(lr=0.01)
    for _ in range(5):
        q = rule.step(p, g)
        same(q, p - 1.0)
        p = q
    assert abs(rule.step(p, g) - p) < 0.01


def test_ademamix():
    """alpha = 0 is AdamW; the warm-up of beta3 is linear in the half-life and ends at beta3."""
    p = start(SHAPE)
    path = run(rules.AdEMAMix(alpha=0.0, weight_decay=0.1), p)
    s = {"m": np.zeros(SHAPE), "v": np.zeros(SHAPE)}
    for t in range(STEPS):
        p, s = naive.adamw(p, gradient(p, t), s, t + 1, weight_decay=0.1)
        same(path[t], p)
    rule = rules.AdEMAMix(warmup=100)
    half = [math.log(0.5) / math.log(rule.warmed(t)[1]) for t in (25, 50, 75, 100)]
    same(np.diff(half), half[1] - half[0], 1e-9)
    assert rule.warmed(100) == (5.0, 0.9999) and rule.warmed(10)[0] == 0.5


def test_ademamix_slow_average():
    rule = rules.AdEMAMix(lr=0.1, beta1=0.0, eps=0.0, alpha=2.0, beta3=0.5)
    p = rule.step(np.array([1.0]), np.array([4.0]))
    same(p, 1 - 0.1 * (4 + 2 * 0.5 * 4) / 4)


def test_rmsprop_forms():
    """The rate inside the buffer is the same for a constant rate."""
    p = start(SHAPE)
    hyper = dict(lr=0.003, momentum=0.9)
    same(run(rules.RMSProp(rate_in_buffer=True, **hyper), p), run(rules.RMSProp(**hyper), p))
    one = rules.RMSProp(lr=0.1, decay=0.75, eps=5.0, eps_in_root=True).step(np.array([1.0]), np.array([4.0]))
    same(one, 1 - 0.1 * 4 / 3)


def test_cautious():
    u, g = np.array([1.0, -2.0, 3.0, 0.0]), np.array([1.0, 1.0, 2.0, 1.0])
    same(rules.cautious(u, g), [2.0, 0, 6.0, 0])
    same(rules.cautious(u, g, "paper"), np.array([1.0, 0, 3.0, 0]) * 4 / 3)
    same(rules.cautious(u, g, "none"), [1.0, 0, 3.0, 0])
    same(rules.cautious(-g, g), np.zeros(4))


@pytest.mark.parametrize("name", ["momentum", "adamw", "lion"])
def test_cautious_rules_agree_with_base(name):
    """Where the mask is full (a constant gradient) the rule is its base; where the gradient turns nothing moves."""
    rule = {
        "momentum": rules.CautiousMomentum(lr=0.01),
        "adamw": rules.CautiousAdam(weight_decay=0.1),
        "lion": rules.CautiousLion(weight_decay=0.1),
    }[name]
    base, slots = {
        "momentum": (naive.momentum, "v"),
        "adamw": (naive.adamw, "mv"),
        "lion": (naive.lion, "m"),
    }[name]
    hyper = {} if name == "momentum" else dict(weight_decay=0.1)
    p = q = start(SHAPE)
    g = np.sign(start(SHAPE, 3)) * (1 + start(SHAPE, 4) ** 2)
    s = {k: np.zeros(SHAPE) for k in slots}
    for t in range(10):
        p = rule.step(p, g)
        q, s = base(q, g, s, t + 1, **hyper)
        same(p, q)
    decay = 1.0 if name == "momentum" else 1 - rule.lr * 0.1
    same(rule.step(p, -1e-3 * g), p * decay)


def test_lars():
    """One array, no momentum: a step of length lr*eta*||p|| whatever the gradient's size."""
    p, g = start(SHAPE), start(SHAPE, 1)
    step = p - matrix.LARS(lr=2.0, momentum=0.0).step(p, 1e6 * g)
    same(step, 2.0 * 1e-3 * np.linalg.norm(p) * g / np.linalg.norm(g))
    both = matrix.LARS(lr=2.0, weight_decay=0.5, momentum=0.0).step(p, g)
    trust = 1e-3 * np.linalg.norm(p) / (np.linalg.norm(g) + 0.5 * np.linalg.norm(p))
    same(both, p - 2.0 * trust * (g + 0.5 * p))
    summed = matrix.LARS(lr=2.0, weight_decay=0.5, momentum=0.0, norm="sum").step(p, g)
    d = g + 0.5 * p
    same(summed, p - 2.0 * 1e-3 * np.linalg.norm(p) / np.linalg.norm(d) * d)
    same(matrix.LARS(lr=0.1).step(np.zeros(3), np.ones(3)), -0.1 * np.ones(3))
    same(matrix.LARS().step(p, 0 * p), p)


def test_lars_momentum():
    """Equal to classical momentum fed with the scaled gradients."""
    p = start(SHAPE)
    path = run(matrix.LARS(lr=0.5, eta=0.02), p)
    s = {"v": np.zeros(SHAPE)}
    for t in range(STEPS):
        g = gradient(p, t)
        p, s = naive.classical_momentum(p, 0.02 * np.linalg.norm(p) / np.linalg.norm(g) * g, s, t + 1, lr=0.5)
        same(path[t], p)


def test_lamb():
    """The step is lr*||p|| along Adam's update with the decay in it."""
    p = start(SHAPE)
    path = run(matrix.LAMB(lr=0.01, weight_decay=0.1), p)
    s = {"m": np.zeros(SHAPE), "v": np.zeros(SHAPE)}
    for t in range(STEPS):
        q, s = naive.adamw(p, gradient(p, t), s, t + 1, lr=1.0, eps=1e-6, weight_decay=0.1)
        d = p - q
        p = p - 0.01 * np.linalg.norm(p) / np.linalg.norm(d) * d
        same(path[t], p)
    p = start(SHAPE)
    clamped = matrix.LAMB(lr=0.01, upper=0.5).step(p, p)
    same(np.linalg.norm(p - clamped), 0.01 * 0.5)
    same(np.abs(matrix.LAMB(lr=0.1, eps=0.0).step(np.zeros(3), np.ones(3))), 0.1)
