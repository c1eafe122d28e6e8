"""Schedules against the naive reference, on any hyperparameter."""

import math

import naive
import numpy as np
import pytest

import fastopt as fo
from fastopt.schedules import SCHEDULES, checked_schedules, for_run, values_at

S = fo.schedules

# (schedule, the same of the naive reference), for a base value of 0.3
CASES = {
    "constant": (S.Constant(), naive.constant(0.3)),
    "step": (S.Step(every=7, drop=0.5), naive.step(0.3, 0.5, 7)),
    "exponential": (S.Exponential(0.05), naive.exponential(0.3, 0.05)),
    "inverse_time": (S.InverseTime(0.05), naive.inverse_time(0.3, 0.05)),
    "cosine": (S.Cosine(20), naive.cosine(0.3, 0.0, 20)),
    "cosine to 0.1": (S.Cosine(20, end=0.1), naive.cosine(0.3, 0.1, 20)),
    "linear": (S.Linear(20), naive.linear(0.3, 0.0, 20)),
    "linear up": (S.Linear(20, end=0.9), naive.linear(0.3, 0.9, 20)),
    "polynomial": (S.Polynomial(20), naive.polynomial(0.3, 0.0, 20, 2.0)),
    "square root": (S.Polynomial(20, power=0.5, end=0.1), naive.polynomial(0.3, 0.1, 20, 0.5)),
    "one cycle": (S.OneCycle(40), naive.one_cycle(0.3, 40)),
    "early peak": (S.OneCycle(40, 0.5, 0.1, 10, 100), naive.one_cycle(0.5, 40, 0.05, 5e-4, 0.1)),
    "warmup": (S.Warmup(5), naive.warmup(5, naive.constant(0.3))),
    "warmup, cosine": (S.Warmup(5, S.Cosine(20)), naive.warmup(5, naive.cosine(0.3, 0.0, 20))),
    "warmup, step": (S.Warmup(5, S.Step(3)), naive.warmup(5, naive.step(0.3, 0.1, 3))),
    "milestones": (S.Milestones((30, 10), 0.5), naive.milestones(0.3, (10, 30), 0.5)),
    "piecewise": (
        S.Piecewise(((0, 0.0), (10, 1.0), (40, 0.1))),
        naive.piecewise([(0, 0.0), (10, 0.3), (40, 0.03)]),
    ),
    "absolute": (S.Piecewise(((5, 0.2), (9, 0.7)), True), naive.piecewise([(5, 0.2), (9, 0.7)])),
    "warm restarts": (S.WarmRestarts(7), naive.warm_restarts(0.3, 0.0, 7, 1)),
    "longer restarts": (S.WarmRestarts(4, 2, 0.1), naive.warm_restarts(0.3, 0.1, 4, 2)),
    "three times as long": (S.WarmRestarts(2, 3), naive.warm_restarts(0.3, 0.0, 2, 3)),
    "chain": (
        S.Chain(((5, S.Linear(5, start=0.0, end=0.3)), (10, S.Constant()), (None, S.Cosine(20)))),
        naive.chain(
            (5, naive.linear(0.0, 0.3, 5)), (10, naive.constant(0.3)), (None, naive.cosine(0.3, 0.0, 20))
        ),
    ),
    "chain of warm-ups": (
        S.Chain(((12, S.Warmup(3, S.Step(4))), (None, S.Warmup(2)))),
        naive.chain(
            (12, naive.warmup(3, naive.step(0.3, 0.1, 4))), (None, naive.warmup(2, naive.constant(0.3)))
        ),
    ),
    "warm-up of no steps": (S.Warmup(0, S.Cosine(20)), naive.cosine(0.3, 0.0, 20)),
    "own start": (S.Cosine(20, start=0.7), naive.cosine(0.7, 0.0, 20)),
}


def test_every_schedule_has_a_case():
    assert {type(s) for s, _ in CASES.values()} == set(SCHEDULES)


