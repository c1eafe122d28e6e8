"""One epoch, from the call of fo.train to its return, against loops in NumPy and torch, and scikit-learn."""

import functools

import pytest

from fastopt.bench import cases, problems
from fastopt.bench.peers import installed
from fastopt.threads import usable_threads

COUNT = "1 thread" if usable_threads() == 1 else f"{usable_threads()} threads"
WHO = ["fastopt numba", "fastopt c", "fastopt numpy", "fastopt numba, float32", "fastopt c, float32", "NumPy",
       *dict.fromkeys(["torch, 1 thread", f"torch, {COUNT}"]), f"scikit-learn, {COUNT}"]  # fmt: skip
present = [*cases.fastopt_backends(), "numpy"]

PROBLEMS = {
    "small": lambda: problems.linear(2000, 64, 10),
    "MNIST": problems.mnist,
    "MNIST uint8": lambda: problems.mnist("uint8"),
    "a9a CSR": problems.a9a,
}
CASES = [
    pytest.param("small", 32, "Softmax"),
    pytest.param("small", 1, "Hinge"),
    pytest.param("MNIST", 32, "Softmax", marks=pytest.mark.timed),
    pytest.param("MNIST", 256, "Softmax", marks=pytest.mark.timed),
    pytest.param("MNIST uint8", 256, "Softmax", marks=pytest.mark.timed),
    pytest.param("MNIST", 1, "Hinge", marks=pytest.mark.full),
    pytest.param("a9a CSR", 1, "Hinge", marks=pytest.mark.full),
]


@functools.lru_cache(maxsize=1)
def case_of(name, batch, loss):
    return cases.epoch(PROBLEMS[name], name, batch, loss, 0.9 if batch > 1 else 0.0, backend_names=present)


@pytest.mark.parametrize("who", WHO)
@pytest.mark.parametrize("name, batch, loss", CASES)
def test_epoch(race, name, batch, loss, who):
    if "CSR" in name and not installed("scipy"):
        pytest.skip("scipy is not installed")
    case = case_of(name, batch, loss)
    if who not in case.makers:
        pytest.skip(f"{who} does not do this")
    race(case, who)
