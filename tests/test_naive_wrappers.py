"""The naive wrappers and schedules, against torch.optim and against formulas."""

import math

import naive
import naive_rules as rules
import naive_schedules as schedules
import naive_wrappers as wrappers
import numpy as np
import pytest
from naive_cases import SHAPE, STEPS, float64_torch, gradient, run, same, start


@pytest.fixture
def torch():
    yield from float64_torch()


# ------------------------------------------------------------------- wrappers


@pytest.mark.parametrize("p", [1.5, 2.0, 3.0, 10.0, np.inf])
@pytest.mark.parametrize("adaptive", [False, True])
def test_sam_ascent(p, adaptive):
    """Holder: ||T^-1 e||_p = rho and <e, g> = rho*||T g||_q, over two arrays together."""
    w, g = [start((3, 2)), start(4, 1)], [start((3, 2), 2), start(4, 3)]
    e = wrappers.sam_ascent(w, g, rho=0.3, p=p, adaptive=adaptive)
    T = np.concatenate([(np.abs(a) + 0.01 if adaptive else np.ones(a.shape)).ravel() for a in w])
    flat_e, flat_g = (np.concatenate([a.ravel() for a in x]) for x in (e, g))
    q = 1.0 if np.isinf(p) else p / (p - 1)
    same(np.linalg.norm(flat_e / T, p), 0.3)
    same(flat_e @ flat_g, 0.3 * np.linalg.norm(T * flat_g, q))
    if p == 2 and not adaptive:
        same(flat_e, 0.3 * flat_g / np.linalg.norm(flat_g))
    if p == 2 and adaptive:
        same(flat_e, 0.3 * T**2 * flat_g / np.linalg.norm(T * flat_g))


def test_sam_limits():
    zero = wrappers.sam_ascent([np.ones(3)], [np.zeros(3)])
    same(zero[0], np.zeros(3))
    for size in (1e-300, 1e300):
        same(wrappers.sam_ascent([np.ones(2)], [np.array([3.0, 4.0]) * size], rho=1.0)[0], [0.6, 0.8])
    same(
        wrappers.sam_ascent([np.ones(3)], [np.array([2.0, 0.0, -1.0])], rho=0.1, p=np.inf)[0], [0.1, 0, -0.1]
    )


def test_sam_step(torch):
    """SAM around SGD with momentum, against torch with the weights moved up and back."""
    p = start(SHAPE)
    w = torch.nn.Parameter(torch.tensor(p))
    optimizer = torch.optim.SGD([w], lr=0.02, momentum=0.9, weight_decay=0.1)
    sam = wrappers.SAM(rules.SGD(lr=0.02, momentum=0.9, weight_decay=0.1), rho=0.1)
    params = [p]
    for t in range(STEPS):
        params = sam.step(params, lambda ws, t=t: [gradient(a, t) for a in ws])
        g = torch.tensor(gradient(w.detach().numpy(), t))
        e = 0.1 * g / g.norm()
        w.grad = torch.tensor(gradient((w.detach() + e).numpy(), t))
        optimizer.step()
        same(params[0], w.detach().numpy())


def test_polyak_average(torch):
    from torch.optim.swa_utils import AveragedModel

    model = torch.nn.Linear(4, 3, bias=False)
    swa = AveragedModel(model)
    average = wrappers.PolyakAverage(start=10)
    path = []
    for t in range(STEPS):
        model.weight.data = torch.tensor(start((3, 4), t))
        path.append(start((3, 4), t))
        average.push(path[-1])
        if t >= 10:
            swa.update_parameters(model)
            same(average.value(), swa.module.weight.detach().numpy())
        else:
            same(average.value(), path[-1])
    same(average.value(), np.mean(path[10:], axis=0))


def test_ema(torch):
    from torch.optim.swa_utils import AveragedModel, get_ema_avg_fn

    model = torch.nn.Linear(4, 3, bias=False)
    ema = AveragedModel(model, avg_fn=get_ema_avg_fn(0.9))
    ours, zero, warm = (
        wrappers.EMA(decay=0.9),
        wrappers.EMA(decay=0.9, init="zero"),
        wrappers.EMA(decay=0.9, warmup=True, init="zero"),
    )
    path = []
    for t in range(STEPS):
        path.append(start((3, 4), t))
        model.weight.data = torch.tensor(path[-1])
        ema.update_parameters(model)
        for a in (ours, zero, warm):
            a.push(path[-1])
        same(ours.value(), ema.module.weight.detach().numpy())
        weights = 0.9 ** np.arange(t, -1, -1)
        same(zero.value(), np.tensordot(weights / weights.sum(), path, 1))
    decays = [min(0.9, (1 + n) / (10 + n)) for n in range(1, STEPS + 1)]
    weights = np.array([(1 - d) * np.prod(decays[i + 1 :]) for i, d in enumerate(decays)])
    same(warm.value(), np.tensordot(weights / weights.sum(), path, 1))


