"""LIBSVM's and SVMlight's text, plain or packed with gz, bz2 or xz."""

import io

import numpy as np

from fastopt.readers.formats import opened
from fastopt.readers.sources import LARGE, Matrix, ReadError

PIECE = 8 << 20  # bytes of text parsed at once
MOST_FEATURES = (
    1 << 27
)  # 0.5 GB of float32 weights a class; the largest of LIBSVM's collection has 54.7 million


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
    try:
        return _rows(text, columns)
    except Exception as error:
        raise ReadError(f"{name}, line {_bad_line(text, line, columns)}: {error}") from error


def _rows(text, columns):
    """(CSR rows, labels) of lines of text; ValueError for what cannot be used."""
    from scipy.sparse import csr_array
    from sklearn.datasets import load_svmlight_file

    X, y = load_svmlight_file(
        io.BytesIO(text), n_features=columns, dtype=np.float32, zero_based=False, multilabel=False
    )
    usable = np.abs(X.data) < LARGE
    if not usable.all():
        raise ValueError(f"a value is {X.data[~usable][0]:g}: NaN, infinite, or too large to work with")
    if X.shape[1] > MOST_FEATURES:
        raise ValueError(f"a feature has the number {X.shape[1]:,}; more than {MOST_FEATURES:,} are not read")
    whole = (np.floor(y) == y).all() and np.abs(y).max(initial=0) < 2**53
    return csr_array(X), y.astype(np.int64) if whole else y


def _bad_line(text, first, columns):
    for number, line in enumerate(text.splitlines(keepends=True)):
        try:
            _rows(line, columns)
        except Exception:
            return first + number
    return first


def _columns(path, name):
    return max((_parsed(text, name, line)[0].shape[1] for line, text in _texts(path)), default=0) or _empty(
        name
    )


def _empty(name):
    raise ReadError(f"{name} has no rows")
