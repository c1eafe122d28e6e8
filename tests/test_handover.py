"""Optimizers that begin with what is there and go over to Numba: the same bits, wherever it happens, and no hang."""

import os
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest

import fastopt as fo
from fastopt import background
from fastopt.engines import choose, handover
from fastopt.exactness import is_exact

pytest.importorskip("numba", reason="numba is not installed")
pytestmark = pytest.mark.skipif(not choose.has_c(), reason="fastopt._native is not built")

SHARE = 0.25


def _mean(a, b):
    return (a + b) / (1 + 1)


class Own(NamedTuple):
    lr: float = 0.1
    slots = ("v", "w")

    @staticmethod
    def coefficients(h, t):
        return h.lr, 0.9, 1 / t

    @staticmethod
    def update(h, k, p, g, s):
        lr, beta, share = k
        v, w = s
        v, w = beta * v + g, w + share * (np.abs(g) - w)
        return p - lr * v / np.sqrt(w + lr), (v, w)


class OwnNorm(NamedTuple):
    lr: float = 0.1
    slots = ()
    measures, numbers = 1, 1

    @staticmethod
    def coefficients(h, t):
        return (h.lr,)

    @staticmethod
    def measure(h, k, p, g, s):
        return (g * g,)

    @staticmethod
    def from_norms(h, k, norms, size):
        return (1 / (1 + norms[0]),)

    @staticmethod
    def update(h, k, p, g, s):
        return p - k[0] * k[1] * g, ()


CASES = [
    (Own(), {}),
    (OwnNorm(), {}),
    (fo.Lookahead(fo.Rprop()), {}),
    (fo.Averaged(fo.Adam(0.01)), {"clip": 1.0}),
    (fo.Lookahead(Own()), {"schedules": {"lr": fo.schedules.Cosine(40)}}),
    (OwnNorm(), {"groups": [("b", {"lr": 0.5})]}),
    (fo.Cautious(fo.AdamW(0.01)), {"nonfinite": "skip"}),
    (fo.Averaged(fo.Momentum(0.01)), {"state_dtype": "bfloat16"}),
]


@pytest.fixture
def jobs(monkeypatch):
    """What would be done in the background, to be called when the test wants it."""
    found = []
    monkeypatch.setattr(handover, "PATIENCE", 0.0)
    monkeypatch.setattr(handover, "_compiled", set())
    monkeypatch.setattr(background, "submit", found.append)
    return found


def run(rule, options, dtype, steps, between=lambda t: None, backend="auto"):
    rng = np.random.default_rng(5)
    params = {"a": rng.standard_normal((40, 7)).astype(dtype), "b": rng.standard_normal(3).astype(dtype)}
    opt = fo.Optimizer(params, rule, backend=backend, **options)
    for t in range(steps):
        grads = {name: rng.standard_normal(p.shape).astype(dtype) for name, p in params.items()}
        if t == 3 and options.get("nonfinite") == "skip":
            grads["a"][1, 1] = np.inf
        opt.step(grads)
        between(t)
    state = [s for slots in opt.state.values() for s in slots.values()]
    return opt, [*params.values(), *state]


def same(ours, theirs):
    return all(a.tobytes() == b.tobytes() for a, b in zip(ours, theirs, strict=True))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(
    "rule, options",
    [c if i < 4 else pytest.param(*c, marks=pytest.mark.long) for i, c in enumerate(CASES)],
    ids=lambda x: type(x).__name__,
)
def test_the_place_shows_in_no_bit(rule, options, dtype, jobs, rng):
    if dtype == "float64" and rule not in (Own(), fo.Lookahead(fo.Rprop())):
        pytest.skip("float32 is enough")
    steps = 12
    _, alone = run(rule, options, dtype, steps, backend="numba")
    opt, never = run(rule, options, dtype, steps)
    assert opt.backend in ("numpy", "c") and same(never, alone)
    for at in rng.integers(0, steps, 3):
        jobs.clear()

        def go_over(t, at=at):
            if t == at:
                for job in jobs:
                    job()

        opt, found = run(rule, options, dtype, steps, go_over)
        assert opt.backend == "numba" and same(found, alone), at
        handover._compiled.clear()


def test_kernels_that_are_there_are_taken_at_once(jobs):
    run(Own(), {}, "float32", 2)
    jobs.pop()()
    opt, _ = run(Own(), {}, "float32", 1)
    assert opt.backend == "numba" and not jobs


def test_a_few_steps_compile_nothing(monkeypatch):
    monkeypatch.setattr(background, "submit", lambda job: pytest.fail("compiled for two steps"))
    monkeypatch.setattr(handover, "_seconds", {})
    assert run(Own(), {}, "float32", 2)[0].backend == "numpy"


