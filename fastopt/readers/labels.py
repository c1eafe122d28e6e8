"""Labels of a file as class numbers, as shares of classes or as targets of regression."""

import numpy as np

from fastopt.readers.sources import ReadError


def classes_of(y, name):
    """The classes that occur, sorted: whole numbers where all labels are numbers, else strings."""
    y = vector(y, name)
    if y.dtype.kind == "f" and not (np.floor(y) == y).all():
        example = y[np.floor(y) != y][0]
        raise ReadError(
            f"{name}: the labels are real numbers, such as {example:g}, and classes are asked for. "
            "For regression: --regression, or in Python: fastopt.train(X, y, fastopt.SquaredError())"
        )
    return np.unique(y)


def vector(y, name):
    """Labels as an array of int64, float64, bool or strings, soft ones (n, classes); a missing one is a ReadError."""
    if isinstance(y, np.ndarray) and y.dtype.kind in "iubUf":
        if y.dtype.kind == "f" and not np.isfinite(y).all():
            raise ReadError(
                f"{name}: the label of row {int(np.argmin(np.isfinite(y))) + 1} is NaN or infinite"
            )
        return y
    values = list(y)
    if None in values:
        raise ReadError(
            f"{name} has no label in row {values.index(None) + 1}: drop such rows (--missing drop)"
        )
    if all(isinstance(v, (bool, int, float)) for v in values):
        return vector(np.array(values), name)
    if not all(isinstance(v, str) for v in values):
        raise ReadError(f"{name}: labels are numbers in some rows and text in others")
    for kind in (np.int64, np.float64):
        try:
            found = np.array(values).astype(kind)
        except (ValueError, OverflowError):
            continue
        if np.isfinite(found).all():
            return found
    return np.array(values)


def joined(y, others, name):
    """Training and test labels together."""
    if (y.dtype.kind == "U") != (others.dtype.kind == "U"):
        raise ReadError(f"{name}: labels of {y.dtype} to train on, of {others.dtype} to test on")
    return np.concatenate([y, others])


def class_numbers(y, classes):
    """The place of each label in `classes`, -1 for one that is none of them or missing; of soft ones the largest share's."""
    if len(y) and np.ndim(y[0]) == 1:
        return np.asarray(y).argmax(axis=1)
    wanted = _like(y, classes)
    place = np.clip(np.searchsorted(classes, wanted), 0, len(classes) - 1)
    return np.where(classes[place] == wanted, place, -1).astype(np.int64)


def _like(y, classes):
    """Labels in the kind of the classes, whatever the file at hand makes of them."""
    if classes.dtype.kind == "U":
        return np.array([_text(v) for v in y]) if len(y) else np.empty(0, "U1")
    if isinstance(y, np.ndarray) and y.dtype.kind in "iubf":
        return y
    return np.array([_number(v) for v in y], np.float64)


def _text(value):
    return "" if value is None else str(value)


def _number(value):
    try:
        return float(value)
    except (TypeError, ValueError):
        return np.nan


def targets(y, name):
    """Labels of regression as float64."""
    y = vector(y, name)
    if y.dtype.kind not in "iubf":
        raise ReadError(f"{name}: --regression needs numbers as labels, not {str(y[0])!r}")
    return y.astype(np.float64)
