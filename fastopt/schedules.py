"""Schedules: the value of a hyperparameter at step t, t counting from 0.

A schedule is called as schedule(t, base), base being the value that the rule itself has: Cosine on
"lr" starts at the rule's lr unless it is given a start. t may be a number or an array of numbers: a
training run asks for a whole stretch of steps at once and hands the values to the compiled loop.
Any function of (t, base) serves as well. `steps=None` means the length of the run in `fo.train`.
"""

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
    """Up by a cosine from peak/start_divisor to peak in the share `warm` of the steps, then down by
    a cosine to peak/start_divisor/end_divisor. Smith & Topin 2019, in fastai's and torch's form.
    """

    steps: int | None = None
    peak: float | None = None
    warm: float = 0.3
    start_divisor: float = 25.0
    end_divisor: float = 1e4

    def __call__(self, t, base=None):
        peak = base if self.peak is None else self.peak
        low = peak / self.start_divisor
        x = _progress(self, t)
        up = low + (peak - low) * (1 - np.cos(np.pi * np.minimum(x / self.warm, 1))) / 2
        end = low / self.end_divisor
        down = np.maximum(x - self.warm, 0) / (1 - self.warm)
        return np.where(x < self.warm, up, end + (peak - end) * (1 + np.cos(np.pi * down)) / 2)[()]


class Warmup(NamedTuple):
    """then(0) * (t+1)/steps for t < steps, then(t - steps) afterwards."""

    steps: int
    then: Any = Constant()

    def __call__(self, t, base=None):
        warm = self.then(0, base) * (t + 1) / self.steps
        return np.where(t < self.steps, warm, self.then(np.maximum(t - self.steps, 0), base))[()]


SCHEDULES = (Constant, Step, Exponential, InverseTime, Cosine, Linear, Polynomial, OneCycle, Warmup)


def _start(schedule, base):
    start = base if schedule.start is None else schedule.start
    if start is None:
        raise ValueError(f"{type(schedule).__name__} needs a start: give it one, or a base value")
    return start


def _progress(schedule, t):
    if schedule.steps is None:
        raise ValueError(
            f"{type(schedule).__name__} needs steps, the number of steps it stretches over "
            "(only fo.train can put in the length of the run)"
        )
    return np.minimum(t / schedule.steps, 1.0)


def for_run(schedule, steps):
    """The schedule with the length of the run where it has none of its own."""
    if isinstance(schedule, Warmup):
        return schedule._replace(then=for_run(schedule.then, max(1, steps - schedule.steps)))
    if getattr(schedule, "steps", 0) is None:
        return schedule._replace(steps=steps)
    return schedule


def checked_schedules(schedules, rule):
    """The schedules as a dict; raises for an unknown hyperparameter or impossible numbers."""
    schedules = dict(schedules or {})
    for name, schedule in schedules.items():
        if name not in rule._fields:
            known = ", ".join(rule._fields)
            raise ValueError(f"schedules: {type(rule).__name__} has no {name!r}; it has {known}")
        if not callable(schedule):
            raise TypeError(f"schedules[{name!r}] must be a schedule or a function of (t, base)")
        _check_numbers(schedule, name)
    values_at(schedules, rule, 0)
    return schedules


def _check_numbers(schedule, name):
    for field in ("steps", "every", "start_divisor", "end_divisor"):
        value = getattr(schedule, field, None)
        if value is not None and not value > 0:
            raise ValueError(f"schedules[{name!r}]: {field} must be above 0, not {value!r}")
    if isinstance(schedule, OneCycle) and not 0 < schedule.warm < 1:
        raise ValueError(f"schedules[{name!r}]: warm must lie between 0 and 1, not {schedule.warm!r}")
    if isinstance(schedule, Warmup):
        _check_numbers(schedule.then, name)


def values_at(schedules, rule, t):
    """Scheduled hyperparameters at step t, or at an array of steps; raises where they are impossible."""
    result = {}
    for name, schedule in schedules.items():
        value = schedule(t, getattr(rule, name))
        if not np.isfinite(value).all():
            raise ValueError(f"schedules[{name!r}] gave NaN or inf at step {t}")
        ends = (value, value) if np.ndim(value) == 0 else (np.min(value), np.max(value))
        if bound := out_of_range(name, *ends):
            raise ValueError(
                f"schedules[{name!r}] gave {ends[0]} to {ends[1]} at step {t}: {bound} is needed"
            )
        result[name] = value if np.ndim(value) else float(value)
    return result
