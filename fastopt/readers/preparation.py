"""From the columns of a file to features, in the same way at every time: kept in the model file."""

from dataclasses import asdict, dataclass, field

import numpy as np

from fastopt.readers.scan import MAX_CATEGORIES, absent, as_numbers
from fastopt.readers.sources import LARGE, ReadError

MISSING = ("refuse", "drop", "mean", "zero")
UNKNOWN = ("ignore", "refuse")
TARGETS = ("label", "target", "class", "y")
SPARSE_FROM = 256  # features of a table above which one-hot rows are CSR


@dataclass
class Feature:
    """One column: a number, or a category with a feature for each of `values`.

    A number becomes (x - shift) * factor; `fill` stands for one that is missing; None: such a row
    is left out in training and has no prediction.
    """

    name: str
    kind: str  # "number" | "category"
    values: list = field(default_factory=list)
    shift: float = 0.0
    factor: float = 1.0
    fill: float | None = None

    @property
    def width(self):
        return 1 if self.kind == "number" else len(self.values)


@dataclass
class Preparation:
    """How a Table becomes X and y. missing: one of MISSING; unknown: of UNKNOWN, for categories that
    the training rows did not have. shares: columns with the share of each class, where labels are soft."""

    features: list[Feature]
    target: str
    dropped: list[str]
    missing: str
    unknown: str
    regression: bool
    shares: list[str] = field(default_factory=list)

    @property
    def width(self):
        """Columns of X."""
        return sum(feature.width for feature in self.features)

    @property
    def names(self):
        """Of the columns of X: "age", "colour=red"."""
        return [
            f.name if f.kind == "number" else f"{f.name}={value}"
            for f in self.features
            for value in (f.values or [None])
        ]

    def record(self):
        """As a dict that JSON can hold."""
        return {"kind": "table"} | asdict(self)

    @classmethod
    def of_record(cls, record):
        """The Preparation of what `record` gave."""
        rest = {k: v for k, v in record.items() if k in cls.__dataclass_fields__ and k != "features"}
        return cls([Feature(**f) for f in record["features"]], **rest)

    def parts(self, table, training=False):
        """(X, labels as text or numbers, or None; which rows are whole) of the Table's rows, part by part."""
        self.check_columns(table)
        begin = 0
        for batch in table.batches():
            yield self._part(table, batch, begin, training)
            begin += batch.num_rows

    def check_columns(self, table):
        lacking = [f.name for f in self.features if f.name not in table.columns]
        if lacking:
            more = f" and {len(lacking) - 1} more" if len(lacking) > 1 else ""
            raise ReadError(
                f"{table.name} has no column {lacking[0]!r}{more}, which the model needs; "
                f"it has {', '.join(map(str, table.columns[:8]))}{', ...' if len(table.columns) > 8 else ''}"
            )

    def _part(self, table, batch, begin, training):
        whole = np.ones(batch.num_rows, bool)
        blocks = []
        for feature in self.features:
            array = batch.column(batch.schema.get_field_index(feature.name))
            where = f"{table.name}: column {feature.name!r}"
            gone, (text, numbers) = array.is_null(), as_numbers(array, table.text, table.decimal)
            gone = absent(gone, numbers)
            if gone.any() and self.missing == "refuse":
                row = begin + int(np.argmax(gone)) + 1
                raise ReadError(f"{where} has no value in row {row}: {HINT_MISSING}")
            if feature.kind == "number":
                blocks.append(_number(feature, text, numbers, where, begin, whole))
            else:
                blocks.append(self._category(feature, text, gone, where, begin, whole))
        y = None
        if self.shares and set(self.shares) <= set(table.columns):
            y = np.column_stack([_share(table, batch, name, begin) for name in self.shares])
        elif not self.shares and self.target in table.columns:
            y = _labels(batch.column(batch.schema.get_field_index(self.target)), table)
        return _joined(blocks, self.width, batch.num_rows), y, whole

    def _category(self, feature, array, gone, where, begin, whole):
        """(position of each row's category in the feature's values, or -1; how many there are)."""
        import pyarrow as pa
        import pyarrow.compute as pc

        if array is None:
            raise ReadError(f"{where} cannot be used: it is of another type than in training")
        array = pc.cast(array, pa.string())
        found = pc.index_in(array, value_set=pa.array(feature.values, pa.string()))
        found = pc.fill_null(found, -1).to_numpy(zero_copy_only=False).astype(np.int64)
        there = ~gone
        if self.unknown == "refuse" and ((found < 0) & there).any():
            row = int(np.argmax((found < 0) & there))
            raise ReadError(f"{where} has the new category {array[row].as_py()!r} in row {begin + row + 1}")
        whole &= there | (self.missing != "drop")
        return found, len(feature.values)


def _share(table, batch, name, begin):
    """The column of a class's share in each row."""
    text, numbers = as_numbers(batch.column(batch.schema.get_field_index(name)), table.text, table.decimal)
    where = f"{table.name}: column {name!r}"
    if numbers is None:
        raise ReadError(f"{where} holds something that is no number: {_odd(text, begin)}")
    bad = ~((numbers >= 0) & (numbers <= 1))
    if bad.any():
        row = int(np.argmax(bad))
        said = "has no value" if np.isnan(numbers[row]) else f"is {numbers[row]:g}"
        raise ReadError(f"{where} {said} in row {begin + row + 1}: shares of classes lie between 0 and 1")
    return numbers


HINT_MISSING = "say --missing mean, zero or drop"


