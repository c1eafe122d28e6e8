"""Pieces of any size into pieces of one size."""

import numpy as np


def regrouped(pieces, size):
    """(X, y, weight) of `size` rows each, the last of fewer; a piece that has them already is passed on."""
    waiting, count = [], 0
    for piece in pieces:
        rows = piece[0].shape[0]
        begin = 0
        while rows - begin >= size - count:
            end = begin + size - count
            waiting.append(_slice(piece, begin, end, rows))
            yield together(waiting)
            waiting, count, begin = [], 0, end
        if begin < rows:
            waiting.append(_owned(_slice(piece, begin, rows, rows)))
            count += rows - begin
    if waiting:
        yield together(waiting)


def _slice(piece, begin, end, rows):
    if begin == 0 and end == rows:
        return piece
    return tuple(None if a is None else a[begin:end] for a in piece)


def _owned(piece):
    """With memory of its own where it is a view: whoever gave it may use the memory again."""
    X = piece[0]
    return (X.copy() if isinstance(X, np.ndarray) and X.base is not None else X, *piece[1:])


def together(pieces):
    """Pieces (X, y, weight) as one."""
    if len(pieces) == 1:
        return pieces[0]
    Xs, *rest = zip(*pieces, strict=True)
    if hasattr(Xs[0], "indptr"):
        from scipy.sparse import csr_array, vstack

        X = csr_array(vstack(Xs, format="csr"))
    else:
        X = np.concatenate(Xs)
    return (X, *(None if any(a is None for a in each) else np.concatenate(each) for each in rest))
