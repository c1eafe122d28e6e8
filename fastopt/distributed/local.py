"""Local-update SGD: the parts of the data take steps of a rule by themselves; what they end with is averaged, and all go
on from there.

McMahan et al. 2017 (federated averaging), Stich 2019; the rule's state is averaged with the parameters (Yu, Jin & Yang
2019). A part keeps nothing that the next round needs: it may be done by any worker, or again.
"""

import itertools
import time
from functools import partial
from typing import Any, NamedTuple

import numpy as np

from fastopt.arrays import aligned_zeros


class Task(NamedTuple):
    """What is the same in all rounds. steps: of a round, at most. factor: what gives the weights of all rows the mean 1."""

    rule: Any
    batch: int
    steps: int
    l2: float
    sampling: str
    seed: int
    factor: float


def averaged(rows, arrays, K, first, left, task):
    """The arrays (W, its slots, b, its slots) after a round of all parts of RemoteRows: the steps that K has a row for.

    first: steps taken before. left: those of the run, from here on. A part counts by its rows. Returns (arrays in float64, mean
    loss of a step, gradient norm, whether every loss was finite).
    """
    work = partial(_steps, arrays=arrays, K=K, first=first, left=left, task=task)
    totals, loss, norm, finite = [np.zeros(a.shape) for a in arrays], 0.0, 0.0, True
    shares = np.array(rows.part_counts, np.float64) / rows.n
    for share, found in zip(shares.tolist(), rows.call(work), strict=True):
        if found is None:
            continue
        own, own_loss, own_norm, own_finite = found
        for total, array in zip(totals, own, strict=True):
            total += share * array
        loss, norm = loss + share * own_loss, norm + share * own_norm
        finite = finite and own_finite
    return totals, loss, norm, finite


def _steps(part, arrays, K, first, left, task):
    """What `averaged` adds up, of a part; None where it has no rows."""
    if not part.rows.n:
        return None
    key = task, part.loss, part.engine.__name__, part.threads
    loop, own, batch = part.cached("local", key, lambda: _bound(part, task, arrays))
    for array, given in zip(own, arrays, strict=True):
        array[...] = given
    order = _order(part, task, first * batch, task.steps * batch)
    began = time.perf_counter()
    stopped, loss, norm = loop(K, order, 0, len(K), 0.0)
    if hasattr(loop, "consider"):
        loop.consider(left / len(K) * (time.perf_counter() - began))
    return [a.copy() for a in own], loss / len(K), norm, stopped == len(K)


def _bound(part, task, arrays):
    """(the compiled loop, the arrays that it moves, rows of a batch)"""
    rows, own = part.rows, [aligned_zeros(a.size, a.dtype).reshape(a.shape) for a in arrays]
    batch = min(task.batch, rows.n)
    if rows.weight is not None:
        rows = rows._replace(weight=rows.weight * rows.dtype.type(task.factor))
    half = len(own) // 2
    parameters = (own[0], own[1:half]), (own[half], own[half + 1 :])
    bind = part.engine.bind_epoch
    loop = bind(
        rows.using(task.steps * batch), part.loss, task.rule, parameters, batch, task.l2, part.threads
    )
    return loop, own, batch


def _order(part, task, begin, count):
    """Entries [begin, begin + count) of the part's endless sequence of its row numbers, an epoch after the other."""
    n, found = part.rows.n, []
    for epoch in itertools.count(begin // n):
        at = begin - epoch * n
        taken = _epoch(part, task, epoch)[max(0, at) : at + count]
        found.append(taken)
        if at + count <= n:
            return np.concatenate(found)


def _epoch(part, task, epoch):
    """The row numbers of an epoch of a part: by the seed, the epoch and where the part stands alone."""
    n = part.rows.n
    if task.sampling == "sequential":
        return np.arange(n)
    rng = np.random.default_rng([task.seed, epoch, part.partition.number, part.index])
    draw = rng.permutation if task.sampling == "shuffle" else partial(rng.integers, 0, n)
    return part.cached("order", (task.sampling, task.seed, epoch), lambda: draw(n))
