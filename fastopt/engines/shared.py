"""One step on several threads, which take its chunks from a board (threads.py)."""

import numpy as np

from fastopt.arrays import aligned_zeros
from fastopt.native import address
from fastopt.threads import BAD, SEEN, share


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
