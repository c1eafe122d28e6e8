"""A file larger than memory: the speed of a pass of gradients beside that at which the file is read alone.

    python bench/outofcore.py --gigabytes 12 [--folder /fast/disk] [--keep]

Makes a float32 .npy file and a Parquet file of rows x 50, then in turns, the page cache dropped for the file before
each: reads it alone (readinto a buffer; pyarrow's batches), and takes a gradient of Logistic over a source. Both in
a process of its own, in a cgroup of yours or with a limit of its data segment; its peak resident memory is said. At the end: the same bits as in
memory, of a part of the file that fits there.
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
    began = time.perf_counter()
    function()
    return time.perf_counter() - began


def read_npy(path):
    buffer = bytearray(BUFFER)
    with open(path, "rb", buffering=0) as file:
        while file.readinto(buffer):
            pass


def read_parquet(path):
    from pyarrow import parquet

    for batch in parquet.ParquetFile(path).iter_batches(1 << 16):
        del batch


def child(folder, memory, rounds):
    import fastopt as fo

    if memory:
        resource.setrlimit(resource.RLIMIT_DATA, (int(memory * 2**30),) * 2)
    result = {}
    cases = (
        ("npy", fo.source(folder / "X.npy", y=folder / "y.npy"), folder / "X.npy", read_npy),
        ("parquet", fo.source(folder / "X.parquet"), folder / "X.parquet", read_parquet),
    )
    for name, source, path, read in cases:
        objective = fo.Objective(fo.Logistic(), source, l2=1e-6)
        W, b = objective.zeros()
        objective.value_and_grad(W, b)
        times = [
            (timed(partial(read, path), path), timed(partial(objective.value_and_grad, W, b), path))
            for _ in range(rounds)
        ]
        alone, passes = np.median(times, axis=0)
        size = path.stat().st_size
        result[name] = {
            "gigabytes": size / 2**30, "alone": size / alone / 1e9, "gradient": size / passes / 1e9, "ratio": alone / passes,
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
        default=0,
        help="limit of the data segment in gigabytes; allocators reserve more than they use",
    )
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--folder", type=Path, help="where the files are made, and found again with --keep")
    parser.add_argument("--keep", action="store_true")
    parser.add_argument("--child", action="store_true", help=argparse.SUPPRESS)
    given = parser.parse_args()
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
        for name in ("npy", "parquet"):
            print("{0}: {gigabytes:.1f} GB; read alone {alone:.2f} GB/s, a gradient of it {gradient:.2f} GB/s: {ratio:.2f}"
                  .format(name, **found[name]))  # fmt: skip
        print(found["lbfgs"])
        print(f"peak resident memory {found['peak']:.2f} GB")
        print("same bits as in memory:", same_bits(folder, min(10_000_000, int(given.gigabytes * 5e6))))


if __name__ == "__main__":
    main()
