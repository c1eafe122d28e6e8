"""Sources of the files that fastopt.readers opens."""

import os
import sys
from contextlib import suppress
from pathlib import Path

import numpy as np

from fastopt.arrays import FLOATS
from fastopt.outofcore import disk
from fastopt.outofcore.arrays import ArraySource
from fastopt.outofcore.several import Several
from fastopt.parts import Source
from fastopt.readers import labels, open_data
from fastopt.readers.preparation import Feature, Preparation, guessed_target, prepared
from fastopt.readers.scan import scan
from fastopt.readers.sources import Matrix, ReadError, reading
from fastopt.regroup import regrouped

BATCH = 1 << 16  # rows that pyarrow gives at once
ROWS_AT_ONCE = 1 << 11  # of which columns are put side by side: a third of the time of whole columns
DIALECT = ("format", "delimiter", "decimal", "encoding", "header", "null", "features", "labels", "size")


def table_source(path, *, target=None, weight_column=None, dtype=None, **options):
    """The source of a file; see fastopt.outofcore.source."""
    name = str(path)
    _reserve_nothing()
    dialect = {k: options.pop(k) for k in DIALECT if k in options}
    data = open_data(path, **dialect)
    if isinstance(data, Matrix):
        given = {"target": target, "weight_column": weight_column, "dtype": dtype, **options}
        unused = [k for k, v in given.items() if v is not None]
        if unused:
            raise ValueError(f"{unused[0]} is for tables of named columns, and {name} is none: leave it out")
        return _matrix_source(data)
    if dtype is not None and np.dtype(dtype) not in FLOATS:
        raise TypeError(f"dtype must be float32 or float64, not {dtype}")
    schema = None if options else _plain_schema(path, data, target, weight_column)
    if schema is not None:
        return ParquetSource(path, data, schema, target, weight_column, dtype)
    return TableSource(data, target, weight_column, dtype, options)


def tables_together(paths, *, target=None, weight_column=None, dtype=None, **options):
    """The source of tables whose columns become features together, fitted in one pass over all; None where each of the
    files stands for itself: matrices, and Parquet files of numbers."""
    _reserve_nothing()
    dialect = {k: options.pop(k) for k in DIALECT if k in options}
    tables = [open_data(path, **dialect) for path in paths]
    if any(isinstance(table, Matrix) for table in tables):
        return None
    pairs = zip(paths, tables, strict=True)
    if not options and all(_plain_schema(*pair, target, weight_column) is not None for pair in pairs):
        return None
    return TableSource(_chained(tables), target, weight_column, dtype, options)


def table_like(paths, like):
    """The source of tables whose columns become features as those of another source did; labels are there or not."""
    preparation = getattr(like, "preparation", None)
    if preparation is None:
        raise ValueError(
            f"like= is a source of tables of named columns, and {like.name} is none: leave it out"
        )
    _reserve_nothing()
    tables = [open_data(path) for path in paths]
    for table in tables:
        if isinstance(table, Matrix):
            raise ReadError(f"{table.name} is no table of named columns, as {like.name} is")
    first = getattr(like, "sources", [like])[0]
    if isinstance(first, ParquetSource) and all(_parquet_schema(path) is not None for path in paths):
        pairs = zip(paths, tables, strict=True)
        found = [ParquetSource(path, data, _parquet_schema(path), like=first) for path, data in pairs]
        return found[0] if len(found) == 1 else Several(found)
    return TableSource(_chained(tables), like=like)


def _chained(tables):
    """Tables of the same columns, one after the other, as one."""
    first = tables[0]
    if len(tables) == 1:
        return first
    for other in tables[1:]:
        if set(other.columns) != set(first.columns) or other.text != first.text:
            odd = sorted(set(other.columns) ^ set(first.columns))
            about = (
                f"has other columns than {first.name}: {', '.join(odd[:5])}"
                if odd
                else "is another kind of file"
            )
            raise ReadError(f"{other.name} {about}")
    return first._replace(
        name=f"{first.name} and {len(tables) - 1} more",
        batches=lambda: (batch.select(first.columns) for table in tables for batch in table.batches()),
    )


def files_of_folder(path):
    """The Parquet files of a folder that holds such, as Dask, Spark and pyarrow write a data set; else None."""
    return (
        sorted(p for p in Path(path).rglob("*.parquet") if p.is_file() and not p.name.startswith(("_", ".")))
        or None
    )


def _reserve_nothing():
    """Where a process is limited in addresses, let pyarrow use malloc: mimalloc begins with 1 GB of them.

    pyarrow.set_memory_pool is not for its readers; they look at this variable when memory is first asked for.
    """
    name = "ARROW_DEFAULT_MEMORY_POOL"
    if "pyarrow" in sys.modules or name in os.environ or not disk.process_limits():
        return
    os.environ[name] = "system"
    try:
        with suppress(ImportError):
            import pyarrow

            pyarrow.default_memory_pool()
    finally:
        del os.environ[name]