def test_what_numba_does_not_compile_stays_with_numpy_and_says_so(jobs):
    class Mixed(NamedTuple):
        lr: float = 0.1
        slots = ()

        @staticmethod
        def coefficients(h, t):
            return (h.lr,)

        @staticmethod
        def update(h, k, p, g, s):
            return p - k[0] * g.conj(), ()

    rule = Mixed()
    if not is_exact(rule):
        pytest.skip("is compiled at once")
    p = np.ones(3)
    opt = fo.Optimizer(p, rule)
    opt.step(np.ones(3))
    jobs.pop()()
    with pytest.warns(RuntimeWarning, match="stay with numpy"):
        opt.step(np.ones(3))
    opt.step(np.ones(3))
    assert opt.t == 3 and opt.backend == "numpy"


def test_explicit_numba_and_the_environment_do_not_wait(jobs, monkeypatch):
    p = np.ones(3)
    assert fo.Optimizer(p, Own(), backend="numba").backend == "numba"
    monkeypatch.setenv("FASTOPT_BACKEND", "numba")
    assert fo.Optimizer(p, Own()).backend == "numba" and fo.Optimizer(p, fo.Adam()).backend == "numba"
    monkeypatch.setenv("FASTOPT_BACKEND", "numpy")
    assert fo.Optimizer(p, Own()).backend == "numpy"
    fo.set_backend("numba")
    try:
        assert fo.Optimizer(p, Own()).backend == "numba"
    finally:
        fo.set_backend("auto")
    assert not jobs


def _variant(update):
    return type("Variant", (Own,), {"update": staticmethod(update)})()


def _power(h, k, p, g, s):
    return p - k[0] * g**2, s


def _exp(h, k, p, g, s):
    return p - k[0] * np.exp(g), s


def _sign(h, k, p, g, s):
    return p - k[0] * np.sign(g), s


def _where(h, k, p, g, s):
    return np.where(g > p, p, g), s


def _helper(h, k, p, g, s):
    return _mean(p, -k[0] * g * SHARE), s


def _of_a_helper(h, k, p, g, s):
    return _exp(h, k, p, g, s)


def _of_floats(h, k, p, g, s):
    return p - np.sqrt(abs(g)) * k[0], s


def _method(h, k, p, g, s):
    return p - k[0] * g.clip(0, 1), s


@pytest.mark.parametrize(
    "update, exact",
    [(_power, False), (_exp, False), (_sign, False), (_where, False), (_of_a_helper, False), (_method, False),
     (_helper, True), (_of_floats, True)],
)  # fmt: skip
def test_formulas_that_have_the_same_bits(update, exact):
    assert is_exact(_variant(update)) == exact
    assert is_exact(fo.Averaged(_variant(update))) == exact


@pytest.mark.parametrize("rule", ["Adam()", "Momentum(0.1)", "AdamW()", "Averaged(fo.Adam())", "LARS(0.1)"])
def test_a_first_step_imports_no_numba(rule, python):
    code = f"""
import sys
import numpy as np
import fastopt as fo
p = np.zeros(3)
opt = fo.Optimizer(p, fo.{rule})
opt.step(np.ones(3))
print("numba" in sys.modules, opt.backend in ("c", "numpy"))
"""
    assert python(code, FASTOPT_BACKEND="auto") == "False True\n"


def test_a_fork_waits_for_a_job_that_logs(python):
    """What logging does before a fork comes after the wait for the job, which may need logging's lock."""
    python(
        """
import os, threading, time
from fastopt import background
background.FORK_PATIENCE, at_work = 5.0, threading.Event()
import logging
def job():
    at_work.set()
    time.sleep(0.3)
    logging.getLogger("of the job").isEnabledFor(10)
background.submit(job)
at_work.wait()
if not (pid := os.fork()):
    os._exit(int(background.is_cut_off()))
assert os.waitpid(pid, 0)[1] == 0, "the fork did not wait for the job, or could not"
"""
    )


def test_a_child_forked_amid_a_long_job_has_no_numba(python):
    """And does not wait for the locks of a thread that it does not have."""
    code = """
import os, time
import numpy as np
import fastopt as fo
from fastopt import background
background.FORK_PATIENCE = 0.1
background.submit(lambda: time.sleep(2))
time.sleep(0.5)
if not (pid := os.fork()):
    p = np.zeros(3)
    opt = fo.Optimizer(p, fo.LAMB())
    opt.step(np.ones(3))
    try:
        fo.Optimizer(p, fo.LAMB(), backend="numba")
    except ImportError as error:
        os._exit(0 if "forked" in str(error) and opt.backend == "c" else 1)
    os._exit(2)
assert os.waitpid(pid, 0)[1] == 0
fo.Optimizer(np.zeros(3), fo.SGD(), backend="numba").step(np.ones(3))
"""
    assert python(code, FASTOPT_BACKEND="auto") == ""


