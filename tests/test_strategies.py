"""Which way a training run takes, as a table; what follows from the shape, and what from the threads."""

import logging

import numpy as np
import pytest

import fastopt as fo
from fastopt.info import info
from fastopt.kernels.training.strategies import Shape, choose

MNIST = Shape(60_000, 784, False, 60_000 * 784 * 10, 4 * 7850)
NARROW = Shape(100_000, 54, False, 100_000 * 54 * 7, 4 * 385)
SMALL = Shape(1_000, 20, False, 1_000 * 20 * 2, 8 * 42)
A9A = Shape(32_561, 123, True, 32_561 * 14 * 64, 4 * 124)
WIDE = Shape(100_000, 50_000, True, 100_000 * 75 * 64, 4 * 800_016)

# (shape, batch, threads, linear rule, CPUs) -> (name, threads)
TABLE = [
    ((MNIST, 256, 1, False, 2), ("whole batches", 1)),
    ((MNIST, 256, 2, False, 2), ("feature halves", 2)),
    ((MNIST, 256, 2, True, 2), ("feature halves", 2)),
    ((MNIST, 256, 8, False, 8), ("feature halves", 2)),
    ((MNIST, 256, 2, False, 1), ("whole batches", 1)),
    ((MNIST, 2, 2, False, 2), ("whole batches", 1)),
    ((MNIST, 60_000, 8, False, 8), ("row groups", 8)),
    ((MNIST, 60_000, 64, False, 64), ("row groups", 32)),
    ((MNIST, 1, 2, False, 2), ("whole batches", 1)),
    ((MNIST, 1, 2, True, 2), ("scaled weights", 1)),
    ((NARROW, 128, 2, False, 2), ("whole batches", 1)),
    ((NARROW, 2_000, 2, False, 2), ("row groups", 2)),
    ((NARROW, 2_000, 2, False, 1), ("row groups", 2)),
    ((SMALL, 1_000, 2, False, 2), ("whole batches", 1)),
    ((A9A, 1, 2, True, 2), ("single rows", 1)),
    ((A9A, 1, 2, False, 2), ("whole batches", 1)),
    ((A9A, 32, 2, True, 2), ("scaled weights", 1)),
    ((A9A, 32_561, 2, True, 2), ("row groups", 2)),
    ((WIDE, 32, 2, True, 2), ("scaled weights", 1)),
    ((WIDE, 32, 2, False, 2), ("whole batches", 1)),
]


@pytest.mark.parametrize(("arguments", "wanted"), TABLE)
def test_table(arguments, wanted):
    strategy = choose(*arguments)
    assert (strategy.name, strategy.threads) == wanted
    assert str(strategy).startswith(f"{wanted[0]}, {wanted[1]} thread")


def test_the_table_has_all_that_info_lists(numba):
    assert {name for _, (name, _) in TABLE} == set(info()["training_strategies"])


def test_sums_follow_from_the_shape_alone():
    for shape in (MNIST, NARROW, SMALL, A9A, WIDE):
        for batch in (1, 2, 31, 32, 100, 512, 1024, 1025, 5000):
            if batch <= shape.rows:
                found = {
                    choose(shape, batch, threads, False, cpus)[2:] for threads in (1, 2, 9) for cpus in (1, 8)
                }
                assert len(found) == 1, (shape, batch)
                halves, groups, group_rows = found.pop()
                assert (groups - 1) * group_rows < batch <= groups * group_rows
                assert not (halves and groups > 1)


def test_a_debug_log_names_it(numba, caplog):
    X = np.random.default_rng(0).normal(size=(50, 4))
    with caplog.at_level(logging.DEBUG, "fastopt"):
        fo.train(X, np.arange(50) % 3, rule=fo.SGD(0.1), epochs=1, batch_size=1)
    assert "scaled weights, 1 thread: batches of 1 of 50 x 4 x 3" in caplog.text


def test_the_choice_needs_no_numba(python):
    code = """
import sys
from fastopt.kernels.training.strategies import choose
print("numba" in sys.modules)
"""
    assert python(code) == "False\n"
