"""Who may run on several threads, on how many, and how work is shared.

Work is cut into parts whose results do not depend on who does them; Python threads take one after
the other, and kernels run without the GIL. No threading layer of Numba is entered: a team of OpenMP
threads waits for its slowest, and with one core busy elsewhere an epoch of 80 short parallel regions
took 790 ms instead of 15; workqueue dies of two callers at once, and OpenMP of a fork.
"""

import _thread
import collections
import contextlib
import ctypes
import numbers
import os
import queue
import threading
import time

_jobs: queue.SimpleQueue = queue.SimpleQueue()
_helpers: list[int] = []  # native ids of the threads that take jobs
_started = 0
_forked = False


def _after_fork():
    global _forked
    _forked = True


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)


def share(function, parts, threads, abandon=lambda: None):
    """[function(part) for part in parts], on up to so many threads, this one among them.

    Helpers that are busy with another caller's work are not waited for: this thread then does it all.
    A forked child does all itself. abandon: called when a thread stops early, as after Ctrl-C, which may
    come between two parts, so that none of the others waits for what will not be done.
    """
    if threads < 2 or len(parts) < 2 or _forked:
        return [function(part) for part in parts]
    results = [None] * len(parts)
    waiting, errors = collections.deque(range(len(parts))), []
    # owner: who came first to a helper's place in this work, a helper or the caller, who closes it in the end
    places = range(min(threads, len(parts)) - 1)
    owner, finished, news = {}, [False] * len(places), queue.SimpleQueue()

    def work():
        try:
            while True:
                try:
                    i = waiting.popleft()
                except IndexError:
                    return
                results[i] = function(parts[i])
        except BaseException as error:
            errors.append(error)
            abandon()

    def job(place):
        if owner.setdefault(place, "helper") == "helper":
            work()
            finished[place] = True
            news.put(place)

    try:
        _call_helpers(job, places)
        work()
    except BaseException as error:  # Ctrl-C outside of a part
        errors.append(error)
    while True:  # whatever is repeated here after another Ctrl-C does no harm
        try:
            if errors:
                abandon()
            waiting.clear()  # no new part is begun, and the arrays are left alone
            for place in places:
                if owner.setdefault(place, "caller") == "helper":
                    while not finished[place]:
                        news.get()
            break
        except KeyboardInterrupt as error:
            errors.append(error)
    if errors:
        raise errors[0]
    return results


def _call_helpers(job, places):
    """Have helpers do job(place) when they are free; each is a thread that stays.

    They are not concurrent.futures': with those a Ctrl-C can leave a lock held.
    """
    global _started
    while _started < len(places):
        try:
            _thread.start_new_thread(_help, ())
        except RuntimeError:  # the interpreter is going down: the caller does it all
            return
        _started += 1
    _keep_apart(_helpers)
    for place in places:
        _jobs.put((job, place))


def _help():
    _helpers.append(threading.get_native_id())
    while True:
        job, place = _jobs.get()
        job(place)
        del job  # and with it the caller's arrays


def _keep_apart(helpers):
    """Let the helpers wake on other CPUs than this thread's.

    Linux takes a CPU of a virtual machine that has halted for one the host has taken away, and wakes
    the helper on the CPU of its caller, where it waits for milliseconds: after a pause two threads
    took 11 ms, as long as one, in six calls of ten; now 6 ms.
    """
    if _current_cpu is None:
        return
    others = os.sched_getaffinity(0) - {_current_cpu()}
    for helper in helpers if others else ():
        with contextlib.suppress(OSError):  # a thread that has just ended
            os.sched_setaffinity(helper, others)


def _find_current_cpu():
    try:
        return ctypes.CDLL(None).sched_getcpu if hasattr(os, "sched_setaffinity") else None
    except (AttributeError, OSError, TypeError):  # not Linux
        return None


_current_cpu = _find_current_cpu()


# A board is what threads share that are together in one step of a rule (kernels/step/elementwise.py and
# csrc/prelude.h): int64 numbers, here as offsets in bytes, each on a cache line of its own. LOOK and STEP
# count the chunks that were taken to be looked at for NaN, and to be updated; BAD is the first chunk with NaN
# or inf, or -1; from SEEN on, whether a chunk has been looked at, 8 bytes each.
LOOK, STEP, BAD, SEEN = (64 * i for i in range(4))


def ranges(count, threads):
    """[(begin, end)]: count pieces of work in four parts a thread, so that a slow thread does fewer."""
    parts = min(count, 4 * threads)
    edges = [count * i // parts for i in range(parts + 1)]
    return list(zip(edges[:-1], edges[1:], strict=True))


def usable_threads():
    """min(CPU affinity, cgroup quota, OMP_NUM_THREADS, NUMBA_NUM_THREADS), at least 1."""
    if _forked:
        return 1
    limits = [cpus(), _recent_quota()]
    for name in ("OMP_NUM_THREADS", "NUMBA_NUM_THREADS"):
        text = os.environ.get(name, "").split(",")[0].strip()
        if text.isdigit() and int(text) > 0:
            limits.append(int(text))
    return max(1, min(limits))


def checked_threads(threads, name="threads"):
    """The number of threads to use: all usable ones for None; ValueError unless at least 1."""
    if threads is None:
        return usable_threads()
    if isinstance(threads, bool) or not isinstance(threads, numbers.Integral) or threads < 1:
        raise ValueError(f"{name} must be a whole number, at least 1, or None, not {threads!r}")
    return int(threads)


def cpus():
    """CPUs that this process may run on."""
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:  # macOS, Windows
        return os.cpu_count() or 1


def _recent_quota():
    """The quota as of ten seconds ago at most: to read the files takes 60 us, and twice that after a pause."""
    global _known_quota
    now = time.monotonic()
    if now >= _known_quota[0]:
        _known_quota = (now + 10, _quota())
    return _known_quota[1]


_known_quota = (-1.0, 1)


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
