"""Searches, restarts, rules as solvers, saddles, and fo.functions."""

import math
import threading
import warnings

import numpy as np
import pytest

import fastopt as fo

EXAMPLES = {
    "quadratic": fo.functions.quadratic(4, 50.0),
    "rosenbrock": fo.functions.rosenbrock(5),
    "booth": fo.functions.booth,
    "beale": fo.functions.beale,
    "himmelblau": fo.functions.himmelblau,
    "saddle": fo.functions.saddle,
    "plateau": fo.functions.plateau,
    "ravine": fo.functions.ravine,
    "rastrigin": fo.functions.rastrigin(3),
    "logistic_regression": fo.functions.logistic_regression(
        np.random.default_rng(0).standard_normal((30, 3)), np.resize([1, -1, 1], 30)
    ),
}


@pytest.mark.parametrize("name", EXAMPLES)
def test_examples(name, rng):
    f = EXAMPLES[name]
    for _ in range(3):
        x = rng.uniform(-2, 2, f.start.size)
        numeric = fo.numeric_gradient(f, x, method="richardson")
        np.testing.assert_allclose(f.gradient(x), numeric, rtol=1e-7, atol=1e-7)
        np.testing.assert_allclose(
            f.hessian(x), fo.numeric_hessian(f, x, grad=f.gradient), rtol=1e-5, atol=1e-5
        )
    if f.minimum is not None:
        assert f(f.minimum) == pytest.approx(f.lowest, abs=1e-12)
        np.testing.assert_allclose(f.gradient(f.minimum), 0, atol=1e-12)


def test_compiled_examples(numba, rng):
    for name in ("beale", "quadratic", "logistic_regression"):
        f = EXAMPLES[name]
        x = rng.uniform(-1, 1, f.start.size)
        assert f.compiled.value(x) == pytest.approx(f(x), rel=1e-12)
        np.testing.assert_allclose(f.compiled.gradient(x), f.gradient(x), rtol=1e-12)
        np.testing.assert_allclose(f.compiled.hessian(x), f.hessian(x), rtol=1e-12)


def test_condition_and_rotation():
    H = fo.functions.quadratic(6, 1e4, rotation=3).hessian(np.zeros(6))
    assert np.linalg.cond(H) == pytest.approx(1e4)
    assert np.count_nonzero(np.abs(H) > 1e-9) == 36


@pytest.mark.parametrize(
    "rule",
    [fo.SGD(lr=0.02), fo.Momentum(lr=0.01), fo.Adam(lr=0.3), fo.RMSProp(lr=0.01), fo.Nesterov(lr=0.01)],
)
def test_rules(rule):
    f = fo.functions.booth
    result = fo.minimize(
        f, f.start, jac=f.gradient, rule=rule, schedules={"lr": fo.schedules.Cosine(steps=3000)}, maxiter=3000
    )
    assert result.fun < 1e-3 and result.fun == f(result.x)
    assert (result.status == 0) == (np.abs(f.gradient(result.x)).max() <= 1e-5)


@pytest.mark.parametrize(
    "options", [{}, {"schedules": {"lr": fo.schedules.Cosine(steps=700)}}, {"bounds": [(-1, 3), (0, 2)]}]
)
@pytest.mark.parametrize(
    "rule", [fo.SGD(lr=1e-3), fo.Adam(lr=0.01), fo.Averaged(fo.Momentum(lr=1e-4)), fo.LARS(lr=0.01)]
)
def test_compiled_descent_takes_the_same_steps(rule, options, numba):
    f = fo.functions.himmelblau
    plain = fo.minimize(f, [-1.0, 0.5], jac=f.gradient, rule=rule, maxiter=900, **options)
    compiled = fo.minimize(
        f.compiled.value, [-1.0, 0.5], jac=f.compiled.gradient, rule=rule, maxiter=900, **options
    )
    np.testing.assert_allclose(compiled.x, plain.x, rtol=1e-12, atol=1e-12)
    assert (compiled.nit, compiled.nfev, compiled.status) == (plain.nit, plain.nfev, plain.status)


