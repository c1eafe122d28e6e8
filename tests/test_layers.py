"""Imports go down only, and importing fastopt imports little."""

import ast
import importlib.util
from pathlib import Path

import pytest

import fastopt

PACKAGE = Path(fastopt.__file__).parent
FILES = sorted(PACKAGE.rglob("*.py"))
FORMULAS = ("fastopt.rules", "fastopt.losses", "fastopt.penalties", "fastopt.schedules")
# Layers from the top; a module may import what stands below it, and its neighbours in a line. Every module
# and folder stands here.
LAYERS = [
    ("cli",),
    ("reports",),
    ("diagnostics",),
    ("estimators",),
    ("bench",),
    ("estimators", "warm", "info", "data", "jit"),
    ("paths",),
    ("training", "minimization", "logs", "testing", "checking"),
    ("distributed",),
    ("outofcore",),
    ("readers",),
    ("fit", "data"),
    ("linear", "solvers", "exchange"),
    ("optimizer", "objective", "functions"),
    ("parts", "regroup"),
    ("engines", "rows", "weights", "stepping"),
    (
        "kernels",
        "native",
        "arrays",
        "structure",
        "threads",
        "background",
        "preparing",
        "plan",
        "storage",
        "rounding",
        "safetensors",
        "checkpoint",
    ),
    ("rules", "losses", "penalties", "schedules", "fingerprint", "exactness", "algorithms"),
    ("reports.page", "reports.svg"),  # the writer of HTML, which other rooms use too
]


def module(path):
    parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imports(path, top_only=False):
    """Names of the modules that a file imports, as "a.b": `from a import b` is a.b where that is a module."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    for node in tree.body if top_only else ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path.name}: imports are absolute"
            for alias in node.names:
                inner = f"{node.module}.{alias.name}"
                yield inner if inner in MODULES or not within(inner, "fastopt") else node.module


def within(name, *packages):
    return any(name == p or name.startswith(p + ".") for p in packages)


def layer(name):
    parts = name.split(".")[1:]
    for count in (2, 1):
        for depth, names in enumerate(LAYERS):
            if ".".join(parts[:count]) in names:
                return depth
    return None


MODULES = {module(path) for path in FILES}
files = pytest.mark.parametrize("path", FILES, ids=module)


@files
def test_imports_go_down(path):
    mine = module(path)
    if mine == "fastopt":
        return  # it imports a name's module on first use
    assert layer(mine) is not None, f"{mine} stands in no line of LAYERS: say who may import it"
    for name in imports(path):
        if within(name, "fastopt") and layer(name) is not None:
            assert layer(name) >= layer(mine), f"{mine} imports {name}, which stands above it"


def test_layers_name_what_is_there():
    for name in (name for line in LAYERS for name in line):
        path = PACKAGE.joinpath(*name.split("."))
        assert path.is_dir() or path.with_suffix(".py").is_file(), (
            f"LAYERS names {name}, which does not exist"
        )


def test_a_module_that_is_nowhere_is_noticed():
    assert layer("fastopt.nowhere") is None and layer("fastopt.rules.adam") == layer("fastopt.losses")


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
            peer = module(path).startswith("fastopt.bench.peers.with_numba")
            assert within(module(path), "fastopt.kernels") or peer, f"{module(path)} imports {name}"
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
