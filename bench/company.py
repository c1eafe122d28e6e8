"""How long steps take in a process where other libraries use their own threads.

    python bench/company.py

Between calls of the other library, whose workers keep spinning for a while; and while it works all the
time in another thread of this process. A figure is the mean of some 0.1 ms of steps (one, where it takes
longer): the very first step after a matrix product finds cold caches. Prints medians, and times alone.
"""

import threading
import time

import numpy as np

import fastopt as fo


def companions():
    """(name, a call that uses all threads) of what is installed."""
    a = np.random.default_rng(0).normal(size=(600, 600)).astype(np.float32)
    yield "NumPy's matrix product", lambda: a @ a
    try:
        import torch
    except ImportError:
        return
    t, big = torch.from_numpy(a), torch.zeros(1_000_000)
    yield "torch's matrix product", lambda: t @ t
    yield "torch's parallel exp", lambda: big.exp_()


def seconds_a_step(optimizer, g, steps):
    began = time.perf_counter()
    for _ in range(steps):
        optimizer.step(g)
    return (time.perf_counter() - began) / steps


def beside(work, measure):
    """measure() while another thread calls work() all the time."""
    stop = threading.Event()

    def loop():
        while not stop.is_set():
            work()

    thread = threading.Thread(target=loop)
    thread.start()
    try:
        return measure()
    finally:
        stop.set()
        thread.join()


def main():
    for size, steps in ((1000, 100), (100_000, 4), (1_000_000, 1)):
        g = np.ones(size, np.float32)
        optimizer = fo.Optimizer(np.zeros(size, np.float32), fo.Adam())

        def series(before=lambda: None, optimizer=optimizer, g=g, steps=steps):
            times = []
            for _ in range(60):
                optimizer.step(g)
                before()
                times.append(seconds_a_step(optimizer, g, steps))
            return float(np.median(times[10:]))

        alone = series()
        print(f"Adam {size:,}: alone {alone * 1e6:.1f} us")
        for name, work in companions():
            after = series(work) / alone
            during = beside(work, series) / alone
            print(f"    {name}: just after {after:.2f}x, while it works {during:.2f}x", flush=True)


if __name__ == "__main__":
    main()
