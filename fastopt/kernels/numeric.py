"""The loop over the entries of x around a compiled f.

f is an argument, so Numba compiles the loop anew for each f (0.2 s) and inlines it. Exceptions of f reach
the caller: the threads are Python's, since a parallel region loses what its workers raise.
"""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
from numba.core.caching import NullCache

from fastopt.kernels.compile import kernel
from fastopt.kernels.threads import usable_threads

_PIECES_PER_THREAD = 4


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
    for i in range(original.size):
        if flat[i] != original[i]:
            return False
    return True


# A dispatcher's type is its identity: an index entry on disk would never be found again.
probe_entries._cache = NullCache()


def probe(f, x, h, two_sided):
    """(up, plus, down, minus), or None where the loop in Python has to say what is wrong with f."""
    n = x.size
    up, plus, down, minus = np.zeros(n), np.empty(n), np.zeros(n), np.empty(n)
    rest = (two_sided, up, plus, down, minus)
    parallel = bool(f.targetoptions.get("parallel"))
    try:
        good = probe_entries(f, x, h, *rest, 0, 1)
        threads = 1 if parallel or n < 256 else usable_threads()
        if threads == 1:
            good &= probe_entries(f, x, h, *rest, 1, n)
        else:
            cuts = np.linspace(1, n, threads * _PIECES_PER_THREAD + 1).astype(np.int64)
            with ThreadPoolExecutor(threads) as pool:
                pieces = zip(cuts[:-1], cuts[1:], strict=True)
                jobs = [pool.submit(probe_entries, f, x, h, *rest, int(a), int(b)) for a, b in pieces]
                good &= all([job.result() for job in jobs])
    except Exception:  # the caller's loop in Python meets the same error and says where
        return None
    return (up, plus, down, minus) if good else None
