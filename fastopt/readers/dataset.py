"""What the command line trains on and scores: prepared rows, a part of them held out, and a record of both."""

import hashlib
from typing import Any, NamedTuple

import numpy as np

from fastopt.readers import labels
from fastopt.readers.preparation import Preparation, prepared
from fastopt.readers.scan import scan
from fastopt.readers.sources import LARGE, Matrix, ReadError, Table, in_parts, reading


class Dataset(NamedTuple):
    """Prepared rows. y: class numbers, shares (n, classes), or float64 targets where `classes` is None. record: what the model
    file keeps, so that `prepared_parts` takes the raw file again. notes: lines that say what was read."""

    name: str
    x_train: Any
    y_train: np.ndarray
    x_test: Any
    y_test: np.ndarray
    classes: np.ndarray | None
    scale: float
    record: dict
    notes: list[str]


def training_set(data, *, seed=0, test=0.2, regression=False, standardize=None, **columns):
    """The Dataset of a Matrix or Table. test: the share held out, where the file names no test part.

    standardize: None is what suits the kind: columns of tables, no features of a Matrix. columns: the
    arguments of `prepared`, for tables.
    """
    if isinstance(data, Table):
        X, y, record, notes = _table_rows(data, standardize is not False, regression, columns)
        named = None
    else:
        X, y, record, notes, named = _matrix_rows(data, bool(standardize))
    if y is None:
        raise ReadError(
            f"{data.name} has no labels: --labels FILE names those of an .npy or IDX file; for others "
            "an .npz file with X and y is needed"
        )
    name = data.name
    y = labels.vector(y, name)
    everything = y if named is None else labels.joined(y, labels.vector(named[1], name), name)
    soft = everything.ndim == 2
    if soft and regression:
        raise ReadError(
            f"{name}: labels of {everything.shape[1]} columns are shares of classes, and --regression has one"
        )
    classes = (
        None
        if regression
        else labels.classes_of(everything, name)
        if not soft
        else _of_shares(record, everything)
    )
    if classes is not None and len(classes) < 2:
        raise ReadError(f"{name}: all labels are {classes[0]}: at least two classes are needed")
    number = (lambda v: labels.targets(v, name)) if regression else lambda v: labels.class_numbers(v, classes)
    number = number if not soft else lambda v: v.astype(np.float64)
    if named is not None:
        parts = X, number(y), named[0], number(labels.vector(named[1], name))
    else:
        parts = _held_out(X, number(y), y, seed, test, record, name)
    if not parts[0].shape[0]:
        raise ReadError(f"{name} has no rows to train on")
    return Dataset(name, *parts, classes, _scale(data, X), record,
                   notes + _class_notes(y, classes))  # fmt: skip


def _of_shares(record, y):
    """The classes of soft labels: the names of their columns, or numbers."""
    return np.array(record.get("shares") or range(y.shape[1]))


def _scale(data, X):
    """What the model multiplies uint8 features by; standardised ones are floats."""
    return data.scale if isinstance(data, Matrix) and X.dtype == np.uint8 else 1.0


def _held_out(X, numbers, y, seed, share, record, name):
    n = X.shape[0]
    if not n:
        raise ReadError(f"{name} has no rows to train on")
    training, test = split(n, seed, share)
    digest = Digest()
    for part, own in in_parts(X, y):
        digest.add(part, own)
    record["held_out"] = {"rows": n, "seed": seed, "share": share, "digest": digest.value()}
    return X[training], numbers[training], X[test], numbers[test]


def split(n, seed, share):
    """(rows to train on, rows held out), in an order drawn with seed."""
    order = np.random.default_rng(seed).permutation(n)
    count = int(n * share) if share else 0
    return order[count:], order[:count]


