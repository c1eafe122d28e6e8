"""Detectors that look at a network's units: what they answer, and the weights that lead to them."""

import numpy as np

from fastopt.diagnostics.finding import detector

SHARE = 0.1  # of a layer's units
NEARLY = 0.99  # of the largest answer there is


def _layers(given):
    """{name: array}, from a dict or one array."""
    return given if isinstance(given, dict) else {"layer": given}


@detector(
    "dead units",
    rule="a tenth of a layer's units answer 0 for every row, or less than 0 never and 0 always",
    window="all rows of the activations given",
    cure="lower the learning rate, start with small positive biases, or use leaky units",
    needs=("activations",),
)
def dead_units(case):
    for name, a in _layers(case.activations).items():
        a = np.asarray(a)
        if a.ndim != 2 or len(a) < 10:
            continue
        dead = int(np.all(a == 0, axis=0).sum())
        if dead >= max(1, SHARE * a.shape[1]):
            return f"{name}: {dead} of {a.shape[1]} units answer 0 for all {len(a):,} rows"
    return None


@detector(
    "saturated units",
    rule="a tenth of a layer's units, of sigmoid (0 to 1) or tanh (-1 to 1), are within 1 % of an end for 95 % of the rows",
    window="all rows of the activations given",
    cure="smaller initial weights (1/sqrt of the inputs), standardised inputs, another activation",
    needs=("activations",),
)
def saturated_units(case):
    for name, a in _layers(case.activations).items():
        a = np.asarray(a)
        if a.ndim != 2 or len(a) < 10 or np.abs(a).max() > 1 + 1e-6:
            continue
        at_end = (a > NEARLY) | (a < -NEARLY if a.min() < 0 else a < 1 - NEARLY)
        moves = ~np.all(a == 0, axis=0)  # zero for all rows is dead, not saturated
        full = int(((at_end.mean(axis=0) > 0.95) & moves).sum())
        if full >= max(1, SHARE * a.shape[1]):
            return f"{name}: {full} of {a.shape[1]} units stand at an end for 95 % of {len(a):,} rows"
    return None


@detector(
    "symmetric weights",
    rule="two units or more of a layer have the same weights, to 1e-6 of their size",
    window="the weights given, a row a unit",
    cure="start from random weights: units that start alike stay alike",
    needs=("weights",),
)
def symmetric_weights(case):
    for name, w in _layers(case.weights).items():
        w = np.asarray(w, float)
        if w.ndim != 2 or len(w) < 2:
            continue
        scale = max(float(np.abs(w).max()), 1e-300)
        alike = len(w) - len(np.unique(np.round(w / scale, 6), axis=0))
        if alike:
            return f"{name}: {alike + 1 if alike + 1 <= len(w) else len(w)} of {len(w)} units have weights that others have"
    return None
