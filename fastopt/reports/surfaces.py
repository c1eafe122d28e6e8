"""The eight surfaces of the race, functions of two numbers, and the user's own."""

import importlib
import inspect
import math
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from fastopt import functions


class Surface(NamedTuple):
    """A function of x = (x[0], x[1]) and how it is shown.

    value(x), gradient(x) -> (2,). box: (low0, high0, low1, high1). start: where paths begin. lowest: the
    smallest value, or None where it is not known. presets: learning rates that the lectures name.
    batches: (steps, rows) row numbers, and value_rows(x, i) the loss of one row, where the gradient of a
    step is a mini-batch's.
    """

    name: str
    title: str
    text: str
    value: Callable
    gradient: Callable
    box: tuple
    start: tuple
    lowest: float | None = 0.0
    minima: tuple = ()
    presets: tuple = ()
    batches: Any = None


class LineFit:
    """Mean squared error of y = x[0] + x[1]*u on rows (u, y): its gradient at a step is that of a few rows."""

    ROWS, BATCH, STEPS = 64, 4, 500

    def __init__(self, seed=3):
        rng = np.random.default_rng(seed)
        self.u = np.round(rng.uniform(-1, 2, self.ROWS), 3)
        self.y = np.round(0.6 + 1.4 * self.u + rng.normal(0, 0.8, self.ROWS), 3)
        self.batches = rng.integers(0, self.ROWS, (self.STEPS, self.BATCH))

    def value(self, x):
        r = x[0] + x[1] * self.u - self.y
        return float(np.mean(0.5 * r * r))

    def gradient(self, x, step=None):
        """Of all rows, or of the batch of a step, counted from 0."""
        rows = slice(None) if step is None else self.batches[step % self.STEPS]
        u = self.u[rows]
        r = x[0] + x[1] * u - self.y[rows]
        return np.array([r.mean(), (r * u).mean()])

    def lowest(self):
        A = np.stack([np.ones_like(self.u), self.u], axis=1)
        best = np.linalg.lstsq(A, self.y, rcond=None)[0]
        return best, self.value(best)


_LINE = LineFit()
_BEST, _LEAST = _LINE.lowest()


def _shown(name, title, text, f, box, start, minima=None, presets=()):
    """A function of fo.functions as a Surface."""
    minima = minima or (tuple(f.minimum),)
    return Surface(name, title, text, f.value, f.gradient, box, start, f.lowest, minima, presets)


SURFACES = {
    s.name: s
    for s in (
        _shown(
            "lectures", "The lectures' quadratic", "(x + 2y − 7)² + (2x + y − 5)²: curvatures 18 and 2, so gradient "
            "descent needs a learning rate below 2/18 = 0.111.",
            functions.booth, (-10, 10, -10, 10), (-8.5, 6), presets=(0.01, 0.10, 0.11, 0.12),
        ),
        _shown(
            "ravine", "Ravine", "(x² + 100y²)/2: the steep direction limits the rate, the flat one needs a larger one.",
            functions.ravine, (-11, 4, -2.5, 2.5), (-10, 1),
        ),
        _shown(
            "saddle", "Saddle", "x² − y² + y⁴: flat at the origin, minima at y = ±0.707. The start lies almost on the line that "
            "leads to the saddle.",
            functions.saddle, (-1.7, 1.7, -1.3, 1.3), (-1.5, 0.001), ((0, 0.5**0.5), (0, -(0.5**0.5))),
        ),
        _shown(
            "plateau", "Plateau", "1 − exp(−(x² + y²)/2): far out there is almost no gradient.",
            functions.plateau, (-4, 4, -4, 4), (-2.6, 1.9),
        ),
        _shown(
            "local-minima", "Local minima", "Rastrigin's 20 + x² + y² − 10 cos 2πx − 10 cos 2πy: a minimum near every point of whole numbers.",
            functions.rastrigin(), (-3.4, 3.4, -3.4, 3.4), (2.7, 1.75),
        ),
        _shown(
            "rosenbrock", "Rosenbrock", "(1 − x)² + 100(y − x²)²: a bent valley with an almost flat floor.",
            functions.rosenbrock(), (-2, 2, -1, 3), (-1.2, 1),
        ),
        _shown(
            "beale", "Beale", "(1.5 − x + xy)² + (2.25 − x + xy²)² + (2.625 − x + xy³)²: flat in the middle, cliffs outside.",
            functions.beale, (-4.5, 4.5, -4.5, 4.5), (1, 1.6),
        ),
        Surface(
            "mini-batch", "Mini-batch loss", "A line fitted to 64 points, with the gradient of 4 of them a step: near the minimum "
            "the noise of the batch is all there is.",
            _LINE.value, _LINE.gradient, (-3, 3, -2, 4), (-2.5, -1.5), _LEAST, (tuple(_BEST),), (), _LINE,
        ),
    )
}  # fmt: skip


def own(name, box=None, start=None):
    """The user's function "package.module:function" as a Surface; f(x), x of two numbers, returns a number.

    Its gradient: the function's attribute `gradient`, a function of x, or numeric. fastopt.functions:himmelblau and
    the like serve too. Raises ValueError where the
    name leads nowhere or the function does not give a number.
    """
    module, _, function = name.partition(":")
    if not function:
        raise ValueError(f"{name!r}: write module:function, or one of {', '.join(SURFACES)}")
    try:
        f = getattr(importlib.import_module(module), function)
    except (ImportError, AttributeError) as error:
        raise ValueError(f"{name!r}: {error}") from error
    box = tuple(map(float, box or (-5, 5, -5, 5)))
    if not (box[0] < box[1] and box[2] < box[3]):
        raise ValueError(f"box must be LOW0 HIGH0 LOW1 HIGH1 with LOW < HIGH, not {box}")
    start = tuple(map(float, start or (0.8 * box[0] + 0.2 * box[1], 0.2 * box[2] + 0.8 * box[3])))
    try:
        at_start = float(f(np.array(start)))
    except Exception as error:
        raise ValueError(f"{name} at {start}: {type(error).__name__}: {error}") from error
    if not math.isfinite(at_start):
        raise ValueError(f"{name} is {at_start} at the start {start}: give another --start")
    text = (_first_line(f) or name) + " (your function)"
    gradient = getattr(f, "gradient", None) or _numeric(f)
    return Surface(
        name, function, text, getattr(f, "value", f), gradient, box, start, getattr(f, "lowest", None)
    )


def _first_line(f):
    """The first line of a docstring."""
    return (f.__doc__ or "").strip().partition("\n")[0] if inspect.isfunction(f) else ""


def _numeric(f):
    from fastopt.checking import numeric_gradient

    return lambda x: np.asarray(numeric_gradient(f, np.asarray(x, float)))
