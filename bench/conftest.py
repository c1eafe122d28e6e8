"""How a contestant is timed under pytest-benchmark, and which cases run when."""

import time

import pytest

from fastopt.bench import timing

SECONDS = 1.0  # of timed rounds for one contestant


def pytest_addoption(parser):
    parser.addoption(
        "--full", action="store_true", help="all rules, sizes and dtypes; an hour or two, 16 GB of memory"
    )


def pytest_configure(config):
    config.addinivalue_line("markers", "full: a benchmark that runs with --full only")
    config.addinivalue_line(
        "markers", "timed: a benchmark too large to be run untimed, with --benchmark-disable"
    )


def pytest_collection_modifyitems(config, items):
    """Leave out what was not asked for: --full ones, and with --benchmark-disable all but the smallest."""
    left_out = set() if config.getoption("--full") else {"full"}
    if config.getoption("benchmark_disable", False):
        left_out |= {"full", "timed"}
    dropped = [item for item in items if left_out & set(item.keywords)]
    if dropped:
        config.hook.pytest_deselected(items=dropped)
        items[:] = [item for item in items if not left_out & set(item.keywords)]


@pytest.fixture
def race(benchmark):
    """race(case, who): times that contestant of the case in the case's group, or skips with the reason."""

    def run(case, who):
        try:
            contestant = case.makers[who]()
        except ImportError as error:
            pytest.skip(f"{who}: {error}")
        except LookupError:
            pytest.skip(f"{who} has nothing of this kind")
        benchmark.group = f"{case.group}: {case.name}"
        benchmark.extra_info.update(bytes=case.bytes, operations=case.operations, contestant=who)
        if benchmark.disabled:
            benchmark.pedantic(contestant.call)
            return
        if contestant.repeats > 1:
            pytest.skip("the roof of small arrays lies inside one call: see fastopt bench")
        loops = timing.loops_for(contestant)
        with contestant.around():
            single = timing.seconds_a_call(contestant)
            rounds = int(min(15, max(3, SECONDS / (single * loops))))
            time.sleep(timing.PAUSE)
            benchmark.pedantic(contestant.call, rounds=rounds, iterations=loops)

    return run