def _matrix_source(data):
    if not hasattr(next(data.parts(), (None,))[0], "indptr"):
        X, y = data.whole()
        source = ArraySource(X, y)
        source.name, source.scale = data.name, data.scale if X.dtype == np.uint8 else None
        source.raw = True
        return source
    return MatrixSource(data)


class MatrixSource(Source):
    """CSR rows of a file that is read anew at every pass: SVMlight."""

    is_sparse, raw = True, True

    def __init__(self, data):
        self.name, self.features, self._data = data.name, data.features, data
        self.dtype, self.entries = np.dtype(np.float32), 0

    def pieces(self, size):
        return regrouped(((X, y, None) for X, y in self._data.parts()), size)

    def labels(self):
        entries = 0
        for X, y in self._data.parts():
            entries += X.nnz
            yield X.shape[0], y, None
        self.entries = entries


def _plain_schema(path, data, target, weight_column):
    """The schema of a Parquet file whose features are all numbers, as they are; None for others."""
    schema = _parquet_schema(path)
    if schema is None:
        return None
    beside = (_target(data.columns, target, weight_column, data.name), weight_column)
    return schema if all(_is_number(schema.field(c).type) for c in data.columns if c not in beside) else None


def _parquet_schema(path):
    """The schema of a Parquet file; None for others."""
    from fastopt.readers.formats import opened

    with opened(path) as file:
        if file.read(4) != b"PAR1":
            return None
    from pyarrow import parquet

    return parquet.read_schema(path)


def _is_number(kind):
    import pyarrow as pa

    return pa.types.is_floating(kind) or pa.types.is_integer(kind) or pa.types.is_boolean(kind)


def _target(columns, target, weight_column, name):
    """The column of labels, as the command line guesses it."""
    for given in (target, weight_column):
        if given is not None and given not in columns:
            raise ReadError(f"{name} has no column {given!r}; it has {', '.join(columns[:20])}")
    return target or guessed_target([c for c in columns if c != weight_column], set())


