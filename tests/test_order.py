"""One order of operations: Numba and C have the same bits, on vectors of any width, with any number of threads.

The cases are those of bench/order.py, which prints the whole table; here those of its small list in one process, where the
C library changes its instruction set, and a few with Numba's vectors made narrower.
"""

import importlib.util
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import fastopt as fo
from fastopt import native
from fastopt.kernels.tables import ORDER

ROOT = Path(__file__).parents[1]


def _load():
    spec = importlib.util.spec_from_file_location("order", ROOT / "bench" / "order.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


order = _load()
CASES = {name: compute for make in (order.gradients, order.trainings) for name, compute in make(True)}
FEW = "Softmax.*float32 611 x 67 x 3$|Hinge.. .*float64|training .* (SGD|Adam)"


@pytest.fixture
def every_set():
    """Digests by the C library with each instruction set that there is here."""

    def digests(compute, threads):
        try:
            return {
                native.select_features(off): compute("c", threads) for off in ("", "avx512", "avx512,avx2")
            }
        finally:
            native.select_features(os.environ.get("FASTOPT_DISABLE_CPU_FEATURES", ""))

    return digests


@pytest.mark.parametrize("name", CASES)
def test_numba_equals_c(name, need, every_set):
    need("numba")
    need("c")
    if "CSR" in name:
        pytest.importorskip("scipy")
    ours = CASES[name]("numba", 2)
    assert re.fullmatch("[0-9a-f]{12}", ours)
    assert set(every_set(CASES[name], 64).values()) == {ours}
    assert CASES[name]("c", 1) == ours


@pytest.mark.parametrize("name", CASES)
def test_c_on_every_instruction_set(name, need, every_set):
    """Also where there is no Numba."""
    need("c")
    if "CSR" in name:
        pytest.importorskip("scipy")
    assert len(set(every_set(CASES[name], 2).values())) == 1


@pytest.mark.long
@pytest.mark.parametrize("without", [off for off in order.NARROWER if off])
def test_numba_with_narrower_vectors(without, need):
    """In a process whose Numba compiles for a CPU without AVX-512, and for one without AVX: sixteen bytes, fma by software."""
    need("numba")
    pytest.importorskip("scipy")
    code = f"import sys; sys.path.insert(0, {str(ROOT / 'bench')!r}); import order; order.child('numba', True, {FEW!r})"
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=order.environment("numba", without),
        capture_output=True,
        text=True,
        cwd=ROOT.parent,
    )
    assert done.returncode == 0, done.stderr
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(lines) > 20
    for name, threads, found in lines:
        assert found == CASES[name]("c", threads), name


def test_tables_are_the_same_in_c():
    """csrc/tables.h has the fields of kernels/tables.py in their order."""
    from fastopt.kernels import tables

    text = re.sub(r"/\*.*?\*/", "", (ROOT / "csrc" / "tables.h").read_text(), flags=re.DOTALL)
    structs = {name: body for body, name in re.findall(r"typedef struct \{(.*?)\} (\w+);", text, re.DOTALL)}
    kinds = {"int64_t": int, "double": float}
    declared = [table for table in vars(tables).values() if isinstance(table, tables.Table)]
    assert len(declared) == 8
    for table in declared:
        fields = []
        for kind, names in re.findall(r"(\w+) ([^;]+);", structs[f"fo_{table.name}"]):
            fields += [
                (name.strip(" *"), kinds.get(kind, kind.removeprefix("fo_"))) for name in names.split(",")
            ]
        ours = [(name, getattr(kind, "name", kind)) for name, kind in table.fields]
        assert fields == ours, table.name


# By kernels/tables.py's ORDER; data of whole numbers, no function of the system's. Who changes a bit raises ORDER and writes
# the new digests here.
DIGESTS = {1: "6f2ae5ef7396"}


def pinned(backend):
    """One digest of values, gradients and runs: each layout, dtype, loss with its own function, and strategy."""
    i = np.arange(90 * 520).reshape(90, 520)
    found = []
    for dtype in ("float32", "float64"):
        X = ((i * 37 % 101) - 50).astype(dtype) / 64
        sparse = pytest.importorskip("scipy.sparse").csr_array(np.where(i % 7 == 0, X, 0).astype(dtype))
        y, W = np.arange(90) % 4, ((np.arange(4 * 520).reshape(4, 520) * 29 % 83) - 41).astype(dtype) / 512
        for loss in (fo.Softmax(), fo.Logistic(), fo.Poisson(), fo.Huber(0.5)):
            for rows in (X, sparse):
                found += fo.value_and_grad(loss, W, rows, y, W[:, 0].copy(), l2=0.01, backend=backend)
        for rows, batch in ((X, 1), (X, 30), (X[:, :60].copy(), 64), (sparse, 1), (sparse, 16)):
            for rule in (fo.SGD(0.05), fo.Momentum(0.05), fo.AdaGrad(0.05)):
                fit = fo.train(
                    rows,
                    y,
                    fo.Softmax(),
                    rule,
                    epochs=2,
                    batch_size=batch,
                    l2=1e-3,
                    sampling="sequential",
                    backend=backend,
                )
                found += [fit.W, fit.b, fit.history["loss_train"]]
    return order.digest(*found)


@pytest.mark.parametrize("backend", ["numba", "c"])
def test_a_change_of_order_is_a_change_of_version(backend, need):
    need(backend)
    assert pinned(backend) == DIGESTS[ORDER], "bits have changed: raise ORDER in fastopt/kernels/tables.py"


def test_a_model_says_the_version_of_the_order(need, tmp_path):
    need("c")
    X, y = np.arange(12.0).reshape(6, 2), np.arange(6) % 2
    for backend, version in (("c", ORDER), ("numpy", None)):
        fit = fo.train(X, y, fo.Softmax(), fo.SGD(0.01), epochs=1, backend=backend)
        fit.save(tmp_path / "model.npz")
        assert fit.order == fo.Fit.load(tmp_path / "model.npz").order == version
