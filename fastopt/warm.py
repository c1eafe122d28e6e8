"""Compile ahead: the kernels that most programs need, into the disk cache."""

import threading
from collections.abc import Callable

import numpy as np

from fastopt import losses, rules
from fastopt.engines import choose


def warmup(rules=(), losses=(), dtypes=("float32",), background=False):
    """Compile the kernels of these rules and losses, so that later calls and processes wait for none.

    Without rules and losses: the usual ones (SGD, Momentum, Adam, AdamW; Softmax, MulticlassHinge).
    background=True returns the thread that does it; calls that need a kernel meanwhile wait for it.
    Does nothing where the back end is not numba.
    """
    jobs = usual_kernels(rules, losses, dtypes)

    def work():
        for _, compile_one in jobs:
            compile_one()

    if not background:
        work()
        return None
    thread = threading.Thread(target=work, name="fastopt-warmup", daemon=True)
    thread.start()
    return thread


def usual_kernels(rule_list=(), loss_list=(), dtypes=("float32",)):
    """[(name, function that compiles it)], made by running each on a few numbers."""
    if choose.resolve() != "numba":
        return []
    if not rule_list and not loss_list:
        rule_list = (rules.SGD(), rules.Momentum(), rules.Adam(), rules.AdamW())
        loss_list = (losses.Softmax(), losses.MulticlassHinge())
    jobs: list[tuple[str, Callable]] = []
    for dtype in dtypes:
        for rule in rule_list:
            jobs.append((f"{type(rule).__name__} {dtype}", lambda r=rule, d=dtype: _step(r, d)))
        for loss in loss_list:
            jobs.append((f"{type(loss).__name__} gradient {dtype}", lambda x=loss, d=dtype: _gradient(x, d)))
            for rule in rule_list or (rules.Momentum(),):
                name = f"{type(loss).__name__} epoch, {type(rule).__name__} {dtype}"
                jobs.append((name, lambda x=loss, r=rule, d=dtype: _epoch(x, r, d)))
        if loss_list:
            jobs.append((f"epochs on several threads, {dtype}", lambda d=dtype: _shared_epochs(d)))
    return jobs


def _step(rule, dtype):
    from fastopt.optimizer import Optimizer

    for size in (4, choose.shared_from(rule)):
        p = np.zeros(size, dtype)
        Optimizer(p, rule, backend="numba").step(np.zeros_like(p))


def _rows(dtype):
    return np.ones((8, 4), dtype), np.arange(8) % 3


def _gradient(loss, dtype):
    from fastopt.linear import value_and_grad

    X, y = _rows(dtype)
    value_and_grad(loss, np.zeros((3, 4), dtype), X, y, np.zeros(3, dtype), backend="numba")


def _epoch(loss, rule, dtype):
    from fastopt.training import train

    X, y = _rows(dtype)
    train(X, y, loss, rule, epochs=1, batch_size=4, backend="numba", threads=1)


def _shared_epochs(dtype):
    from fastopt.training import train

    for n, features in ((2048, 256), (128, 512)):  # a crew, a pair
        X, y = np.ones((n, features), dtype), np.arange(n) % 3
        train(X, y, epochs=1, batch_size=n // 2, backend="numba", threads=2)