class Digest:
    """Of rows and their labels, whatever the parts in which they come."""

    def __init__(self):
        self._X, self._y, self._ends = (hashlib.blake2b(digest_size=12) for _ in range(3))

    def add(self, X, y):
        """The next rows, prepared."""
        if hasattr(X, "indptr"):
            self._X.update(X.data.tobytes())
            self._ends.update(np.diff(X.indptr).astype(np.int64).tobytes())
            self._ends.update(X.indices.astype(np.int64).tobytes())
        else:
            self._X.update(np.ascontiguousarray(X).data)
        self._y.update("\n".join(_label_text(v) for v in y).encode() + b"\n")

    def value(self):
        return self._X.hexdigest() + self._y.hexdigest() + self._ends.hexdigest()


def _label_text(value):
    """The same for 1, 1.0 and "1"."""
    try:
        return repr(float(value))
    except (TypeError, ValueError):
        return str(value)


def _table_rows(table, standardize, regression, columns):
    scanned = scan(table)
    preparation = prepared(scanned, standardize=standardize, regression=regression, **columns)
    blocks: list[Any] = []
    y: Any = []
    left_out = 0
    for X, labels_here, whole in preparation.parts(table):
        if labels_here is None:
            raise ReadError(f"{table.name} has no column {preparation.target!r}")
        keep = whole
        if preparation.missing == "drop" and not preparation.shares:
            keep = whole & np.array([v is not None for v in labels_here], bool)
        left_out += int((~keep).sum())
        blocks.append(X if keep.all() else X[keep])
        y += [v for v, kept in zip(labels_here, keep, strict=True) if kept]
    if preparation.shares:
        y = np.array(y).reshape(-1, len(preparation.shares))
    if hasattr(blocks[0], "indptr"):
        from scipy.sparse import csr_array, vstack

        X = csr_array(vstack(blocks))
    else:
        X = np.concatenate(blocks)
    if not len(X.shape) or not X.shape[0]:
        raise ReadError(f"{table.name}: no row is left, since each lacks a value: --missing mean or zero")
    return X, y, preparation.record(), _table_notes(table, scanned, preparation, left_out)


def _table_notes(table, scanned, preparation, left_out):
    numbers = [f.name for f in preparation.features if f.kind == "number"]
    categories = [f for f in preparation.features if f.kind == "category"]
    notes = list(table.notes)
    missing = sum(scanned.columns[f.name].missing for f in preparation.features)
    line = f"{scanned.rows:,} rows; {len(numbers)} columns of numbers"
    if categories:
        width = sum(f.width for f in categories)
        line += f", {len(categories)} of categories ({width} features)"
    if missing:
        line += f"; {missing:,} missing values ({preparation.missing})"
    notes.append(line + f"; labels: {preparation.target}")
    if preparation.dropped:
        notes.append(f"left out: {', '.join(preparation.dropped)}")
    if left_out:
        notes.append(f"{left_out:,} rows without some value were left out")
    return notes


def _matrix_rows(data, standardize):
    X, y = data.whole()
    if not X.shape[0]:
        raise ReadError(f"{data.name} has no rows to train on")
    test = None if data.test is None else data.test()
    record = {"kind": "matrix", "features": data.features}
    if standardize:
        record |= _standard(X, data.scale)
    X = _as_trained(X, record, X.dtype if not standardize else None, data.scale)
    _check_values(X, data.name)
    if test is not None:
        test = _as_trained(test[0], record, X.dtype, data.scale), test[1]
        _check_values(test[0], f"{data.name}, test rows")
    return X, y, record, [f"{X.shape[0]:,} rows x {data.features:,} features ({X.dtype})"], test


def _standard(X, scale):
    """Means and factors that make the features' deviations 1; sparse ones are not moved, so that 0 stays 0."""
    count = X.shape[0]
    if hasattr(X, "indptr"):
        mean = np.asarray(X.sum(axis=0), np.float64).reshape(-1) / count
        squares = np.asarray(X.multiply(X).sum(axis=0), np.float64).reshape(-1) / count
    else:
        mean, squares = np.zeros(X.shape[1]), np.zeros(X.shape[1])
        for part, _ in in_parts(X, None):
            part = part.astype(np.float64) * scale
            mean += part.sum(axis=0) / count
            squares += np.square(part).sum(axis=0) / count
    spread = np.sqrt(np.maximum(0, squares - mean**2))
    factor = np.where(spread > 1e-12 * np.maximum(1, np.abs(mean)), 1 / np.where(spread > 0, spread, 1), 1.0)
    shift = np.zeros_like(mean) if hasattr(X, "indptr") else mean
    return {"shift": shift.tolist(), "factor": factor.tolist()}


