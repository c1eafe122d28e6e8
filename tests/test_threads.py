"""Threads: many at once, forks, limits; and the control word that steps change and put back."""

import os
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

import fastopt as fo
from fastopt import threads as policy

# What each script below starts with: steps large enough to be shared, and their right result.
COMMON = """
import os, signal, sys, threading, warnings
warnings.simplefilter("ignore")  # Python says that forking a process with threads is unwise
import numpy as np, fastopt as fo
signal.alarm(100)
def run(backend, steps=5, size=1_000_000, threads=2):
    p = np.linspace(-1, 1, size, dtype="f4")
    opt = fo.Optimizer(p, fo.Adam(), backend=backend, threads=threads)
    for t in range(steps):
        opt.step(p + np.float32(t))
    return p.tobytes()
right = run("numpy")
backend = {backend!r}
def check():
    assert run(backend) == right, "a step gave other bits"
try:
    check()
except ValueError as error:
    if "threading layer" not in str(error):
        raise
    print("missing")
    sys.exit()
def child(work):
    pid = os.fork()
    if pid == 0:
        signal.alarm(60)
        status = 1
        try:
            work()
            status = 0
        finally:
            os._exit(status)
    return pid
def join(pid):
    assert os.waitpid(pid, 0)[1] == 0, "the child failed"
"""

AT_ONCE = """
failed = []
def work():
    try:
        for _ in range(3):
            check()
    except BaseException as error:
        failed.append(error)
workers = [threading.Thread(target=work) for _ in range(8)]
for w in workers: w.start()
for w in workers: w.join()
assert not failed, failed
"""

FORKS = """
first = child(check)         # a child after the parent has used its threads
check()                      # the parent beside it
join(first)
check()                      # and after it
join(child(lambda: join(child(check))))  # a child's child
"""

FORKS_AMID_STEPS = """
stop = threading.Event()
def work():
    while not stop.is_set():
        check()
worker = threading.Thread(target=work)
worker.start()
try:
    for _ in range(8):
        join(child(check))
finally:
    stop.set()
    worker.join()
check()
"""

LAYERS = ["omp", "workqueue", "tbb"]


@pytest.fixture(params=[*LAYERS, "c", "numpy"])
def script(request, need, python):
    """script(code) runs the code on a back end, numba with each of its threading layers."""
    backend = "numba" if request.param in LAYERS else request.param
    need(backend)
    layer = {"NUMBA_THREADING_LAYER": request.param} if backend == "numba" else {}

    def run(code):
        code = COMMON.format(backend=backend) + code + "\nprint('all checked')\n"
        out = python(code, NUMBA_NUM_THREADS="2", **layer)
        if out.startswith("missing"):
            pytest.skip(f"the threading layer {request.param} is not installed")
        return out.strip()

    return run


def test_eight_threads_at_once(script):
    assert script(AT_ONCE) == "all checked"


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
@pytest.mark.parametrize("code", [FORKS, FORKS_AMID_STEPS], ids=["between steps", "amid steps"])
def test_fork(script, code):
    assert script(code) == "all checked"


def test_threads_that_compile_at_once(numba):
    """Eight threads that each need a kernel which is not there yet."""
    results, rules = {}, [r for r in fo.rules.RULES if r.slots == ("v",)]

    def work(i, rule):
        p = np.ones(50, "f4")
        opt = fo.Optimizer(p, rule(), backend="numba")
        opt.step(np.ones(50, "f4"))
        results[i] = rule, p

    workers = [threading.Thread(target=work, args=job) for job in enumerate([*rules, *rules])]
    for w in workers:
        w.start()
    for w in workers:
        w.join()
    assert len(results) == 2 * len(rules)
    for rule, p in results.values():
        q = np.ones(50, "f4")
        fo.Optimizer(q, rule(), backend="numpy").step(np.ones(50, "f4"))
        assert p.tobytes() == q.tobytes()


# -------------------------------------------------------------------- limits


@pytest.mark.parametrize("name", ["OMP_NUM_THREADS", "NUMBA_NUM_THREADS"])
@pytest.mark.parametrize("value, limit", [("1", 1), ("1,4", 1), ("", 64), ("0", 64), ("many", 64), ("3", 3)])
def test_environment(name, value, limit, monkeypatch):
    monkeypatch.setattr(policy, "cpus", lambda: 64)
    monkeypatch.setattr(policy, "_recent_quota", lambda: 64)
    for other in ("OMP_NUM_THREADS", "NUMBA_NUM_THREADS"):
        monkeypatch.delenv(other, raising=False)
    monkeypatch.setenv(name, value)
    assert policy.usable_threads() == limit


@pytest.mark.parametrize(
    "files, limit",
    [
        ({"cpu.max": "150000 100000\n"}, 2),
        ({"cpu.max": "10000 100000\n"}, 1),
        ({"cpu.max": "max 100000\n"}, None),
        ({"cpu.cfs_quota_us": "300000\n", "cpu.cfs_period_us": "100000\n"}, 3),
        ({"cpu.cfs_quota_us": "-1\n", "cpu.cfs_period_us": "100000\n"}, None),
        ({}, None),
        ({"cpu.max": "nonsense\n"}, None),
    ],
)
def test_quota_of_the_control_group(files, limit, monkeypatch, tmp_path):
    for name, text in files.items():
        (tmp_path / name).write_text(text)

    def opened(path, *args):
        return open(tmp_path / os.path.basename(path), *args)

    monkeypatch.setattr(policy, "open", opened, raising=False)
    assert policy._quota() == (limit or os.cpu_count())


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="no affinity here")
def test_affinity(python):
    code = """
import os
os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
from fastopt.threads import usable_threads
print(usable_threads())
"""
    assert python(code) == "1\n"


