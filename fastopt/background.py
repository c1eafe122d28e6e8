"""One thread that prepares, while others work with what is there.

Jobs compile kernels or load them from the disk cache. The thread keeps its priority: a thread of low priority
that holds Python's lock while other programs have the CPU would hold up everybody who waits for the lock.
"""

import atexit
import contextlib
import os
import queue
import sys
import threading
import time

FORK_PATIENCE = 30.0  # seconds that a fork waits for the job at hand: in the child no thread would end it
EXIT_PATIENCE = 2.0  # seconds that the end of a program waits for one call of LLVM: most take a few ms

_jobs: queue.SimpleQueue = queue.SimpleQueue()
_busy = threading.Lock()  # held while a job is at work
_thread: threading.Thread | None = None
_starting = threading.Lock()
_asked: set = set()
_made: dict = {}
_at_rest: dict = {}  # thread that forks -> whether it holds _busy
_cut_off = _is_watching = False


def submit(job):
    """Have job() done some time. What it raises is lost: a job keeps its own errors."""
    global _thread
    if _cut_off or sys.is_finalizing():
        return
    with _starting:
        _jobs.put(job)
        if _thread is not None:
            return
        _watch_forks()
        thread = threading.Thread(target=_work, name="fastopt-background", daemon=True)
        with contextlib.suppress(RuntimeError):  # the interpreter is going down
            thread.start()
            _thread = thread
            atexit.register(_end)


def made(make, *key):
    """make(*key), once it is there, or None while it is made in the background, which this starts."""
    asked = os.getpid(), make, key  # a child of a fork asks anew
    if asked not in _asked:
        _asked.add(asked)
        submit(lambda: _made.setdefault((make, key), make(*key)))
    return _made.get((make, key))


def _work():
    while True:
        job = _jobs.get()
        with _busy, contextlib.suppress(Exception):
            job()
        del job  # and with it the arrays that it holds


def _end():
    """Before the interpreter ends: no call of LLVM is under way, and none begins any more.

    The thread itself stops where it next asks for Python's lock. LLVM's lock is llvmlite's; the main thread keeps
    it, since a call of LLVM that outlives the library's own clearing up would crash.
    """
    with contextlib.suppress(queue.Empty):
        while True:
            _jobs.get_nowait()
    llvm = getattr(getattr(sys.modules.get("llvmlite.binding.ffi"), "lib", None), "_lock", None)
    lock, limit = getattr(llvm, "_lock", None), time.monotonic() + EXIT_PATIENCE
    if lock is None:
        return
    while not lock.acquire(blocking=False) and time.monotonic() < limit:
        time.sleep(1e-3)


def is_cut_off():
    """Whether this process was forked amid a job that took longer than FORK_PATIENCE: a compiler that another thread
    was using is of no use to the child, which would wait for its locks for ever."""
    return _cut_off


# ---- forks: between two jobs, so that the child's compiler is whole ----


def _before_fork():
    me = threading.get_ident()
    inside = _thread is not None and _thread.ident == me
    _at_rest[me] = not inside and _busy.acquire(timeout=FORK_PATIENCE)


def _in_parent():
    if _at_rest.pop(threading.get_ident(), False):
        _busy.release()


def _in_child():
    global _jobs, _busy, _thread, _starting, _cut_off
    _cut_off = _cut_off or (_thread is not None and not _at_rest.get(threading.get_ident(), False))
    _jobs, _busy, _starting, _thread = queue.SimpleQueue(), threading.Lock(), threading.Lock(), None
    _at_rest.clear()
    atexit.unregister(_end)


def _watch_forks():
    """Before the thread begins, and after logging, which Numba imports, has registered its own: what was registered last is called
    first before a fork. Otherwise the fork held logging's lock while it waited for a job that needs it, all of FORK_PATIENCE."""
    global _is_watching
    import logging  # noqa: F401

    if not _is_watching and hasattr(os, "register_at_fork"):
        os.register_at_fork(before=_before_fork)
    _is_watching = True


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_parent=_in_parent, after_in_child=_in_child)
