"""The plain kernel that update rules are measured against: the same reads and writes, no arithmetic to speak of."""

from fastopt.kernels.language.compile import kernel

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
def traffic(p, g, slots, begin, end, repeats):
    for _ in range(repeats):
        for first in range(begin, end, BLOCK):
            _block(p, g, slots, first, min(first + BLOCK, end))
