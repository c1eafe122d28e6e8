"""The loop over the entries of x around a compiled f.

f is an argument, so Numba compiles the loop anew for each f (0.2 s) and inlines it. Exceptions of f reach
the caller: the threads are Python's, since a parallel region loses what its workers raise.
"""

import time

import numpy as np
from numba.core.caching import NullCache

from fastopt.kernels.compile import kernel
from fastopt.kernels.threads import share, usable_threads

_SAMPLE = 16  # entries that tell how long f takes
_SHARED = 2e-3  # seconds of work from which it is shared: two threads cost 0.7 ms to wake and to join


@kernel
def probe_entries(f, x, h, two_sided, up, plus, down, minus, begin, end):
    """f with entry i moved by h[i] and -h[i], i in [begin, end); False if f changed its argument."""
    y = x.copy()
    flat = y.reshape(-1)
    for i in range(begin, end):
        keep = flat[i]
        flat[i] = keep + h[i]
        up[i] = flat[i] - keep
        plus[i] = f(y)
        if two_sided:
            flat[i] = keep - h[i]
            down[i] = flat[i] - keep
            minus[i] = f(y)
        flat[i] = keep
    original = x.reshape(-1)
    for i in range(original.size):  # noqa: SIM110
        if flat[i] != original[i]:
            return False
    return True


# A dispatcher's type is its identity: an index entry on disk would never be found again.
probe_entries._cache = NullCache()


def probe(f, x, h, two_sided):
    """(up, plus, down, minus), or None where the loop in Python has to say what is wrong with f."""
    n = x.size
    results = np.zeros(n), np.empty(n), np.zeros(n), np.empty(n)

    def run(part):
        return probe_entries(f, x, h, two_sided, *results, *part)

    try:
        first = min(n, _SAMPLE)
        run((0, 0))  # compiles
        start = time.perf_counter()
        good = run((0, first))
        expected = (time.perf_counter() - start) / first * (n - first)
        threads = 1 if expected < _SHARED or f.targetoptions.get("parallel") else usable_threads()
        edges = np.linspace(first, n, threads + 1).astype(int).tolist()
        parts = list(zip(edges[:-1], edges[1:], strict=True))
        good &= all(share(run, parts, threads))
    except Exception:  # the caller's loop in Python meets the same error and says where
        return None
    return results if good else None