TRIALS = Path(__file__).with_name("handover_trials.py")


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    return str(tmp_path_factory.mktemp("cache"))


@pytest.mark.long
@pytest.mark.parametrize("how", ["forks", "exit"])  # the others: handover_trials.py
def test_trials(how, cache):
    """The real thing in processes of their own, the first with an empty cache of kernels; handover_trials.py runs many."""
    environment = {**os.environ, "NUMBA_CACHE_DIR": cache, "FASTOPT_BACKEND": "auto"}
    package = str(Path(fo.__file__).parents[1])
    environment["PYTHONPATH"] = os.pathsep.join(filter(None, (package, os.environ.get("PYTHONPATH"))))
    done = subprocess.run(
        [sys.executable, "-P", str(TRIALS), "--one", how, "1"],
        env=environment, capture_output=True, text=True, timeout=240, check=False,
    )  # fmt: skip
    assert done.returncode == 0, f"exit {done.returncode}\n{done.stdout}\n{done.stderr}"
    assert "Exception ignored" not in done.stderr and "Traceback" not in done.stderr, done.stderr


# ---- training runs ----


def rows_of(kind, n=90, features=40):
    rng = np.random.default_rng(2)
    X = rng.integers(0, 255, (n, features)).astype(np.uint8) * (rng.random((n, features)) < 0.3)
    X = X.astype(np.uint8)
    y = rng.integers(0, 3, n)
    if kind == "uint8":
        return X, y
    X = (X / 255).astype("float64" if kind == "float64" else "float32")
    return (pytest.importorskip("scipy.sparse").csr_matrix(X), y) if kind == "csr" else (X, y)


RUNS = {
    "whole batches": ("float64", {"rule": fo.Adam(0.01), "batch_size": 16}),
    "single rows": ("csr", {"rule": fo.SGD(0.05), "batch_size": 1, "l2": 1e-3}),
    "scaled": ("csr", {"rule": fo.SGD(0.05), "batch_size": 8, "l2": 1e-3, "loss": fo.MulticlassHinge()}),
    "scaled uint8": ("uint8", {"rule": fo.SGD(0.05), "batch_size": 1, "l2": 1e-3, "scale": 1 / 255}),
    "csr": ("csr", {"rule": fo.Momentum(0.05), "batch_size": 16, "sampling": "replacement"}),
    "averaged": ("float32", {"batch_size": 16, "average": "tail", "sample_weight": np.linspace(1, 2, 90)}),
}


@pytest.mark.parametrize(
    "case", [c if c in ("whole batches", "scaled") else pytest.param(c, marks=pytest.mark.long) for c in RUNS]
)
def test_a_run_goes_over_between_two_stretches(case, jobs, monkeypatch, rng):
    kind, options = RUNS[case]
    same_bits_wherever_it_goes_over(rows_of(kind), options, jobs, monkeypatch, rng)


@pytest.mark.parametrize("n, features, batch", [(4096, 128, 2048), (512, 1024, 256)], ids=["crew", "pair"])
def test_a_run_on_two_threads_goes_over(n, features, batch, jobs, monkeypatch, rng):
    options = {"batch_size": batch, "threads": 2}
    same_bits_wherever_it_goes_over(rows_of("float32", n, features), options, jobs, monkeypatch, rng)


def same_bits_wherever_it_goes_over(data, options, jobs, monkeypatch, rng):
    monkeypatch.setattr(handover, "LEFT", -1)
    monkeypatch.setattr("fastopt.training.run.STRETCH", 0)  # a step a stretch
    monkeypatch.setattr("fastopt.training.run.FIRST_STRETCH", 0)
    alone = fo.train(*data, epochs=3, backend="numba", **options)
    stretches = []
    never = fo.train(*data, epochs=3, progress=stretches.append, **options)
    assert never.backend == "c" and same((never.W, never.b), (alone.W, alone.b))
    assert same((never.history["loss_train"],), (alone.history["loss_train"],))
    for at in rng.integers(1, len(stretches) - 1, 2):
        jobs.clear()
        handover._compiled.clear()
        seen = []

        def go_over(progress, at=at, seen=seen):
            seen.append(progress)
            if len(seen) == at:
                jobs.pop()()

        fit = fo.train(*data, epochs=3, progress=go_over, **options)
        assert fit.backend == "numba" and same((fit.W, fit.b), (alone.W, alone.b)), at
        assert same((fit.history["loss_train"],), (alone.history["loss_train"],))


