"""How much memory the loops take, by shapes alone. No Numba here."""

from fastopt.kernels.language.block import BLOCK

SPAN = 16  # bytes of a CSR row's span: its first entry and its end
NEAR = 3  # rows between the one at hand and the one that is fetched to the first-level cache
LINE = 64  # bytes of a vector
# Of X in a block, at most: with fewer rows W and its gradient come and go too often. 50,000 x 3,072 x 10 took
# 77 ms with 256 KB and takes 71, x 100 264 and 250; 20,000 x 20,000 x 2 93, 83 now and 92 with 1,280 KB.
BLOCK_BYTES = 640 << 10


def padded_classes(classes, itemsize):
    """Numbers of W a feature where CSR rows meet it: a power of two, or whole vectors."""
    lanes = LINE // itemsize
    if classes > lanes:
        return -(-classes // lanes) * lanes
    return 1 << (classes - 1).bit_length()


def block_rows(row_bytes):
    """Of a block of dense rows."""
    rows = BLOCK
    while rows > 4 and rows * row_bytes > BLOCK_BYTES:
        rows //= 2
    return rows


def scratch_bytes(classes, features, itemsize, x_kind, width, shares):
    """Memory one thread needs beside its gradient."""
    size = 4 * BLOCK * 8 + (2 * classes + 1 + max(1, shares)) * BLOCK * itemsize + 192
    if x_kind == 1:
        size += BLOCK * widened_stride(features, itemsize)
    elif x_kind:
        size += BLOCK * (max(64, width * itemsize) + 6 * 8)
    return -(-size // 64) * 64


def widened_stride(features, itemsize):
    return -(-features * itemsize // 64) * 64 + 64


def scaled_bytes(classes, width, batch, itemsize, features, shares):
    """Scratch memory of a batch with lazily scaled weights (training/scaled.py); features: of a dense row, else 0."""
    rows = -(-batch // BLOCK) * BLOCK
    row = rows * max(64, width * itemsize) + features * itemsize
    return (2 * classes + 1 + max(1, shares)) * BLOCK * itemsize + (rows + BLOCK + NEAR) * SPAN + row + 192
