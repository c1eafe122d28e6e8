"""Imports go down only, and importing fastopt imports little."""

import ast
import importlib.util
from pathlib import Path

import pytest

import fastopt

PACKAGE = Path(fastopt.__file__).parent
FILES = sorted(PACKAGE.rglob("*.py"))
FORMULAS = ("fastopt.rules", "fastopt.losses", "fastopt.penalties", "fastopt.schedules")
# Layers from the top; a module may import what stands below it, and its neighbours in a line.
LAYERS = [
    ("cli",),
    ("reports",),
    ("estimators", "diagnostics", "warm", "info"),
    ("training", "minimization", "checkpoint", "fit", "data", "testing", "checking"),
    ("linear", "solvers"),
    ("optimizer", "objective", "epochs", "functions"),
    ("engines", "table", "parameters", "rows"),
    ("kernels", "native", "arrays", "threads"),
    ("rules", "losses", "penalties", "schedules", "fingerprint", "algorithms"),
    ("reports.page", "reports.svg"),  # the writer of HTML, which other rooms use too
]


def module(path):
    parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imports(path, top_only=False):
    """Names of the modules that a file imports, as "a.b"; `from a import b` counts as both a and a.b."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    for node in tree.body if top_only else ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path.name}: imports are absolute"
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def within(name, *packages):
    return any(name == p or name.startswith(p + ".") for p in packages)


def layer(name):
    parts = name.split(".")[1:]
    for count in (2, 1):
        for depth, names in enumerate(LAYERS):
            if ".".join(parts[:count]) in names:
                return depth
    return None


files = pytest.mark.parametrize("path", FILES, ids=module)


@files
def test_imports_go_down(path):
    mine = module(path)
    if mine == "fastopt" or layer(mine) is None:
        pytest.skip("no layer is set for it")
    for name in imports(path):
        if within(name, "fastopt") and name != "fastopt" and layer(name) is not None:
            assert layer(name) >= layer(mine), f"{mine} imports {name}, which stands above it"


@files
def test_formulas_import_formulas_only(path):
    if within(module(path), *FORMULAS):
        for name in imports(path):
            assert not within(name, "fastopt") or within(name, *FORMULAS), name
            assert not within(name, "numba", "cffi", "scipy", "sklearn"), name


@files
def test_who_imports_numba_and_the_c_library(path):
    for name in imports(path):
        if within(name, "numba", "llvmlite"):
            assert within(module(path), "fastopt.kernels"), f"{module(path)} imports {name}"
        if within(name, "fastopt._native"):
            assert module(path) == "fastopt.native"


@files
def test_heavy_packages_come_on_first_use(path):
    if module(path).startswith("fastopt.bench.peers.with_"):
        pytest.skip("a peer, imported where it is installed")
    if within(module(path), "fastopt.estimators"):
        pytest.skip("scikit-learn's interface, imported on use")
    for name in imports(path, top_only=True):
        assert not within(name, "scipy", "sklearn", "torch", "matplotlib"), f"{module(path)}: {name}"


def test_no_vague_names():
    vague = {"utils", "helpers", "common", "core", "base", "misc"}
    assert not vague & {path.stem for path in FILES}


def test_import_is_light(python):
    code = """
import sys
import fastopt as fo
fo.rules, fo.schedules, fo.SGD
heavy = {"numba", "llvmlite", "scipy", "sklearn", "cffi", "_cffi_backend", "torch", "click", "rich"}
print(sorted(heavy & set(sys.modules)))
"""
    assert python(code) == "[]\n"


@pytest.mark.parametrize("chosen", ["c", "numpy"])
def test_a_step_without_numba_does_not_import_it(chosen, need, python):
    need(chosen)
    code = """
import sys
import numpy as np
import fastopt as fo
p = np.zeros(3)
fo.Optimizer(p, fo.Adam()).step(np.ones(3))
print(sorted({"numba", "llvmlite", "scipy", "sklearn"} & set(sys.modules)), p[0] < 0)
"""
    assert python(code, FASTOPT_BACKEND=chosen) == "[] True\n"


def test_public_names():
    for name in fastopt.__all__:
        home = fastopt._HOME.get(name, name)
        if home == "estimators" and importlib.util.find_spec("sklearn") is None:
            continue
        if (PACKAGE / home).exists() or (PACKAGE / f"{home}.py").exists():
            assert getattr(fastopt, name) is not None
    assert set(fastopt.__all__) <= set(dir(fastopt))
    with pytest.raises(AttributeError, match="no attribute 'adam'"):
        fastopt.adam  # noqa: B018
