"""Trials in which an optimizer, a training run or a solver goes over to Numba at a random moment: the bits of one engine alone,
and no hang.

    python tests/handover_trials.py --jobs 2   200 trials, 50 of them with forks, threads, Ctrl-C and ends of programs, two at a time
    python tests/handover_trials.py --one forks 7    one of them, in this process

Each is a process of its own, which ends with status 0 or not at all; every fourth has an empty cache of kernels, so that
the compiler is at work while it steps.
"""

import argparse
import concurrent.futures
import contextlib
import faulthandler
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
import traceback
import warnings
from typing import NamedTuple

import numpy as np
import scipy.sparse

import fastopt as fo
from fastopt import background, solvers
from fastopt.engines import choose, handover
from fastopt.rules import is_in_c

LIMIT = 900  # seconds for a trial on a machine that is busy with much else


class Own(NamedTuple):
    lr: float = 0.01
    slots = ("v",)

    @staticmethod
    def coefficients(h, t):
        return h.lr, 0.9

    @staticmethod
    def update(h, k, p, g, s):
        lr, beta = k
        v = beta * s[0] + g / (np.abs(g) + lr)
        return p - lr * v, (v,)


RULES = [Own(), fo.Averaged(fo.Adam(0.01)), fo.Lookahead(Own()), fo.Lookahead(fo.Rprop(0.01)), fo.Cautious(fo.Adam(0.01))]  # fmt: skip


LOSSES = (fo.Softmax(), fo.MulticlassHinge(), fo.SquaredError())


class Steps:
    """An optimizer on gradients that follow from the number of the step."""

    def __init__(self, rule, backend, size=200):
        rng = np.random.default_rng(3)
        self.p = rng.standard_normal(size).astype(np.float32)
        self.pool = rng.standard_normal((16, size)).astype(np.float32)
        self.opt = fo.Optimizer(self.p, rule, backend=backend)

    def step(self):
        self.opt.step(self.pool[self.opt.t % 16])

    def rest(self):
        """Now and then: a program does other things too, and steps without end would only be steps to be checked."""
        if self.opt.t % 16 == 0:
            time.sleep(2e-3)

    def bits(self):
        return b"".join([self.p.tobytes(), *(s.tobytes() for s in self.opt.state.values())])


def check(steps, rule):
    alone = Steps(rule, "c" if is_in_c(rule) else "numpy")
    while alone.opt.t < steps.opt.t:
        alone.step()
    assert alone.bits() == steps.bits(), f"other bits after {steps.opt.t} steps of {rule}"


def until_over(steps, further=50, seconds=LIMIT / 2):
    """Step until Numba steps, and some steps more."""
    limit = time.monotonic() + seconds
    while steps.opt.backend != "numba" and time.monotonic() < limit:
        steps.step()
        steps.rest()
    assert steps.opt.backend == "numba", "it never went over"
    for _ in range(further):
        steps.step()


def plain(rng, rule):
    steps = Steps(rule, "auto")
    until_over(steps, int(rng.integers(1, 100)))
    check(steps, rule)


def until_numba(run, alone, limit=LIMIT / 2):
    """Call run() until it ends with Numba; each time its arrays have the bits of the one engine's."""
    began, wanted = time.monotonic(), [a.tobytes() for a in alone]
    while True:
        backend, arrays = run()
        assert [a.tobytes() for a in arrays] == wanted
        if backend == "numba":
            return
        assert time.monotonic() - began < limit, "it never went over"
        time.sleep(0.2)


def pause(_):
    time.sleep(0.002)  # so that the compiler, which needs Python's lock, comes on


def train(rng, rule):
    """A training run that goes over where the compiler happens to be ready."""
    n, features = 2000, int(rng.integers(5, 200))
    X, y = rng.random((n, features), np.float32), rng.integers(0, 4, n)
    X /= np.float32(features**0.5)  # else squared errors with batches of one row diverge
    options = {
        "batch_size": int(rng.choice([1, 32, 500])),
        "loss": LOSSES[rng.integers(3)],
        "l2": 1e-4,
        "epochs": 20,
    }
    options["rule"] = (fo.SGD(0.01), fo.Momentum(0.01), fo.Adam(0.001))[rng.integers(3)]
    handover.LEFT = -1

    def run():
        fit = fo.train(X, y, progress=pause, **options)
        return fit.backend, (fit.W, fit.b)

    alone = fo.train(X, y, backend="c", **options)
    until_numba(run, (alone.W, alone.b))


def solve(rng, rule):
    """A solver that goes over between two passes, where the compiler happens to be ready."""
    n, features = 2000, int(rng.integers(5, 60))
    X = rng.random((n, features), np.float32) * (rng.random((n, features)) < 0.5)
    y = (X[:, :3] + rng.random((n, 3), np.float32)).argmax(axis=1)
    if rng.random() < 0.5:
        X = scipy.sparse.csr_array(X)
    loss = (fo.Softmax(), fo.Logistic(), fo.SquaredHinge())[rng.integers(3)]
    solver, threads = ("lbfgs", "newton")[rng.integers(2)], int(rng.integers(1, 3))
    handover.PASSES = -1
    warnings.filterwarnings("ignore", ".*NOT converged")

    def run(backend="auto", callback=pause):
        objective = fo.Objective(loss, X, y, l2=1e-4, backend=backend, threads=threads)
        W, b, report = solvers.solve(objective, solver, tol=0.0, max_iter=25, callback=callback)
        return report.backend, (W, b, report.history["objective"])

    until_numba(run, run("c", None)[1])


