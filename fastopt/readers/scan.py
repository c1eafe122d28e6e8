"""What the columns of a Table hold, found out from all of its rows."""

import re
from typing import Any, NamedTuple

import numpy as np

from fastopt.readers.sources import LARGE, ReadError

MAX_CATEGORIES = 1000
_NUMBER = r"^[-+]?(\d+(\.\d*)?|\.\d+)([eE][-+]?\d+)?$"
_DATE = r"^\d{4}[-/.]\d{1,2}[-/.]\d{1,2}([T ].*)?$|^\d{1,2}[-/.]\d{1,2}[-/.]\d{2,4}([T ].*)?$"
MOSTLY = 0.9  # a column with more numbers than this share holds numbers, and something to be mended


class Column:
    """What was counted in one column."""

    def __init__(self, name):
        self.name = name
        self.rows = self.missing = self.numbers = self.dates = 0
        self.values: dict | None = {}  # of categories, how often; None: too many
        self.odd: tuple | None = None  # (row, value): the first that is no number
        self.large: tuple | None = None  # (row, value): the first that is too large to work with
        self.gap: int | None = None  # the first row without a value
        self.shift, self.sums, self.squares = None, 0.0, 0.0
        self.low, self.high = np.inf, -np.inf
        self.other: str | None = None  # a type that is neither text nor number

    def add(self, array, text, decimal, begin):
        """The values of a pyarrow array, rows `begin` and on."""
        self.rows += len(array)
        gone, (array, numbers) = array.is_null(), as_numbers(array, text, decimal)
        gone = absent(gone, numbers)
        self.missing += int(gone.sum())
        if self.gap is None and gone.any():
            self.gap = begin + int(np.argmax(gone)) + 1
        if numbers is None and array is None:
            return
        if numbers is None:
            self._add_text(array, begin)
        else:
            self.numbers += int(np.isfinite(numbers).sum())
            self._add_numbers(numbers, begin)
        self._count(array.filter(~gone))

    def _count(self, array):
        import pyarrow.compute as pc

        if self.values is None:
            return
        for pair in pc.value_counts(array).to_pylist():
            key = pair["values"]
            self.values[key] = self.values.get(key, 0) + pair["counts"]
        if len(self.values) > MAX_CATEGORIES:
            self.values = None

    def _add_text(self, array, begin):
        import pyarrow.compute as pc

        number = pc.match_substring_regex(array, _NUMBER)
        self.numbers += pc.sum(number).as_py() or 0
        self.dates += pc.sum(pc.match_substring_regex(array, _DATE)).as_py() or 0
        odd = pc.index(number, False).as_py()
        if self.odd is None and odd >= 0:
            self.odd = begin + odd + 1, array[odd].as_py()

    def _add_numbers(self, numbers, begin):
        found = numbers[~np.isnan(numbers)]
        if not np.isfinite(found).all():
            row = int(np.flatnonzero(np.isinf(numbers))[0])
            raise ReadError(f"column {self.name!r} is infinite in row {begin + row + 1}")
        if not len(found):
            return
        if self.shift is None:
            self.shift = float(found[0])
        large = np.abs(numbers) >= LARGE
        if self.large is None and large.any():
            self.large = begin + int(np.argmax(large)) + 1, float(numbers[large][0])
        with np.errstate(over="ignore"):
            moved = found - self.shift
            self.sums += float(moved.sum())
            self.squares += float(np.square(moved).sum())
        self.low, self.high = min(self.low, found.min()), max(self.high, found.max())

    @property
    def kind(self):
        """ "number", "date", "text", "mixed" (numbers but for a few), "empty" or "other"."""
        there = self.rows - self.missing
        if self.other is not None:
            return "date" if re.match("date|time|duration", self.other) else "other"
        if there == 0:
            return "empty"
        if self.numbers == there:
            return "number"
        if self.dates > MOSTLY * there:
            return "date"
        return "mixed" if self.numbers > MOSTLY * there else "text"

    @property
    def mean(self):
        count = max(1, self.rows - self.missing)
        return 0.0 if self.shift is None else self.shift + self.sums / count

    @property
    def deviation(self):
        """Of all values, over n."""
        count = max(1, self.rows - self.missing)
        return float(np.sqrt(max(0.0, self.squares / count - (self.sums / count) ** 2)))


def as_numbers(array, text, decimal):
    """(the values as text or numbers, or None) of an array: the second is None where one is no number."""
    import pyarrow as pa
    import pyarrow.compute as pc

    if isinstance(array, pa.DictionaryArray):
        array = array.dictionary_decode()
    if pa.types.is_null(array.type):
        return array.cast(pa.string()), np.full(len(array), np.nan)
    if pa.types.is_integer(array.type) or pa.types.is_floating(array.type) or pa.types.is_boolean(array.type):
        return array, _float64(array)
    if pa.types.is_decimal(array.type):
        array = pc.cast(array, pa.float64())
        return array, _float64(array)
    if not (pa.types.is_string(array.type) or pa.types.is_large_string(array.type)):
        return None, None
    array = pc.utf8_trim_whitespace(array)
    if not text:
        return array, None
    if decimal == ",":
        plain = pc.replace_substring(pc.replace_substring(array, ".", ""), ",", ".")
        array = pc.if_else(pc.match_substring_regex(plain, _NUMBER), plain, array)
    try:
        return array, _float64(pc.cast(array, pa.float64()))
    except pa.ArrowInvalid:
        return array, None


def absent(null, numbers):
    """Where there is no value: null, or a NaN among numbers."""
    return null.to_numpy(zero_copy_only=False) if numbers is None else np.isnan(numbers)


def _float64(array):
    import pyarrow as pa
    import pyarrow.compute as pc

    return pc.cast(array, pa.float64()).to_numpy(zero_copy_only=False)  # null becomes NaN


class Scan(NamedTuple):
    """The columns of a Table by name, and how many rows it has."""

    columns: dict[str, Column]
    rows: int
    table: Any


def scan(table):
    """The Scan of a Table: one pass over the file."""
    import pyarrow as pa

    columns, rows = {name: Column(name) for name in table.columns}, 0
    for batch in table.batches():
        for name, column in columns.items():
            array = batch.column(batch.schema.get_field_index(name))
            kind = array.type.value_type if pa.types.is_dictionary(array.type) else array.type
            if not _usable(kind):
                column.other = str(kind)
            try:
                column.add(array, table.text, table.decimal, rows)
            except ReadError as error:
                raise ReadError(f"{table.name}: {error}") from None
        rows += batch.num_rows
    if rows == 0:
        raise ReadError(f"{table.name} has no rows")
    return Scan(columns, rows, table)


def _usable(kind):
    import pyarrow as pa

    tests = (pa.types.is_integer, pa.types.is_floating, pa.types.is_boolean, pa.types.is_decimal,
             pa.types.is_string, pa.types.is_large_string, pa.types.is_null, pa.types.is_dictionary)  # fmt: skip
    return any(test(kind) for test in tests)
