"""What `fastopt bench` measures, and the record it makes of it."""

import datetime
import gc
import os
import platform
import time

import numpy as np

import fastopt as fo
from fastopt import info
from fastopt.bench import GROUPS, cases, first_call, problems, roofline, scaling, timing
from fastopt.bench.peers import installed
from fastopt.threads import usable_threads

FORMAT = 1  # of the record
PEERS = ("torch", "sklearn", "optax", "scipy")


def quick_cases():
    """(group, a function that gives the case) of `fastopt bench --quick`."""
    adam = fo.Adam()
    yield "rules", lambda: cases.step(adam, 1000)
    yield "rules", lambda: cases.step(adam, 1000, arrays=100)
    yield "rules", lambda: cases.step(adam, 1000, arrays=100, fresh=True)
    for rule in (adam, fo.Momentum()):
        yield "rules", lambda rule=rule: cases.step(rule, 1_000_000)
    yield "rules", lambda: cases.subnormal_step(adam, 100_000)
    yield "rules", lambda: cases.step(adam, 5_000_000)
    yield "gradient", lambda: cases.dense_gradient(60_000, 784, 10)
    yield "gradient", lambda: cases.dense_gradient(200_000, 54, 7, loss="MulticlassHinge")
    if installed("scipy"):
        yield "gradient", lambda: cases.gradient(problems.a9a, "CSR a9a, 32,561 x 123 x 2")
    yield "epoch", lambda: cases.epoch(lambda: _rows(problems.mnist(), 20_000), "20,000 rows of MNIST", 32)
    yield "epoch", lambda: cases.epoch(lambda: _rows(problems.mnist(), 20_000), "20,000 rows of MNIST", 256)
    yield (
        "epoch",
        lambda: cases.epoch(lambda: _rows(problems.mnist(), 5_000), "5,000 rows of MNIST", 1, "Hinge", 0),
    )
    yield "numeric", cases.numeric


def full_cases():
    """Those of `fastopt bench`."""
    adam, sizes = fo.Adam(), (1000, 10_000, 100_000, 1_000_000, 20_000_000)
    for dtype in ("float32", "float64"):
        for size in sizes:
            yield "rules", lambda size=size, dtype=dtype: cases.step(adam, size, dtype)
    yield "rules", lambda: cases.step(adam, 1000, arrays=100)
    yield "rules", lambda: cases.step(adam, 1000, arrays=100, fresh=True)
    for size in (1000, 1_000_000, 20_000_000):
        for rule in cases.every_rule():
            if type(rule) is not fo.Adam:
                yield "rules", lambda rule=rule, size=size: cases.step(rule, size)
    yield "rules", lambda: cases.subnormal_step(adam, 100_000)
    for loss in ("Softmax", "MulticlassHinge"):
        for shape in ((50_000, 3072, 10), (60_000, 784, 10), (200_000, 54, 7), (20_000, 20_000, 2)):
            yield "gradient", lambda shape=shape, loss=loss: cases.dense_gradient(*shape, loss=loss)  # type: ignore[misc]
    yield "gradient", lambda: cases.dense_gradient(20_000, 512, 1000)
    yield "gradient", lambda: cases.dense_gradient(60_000, 784, 10, "float64")
    if installed("scipy"):
        yield "gradient", lambda: cases.gradient(problems.a9a, "CSR a9a, 32,561 x 123 x 2")
        sparse = "CSR 500,000 x 50,000, 75 a row, 2 classes, "
        for index in ("int32", "int64"):
            make = lambda index=index: problems.sparse(500_000, 50_000, 75, 2, index=index)  # noqa: E731
            yield "gradient", lambda make=make, index=index: cases.gradient(make, sparse + index)
    for batch in (32, 256):
        yield "epoch", lambda batch=batch: cases.epoch(problems.mnist, "MNIST", batch)
        yield "epoch", lambda batch=batch: cases.epoch(lambda: problems.mnist("uint8"), "MNIST uint8", batch)
    yield "epoch", lambda: cases.epoch(problems.mnist, "MNIST", 1, "Hinge", 0)
    if installed("scipy"):
        yield "epoch", lambda: cases.epoch(problems.a9a, "a9a CSR", 1, "Hinge", 0)
        yield "epoch", lambda: cases.epoch(problems.mnist_csr, "MNIST CSR", 1, "Hinge", 0, l2=1e-5)
        for classes in (2, 10):
            big = lambda classes=classes: problems.sparse(100_000, 50_000, 75, classes)  # noqa: E731
            title = f"CSR 100,000 x 50,000, 75 a row, {classes} classes"
            yield "epoch", lambda big=big, title=title: cases.epoch(big, title, 1, "Hinge", 0, l2=1e-5)
    yield "numeric", cases.numeric