def test_averaged():
    p = start(SHAPE)
    rule = wrappers.Averaged(rules.SGD(lr=0.02), wrappers.PolyakAverage(start=20))
    path = run(rule, p)
    same(path, run(rules.SGD(lr=0.02), p))
    same(rule.averaged(), path[20:].mean(axis=0))


@pytest.mark.parametrize("reset", [False, True])
def test_lookahead(torch, reset):
    """Against the paper's two nested loops around torch's Adam."""
    p = start(SHAPE)
    path = run(wrappers.Lookahead(rules.AMSGrad(lr=0.05, weight_decay=0.0), k=6, alpha=0.4, reset=reset), p)
    w = torch.nn.Parameter(torch.tensor(p))
    make = lambda: torch.optim.AdamW([w], lr=0.05, amsgrad=True, weight_decay=0.0)  # noqa: E731
    slow, optimizer, t = p, make(), 0
    while t + 6 <= STEPS:
        for i in range(6):
            w.grad = torch.tensor(gradient(w.detach().numpy(), t))
            optimizer.step()
            if i < 5:
                same(path[t], w.detach().numpy())
            t += 1
        slow = slow + 0.4 * (w.detach().numpy() - slow)
        w.data = torch.tensor(slow)
        same(path[t - 1], slow)
        if reset:
            optimizer = make()


def schedule_free_authors(p, adam, bias, lr, beta, steps, decay, warmup, r, power, eps=1e-8, beta2=0.999):
    """The form with y and z only (x = (y - (1-beta) z)/beta), as published by the authors."""
    y, z, v, total, largest, path = p.copy(), p.copy(), 0.0, 0.0, -1.0, []
    for k in range(steps):
        g = gradient(y, k)
        rate = lr * min(1.0, (k + 1) / warmup) if warmup else lr
        correction = 1 - beta2 ** (k + 1)
        if adam:
            v = beta2 * v + (1 - beta2) * g * g
            if bias == "rate":
                rate, g = rate * math.sqrt(correction), g / (np.sqrt(v) + eps)
            else:
                g = g / (np.sqrt(v / correction) + eps)
        largest = max(rate, largest)
        total += (k + 1) ** r * largest**power
        c = (k + 1) ** r * largest**power / total
        g = g + decay * y
        y = (1 - c) * y + c * z + rate * (beta * (1 - c) - 1) * g
        z = z - rate * g
        path.append((y, (y - (1 - beta) * z) / beta))
    return path


@pytest.mark.parametrize("weight_by", ["largest", "rate"])
@pytest.mark.parametrize("warmup", [0, 10])
@pytest.mark.parametrize("kind", ["sgd", "moment", "rate"])
def test_schedule_free(kind, warmup, weight_by):
    p = start(SHAPE)
    hyper = dict(weight_decay=0.1, warmup_steps=warmup, r=0.5, weight_by=weight_by)
    if kind == "sgd":
        rule = wrappers.ScheduleFreeSGD(lr=0.02, momentum=0.8, **hyper)
    else:
        rule = wrappers.ScheduleFreeAdamW(lr=0.02, beta1=0.8, bias=kind, **hyper)
    want = schedule_free_authors(p, kind != "sgd", kind, 0.02, 0.8, STEPS, 0.1, warmup, 0.5, 2.0)
    y = p
    for t in range(STEPS):
        y = rule.step(y, gradient(y, t))
        same(y, want[t][0])
        same(rule.averaged(), want[t][1])


def test_schedule_free_is_polyak():
    """beta = 0: z is SGD, x its running mean; the gradient is taken at z."""
    p = start(SHAPE)
    rule = wrappers.ScheduleFreeSGD(lr=0.02, momentum=0.0)
    path = run(rule, p)
    same(path, run(rules.SGD(lr=0.02), p))
    same(rule.averaged(), path.mean(axis=0))


@pytest.mark.parametrize("norm", [1.0, 2.0, np.inf])
@pytest.mark.parametrize("limit", [0.5, 1e3])
def test_clip_torch(torch, norm, limit):
    grads = [start((3, 2)), start(4, 1)]
    weights = [torch.nn.Parameter(torch.zeros(g.shape)) for g in grads]

    def load():
        for w, g in zip(weights, grads, strict=True):
            w.grad = torch.tensor(g)

    load()
    size = torch.nn.utils.clip_grad_norm_(weights, limit, norm_type=norm)
    ours, before = wrappers.clip_global_norm(grads, limit, norm=norm, eps=1e-6)
    same(before, size.item())
    for a, w in zip(ours, weights, strict=True):
        same(a, w.grad.numpy())
    load()
    torch.nn.utils.clip_grad_value_(weights, limit)
    for a, w in zip(wrappers.clip_value(grads, limit), weights, strict=True):
        same(a, w.grad.numpy())
    load()
    own = wrappers.clip_array_norm(grads, limit, norm=norm, eps=1e-6)
    for a, w in zip(own, weights, strict=True):
        torch.nn.utils.clip_grad_norm_([w], limit, norm_type=norm)
        same(a, w.grad.numpy())


