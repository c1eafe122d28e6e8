"""Figures of fo.minimize, minimize_many and fo.jit.minimize against SciPy, interleaved, medians.

    python bench/minimize.py [--fits N]     everything; N fits (default a million)

Run it where it is quiet: times of single threads, ratios of the same run.
"""

import argparse
import contextlib
import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import numpy as np
from numba import njit
from scipy import optimize

import fastopt as fo
from fastopt import background


@njit(cache=True)
def rosenbrock(x):
    s = 0.0
    for i in range(x.size - 1):
        s += 100.0 * (x[i + 1] - x[i] * x[i]) ** 2 + (1.0 - x[i]) ** 2
    return s


@njit(cache=True)
def gradient(x):
    g = np.zeros(x.size)
    for i in range(x.size - 1):
        a = x[i + 1] - x[i] * x[i]
        g[i] += -400.0 * a * x[i] - 2.0 * (1.0 - x[i])
        g[i + 1] += 200.0 * a
    return g


@njit(cache=True)
def curve(t, a, b, c):
    return a * np.exp(-b * t) + c


@njit(cache=True)
def slopes(t, a, b, c):
    e = np.exp(-b * t)
    return e, -a * t * e, 1.0


@njit(cache=True)
def wave(t, a, b, c):
    return a * np.exp(-b * t) + c + 0.0 * np.cos(t)


@njit(cache=True)
def inside_bfgs(x0, work, count):
    s = 0.0
    for _ in range(count):
        s += fo.jit.minimize(rosenbrock, x0, jac=gradient, method="bfgs", work=work).fun
    return s


@njit(cache=True)
def inside_simplex(x0, work, count):
    s = 0.0
    for _ in range(count):
        s += fo.jit.minimize(rosenbrock, x0, method="nelder-mead", work=work).fun
    return s


def seconds(call, repeats):
    start = time.perf_counter()
    for _ in range(repeats):
        call()
    return (time.perf_counter() - start) / repeats


def interleaved(rounds=7, **calls):
    """{name: median seconds} of (function, repeats)."""
    times = {name: [] for name in calls}
    for call, _ in calls.values():
        call()
    compiled = threading.Event()  # a solver that is used for the first time is compiled in the background
    background.submit(compiled.set)
    compiled.wait(60)
    for _ in range(rounds):
        for name, (call, repeats) in calls.items():
            times[name].append(seconds(call, repeats))
    return {name: statistics.median(t) for name, t in times.items()}


def one_problem():
    for n in (2, 100):
        x0 = np.resize([-1.2, 1.0], n)
        for method, peer in (("bfgs", "BFGS"), ("lbfgs", "L-BFGS-B")):
            ours = fo.minimize(rosenbrock, x0, jac=gradient, method=method, gtol=1e-5)
            theirs = optimize.minimize(rosenbrock, x0, jac=gradient, method=peer, options={"gtol": 1e-5})
            t = interleaved(
                fo=(
                    lambda m=method, x=x0: fo.minimize(rosenbrock, x, jac=gradient, method=m),
                    50 if n == 2 else 10,
                ),
                scipy=(
                    lambda m=peer, x=x0: optimize.minimize(rosenbrock, x, jac=gradient, method=m),
                    5 if n == 2 else 2,
                ),
            )
            a, b = t["fo"] / ours.nfev, t["scipy"] / theirs.nfev
            print(
                f"Rosenbrock {n}-d {method}: {t['fo'] * 1e6:.1f} us a solve, SciPy {t['scipy'] * 1e6:.0f} us, "
                f"{t['scipy'] / t['fo']:.0f}x; evaluations {ours.nfev} and {theirs.nfev}, each {a * 1e6:.2f} and "
                f"{b * 1e6:.2f} us, {b / a:.1f}x; f {ours.fun:.1e} and {theirs.fun:.1e}"
            )


def from_many_starts():
    """Evaluations from one start are luck: the same from a hundred."""
    starts = np.random.default_rng(0).uniform(-2, 2, (100, 2))
    for method, peer in (("bfgs", "BFGS"), ("lbfgs", "L-BFGS-B")):
        counts = np.array(
            [
                (
                    fo.minimize(rosenbrock, x, jac=gradient, method=method, gtol=1e-5).nfev,
                    optimize.minimize(rosenbrock, x, jac=gradient, method=peer, options={"gtol": 1e-5}).nfev,
                )
                for x in starts
            ]
        )
        a, b = np.exp(np.log(counts).mean(axis=0))
        print(
            f"Rosenbrock 2-d {method} from 100 random starts: {a:.1f} evaluations (geometric mean), SciPy {b:.1f}"
        )


def inside():
    x0, count = np.array([-1.2, 1.0]), 1000
    for name, call, peer in (("bfgs", inside_bfgs, "BFGS"), ("nelder-mead", inside_simplex, "Nelder-Mead")):
        work = fo.jit.workspace(2, name)
        jac = gradient if peer == "BFGS" else None
        t = interleaved(
            fo=(lambda c=call, w=work: c(x0, w, count), 1),
            scipy=(lambda m=peer, j=jac: optimize.minimize(rosenbrock, x0, jac=j, method=m), 5),
        )
        us = t["fo"] / count * 1e6
        print(
            f"fo.jit.minimize {name}: {us:.2f} us a call, SciPy's {t['scipy'] * 1e6:.0f} us, {t['scipy'] * 1e6 / us:.0f}x"
        )


