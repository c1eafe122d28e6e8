"""No damaged file and no damaged CSR matrix kills the process, ends in a traceback or is taken for a sound one."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

import fastopt

pytest.importorskip("scipy", reason="scipy is not installed")
pytest.importorskip("click", reason="click is not installed")
PROGRAM = Path(__file__).with_name("damage.py")


def run(*arguments, timeout=900):
    paths = [str(Path(fastopt.__file__).parents[1]), os.environ.get("PYTHONPATH", "")]
    done = subprocess.run(
        [sys.executable, str(PROGRAM), *map(str, arguments)], capture_output=True, text=True, timeout=timeout,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, paths))}, cwd=PROGRAM.parent.parent / "docs",
    )  # fmt: skip
    last = done.stdout.splitlines()[-1:] or [""]
    assert last == ["done"], f"exit {done.returncode} at {last[0]!r}\n{done.stderr[-2000:]}"


def test_damaged_files():
    run("files", 60, 1)


def test_damaged_csr_matrices():
    run("csr", 36, 1)  # each kind once


@pytest.mark.long
def test_many_damaged_files():
    run("files", 500, 11)


@pytest.mark.long
def test_many_damaged_csr_matrices():
    run("csr", 300, 21)