class ParquetSource(Source):
    """Columns of numbers of a Parquet file, as they are; row groups decoded by pyarrow."""

    raw = True

    def __init__(self, path, data, schema, target=None, weight_column=None, dtype=None, like=None):
        from pyarrow import parquet

        self.name, self.path, self._weight = data.name, path, weight_column
        if like is None:
            self._target = _target(data.columns, target, weight_column, data.name)
            self._columns = [c for c in data.columns if c not in (self._target, weight_column)]
        else:
            self._take_columns(data, schema, like)
        if not self._columns:
            raise ReadError(f"{data.name} has no columns but the labels: there is nothing to learn from")
        kinds = {schema.field(c).type for c in self._columns}
        wide = len(kinds) == 1 and str(kinds.pop()) == "double"
        self.dtype = np.dtype(dtype or (np.float64 if wide else np.float32)) if like is None else like.dtype
        self.features, self.n = len(self._columns), parquet.ParquetFile(path).metadata.num_rows
        self.entries = self.n * self.features

    def _take_columns(self, data, schema, like):
        """Those of another source; its labels and weights where they are there."""
        like.preparation.check_columns(data)
        self._columns = like._columns
        self._target, self._weight = (c if c in data.columns else None for c in (like._target, like._weight))
        wrong = [c for c in self._columns if not _is_number(schema.field(c).type)]
        if wrong:
            raise ReadError(
                f"{data.name}: column {wrong[0]!r} is {schema.field(wrong[0]).type}, in {like.name} it holds numbers"
            )

    def shuffled(self, size, rng):
        """Row groups in an order drawn with rng."""
        firsts = self._firsts()
        for group in rng.permutation(len(firsts) - 1):
            first = firsts[group]
            for batch in self._batches(self._columns, [group]):
                yield self._matrix(batch, first), np.arange(first, first + batch.num_rows), None
                first += batch.num_rows

    def _firsts(self):
        """The first row of each row group, and where the last one ends."""
        from pyarrow import parquet

        metadata = parquet.ParquetFile(self.path).metadata
        counts = [metadata.row_group(i).num_rows for i in range(metadata.num_row_groups)]
        return np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)

    def between(self, begin, end):
        if end > self.n:
            raise ValueError(f"it has {self.n:,} rows")
        firsts = self._firsts()
        groups = np.flatnonzero((firsts[:-1] < end) & (firsts[1:] > begin))
        at = int(firsts[groups[0]]) if len(groups) else 0
        for batch in self._batches(self._named(), groups.tolist()):
            a, z = max(0, begin - at), min(batch.num_rows, end - at)
            if a < z:
                own = batch.slice(a, z - a)
                yield self._matrix(own, at + a), *self._rest(own, at + a)
            at += batch.num_rows

    def _named(self):
        return [*self._columns, *self._beside()]

    def _beside(self):
        """The columns of labels and of weights."""
        return [c for c in (self._target, self._weight) if c is not None]

    def _batches(self, columns, groups=None):
        from pyarrow import parquet

        with reading(self.name), parquet.ParquetFile(self.path) as file:
            for group in range(file.num_row_groups) if groups is None else groups:
                with reading(f"{self.name}, row group {group} of {file.num_row_groups}"):
                    batches = list(file.iter_batches(BATCH, row_groups=[group], columns=columns))
                yield from batches

    def pieces(self, size):
        first = 0

        def all_pieces():
            nonlocal first
            for batch in self._batches(self._named()):
                yield self._matrix(batch, first), *self._rest(batch, first)
                first += batch.num_rows

        return regrouped(all_pieces(), size)

    def labels(self):
        first = 0
        for batch in self._batches(self._beside() or self._columns[:1]):
            yield batch.num_rows, *self._rest(batch, first)
            first += batch.num_rows

    @property
    def preparation(self):
        """As the readers take the file again."""
        features = [Feature(name, "number") for name in self._columns]
        return Preparation(features, self._target or "", [], "refuse", "ignore", False)

    def _matrix(self, batch, first):
        """The columns side by side: a block of rows at a time, that it stays in the cache while it is filled."""
        columns = [self._column(batch.column(j), name, first) for j, name in enumerate(self._columns)]
        X = np.empty((batch.num_rows, self.features), self.dtype)
        for begin in range(0, len(X), ROWS_AT_ONCE):
            block = slice(begin, begin + ROWS_AT_ONCE)
            for j, column in enumerate(columns):
                X[block, j] = column[block]
        return X

    def _column(self, column, name, first):
        if column.null_count:
            row = first + column.is_null().to_pylist().index(True)
            raise ReadError(
                f"{self.name}: column {name!r} has no value in row {row + 1}: pass missing='mean', 'zero' or 'drop'"
            )
        return column.to_numpy(zero_copy_only=False)

    def _rest(self, batch, first):
        if self._target is None:
            return None, _weights(batch, self._weight, self.name)
        own = batch.column(batch.schema.get_field_index(self._target))
        y = labels.vector(own.to_pylist() if _is_text(own) or own.null_count else own.to_numpy(zero_copy_only=False),
                          self.name)  # fmt: skip
        return y, _weights(batch, self._weight, self.name)


def _is_text(array):
    return not _is_number(array.type)


def _weights(batch, column, name):
    if column is None:
        return None
    array = batch.column(batch.schema.get_field_index(column))
    if array.null_count or not _is_number(array.type):
        raise ReadError(f"{name}: the column of weights {column!r} must hold a number in every row")
    return array.to_numpy(zero_copy_only=False)


class TableSource(Source):
    """Columns of any kind as features, fitted in one pass: categories one-hot, missing values filled."""

    raw = True

    def __init__(self, data, target=None, weight_column=None, dtype=None, options=None, like=None):
        if weight_column is not None:
            raise ReadError(f"weight_column is for Parquet files of numbers, which {data.name} is not")
        if dtype is not None and np.dtype(dtype) != np.float32:
            raise ReadError(f"{data.name}: prepared columns are float32")
        self.name, self._data, self._may_lack_labels = data.name, data, like is not None
        self.preparation = (
            prepared(scan(data), target=target, **{"standardize": False, **(options or {})})
            if like is None
            else like.preparation
        )
        self.dtype = np.dtype(np.float32) if like is None else like.dtype
        self.features, self.entries = self.preparation.width, 0
        self.is_sparse = hasattr(next(self._pieces())[0], "indptr")

    def _pieces(self):
        for X, found, whole in self.preparation.parts(self._data):
            if found is None and not self._may_lack_labels:
                raise ReadError(f"{self.name} has no column {self.preparation.target!r}")
            keep = whole
            if self.preparation.missing == "drop" and found is not None:
                keep = whole & np.array([v is not None for v in found], bool)
            if not keep.all():
                X = X[keep]
                found = None if found is None else [v for v, kept in zip(found, keep, strict=True) if kept]
            y = None if found is None else labels.vector(found, self.name)
            yield X.astype(self.dtype, copy=False), y, None

    def pieces(self, size):
        return regrouped(self._pieces(), size)

    def labels(self):
        entries = 0
        for X, y, _ in self._pieces():
            entries += X.nnz if self.is_sparse else X.size
            yield X.shape[0], y, None
        self.entries = entries