def fits(count):
    rng = np.random.default_rng(0)
    t = np.linspace(0, 4, 20)
    true = np.stack(
        [rng.uniform(1, 5, count), rng.uniform(0.3, 2.5, count), rng.uniform(-1, 1, count)], axis=1
    )
    Y = true[:, :1] * np.exp(-true[:, 1:2] * t) + true[:, 2:] + 0.05 * rng.standard_normal((count, 20))
    start = np.array([2.0, 1.0, 0.0])

    def many(f, jac=slopes, n=count, threads=None, dtype=np.float64):
        return fo.minimize_many(
            f, start.astype(dtype), (t, Y[:n]), jac=jac, method="curve-fit", threads=threads
        )

    def scipy():
        for k in range(1000):
            with contextlib.suppress(RuntimeError):
                optimize.curve_fit(lambda t, a, b, c: a * np.exp(-b * t) + c, t, Y[k], start)

    for f, jac in ((curve, slopes), (curve, None), (wave, slopes)):
        many(f, jac, 1000)
    peer = seconds(scipy, 1) / 1000
    for name, f, jac, dtype in (
        ("lanes", curve, slopes, np.float64), ("lanes, differences", curve, None, np.float64),
        ("lanes, float32", curve, slopes, np.float32), ("no lanes", wave, slopes, np.float64),
    ):  # fmt: skip
        for threads in (1, 2):
            many(f, jac, 1000, threads, dtype)
            took = min(
                seconds(lambda f=f, j=jac, w=threads, d=dtype: many(f, j, count, w, d), 1) for _ in range(3)
            )
            print(
                f"fits ({name}), {threads} thread(s): {count / took:.3g} a second, {peer * count / took:.0f}x curve_fit"
            )
    for n in (count // 100, count // 10, count):
        print(f"  {n} fits: {seconds(lambda n=n: many(curve, slopes, n), 1) / n * 1e9:.0f} ns each")
    print(" ", many(curve).message)
    statuses(t, Y, start)


def statuses(t, Y, start):
    """Every hundredth fit made unsolvable; what the statuses say beside the gradient, recomputed by NumPy."""
    broken = np.arange(len(Y)) % 100 == 7
    Y = np.where(broken[:, None] & (np.arange(t.size) == 5), np.nan, Y)
    result = fo.minimize_many(curve, start, (t, Y), jac=slopes, method="curve-fit")
    largest = np.empty(len(Y))
    for k in range(0, len(Y), 50_000):
        rows = slice(k, k + 50_000)
        a, b, c = (column[:, None] for column in result.x[rows].T)
        e = np.exp(-b * t)
        r = a * e + c - Y[rows]
        J = np.stack([e, -a * t * e, np.ones_like(e)])
        cosines = np.abs((J * r).sum(axis=2)) / (np.linalg.norm(J, axis=2) * np.linalg.norm(r, axis=1))
        largest[rows] = cosines.max(axis=0)
    success = result.success
    print(
        f"  {broken.sum()} of {len(Y)} made unsolvable: {(success & broken).sum()} of them called solved; of the others "
        f"{(success & ~broken).sum()} solved, {(success & ~(largest < 1e-5)).sum()} of these with a cosine of residuals "
        f"and columns above 1e-5 (largest {largest[success].max():.1e}), {(~success & (largest < 1e-8)).sum()} called "
        f"unsolved with one below 1e-8"
    )


FIRST = """
import time, numpy as np, numba
import fastopt as fo
import fastopt.kernels.minimization.binding
import sys
sys.path.insert(0, {folder!r})
from bench_first import f, g
start = time.perf_counter()
fo.minimize(f, np.array([-1.2, 1.0]), jac=g, method={method!r})
print(time.perf_counter() - start)
"""


def first_calls():
    with tempfile.TemporaryDirectory() as folder:
        source = (
            Path(__file__)
            .read_text()
            .split("@njit(cache=True)\ndef curve")[0]
            .split("import fastopt as fo")[1]
        )
        text = "import numpy as np\nfrom numba import njit\n" + source
        Path(folder, "bench_first.py").write_text(
            text.replace("def rosenbrock", "def f").replace("def gradient", "def g")
        )
        environment = {**os.environ, "NUMBA_CACHE_DIR": folder + "/cache"}
        for method in ("lbfgs", "bfgs", "newton"):
            code = FIRST.format(folder=folder, method=method)
            runs = [
                float(
                    subprocess.run(
                        [sys.executable, "-c", code],
                        env=environment,
                        cwd=folder,
                        capture_output=True,
                        text=True,
                        check=True,
                    ).stdout
                )
                for _ in range(3)
            ]
            print(f"first call of {method}: cold {runs[0]:.2f} s, warm {min(runs[1:]):.3f} s")


def random_classifiers():
    rng = np.random.default_rng(0)
    X = rng.standard_normal((20_000, 784)).astype(np.float32)
    y = rng.integers(0, 10, 20_000)

    def loop(count=20):
        best = 0.0
        for _ in range(count):
            W = rng.standard_normal((10, 784)) * 1e-4
            best = max(best, np.mean((X @ W.T).argmax(axis=1) == y))

    fo.random_linear_search(X, y, samples=64)
    ours, lectures = seconds(lambda: fo.random_linear_search(X, y), 1) / 1000, seconds(loop, 1) / 20
    print(
        f"random W of (20000, 784), 10 classes: {ours * 1e3:.2f} ms each, the lectures' loop {lectures * 1e3:.2f} ms"
    )


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--fits", type=int, default=1_000_000)
    options = parser.parse_args()
    one_problem()
    from_many_starts()
    inside()
    fits(options.fits)
    random_classifiers()
    first_calls()
