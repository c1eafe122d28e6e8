"""What a file is read as: a Matrix of numbers, or a Table of named columns."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import numpy as np

PART_ROWS = 16384  # rows that are prepared and predicted at once
LARGE = 1e15  # float32 overflows at its square's products


class ReadError(ValueError):
    """A file that cannot be read, or data in it that cannot be used: one line that names the file."""


class Matrix(NamedTuple):
    """Rows of features.

    parts: a function that gives the rows again and again, as pairs (X, y) of up to PART_ROWS rows: X
        dense or scipy CSR, y labels or None. whole: a function that gives (X, y) of all rows.
    test: a function that gives the (X, y) that the file names as its test part, or None.
    scale: what uint8 features are multiplied by; 1 for others.
    """

    name: str
    features: int
    whole: Callable[[], tuple[Any, np.ndarray | None]]
    parts: Callable[[], Iterator[tuple[Any, np.ndarray | None]]]
    test: Callable[[], tuple[Any, np.ndarray]] | None = None
    scale: float = 1.0


class Table(NamedTuple):
    """Rows of named columns.

    batches: a function that gives the rows again and again, as pyarrow.RecordBatch. text: whether all
        columns are strings whose meaning is still to be found, as in CSV. decimal: "." or ",".
    notes: what was found out about the file and should be said.
    """

    name: str
    columns: list[str]
    batches: Callable[[], Iterator[Any]]
    text: bool
    decimal: str = "."
    notes: tuple[str, ...] = ()


@contextmanager
def reading(name):
    """Errors of a reading library as a ReadError that names the file."""
    try:
        yield
    except ReadError:
        raise
    except ImportError as error:
        package = {"sklearn": "scikit-learn", "PIL": "pillow"}.get(error.name or "", error.name)
        raise ReadError(f"{name}: reading it needs {package}: pip install {package}") from error
    except IsADirectoryError as error:
        raise ReadError(f"{name} is a folder") from error
    except PermissionError as error:
        raise ReadError(f"{name} may not be read by you") from error
    except MemoryError as error:
        raise ReadError(f"{name} does not fit into memory") from error
    except UnicodeDecodeError as error:
        raise ReadError(f"{name} is not UTF-8 text: say --encoding latin1, or what it is") from error
    except Exception as error:  # a damaged file raises a dozen kinds
        raise ReadError(f"{name} cannot be read: {_first_line(error)}") from error


def _first_line(error):
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[0] if lines else type(error).__name__


def in_parts(X, y):
    """(X, y) of up to PART_ROWS rows each."""
    for begin in range(0, X.shape[0], PART_ROWS):
        rows = slice(begin, begin + PART_ROWS)
        yield X[rows], None if y is None else y[rows]


def matrix(name, X, y=None, test=None, scale=1.0):
    """A Matrix of arrays that are there."""
    return Matrix(
        name,
        X.shape[1],
        lambda: (X, y),
        lambda: in_parts(X, y),
        None if test is None else lambda: test,
        scale,
    )