def test_a_short_run_compiles_nothing(monkeypatch):
    monkeypatch.setattr(background, "submit", lambda job: pytest.fail("compiled for a short run"))
    monkeypatch.setattr(handover, "_compiled", set())
    fit = fo.train(*rows_of("float32"), epochs=3)
    assert fit.backend == "c" and fit.seconds > 0 and fit.seconds_preparing < 60
    assert fit.seconds == pytest.approx(fit.history["seconds"].sum())


def test_preparation_is_told_apart(python, tmp_path):
    code = """
import numpy as np
import fastopt as fo
X = np.random.default_rng(0).random((64, 5))
y = np.arange(64) % 2
first = fo.train(X, y, epochs=2, backend="numba")
again = fo.train(X, y, epochs=2, backend="numba")
print(first.seconds_preparing > 10 * first.seconds, again.seconds_preparing < first.seconds_preparing / 10)
"""
    assert python(code, NUMBA_CACHE_DIR=str(tmp_path)) == "True True\n"


@pytest.mark.parametrize("kind", ["float64", "uint8", "csr"])
def test_a_gradient_goes_over_between_two_calls(kind, jobs):
    X, y = rows_of(kind)
    W, b = np.random.default_rng(1).standard_normal((3, 40)), np.ones(3)
    dtype = "float64" if kind == "float64" else "float32"
    W, b = W.astype(dtype), b.astype(dtype)
    options = {"scale": 1 / 255} if kind == "uint8" else {}
    alone = fo.value_and_grad(fo.Softmax(), W, X, y, b, backend="numba", **options)
    objective = fo.Objective(fo.Softmax(), X, y, **options)
    found = [fo.value_and_grad(fo.Softmax(), W, X, y, b, **options), objective.value_and_grad(W, b)]
    for job in jobs:
        job()
    assert jobs
    found += [objective.value_and_grad(W, b), fo.value_and_grad(fo.Softmax(), W, X, y, b, **options)]
    for value, dW, db in found:
        assert value == alone[0] and same((dW, db), alone[1:])


# ---- solvers ----


def solved(data, between, backend="auto", **options):
    """A solver's Solution; between(i) is called before the i-th pass."""
    from fastopt.solvers import solve

    penalty = fo.ElasticNet(options.pop("l1", 0.0), options.pop("l2", 1e-3))
    loss = options.pop("loss", fo.Softmax())
    scale = {"scale": 1 / 255} if data[0].dtype == np.uint8 else {}
    objective = fo.Objective(loss, *data, penalty=penalty, backend=backend, threads=2, **scale)
    return solve(objective, max_iter=30, tol=0.0, callback=lambda entry: between(), **options)


@pytest.mark.filterwarnings("ignore:.*NOT converged")
@pytest.mark.parametrize(
    "kind, options",
    [("float64", {"solver": "lbfgs"}), ("csr", {"solver": "lbfgs"}), ("uint8", {"solver": "newton", "l2": 0.1}),
     ("float32", {"solver": "lbfgs", "l1": 1e-3}), ("csr", {"solver": "prox-newton", "l1": 1e-3})],
    ids=lambda v: v if isinstance(v, str) else v["solver"],
)  # fmt: skip
def test_a_solver_goes_over_between_two_passes(kind, options, jobs, monkeypatch, rng):
    monkeypatch.setattr(handover, "PASSES", -1)
    monkeypatch.setattr(handover, "_seconds", {})
    data, seen = rows_of(kind, 400), []
    alone = solved(data, lambda: None, "numba", **options)
    never = solved(data, lambda: seen.append(1), **options)
    assert (alone.report.backend, never.report.backend) == ("numba", "c")
    assert same((never.W, never.b), (alone.W, alone.b))
    for at in rng.integers(1, len(seen), 2):
        jobs.clear()
        handover._compiled.clear()
        left = iter([False] * int(at) + [True])

        def go_over(left=left):
            if next(left, False):
                for job in jobs:
                    job()

        found = solved(data, go_over, **options)
        assert found.report.backend == "numba" and same((found.W, found.b), (alone.W, alone.b)), at
        for name, numbers in alone.report.history.items():
            assert name == "seconds" or same((found.report.history[name],), (numbers,)), name


def test_the_first_solver_imports_no_numba(python, tmp_path):
    code = """
import sys
import numpy as np
import fastopt as fo
rng = np.random.default_rng(0)
X, y = rng.standard_normal((300, 20)), rng.integers(0, 3, 300)
print(*(fo.train(X, y, solver=solver, l2=0.01).backend for solver in ("auto", "lbfgs", "newton")), "numba" in sys.modules)
"""
    assert python(code, FASTOPT_BACKEND="auto", NUMBA_CACHE_DIR=str(tmp_path)) == "c c c False\n"
