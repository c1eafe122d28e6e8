"""What the tests share: back ends that are here, data, a fresh Python, random numbers."""

import os
import signal
import subprocess
import sys
import time
import zlib
from pathlib import Path

import numpy as np
import pytest

import fastopt
from fastopt.engines import choose
from fastopt.minimization import minimizing

ROOT = Path(__file__).resolve().parents[1]


def pytest_addoption(parser):
    parser.addoption("--long", action="store_true", help="run the exhaustive sweeps as well")


def pytest_configure(config):
    if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:  # as a shell starts what it runs in the background
        signal.signal(signal.SIGINT, signal.default_int_handler)
    config.addinivalue_line("markers", "long: an exhaustive sweep, run with --long only")


def pytest_collection_modifyitems(config, items):
    share = int(os.environ.get("FASTOPT_SHARE", "1"))  # one of so many of the tests, another one each day
    if share > 1:
        today = int(time.time()) // 86400 % share
        out = [i for i in items if zlib.crc32(i.nodeid.encode()) % share != today]
        config.hook.pytest_deselected(items=out)
        items[:] = [i for i in items if i not in set(out)]
    if not config.getoption("--long"):
        for item in items:
            if "long" in item.keywords:
                item.add_marker(pytest.mark.skip(reason="long: pass --long"))


sys.path.insert(0, str(ROOT / "tests"))  # for naive.py, whatever pytest's import mode


def _need(backend):
    if backend == "numba" and not choose.has_numba():
        pytest.skip("numba is not installed")
    if backend == "c" and not choose.has_c():
        pytest.skip("fastopt._native is not built")


@pytest.fixture
def need():
    """need(backend) skips the test where the back end is missing."""
    return _need


@pytest.fixture(params=["numba", "c", "numpy"])
def backend(request):
    """Each back end in turn."""
    _need(request.param)
    return request.param


@pytest.fixture
def numba():
    return pytest.importorskip("numba", reason="numba is not installed")


@pytest.fixture(autouse=True)
def _solvers_are_compiled(monkeypatch):
    """Tests of compiled minimizers wait for them: no run begins in Python, but where a test is about that."""
    monkeypatch.setattr(minimizing, "FEW", 0)


@pytest.fixture
def rng():
    return np.random.default_rng(20240229)


@pytest.fixture
def data():
    """data(name): the path of a file of the data folder, or a skip."""
    folders = [ROOT.parent / "shared" / "data"]
    if "FASTOPT_DATA" in os.environ:
        folders.insert(0, Path(os.environ["FASTOPT_DATA"]))

    def find(name):
        for folder in folders:
            if (folder / name).exists():
                return folder / name
        pytest.skip(f"{name} is not in {' or '.join(map(str, folders))}; set FASTOPT_DATA")

    return find


@pytest.fixture
def python(tmp_path):
    """python(code or file, **environment): what a fresh Python prints; fails where it fails."""

    def run(code, timeout=300, **environment):
        package = str(Path(fastopt.__file__).parents[1])
        path = os.pathsep.join(p for p in (package, os.environ.get("PYTHONPATH")) if p)
        arguments = [str(code)] if isinstance(code, Path) else ["-c", code]
        done = subprocess.run(
            [sys.executable, *arguments],
            env={**os.environ, "PYTHONPATH": path, **environment},
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=timeout,
        )
        assert done.returncode == 0, f"exit {done.returncode}\n{done.stdout}\n{done.stderr}"
        return done.stdout

    return run


@pytest.fixture
def many_threads(monkeypatch):
    """Steps of any size are shared among threads."""
    monkeypatch.setattr(choose, "PARALLEL_NUMBERS", 1)


@pytest.fixture(autouse=True)
def _subnormal_numbers_stay():
    """No test leaves the thread counting subnormal numbers as zero, as steps do while they run."""
    yield
    assert np.float32(1e-39) * np.float32(0.5) != 0, "subnormal numbers are switched off in this thread"
