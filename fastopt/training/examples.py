"""X, y, weights and held-out rows of a training run, checked once; nothing of X is copied."""

from typing import NamedTuple

import numpy as np

from fastopt import losses
from fastopt.arrays import checked_number, checked_whole
from fastopt.fit import checked_classes, class_numbers
from fastopt.parts import is_source, rows_of
from fastopt.rows import Rows, check_all_finite, checked_labels, checked_matrix, checked_rows
from fastopt.weights import class_weights

MOST_CLASSES = 1 << 20  # of class numbers without names, where y has fewer rows


class Examples(NamedTuple):
    """rows: all of X, of which rows.n are trained on: those whose numbers are in `chosen` (None: all).

    validation: (Rows, their row numbers or a slice), or None. classes: names of the class numbers.
    """

    rows: Rows
    chosen: np.ndarray | None
    validation: tuple | None
    classes: np.ndarray | None


def checked_examples(
    loss, X, y, seed, *, client=None, scale, classes, validation, sample_weight, class_weight
):
    """Examples, or TypeError/ValueError naming the argument that does not fit."""
    losses.checked(loss)
    if client is not None:
        return _on_workers(loss, X, y, client, scale, classes, validation, sample_weight, class_weight)
    classes = checked_classes(classes)
    if is_source(X):
        rows = rows_of(X, loss, y, classes=_model_rows_of(classes, loss), scale=scale, weight=sample_weight)
        if not rows.in_memory:
            names = classes if X.classes is None else X.classes
            return _of_source(loss, rows, names, validation, class_weight)
        classes = checked_classes(X.classes) if classes is None else classes
        X, y, scale, sample_weight = _arrays(rows, X)
    checked_matrix(X)
    if getattr(y, "ndim", 1) != 2:
        y, classes = _as_numbers(y, classes)
    rows = checked_rows(loss, X, y, classes=_model_rows(loss, y, classes), scale=scale, weight=sample_weight)
    if rows.n == 0:
        raise ValueError("X has no rows: there is nothing to train on")
    chosen, held = hold_out(rows, validation, checked_whole(seed, "seed", 0))
    if held is not None:
        check_all_finite(rows, held)
    rows = _weighted(rows if chosen is None else rows.using(len(chosen)), chosen, class_weight, classes)
    if held is None and validation is not None:
        return Examples(rows, chosen, (_validation_rows(loss, rows, *validation, classes), np.s_[:]), classes)
    return Examples(rows, chosen, None if held is None else (rows, held), classes)


def _model_rows_of(classes, loss):
    """The rows of W for named classes, or None."""
    if classes is None:
        return None
    return 1 if loss.one_row == "binary" and len(classes) <= 2 else max(2, len(classes))


def _arrays(rows, source):
    """(X, y, scale, weight) of a source that fits into one part."""
    X = rows.matrix(slice(None)) if rows.sparse is not None else rows.X
    return X, rows.y, rows.scale if X.dtype == np.uint8 else None, rows.weight


def _of_source(loss, rows, classes, validation, class_weight):
    if rows.n == 0:
        raise ValueError("the source has no rows: there is nothing to train on")
    held = None
    if is_source(validation):
        held = rows_of(validation, loss, classes=rows.classes)
    elif isinstance(validation, (tuple, list)) and len(validation) == 2:
        held = _validation_rows(loss, rows, *validation, classes)
    elif validation is not None:
        raise ValueError("validation of a source must be (X, y) or a source: no share of it can be held out")
    if held is not None and held.features != rows.features:
        raise ValueError(f"validation: X has {held.features} features, the source {rows.features}")
    rows = _weighted(rows, None, class_weight, classes)
    return Examples(rows, None, None if held is None else (held, np.s_[:]), classes)


def _on_workers(loss, X, y, client, scale, classes, validation, sample_weight, class_weight):
    from fastopt.distributed import remote_rows

    if validation is not None and not (isinstance(validation, (tuple, list)) and len(validation) == 2):
        raise ValueError("validation beside a client must be (X, y), arrays in memory")
    rows = remote_rows(
        loss, X, y, client=client, sample_weight=sample_weight, class_weight=class_weight, classes=classes, scale=scale
    )  # fmt: skip
    names = rows.data.names
    held = None if validation is None else (_validation_rows(loss, rows, *validation, names), np.s_[:])
    return Examples(rows, None, held, names)


