"""The plain kernel that update rules are measured against: the same reads and writes, no arithmetic to speak of."""

import numpy as np
from numba import prange

from fastopt.kernels.compile import kernel

BLOCK = 2048  # elements that stay in the first cache while the arrays take their turns


@kernel
def _add(a, g):
    for i in range(a.size):
        a[i] += g[i]


@kernel
def _block(p, g, slots, begin, end):
    block = g[begin:end]
    _add(p[begin:end], block)
    for slot in slots:
        _add(slot[begin:end], block)


@kernel
def traffic_serial(p, g, slots, repeats):
    for _ in range(repeats):
        for begin in range(0, p.size, BLOCK):
            _block(p, g, slots, begin, min(begin + BLOCK, p.size))


@kernel(parallel=True)
def traffic_parallel(p, g, slots, repeats):
    blocks = (p.size + BLOCK - 1) // BLOCK
    for _ in range(repeats):
        for i in prange(blocks):
            begin = np.int64(i) * BLOCK
            _block(p, g, slots, begin, min(begin + BLOCK, p.size))
