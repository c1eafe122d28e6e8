"""From the start of a process to its first result: cold cache, warm cache, C back end."""

import functools
import tempfile

import pytest

from fastopt.bench import first_call

PROGRAMS = first_call.programs()


@pytest.fixture(scope="module")
def warm_cache():
    """A folder of compiled kernels that the first run of each program has filled."""
    with tempfile.TemporaryDirectory() as folder:
        yield folder


@pytest.mark.timed
@pytest.mark.parametrize("what", PROGRAMS)
def test_first_call(benchmark, what, warm_cache):
    code, cold = PROGRAMS[what]
    benchmark.group = "first call: a new process"
    if not cold:
        benchmark.pedantic(functools.partial(first_call.seconds, code, warm_cache), rounds=3, warmup_rounds=1)
        return
    with tempfile.TemporaryDirectory() as empty:  # once: it is seconds of compilation
        benchmark.pedantic(functools.partial(first_call.seconds, code, empty), rounds=1)