@pytest.mark.parametrize("case", CASES)
def test_values(case):
    schedule, reference = CASES[case]
    steps = np.arange(60)
    expected = [float(reference(int(t))) for t in steps]
    one_by_one = [schedule(int(t), 0.3) for t in steps]
    assert all(np.ndim(v) == 0 for v in one_by_one)
    np.testing.assert_allclose(one_by_one, expected, rtol=1e-12, atol=1e-16)
    for t in (steps, steps.astype(float), steps.astype(np.int32)):  # a run asks for a whole stretch
        together = schedule(t, 0.3)
        assert together.shape == (60,) and together.dtype == np.float64
        np.testing.assert_allclose(together, expected, rtol=1e-12, atol=1e-16)
        in_parts = [schedule(t[a:b], 0.3) for a, b in ((0, 1), (1, 8), (8, 60))]
        np.testing.assert_array_equal(np.concatenate(in_parts), together)  # or a resumed run would differ


def test_ends():
    for case in ("cosine", "linear", "polynomial"):
        schedule = CASES[case][0]
        assert schedule(0, 0.3) == 0.3
        assert schedule(20, 0.3) == pytest.approx(0, abs=1e-17)
        assert schedule(1e9, 0.3) == schedule(20, 0.3)
    cycle = S.OneCycle(40)
    assert cycle(0, 0.3) == pytest.approx(0.012) and cycle(11, 0.3) == pytest.approx(0.3)
    assert cycle(39, 0.3) == cycle(40, 0.3) == pytest.approx(1.2e-6)
    assert S.Warmup(4)(3, 0.3) == S.Warmup(4)(4, 0.3) == 0.3