def test_limits_of_compiled_descent(numba):
    f = fo.functions.rosenbrock().compiled
    start, rule = [-1.2, 1.0], fo.SGD(lr=1e-4)
    assert fo.minimize(f.value, start, jac=f.gradient, rule=rule, maxfev=10_000, maxiter=10**6).nfev == 10_000
    assert (
        fo.minimize(f.value, start, jac=f.gradient, rule=rule, maxiter=10**12, seconds=0.2, gtol=0).status
        == 7
    )
    diverged = fo.minimize(f.value, start, jac=f.gradient, rule=fo.SGD(lr=1.0))
    assert diverged.status == 14 and np.isfinite(diverged.x).all() and diverged.fun <= 24.2
    seen = []
    found = fo.minimize(
        f.value, start, jac=f.gradient, rule=rule, maxiter=50, callback=lambda x: seen.append(x)
    )
    assert len(seen) == found.nit == 50
    with pytest.raises(ValueError, match="schedules are for a rule"):
        fo.minimize(f.value, start, schedules={"lr": fo.schedules.Cosine(steps=10)})
    with pytest.raises(ValueError, match="not both"):
        fo.minimize(f.value, start, rule=rule, method="lbfgs")


def test_a_rule_takes_the_steps_of_the_optimizer():
    f = fo.functions.rosenbrock()
    x = f.start.copy()
    optimizer = fo.Optimizer(x, fo.SGD(lr=1e-3))
    for _ in range(25):
        optimizer.step(f.gradient(x))
    result = fo.minimize(f, f.start, jac=f.gradient, rule=fo.SGD(lr=1e-3), maxiter=25)
    assert result.status == 5 and (result.x == x).all()


def test_a_rule_that_diverges():
    f = fo.functions.rosenbrock()
    result = fo.minimize(f, f.start, jac=f.gradient, rule=fo.SGD(lr=1.0))
    assert result.status == 14 and np.isfinite(result.x).all() and result.fun <= f(f.start)


def test_bounds_of_a_rule():
    f = fo.functions.booth
    result = fo.minimize(f, [0.0, 0.0], jac=f.gradient, rule=fo.SGD(lr=0.05), bounds=[(0, 0.5), (0, 2)])
    assert result.success
    np.testing.assert_allclose(result.x, [0.5, 2.0], atol=1e-6)


@pytest.mark.parametrize("method", ["lbfgs", "bfgs", "newton"])
def test_leaving_the_saddle(method):
    f = fo.functions.saddle
    stays = fo.minimize(f, f.start, jac=f.gradient, method=method)
    assert stays.success and stays.fun == 0  # the gradient is 0 there
    result = fo.minimize(f, f.start, jac=f.gradient, method=method, perturb=1e-3)
    assert result.fun == pytest.approx(-0.25, abs=1e-9)
    along = fo.minimize(f, [1.0, 0.0], jac=f.gradient, method=method, perturb=1e-3)
    assert along.fun == pytest.approx(-0.25, abs=1e-9)


@pytest.mark.parametrize("how", ["plain", "compiled"])
def test_grid(how):
    f = fo.functions.himmelblau
    fun = f if how == "plain" else pytest.importorskip("numba") and f.compiled.value
    axes = [np.linspace(-4, 4, 81), np.linspace(-4, 4, 61)]
    result = fo.grid_search(fun, axes, threads=2)
    values = {(x, y): f(np.array([x, y])) for x in axes[0] for y in axes[1]}
    assert result.fun == pytest.approx(min(values.values()), rel=1e-12) and result.nfev == 81 * 61
    assert result.fun == pytest.approx(values[tuple(result.x)], rel=1e-12)


@pytest.mark.parametrize("kind", [{}, {"log": [True, False]}, {"sobol": True}])
def test_random(kind):
    if "sobol" in kind:
        pytest.importorskip("scipy")
    seen = []

    def fun(x):
        seen.append(tuple(x))
        return (np.log10(x[0]) + 2) ** 2 + x[1] ** 2 if x[1] < 3 else np.nan

    bounds = [(1e-4, 1.0), (-5.0, 5.0)]
    first = fo.random_search(fun, bounds, samples=3000, seed=1, threads=1, **kind)
    points = np.array(seen)
    assert (points >= [1e-4, -5]).all() and (points <= [1, 5]).all() and len(seen) == 3000
    if kind.get("log"):
        assert 0.4 < np.mean(points[:, 0] < 1e-2) < 0.6
    again = fo.random_search(fun, bounds, samples=3000, seed=1, threads=3, **kind)
    assert (first.x == again.x).all() and first.fun == again.fun == fun(first.x)
    part = fo.random_search(fun, bounds, samples=1500, seed=1, **kind)
    whole = fo.random_search(fun, bounds, samples=3000, seed=1, start=part, **kind)
    assert whole.nfev == 1500 and (whole.x == first.x).all()


def test_samplers_and_refusals():
    result = fo.random_search(
        lambda x: abs(x[0] - 0.5), sampler=lambda rng: rng.uniform(0, 1, 1), samples=200
    )
    assert result.fun < 0.05
    with pytest.raises(ValueError, match="bounds or sampler"):
        fo.random_search(lambda x: 0.0)
    with pytest.raises(ValueError, match="above 0"):
        fo.random_search(lambda x: 0.0, [(0, 1)], log=True)
    assert not fo.random_search(lambda x: np.nan, [(0, 1)], samples=5).success
    with pytest.raises(ValueError, match="axes"):
        fo.grid_search(lambda x: 0.0, [])


