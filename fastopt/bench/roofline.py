"""What the machine can do at most, measured in the same run as what is compared with it."""

import numpy as np

from fastopt.bench import timing
from fastopt.bench.peers import blas_threads
from fastopt.bench.timing import Contestant
from fastopt.engines import choose
from fastopt.threads import ranges, share, usable_threads

BLOCK = 32_768  # elements: four float32 arrays of a block lie in the second cache
REPEATS = 100  # of small work inside one call, so that the call itself does not count


def traffic(p, g, slots, threads):
    """A contestant that reads p, g and the slots and writes p and the slots, adding g to each."""
    if choose.has_numba():
        return _numba_traffic(p, g, tuple(slots), threads)
    return _numpy_traffic(p, g, slots, threads)


def _numba_traffic(p, g, slots, threads):
    from fastopt.kernels.step import traffic as kernels

    if not slots:
        slots = (p[:0],)  # a tuple that Numba can type; its slices are empty
    repeats = REPEATS if p.size < 100_000 else 1

    blocks = [(a * kernels.BLOCK, b * kernels.BLOCK) for a, b in ranges(-(-p.size // kernels.BLOCK), threads)]
    parts = [(a, min(b, p.size)) for a, b in blocks] if threads > 1 else [(0, p.size)]

    def run():
        share(lambda part: kernels.traffic(p, g, slots, *part, repeats), parts, threads)

    return Contestant(run, repeats=repeats)


def _numpy_traffic(p, g, slots, threads):
    def run(part):
        for first in range(part[0], part[1], BLOCK):
            last = min(first + BLOCK, part[1])
            for array in (p, *slots):
                np.add(array[first:last], g[first:last], out=array[first:last])

    parts = ranges(p.size, threads) if threads > 1 else [(0, p.size)]
    return Contestant(lambda: share(run, parts, threads))


def reading(x, threads):
    """A contestant that reads x once: dot products with itself, some pieces a thread."""
    pieces = [x[begin:end] for begin, end in ranges(x.size, threads)]
    return Contestant(lambda: share(lambda a: np.dot(a, a), pieces, threads), lambda: blas_threads(1))


def matmul(dtype, threads, size):
    """(contestant, operations): a square matrix product in BLAS."""
    rng = np.random.default_rng(0)
    a, b = (rng.standard_normal((size, size)).astype(dtype) for _ in range(2))
    out = np.empty_like(a)
    return Contestant(lambda: np.matmul(a, b, out=out), lambda: blas_threads(threads)), 2 * size**3


def machine(quick):
    """What the cases are compared with: bytes a second moved and read, operations a second by dtype.

    Each is a dict by number of threads.
    """
    counts, seconds = sorted({1, usable_threads()}), 0.5 if quick else 6
    p, g, m, v = (np.full(5_000_000 if quick else 20_000_000, 1e-6, np.float32) for _ in range(4))
    found = {
        "moved": _rates({c: traffic(p, g, (m, v), c) for c in counts}, 7 * p.nbytes, seconds),
        "read": _rates({c: reading(p, c) for c in counts}, p.nbytes, seconds),
    }
    for dtype in ("float32", "float64"):
        work = {c: matmul(dtype, c, 1024 if quick else 2048) for c in counts}
        found[dtype] = _rates({c: w[0] for c, w in work.items()}, work[1][1], seconds)
    return found


def _rates(contestants, amount, seconds):
    times = timing.in_turns(contestants, seconds)
    return {str(count): amount / float(np.median(t)) for count, t in times.items()}


def seconds_at_least(machine, bytes_read, operations, dtype, threads):
    """The time that reading the bytes or performing the operations takes, whichever is longer."""
    key = str(threads)
    return max(bytes_read / machine["read"][key], operations / machine[dtype][key])
