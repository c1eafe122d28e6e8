"""Naive reference versions of schedules that naive.py does not have.

Each returns a function of the step t, from 0 (the rate of the first update); ReduceOnPlateau is a class.
"""

import numpy as np


def milestones(a0, at, factor=0.1):
    """a0*factor^(number of milestones <= t); one given twice counts twice (torch MultiStepLR).

    optax.piecewise_constant_schedule: a factor for each boundary, applied from t = boundary on too.
    Keras PiecewiseConstantDecay: the new value from t = boundary + 1 on."""
    return lambda t: a0 * factor ** sum(1 for m in at if m <= t)


def piecewise(at, values, kind="linear"):
    """Through the points (at[i], values[i]), at increasing; the ends held.

    Between them "linear", "cosine" (half a cosine) or "constant" (values[i] for at[i] <= t < at[i+1]).
    optax.piecewise_interpolate_schedule: the same, values given as factors.  torch has LambdaLR only."""

    def value(t):
        if t <= at[0]:
            return values[0]
        for i in range(len(at) - 1):
            if at[i] <= t < at[i + 1]:
                f = (t - at[i]) / (at[i + 1] - at[i])
                f = {"linear": f, "cosine": (1 - np.cos(np.pi * f)) / 2, "constant": 0.0}[kind]
                return values[i] + (values[i + 1] - values[i]) * f
        return values[-1]

    return value


def cosine_restarts(a0, period, multiply=1, end=0.0, shrink=1.0):
    """SGDR (Loshchilov and Hutter, 2017, eq. 5): end + (a0-end)*(1 + cos(pi*T_cur/T_i))/2, T_i = period*multiply^i.

    Back to a0 at t = period, period*(1 + multiply), ...; end is never reached at whole steps.
    torch CosineAnnealingWarmRestarts: the same (T_0, T_mult, eta_min).  shrink (Keras m_mul): the peak of cycle i is
    end + (a0-end)*shrink^i; Keras: end = a0*alpha.  optax.sgdr_schedule: a list of warm-up cosines."""

    def value(t):
        length, i = period, 0
        while t >= length:
            t -= length
            length *= multiply
            i += 1
        return end + (a0 - end) * shrink**i * (1 + np.cos(np.pi * t / length)) / 2

    return value


def cosine(a0, end, steps, exponent=1.0):
    """end + (a0-end)*((1 + cos(pi*t/steps))/2)^exponent, then end (optax.cosine_decay_schedule, end = a0*alpha).

    torch and Keras have no exponent."""
    return lambda t: end + (a0 - end) * ((1 + np.cos(np.pi * min(t, steps) / steps)) / 2) ** exponent


def cosine_periodic(a0, end, steps):
    """torch CosineAnnealingLR: as cosine, but it climbs again after t = steps, period 2*steps."""
    return lambda t: end + (a0 - end) * (1 + np.cos(np.pi * t / steps)) / 2


def sequential(schedules, at):
    """schedules[i](t - at[i-1]) for at[i-1] <= t < at[i]: each starts at its own step 0.

    torch SequentialLR, optax.join_schedules."""

    def value(t):
        i = sum(1 for m in at if m <= t)
        return schedules[i](t - (at[i - 1] if i else 0))

    return value


def chained(a0, *factors):
    """a0*factors[0](t)*factors[1](t)*...: torch ChainedScheduler of schedulers that multiply."""

    def value(t):
        rate = a0
        for factor in factors:
            rate = rate * factor(t)
        return rate

    return value


class ReduceOnPlateau:
    """torch ReduceLROnPlateau: step(metric) -> the rate for what comes next.

    Better: mode "min", threshold_mode "rel" metric < best*(1-threshold), "abs" metric < best - threshold;
    mode "max" metric > best*(1+threshold), best + threshold.  Strictly; NaN is never better; best starts at +-inf.
    More than `patience` bad ones in a row: rate = max(rate*factor, min_lr) if that is more than eps less, then
    `cooldown` metrics whose badness does not count (best is still updated).
    Keras: patience 10, min_delta 1e-4 absolute, reduces once wait >= patience (one earlier than torch).
    optax.contrib.reduce_on_plateau: a scale; patience as Keras, rtol and atol together.
    """

    def __init__(
        self,
        a0,
        *,
        mode="min",
        factor=0.1,
        patience=10,
        threshold=1e-4,
        threshold_mode="rel",
        cooldown=0,
        min_lr=0.0,
        eps=1e-8,
    ):
        self.rate, self.mode, self.factor, self.patience = a0, mode, factor, patience
        self.threshold, self.threshold_mode, self.cooldown = threshold, threshold_mode, cooldown
        self.min_lr, self.eps = min_lr, eps
        self.best = np.inf if mode == "min" else -np.inf
        self.bad, self.waiting = 0, 0

    def better(self, metric):
        sign = -1 if self.mode == "min" else 1
        if self.threshold_mode == "rel":
            bound = self.best * (1 + sign * self.threshold)
        else:
            bound = self.best + sign * self.threshold
        return metric < bound if self.mode == "min" else metric > bound

    def step(self, metric):
        if self.better(metric):
            self.best, self.bad = metric, 0
        else:
            self.bad += 1
        if self.waiting > 0:
            self.waiting, self.bad = self.waiting - 1, 0
        if self.bad > self.patience:
            lower = max(self.rate * self.factor, self.min_lr)
            if self.rate - lower > self.eps:
                self.rate = lower
            self.waiting, self.bad = self.cooldown, 0
        return self.rate
