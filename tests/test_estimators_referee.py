"""scikit-learn's own tests on our classes: see tests/referee/sklearn_referee.py."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("sklearn", reason="scikit-learn is not installed")

REFEREE = Path(__file__).with_name("referee")
PYTEST = "import sys, pytest; sys.path = [p for p in sys.path if p]; sys.exit(pytest.main(sys.argv[1:]))"


def test_every_deselected_test_has_a_reason():
    lines = (REFEREE / "deselected.txt").read_text(encoding="utf-8").splitlines()
    lines = [line for line in lines if line and not line.startswith("#")]
    assert lines and all(re.fullmatch(r"test_\S+  \S.{10,}", line) for line in lines)


@pytest.mark.long
@pytest.mark.parametrize("files", ["sklearn.svm.tests.test_svm"])
def test_their_tests_pass(files, tmp_path, need):
    import sklearn

    if tuple(map(int, sklearn.__version__.split(".")[:2])) != (1, 9):
        pytest.skip("the list of deselected tests is for scikit-learn 1.9")
    need("numba")
    ran = subprocess.run(
        [sys.executable, "-c", PYTEST, "-p", "sklearn_referee", "-p", "no:cacheprovider", "-q",
         "--import-mode=importlib", "--pyargs", files],
        cwd=tmp_path, env={**os.environ, "PYTHONPATH": str(REFEREE)}, check=False, capture_output=True, text=True,
    )  # fmt: skip
    assert ran.returncode == 0, ran.stdout[-3000:]
    assert int(re.search(r"(\d+) passed", ran.stdout)[1]) >= 20
