"""Detectors that look at the data: sizes of columns, numbers of rows a class."""

import numpy as np

from fastopt.diagnostics.finding import detector

ROWS = 400
RATIO = 30.0
OFFSET = 10.0
RARELY = 0.01  # a column that is 0 in all but this share of the rows is left out: its size is chance
IMBALANCE = 10.0


def some_rows(X, count=ROWS):
    """At most `count` rows spread over X, dense, in float64."""
    step = -(-X.shape[0] // count)
    part = X[::step]
    return np.asarray(part.toarray() if hasattr(part, "toarray") else part, np.float64)


def scales(case):
    """Evidence that columns should be standardised, or None."""
    X = some_rows(case.X)
    filled = np.count_nonzero(X, axis=0)
    used = np.flatnonzero((filled > RARELY * len(X)) & (X.std(axis=0) > 0))
    if len(used) < 2:
        return None
    X, filled = X[:, used], filled[used]
    size = np.sqrt(np.sum(X * X, axis=0) / filled)
    offset = np.abs(X.mean(axis=0)) / X.std(axis=0)
    middle = np.exp(np.median(np.log(size)))
    parts = []
    if size.max() > RATIO * size.min():
        far = np.argsort(-np.abs(np.log(size / middle)))[:3]
        parts.append(
            f"columns are of sizes {size.min():.2g} to {size.max():.2g}: standardise {_named(case, used[far])}"
        )
    away = np.flatnonzero(offset > OFFSET)
    if len(away):
        worst = away[np.argsort(-offset[away])][:3]
        parts.append(f"{_named(case, used[worst])} lie {offset.max():.2g} deviations from 0")
    if not parts:
        return None
    found = case.curvature() if case.objective is not None else None
    if found is not None and found[1] > 0:
        parts.append(f"curvatures {max(found[0], 0):.2g} to {found[1]:.2g}")
    return ", ".join(parts)


def _named(case, numbers):
    names = case.names
    return ", ".join(f"column {i}" if names is None else str(names[i]) for i in numbers)


@detector(
    "class imbalance",
    rule="the largest class has ten times as many rows as the smallest, or more",
    window="all labels",
    cure='weigh the rows (class_weight="balanced"), draw the rare class more often, and look at its recall, not at accuracy',
    needs=("y",),
)
def class_imbalance(case):
    y = np.asarray(case.y)
    if y.dtype.kind not in "iub" or len(y) < 20:
        return None
    counts = np.bincount(y.astype(np.int64))
    if case.classes is not None and len(counts) < len(case.classes):
        counts = np.append(counts, [0] * (len(case.classes) - len(counts)))
    present = np.flatnonzero(counts)
    if len(present) < 2 or len(present) > 100:
        return None
    rare, often = present[counts[present].argmin()], present[counts[present].argmax()]
    if counts[often] >= IMBALANCE * counts[rare]:
        name = (lambda c: c) if case.classes is None else (lambda c: case.classes[c])
        return f"class {name(rare)} has {counts[rare]:,} rows, class {name(often)} {counts[often]:,}"
    return None
