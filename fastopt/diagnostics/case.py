"""What is known of a run: its curves, and where they are at hand its data, parameters, functions."""

import contextlib
import itertools
import json
from pathlib import Path
from typing import Any

import numpy as np

PART = 50_000  # lines of a log read at once
LEAST = 8  # points of a curve below which no detector of curves speaks
_NAMES = {"loss": ("loss", "loss_train"), "validation": ("validation", "loss_validation"), "lr": ("lr",),
          "gradient_norm": ("gradient_norm",), "cosine": ("cosine",)}  # fmt: skip


CURVES = {alias for aliases in _NAMES.values() for alias in aliases}


class Case:
    """Attributes are arrays or None.

    loss, validation, lr, gradient_norm, cosine: one number a step or an epoch; cosine is that of the gradients of two
    steps that follow each other. objective, W, b, rule: a linear model. X, y: its rows. value, gradient, point,
    hessian_product: a function of the user's. activations {name: (rows, units)}, weights {name: (units, inputs)},
    restarts: final losses.
    """

    loss: Any

    def __init__(self, curves, **known):
        for name, aliases in _NAMES.items():
            found = next((curves[a] for a in aliases if a in curves), None)
            setattr(self, name, _curve(found, name))
        for name in ("objective", "W", "b", "rule", "X", "y", "value", "gradient", "point", "hessian_product",
                     "activations", "weights", "restarts", "names", "classes"):  # fmt: skip
            setattr(self, name, known.get(name))
        self._curvature = None

    def has(self, needs):
        return all(getattr(self, name) is not None for name in needs)

    @property
    def finite(self):
        """The loss as far as it is finite."""
        bad = np.flatnonzero(~np.isfinite(self.loss))
        return self.loss[: bad[0]] if len(bad) else self.loss

    def curvature(self):
        """(smallest, largest) curvature at the last parameters, by Lanczos; None where nothing can tell."""
        if self._curvature is None:
            from fastopt.diagnostics import curvature

            self._curvature = curvature.extremes(self)
        return self._curvature


def _curve(values, name):
    if values is None:
        return None
    values = np.asarray(values, float)
    if values.ndim != 1:
        raise ValueError(f"{name} must be a vector, a number a step or an epoch, not {values.shape}")
    return values if len(values) and not np.isnan(values).all() else None


def curves_of(run):
    """The curves of a Fit, a dict of vectors, or a JSONL log; TypeError for anything else."""
    if hasattr(run, "history"):
        return dict(run.history)
    if isinstance(run, dict):
        return run
    if isinstance(run, (str, Path)):
        return read_log(run)
    raise TypeError(f"run must be a Fit, a dict of curves or the file of a log, not {type(run).__name__}")


def read_log(path):
    """The curves of a JSONL log: a dict of vectors, NaN where a line lacks a name. Lines cut off are left out; ValueError
    for a file in which no line tells of a step."""
    columns, count = {}, 0
    with Path(path).open(encoding="utf-8", errors="replace") as file:
        while texts := list(itertools.islice(file, PART)):
            lines = [line for line in _parsed(texts) if isinstance(line, dict) and "step" in line]
            for name in {k for line in lines for k in line}:
                values = [line.get(name) for line in lines]
                if not any(_is_number(v) for v in values):
                    continue
                column = columns.setdefault(name, [np.full(count, np.nan)] if count else [])
                column.append(np.array([v if _is_number(v) else np.nan for v in values], float))
            count += len(lines)
            for column in columns.values():
                if (short := count - sum(map(len, column))) > 0:
                    column.append(np.full(short, np.nan))
    if not count:
        raise ValueError(
            f"{path} is no log of a run, or one without a step: none of its lines has a number of steps"
        )
    return {name: np.concatenate(columns[name]) for name in sorted(columns)}


def _parsed(texts):
    """What the lines hold, all at once (four times as fast), or line by line where one is cut off."""
    try:
        return json.loads(f"[{','.join(texts)}]")
    except json.JSONDecodeError:
        found = []
        for text in texts:
            with contextlib.suppress(json.JSONDecodeError):
                found.append(json.loads(text))
        return found


def _is_number(value):
    return isinstance(value, (int, float)) and not isinstance(value, bool)
