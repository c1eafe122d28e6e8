"""What the engines of Numba and C share: a step on several threads, which take its chunks from a board (threads.py), and the
gradient over rows by the loops of either.
"""

import numpy as np

from fastopt.arrays import aligned_zeros
from fastopt.engines import choose
from fastopt.native import address
from fastopt.threads import BAD, SEEN, ranges, share


def shared_step(together, table, threads):
    """run(check) on several threads, each of which calls together(check, address of a board) once."""
    chunks = len(table.chunks)
    board, crew, bad = aligned_zeros(SEEN // 8 + chunks, np.int64), range(min(threads, chunks)), BAD // 8
    at = address(board)

    def run(check):
        board[:] = 0
        board[bad] = -1
        share(lambda _: together(check, at), crew, threads)
        return table.array_of(int(board[bad]))

    return run


def shared_look(first_bad, squares, table, threads):
    """(first_bad(), squares(unit)) over all chunks from functions of a range of chunks, on several threads if it pays.

    first_bad: the first array with NaN or inf, or -1. squares: the chunks' sums of (g * unit)^2 in table.sums.
    """
    chunks = len(table.chunks)
    parts = [(0, chunks)] if table.size < choose.PARALLEL_NUMBERS else ranges(chunks, threads)

    def all_bad():
        found = share(lambda part: first_bad(*part), parts, threads)
        return next((j for j in found if j >= 0), -1)

    def all_squares(unit):
        share(lambda part: squares(unit, *part), parts, threads)

    return all_bad, all_squares


def shared_measure(measure, rule, table, threads):
    """run(): measure(plan, address of out, begin, end) over all chunks, on several threads if it pays."""
    chunks, plan, out = len(table.chunks), table.plan, address(table.measured)
    parts = ranges(chunks, threads) if table.size >= choose.shared_from(rule) else [(0, chunks)]
    return lambda: share(lambda part: measure(plan, out, *part), parts, threads)


def bound_gradient(entries, rows, loss, threads, unchecked):
    """bind_gradient (engines/__init__.py) by these loops (kernels/entries.py)."""
    from fastopt.kernels.gradient.problem import BoundGradient
    from fastopt.rows import check_columns

    unchecked = unchecked and rows.sparse is not None
    bound = BoundGradient(entries, rows, loss, threads, unchecked)
    if not unchecked:
        return bound

    def run(W, b, dW, db, scale, l2):
        value = bound(W, b, dW, db, scale, l2)
        if value is None:
            check_columns(rows.sparse[1], rows.features)
        return value

    return run