def _as_numbers(y, classes):
    """(y as numbers, classes): labels of text become the numbers of their classes."""
    y = _plain_labels(checked_labels(y))
    if y.dtype.kind not in "US":
        return y, classes
    classes = np.unique(y) if classes is None else classes
    return class_numbers(y, classes), classes


def _plain_labels(y):
    """Objects, as pandas keeps text, as text or numbers."""
    if not y.dtype.hasobject:
        return y
    values = y.tolist()
    for kind in (str, (int, np.integer, bool), (int, float, np.number)):
        if all(isinstance(v, kind) for v in values):
            return np.array(values)
    usual = type(values[0])
    at = next((i for i, v in enumerate(values) if type(v) is not usual), 0)
    raise TypeError(f"y holds Python objects of several kinds: y[{at}] is {values[at]!r:.60}")


def _model_rows(loss, y, classes):
    """The rows of W for all classes there are, also those of which no row will be trained on; or None."""
    if classes is None and loss.one_row == "real":
        return 1
    if getattr(y, "ndim", 1) == 2:
        return None if classes is None or len(classes) == 2 and loss.one_row == "binary" else len(classes)
    if y.dtype.kind not in "iub" or not y.size:
        return None
    count = int(y.max()) + 1
    if count > max(y.size, MOST_CLASSES):
        raise ValueError(f"y has the class number {count - 1} in {y.size} rows; classes are 0, 1, 2, ...")
    if classes is not None and len(classes) < count:
        raise ValueError(f"classes names {len(classes)} classes, y has {count}")
    count = max(count, 0 if classes is None else len(classes))
    return 1 if loss.one_row == "binary" and count <= 2 else max(2, count)


def hold_out(rows, validation, seed):
    """(numbers of the rows to train on, of those held out); (None, None) where no share is asked for."""
    if validation is None or isinstance(validation, (tuple, list)):
        if validation is not None and len(validation) != 2:
            raise ValueError("validation must be (X, y) or a share of the rows")
        return None, None
    share = checked_number(validation, "validation", "(X, y) or a share between 0 and 1")
    if not 0 < share < 1:
        raise ValueError(f"validation must be (X, y) or a share between 0 and 1, not {validation!r}")
    order = np.random.default_rng([seed, 1 << 32]).permutation(rows.n)
    count = max(1, int(round(share * rows.n)))
    if count >= rows.n:
        raise ValueError(f"validation={validation!r} of {rows.n} rows leaves none to train on")
    return np.sort(order[count:]), np.sort(order[:count])


def _validation_rows(loss, rows, X, y, classes):
    """The pair (X, y) as Rows, checked before the first step; its floats may be wider than those of X."""
    try:
        if getattr(y, "ndim", 1) != 2:
            y, _ = _as_numbers(y, classes)
        checked_matrix(X)
        found = checked_rows(
            loss, X, y, classes=rows.classes, scale=rows.scale if X.dtype == np.uint8 else None
        )
        if found.features != rows.features:
            raise ValueError(f"X has {found.features} features, the rows to train on {rows.features}")
        check_all_finite(found, None)
    except (TypeError, ValueError) as error:
        raise type(error)(f"validation: {error}") from error
    return found


def _weighted(rows, chosen, class_weight, classes):
    """The rows with weights of mean 1 over those trained on, or as they are."""
    weight = rows.weight
    if class_weight is not None:
        if rows.y.dtype.kind == "f":
            kind = "y has shares of them" if rows.soft else "this is a regression"
            raise ValueError(f"class_weight is for class numbers; {kind}: use sample_weight")
        counts = np.bincount(rows.y if chosen is None else rows.y[chosen], minlength=max(2, rows.classes))
        of_class = class_weights(class_weight, counts, classes)
        weight = of_class[rows.y] if weight is None else of_class[rows.y] * weight
    if weight is None:
        return rows
    used = weight if chosen is None else weight[chosen]
    mean = float(np.mean(used, dtype=np.float64))
    if not mean > 0:
        raise ValueError("the weights of the rows to train on are all 0")
    weight = (weight / mean).astype(rows.dtype)
    if not np.isfinite(weight).all():
        raise ValueError(f"the weights differ too much for {rows.dtype}: {weight.min()} to {weight.max()}")
    return rows._replace(weight=weight)
