"""How the rows of a batch are divided for sums: by the shapes alone, so that sums do not depend on threads.

No Numba here: the choice of a training strategy (kernels/training/strategies.py) and its test need none.
"""

from fastopt.kernels.language.block import BLOCK

# Of partial gradients. Those of CSR rows are met at random: 500,000 x 50,000 took 41 ms with 16 MB, 37 with 8 or less.
PARTIALS_BYTES, SPARSE_PARTIALS_BYTES = 16 << 20, 8 << 20
# At least; of more than two groups. To clear and add up a group's sums costs as much as 2 rows on the
# same core, and as much as 20 where they come from another.
GROUP_ROWS, MANY_ROWS = 32, 512
HALVED = 512  # features from which small batches are shared by halves of them (pair.py)
MOST = 32  # groups: more threads than that share nothing further


def row_groups(n, partial_bytes, sparse):
    """(groups, rows in each) for n rows; partial_bytes: of one group's gradient."""
    most = max(1, (SPARSE_PARTIALS_BYTES if sparse else PARTIALS_BYTES) // partial_bytes)
    groups = max(1, min(MOST, most, max(min(2, n // GROUP_ROWS), n // MANY_ROWS)))
    even = 1  # a power of two is shared evenly
    while 2 * even <= groups:
        even *= 2
    groups = even
    per_group = -(-max(n, 1) // groups)
    per_group = -(-per_group // BLOCK) * BLOCK
    return max(1, -(-n // per_group)), per_group


def by_halves(batch, features, sparse):
    """Whether scores of such batches are summed by halves of the features, so that a pair may share them."""
    return not sparse and 1 < batch < 2 * MANY_ROWS and features >= HALVED
