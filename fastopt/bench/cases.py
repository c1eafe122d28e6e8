"""The cases: one problem, and everybody who solves it.

A case holds makers, not contestants: memory and compilation are paid when a case is run. A maker raises
ImportError where its package is missing, and LookupError where the package lacks the thing.
"""

import contextlib
import itertools
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

import fastopt as fo
from fastopt import rules
from fastopt.arrays import aligned_zeros
from fastopt.bench import problems, roofline
from fastopt.bench.peers import blas_threads, numpy_linear, numpy_rules
from fastopt.bench.timing import Contestant
from fastopt.engines import choose
from fastopt.threads import usable_threads

FRESH = 64  # lists of new gradient arrays that take turns
LARGE = 1_000_000  # elements from which a step is also shown without its look for NaN, as peers take it


class Case(NamedTuple):
    """bytes: read and written in one call, each array once. operations: multiplications and additions.

    dtype: whose matrix product is the roof of the operations, "" where only bytes count.
    """

    group: str
    name: str
    makers: dict[str, Callable[[], Contestant]]
    bytes: int
    operations: int = 0
    dtype: str = ""


def fastopt_backends():
    """The compiled back ends that are here."""
    return [name for name, here in (("numba", choose.has_numba()), ("c", choose.has_c())) if here]


# ---- one step of a rule ----


def step(rule, size, dtype="float32", arrays=1, fresh=False, backend_names=None):
    """`arrays` arrays of `size` elements; fresh: with other gradient arrays at every step."""
    names = fastopt_backends() if backend_names is None else backend_names
    counts = sorted({1, usable_threads()}) if size * arrays >= choose.shared_from(rule) else [1]
    makers: dict[str, Callable] = {}
    for name in names:
        makers[f"fastopt {name}"] = lambda n=name: _fastopt_step(rule, size, dtype, arrays, fresh, n)
        if size >= LARGE:
            makers[f"fastopt {name}, unchecked"] = lambda n=name: _fastopt_step(
                rule, size, dtype, arrays, fresh, n, nonfinite="allow"
            )
    makers["NumPy"] = lambda: _peer_step(numpy_rules, rule, size, dtype, arrays, fresh)
    for count in counts:
        makers[f"torch, {_threads(count)}"] = lambda c=count: _torch_step(rule, size, dtype, arrays, fresh, c)
    makers["optax"] = lambda: _optax_step(rule, size, dtype, arrays, fresh)
    for count in counts:
        makers[f"Numba, {_threads(count)}"] = lambda c=count: _numba_step(rule, size, dtype, arrays, fresh, c)
    for count in counts:
        makers[f"roof, {_threads(count)}"] = lambda c=count: _traffic(rule, size * arrays, dtype, c)
    moved = (3 + 2 * len(rule.slots)) * size * arrays * np.dtype(dtype).itemsize
    many = f"{arrays} x " if arrays > 1 else ""
    others = ", new gradient arrays" if fresh else ""
    return Case("rules", f"{type(rule).__name__} {dtype} {many}{size:,}{others}", makers, moved)


def subnormal_step(rule, size, dtype="float32"):
    """A step whose gradients, and so whose state, are too small for normal numbers, next to the usual one."""
    makers: dict[str, Callable] = {}
    for name in [*fastopt_backends(), "numpy"]:
        who = "NumPy" if name == "numpy" else f"fastopt {name}"
        tiny = float(np.finfo(dtype).tiny) / 16
        for scale, suffix in ((1.0, ""), (tiny, ", subnormal")):
            if name == "numpy":
                makers[who + suffix] = lambda s=scale: _peer_step(
                    numpy_rules, rule, size, dtype, 1, False, scale=s
                )
            else:
                makers[who + suffix] = lambda n=name, s=scale: _fastopt_step(
                    rule, size, dtype, 1, False, n, scale=s
                )
    moved = (3 + 2 * len(rule.slots)) * size * np.dtype(dtype).itemsize
    return Case("rules", f"{type(rule).__name__} {dtype} {size:,}, subnormal gradients", makers, moved)


def _threads(count):
    return "1 thread" if count == 1 else f"{count} threads"


