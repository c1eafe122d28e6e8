"""Pieces of any size into pieces of one size."""

import numpy as np


def regrouped(pieces, size):
    """(X, y, weight) of `size` rows each, the last of fewer; a piece that has them already is passed on.

    Dense rows are copied once, into the memory of the piece that they become part of.
    """
    room, waiting, count = None, [], 0
    for piece in pieces:
        rows, begin = piece[0].shape[0], 0
        while begin < rows:
            end = min(rows, begin + size - count)
            X, *rest = _slice(piece, begin, end, rows)
            if end - begin == size:
                yield (X, *rest)
            else:
                if isinstance(X, np.ndarray):
                    room = _room(X, size) if count == 0 else _fitting(room, X)
                    room[count : count + len(X)] = X
                    X = room[count : count + len(X)]
                waiting.append((X, *rest))
                count += end - begin
            if count == size:
                yield _joined(waiting, room, count)
                room, waiting, count = None, [], 0
            begin = end
    if waiting:
        yield _joined(waiting, room, count)


def _room(X, size):
    return np.empty((size, *X.shape[1:]), X.dtype)


def _fitting(room, X):
    if room.dtype != X.dtype or room.shape[1:] != X.shape[1:]:
        raise ValueError(
            f"rows of {room.dtype}{room.shape[1:]} are followed by rows of {X.dtype}{X.shape[1:]}"
        )
    return room


def _joined(waiting, room, count):
    if room is None:
        return together(waiting)
    return (room[:count], *_rest(waiting))


def _slice(piece, begin, end, rows):
    if begin == 0 and end == rows:
        return piece
    return tuple(None if a is None else a[begin:end] for a in piece)


def together(pieces):
    """Pieces (X, y, weight) as one."""
    if len(pieces) == 1:
        return pieces[0]
    Xs = [piece[0] for piece in pieces]
    if hasattr(Xs[0], "indptr"):
        from scipy.sparse import csr_array, vstack

        return (csr_array(vstack(Xs, format="csr")), *_rest(pieces))
    return (np.concatenate(Xs), *_rest(pieces))


def _rest(pieces):
    each = zip(*(piece[1:] for piece in pieces), strict=True)
    return [None if any(a is None for a in own) else np.concatenate(own) for own in each]
