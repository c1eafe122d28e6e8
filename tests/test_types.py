"""The public surface is typed: the stub is what the code is, and mypy checks programs against it."""

import subprocess
import sys

import pytest
from conftest import ROOT

import fastopt as fo

STUB = ROOT / "fastopt" / "__init__.pyi"
GOOD = """
import numpy as np
import fastopt as fo

X, y = np.zeros((9, 3), np.float32), np.zeros(9, np.int64)
fit: fo.Fit = fo.train(X, y, fo.Softmax(), fo.Adam(lr=0.1), schedule=fo.schedules.Cosine(), epochs=3, l2=1e-3)
labels = fit.predict(X) + 1
optimizer = fo.Optimizer({"W": X}, fo.Momentum(0.1, momentum=0.9), clip=1.0, backend="numba")
optimizer.step({"W": X})
value, dW, db = fo.value_and_grad(fo.MulticlassHinge(squared=True), X, X, y)
objective = fo.Objective(fo.Logistic(), X, y, penalty=fo.L1(0.1))
print(objective.value(dW, None) * value, fo.__version__.upper())
"""
BAD = {
    "fo.Adam(learning_rate=0.1)": "Unexpected keyword argument",
    "fo.Adam(lr='0.1')": "incompatible type",
    "fo.train(X, y, epoch=3)": "Unexpected keyword argument",
    "fo.train(X, y, epochs='3')": "incompatible type",
    "fo.value_and_grad(fo.Softmax(), X)": "Missing positional argument",
    "fo.train(X, y, sampling='random')": "incompatible type",
    "fo.Optimizer(X, 0.1)": "incompatible type",
    "fo.Optimizer(X, fo.SGD(), backend='cuda')": "incompatible type",
    "fo.Optimiser(X, fo.SGD())": "no attribute",
    "fo.train(X, y).predict(X).no_such_thing": "no attribute",
}


def test_every_public_name_is_in_the_stub():
    text = STUB.read_text()
    for name in set(fo.__all__) - {"schedules"}:
        assert f"class {name}(" in text or f"class {name}:" in text or f"def {name}(" in text, (
            f"{name} is not in fastopt/__init__.pyi: run scripts/stubs.py"
        )


def test_the_stub_is_shipped():
    package = STUB.parent if not fo.__file__ else type(STUB)(fo.__file__).parent
    assert (package / "py.typed").exists() and (package / "__init__.pyi").exists()


def test_the_stub_is_that_of_the_code(tmp_path):
    pytest.importorskip("sklearn")
    pytest.importorskip("numba")
    if not (ROOT / "scripts" / "stubs.py").exists():
        pytest.skip("scripts/ is not here")
    done = subprocess.run(
        [sys.executable, "-P", ROOT / "scripts" / "stubs.py", "--check"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, f"run scripts/stubs.py: {done.stderr}"


@pytest.mark.long
def test_mypy_checks_programs(tmp_path):
    pytest.importorskip("mypy")
    lines = GOOD.strip().splitlines()
    (tmp_path / "program.py").write_text("\n".join([*lines, *BAD]) + "\n")
    done = subprocess.run([sys.executable, "-m", "mypy", "--python-executable", sys.executable, "program.py"],
                          cwd=tmp_path, capture_output=True, text=True)  # fmt: skip
    found = {int(line.split(":")[1]): line for line in done.stdout.splitlines() if ": error:" in line}
    assert set(found) == set(range(len(lines) + 1, len(lines) + 1 + len(BAD))), done.stdout
    for number, says in enumerate(BAD.values(), len(lines) + 1):
        assert says in found[number]