def _fastopt_step(rule, size, dtype, arrays, fresh, backend, scale=1.0, **options):
    params, grads = problems.step(size, dtype, arrays, scale)
    optimizer = fo.Optimizer(params[0] if arrays == 1 else params, rule, backend=backend, **options)
    if not fresh:
        given = grads[0] if arrays == 1 else grads
        return Contestant(lambda: optimizer.step(given))
    turns = itertools.cycle([[g[:] for g in grads] for _ in range(FRESH)])
    if arrays == 1:
        return Contestant(lambda: optimizer.step(next(turns)[0]))
    return Contestant(lambda: optimizer.step(next(turns)))


def _peer_step(peer, rule, size, dtype, arrays, fresh, around=contextlib.nullcontext, scale=1.0):
    params, grads = problems.step(size, dtype, arrays, scale)
    run = peer.bind(rule, params)
    as_given = getattr(peer, "as_given", list)
    turns = itertools.cycle([as_given([g[:] for g in grads]) for _ in range(FRESH if fresh else 1)])
    return Contestant(lambda: run(next(turns)), around)


def _torch_step(rule, size, dtype, arrays, fresh, threads):
    from fastopt.bench.peers import with_torch

    return _peer_step(with_torch, rule, size, dtype, arrays, fresh, lambda: with_torch.threads(threads))


def _optax_step(rule, size, dtype, arrays, fresh):
    from fastopt.bench.peers import with_optax

    return _peer_step(with_optax, rule, size, dtype, arrays, fresh)


def _numba_step(rule, size, dtype, arrays, fresh, threads):
    from fastopt.bench.peers import with_numba

    return _peer_step(with_numba, rule, size, dtype, arrays, fresh, lambda: with_numba.threads(threads))


def _traffic(rule, size, dtype, threads):
    (p,), (g,) = problems.step(size, dtype)
    g *= np.dtype(dtype).type(1e-6)  # what is added for ever stays small
    slots = [aligned_zeros(size, dtype) for _ in rule.slots]
    return roofline.traffic(p, g, slots, threads)


# ---- the gradient of a linear model ----

LOSSES: dict[str, Any] = {
    "Softmax": fo.Softmax(),
    "MulticlassHinge": fo.MulticlassHinge(),
    "Hinge": fo.Hinge(),
}


def gradient(make_problem, title, loss="Softmax", backend_names=None):
    """One gradient over all rows; make_problem() gives the Linear problem."""
    names = fastopt_backends() if backend_names is None else backend_names
    problem = make_problem()
    counts = sorted({1, usable_threads()})
    makers: dict[str, Callable] = {}
    for name, count in itertools.product(names, counts):
        makers[f"fastopt {name}, {_threads(count)}"] = lambda n=name, c=count: _fastopt_gradient(
            problem, loss, n, c
        )
    for count in counts:
        makers[f"NumPy, {_threads(count)}"] = lambda c=count: _numpy_gradient(problem, loss, c)
    if not hasattr(problem.X, "nnz"):
        makers[f"torch, {_threads(counts[-1])}"] = lambda: _torch_gradient(problem, loss, counts[-1])
        if loss != "Hinge":
            makers[f"Numba, {_threads(counts[-1])}"] = lambda: _numba_gradient(problem, loss)
    dtype = "" if hasattr(problem.X, "nnz") else problem.W.dtype.name
    return Case("gradient", f"{loss} {title}", makers, problem.bytes, problem.operations, dtype)


def dense_gradient(n, features, classes, dtype="float32", loss="Softmax", **options):
    title = f"{dtype} {n:,} x {features:,} x {classes:,}"
    return gradient(lambda: problems.linear(n, features, classes, dtype), title, loss, **options)


def _fastopt_gradient(problem, loss, backend, threads):
    X, y, W, b = problem
    out = (np.empty_like(W), np.empty_like(b))
    options = {"backend": backend, "threads": threads, "out": out}
    return Contestant(lambda: fo.value_and_grad(LOSSES[loss], W, X, y, b, **options))


def _numpy_gradient(problem, loss, threads):
    X, y, W, b = problem
    if hasattr(X, "nnz"):  # scipy's products have one thread in any case
        return Contestant(numpy_linear.sparse_gradient(problem))
    run = numpy_linear.Gradient(loss, W, b, len(y))
    return Contestant(lambda: run(X, y), lambda: blas_threads(threads))


def _torch_gradient(problem, loss, threads):
    from fastopt.bench.peers import with_torch

    return Contestant(with_torch.gradient(problem, loss), lambda: with_torch.threads(threads))


