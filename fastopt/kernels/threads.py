"""Who may run on several threads, and on how many.

Numba's threading layers must not be entered by two threads at once (workqueue dies), and not at
all in a forked child (GNU OpenMP dies): one parallel region at a time, and none after a fork.
Who does not get the region runs the serial kernel, which gives the same bits.
"""

import contextlib
import os
import threading

_region = threading.Lock()
_forked = False


def _after_fork():
    global _forked, _region
    _forked = True
    _region = threading.Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)


def threading_layer():
    """Numba's, by name; which it is shows only when a parallel kernel has run."""
    import numba

    try:
        return numba.threading_layer()
    except ValueError:
        return f"{numba.config.THREADING_LAYER} (none started)"


def usable_threads():
    """min(CPU affinity, cgroup quota, OMP_NUM_THREADS, NUMBA_NUM_THREADS), at least 1."""
    if _forked:
        return 1
    limits = [_affinity(), _quota()]
    for name in ("OMP_NUM_THREADS", "NUMBA_NUM_THREADS"):
        text = os.environ.get(name, "").split(",")[0].strip()
        if text.isdigit() and int(text) > 0:
            limits.append(int(text))
    return max(1, min(limits))


def _affinity():
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:  # macOS, Windows
        return os.cpu_count() or 1


def _quota():
    """CPUs that the control group allows (cgroup v2, then v1), rounded up."""
    try:
        with open("/sys/fs/cgroup/cpu.max") as file:
            quota, period = file.read().split()
    except (OSError, ValueError):
        try:
            with open("/sys/fs/cgroup/cpu/cpu.cfs_quota_us") as file:
                quota = file.read().strip()
            with open("/sys/fs/cgroup/cpu/cpu.cfs_period_us") as file:
                period = file.read()
        except OSError:
            return os.cpu_count() or 1
    if not quota.isdigit():  # "max", or -1
        return os.cpu_count() or 1
    return max(1, -(-int(quota) // int(period)))


@contextlib.contextmanager
def region(threads):
    """Yield the number of threads that the parallel kernel may use; 1 means the serial kernel.

    Numba's own limit of the calling thread is put back afterwards.
    """
    if threads < 2 or _forked or not _region.acquire(blocking=False):
        yield 1
        return
    try:
        import numba

        before = numba.get_num_threads()
        count = min(threads, numba.config.NUMBA_NUM_THREADS)
        numba.set_num_threads(count)
        try:
            yield count
        finally:
            numba.set_num_threads(before)
    finally:
        _region.release()
