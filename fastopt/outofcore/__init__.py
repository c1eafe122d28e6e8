"""Data larger than memory: sources that fo.Objective, fo.train and the command line read part by part.

arrays.py      .npy files, arrays
disk.py        how their bytes are read
tables.py      what fastopt.readers can open: Parquet, Arrow, CSV, SVMlight, IDX
zarrs.py       zarr arrays
several.py     sources after one another, iterators
"""

import os
from pathlib import Path
from typing import Any

import numpy as np

from fastopt.arrays import checked_whole
from fastopt.parts import IN_FLIGHT, Source

__all__ = ["Source", "source"]


def source(
    data, y=None, *, weight=None, target=None, weight_column=None, dtype=None, in_flight=IN_FLIGHT,
    classes=None, scale=None, like=None, **columns,
):  # fmt: skip
    """A source of rows that need not fit into memory, for fo.Objective, fo.train and LinearClassifier.

    data: the path of a file: .npy (X alone, C-ordered float32, float64 or uint8), or Parquet, Arrow, CSV, SVMlight,
        packed or not, or a zarr array; an array, an open zarr array or memory map, or scipy CSR; a function without arguments that returns an iterator of
        (X, y) or (X, y, weight) with any number of rows each; or a list of any of these, taken one after the other
        (columns of tables become features together), or a folder of Parquet files.
    y, weight: (n,) arrays or paths of .npy files, where the data hold none; y also (n, classes), soft labels. target: a table's column of labels
        [label, target, class, y, or the last]. weight_column: a table's column of weights.
    dtype: "float32" or "float64", of tables (float32; columns of numbers alone, all of them float64: float64).
    in_flight: parts in memory at once, each of 256 MB of X at most (131,072 rows of CSR): one is computed with
        while the next is read.
    classes: names of the class numbers in y. scale: what uint8 features are multiplied by (1/255).
    like: a source of a table: the columns of this one become the features that its columns became, for predictions of new rows.
        Labels may be missing then.
    columns: of a table, how columns become features: drop, categorical, missing, unknown, standardize (False), as
        `fastopt train` takes them. They are fitted in one pass.

    The same rows give the same bits from any source, whatever the pieces in which it comes, and as arrays in
    memory. ReadError, ValueError or TypeError says what cannot be read, and where.
    """
    in_flight = checked_whole(in_flight, "in_flight", 1)
    if like is None:
        found = _found(data, y, weight, target, weight_column, dtype, columns)
    else:
        others = {
            "y": y,
            "weight": weight,
            "target": target,
            "weight_column": weight_column,
            "dtype": dtype,
            **columns,
        }
        found = _found_like(like, data, [name for name, value in others.items() if value is not None])
    if in_flight != IN_FLIGHT:
        found.in_flight = in_flight
    if scale is not None:
        found.scale = scale
    if classes is not None:
        found.classes = np.asarray(classes)
    return found


def _found(data, y, weight, target, weight_column, dtype, columns):
    from fastopt.outofcore.arrays import ArraySource, NpySource
    from fastopt.outofcore.several import Iterated, Several
    from fastopt.outofcore.zarrs import ZarrSource, is_zarr

    if isinstance(data, Source):
        return data
    for_tables = {"target": target, "weight_column": weight_column, "dtype": dtype, **columns}
    given = {k: v for k, v in for_tables.items() if v is not None}
    if _may_be_tables(data) and os.path.isdir(data):
        from fastopt.outofcore.tables import files_of_folder

        data = files_of_folder(data) or data
    if isinstance(data, (list, tuple)):
        if y is not None or weight is not None:
            raise ValueError("y and weight of a list: let each of its sources have its own")
        if len(data) > 1 and all(map(_may_be_tables, data)):
            from fastopt.outofcore.tables import tables_together

            whole = tables_together(data, **given)
            if whole is not None:
                return whole
        return Several([_found(d, None, None, target, weight_column, dtype, columns) for d in data])
    if is_zarr(data):
        kind: Any = ZarrSource
    elif isinstance(data, (str, os.PathLike)):
        if Path(data).suffix != ".npy":
            from fastopt.outofcore.tables import table_source

            if y is not None or weight is not None:
                raise ValueError(f"{data} holds its labels: name their column, target=, weight_column=")
            return table_source(data, **given)
        kind = NpySource
    elif callable(data):
        kind = Iterated
    else:
        kind = ArraySource
    if given:
        raise ValueError(f"{next(iter(given))} is for tables, such as Parquet or CSV files: leave it out")
    return kind(data, y, weight)


def _found_like(like, data, others):
    from fastopt.outofcore.tables import files_of_folder, table_like

    if others:
        raise ValueError(f"{others[0]} and like=: what the columns are is said by like; leave it out")
    if not isinstance(like, Source):
        raise TypeError(f"like must be a source, not {type(like).__name__}")
    if _may_be_tables(data) and os.path.isdir(data):
        data = files_of_folder(data) or data
    paths = data if isinstance(data, (list, tuple)) else [data]
    if not paths or not all(map(_may_be_tables, paths)):
        raise TypeError("with like= data must be a path of a table, or a list of such")
    return table_like(paths, like)


def _may_be_tables(data):
    """Whether it is a path, and none of what holds one array."""
    from fastopt.outofcore.zarrs import is_zarr

    return isinstance(data, (str, os.PathLike)) and Path(data).suffix != ".npy" and not is_zarr(data)
