"""Contestants measured in turns, and what is kept of their times."""

import contextlib
import time
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

PAUSE = 0.1  # s before each timed call: BLAS and OpenMP workers keep spinning after their own work
SHORTEST = 2e-3  # s a timed call should last; quicker functions are called in a loop
LOOPS = 10_000
SLOW_ROUNDS = 3


class Contestant(NamedTuple):
    """call: the work of one measurement. around: a context it runs in, such as a limit of threads.

    repeats: how many times call does the work.
    """

    call: Callable[[], object]
    around: Callable[[], contextlib.AbstractContextManager] = contextlib.nullcontext
    repeats: int = 1


def seconds_a_call(contestant, loops=1, pause=PAUSE):
    """Mean seconds that the work takes in `loops` calls, after a pause."""
    call = contestant.call
    with contestant.around():
        time.sleep(pause)
        began = time.perf_counter()
        for _ in range(loops):
            call()
        return (time.perf_counter() - began) / (loops * contestant.repeats)


def loops_for(contestant):
    """Calls that take SHORTEST together. The first call, which may compile, is not counted."""
    with contestant.around():
        contestant.call()
    single = seconds_a_call(contestant, pause=0) * contestant.repeats
    if single < SHORTEST:
        few = min(100, max(1, int(SHORTEST / single)))
        single = seconds_a_call(contestant, few, pause=0) * contestant.repeats
    return int(min(LOOPS, max(1, SHORTEST / max(single, 1e-9))))


def in_turns(contestants, seconds, least=5, most=31, pause=PAUSE):
    """{name: array of seconds a call}: rounds in which each has its turn, for about `seconds` in all.

    At least `least` and at most `most` rounds, whose order is turned by one from each to the next. Who took
    its share of the seconds, and a second more, leaves after three.
    """
    loops = {name: loops_for(c) for name, c in contestants.items()}
    times = {name: [] for name in contestants}
    names, began = list(contestants), time.perf_counter()
    for turn in range(most):
        if turn >= least and time.perf_counter() - began > seconds:
            break
        shift = turn % len(names)
        for name in names[shift:] + names[:shift]:
            if turn < SLOW_ROUNDS or sum(times[name]) < 1 + seconds / len(names):
                times[name].append(seconds_a_call(contestants[name], loops[name], pause))
    return {name: np.array(values) for name, values in times.items()}


def summary(times):
    """Median, quartiles and number of the times, as plain numbers."""
    low, median, high = np.percentile(times, (25, 50, 75))
    return {"seconds": float(median), "low": float(low), "high": float(high), "rounds": len(times)}
