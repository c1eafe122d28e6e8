"""The block of rows that kernels work on, without Numba: what is chosen by shapes needs no more."""

BLOCK = 32  # rows of a block; scores[c, r] lies at c * BLOCK + r
