"""The example scripts run, and what they assert holds."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).resolve().parents[1] / "examples"
NEEDS = {
    "numpy_pipeline": (),
    "classifier_from_csv": ("sklearn", "pandas"),
    "gradcheck_own_loss": (),
    "own_rule": (),
    "rule_in_njit": ("numba",),
    "torch_on_cpu": ("torch",),
}


@pytest.mark.parametrize("name", NEEDS)
def test_example(name, tmp_path):
    for package in NEEDS[name]:
        pytest.importorskip(package, reason=f"{package} is not installed")
    script = EXAMPLES / f"{name}.py"
    ran = subprocess.run(
        [sys.executable, str(script)],
        cwd=tmp_path,
        env=os.environ,
        check=False,
        capture_output=True,
        text=True,
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert ran.stdout.strip()


def test_every_example_is_run():
    assert {path.stem for path in EXAMPLES.glob("*.py")} == set(NEEDS)