def _numba_gradient(problem, loss):
    from fastopt.bench.peers import with_numba_linear

    return Contestant(with_numba_linear.gradient(problem, loss))


# ---- an epoch ----


def epoch(make_problem, title, batch, loss="Softmax", momentum=0.9, l2=0.0, backend_names=None):
    """One epoch of shuffled mini-batches, from the call of fo.train to its return."""
    names = fastopt_backends() if backend_names is None else backend_names
    problem, counts = make_problem(), sorted({1, usable_threads()})
    lr = 0.01 if batch > 1 else 0.001
    makers: dict[str, Callable] = {}
    for name in names:
        makers[f"fastopt {name}"] = lambda n=name: _fastopt_epoch(problem, loss, batch, lr, momentum, l2, n)
    dense = not hasattr(problem.X, "nnz")
    if dense and problem.X.dtype != np.uint8 and not l2:
        makers["NumPy"] = lambda: Contestant(numpy_linear.epoch(problem, loss, batch, lr, momentum))
        for count in counts if batch > 1 else ():  # one row at a time is not what torch is for
            makers[f"torch, {_threads(count)}"] = lambda c=count: _torch_epoch(
                problem, loss, batch, lr, momentum, c
            )
    if problem.X.dtype == np.uint8:
        floats = problem._replace(X=problem.X / np.float32(255))
        for name in names:
            makers[f"fastopt {name}, float32"] = lambda n=name: _fastopt_epoch(
                floats, loss, batch, lr, momentum, l2, n
            )
    if loss == "Hinge" and batch == 1:
        makers[f"scikit-learn, {_threads(counts[-1])}"] = lambda: _sklearn_epoch(problem, lr, l2, counts[-1])
    dtype = "float32" if dense else ""
    name = f"{loss} {title}, batch {batch}" + (f", l2 {l2:g}" if l2 else "")
    return Case("epoch", name, makers, problem.bytes, problem.operations, dtype)


def _fastopt_epoch(problem, loss, batch, lr, momentum, l2, backend):
    rule = fo.Momentum(lr, momentum) if momentum else fo.SGD(lr)
    options = {
        "loss": LOSSES[loss],
        "rule": rule,
        "epochs": 1,
        "batch_size": batch,
        "l2": l2,
        "backend": backend,
    }
    return Contestant(lambda: fo.train(problem.X, problem.y, **options))


def _torch_epoch(problem, loss, batch, lr, momentum, threads):
    from fastopt.bench.peers import with_torch

    run = with_torch.epoch(problem, loss, batch, lr, momentum)
    return Contestant(run, lambda: with_torch.threads(threads))


def _sklearn_epoch(problem, lr, l2, threads):
    from fastopt.bench.peers import with_sklearn

    return Contestant(with_sklearn.epoch(problem, threads, lr, 2 * l2))


# ---- numeric against analytic ----


def numeric(n=200, features=64, classes=10):
    """The gradient by W of a small softmax model in float64: differences against the formula."""
    problem = problems.linear(n, features, classes, "float64")
    X, y, W, b = problem
    makers: dict[str, Callable] = {
        "numeric, NumPy": lambda: Contestant(numpy_linear.numeric_gradient(problem))
    }
    makers["numeric, fo.numeric_gradient"] = lambda: _numeric(problem)
    makers["numeric, fo.checking.numeric_linear_gradient"] = lambda: _numeric_by_structure(problem)
    makers["NumPy"] = lambda: _numpy_gradient(problem, "Softmax", 1)
    for name in fastopt_backends():
        makers[f"fastopt {name}"] = lambda name=name: _fastopt_gradient(problem, "Softmax", name, 1)
    title = f"Softmax float64 {n:,} x {features} x {classes}"
    return Case("numeric", title, makers, problem.bytes, problem.operations, "float64")


def _numeric(problem):
    value = numpy_linear.softmax_value(problem)
    return Contestant(lambda: fo.numeric_gradient(value, problem.W))


def _numeric_by_structure(problem):
    from fastopt.checking import numeric_linear_gradient

    X, y, W, b = problem
    return Contestant(lambda: numeric_linear_gradient(fo.Softmax(), W, X, y, b))


def every_rule():
    """One of each built-in rule, with its own hyperparameters."""
    return [rule() for rule in rules.RULES if rule.__name__ in numpy_rules.UPDATES]
