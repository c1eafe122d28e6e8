"""A run of a solver in stretches: between two of them Ctrl-C, the clock and the callback have their turn."""

import contextlib
import inspect
import math
import threading
import time

import numpy as np

from fastopt.algorithms.state import (
    BEST,
    INTERRUPTED,
    ITERATIONS,
    NEW,
    NORM,
    ROW,
    RUNNING,
    STATUS,
    STOPPED,
    STRETCH,
    TIME_LIMIT,
    F,
)
from fastopt.minimization.result import make_result

_LONG = 1 << 40


class _Thread(threading.local):
    event = None  # on the class: to find nothing would take 0.6 us


_THREAD = _Thread()
_PATIENCE = 0.02  # seconds of a stretch, more or less


@contextlib.contextmanager
def ended_by(event):
    """Runs of this thread end as interrupted once the event is set: Ctrl-C finds the main thread only."""
    _THREAD.event = event
    try:
        yield
    finally:
        _THREAD.event = None


def run(solve, x, head, work, *, seconds=None, callback=None, compiled=False, step=1, sharpen=None):
    """Call solve() until head[STATUS] says why it is over; x is then the best point. Returns the status.

    solve() makes at most head[STRETCH] iterations. Ctrl-C, the end of `seconds` and StopIteration from the
    callback leave the best point so far. sharpen(head): whether the run goes on, with better gradients.
    """
    head[STATUS] = NEW
    stopped = _THREAD.event
    whole = not compiled and callback is seconds is stopped is None
    head[STRETCH] = _LONG if whole else step
    begin = time.perf_counter() if compiled or seconds is not None else 0.0
    end = math.inf if seconds is None else begin + seconds
    try:
        while True:
            solve()
            if head[STATUS] != RUNNING:
                if sharpen is not None and sharpen(head):
                    continue
                return int(head[STATUS])
            if callback is not None and head[ROW] == 0:  # else within an iteration
                callback(x, head)
            if stopped is not None and stopped.is_set():
                return _leave(INTERRUPTED, x, head, work)
            if seconds is not None and time.perf_counter() >= end:
                return _leave(TIME_LIMIT, x, head, work)
            if compiled and callback is None:
                now = time.perf_counter()
                head[STRETCH] = next_stretch(head[STRETCH], now - begin)
                begin = now
    except KeyboardInterrupt:
        return _leave(INTERRUPTED, x, head, work)
    except StopIteration:
        return _leave(STOPPED, x, head, work)


def next_stretch(stretch, took):
    """Iterations of the next stretch, after one that took so many seconds."""
    if took < _PATIENCE / 8:
        return min((128 if took < _PATIENCE / 256 else 8) * stretch, float(_LONG))
    return max(1.0, stretch // 2) if took > _PATIENCE else stretch


def paced(begin, end, stopped, first=1):
    """Ranges of [begin, end) that take some 10 ms each, so that Ctrl-C finds Python; fewer when stopped is set."""
    size = first
    while begin < end and not stopped.is_set():
        start, stop = time.perf_counter(), min(end, begin + size)
        yield begin, stop
        took, begin = time.perf_counter() - start, stop
        if took < _PATIENCE / 4:
            size *= 2
        elif took > _PATIENCE:
            size = max(1, size // 2)


def _leave(status, x, head, work):
    if head[STATUS] == NEW and not head[BEST]:  # not even the start was evaluated
        head[F] = head[BEST] = math.nan
        head[NORM] = math.nan
    else:
        x[:] = work[: x.size]
        head[F] = head[BEST]
        head[NORM] = math.nan
    head[STATUS] = status
    return status


def checked_callback(callback):
    """callback(intermediate_result=OptimizeResult), or callback(x) as SciPy's older form; None stays."""
    if callback is None:
        return None
    if not callable(callback):
        raise TypeError(f"callback must be a function, not {type(callback).__name__}")
    try:
        modern = list(inspect.signature(callback).parameters) == ["intermediate_result"]
    except (TypeError, ValueError):
        modern = False

    def call(x, head):
        if modern:
            result = make_result(RUNNING)
            result.update(x=x.copy(), fun=float(head[F]), nit=int(head[ITERATIONS]))
            callback(intermediate_result=result)
        else:
            callback(np.copy(x))

    return call
