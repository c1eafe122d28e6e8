"""What fastopt runs on: versions, CPU, threads, the cache of compiled kernels."""

import json
import os
import platform
from collections import Counter
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from fastopt.engines import choose


def show_info(as_json: bool = False, kernels: bool = False) -> None:
    """Print what `info` finds, as lines or as one line of JSON; kernels: each of the cache by name."""
    found = info()
    if as_json:
        print(json.dumps(found))
        return
    print("\n".join(_lines(found, kernels)))


def info() -> dict[str, Any]:
    """A dict of versions, back end, CPU features, threads, threading layer, cache and kernels.

    "cpu_features" is the instruction set of the C library, "numba_vectors" the bytes of a vector of the
    kernels that Numba compiles; both follow FASTOPT_DISABLE_CPU_FEATURES. "training_strategies": the ways a
    run of Numba's back end can go; the log "fastopt.training" says at level DEBUG which one a run takes and
    how many threads. "kernels": {name: how many}.
    """
    found: dict[str, Any] = {name: _version(name) for name in ("fastopt", "numpy", "numba", "cffi")}
    found["python"] = platform.python_version()
    found["machine"] = f"{platform.system()} {platform.machine()}"
    found["backend"] = choose.resolve()
    found["cpu_features"] = _features()
    from fastopt.threads import usable_threads

    found["threads"] = usable_threads()
    found["threading_layer"] = found["cache_directory"] = found["numba_vectors"] = None
    found["training_strategies"], found["kernels"] = [], {}
    if choose.has_numba():
        _add_numba(found)
    return found


def _lines(found, each_kernel):
    kernels, strategies = found.pop("kernels"), found.pop("training_strategies")
    vectors = found.pop("numba_vectors")
    if vectors is not None:
        found["cpu_features"] += f" (C); vectors of {vectors} bytes (Numba)"
    yield from (f"{name.replace('_', ' '):16} {value}" for name, value in found.items())
    if strategies:
        yield f"{'training runs by':16} {', '.join(strategies)}"
        yield f"{'':16} which one: logging.basicConfig(); logging.getLogger('fastopt.training').setLevel('DEBUG')"
    if not kernels:
        return
    hint = "" if each_kernel else "; their names: fastopt info --kernels"
    yield f"{'compiled kernels':16} {sum(kernels.values())} in the cache{hint}"
    if each_kernel:
        yield from (f"{'':16} {name}: {count}" for name, count in sorted(kernels.items()))


def _version(package):
    try:
        return version(package)
    except PackageNotFoundError:
        return "not installed"


def _features():
    if not choose.has_c():
        return "the C library is not installed"
    from fastopt import native

    return native.features()


def _add_numba(found):
    from fastopt.kernels.differences import numeric  # noqa: F401  a module of each folder with kernels, whose
    from fastopt.kernels.gradient import groups  # noqa: F401      caches can then be asked for their places
    from fastopt.kernels.language.compile import cache_directories, threading_layer
    from fastopt.kernels.language.vectors import REGISTER_BYTES
    from fastopt.kernels.step import elementwise  # noqa: F401
    from fastopt.kernels.training import epoch  # noqa: F401
    from fastopt.kernels.training import strategies as ways

    found["training_strategies"] = [
        ways.WHOLE_BATCHES, ways.ROW_GROUPS, ways.FEATURE_HALVES, ways.SCALED_WEIGHTS, ways.SINGLE_ROWS
    ]  # fmt: skip
    found["threading_layer"] = threading_layer()
    found["numba_vectors"] = REGISTER_BYTES
    folders = cache_directories()
    none = "none can be written: kernels are compiled anew in every process"
    found["cache_directory"] = os.path.commonpath(folders) if folders else none
    files = (file for folder in folders for file in Path(folder).glob("*.nbc"))
    found["kernels"] = dict(Counter(file.name.split("-")[0] for file in files))
