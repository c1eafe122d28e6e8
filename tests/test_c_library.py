"""The library for C programs: built, installed, found by another project's CMake, and run."""

import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


def require(condition, reason):
    if not condition:
        pytest.skip(reason)


def run(*command):
    answer = subprocess.run(list(map(str, command)), check=False, capture_output=True, text=True)
    assert answer.returncode == 0, f"{command}\n{answer.stdout}\n{answer.stderr}"
    return answer.stdout


@pytest.fixture(scope="module")
def prefix(tmp_path_factory):
    require((ROOT / "csrc").is_dir(), "the C sources are not here")
    require(shutil.which("cmake"), "cmake is not installed")
    require(any(map(shutil.which, ("cc", "gcc", "clang", "cl"))), "no C compiler is installed")
    folder = tmp_path_factory.mktemp("library")
    run("cmake", "-S", ROOT, "-B", folder / "build", "-DCMAKE_BUILD_TYPE=Release")
    run("cmake", "--build", folder / "build", "--parallel", "2", "--config", "Release")
    run("cmake", "--install", folder / "build", "--config", "Release", "--prefix", folder / "prefix")
    return folder / "prefix"


def test_installed_files(prefix):
    assert (prefix / "include" / "fastopt.h").is_file()
    assert list(prefix.rglob("fastopt-config.cmake"))
    assert [p for p in prefix.rglob("*fastopt*") if p.suffix in (".so", ".dylib", ".dll")]


def test_example_trains_with_adam(prefix, tmp_path):
    example = ROOT / "examples" / "c"
    run("cmake", "-S", example, "-B", tmp_path, f"-DCMAKE_PREFIX_PATH={prefix}", "-DCMAKE_BUILD_TYPE=Release")
    run("cmake", "--build", tmp_path, "--config", "Release")
    program = next(
        p for p in tmp_path.rglob("adam*") if p.is_file() and p.stem == "adam" and p.suffix in ("", ".exe")
    )
    output = run(program)
    assert "step 200: loss" in output
    assert float(output.split()[-1]) > 0.9