def _rows(problem, n):
    return problem._replace(X=np.ascontiguousarray(problem.X[:n]), y=problem.y[:n])


def run(quick=False, progress=None, only=GROUPS):
    """The record: a dict that JSON can hold.

    progress: a function called with (done, of how many, what comes). only: the GROUPS to measure.
    """
    say, busy, began = progress or (lambda *_: None), _others_at_work(), time.perf_counter()
    makers = [make for group, make in (quick_cases() if quick else full_cases()) if group in only]
    curved = not quick and "scaling" in only
    total = len(makers) + ("first call" in only) + curved + 1
    say(0, total, "the machine's limits")
    machine = roofline.machine(quick)
    results, (seconds, least) = [], (1.2, 4) if quick else (6.0, 5)
    for i, make in enumerate(makers):
        say(i + 1, total, "preparing")
        case = make()
        say(i + 1, total, case.name)
        results.append(measure(case, machine, seconds, least))
        gc.collect()
    if "first call" in only:
        say(len(makers) + 1, total, "first calls")
        rows = first_call.measure(1 if quick else 5)
        results.append(
            {"group": "first call", "name": "a new process", "bytes": 0, "operations": 0, "contestants": rows}
        )
    curves = []
    if curved:
        say(total - 1, total, "scaling")
        curves = scaling.curves()
    say(total, total, "done")
    return {
        "format": FORMAT,
        "when": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "quick": quick,
        "took": time.perf_counter() - began,
        "machine": describe() | busy,
        "limits": machine,
        "results": results,
        "scaling": curves,
    }


def measure(case, machine, seconds, least):
    """The row of a case: contestants with their times, or why one is missing."""
    ready, rows = {}, {}
    for name, make in case.makers.items():
        try:
            ready[name] = make()
        except ImportError as error:
            rows[name] = {"missing": f"{(error.name or 'package').split('.')[0]} is not installed"}
        except LookupError:
            rows[name] = {"missing": "not there"}
    times = timing.in_turns(ready, seconds, least)
    rows = {name: timing.summary(times[name]) if name in times else rows[name] for name in case.makers}
    return {
        "group": case.group,
        "name": case.name,
        "bytes": case.bytes,
        "operations": case.operations,
        "roof_seconds": _roof(case, machine, rows),
        "contestants": rows,
    }


def _roof(case, machine, rows):
    """What bounds the case: a kernel that ran in turns with it, or the limits of the whole run."""
    if roofs := [row["seconds"] for name, row in rows.items() if name.startswith("roof")]:
        return min(roofs)
    if case.dtype:
        threads = usable_threads()
        return roofline.seconds_at_least(machine, case.bytes, case.operations, case.dtype, threads)
    return case.bytes / max(machine["read"].values())


def describe():
    """The machine and the versions that a record names."""
    found = info.info()
    keep = ("fastopt", "numpy", "numba", "python", "machine", "cpu_features", "threads", "backend")
    described = {key: found[key] for key in keep}
    described["cpu"] = _cpu()
    described["memory_gb"] = _memory_gb()
    for package in PEERS:
        described[package] = _peer_version(package)
    return described


def _others_at_work():
    """A note where other processes kept the CPUs busy before the run began."""
    try:
        load = os.getloadavg()[0]
    except (AttributeError, OSError):
        return {}
    if load < 0.5:
        return {}
    return {
        "note": f"Other work kept {load:.1f} CPUs busy in the minute before this run: its figures are doubtful."
    }


def _peer_version(package):
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version({"sklearn": "scikit-learn"}.get(package, package))
    except PackageNotFoundError:
        return "not installed"


def _cpu():
    try:
        with open("/proc/cpuinfo") as file:
            lines = dict(line.split(":", 1) for line in file if ":" in line)
        fields = {key.strip(): value.strip() for key, value in lines.items()}
        return fields.get("model name") or fields.get("Model") or platform.processor()
    except OSError:
        return platform.processor() or platform.machine()


def _memory_gb():
    try:
        return round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1)
    except (AttributeError, ValueError, OSError):
        return None