def _number(feature, text, numbers, where, begin, whole):
    if numbers is None:
        raise ReadError(f"{where} holds something that is no number: {_odd(text, begin)}")
    gone = np.isnan(numbers)
    if feature.fill is None:
        whole &= ~gone
    x = np.where(gone, feature.fill or 0.0, numbers)
    large = ~(np.abs(x) < LARGE)
    if large.any():
        row = int(np.argmax(large))
        raise ReadError(f"{where} is {x[row]:g} in row {begin + row + 1}: beyond what float32 can work with")
    return (x - feature.shift) * feature.factor


def _odd(text, begin):
    for i, value in enumerate(text.to_pylist() if text is not None else ()):
        try:
            float(value or 0)
        except ValueError:
            return f"{value!r} in row {begin + i + 1}"
    return "its type is another"


def _joined(blocks, width, rows):
    """Columns and positions of categories as one matrix: dense, or CSR where it is wide."""
    if width > SPARSE_FROM:
        return _joined_sparse(blocks, width, rows)
    X, at = np.zeros((rows, width), np.float32), 0
    for block in blocks:
        if isinstance(block, tuple):
            positions, size = block
            known = np.flatnonzero(positions >= 0)
            X[known, at + positions[known]] = 1
            at += size
        else:
            X[:, at] = block
            at += 1
    return X


def _joined_sparse(blocks, width, rows):
    from scipy.sparse import coo_array

    data, row, column, at = [], [], [], 0
    for block in blocks:
        positions, size = block if isinstance(block, tuple) else (None, 1)
        here = np.arange(rows) if positions is None else np.flatnonzero(positions >= 0)
        row.append(here)
        column.append(np.full(rows, at) if positions is None else at + positions[here])
        data.append((block if positions is None else np.ones(len(here))).astype(np.float32))
        at += size
    entries = np.concatenate(data), (np.concatenate(row), np.concatenate(column))
    return coo_array(entries, shape=(rows, width)).tocsr()


def _labels(array, table):
    """Labels as pyarrow gives them, text of CSV as it stands: fastopt.readers.labels decides on their kind."""
    text, numbers = as_numbers(array, table.text, table.decimal)
    if text is None:
        raise ReadError(f"{table.name}: labels of type {array.type} cannot be used")
    return text.to_pylist()


def feature_names(record):
    """Names of the features in a model's `preparation`, or None where they have none."""
    if not record or record.get("kind") == "matrix":
        return None
    return Preparation.of_record(record).names


def prepared(scanned, *, target=None, drop=(), categorical=(), missing="refuse", unknown="ignore",
             standardize=True, regression=False, shares=()):  # fmt: skip
    """The Preparation of a Scan, or a ReadError that says which column does not fit and what would help.

    shares: columns in the place of the target, see Preparation.
    """
    table, columns = scanned.table, scanned.columns
    for name in (*drop, *categorical, *shares, *([] if target is None else [target])):
        if name not in columns:
            raise ReadError(f"{table.name} has no column {name!r}; it has {', '.join(list(columns)[:20])}")
    target = ",".join(shares) or target or guessed_target(list(columns), set(drop))
    dropped, features = list(drop), []
    for name, column in columns.items():
        if name in (shares or [target]) or name in drop:
            continue
        if column.kind == "empty":
            dropped.append(name)
            continue
        features.append(_feature(column, table.name, name in categorical, missing, standardize))
    if not features:
        raise ReadError(
            f"{table.name} has no columns but the labels {target!r}: there is nothing to learn from"
        )
    return Preparation(features, target, dropped, missing, unknown, regression, list(shares))


def guessed_target(columns, dropped):
    """The column of labels where none is named: one of TARGETS, or the last that is not dropped."""
    left = [c for c in columns if c not in dropped]
    named = [c for c in left if c.lower() in TARGETS]
    if not left:
        raise ReadError("every column is dropped")
    return named[0] if named else left[-1]


def _feature(column, file, categorical, missing, standardize):
    where = f"{file}: column {column.name!r}"
    if column.missing and missing == "refuse":
        raise ReadError(f"{where} has no value in {column.missing:,} of {column.rows:,} rows, "
                        f"first in row {column.gap:,}: {HINT_MISSING}")  # fmt: skip
    kind = column.kind
    if kind == "date":
        raise ReadError(f"{where} holds dates, which are no features as they stand: leave it out (--drop "
                        f"{column.name!r}), or make numbers of it first, such as the month or the age in days")  # fmt: skip
    if kind == "other":
        raise ReadError(f"{where} is of type {column.other}, which is no feature: --drop {column.name!r}")
    if kind == "mixed" and not categorical:
        row, value = column.odd
        raise ReadError(f"{where} holds numbers, but {value!r} in row {row}: mend it, or --null {value!r} if that "
                        f"stands for a missing value, or --categorical {column.name!r}")  # fmt: skip
    if kind != "number" or categorical:
        return _one_hot(column, where)
    fill = {"mean": column.mean, "zero": 0.0}.get(missing)
    if column.large:
        row, value = column.large
        raise ReadError(f"{where} is {value:g} in row {row:,}, beyond what float32 can work with: mend it, or "
                        f"--drop {column.name!r}")  # fmt: skip
    if not standardize:
        return Feature(column.name, "number", fill=fill)
    spread = column.deviation
    factor = 1 / spread if spread > 1e-12 * max(1.0, abs(column.mean)) else 1.0
    return Feature(column.name, "number", shift=column.mean, factor=factor, fill=fill)


def _one_hot(column, where):
    if column.values is None:
        raise ReadError(f"{where} has more than {MAX_CATEGORIES:,} different values: is it a name or a number of "
                        f"the row? Leave it out: --drop {column.name!r}")  # fmt: skip
    import pyarrow as pa
    import pyarrow.compute as pc

    values = pc.cast(pa.array(list(column.values)), pa.string()).to_pylist()  # as a row's value will be
    return Feature(column.name, "category", values=sorted(values))
