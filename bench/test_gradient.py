"""value_and_grad against careful NumPy, torch's autograd and loops in Numba: dense, float64, many classes, CSR."""

import functools

import pytest

from fastopt.bench import cases, problems
from fastopt.bench.peers import installed
from fastopt.threads import usable_threads

COUNTS = sorted({1, usable_threads()})
THREADS = ["1 thread" if count == 1 else f"{count} threads" for count in COUNTS]
WHO = [
    f"{name}, {t}"
    for name in ("fastopt numba", "fastopt c", "fastopt numpy", "NumPy", "torch", "Numba")
    for t in THREADS
]

SMALL = (2000, 64, 10, "float32")
USUAL = [(60_000, 784, 10, "float32"), (200_000, 54, 7, "float32")]
LARGE = [
    (50_000, 3072, 10, "float32"),
    (20_000, 20_000, 2, "float32"),
    (20_000, 512, 1000, "float32"),
    (60_000, 784, 10, "float64"),
    (200_000, 54, 7, "float64"),
]
SHAPES = [
    pytest.param(SMALL, id="2000x64x10-float32"),
    *(pytest.param(s, id="x".join(map(str, s[:3])) + "-" + s[3], marks=pytest.mark.timed) for s in USUAL),
    *(pytest.param(s, id="x".join(map(str, s[:3])) + "-" + s[3], marks=pytest.mark.full) for s in LARGE),
]
present = [*cases.fastopt_backends(), "numpy"]


@functools.lru_cache(maxsize=1)  # the contestants of a case follow each other: the data is made once
def dense(shape, loss):
    return cases.dense_gradient(*shape, loss=loss, backend_names=present)


@functools.lru_cache(maxsize=1)
def sparse(which):
    makers = {
        "a9a": problems.a9a,
        "500000x50000": lambda: problems.sparse(500_000, 50_000, 75, 2),
        "500000x50000, int64": lambda: problems.sparse(500_000, 50_000, 75, 2, index="int64"),
    }
    return cases.gradient(makers[which], f"CSR {which}", backend_names=present)


@pytest.mark.parametrize("who", WHO)
@pytest.mark.parametrize("loss", ["Softmax", "MulticlassHinge"])
@pytest.mark.parametrize("shape", SHAPES)
def test_dense(race, shape, loss, who):
    run(race, dense(shape, loss), who)


@pytest.mark.skipif(not installed("scipy"), reason="scipy is not installed")
@pytest.mark.parametrize("who", WHO)
@pytest.mark.parametrize(
    "which",
    ["a9a", *(pytest.param(n, marks=pytest.mark.full) for n in ("500000x50000", "500000x50000, int64"))],
)
def test_sparse(race, which, who):
    run(race, sparse(which), who)


def run(race, case, who):
    if who not in case.makers:
        pytest.skip(f"{who} does not do this")
    race(case, who)
