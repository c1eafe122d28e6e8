"""The learning-rate range test: the loss of a short run whose rate grows at every step."""

import importlib
from typing import NamedTuple

import numpy as np

from fastopt import rules
from fastopt.arrays import checked_number, checked_whole
from fastopt.losses import Softmax
from fastopt.objective import Objective
from fastopt.optimizer import Optimizer
from fastopt.rules import Momentum

WORSE = 4.0  # times the first loss: there the test ends


class RangeTest(NamedTuple):
    """lr, loss, smooth (steps,): the rate of each step, its batch's loss, the loss smoothed.

    suggestion: where the smoothed loss falls fastest against log lr. highest: the rate of the lowest smoothed loss;
    beyond it the loss grows.
    """

    lr: np.ndarray
    loss: np.ndarray
    smooth: np.ndarray
    suggestion: float
    highest: float

    def plot(self, axes=None):
        """Loss against the rate, by matplotlib; returns the axes."""
        if axes is None:
            Figure = importlib.import_module(
                "matplotlib.figure"
            ).Figure  # by name: frozen programs do without it

            axes = Figure(figsize=(6, 3.5), layout="constrained").subplots()
        axes.semilogx(self.lr, self.loss, color="0.7", lw=1, label="batch")
        axes.semilogx(self.lr, self.smooth, color="#0072b2", label="smoothed")
        axes.axvline(self.suggestion, color="#c44e00", ls="--", label=f"suggestion {self.suggestion:.2g}")
        axes.set_xlabel("learning rate")
        axes.set_ylabel("loss")
        axes.legend()
        return axes


def lr_range_test(
    X, y, loss=Softmax(), rule=Momentum(), *, low=1e-6, high=10.0, steps=120, batch_size=128, l2=0.0, seed=0, scale=None,
    classes=None, smooth=0.9,
):  # fmt: skip
    """Train from zeros while the rate grows from `low` to `high`; a RangeTest with a suggestion.

    X, y, loss, l2, scale: as in fo.train. rule: any rule with an lr. classes: rows of W where y does not say. The test
    ends where a loss is four times the first. Source: Smith 2017, section 3.3. Raises ValueError where the
    loss never falls.
    """
    low, high = checked_number(low, "low", "a rate"), checked_number(high, "high", "a rate")
    rule, steps = rules.checked(rule), checked_whole(steps, "steps", 10)
    batch_size = checked_whole(batch_size, "batch_size", 1)
    if not 0 <= checked_number(smooth, "smooth", "a number from 0 to below 1") < 1:
        raise ValueError(f"smooth must be a number from 0 to below 1, not {smooth!r}")
    if not 0 < low < high < np.inf:
        raise ValueError(f"low and high must be rates with 0 < low < high, not {low!r} and {high!r}")
    if "lr" not in rule._fields:
        raise ValueError(f"{type(rule).__name__} has no lr")
    whole = Objective(loss, X, y, l2=l2, scale=scale, classes=classes)
    rates = low * (high / low) ** (np.arange(steps) / (steps - 1))
    losses = _losses(whole, rule, rates, min(batch_size, whole.n), seed)
    curve = _smoothed(losses, smooth)
    best = int(np.argmin(curve))
    if best == 0 or not curve[best] < curve[0]:
        raise ValueError(f"the loss never falls between {low:g} and {high:g}: try a smaller `low`")
    rates = rates[: len(losses)]
    slope = (
        np.gradient(curve[: best + 1], np.log(rates[: best + 1]))
        if best >= 2
        else np.array([-1.0] * (best + 1))
    )
    return RangeTest(rates, losses, curve, float(rates[int(np.argmin(slope))]), float(rates[best]))


def _losses(whole, rule, rates, batch, seed):
    """The loss of each step's batch before the step, as far as it stays finite and below WORSE."""
    W, b = whole.zeros()
    optimizer = Optimizer([W, b], rule, schedules={"lr": lambda t, base: rates[t]})
    rng = np.random.default_rng(seed)
    found = []
    for _ in range(len(rates)):
        rows = whole.rows.take(np.sort(rng.choice(whole.n, batch, replace=False)))
        value, dW, db = Objective.of_rows(whole.loss, rows, whole.penalty).value_and_grad(W, b)
        if not (np.isfinite(value) and np.isfinite(dW).all()) or (found and value > WORSE * found[0]):
            break
        found.append(value)
        optimizer.step([dW, db])
    return np.array(found)


def _smoothed(values, share):
    """Exponential mean with its start corrected."""
    mean, result = 0.0, []
    for t, v in enumerate(values, 1):
        mean = share * mean + (1 - share) * v
        result.append(mean / (1 - share**t))
    return np.array(result)
