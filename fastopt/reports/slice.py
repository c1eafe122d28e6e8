"""The loss of a model around the path of its training: the plane of the path's two main directions."""

from typing import NamedTuple

import numpy as np

from fastopt.reports.page import page, table

POINTS = 120  # of the path that the page shows
GRID = 61  # points a side


class Slice(NamedTuple):
    """A path seen in a plane through its end.

    origin (d,), directions (2, d) orthonormal; explained (2,): shares of the variance of path - end; coordinates
    (n, 2); box; grid (GRID, GRID): losses, second direction along the rows; true, projected (n,): the loss at the
    points and at their projections; distance (n,): from the plane.
    """

    origin: np.ndarray
    directions: np.ndarray
    explained: np.ndarray
    coordinates: np.ndarray
    box: tuple
    grid: np.ndarray
    true: np.ndarray
    projected: np.ndarray
    distance: np.ndarray


def loss_slice(value, path, *, grid=GRID):
    """The Slice of a path (n, d) under value(parameters (d,)) -> loss.

    The directions are the two main ones of path - path[-1] (Li et al. 2018, section 7). A curved path in many
    dimensions leaves the plane: `true` beside `projected` says how far to believe it.
    """
    path = np.asarray(path, float)
    if path.ndim != 2 or len(path) < 3 or path.shape[1] < 2:
        raise ValueError(
            f"path must be (points, parameters), three points and two parameters at least, not {path.shape}"
        )
    if not np.isfinite(path).all():
        raise ValueError("path has NaN or inf")
    origin = path[-1]
    moved = path - origin
    _, size, directions = np.linalg.svd(moved, full_matrices=False)
    if not size[0] > 0:
        raise ValueError("path does not move")
    directions = directions[:2]
    seen = moved @ directions.T
    box = _box(seen)
    u, v = np.linspace(box[0], box[1], grid), np.linspace(box[2], box[3], grid)
    losses = np.array([[value(origin + a * directions[0] + b * directions[1]) for a in u] for b in v])
    flat = origin + seen @ directions
    return Slice(
        origin, directions, size[:2] ** 2 / np.sum(size**2), seen, box, losses,
        np.array([value(p) for p in path]), np.array([value(p) for p in flat]), np.linalg.norm(path - flat, axis=1),
    )  # fmt: skip


def _box(seen):
    """Some room around the path; a square where it is almost a line."""
    low, high = seen.min(axis=0), seen.max(axis=0)
    half = np.maximum((high - low) / 2, 0.25 * (high - low).max() / 2) * 1.35
    middle = (low + high) / 2
    return tuple(np.stack([middle - half, middle + half], axis=1).ravel())


def trained_path(objective, rule, *, steps=400, batch_size=128, seed=0, points=POINTS):
    """(path (n, d), steps (n,)) of a training run from zeros on an fo.Objective's rows, by fo.Optimizer.

    The parameters are W, row by row, and then b.
    """
    from fastopt.objective import Objective
    from fastopt.optimizer import Optimizer

    rows = objective.rows
    W = np.zeros((rows.classes, rows.features), rows.dtype)
    b = np.zeros(rows.classes, rows.dtype)
    optimizer = Optimizer([W, b], rule)
    rng = np.random.default_rng(seed)
    kept = set(np.unique(np.linspace(0, steps, min(points, steps + 1)).astype(int)).tolist())
    path, at = [], []
    for step in range(steps + 1):
        if step in kept:
            path.append(np.concatenate([W.ravel(), b]).astype(float))
            at.append(step)
        batch = rows.take(np.sort(rng.choice(rows.n, min(batch_size, rows.n), replace=False)))
        _, dW, db = Objective.of_rows(objective.loss, batch, objective.penalty).value_and_grad(W, b)
        optimizer.step([dW, db])
    return np.array(path), np.array(at)


def flat_value(objective):
    """objective.value as a function of one vector: W, row by row, and then b."""
    rows = objective.rows
    shape, dtype = (rows.classes, rows.features), rows.dtype

    def value(p):
        p = np.asarray(p, dtype)
        size = shape[0] * shape[1]
        return float(objective.value(p[:size].reshape(shape), p[size:].copy()))

    return value


def slice_page(found, steps, title="The loss around the path"):
    """The text of the page of a Slice; steps (n,): of the points of the path."""
    far = np.linalg.norm(found.coordinates, axis=1)
    data = {
        "path": found.coordinates, "steps": steps, "box": found.box, "grid": _short(found.grid), "true": found.true,
        "projected": found.projected, "distance": found.distance, "explained": found.explained,
        "far": np.hypot(far, found.distance),
    }  # fmt: skip
    share = 100 * found.explained.sum()
    note = (
        f'<p class="soft">The plane through the end of the path holds {share:.1f} % of its variance; what lies outside of it '
        "the picture cannot show. The chart has the true loss beside that of the path's shadow in the plane.</p>"
    )
    numbers = table(("at this step", ""), (), caption="At this step").replace("<table", '<table id="numbers"')
    return page(
        title, _BODY + numbers + "</div></div>", lead=note, scripts=("chart.js", "contour.js", "slice.js"), data=data
    )  # fmt: skip


def _short(grid):
    return [[float(f"{v:.6g}") for v in row] for row in grid]


_BODY = """
<div class="bar"><button type="button" class="main" id="play">▶ Play</button>
<label class="grow" for="step"><span class="hidden">Point of the path</span><input type="range" id="step" min="0"></label></div>
<div class="columns two"><figure><canvas id="plane" tabindex="0" role="img"></canvas>
<figcaption>Contours of the loss, the path in it; a diamond marks this step.</figcaption></figure>
<div><figure><canvas id="loss"></canvas><figcaption><span style="color:var(--c1)">●</span> true loss,
<span style="color:var(--c2)">◆</span> loss of the projection (dashed)</figcaption></figure>
"""
