"""Schedules: the value of a hyperparameter at step t, t counting from 0.

A schedule is called as schedule(t, base), base being the value that the rule itself has: Cosine on
"lr" starts at the rule's lr unless it is given a start. The schedules here take a number or an array of
numbers: a training run asks for a whole stretch of steps at once. Any function of (t, base) serves as
well and is called with one whole number t at a time. `steps=None` means the length of the run in `fo.train`.
"""

from collections.abc import Mapping
from numbers import Real
from typing import Any, NamedTuple

import numpy as np

from fastopt.rules import out_of_range


class Constant(NamedTuple):
    """start"""

    start: float | None = None

    def __call__(self, t, base=None):
        return _start(self, base) + 0.0 * t


class Step(NamedTuple):
    """start * drop**floor(t/every)"""

    every: int
    drop: float = 0.1
    start: float | None = None

    def __call__(self, t, base=None):
        return _start(self, base) * self.drop ** np.floor_divide(t, self.every)


class Exponential(NamedTuple):
    """start * exp(-k*t)"""

    k: float
    start: float | None = None

    def __call__(self, t, base=None):
        return _start(self, base) * np.exp(-self.k * t)


class InverseTime(NamedTuple):
    """start / (1 + k*t)"""

    k: float
    start: float | None = None

    def __call__(self, t, base=None):
        return _start(self, base) / (1 + self.k * t)


class Cosine(NamedTuple):
    """end + (start - end) * (1 + cos(pi*t/steps))/2, then end. Loshchilov & Hutter 2017, eq. 5."""

    steps: int | None = None
    end: float = 0.0
    start: float | None = None

    def __call__(self, t, base=None):
        start = _start(self, base)
        return self.end + (start - self.end) * (1 + np.cos(np.pi * _progress(self, t))) / 2


class Linear(NamedTuple):
    """start + (end - start) * t/steps, then end."""

    steps: int | None = None
    end: float = 0.0
    start: float | None = None

    def __call__(self, t, base=None):
        x = _progress(self, t)
        return _start(self, base) * (1 - x) + self.end * x


class Polynomial(NamedTuple):
    """end + (start - end) * (1 - t/steps)**power, then end."""

    steps: int | None = None
    power: float = 2.0
    end: float = 0.0
    start: float | None = None

    def __call__(self, t, base=None):
        start = _start(self, base)
        return self.end + (start - self.end) * (1 - _progress(self, t)) ** self.power


class OneCycle(NamedTuple):
    """Up by a cosine from peak/start_divisor to peak at t = warm*steps - 1, then down by a cosine to
    peak/start_divisor/end_divisor at t = steps - 1, the last step.

    Source: Smith & Topin 2019, in the form of torch.optim.lr_scheduler.OneCycleLR (cosine, two phases).
    """

    steps: int | None = None
    peak: float | None = None
    warm: float = 0.3
    start_divisor: float = 25.0
    end_divisor: float = 1e4

    def __call__(self, t, base=None):
        peak: Any = base if self.peak is None else self.peak
        low = peak / self.start_divisor
        end = low / self.end_divisor
        t = np.minimum(t, _steps(self) - 1)
        steps: Any = self.steps
        top = max(self.warm * steps - 1, 0.0)  # the step with the peak
        up = low + (peak - low) * (1 - np.cos(np.pi * np.minimum(t / (top or 1.0), 1.0))) / 2
        down = np.maximum(t - top, 0.0) / ((steps - 1 - top) or 1.0)
        return np.where(t < top, up, end + (peak - end) * (1 + np.cos(np.pi * down)) / 2)[()]


class Warmup(NamedTuple):
    """then(0) * (t+1)/steps for t < steps, then(t - steps) afterwards; with steps = 0 it is `then`."""

    steps: int
    then: Any = Constant()

    def __call__(self, t, base=None):
        warm = self.then(0, base) * (t + 1) / max(self.steps, 1)
        return np.where(t < self.steps, warm, self.then(np.maximum(t - self.steps, 0), base))[()]


