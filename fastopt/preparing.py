"""How long a thread waited for kernels: the import of Numba, compilation, the disk cache. Not for others' waiting."""

import contextlib
import threading
import time


class _Clock(threading.local):
    seconds = 0.0
    running = False


_clock = _Clock()


@contextlib.contextmanager
def preparing():
    """What is done inside counts; what is nested counts once."""
    if _clock.running:
        yield
        return
    _clock.running, began = True, time.perf_counter()
    try:
        yield
    finally:
        _clock.running = False
        _clock.seconds += time.perf_counter() - began


def seconds_preparing():
    """Of this thread so far."""
    return _clock.seconds
