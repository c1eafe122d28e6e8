"""What fastopt runs on: versions, CPU, threads, the cache of compiled kernels."""

import json
import platform
from collections import Counter
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from fastopt.engines import choose


def show_info(as_json=False):
    """Print what `info` finds, as lines or as one line of JSON."""
    found = info()
    if as_json:
        print(json.dumps(found))
        return
    kernels = found.pop("kernels")
    for name, value in found.items():
        print(f"{name.replace('_', ' '):16} {value}")
    if kernels:
        print(f"{'compiled kernels':16} {sum(kernels.values())} in the cache")
        for name, count in sorted(kernels.items()):
            print(f"{'':16} {name}: {count}")


def info():
    """A dict of versions, back end, CPU features, threads, threading layer, cache and kernels."""
    found = {name: _version(name) for name in ("fastopt", "numpy", "numba", "cffi")}
    found["python"] = platform.python_version()
    found["machine"] = f"{platform.system()} {platform.machine()}"
    found["backend"] = choose.resolve()
    found["cpu_features"] = _features()
    from fastopt.threads import usable_threads

    found["threads"] = usable_threads()
    found["threading_layer"] = found["cache_directory"] = None
    found["kernels"] = {}
    if choose.has_numba():
        _add_numba(found)
    return found


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
    from fastopt.kernels.language.compile import cache_directory, threading_layer
    from fastopt.kernels.step import elementwise  # noqa: F401  a kernel whose cache can be asked for its place

    found["threading_layer"] = threading_layer()
    directory = cache_directory()
    found["cache_directory"] = directory or "none can be written: kernels are compiled anew in every process"
    if directory:
        files = Path(directory).glob("*.nbc")
        found["kernels"] = dict(Counter(f.name.split("-")[0] for f in files))
