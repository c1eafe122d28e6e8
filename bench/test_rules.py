"""Every rule x back end x size x dtype, against NumPy, torch, optax, loops in Numba and the plain kernel of equal traffic."""

import pytest

import fastopt as fo
from fastopt.bench import cases
from fastopt.rules import RULES
from fastopt.threads import usable_threads

SIZES = (1000, 10_000, 100_000, 1_000_000, 20_000_000)
BACKENDS = ("numba", "c", "numpy")
THREADS = ["1 thread" if count == 1 else f"{count} threads" for count in sorted({1, usable_threads()})]
PEERS = [
    *(f"fastopt {name}" for name in BACKENDS),
    "NumPy",
    *(f"torch, {count}" for count in THREADS),
    "optax",
    *(f"Numba, {count}" for count in THREADS),
    *(f"roof, {count}" for count in THREADS),
]


def _parameters():
    """All of them; without an option a million float32 of every rule, and Adam's sizes below it, are run."""
    for rule in RULES:
        for dtype in ("float32", "float64"):
            for size in SIZES:
                name = f"{rule.__name__}-{dtype}-{size}"
                yield pytest.param(rule(), dtype, size, marks=_marks(rule.__name__, dtype, size), id=name)


def _marks(rule, dtype, size):
    if size == 1000 and dtype == "float32" and rule in ("SGD", "Adam"):
        return ()
    usual = dtype == "float32" and (size == 1_000_000 or (rule == "Adam" and size < 1_000_000))
    return (pytest.mark.timed,) if usual else (pytest.mark.full,)


@pytest.mark.parametrize("who", PEERS)
@pytest.mark.parametrize("rule, dtype, size", list(_parameters()))
def test_step(race, rule, dtype, size, who):
    present = [name for name in BACKENDS if name == "numpy" or name in cases.fastopt_backends()]
    case = cases.step(rule, size, dtype, backend_names=present)
    if who not in case.makers:
        pytest.skip(f"{who} is not for this size, or not here")
    race(case, who)


@pytest.mark.parametrize("who", [p for p in PEERS if not p.startswith("roof")])
@pytest.mark.parametrize("fresh", [False, True], ids=["same gradients", "new gradients"])
def test_hundred_arrays(race, fresh, who):
    case = cases.step(fo.Adam(), 1000, arrays=100, fresh=fresh, backend_names=cases.fastopt_backends())
    if who not in case.makers:
        pytest.skip(f"{who} is not for this size, or not here")
    race(case, who)