class Milestones(NamedTuple):
    """start * drop**(how many of the milestones t has reached). torch.optim.lr_scheduler.MultiStepLR."""

    at: tuple
    drop: float = 0.1
    start: float | None = None

    def __call__(self, t, base=None):
        return _start(self, base) * self.drop ** (np.searchsorted(np.sort(self.at), t, side="right") * 1.0)


class Piecewise(NamedTuple):
    """Straight lines between the points (t, value), level before the first and after the last; values are
    multiples of the base value unless `absolute`.
    """

    points: tuple
    absolute: bool = False

    def __call__(self, t, base=None):
        times, values = zip(*sorted(self.points), strict=True)
        value = np.interp(t, times, values)
        return value if self.absolute else _start(Constant(), base) * value


class WarmRestarts(NamedTuple):
    """Cosine from start to end in `steps` steps, again and again, each time `factor` times as long.

    Source: Loshchilov & Hutter 2017, eq. 5. torch.optim.lr_scheduler.CosineAnnealingWarmRestarts.
    """

    steps: int
    factor: int = 1
    end: float = 0.0
    start: float | None = None

    def __call__(self, t, base=None):
        start, t = _start(self, base), np.asarray(t, np.float64)
        if self.factor == 1:
            x = np.mod(t, self.steps) / self.steps
        else:
            cycle = np.floor(np.log1p(t / self.steps * (self.factor - 1)) / np.log(self.factor) + 1e-12)
            begin = self.steps * (self.factor**cycle - 1) / (self.factor - 1)
            x = (t - begin) / (self.steps * self.factor**cycle)
        return (self.end + (start - self.end) * (1 + np.cos(np.pi * x)) / 2)[()]


class Chain(NamedTuple):
    """One schedule after the other: parts are (steps, schedule), the last one's steps being None; each counts from 0."""

    parts: tuple

    def __call__(self, t, base=None):
        begin, value = 0, None
        for steps, schedule in self.parts:
            mine = schedule(np.maximum(t - begin, 0), base)
            value = mine if value is None else np.where(t >= begin, mine, value)[()]
            begin = begin + (steps or 0)
        return value


class Plateau:
    """The value times `drop` after `patience` reports of a metric that have not bettered the best one by `threshold`.

    `report(metric)` is called by the user, after an epoch say; calling the schedule only reads. `state_dict` and
    `load_state_dict` keep it. torch.optim.lr_scheduler.ReduceLROnPlateau, in relative terms.
    """

    def __init__(self, drop=0.1, patience=10, threshold=1e-4, lowest=0.0, largest_is_best=False):
        given = {"drop": drop, "patience": patience, "threshold": threshold, "lowest": lowest}
        if wrong := [name for name, value in given.items() if not isinstance(value, Real)]:
            raise TypeError(f"Plateau: {wrong[0]} must be a number, not {given[wrong[0]]!r:.60}")
        self.drop, self.patience, self.threshold = float(drop), int(patience), float(threshold)
        self.lowest, self.largest_is_best = float(lowest), bool(largest_is_best)
        if not 0 < self.drop < 1 or self.patience < 0 or not self.threshold >= 0 or not self.lowest >= 0:
            raise ValueError(f"{self!r}: 0 < drop < 1, and patience, threshold, lowest at least 0 are needed")
        self.best, self.waited, self.drops = None, 0, 0

    def __repr__(self):
        return f"Plateau(drop={self.drop}, patience={self.patience}, threshold={self.threshold})"

    def __call__(self, t, base=None):
        return max(_start(Constant(), base) * self.drop**self.drops, self.lowest)

    def report(self, metric):
        """Take a new value of the metric; NaN counts as no better."""
        value = -float(metric) if self.largest_is_best else float(metric)
        if self.best is None or value < self.best - self.threshold * abs(self.best):
            self.best, self.waited = value, 0
            return
        self.waited += 1
        if self.waited > self.patience:
            self.drops, self.waited = self.drops + 1, 0

    def state_dict(self):
        return {"best": self.best, "waited": self.waited, "drops": self.drops}

    def load_state_dict(self, saved):
        self.best, self.waited, self.drops = saved["best"], int(saved["waited"]), int(saved["drops"])


