"""Ctrl-C, and other threads, within a step: all of it or nothing, and t says which."""

import signal
import threading
import time

import numpy as np
import pytest

import fastopt as fo
from fastopt.engines import choose

pytestmark = pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="no interval timer here")

N, STEPS = 300_000, 8


def arrays(layout, rng):
    """Parameters of a layout, as a list of (array, what it starts as)."""
    flat = [rng.standard_normal(N).astype("f4")]
    return {
        "one": flat,
        "two dtypes": [flat[0][: N // 2], rng.standard_normal(N // 2)],
        "fortran": [np.asfortranarray(flat[0].reshape(300, -1)), rng.standard_normal((3, 4)).astype("f4")],
        "strided": [flat[0].reshape(300, -1), flat[0][:50].copy()],
        "strided, two dtypes": [flat[0].reshape(300, -1), rng.standard_normal((9, 900))],
    }[layout]


def same(ours, theirs):
    return all(a.tobytes() == b.tobytes() for a, b in zip(ours, theirs, strict=True))


def numbers(opt, params):
    """Copies of parameters and state."""
    return [np.array(a) for a in (*params, *(s for each in opt._states() for s in each.values()))]


CASES = [
    (backend, layout, threads, options)
    for backend in ("numba", "c", "numpy")
    for layout in ("one", "two dtypes", "fortran", "strided", "strided, two dtypes")
    for threads in (1, 2)
    for options in ({}, {"clip": 1.0}, {"nonfinite": "allow"})
]


def case(k):
    backend, layout, threads, options = CASES[k]
    name = f"{backend}, {layout}, {threads} threads, {', '.join(options) or 'plain'}"
    return pytest.param(*CASES[k], id=name, marks=() if k % 11 == 3 else pytest.mark.long)


@pytest.mark.parametrize("backend, layout, threads, options", [case(k) for k in range(len(CASES))])
def test_ctrl_c(backend, layout, threads, options, need, rng, monkeypatch):
    """At five moments of a step: what is there afterwards is a run of opt.t whole steps."""
    need(backend)
    monkeypatch.setattr(choose, "PARALLEL_NUMBERS", 1)
    starts = [p.copy(order="K") for p in arrays(layout, rng)]
    gradients = [np.full(p.shape, 0.5, p.dtype, order="F" if p.flags.f_contiguous else "C") for p in starts]

    def fresh():
        params = [p.copy(order="K") if k % 2 else p.copy() for k, p in enumerate(starts)]
        if "strided" in layout:
            params = [np.repeat(p, 2, axis=-1)[..., ::2] for p in params]
        return params, fo.Optimizer(params, fo.Momentum(0.1), backend=backend, threads=threads, **options)

    params, opt = fresh()
    after = [numbers(opt, params)]  # what 0, 1, 2, ... steps give
    began = time.perf_counter()
    for _ in range(STEPS):
        opt.step(gradients)
        after.append(numbers(opt, params))
    took = (time.perf_counter() - began) / STEPS
    for share in (0.1, 0.3, 0.55, 0.8, 1.3):
        params, opt = fresh()
        with pytest.raises(KeyboardInterrupt):
            signal.setitimer(signal.ITIMER_REAL, max(1e-5, took * share))
            for _ in range(STEPS):
                opt.step(gradients)
            time.sleep(60)
        assert same(numbers(opt, params), after[opt.t]), f"t = {opt.t} is not true"
        signal.setitimer(signal.ITIMER_REAL, 0)
        if opt.t < STEPS:
            opt.step(gradients)  # and it goes on
            assert same(numbers(opt, params), after[opt.t])


@pytest.fixture(autouse=True)
def alarm_as_ctrl_c():
    def interrupt(*_):
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGALRM, interrupt)
    yield
    signal.setitimer(signal.ITIMER_REAL, 0)
    signal.signal(signal.SIGALRM, before)


def test_one_optimizer_on_several_threads(backend, many_threads):
    """Steps wait for each other: none is lost, none reads memory that another one has freed."""
    p = np.zeros(50_000)
    opt = fo.Optimizer(p, fo.SGD(1.0), backend=backend, threads=2)
    errors = []

    def work():
        try:
            for _ in range(20):
                opt.step(np.ones(50_000))
        except BaseException as error:
            errors.append(error)

    workers = [threading.Thread(target=work) for _ in range(4)]
    for w in workers:
        w.start()
    for w in workers:
        w.join()
    assert not errors and opt.t == 80 and (p == -80).all()


def test_a_step_that_another_thread_does_not_leave(monkeypatch):
    from fastopt import optimizer

    monkeypatch.setattr(optimizer, "PATIENCE", 0.05)
    p = np.zeros(3)
    opt = fo.Optimizer(p, fo.SGD(1.0))
    done = threading.Event()
    other = threading.Thread(target=done.wait)
    other.start()
    opt._users["step"] = other.ident
    with pytest.raises(RuntimeError, match="in use by another thread"):
        opt.step(np.ones(3))
    assert not p.any() and opt.t == 0
    done.set()
    other.join()
    opt.step(np.ones(3))  # the other thread has ended: nobody is waited for
    assert opt.t == 1 and (p == -1).all()
