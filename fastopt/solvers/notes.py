"""What a report says of the data: features of very different sizes, and objectives that have no minimum."""

from contextlib import closing

import numpy as np

from fastopt import losses
from fastopt.solvers.scaling import column_moments, sampled

APART = 1e3  # largest over smallest root mean square of a column from which it is said
LOOKED_AT = 1000  # rows, for the sizes of columns
FEW = 5  # entries of a sparse column, whose size is not spoken of
CORRELATED = (
    0.1  # the mean correlation of columns; chance makes it 0.03 of 1,000 rows, digits have 0.2, wine 0.4
)


def column_sizes(rows, scaling):
    """The root mean square of each column, of some rows; ones where a Scaling makes them so."""
    if scaling is not None:
        return np.ones(rows.features)
    if rows.is_remote:
        return np.sqrt(column_moments(rows)[1])
    with closing(iter(rows.parts())) as parts:
        first = next(parts, None)
    if first is None:
        return np.ones(0)
    part = first[1]
    if part.n > LOOKED_AT:  # else no copy: 0.07 ms of the 0.65 that 569 x 30 take to their first iterate
        part = sampled(part, LOOKED_AT)
    if part.sparse is None:  # without their means: 569 x 30 take 10 us instead of 28
        X = part.matrix(slice(None))
        return np.sqrt(np.einsum("nf,nf->f", X, X, dtype=np.float64) / max(part.n, 1))
    squares = column_moments(part)[1]
    # of the entries that are there, where they are more than a few
    times = np.bincount(part.sparse[1], minlength=rows.features)
    return np.sqrt(np.where(times >= FEW, squares * part.n / np.maximum(times, 1), 0))


def nearly_independent(rows):
    """Whether the features are of like sizes and hardly correlated, by some rows and columns."""
    part = sampled(rows, LOOKED_AT)
    columns = np.unique(np.linspace(0, rows.features - 1, min(64, rows.features)).astype(np.int64))
    X = part.matrix(slice(None))[:, columns]
    X = np.asarray(X.toarray() if rows.is_sparse else X, np.float64)
    sizes = np.sqrt(np.mean(X**2, axis=0))
    Z = X - X.mean(axis=0)
    deviation = np.sqrt(np.mean(Z**2, axis=0))
    if part.n < 2 or not (deviation > 0.1 * sizes).all() or spread(sizes) > 10:
        return False
    Z /= deviation
    off = (Z.T @ Z / part.n)[np.triu_indices(len(columns), 1)]
    return bool(np.sqrt(np.mean(off**2)) <= CORRELATED) if off.size else True


def spread(sizes):
    """Largest over smallest of what is not 0."""
    used = sizes[(sizes > 0) & np.isfinite(sizes)]
    return float(used.max() / used.min()) if used.size else 1.0


def notes_of(problem, sizes, W, b):
    """What to say of a solution, a tuple of sentences."""
    return (*_scale_notes(sizes), *_without_minimum(problem, W, b))


def _scale_notes(sizes):
    apart = spread(sizes)
    if apart <= APART:
        return ()
    least, most = int(np.argmin(np.where(sizes > 0, sizes, np.inf))), int(np.argmax(sizes))
    return (
        f"features differ by a factor of {apart:.1g} in size (column {least}: {sizes[least]:.2g}, column {most}: "
        f"{sizes[most]:.2g}), which makes convergence slow and a penalty uneven: pass standardize=True",
    )


def _without_minimum(problem, W, b):
    objective = problem.objective
    rows = objective.rows
    if type(objective.loss) not in (losses.Softmax, losses.Logistic) or rows.soft or not rows.n:
        return ()
    if rows.is_remote:
        return ()
    if b is not None and (absent := _absent(rows)).size:
        which = f"class {absent[0]} has" if len(absent) == 1 else f"{len(absent)} classes have"
        return (f"{which} no row with a weight: b goes on for ever there, the objective has no minimum",)
    if (
        objective.penalty.l1
        or objective.penalty.l2
        or problem.bounds is not None
        or not _separates(objective, W, b)
    ):
        return ()
    return (
        "the classes are separated: without a penalty the objective has no minimum, W grows as tol shrinks; pass l2",
    )


def _absent(rows):
    """Numbers of the classes without a row."""
    y = rows.y if rows.weight is None else rows.y[rows.weight > 0]
    return np.flatnonzero(np.bincount(y.astype(np.int64), minlength=max(2, rows.classes)) == 0)


def _separates(objective, W, b):
    """Whether every row is on its side of a class: then t W has a smaller loss for every t > 1."""
    s, y = objective.scores(W, b), objective.rows.y.astype(np.int64)
    of_rows = objective.rows.weight
    used = np.ones(len(y), bool) if of_rows is None else of_rows > 0
    if isinstance(objective.loss, losses.Logistic):
        own = y[:, None] == (np.arange(objective.classes) if objective.classes > 1 else 1)
        return bool((np.where(own, s, -s)[used] > 0).all(axis=0).any())
    own = s[np.arange(len(y)), y]
    s[np.arange(len(y)), y] = -np.inf
    return bool((own > s.max(axis=1))[used].all())


def refuse_unbounded(objective):
    """ValueError for targets with which the objective falls without end."""
    if not isinstance(objective.loss, losses.Poisson) or objective.classes > 1 or objective.rows.is_remote:
        return
    if (objective.rows.y < 0).any():
        at = int(np.argmax(objective.rows.y < 0))
        raise ValueError(f"y[{at}] is {objective.rows.y[at]}: targets of Poisson are counts, at least 0")