SCHEDULES = (
    Milestones,
    Piecewise,
    WarmRestarts,
    Chain,
    Constant,
    Step,
    Exponential,
    InverseTime,
    Cosine,
    Linear,
    Polynomial,
    OneCycle,
    Warmup,
)


def _start(schedule, base):
    start = base if schedule.start is None else schedule.start
    if start is None:
        raise ValueError(f"{type(schedule).__name__} needs a start: give it one, or a base value")
    return start


def _steps(schedule):
    if schedule.steps is None:
        raise ValueError(
            f"{type(schedule).__name__} needs steps, the number of steps it stretches over "
            "(only fo.train can put in the length of the run)"
        )
    return schedule.steps


def _progress(schedule, t):
    return np.minimum(t / _steps(schedule), 1.0)


def for_run(schedule, steps):
    """The schedule with the length of the run where it has none of its own."""
    if isinstance(schedule, Warmup):
        return schedule._replace(then=for_run(schedule.then, max(1, steps - schedule.steps)))
    if isinstance(schedule, Chain) and isinstance(schedule.parts, (tuple, list)):
        left, parts = steps, []
        for length, part in schedule.parts:
            parts.append((length, for_run(part, max(1, length or left))))
            left = left - (length or 0)
        return Chain(tuple(parts))
    if getattr(schedule, "steps", 0) is None:
        return schedule._replace(steps=steps)
    return schedule


def checked_schedules(schedules, rule):
    """The schedules as a dict; raises for an unknown hyperparameter or impossible numbers."""
    if schedules is not None and not isinstance(schedules, Mapping):
        raise TypeError(f"schedules must be a dict {{hyperparameter: schedule}}, not {schedules!r:.60}")
    schedules = dict(schedules or {})
    for name, schedule in schedules.items():
        if name not in rule._fields:
            known = ", ".join(rule._fields)
            raise ValueError(f"schedules: {type(rule).__name__} has no {name!r}; it has {known}")
        _check_schedule(schedule, name)
    values_at(schedules, rule, 0)
    return schedules


def _check_schedule(schedule, name):
    if isinstance(schedule, type):
        made = f"{schedule.__name__}(...)"
        raise TypeError(f"schedules[{name!r}] must be a value: write {made}, not {schedule.__name__}")
    if not callable(schedule):
        raise TypeError(
            f"schedules[{name!r}] must be a schedule or a function of (t, base), not {schedule!r:.60}"
        )
    if type(schedule) in SCHEDULES:
        _check_numbers(schedule, name)


def _check_numbers(schedule, name):
    for field, value in zip(schedule._fields, schedule, strict=True):
        if value is None or field in ("then", "parts", "at", "points", "absolute"):
            continue
        if isinstance(value, (bool, str)) or not isinstance(value, Real):
            raise TypeError(f"schedules[{name!r}]: {field} must be a number, not {value!r:.60}")
        if isinstance(schedule, Warmup) and value == 0:
            continue
        if field in ("steps", "every", "start_divisor", "end_divisor") and not value > 0:  # type: ignore[operator]
            raise ValueError(f"schedules[{name!r}]: {field} must be above 0, not {value!r}")
    if isinstance(schedule, InverseTime) and not schedule.k >= 0:
        raise ValueError(f"schedules[{name!r}]: k must be at least 0, not {schedule.k!r}: 1 + k*t reaches 0")
    if isinstance(schedule, OneCycle) and not 0 < schedule.warm < 1:
        raise ValueError(f"schedules[{name!r}]: warm must lie between 0 and 1, not {schedule.warm!r}")
    if isinstance(schedule, Milestones) and not _are_numbers(schedule.at):
        raise TypeError(f"schedules[{name!r}]: at must be a tuple of steps, not {schedule.at!r:.60}")
    if isinstance(schedule, Piecewise) and not (
        isinstance(schedule.points, (tuple, list)) and schedule.points and all(
            _are_numbers(p) and len(p) == 2 for p in schedule.points)
    ):  # fmt: skip
        raise TypeError(f"schedules[{name!r}]: points must be pairs (t, value), not {schedule.points!r:.60}")
    if isinstance(schedule, WarmRestarts) and not schedule.factor >= 1:
        raise ValueError(f"schedules[{name!r}]: factor must be at least 1, not {schedule.factor!r}")
    if isinstance(schedule, Warmup):
        _check_schedule(schedule.then, name)
    if isinstance(schedule, Chain):
        _check_parts(schedule, name)


