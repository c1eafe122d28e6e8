"""The pages' pictures without a browser, by matplotlib: for papers and a README."""

import importlib

import numpy as np

from fastopt.optimizer import Optimizer
from fastopt.reports import surfaces

COLOURS = ("#1b1f24", "#0072b2", "#c44e00", "#00795a", "#a8447c", "#7d6200", "#3a86c8", "#6f42c1")
DASHES = ("-", "--", ":", "-.", (0, (5, 1)), (0, (1, 1)), (0, (8, 2)), (0, (3, 1, 1, 1)))


def _axes(axes, size):
    """The axes given, or new ones of a figure of this size in inches."""
    if axes is not None:
        return axes
    try:
        Figure = importlib.import_module("matplotlib.figure").Figure  # by name: frozen programs do without it
    except ImportError as error:
        raise ImportError("pictures need matplotlib: pip install matplotlib") from error
    return Figure(figsize=size, layout="constrained").subplots()


def engine_path(surface, rule, steps, start=None):
    """(steps + 1, 2) points of a rule on a surface, by fo.Optimizer; fewer where it leaves all numbers."""
    p = np.array(surface.start if start is None else start, float)
    optimizer, path = Optimizer(p, rule, nonfinite="allow"), [p.copy()]
    for t in range(steps):
        g = surface.gradient(p, t) if surface.batches is not None else surface.gradient(p)
        optimizer.step(np.asarray(g, float))
        if not np.isfinite(p).all():
            break
        path.append(p.copy())
    return np.array(path)


def contours(surface, axes=None, *, levels=14, box=None):
    """Contours of a surface, closer together where it is low; returns the axes."""
    axes = _axes(axes, (5, 4))
    box = box or surface.box
    x, y = np.linspace(box[0], box[1], 160), np.linspace(box[2], box[3], 160)
    z = np.array([[surface.value(np.array([a, b])) for a in x] for b in y])
    low = np.log1p(20 * (z - z.min()) / max(np.median(z - z.min()), 1e-300))
    axes.contourf(x, y, low, levels, cmap="Blues", alpha=0.45)
    axes.contour(x, y, low, levels, colors="0.45", linewidths=0.4)
    for minimum in surface.minima:
        axes.plot(*minimum, "o", mfc="none", mec="k", ms=7)
    axes.set_xlim(box[:2])
    axes.set_ylim(box[2:])
    return axes


def race_picture(function, rules, *, steps=100, start=None, axes=None, box=None):
    """Paths of rules on a surface, in colours and dashes that tell them apart; returns the axes.

    function: a name of surfaces.SURFACES or a Surface. rules: {label: rule}.
    """
    surface = surfaces.SURFACES[function] if isinstance(function, str) else function
    axes = contours(surface, _axes(axes, (5, 4)), box=box)
    for i, (label, rule) in enumerate(rules.items()):
        path = np.clip(engine_path(surface, rule, steps, start), -1e6, 1e6)
        axes.plot(*path.T, color=COLOURS[i % 8], ls=DASHES[i % 8], lw=1.4, label=label)
        axes.plot(*path[:: max(1, len(path) // 40)].T, ".", color=COLOURS[i % 8], ms=3)
    return axes


def loss_picture(function, rules, *, steps=100, start=None, axes=None):
    """Loss above its minimum against the step; returns the axes."""
    surface = surfaces.SURFACES[function] if isinstance(function, str) else function
    axes = _axes(axes, (5, 3))
    for i, (label, rule) in enumerate(rules.items()):
        path = engine_path(surface, rule, steps, start)
        losses = np.array([surface.value(p) for p in path]) - (surface.lowest or 0.0)
        axes.semilogy(np.clip(losses, 1e-16, 1e16), color=COLOURS[i % 8], ls=DASHES[i % 8], label=label)
    axes.set_xlabel("step")
    axes.set_ylabel("loss above its minimum")
    axes.grid(alpha=0.3)
    return axes


def curves_picture(runs, name="loss_train", axes=None):
    """One curve of several runs, {label: Fit or dict of curves}; returns the axes."""
    axes = _axes(axes, (6, 3.5))
    for i, (label, run) in enumerate(runs.items()):
        curves = run.history if hasattr(run, "history") else run
        values = np.asarray(curves[name], float)
        axes.plot(np.arange(1, len(values) + 1), values, color=COLOURS[i % 8], ls=DASHES[i % 8], label=label)
    axes.set_xlabel("epoch")
    axes.set_ylabel(name.replace("_", " "))
    axes.legend()
    axes.grid(alpha=0.3)
    return axes


def slice_picture(found, axes=None):
    """A slice.Slice: contours of the loss and the path in them; returns the axes."""
    axes = _axes(axes, (5, 4))
    u, v = (np.linspace(found.box[i], found.box[i + 1], len(found.grid)) for i in (0, 2))
    axes.contourf(
        u, v, np.log(found.grid - found.grid.min() + 1e-3 * np.ptp(found.grid)), 18, cmap="Blues", alpha=0.45
    )
    axes.plot(*found.coordinates.T, ".-", color=COLOURS[1], ms=4, lw=1.2)
    for label, share, put in zip("12", found.explained, (axes.set_xlabel, axes.set_ylabel), strict=True):
        put(f"direction {label}: {100 * share:.1f} % of the path's variance")
    return axes
