"""How a CSV file is written: what separates its fields, its decimal point, whether it has a header."""

import codecs
import csv
import re
from typing import NamedTuple

from fastopt.readers.formats import opened
from fastopt.readers.sources import ReadError

LOOKED_AT = 1 << 16  # bytes
_NUMBER = re.compile(r"[-+]?(\d+([.,]\d*)?|[.,]\d+)([eE][-+]?\d+)?")
_POINT = re.compile(r"[-+]?\d*\.\d+([eE][-+]?\d+)?")
_COMMA = re.compile(r"[-+]?\d*,\d+([eE][-+]?\d+)?")


class Dialect(NamedTuple):
    """None: to be found out."""

    delimiter: str | None
    decimal: str | None
    encoding: str
    header: bool | None


def found_dialect(path, name, given):
    """(the Dialect, the columns' names, notes on what was found out) of a file."""
    lines = _first_lines(path, name, given.encoding)
    notes = []
    delimiter = given.delimiter or _delimiter(lines)
    if delimiter != "," and given.delimiter is None:
        notes.append(f"fields are separated by {delimiter!r}")
    rows = [row for row in csv.reader(lines, delimiter=delimiter) if row]
    if not rows:
        raise ReadError(f"{name} has no rows")
    decimal = given.decimal or _decimal(rows, delimiter)
    if decimal == "," and given.decimal is None:
        notes.append("a comma is the decimal point")
    header = _has_header(rows) if given.header is None else given.header
    if not header and given.header is None:
        notes.append("there is no header: columns are called column1, column2, ...")
    columns = [c.strip() for c in rows[0]] if header else [f"column{i + 1}" for i in range(len(rows[0]))]
    columns = [c or f"column{i + 1}" for i, c in enumerate(columns)]
    return Dialect(delimiter, decimal, given.encoding, header), columns, notes


def _first_lines(path, name, encoding):
    try:
        codecs.lookup(encoding)
    except LookupError:
        raise ReadError(f"{name}: --encoding {encoding}: there is no such encoding") from None
    with opened(path) as file:
        start = file.read(LOOKED_AT)
        if len(start) == LOOKED_AT:
            start += file.readline(LOOKED_AT)
    if not start:
        raise ReadError(f"{name} is empty")
    if b"\0" in start and "16" not in encoding and "32" not in encoding:
        raise ReadError(f"{name} is no text: it has zero bytes (another --format, or --encoding utf16?)")
    try:
        text = start.decode("utf-8-sig" if encoding.lower() in ("utf8", "utf-8") else encoding)
    except UnicodeDecodeError:
        raise ReadError(not_this_text(path, name, encoding)) from None
    return text.splitlines(keepends=True)


def not_this_text(path, name, encoding):
    """What is said of a file whose text is not in this encoding, with the first line that is not."""
    shown = "UTF-8" if encoding.lower() in ("utf8", "utf-8") else encoding
    line = None if "16" in encoding or "32" in encoding else _line_not_in(path, encoding)
    where = f", line {line}," if line else ""
    return f"{name}{where} is not {shown} text: say --encoding latin1, or what it is"


def _line_not_in(path, encoding):
    with opened(path) as file:
        for number, line in enumerate(file, 1):
            try:
                line.decode(encoding)
            except UnicodeDecodeError:
                return number
    return None


def _delimiter(lines):
    """The candidate that gives the same number of fields, the most of them, in the first lines."""
    best, most = ",", 1
    for candidate in (",", ";", "\t", "|", " "):
        if candidate == " " and most > 1:
            break
        try:
            counts = [len(row) for row in csv.reader(lines[:20], delimiter=candidate) if row]
        except csv.Error:
            continue
        counts = counts[:-1] if len(counts) > 2 else counts  # the last may be cut off
        if counts and min(counts) == max(counts) > most:
            best, most = candidate, counts[0]
    return best


def _decimal(rows, delimiter):
    if delimiter == ",":
        return "."
    fields = [field.strip() for row in rows[1:200] for field in row]
    commas, points = (any(pattern.fullmatch(f) for f in fields) for pattern in (_COMMA, _POINT))
    return "," if commas and not points else "."


def _has_header(rows):
    """A first row without any number, or shorter data says nothing: then it is one."""
    return not any(_NUMBER.fullmatch(field.strip()) for field in rows[0])