def _are_numbers(values):
    return isinstance(values, (tuple, list)) and all(
        isinstance(v, Real) and not isinstance(v, bool) for v in values
    )


def _check_parts(chain, name):
    parts = chain.parts
    if not isinstance(parts, (tuple, list)) or not parts or any(
        not isinstance(p, (tuple, list)) or hasattr(p, "_fields") or len(p) != 2 for p in parts
    ):  # fmt: skip
        raise TypeError(f"schedules[{name!r}]: parts must be pairs (steps, schedule), not {parts!r:.60}")
    for steps, _ in parts[:-1]:
        if isinstance(steps, bool) or not isinstance(steps, Real) or not steps > 0:  # type: ignore[operator]
            raise ValueError(f"schedules[{name!r}]: a part's steps must be above 0, not {steps!r:.60}")
    for _, schedule in parts:
        _check_schedule(schedule, name)


def _takes_arrays(schedule):
    """Whether it may be asked for many steps at once: not a user's function, which may have an `if`."""
    if type(schedule) not in SCHEDULES:
        return False
    if isinstance(schedule, Chain):
        return all(_takes_arrays(part) for _, part in schedule.parts)
    return _takes_arrays(schedule.then) if isinstance(schedule, Warmup) else True


def values_at(schedules, rule, t):
    """Scheduled hyperparameters at step t, or at an array of steps; raises where they are impossible."""
    result = {}
    for name, schedule in schedules.items():
        base = getattr(rule, name)
        if np.ndim(t) == 0 or _takes_arrays(schedule):
            value = _value(schedule, name, t, base)
        else:
            value = np.array([_value(schedule, name, int(i), base) for i in t])
        if not np.isfinite(value).all():
            raise ValueError(f"schedules[{name!r}] gave NaN or inf at step {t}")
        ends = (value, value) if np.ndim(value) == 0 else (np.min(value), np.max(value))
        if bound := out_of_range(name, *ends):
            raise ValueError(
                f"schedules[{name!r}] gave {ends[0]} to {ends[1]} at step {t}: {bound} is needed"
            )
        result[name] = value if np.ndim(value) else float(value)
    return result


def _value(schedule, name, t, base):
    """What the schedule gives, as a float or an array of t's shape, or an error that names it."""
    try:
        with np.errstate(all="ignore"):  # whatever the caller has set: an underflow is no error here
            value = schedule(t, base)
    except Exception as error:
        kind = TypeError if isinstance(error, TypeError) else ValueError
        raise kind(
            f"schedules[{name!r}] raised {type(error).__name__}: {error}; it is called as schedule(t, base) "
            f"with the step t ({t!r:.40}) and the rule's own {name} ({base!r})"
        ) from error
    if type(value) is float:
        return value
    number = np.asarray(value)
    if number.dtype.kind not in "iuf" or number.shape not in ((), np.shape(t)):
        what = f"an array of shape {number.shape}" if number.ndim else repr(value)[:60]
        raise TypeError(f"schedules[{name!r}] gave {what} at step {t!r:.40}: it must give a number")
    return number.astype(np.float64)[()]