def test_no_layer_of_numba_is_started(python, numba):
    code = """
import numpy as np, fastopt as fo, numba
from fastopt.engines import choose
choose.PARALLEL_NUMBERS = 1
opt = fo.Optimizer(np.zeros(99_999), fo.SGD(), backend="numba", threads=2)
opt.step(np.ones(99_999))
try:
    numba.threading_layer()
except ValueError:
    print("none")
"""
    assert python(code) == "none\n"


def test_share_does_every_part_once_and_in_order():
    for threads in (1, 2, 5):
        for count in (0, 1, 2, 7, 100):
            assert policy.share(lambda i: i * i, range(count), threads) == [i * i for i in range(count)]
            parts = policy.ranges(count, threads) if count else []
            assert [i for begin, end in parts for i in range(begin, end)] == list(range(count))


def test_share_hands_on_errors_when_all_have_stopped():
    running = set()

    def work(i):
        running.add(i)
        time.sleep(0.01)
        running.discard(i)
        if i == 1:
            raise KeyError(i)

    with pytest.raises(KeyError):
        policy.share(work, range(8), 2)
    assert not running


INTERRUPTED = """
import collections, faulthandler, threading, time
import numpy as np
import fastopt as fo
from fastopt import threads

armed = False

class Interrupted(collections.deque):
    "Ctrl-C that Python delivers when this thread has taken a part and not yet begun it."
    def popleft(self):
        global armed
        part = super().popleft()
        if armed and threading.current_thread() is threading.main_thread():
            armed = False
            time.sleep(0.01)
            raise KeyboardInterrupt
        return part

class Module:
    deque = Interrupted

threads.collections = Module
faulthandler.dump_traceback_later(60, exit=True)
"""
INTERRUPTED_STEP = """
p, g = np.zeros(2_000_000, "f4"), np.ones(2_000_000, "f4")
optimizer = fo.Optimizer(p, fo.Adam(0.01), threads=2, backend=BACKEND)
optimizer.step(g)
armed = True
try:
    optimizer.step(g)
except KeyboardInterrupt:
    print("stopped")
"""
INTERRUPTED_EPOCH = """
X, y = np.random.default_rng(0).normal(size=(20_000, 200)), np.arange(20_000) % 10
fo.train(X, y, epochs=1, batch_size=1000, threads=2, backend=BACKEND)
armed = True
import warnings
warnings.simplefilter("ignore")
if fo.train(X, y, epochs=3, batch_size=1000, threads=2, backend=BACKEND).interrupted:
    print("stopped")
"""


@pytest.mark.parametrize(
    "backend, code", [("c", INTERRUPTED_STEP), ("numba", INTERRUPTED_STEP), ("numba", INTERRUPTED_EPOCH)]
)
def test_ctrl_c_between_two_parts_hangs_nobody(need, python, backend, code):
    need(backend)
    assert "stopped" in python(f"BACKEND = {backend!r}\n" + INTERRUPTED + code)


def test_share_from_many_threads_and_from_within():
    def nested(i):
        return sum(policy.share(lambda j: i + j, range(10), 3))

    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda k: policy.share(nested, range(5), 3), range(40)))
    assert found == [[10 * i + 45 for i in range(5)]] * 40


# ----------------------------------------------------- subnormal numbers


@pytest.mark.parametrize("dtype, tiny", [("f4", 1e-40), ("f8", 1e-310)])
@pytest.mark.parametrize("size", [33, 70_000])
def test_subnormal_state(dtype, tiny, size, backend, many_threads):
    """State in the subnormal range: finite results, equal everywhere, and the mode put back."""

    def run(backend):
        p = np.linspace(-1, 1, size, dtype=dtype)
        opt = fo.Optimizer(p, fo.Adam(), backend=backend, threads=2 if size > 33 else 1)
        opt.state["m"][...] = tiny
        opt.state["v"][...] = tiny
        for _ in range(3):
            opt.step(np.full_like(p, tiny))
            assert np.array(tiny, dtype) * np.array(1, dtype) != 0
        assert np.isfinite(p).all()
        with pytest.raises(FloatingPointError):
            opt.step(np.full_like(p, np.inf))
        assert np.array(tiny, dtype) * np.array(1, dtype) != 0
        return p.tobytes() + b"".join(s.tobytes() for s in opt.state.values())

    assert run(backend) == run("numpy")


def test_threads_that_are_the_first_to_compile(need, python, tmp_path):
    need("numba")
    code = """
import threading
import numba, numpy as np
import fastopt as fo
X, failed, together = np.ones((300, 10)), [], threading.Barrier(3)
def work():
    together.wait()
    try:
        fo.Objective(fo.Softmax(), X, np.arange(300) % 3, backend="numba").value_and_grad(np.zeros((3, 10)), np.zeros(3))
    except Exception as error:
        failed.append(repr(error))
threads = [threading.Thread(target=work) for _ in range(3)]
[t.start() for t in threads], [t.join() for t in threads]
print(failed)
"""
    assert python(code, NUMBA_CACHE_DIR=str(tmp_path)) == "[]\n"
