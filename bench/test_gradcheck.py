"""Numeric gradients and the gradient check, against the lectures' loop and scipy.

pytest bench/test_gradcheck.py          one group a question, by pytest-benchmark
python bench/test_gradcheck.py          the ratios in one run, interleaved, medians
"""

import importlib.util
import time

import numpy as np
import pytest

from fastopt.bench.timing import Contestant, in_turns
from fastopt.checking import gradcheck, numeric_gradient, numeric_linear_gradient
from fastopt.losses import MulticlassHinge

SHAPE = 10, 3073, 5000  # classes, features, rows: CIFAR-10 with the bias in the weights
SAMPLE = 40  # weights on which the lectures' loop is timed; the rest is extrapolated
MILLION = 1_000_000


def eval_numerical_gradient(f, x, h=1e-5, stop=None):
    """The lectures' loop (CS231n, optimization notes), the centred form; `stop` ends it early."""
    grad = np.zeros_like(x)
    it = np.nditer(x, flags=["multi_index"], op_flags=["readwrite"])
    count = 0
    while not it.finished and count != stop:
        i = it.multi_index
        old = x[i]
        x[i] = old + h
        above = f(x)
        x[i] = old - h
        below = f(x)
        x[i] = old
        grad[i] = (above - below) / (2 * h)
        it.iternext()
        count += 1
    return grad


def hinge_problem():
    classes, features, n = SHAPE
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(n, features)), rng.integers(0, classes, n)
    W = rng.normal(size=(classes, features)) * 0.01
    rows = np.arange(n)

    def f(W):
        t = X @ W.T
        t = np.maximum(0, t - t[rows, y][:, None] + 1)
        t[rows, y] = 0
        return t.sum() / n

    return f, W, X, y


def slow_f(seconds=0.01):
    """A function of a million parameters that takes 10 ms, and its gradient."""

    def f(x):
        until = time.perf_counter() + seconds
        value = np.dot(x, x) / 2 + np.sin(x[::16]).sum()
        time.sleep(max(0.0, until - time.perf_counter()))
        return value

    def grad(x):
        g = x.copy()
        g[::16] += np.cos(x[::16])
        return g

    return f, grad


def wrong_at(grad, i):
    def wrong(x):
        g = grad(x)
        g[i] *= -1
        return g

    return wrong


def compiled():
    """{name: compiled f}: a chain of dependent sums, and two that the compiler vectorises."""
    numba = pytest.importorskip("numba")

    @numba.njit
    def rosenbrock(x):
        total = 0.0
        for i in range(x.size - 1):
            total += 100 * (x[i + 1] - x[i] * x[i]) ** 2 + (1 - x[i]) ** 2
        return total

    @numba.njit(fastmath={"reassoc", "nsz", "contract"})
    def rosenbrock_vectorised(x):
        total = 0.0
        for i in range(x.size - 1):
            total += 100 * (x[i + 1] - x[i] * x[i]) ** 2 + (1 - x[i]) ** 2
        return total

    @numba.njit(fastmath={"reassoc", "nsz", "contract"})
    def wells(x):
        total = 0.0
        for i in range(x.size):
            total += (x[i] * x[i] - 1) ** 2
        return total

    return {"rosenbrock": rosenbrock, "rosenbrock, vectorised": rosenbrock_vectorised, "wells": wells}


def scipy_gradient(f, x):
    from scipy.optimize._numdiff import approx_derivative

    return approx_derivative(f, x, method="3-point")


needs_scipy = pytest.mark.skipif(importlib.util.find_spec("scipy") is None, reason="scipy")


@pytest.mark.benchmark(group="numeric gradient, hinge 10 x 3073 on 5,000 rows")
@pytest.mark.parametrize("way", ["structure", f"lectures ({SAMPLE} of 30,730 weights)"])
def test_linear(benchmark, way):
    f, W, X, y = hinge_problem()
    if way == "structure":
        benchmark.pedantic(numeric_linear_gradient, (MulticlassHinge(), W, X, y), rounds=3, warmup_rounds=1)
    else:
        benchmark.pedantic(eval_numerical_gradient, (f, W), {"stop": SAMPLE}, rounds=2)


@pytest.mark.benchmark(group="gradcheck, 1e6 parameters, f takes 10 ms")
@pytest.mark.parametrize("kind", ["right", "one wrong entry"])
def test_million(benchmark, kind):
    f, grad = slow_f()
    x = np.random.default_rng(0).normal(size=MILLION)
    g = grad if kind == "right" else wrong_at(grad, 123_456)
    report = benchmark.pedantic(gradcheck, (f, g, x), {"raise_exception": False}, rounds=2)
    assert bool(report) is (kind == "right")


@pytest.mark.benchmark(group="numeric gradient, compiled f of 1,000 parameters")
@pytest.mark.parametrize("way", ["fastopt", pytest.param("scipy", marks=needs_scipy)])
@pytest.mark.parametrize("name", ["rosenbrock", "rosenbrock, vectorised", "wells"])
def test_compiled(benchmark, name, way):
    f, x = compiled()[name], np.random.default_rng(0).normal(size=1000)
    benchmark(numeric_gradient if way == "fastopt" else scipy_gradient, f, x)


def _median(function, repeats):
    times = []
    for _ in range(repeats):
        time.sleep(0.1)  # BLAS workers spin after their work
        start = time.perf_counter()
        function()
        times.append(time.perf_counter() - start)
    return float(np.median(times))


def _repeated(way, f, x, calls):
    return lambda: [way(f, x) for _ in range(calls)]


def main():
    f, W, X, y = hinge_problem()
    numeric_linear_gradient(MulticlassHinge(), W[:, :4], X[:64, :4], y[:64])
    ours = _median(lambda: numeric_linear_gradient(MulticlassHinge(), W, X, y), 3)
    loop = _median(lambda: eval_numerical_gradient(f, W, stop=SAMPLE), 2) / SAMPLE * W.size
    print(
        f"hinge 10 x 3,073 on 5,000 rows: {ours:.2f} s; lectures' loop {loop:.0f} s (extrapolated): {loop / ours:.0f}x"
    )
    f, grad = slow_f()
    x = np.random.default_rng(0).normal(size=MILLION)
    for kind, g in (("right", grad), ("one wrong entry", wrong_at(grad, 123_456))):
        seconds = _median(lambda g=g: gradcheck(f, g, x, raise_exception=False), 2)
        print(f"gradcheck of 1e6 parameters, f takes 10 ms, {kind}: {seconds:.1f} s")
    x = np.random.default_rng(0).normal(size=1000)
    for name, f in compiled().items():
        ways = {"ours": numeric_gradient, "scipy": scipy_gradient}
        # as often as fills scipy's 13 ms: the first calls after the pause find cold caches
        calls = {"ours": 30, "scipy": 1}
        turns = {k: Contestant(_repeated(way, f, x, calls[k]), repeats=calls[k]) for k, way in ways.items()}
        turns = in_turns(turns, 5)
        ours, peer = (float(np.median(turns[k])) for k in ways)
        print(
            f"compiled {name}, 1,000 parameters: {ours * 1e3:.2f} ms; scipy {peer * 1e3:.1f} ms: {peer / ours:.0f}x"
        )


if __name__ == "__main__":
    main()
