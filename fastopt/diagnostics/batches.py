"""What the batch size does: steps to a target loss, and the noise of the gradient."""

from typing import NamedTuple

import numpy as np

from fastopt.arrays import checked_number, checked_whole
from fastopt.losses import Softmax
from fastopt.objective import Objective
from fastopt.optimizer import Optimizer
from fastopt.rules import SGD

RULE = SGD(0.1)


class BatchStudy(NamedTuple):
    """For each of `sizes`: steps (NaN where the target was not reached) and rows used until the target; variance of
    the batch's gradient (summed over its entries) at the start. exponent: of variance against size, -1 in theory."""

    sizes: np.ndarray
    steps: np.ndarray
    rows: np.ndarray
    variance: np.ndarray
    exponent: float


def batch_size_study(
    X, y, loss=Softmax(), rule=RULE, *, sizes=(1, 4, 16, 64, 256), target=None, most=2000, l2=0.0, seed=0, repeats=60,
    scale=None, classes=None,
):  # fmt: skip
    """Steps to a target loss against the batch size, and the gradient's variance, which falls as 1/size.

    X, y, loss, rule, l2, scale: as in fo.train. target: of the whole loss; by default halfway between the loss of zeros
    and that after `most`/10 steps of the largest batch. most: steps. repeats: batches of which a variance is taken,
    drawn with replacement (without, it would fall faster). Source: the variance of a mean.
    """
    whole = Objective(loss, X, y, l2=l2, scale=scale, classes=classes)
    most, repeats, seed = (
        checked_whole(value, name, least)
        for value, name, least in ((most, "most", 1), (repeats, "repeats", 2), (seed, "seed", 0))
    )
    target = None if target is None else checked_number(target, "target", "a number")
    if not np.iterable(sizes) or not len(sizes := list(sizes)):
        raise ValueError("sizes must be numbers of rows, 1 or more")
    sizes = np.unique([min(checked_whole(s, "sizes", 1), whole.n) for s in sizes])
    if target is None:
        W, b = whole.zeros()
        start = whole.value(W, b)
        target = (start + min(_walk(whole, rule, int(sizes[-1]), most // 10, -np.inf, seed)[1], start)) / 2
    steps = np.array([_walk(whole, rule, int(s), most, target, seed)[0] for s in sizes], float)
    variance = np.array([_variance(whole, int(s), repeats, seed) for s in sizes])
    exponent = float(np.polyfit(np.log(sizes), np.log(variance), 1)[0]) if len(sizes) > 1 else float("nan")
    return BatchStudy(sizes, steps, steps * sizes, variance, exponent)


def _batch(whole, rng, size):
    rows = whole.rows.take(np.sort(rng.integers(0, whole.n, size)))
    return Objective.of_rows(whole.loss, rows, whole.penalty)


def _walk(whole, rule, size, most, target, seed):
    """(steps until the whole loss is at the target, or NaN; the last whole loss)."""
    W, b = whole.zeros()
    optimizer, rng = Optimizer([W, b], rule), np.random.default_rng(seed)
    every = max(1, most // 400)
    for step in range(1, most + 1):
        _, dW, db = _batch(whole, rng, size).value_and_grad(W, b)
        optimizer.step([dW, db])
        if step % every == 0 and whole.value(W, b) <= target:
            return step, target
    return np.nan, whole.value(W, b)


def _variance(whole, size, repeats, seed):
    W, b = whole.zeros()
    rng = np.random.default_rng([seed, size])
    gradients = []
    for _ in range(repeats):
        _, dW, db = _batch(whole, rng, size).value_and_grad(W, b)
        gradients.append(np.concatenate([dW.ravel(), db]).astype(float))
    return float(np.var(gradients, axis=0, ddof=1).sum())
