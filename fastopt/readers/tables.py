"""Tables in files: CSV, Parquet and Arrow, a batch of rows at a time, by pyarrow."""

import csv as python_csv
import itertools
from typing import Any

from fastopt.readers.dialect import Dialect, found_dialect, not_this_text
from fastopt.readers.formats import opened
from fastopt.readers.sources import ReadError, Table, reading

BLOCK = 1 << 20  # bytes of text read at once
MISSING = ["", "#N/A", "N/A", "NA", "NULL", "NaN", "n/a", "nan", "null", "None", "?"]


def csv(path, name, delimiter=None, decimal=None, encoding="utf8", header=None, null=(), **_):
    """A Table of strings: what they mean is found out from all rows, not from the first ones."""
    given = Dialect(delimiter, decimal, encoding, header)
    dialect, columns, notes = found_dialect(path, name, given)
    repeated = sorted({c for c in columns if columns.count(c) > 1})
    if repeated:
        raise ReadError(f"{name} has several columns called {repeated[0]!r}")
    nulls = [*MISSING, *null]

    def batches():
        with opened(path) as file:
            yield from _csv_batches(file, path, name, dialect, columns, nulls)

    return Table(name, columns, batches, True, dialect.decimal, tuple(notes))


def _csv_batches(file, path, name, dialect, columns, nulls):
    import pyarrow as pa
    from pyarrow import csv as reader

    bad: list[Any] = []

    def note(row):
        bad.append(row)
        return "error"

    options: dict[str, Any] = {
        "read_options": reader.ReadOptions(
            block_size=BLOCK, encoding=dialect.encoding, column_names=columns, skip_rows=int(dialect.header)
        ),
        "parse_options": reader.ParseOptions(
            delimiter=dialect.delimiter,
            newlines_in_values=True,
            invalid_row_handler=note,
        ),
        "convert_options": reader.ConvertOptions(
            column_types=dict.fromkeys(columns, pa.string()),
            null_values=nulls,
            strings_can_be_null=True,
            quoted_strings_can_be_null=True,
        ),
    }
    rows = 0
    try:
        for batch in reader.open_csv(file, **options):
            rows += batch.num_rows
            yield batch
    except pa.ArrowException as error:
        _refuse_open_quote(path, name, dialect)
        raise ReadError(_csv_error(error, path, name, dialect, columns, bad)) from error
    if rows == 0:
        raise ReadError(f"{name} has no rows")
    if any("\n" in (column[-1].as_py() or "") for column in batch):
        _refuse_open_quote(path, name, dialect)


def _csv_error(error, path, name, dialect, columns, bad):
    text = str(error)
    if "UTF8" in text or "UTF-8" in text:
        return not_this_text(path, name, dialect.encoding)
    if bad:
        line = _line_of_bad_row(path, dialect, len(columns))
        where = f", line {line}" if line else ""
        return f"{name}{where}: {bad[0].actual_columns} fields where {bad[0].expected_columns} are needed"
    if "Empty CSV" in text:
        return f"{name} has no rows"
    return f"{name} cannot be read: {text}"


def _line_of_bad_row(path, dialect, fields):
    """Where the first row with another number of fields is; None if Python reads the file otherwise."""
    with opened(path) as file:
        lines = (line.decode(dialect.encoding, "replace") for line in file)
        rows = python_csv.reader(lines, delimiter=dialect.delimiter)
        try:
            for row in rows:
                if row and len(row) != fields:
                    return rows.line_num
        except python_csv.Error:
            return rows.line_num
    return None


def _refuse_open_quote(path, name, dialect):
    """ReadError where the file ends inside a quoted field, as one does that was cut off."""
    if "16" in dialect.encoding or "32" in dialect.encoding:
        return
    inside, opening = False, 0
    with opened(path) as file:
        for number, line in enumerate(file, 1):
            if line.count(b'"') % 2:
                inside, opening = not inside, number
    if inside:
        raise ReadError(f"{name}, line {opening}: a quote opens and is never closed")


def parquet(path, name, **_):
    """A Table of typed columns, a row group at a time."""
    from pyarrow import parquet as reader

    file = reader.ParquetFile(path)
    columns, groups = _names(file.schema_arrow, name), file.num_row_groups

    def batches():
        for group in range(groups):
            try:
                file = reader.ParquetFile(path, page_checksum_verification=True)
                yield from file.iter_batches(row_groups=[group])
            except Exception as error:  # a damaged page raises many kinds
                first = str(error).splitlines()[0] if str(error) else type(error).__name__
                raise ReadError(f"{name}, row group {group} of {groups}: {first}") from error

    return Table(name, columns, batches, False)


def arrow(path, name, **_):
    """A Table of an Arrow or Feather file."""
    import pyarrow as pa

    with pa.memory_map(str(path)) as source:
        columns = _names(pa.ipc.open_file(source).schema, name)

    def batches():
        with pa.memory_map(str(path)) as source:
            file = pa.ipc.open_file(source)
            for number in range(file.num_record_batches):
                with reading(f"{name}, record batch {number}"):
                    batch = file.get_batch(number)
                    batch.validate(full=True)
                yield batch

    return Table(name, columns, batches, False)


def _names(schema, name):
    for column, other in itertools.pairwise(sorted(schema.names)):
        if column == other:
            raise ReadError(f"{name} has several columns called {column!r}")
    if not schema.names:
        raise ReadError(f"{name} has no columns")
    return list(schema.names)
