"""What fits and predictions take beyond the data, measured as the peak of a process."""

import sys
from pathlib import Path

import pytest

pytest.importorskip("sklearn", reason="scikit-learn is not installed")
ROOT = Path(__file__).resolve().parents[1]
LINUX = Path("/proc/self/clear_refs").exists()

FIT = """
import resource
from pathlib import Path
import numpy as np
import fastopt as fo

rng = np.random.default_rng(0)
X = rng.random((20_000, 784), np.float32)  # 63 MB
X = {made}
y = (X @ rng.standard_normal((784, 10)).astype(np.float32)).argmax(axis=1)
model = {model}
model.fit(X[:2000], y[:2000])  # what is compiled or imported is not counted
Path("/proc/self/clear_refs").write_text("5")
held = int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()
model.fit(X, y)
status = Path("/proc/self/status").read_text()  # ru_maxrss begins with what the parent had
print((int(status.split("VmHWM:")[1].split()[0]) * 1024 - held) / 2**20)
"""


@pytest.mark.skipif(not LINUX, reason="peaks are set back by Linux only")
@pytest.mark.parametrize(
    "made", ["X", "np.asfortranarray(X)", "(9 * X).astype(np.int8)", "X.astype(np.float16)"]
)
@pytest.mark.parametrize(
    "model",
    ['fo.LinearClassifier("softmax", l2=1e-3, max_iter=20)', 'fo.LinearClassifier(solver="sgd", epochs=1)'],
)
def test_a_fit_takes_little_beyond_the_data(model, made, python, need):
    need("numba")
    limit = (
        50 if made == "X" else 60
    )  # other layouts are copied in blocks, and a sample of their rows besides
    assert float(python(FIT.format(model=model, made=made), PYTHONWARNINGS="ignore").split()[-1]) < limit


@pytest.mark.skipif(not LINUX, reason="peaks are measured on Linux")
def test_a_csv_is_predicted_in_constant_memory(tmp_path, monkeypatch):
    """100 MB of CSV take what 5 MB take, give or take what the allocator keeps, and less than 300 MB."""
    pytest.importorskip("pyarrow")
    pytest.importorskip("rich")
    monkeypatch.setattr(sys, "path", [str(ROOT / "bench"), *sys.path])
    import large_csv

    if not large_csv.COMMAND.exists():
        pytest.skip("the command fastopt is not installed")
    _, _, small = large_csv.predicted(tmp_path, int(5e6))
    rows, _, large = large_csv.predicted(tmp_path, int(1e8))
    assert rows > 1_000_000 and large < large_csv.LIMIT and large < small + 100
