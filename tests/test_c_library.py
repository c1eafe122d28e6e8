"""The library for C programs: built, installed, found by CMake and pkg-config, run, and told no."""

import os
import re
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


def test_soversion_and_version_agree_with_the_package(prefix):
    major, minor, patch = re.search(
        r'^version = "(\d+)\.(\d+)\.(\d+)"', (ROOT / "pyproject.toml").read_text(), re.M
    ).groups()
    header = (ROOT / "csrc" / "fastopt.h").read_text()
    for name, number in (("MAJOR", major), ("MINOR", minor), ("PATCH", patch)):
        assert f"#define FO_VERSION_{name} {number}\n" in header
    if list(prefix.rglob("*.so")):
        assert list(prefix.rglob(f"libfastopt.so.{major}.{minor}")), (
            "a program must not load another minor version"
        )


def test_pkg_config(prefix, tmp_path):
    require(shutil.which("pkg-config") and shutil.which("cc"), "pkg-config or cc is not installed")
    folder = next(prefix.rglob("fastopt.pc")).parent
    environment = {**os.environ, "PKG_CONFIG_PATH": str(folder)}
    command = ["pkg-config", "--cflags", "--libs", "fastopt >= 0.1"]
    found = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert found.returncode == 0, found.stderr
    library = next(prefix.rglob("libfastopt.*")).parent
    program = tmp_path / "adam"
    run(
        "cc",
        ROOT / "examples" / "c" / "adam.c",
        "-o",
        program,
        *found.stdout.split(),
        f"-Wl,-rpath,{library}",
    )
    assert "accuracy" in run(program)


SOURCES = ("rules", "around", "coefficients", "dispatch", "epoch", "linear", "solvers", "stored")


@pytest.fixture(scope="module", params=["none", pytest.param("undefined,address", marks=pytest.mark.long)])
def compiled(request, tmp_path_factory):
    """compiled(program): the library's sources, compiled once for each sanitizer, with a program of the tests."""
    require((ROOT / "csrc").is_dir(), "the C sources are not here")
    compiler = shutil.which("gcc") or shutil.which("clang")
    require(compiler, "neither gcc nor clang is installed")
    folder = tmp_path_factory.mktemp("objects")
    options = ["-std=gnu11", "-O1", "-DFO_SET=plain", f"-I{ROOT / 'csrc'}"]
    if request.param != "none":
        options += [f"-fsanitize={request.param}", "-fno-sanitize-recover=all"]

    def build(*arguments):
        built = subprocess.run(
            [compiler, *options, *map(str, arguments)], cwd=folder, capture_output=True, text=True
        )
        if built.returncode and request.param != "none" and "san" in built.stderr:
            pytest.skip("the sanitizers' libraries are not installed")
        assert built.returncode == 0, built.stderr

    build("-c", *(ROOT / "csrc" / f"{name}.c" for name in SOURCES))

    def program(name):
        build(ROOT / "tests" / f"{name}.c", *(f"{source}.o" for source in SOURCES), "-o", name, "-lm")
        return folder / name

    return program


@pytest.mark.parametrize("name", ["refusals", "stored", "around"])
def test_programs_of_the_tests(compiled, name):
    """tests/refusals.c, stored.c and around.c, with the undefined behaviour of NaN's bits looked for as well."""
    run(compiled(name))
