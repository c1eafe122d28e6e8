"""The ways a training run can go, and the one function that chooses. Pure, and without Numba: a test tabulates it.

whole batches   the gradient of a batch, then the rule; one thread
row groups      the same, a batch's groups of rows shared by threads that stay in the loop (crew.py)
feature halves  the same by two threads, each with half of the features (pair.py)
scaled weights  a linear rule, W = alpha * V: a step touches V only where the rows have features (scaled.py)
single rows     scaled weights for batches of one CSR row, everything between rows in registers (single_rows.py)
"""

from typing import NamedTuple

from fastopt.kernels.gradient.division import by_halves, row_groups

WHOLE_BATCHES, ROW_GROUPS, FEATURE_HALVES = "whole batches", "row groups", "feature halves"
SCALED_WEIGHTS, SINGLE_ROWS = "scaled weights", "single rows"

# Multiply-adds of a batch's scores above which a crew shares it (10 us of work, 1 us to hand it over), or a pair.
CREW_WORK, PAIR_WORK = 400_000, 25_000


class Shape(NamedTuple):
    """Of the rows of a run. work: multiply-adds of all their scores (Rows.work). partial_bytes: of a gradient."""

    rows: int
    features: int
    sparse: bool
    work: int
    partial_bytes: int


class Strategy(NamedTuple):
    """halves: scores are summed by halves of the features. groups, group_rows: of a batch's rows."""

    name: str
    threads: int
    halves: bool
    groups: int
    group_rows: int

    def __str__(self):
        return f"{self.name}, {self.threads} thread{'s' * (self.threads > 1)}"


def choose(shape, batch, threads, linear_rule, cpus):
    """The strategy for batches of so many rows, with at most so many threads, on so many CPUs.

    linear_rule: whether a step is p = decay * p + slope * g. How sums are taken follows from the shape
    alone, never from the threads.
    """
    halves = by_halves(batch, shape.features, shape.sparse)
    groups, group_rows = (1, batch) if halves else row_groups(batch, shape.partial_bytes, shape.sparse)
    if linear_rule and (batch == 1 or (shape.sparse and groups == 1)):
        name = SINGLE_ROWS if shape.sparse and batch == 1 else SCALED_WEIGHTS
        return Strategy(name, 1, False, groups, group_rows)
    # Two threads of a pair on one CPU wait for each other: 2.1 times as slow as one
    most, least = (min(2, cpus), PAIR_WORK) if halves else (groups, CREW_WORK)
    if batch * shape.work // max(1, shape.rows) < least or min(threads, most) < 2:
        return Strategy(WHOLE_BATCHES, 1, halves, groups, group_rows)
    return Strategy(FEATURE_HALVES if halves else ROW_GROUPS, min(threads, most), halves, groups, group_rows)