@pytest.mark.parametrize("backend_name", ["auto", "numpy"])
def test_momentum_from_a_half_to_0_99(backend_name):
    """The lectures' example: momentum annealed over the run."""
    p = np.array([4.0, -3.0])
    schedules = {"momentum": S.Linear(30, end=0.99), "lr": S.Step(every=10, drop=0.5)}
    opt = fo.Optimizer(p, fo.Momentum(0.01, momentum=0.5), schedules=schedules, backend=backend_name)
    expected, state = p.copy(), naive.initial("Momentum", 2)
    for t in range(40):
        momentum = 0.5 + 0.49 * min(t, 30) / 30
        lr = 0.01 * 0.5 ** (t // 10)
        g = expected * [1.0, 10.0]
        expected, state = naive.momentum(expected, g, state, t + 1, lr=lr, momentum=momentum)
        opt.step(p * [1.0, 10.0])
    np.testing.assert_allclose(p, expected, rtol=1e-11)


@pytest.mark.parametrize("field", ["beta1", "beta2", "eps", "weight_decay"])
def test_any_hyperparameter(field):
    p = np.array([4.0, -3.0])
    schedule, reference = S.Linear(10, end=0.5), naive.linear(getattr(fo.Adam(), field), 0.5, 10)
    opt = fo.Optimizer(p, fo.Adam(), schedules={field: schedule})
    expected, state = p.copy(), naive.initial("Adam", 2)
    for t in range(15):
        expected, state = naive.adam(expected, [1.0, 2.0], state, t + 1, **{field: reference(t)})
        opt.step(np.array([1.0, 2.0]))
    np.testing.assert_allclose(p, expected, rtol=1e-12)


def test_own_function():
    p = np.zeros(1)
    opt = fo.Optimizer(p, fo.SGD(2.0), schedules={"lr": lambda t, base: base * 10**t})
    opt.step(np.ones(1))
    opt.step(np.ones(1))
    assert p == -22


def test_length_of_the_run():
    assert for_run(S.Cosine(), 50) == S.Cosine(50)
    assert for_run(S.Cosine(20), 50) == S.Cosine(20)
    assert for_run(S.Step(3), 50) == S.Step(3)
    assert for_run(S.Warmup(10, S.Linear()), 50) == S.Warmup(10, S.Linear(40))
    function = len
    assert for_run(function, 50) is function


def test_values_for_a_stretch_of_steps():
    values = values_at({"lr": S.Linear(4)}, fo.SGD(1.0), np.arange(5))
    np.testing.assert_array_equal(values["lr"], [1, 0.75, 0.5, 0.25, 0])
    assert type(values_at({"lr": S.Linear(4)}, fo.SGD(1.0), 1)["lr"]) is float


@pytest.mark.parametrize(
    "schedule, error, message",
    [
        (S.Cosine(), ValueError, "needs steps"),
        (S.Warmup(5, S.OneCycle()), ValueError, "needs steps"),
        (S.Cosine(0), ValueError, "steps must be above 0"),
        (S.Linear(-3), ValueError, "steps must be above 0"),
        (S.Step(0), ValueError, "every must be above 0"),
        (S.Warmup(-1), ValueError, "steps must be above 0"),
        (S.WarmRestarts(0), ValueError, "steps must be above 0"),
        (S.WarmRestarts(5, 0.5), ValueError, "factor"),
        (S.Milestones(5), TypeError, "at must be a tuple"),
        (S.Piecewise((1, 2)), TypeError, "points must be pairs"),
        (S.Chain((S.Cosine(5), S.Cosine(5))), TypeError, "parts must be pairs"),
        (S.Chain(((0, S.Cosine(5)), (None, S.Cosine(5)))), ValueError, "steps must be above 0"),
        (S.Chain(((3, S.Cosine), (None, S.Cosine(5)))), TypeError, "write Cosine"),
        (S.Warmup(5, S.Cosine(0)), ValueError, "steps must be above 0"),
        (S.OneCycle(10, warm=0), ValueError, "warm"),
        (S.OneCycle(10, warm=1), ValueError, "warm"),
        (S.OneCycle(10, end_divisor=0), ValueError, "end_divisor"),
        (S.Constant(math.nan), ValueError, "NaN or inf at step 0"),
        (lambda t, base: math.inf, ValueError, "NaN or inf at step 0"),
        (0.1, TypeError, r"schedules\['lr'\]"),
        ("cosine", TypeError, r"schedules\['lr'\]"),
    ],
)
def test_errors(schedule, error, message):
    with pytest.raises(error, match=message):
        checked_schedules({"lr": schedule}, fo.SGD())
    with pytest.raises(error, match=message):
        fo.Optimizer(np.zeros(2), fo.SGD(), schedules={"lr": schedule})


@pytest.mark.parametrize("steps, warm", [(40, 0.3), (50, 0.3), (7, 0.5), (100, 0.02)])
def test_one_cycle_is_torchs(steps, warm):
    torch = pytest.importorskip("torch", reason="torch is not installed")
    optimizer = torch.optim.SGD([torch.zeros(1)], lr=1.0)
    theirs = torch.optim.lr_scheduler.OneCycleLR(optimizer, 0.3, total_steps=steps, pct_start=warm)
    for t in range(steps):
        assert S.OneCycle(steps, 0.3, warm)(t) == pytest.approx(theirs.get_last_lr()[0], rel=1e-9), t
        optimizer.step()
        if t < steps - 1:
            theirs.step()


WRONG = {
    "None": (lambda t, base: None, TypeError, "gave None at step 0"),
    "text": (lambda t, base: "0.1", TypeError, "gave '0.1'"),
    "two numbers": (lambda t, base: np.array([0.1, 0.2]), TypeError, "an array of shape"),
    "complex": (lambda t, base: 0.1j, TypeError, "must give a number"),
    "bool": (lambda t, base: True, TypeError, "gave True"),
    "a list": (lambda t, base: [0.1], TypeError, "an array of shape"),
    "one argument": (lambda t: 0.1, TypeError, "called as schedule"),
    "an error of its own": (
        lambda t, base: {}["lr"],
        ValueError,
        "raised KeyError.*'lr'.*called as schedule",
    ),
    "the class": (S.Cosine, TypeError, r"write Cosine\(...\)"),
    "a warm-up of a class": (S.Warmup(3, S.Cosine), TypeError, r"write Cosine\(...\)"),
    "a text in a field": (S.Cosine("ten"), TypeError, "steps must be a number"),
    "inverse time with a pole": (S.InverseTime(-0.1), ValueError, "k must be at least 0"),
}


@pytest.mark.parametrize("case", WRONG)
def test_wrong_schedules_are_named(case):
    schedule, error, message = WRONG[case]
    with pytest.raises(error, match=rf"schedules\['lr'\].*{message}"):
        fo.Optimizer(np.zeros(2), fo.SGD(), schedules={"lr": schedule})


def test_schedules_must_be_a_dict():
    for wrong in (S.Cosine(3), ["lr"], "lr"):
        with pytest.raises(TypeError, match="schedules must be a dict"):
            fo.Optimizer(np.zeros(2), fo.SGD(), schedules=wrong)


def test_own_functions_are_asked_for_one_step_at_a_time():
    """With an `if`, with state, warmed up: in a stretch of steps as alone."""

    def late(t, base):
        return base if t < 5 else base / 10

    for schedule in (late, S.Warmup(3, late)):
        together = values_at({"lr": schedule}, fo.SGD(1.0), np.arange(12))["lr"]
        alone = [values_at({"lr": schedule}, fo.SGD(1.0), t)["lr"] for t in range(12)]
        np.testing.assert_array_equal(together, alone)
    X, y = np.random.default_rng(0).standard_normal((60, 4)), np.arange(60) % 3
    fit = fo.train(X, y, schedule=late, rule=fo.SGD(0.5), epochs=2, batch_size=10, sampling="sequential")
    W, b = np.zeros((3, 4)), np.zeros(3)
    opt = fo.Optimizer([W, b], fo.SGD(0.5), schedules={"lr": late})
    for i in [*range(6)] * 2:
        rows = slice(10 * i, 10 * i + 10)
        _, dW, db = fo.value_and_grad(fo.Softmax(), W, X[rows], y[rows], b)
        opt.step([dW, db])
    np.testing.assert_allclose(fit.W, W, rtol=1e-9)


def test_underflow_is_no_error_whatever_the_caller_has_set():
    with np.errstate(all="raise"):
        for schedule in (S.Exponential(1.0), S.Step(1), S.Warmup(2, S.Exponential(2.0))):
            opt = fo.Optimizer(np.zeros(1), fo.SGD(1.0), schedules={"lr": schedule})
            opt.t = 3000
            opt.step(np.ones(1))
            assert opt._params.arrays[0] == 0


def test_unknown_hyperparameter():
    with pytest.raises(ValueError, match="SGD has no 'momentum'; it has lr, weight_decay"):
        checked_schedules({"momentum": S.Constant(0.5)}, fo.SGD())


def test_schedule_that_leaves_the_range_is_refused():
    """beta2 = 1 divides by 0: the step says so and changes nothing."""
    p = np.ones(2)
    opt = fo.Optimizer(p, fo.Adam(), schedules={"beta2": S.Linear(2, end=1.0)})
    opt.step(np.ones(2))
    opt.step(np.ones(2))
    before = p.copy(), opt.t
    with pytest.raises(ValueError, match="beta2"):
        opt.step(np.ones(2))
    np.testing.assert_array_equal(p, before[0])
    assert opt.t == before[1] == 2


def test_a_start_is_needed():
    with pytest.raises(ValueError, match="Cosine needs a start"):
        S.Cosine(10)(0)


def test_chain_in_a_run():
    assert for_run(S.Chain(((10, S.Linear()), (None, S.Cosine()))), 50) == S.Chain(
        ((10, S.Linear(10)), (None, S.Cosine(40)))
    )


def test_plateau():
    p = np.zeros(1)
    plateau = S.Plateau(drop=0.5, patience=1, threshold=0.01)
    opt = fo.Optimizer(p, fo.SGD(1.0), schedules={"lr": plateau})
    rates = []
    for metric in (10, 9, 9, 8.95, 8.0, 8.0, np.nan, 7.99, 8.1):
        plateau.report(metric)
        before = p[0]
        opt.step(np.ones(1))
        rates.append(float(before - p[0]))
    assert rates == [1, 1, 1, 0.5, 0.5, 0.5, 0.25, 0.25, 0.125]
    again = S.Plateau(drop=0.5, patience=1, threshold=0.01)
    again.load_state_dict(plateau.state_dict())
    assert again(0, 1.0) == plateau(0, 1.0) == 0.125
    accuracy = S.Plateau(patience=0, largest_is_best=True, lowest=0.05)
    for metric in (0.5, 0.6, 0.6, 0.6, 0.6):
        accuracy.report(metric)
    assert accuracy(0, 1.0) == 0.05
    with pytest.raises(ValueError, match="drop"):
        S.Plateau(drop=2)