@pytest.mark.parametrize("how", ["plain", "compiled"])
def test_restarts(how):
    f = fo.functions.rastrigin(2)
    fun, jac = (f, f.gradient) if how == "plain" else pytest.importorskip("numba") and f.compiled[:2]
    results = [
        fo.random_restarts(fun, [(-5, 5)] * 2, restarts=40, seed=2, jac=jac, threads=t) for t in (1, 3)
    ]
    assert (results[0].x == results[1].x).all() and len(results[0].results) == 40
    assert results[0].fun == min(r.fun for r in results[0].results)
    assert results[0].fun < 1.1


@pytest.mark.parametrize("how", ["plain", "compiled"])
def test_bounded_restarts(how):
    """(x - 3)^2 over [-1, 1]: the bound is the answer; without `bounded` the solver leaves it."""
    if how == "plain":
        fun, jac = (lambda x: ((x - 3) ** 2).sum()), (lambda x: 2 * (x - 3))
    else:
        njit = pytest.importorskip("numba").njit
        fun, jac = njit(lambda x: ((x - 3) ** 2).sum()), njit(lambda x: 2 * (x - 3))
    box, options = [(-1, 1)] * 2, {"restarts": 4, "jac": jac, "method": "lbfgs"}
    inside = fo.random_restarts(fun, box, bounded=True, **options)
    assert all((r.x == 1).all() and r.success for r in inside.results) and inside.fun == 8
    assert np.allclose(fo.random_restarts(fun, box, **options).x, 3)
    with pytest.raises(ValueError, match="bounded=True needs bounds"):
        fo.random_restarts(fun, bounded=True, sampler=lambda rng: rng.random(2), **options)


def test_halving():
    calls = []

    def fun(candidate, budget):
        calls.append((candidate, budget))
        return (candidate - 3) ** 2 + 10 / budget

    result = fo.successive_halving(fun, list(range(9)), budgets=[1, 3, 9])
    assert result.x == 3 and [len(round_) for round_ in result.history] == [9, 3, 1]
    assert len(calls) == 13


def test_random_linear_search(rng):
    X = rng.standard_normal((500, 12)).astype(np.float32)
    y = (X @ rng.standard_normal((12, 3))).argmax(axis=1)
    result = fo.random_linear_search(X, y, samples=200, bias=True)
    assert result.accuracy == np.mean((X @ result.x.T + result.b).argmax(axis=1) == y)
    assert result.accuracy == result.accuracies.max() and result.accuracies.shape == (200,)
    assert (fo.random_linear_search(X, y, samples=70, bias=True).accuracies == result.accuracies[:70]).all()


@pytest.mark.parametrize(
    "call, message",
    [
        (lambda f: fo.grid_search(f, 3), "axes must be a list"),
        (lambda f: fo.grid_search(f, np.linspace(0, 1, 5)), "axes must be a list of 1-D arrays"),
        (lambda f: fo.grid_search(f, [[1.0, "a"]]), "axes must be a list of 1-D arrays"),
        (lambda f: fo.grid_search(f, [[1.0, 2.0]], start=3), "start must be an earlier result"),
        (lambda f: fo.random_search(f, 3), "bounds must be a list"),
        (lambda f: fo.random_search(f, [(0, 1)], samples=0), "samples must be a whole number"),
        (lambda f: fo.random_search(f, [(0, 1)], samples=2.5), "samples must be a whole number"),
        (lambda f: fo.random_search(f, [(0, 1)], seed=None), "seed must be a whole number"),
        (lambda f: fo.random_search(f, [(1, 2)], log=[True, False]), "log must be True, False or 1 of these"),
        (lambda f: fo.random_search(f, sampler=lambda rng: "a"), "sampler must return a point"),
        (
            lambda f: fo.random_search(f, sampler=lambda rng: rng.random(rng.integers(1, 5))),
            "sampler must return a point.* of the same length each time: number [0-9]+ has",
        ),
        (lambda f: fo.random_restarts(f, [(0, 1)], restarts=0), "restarts must be a whole number"),
        (lambda f: fo.successive_halving(f, 3, budgets=[1]), "candidates must be a list"),
        (lambda f: fo.successive_halving(f, [1], budgets=[]), "budgets must be a list"),
        (lambda f: fo.successive_halving(f, [1], budgets=[1], keep=1.0), "keep must be between 0 and 1"),
    ],
)
def test_refusals_name_the_argument(call, message):
    with pytest.raises(ValueError, match=message):
        call(lambda x, *rest: float(np.sum(x)))


