"""A file larger than memory: the speed of a pass of gradients beside that at which the file is read alone.

    python bench/outofcore.py --gigabytes 12 [--folder /fast/disk] [--keep]

Makes a float32 .npy file and a Parquet file of rows x 50, then in turns, the page cache dropped for the file before
each: reads it alone (into a buffer, through the page cache and past it, whichever is faster; pyarrow's batches), and
takes a gradient of Logistic over a source. Both in a process of its own with a limit of its data segment; its peak
resident memory is said. At the end: the same bits as in memory, of a part of the file that fits there.
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from functools import partial
from pathlib import Path

import numpy as np

FEATURES, AT_ONCE, BUFFER = 50, 1_000_000, 256 << 20


def make(folder, rows):
    """X.npy, y.npy and X.parquet."""
    import pyarrow as pa
    from pyarrow import parquet

    rng = np.random.default_rng(0)
    weights = rng.normal(size=FEATURES).astype(np.float32)
    names = [f"x{j}" for j in range(FEATURES)]
    X = np.lib.format.open_memmap(folder / "X.npy", "w+", np.float32, (rows, FEATURES))
    y, writer = np.empty(rows, np.int8), None
    for begin in range(0, rows, AT_ONCE):
        block = rng.standard_normal((min(AT_ONCE, rows - begin), FEATURES), np.float32)
        own = (block @ weights + rng.logistic(size=len(block)) > 0).astype(np.int8)
        X[begin : begin + len(block)], y[begin : begin + len(block)] = block, own
        if begin < rows // 4:  # a quarter of the rows for Parquet
            table = pa.table({**dict(zip(names, block.T, strict=True)), "label": own})
            writer = writer or parquet.ParquetWriter(folder / "X.parquet", table.schema, compression="none")
            writer.write_table(table, row_group_size=250_000)
    writer.close()
    del X
    np.save(folder / "y.npy", y)


def drop(path):
    with open(path, "rb") as file:
        os.fsync(file.fileno())
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def timed(function, path):
    drop(path)
    time.sleep(0.1)  # workers of the last call spin for a while
    began = time.perf_counter()
    function()
    return time.perf_counter() - began


def read_npy(path, flags):
    """Into one buffer, by as large calls as there can be: several threads were no faster."""
    memory = np.empty(BUFFER + 4096, np.uint8)
    begin = -memory.ctypes.data % 4096
    memory = memory[begin : begin + BUFFER]
    with open(path, "rb", buffering=0, opener=lambda name, own: os.open(name, own | flags)) as file:
        while file.readinto(memory) == BUFFER:
            pass


def read_npy_at_best(path):
    """Seconds, through the page cache or past it."""
    return min(timed(partial(read_npy, path, flags), path) for flags in (0, getattr(os, "O_DIRECT", 0)))


def read_parquet(path):
    from pyarrow import parquet

    for batch in parquet.ParquetFile(path).iter_batches(1 << 16):
        del batch


def alone(path):
    """Seconds in a process of its own, without a limit: pyarrow keeps memory that it has used."""
    command = [sys.executable, __file__, "--alone", str(path), "--folder", str(path.parent)]
    return float(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout)


def child(folder, memory, rounds):
    import fastopt as fo

    if memory:
        resource.setrlimit(resource.RLIMIT_DATA, (int(memory * 2**30), resource.RLIM_INFINITY))
    result = {}
    for name, y in (("X.npy", folder / "y.npy"), ("X.parquet", None)):
        path = folder / name
        objective = fo.Objective(fo.Logistic(), fo.source(path, y=y), l2=1e-6)
        W, b = objective.zeros()
        objective.value_and_grad(W, b)
        times = [(alone(path), timed(lambda: objective.value_and_grad(W, b), path)) for _ in range(rounds)]  # noqa: B023
        read, passes = np.median(times, axis=0)
        size = path.stat().st_size
        result[name] = {
            "gigabytes": size / 2**30, "alone": size / read / 1e9, "gradient": size / passes / 1e9,
            "ratio": float(np.median([mine / theirs for mine, theirs in times])),
        }  # fmt: skip
    began = time.perf_counter()
    fit = fo.train(
        fo.source(folder / "X.npy", y=folder / "y.npy"), loss=fo.Logistic(), solver="lbfgs", l2=1e-6
    )
    result["lbfgs"] = f"{fit.report} ({time.perf_counter() - began:.1f} s)"
    result["peak"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    print(json.dumps(result))


def same_bits(folder, rows):
    """Of the first rows, as a file and in memory."""
    import fastopt as fo

    X, y = np.load(folder / "X.npy", mmap_mode="r")[:rows], np.load(folder / "y.npy")[:rows]
    np.save(folder / "part.npy", X)
    there = fo.train(fo.source(folder / "part.npy", y=y), loss=fo.Logistic(), solver="lbfgs", l2=1e-6)
    here = fo.train(np.array(X), y, loss=fo.Logistic(), solver="lbfgs", l2=1e-6)
    (folder / "part.npy").unlink()
    return bool(np.array_equal(there.W, here.W) and np.array_equal(there.b, here.b))


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--gigabytes", type=float, default=4)
    parser.add_argument(
        "--memory",
        type=float,
        default=2,
        help="limit of the data segment in gigabytes, 0 for none; allocators reserve more than they use",
    )
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--folder", type=Path, help="where the files are made, and found again with --keep")
    parser.add_argument("--keep", action="store_true")
    parser.add_argument("--alone", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--child", action="store_true", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.alone:
        resource.setrlimit(resource.RLIMIT_DATA, (resource.RLIM_INFINITY,) * 2)
        npy = given.alone.suffix == ".npy"
        return print(
            read_npy_at_best(given.alone) if npy else timed(partial(read_parquet, given.alone), given.alone)
        )
    if given.child:
        return child(given.folder, given.memory, given.rounds)
    with tempfile.TemporaryDirectory(dir=given.folder) as made:
        folder = given.folder if given.keep and given.folder else Path(made)
        if not (folder / "y.npy").exists():
            make(folder, int(given.gigabytes * 2**30 / 4 / FEATURES))
        command = [sys.executable, __file__, "--child", "--folder", str(folder), "--memory", str(given.memory),
                   "--rounds", str(given.rounds)]  # fmt: skip
        found = json.loads(
            subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout.splitlines()[-1]
        )
        for name in ("X.npy", "X.parquet"):
            print("{0}: {gigabytes:.1f} GB; read alone {alone:.2f} GB/s, a gradient of it {gradient:.2f} GB/s: {ratio:.2f}"
                  .format(name, **found[name]))  # fmt: skip
        print(found["lbfgs"])
        print(f"peak resident memory {found['peak']:.2f} GB")
        print("same bits as in memory:", same_bits(folder, min(10_000_000, int(given.gigabytes * 5e6))))


if __name__ == "__main__":
    main()
