"""LIBSVM's and SVMlight's text, plain or packed with gz, bz2 or xz."""

import io

import numpy as np

from fastopt.readers.formats import opened
from fastopt.readers.sources import Matrix, ReadError

PIECE = 8 << 20  # bytes of text parsed at once


def svmlight(path, name, features=None):
    """A Matrix of CSR rows, float32. features: how many columns there are; None: as many as occur."""
    columns = features or _columns(path, name)

    def parts():
        return _pieces(path, name, columns)

    def whole():
        from scipy.sparse import csr_array, vstack

        found = list(parts())
        if not found:
            raise ReadError(f"{name} has no rows")
        return csr_array(vstack([X for X, _ in found])), np.concatenate([y for _, y in found])

    return Matrix(name, columns, whole, parts)


def _texts(path):
    """(number of the first line, whole lines of text) of the file."""
    line = 1
    with opened(path) as file:
        while piece := file.read(PIECE):
            piece += file.readline()
            yield line, piece
            line += piece.count(b"\n")


def _pieces(path, name, columns):
    for line, text in _texts(path):
        yield _parsed(text, name, line, columns)


def _parsed(text, name, line, columns=None):
    from scipy.sparse import csr_array
    from sklearn.datasets import load_svmlight_file

    try:
        X, y = load_svmlight_file(
            io.BytesIO(text), n_features=columns, dtype=np.float32, zero_based=False, multilabel=False
        )
    except Exception as error:
        raise ReadError(f"{name}, line {_bad_line(text, line, columns)}: {error}") from error
    if not np.isfinite(X.data).all():
        row = int(np.searchsorted(X.indptr, np.argmin(np.isfinite(X.data)), side="right"))
        raise ReadError(f"{name}, line {line + row - 1} or after: a value is NaN or infinite")
    return csr_array(X), y.astype(np.int64) if (np.floor(y) == y).all() and np.abs(y).max(
        initial=0
    ) < 2**53 else y


def _bad_line(text, first, columns):
    from sklearn.datasets import load_svmlight_file

    for number, line in enumerate(text.splitlines(keepends=True)):
        try:
            load_svmlight_file(io.BytesIO(line), n_features=columns, zero_based=False)
        except Exception:
            return first + number
    return first


def _columns(path, name):
    return max((_parsed(text, name, line)[0].shape[1] for line, text in _texts(path)), default=0) or _empty(
        name
    )


def _empty(name):
    raise ReadError(f"{name} has no rows")
