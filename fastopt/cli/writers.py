"""Predictions to a terminal or a file, part by part, and whole or not at all."""

import csv
import os
import sys
import tempfile
from contextlib import contextmanager
from pathlib import Path

import click
import numpy as np


@contextmanager
def writer(out, fit, probabilities, silent=False):
    """A function write(predictions, probabilities or None, which rows are whole)."""
    names = ["prediction", *(_names(fit) if probabilities else [])]
    if out is None or str(out) == "-":
        yield _nothing if silent and out is None else _lines(sys.stdout, names)
        sys.stdout.flush()
        return
    out = Path(out)
    if out.exists() and not out.is_file():  # /dev/null
        with out.open("w") as file:
            yield _lines(file, names)
        return
    with _replaced(out) as temporary:
        if out.suffix.lower() in (".parquet", ".pq"):
            with _parquet(temporary, names) as write:
                yield write
        else:
            with open(temporary, "w", newline="", encoding="utf8") as file:
                yield _lines(file, names, header=out.suffix.lower() == ".csv")


def _names(fit):
    classes = range(max(2, len(fit.W))) if fit.classes is None else fit.classes
    return [f"probability {c}" for c in classes]


@contextmanager
def _replaced(out):
    """A file beside the place that is moved there in the end; an error names the place."""
    try:
        handle, temporary = tempfile.mkstemp(dir=out.parent, prefix=f".{out.name}", suffix=".part")
        os.close(handle)
        try:
            yield temporary
            os.chmod(temporary, out.stat().st_mode & 0o777 if out.exists() else 0o644)
            os.replace(temporary, out)
        finally:
            Path(temporary).unlink(missing_ok=True)
    except OSError as error:
        if error.filename not in (None, str(out)) and not str(error.filename).endswith(".part"):
            raise  # of what is read
        raise click.ClickException(f"{out} cannot be written: {error.strerror or error}") from error


def _nothing(*_):
    pass


def _lines(file, names, header=None):
    """One prediction a line, or CSV with a header where there is more than one column."""
    rows = csv.writer(file, lineterminator="\n")
    if len(names) > 1 or header:
        rows.writerow(names)

    def write(predictions, probabilities, whole):
        texts = [str(p) if there else "" for p, there in zip(predictions, whole, strict=True)]
        if probabilities is None and not header:
            file.writelines(f"{text}\n" for text in texts)
        elif probabilities is None:
            rows.writerows([text] for text in texts)
        else:
            shown = np.where(whole[:, None], probabilities, np.nan)
            for text, row in zip(texts, shown, strict=True):
                rows.writerow([text, *("" if p != p else f"{p:.6g}" for p in row)])

    return write


@contextmanager
def _parquet(path, names):
    import pyarrow as pa
    from pyarrow import parquet

    made = []

    def write(predictions, probabilities, whole):
        columns = [pa.array(predictions, mask=~whole)]
        for j in range(len(names) - 1):
            columns.append(pa.array(np.ascontiguousarray(probabilities[:, j]), mask=~whole))
        batch = pa.record_batch(columns, names=names)
        if not made:
            made.append(parquet.ParquetWriter(path, batch.schema))
        made[0].write_batch(batch)

    try:
        yield write
    finally:
        if made:
            made[0].close()