def test_clip_limits():
    same(wrappers.clip_global_norm([np.zeros(3)], 1.0)[0][0], np.zeros(3))
    clipped, size = wrappers.clip_global_norm([np.array([3e200]), np.array([4e200])], 1.0)
    same(size / 1e200, 5.0)
    same(np.concatenate(clipped), [0.6, 0.8])


# ------------------------------------------------------------------ schedules


def torch_rates(torch, make, steps=60, a0=0.3):
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=a0)
    scheduler, rates = make(optimizer, torch.optim.lr_scheduler), []
    for _ in range(steps):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step()
    return rates


@pytest.mark.parametrize(
    ("ours", "make"),
    [
        (
            schedules.milestones(0.3, [5, 20, 20, 41], 0.5),
            lambda o, S: S.MultiStepLR(o, [5, 20, 20, 41], 0.5),
        ),
        (schedules.cosine_restarts(0.3, 7), lambda o, S: S.CosineAnnealingWarmRestarts(o, 7)),
        (
            schedules.cosine_restarts(0.3, 7, 2, 0.01),
            lambda o, S: S.CosineAnnealingWarmRestarts(o, 7, 2, eta_min=0.01),
        ),
        (schedules.cosine_periodic(0.3, 0.01, 20), lambda o, S: S.CosineAnnealingLR(o, 20, eta_min=0.01)),
        (
            schedules.sequential(
                [
                    schedules.piecewise([0, 10], [0.03, 0.3]),
                    lambda t: 0.3 * 0.9**t,
                    schedules.cosine_periodic(0.3, 0.0, 40),
                ],
                [10, 30],
            ),
            lambda o, S: S.SequentialLR(
                o,
                [S.LinearLR(o, 0.1, 1.0, 10), S.ExponentialLR(o, 0.9), S.CosineAnnealingLR(o, 40)],
                [10, 30],
            ),
        ),
        (
            schedules.chained(0.3, lambda t: 0.1 if t < 20 else 1.0, lambda t: 0.9**t),
            lambda o, S: S.ChainedScheduler([S.ConstantLR(o, 0.1, 20), S.ExponentialLR(o, 0.9)]),
        ),
        (
            schedules.piecewise([0, 10, 30, 50], [0.3, 0.6, 0.1, 0.2]),
            lambda o, S: S.LambdaLR(o, lambda t: np.interp(t, [0, 10, 30, 50], [1, 2, 1 / 3, 2 / 3])),
        ),
    ],
    ids=["milestones", "restarts", "restarts-2", "cosine-periodic", "sequential", "chained", "piecewise"],
)
def test_schedule_torch(torch, ours, make):
    same([ours(t) for t in range(60)], torch_rates(torch, make))


@pytest.mark.parametrize("mode", ["min", "max"])
@pytest.mark.parametrize("threshold_mode", ["rel", "abs"])
@pytest.mark.parametrize(
    "hyper",
    [{}, dict(patience=0), dict(patience=2, cooldown=3, factor=0.5, threshold=0.1, min_lr=0.02, eps=0.01)],
)
def test_plateau_torch(torch, mode, threshold_mode, hyper):
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=0.3)
    theirs = torch.optim.lr_scheduler.ReduceLROnPlateau(
        optimizer, mode, threshold_mode=threshold_mode, **hyper
    )
    ours = schedules.ReduceOnPlateau(0.3, mode=mode, threshold_mode=threshold_mode, **hyper)
    rng = np.random.default_rng(0)
    for t in range(200):
        metric = math.nan if t % 37 == 5 else rng.normal() + (3 / (1 + t) if mode == "min" else -3 / (1 + t))
        theirs.step(metric)
        same(ours.step(metric), optimizer.param_groups[0]["lr"])


def test_schedule_values():
    same([schedules.cosine(1.0, 0.2, 4, exponent=2.0)(t) for t in (0, 2, 4, 9)], [1.0, 0.4, 0.2, 0.2])
    same(schedules.cosine(1.0, 0.2, 7)(3), naive.cosine(1.0, 0.2, 7)(3))
    knots = schedules.piecewise([2, 6], [1.0, 3.0], "cosine")
    same([knots(t) for t in (0, 2, 3, 4, 6, 9)], [1, 1, 2 - math.cos(math.pi / 4), 2, 3, 3])
    same([schedules.piecewise([2, 6], [1.0, 3.0], "constant")(t) for t in (0, 5, 6)], [1, 1, 3])
    restarts = schedules.cosine_restarts(1.0, 2, 2, shrink=0.5)
    same([restarts(t) for t in (0, 1, 2, 4, 6)], [1, 0.5, 0.5, 0.25, 0.25])