def _as_trained(X, record, dtype, scale):
    """Rows of a Matrix as the model takes them: standardised, and in the dtype it was trained in."""
    if "shift" in record:
        shift, factor = (np.array(record[key]) for key in ("shift", "factor"))
        if hasattr(X, "indptr"):
            X = X.multiply(factor[None, :]).tocsr().astype(np.float32)
        else:
            X = ((X * scale if X.dtype == np.uint8 else X) - shift) * factor
        return X.astype(np.float32)
    if X.dtype == np.uint8 and not hasattr(X, "indptr") and dtype in (np.uint8, np.float32):
        return X
    if dtype == np.uint8:
        dtype = np.float32
    return X if dtype is None or X.dtype == dtype else X.astype(dtype)


def _check_values(X, name):
    """ReadError for NaN, infinities, and numbers whose products overflow."""
    if X.dtype.kind != "f":
        return
    if hasattr(X, "indptr"):
        worst = np.abs(X.data).max(initial=0)
        if not worst < LARGE:
            raise ReadError(f"{name}: a feature is {worst:g}: NaN, infinite, or too large to work with")
        return
    begin = 0
    for part, _ in in_parts(X, None):
        bad = ~(np.abs(part) < LARGE)
        if bad.any():
            row, column = np.argwhere(bad)[0]
            raise ReadError(
                f"{name}: feature {column + 1} of row {begin + row + 1} is {part[row, column]:g}: "
                "a NaN, an infinity, or too large to work with"
            )
        begin += len(part)


def _class_notes(y, classes):
    if classes is None:
        return [f"targets from {np.min(y):g} to {np.max(y):g}"]
    counts = (
        y.sum(axis=0)
        if y.ndim == 2
        else np.bincount(labels.class_numbers(y, classes), minlength=len(classes))
    )
    shown = [f"{c} {100 * k / len(y):.3g} %" for c, k in zip(classes[:10], counts, strict=False)]
    more = f", and {len(classes) - 10} more" if len(classes) > 10 else ""
    return [f"{len(classes)} classes: {', '.join(shown)}{more}"]


def prepared_parts(data, record, features, dtype, scale):
    """(X, raw labels or None, which rows are whole) part by part, as a model with this record takes them.

    features, dtype, scale: of the model. Raises ReadError where the file does not fit the model.
    """
    with reading(data.name):  # files are read on the way, and damage is met there
        yield from _prepared(data, record, features, dtype, scale)


def _prepared(data, record, features, dtype, scale):
    kind = (record or {}).get("kind", "matrix")
    if isinstance(data, Table):
        if kind != "table":
            raise ReadError(
                f"{data.name} is a table, but the model was trained on a matrix of {features} features"
            )
        yield from _some(Preparation.of_record(record).parts(data), data.name)
        return
    if kind == "table":
        raise ReadError(f"{data.name} is a matrix, but the model was trained on the columns of a table")
    if data.features != features:
        raise ReadError(f"{data.name} has {data.features:,} features; the model was trained on {features:,}")
    source = in_parts(*data.test()) if data.test is not None else data.parts()
    for X, y in _some(source, data.name):
        X = _as_trained(X, record or {}, dtype, scale)
        if X.dtype.kind == "f":
            _check_values(X, data.name)
        yield X, y, np.ones(X.shape[0], bool)


def _some(parts, name):
    """The parts as they are; ReadError at their end where there was no row."""
    rows = 0
    for part in parts:
        rows += part[0].shape[0]
        yield part
    if not rows:
        raise ReadError(f"{name} has no rows")