def threads(rng, rule):
    """Several optimizers, a thread each, and other kernels that are compiled in the foreground meanwhile."""
    many, errors = [Steps(rule, "auto") for _ in range(3)], []

    def work(steps):
        try:
            until_over(steps)
        except BaseException as error:
            errors.append(error)

    crew = [threading.Thread(target=work, args=(steps,)) for steps in many]
    for thread in crew:
        thread.start()
    time.sleep(rng.random())
    fo.Optimizer(np.ones(3), fo.SGD(), backend="numba").step(np.ones(3))
    for thread in crew:
        thread.join()
    assert not errors, errors
    for steps in many:
        check(steps, rule)


def forks(rng, rule):
    """Children forked at random moments step on: in what they have, and by a numba that they ask for."""
    steps, children = Steps(rule, "auto"), []
    moments = sorted(rng.random(3) * 4)
    began = time.monotonic()
    while steps.opt.backend != "numba" or moments:
        steps.step()
        steps.rest()
        if moments and time.monotonic() - began > moments[0]:
            moments.pop(0)
            if not (pid := os.fork()):
                child(steps, rule)
            children.append(pid)
    for _ in range(50):
        steps.step()
    check(steps, rule)
    for pid in children:
        _, status = os.waitpid(pid, 0)
        assert status == 0, f"a child ended with {status}"


def child(steps, rule):
    code = 1
    try:
        faulthandler.dump_traceback_later(LIMIT // 3, exit=True)  # a child that hangs says where
        for _ in range(200):
            steps.step()
        check(steps, rule)
        if background.is_cut_off():
            assert not choose.has_numba() and steps.opt.backend != "numba"
        else:
            fo.Optimizer(np.ones(3), rule, backend="numba").step(np.ones(3))
        code = 0
    except BaseException:
        traceback.print_exc()  # who leaves by os._exit says nothing
    finally:
        os._exit(code)


def interrupts(rng, rule):
    """Ctrl-C every now and then: each step is taken or not, and t says which."""
    steps = Steps(rule, "auto")
    main, over = threading.main_thread().ident, threading.Event()
    waits = rng.random(2000) * 0.02

    def shoot():
        for wait in waits:
            if over.wait(wait):
                return
            signal.pthread_kill(main, signal.SIGINT)

    shooter = threading.Thread(target=shoot, daemon=True)
    limit = time.monotonic() + LIMIT / 2
    while True:
        try:
            if not shooter.ident:
                shooter.start()
            while steps.opt.backend != "numba" and time.monotonic() < limit:
                steps.step()
                steps.rest()
            for _ in range(200):
                steps.step()
            break
        except KeyboardInterrupt:
            continue
    while shooter.is_alive():
        with contextlib.suppress(KeyboardInterrupt):
            over.set()
            shooter.join()
    assert steps.opt.backend == "numba", "it never went over"
    check(steps, rule)


def exit(rng, rule):
    """The program ends while the compiler is at work."""
    steps, began, wait = Steps(rule, "auto"), time.monotonic(), rng.random() * 3
    while time.monotonic() - began < wait:
        steps.step()
        steps.rest()
    check(steps, rule)


HOW = {f.__name__: f for f in (plain, train, solve, threads, forks, interrupts, exit)}


def one(how, seed):
    handover.PATIENCE = 0.01 * (seed % 5)
    rng = np.random.default_rng(seed)
    HOW[how](rng, RULES[seed % len(RULES)])


def trial(number, cache):
    how = (
        ("threads", "forks", "interrupts", "exit")[number // 4 % 4]
        if number % 4 == 0
        else ("plain", "train", "solve")[number % 3]
    )
    with tempfile.TemporaryDirectory() as empty:
        folder = empty if number // 16 % 4 == 0 else cache
        began = time.monotonic()
        done = subprocess.run(
            [sys.executable, "-P", __file__, "--one", how, str(number)], timeout=LIMIT, capture_output=True, text=True,
            env={**os.environ, "NUMBA_CACHE_DIR": folder, "FASTOPT_BACKEND": "auto"}, check=False,
        )  # fmt: skip
    good = done.returncode == 0 and "Traceback" not in done.stderr and "Exception ignored" not in done.stderr
    cold = "cold" if folder == empty else "warm"
    print(
        f"{number:3d} {how:10s} {cold} {time.monotonic() - began:5.1f} s {'good' if good else 'BAD'}",
        flush=True,
    )
    if not good:
        print(done.returncode, done.stdout, done.stderr, flush=True)
    return good


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--one", nargs=2, metavar=("HOW", "SEED"))
    parser.add_argument("--trials", type=int, default=200)
    parser.add_argument("--jobs", type=int, default=1, help="trials at a time")
    given = parser.parse_args()
    if given.one:
        one(given.one[0], int(given.one[1]))
        return 0
    with tempfile.TemporaryDirectory() as cache, concurrent.futures.ThreadPoolExecutor(given.jobs) as pool:
        bad = sum(not good for good in pool.map(lambda number: trial(number, cache), range(given.trials)))
    print(f"{given.trials - bad} of {given.trials} good")
    return int(bad > 0)


if __name__ == "__main__":
    sys.exit(main())
