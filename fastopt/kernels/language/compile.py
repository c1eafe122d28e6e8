"""The one decorator of every kernel, and its disk cache.

Numba's own cache knows when the file of a kernel changed, not when a helper in another file or the
formula it was given did. Here the key holds a digest of all kernel sources besides, and a
formula's type holds a digest of the formula (formula.py).
"""

import contextlib
import functools
import hashlib
from pathlib import Path

import numba
from numba import njit
from numba.core.caching import FunctionCache, NullCache
from numba.core.compiler_lock import global_compiler_lock
from numba.core.registry import cpu_target

from fastopt.kernels.language.vectors import REGISTER_BYTES
from fastopt.preparing import preparing

_KERNELS: list = []

# Made here, where an import lets one thread in: Numba makes its contexts on first use without a lock, and two
# threads that import kernels at once would have one each.
with global_compiler_lock:
    cpu_target.typing_context.refresh()
    cpu_target.target_context.refresh()


@functools.cache
def _sources_digest():
    package = Path(__file__).parents[2]
    texts = (package.glob(f"{folder}/**/*.py") for folder in ("kernels", "losses", "algorithms"))
    files = sorted([*(file for text in texts for file in text), package / "threads.py", package / "plan.py"])
    return hashlib.sha256(b"\0".join(f.read_bytes() for f in files if f.exists())).hexdigest()[:16]


class _Cache(FunctionCache):
    def _index_key(self, sig, codegen):
        return (*super()._index_key(sig, codegen), _sources_digest(), REGISTER_BYTES)

    def load_overload(self, sig, target_context):
        """None, so that the kernel is compiled, where the files are damaged or hold another kernel.

        The latter happens when two processes compile for two rules at once: Numba gives both the
        same file name, and the index is that of one and the code that of the other.
        """
        try:
            result = super().load_overload(sig, target_context)
        except Exception:  # a damaged pickle raises anything
            with contextlib.suppress(OSError):
                self.flush()
            return None
        return result if result is None or result.signature.args == tuple(sig) else None

    def save_overload(self, sig, data):
        with contextlib.suppress(OSError):  # a full disk: the kernel works, and is compiled again
            super().save_overload(sig, data)


def kernel(function=None, *, parallel=False, reassociate=False, counted=True):
    """Compile on first use, without the GIL, with C's arithmetic errors, cached on disk.

    reassociate=True lets the compiler re-order sums and fuse multiply-adds: for reductions inside
    a block of fixed size only. NaN and inf keep their meaning. counted=False: the kernel and what it
    calls allocate nothing and count no references, which halves the time to compile many slices.
    """
    if function is None:
        return functools.partial(kernel, parallel=parallel, reassociate=reassociate, counted=counted)
    fastmath = {"reassoc", "nsz", "contract"} if reassociate else False
    options = {} if counted else {"_nrt": False}
    options.update(nogil=True, error_model="numpy", parallel=parallel, fastmath=fastmath)
    dispatcher = njit(**options)(function)
    try:
        dispatcher._cache = _Cache(function)
    except RuntimeError:  # no folder can be written
        dispatcher._cache = NullCache()
    _KERNELS.append(dispatcher)
    return dispatcher


def entry(dispatcher, *types):
    """The compiled function for these argument types, to be called directly.

    A call through Numba's dispatcher costs 1 us more for a kernel of eight arguments. The arguments
    must be of the types named: nothing is checked.
    """
    # Numba takes in what imports have declared before it takes its lock: a second thread would then compile
    # without what the first one has half taken in ("Unknown attribute").
    with preparing(), global_compiler_lock:
        dispatcher.compile(types)
    return dispatcher.overloads[types].entry_point


def statistics():
    """Every kernel of this process that was needed: name, compiled here, loaded from the cache."""
    rows = []
    for dispatcher in _KERNELS:
        stats = dispatcher.stats
        compiled, loaded = sum(stats.cache_misses.values()), sum(stats.cache_hits.values())
        if compiled or loaded:
            name = f"{dispatcher.py_func.__module__}.{dispatcher.py_func.__name__}"
            rows.append({"kernel": name, "compiled": compiled, "loaded": loaded})
    return rows


def cache_directories():
    """One for each folder of kernels that is imported; none where no file can be written."""
    return sorted({d.stats.cache_path for d in _KERNELS if d.stats.cache_path})


def threading_layer():
    """The layer of Numba's own parallel code in this process; fastopt starts none."""
    try:
        return numba.threading_layer()
    except ValueError:
        return f"{numba.config.THREADING_LAYER} (none started; fastopt needs none)"