def test_halving_of_nan():
    r = fo.successive_halving(lambda c, budget: math.nan, [1, 2, 3], budgets=[1, 2])
    assert not r.success and math.isnan(r.fun) and "NaN" in r.message


def test_sobol_points_are_scipys_without_a_warning():
    """Whatever the number of samples, and wherever a search goes on."""
    qmc = pytest.importorskip("scipy.stats").qmc

    seen = []
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        fo.random_search(
            lambda x: seen.append(x.copy()) or 0.0, [(0, 1), (2, 5)], samples=1500, sobol=True, threads=1
        )
    unit = qmc.Sobol(2, seed=0).random(2048)[:1500]
    np.testing.assert_allclose(seen, unit * [1, 3] + [0, 2], rtol=1e-15)


@pytest.mark.parametrize("how", ["plain", "compiled"])
def test_an_interrupted_restart_ends_those_of_other_threads(how):
    """Ctrl-C reaches the main thread; the run of the other one would last as long as its limit."""
    main, limit, others = threading.main_thread(), 3_000_000, threading.Event()

    def value(x):
        if threading.current_thread() is main:
            others.wait(30)
            raise KeyboardInterrupt
        others.set()
        return abs(x[0])

    fun, callback = value, None
    if how == "compiled":
        fun, callback = pytest.importorskip("numba").njit(lambda x: abs(x[0])), lambda x: value(x) and None
    r = fo.random_restarts(
        fun, [(1.0, 2.0)] * 2, restarts=2, threads=2, rule=fo.SGD(lr=1e-9), gtol=0, maxfev=limit, maxiter=limit,
        callback=callback,
    )  # fmt: skip
    assert r.status == 12 and not r.success
    assert all(found.status == 12 and found.nfev < limit for found in r.results)


def test_an_interrupt_between_two_restarts(monkeypatch):
    """Ctrl-C while a run is prepared: those before are returned, as after one inside a run."""
    from fastopt.minimization import searches

    real, calls = searches.minimize, []

    def prepared(*args, **options):
        calls.append(1)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return real(*args, **options)

    monkeypatch.setattr(searches, "minimize", prepared)
    r = fo.random_restarts(lambda x: x @ x, [(-1, 1)] * 2, restarts=5, threads=1)
    assert r.status == 12 and not r.success and len(r.results) == 2 and r.fun == min(q.fun for q in r.results)
    calls[:] = [1, 1]
    with pytest.raises(KeyboardInterrupt):  # nothing to return yet
        fo.random_restarts(lambda x: x @ x, [(-1, 1)] * 2, restarts=5, threads=1)


@pytest.mark.parametrize("threads", [1, 2])
def test_stop_iteration_of_the_function_returns_the_best_so_far(threads):
    def stopping(after):
        calls = []

        def fun(*x):
            calls.append(1)
            if len(calls) > after:
                raise StopIteration
            return float(np.sum(np.square(x[0])))

        return fun

    axes = [np.linspace(-1, 1, 50)] * 2
    found = fo.grid_search(stopping(700), axes, threads=threads)
    assert not found.success and "interrupted" in found.message and 0 < found.nfev <= 700
    rest = fo.grid_search(stopping(10**9), axes, threads=threads, start=found)
    assert rest.success and rest.fun == fo.grid_search(stopping(10**9), axes).fun
    found = fo.random_search(stopping(700), [(-1, 1)], samples=3000, threads=threads)
    assert not found.success and found.x is not None
    found = fo.successive_halving(stopping(25), list(range(20)), budgets=[1, 3, 9], threads=threads)
    assert not found.success and found.x == 0 and "interrupted" in found.message


def test_a_start_of_another_search_is_refused():
    one = fo.grid_search(lambda x: x[0], [np.arange(3.0)])
    with pytest.raises(ValueError, match="start is a result of another search"):
        fo.grid_search(lambda x: x[0], [np.arange(3.0)] * 2, start=one)
    with pytest.raises(ValueError, match="start is a result of another search"):
        fo.random_search(lambda x: x[0], [(0, 1)] * 2, samples=5, start=one)


@pytest.mark.parametrize("options", [{"log": True}, {"sobol": True}, {"log": [False, True]}])
def test_a_sampler_draws_its_own(options):
    with pytest.raises(ValueError, match="log and sobol are for points inside bounds"):
        fo.random_search(lambda x: x[0], sampler=lambda rng: rng.random(2), **options)
