"""The loop over the entries of x around a compiled f.

f is an argument, so Numba compiles the loop anew for each f (0.2 s) and inlines it. Exceptions of f reach
the caller: the threads are Python's, since a parallel region loses what its workers raise.
"""

import time
import weakref

import numpy as np
from numba import typeof
from numba.core.caching import NullCache

from fastopt.kernels.language.compile import entry, kernel
from fastopt.threads import share, usable_threads

_SAMPLE = 16  # entries that tell how long f takes
_SHARED = 6e-4  # seconds of work from which it is shared: two threads cost 0.15 ms to wake and to join
_compiled: weakref.WeakKeyDictionary = weakref.WeakKeyDictionary()  # {f: {types: the compiled loop}}


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
    given = (f, x, h, two_sided, *results)
    try:
        loop = _loop(f, x, given)
        first, start = min(n, _SAMPLE), time.perf_counter()
        good = loop(*given, 0, first)
        expected = (time.perf_counter() - start) / first * (n - first)
        threads = 1 if expected < _SHARED or f.targetoptions.get("parallel") else usable_threads()
        if threads == 1:
            good &= loop(*given, first, n)
        else:
            edges = np.linspace(first, n, threads + 1).astype(int).tolist()
            parts = list(zip(edges[:-1], edges[1:], strict=True))
            good &= all(share(lambda part: loop(*given, *part), parts, threads))
    except Exception:  # the caller's loop in Python meets the same error and says where
        return None
    return results if good else None


def _loop(f, x, given):
    """The loop compiled for f; to ask Numba for it by the types of the arguments takes 25 us a call."""
    key = x.dtype, x.ndim
    mine = _compiled.setdefault(f, {})
    if key not in mine:
        mine[key] = entry(probe_entries, *map(typeof, (*given, 0, 0)))
    return mine[key]
