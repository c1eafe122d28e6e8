"""Runs in which a worker's process is killed at a random moment: do all end, with the same bits?

    python bench/lost_workers.py [--runs 20] [--seed 0]

lbfgs, newton and local-update SGD by turns, on four processes of a LocalCluster, which Dask starts anew. Before each run it
waits until there are four of them. The answer is 1 where a run ends with other bits, or not at all.
"""

import argparse
import os
import signal
import sys
import tempfile
import threading
import time
import warnings
from pathlib import Path

import numpy as np
from distributed import Client, LocalCluster

import fastopt as fo
from fastopt.distributed import Load

N, FEATURES, CLASSES, PARTS, WORKERS = 200_000, 50, 4, 12, 4
RUNS = {
    "lbfgs": {"solver": "lbfgs", "tol": 1e-7},
    "newton": {"solver": "newton", "tol": 1e-7},
    "local-sgd": {
        "solver": "local-sgd",
        "rule": fo.Adam(0.01),
        "epochs": 4,
        "batch_size": 128,
        "local_steps": 10,
    },
}


def parts_in(folder):
    rng = np.random.default_rng(0)
    X = rng.standard_normal((N, FEATURES), np.float32)
    y = (X @ rng.normal(size=(FEATURES, CLASSES)) + rng.gumbel(size=(N, CLASSES))).argmax(axis=1)
    np.save(folder / "X.npy", X)
    np.save(folder / "y.npy", y)
    cuts = np.linspace(0, N, PARTS + 1).astype(int).tolist()
    return [Load(folder / "X.npy", a, z, y=folder / "y.npy") for a, z in zip(cuts, cuts[1:], strict=False)]


def killed_after(cluster, seconds, rng):
    """A thread that kills one of the workers' processes after so many seconds."""
    pid = int(rng.choice(sorted(nanny.pid for nanny in cluster.workers.values() if nanny.pid)))

    def kill():
        time.sleep(seconds)
        os.kill(pid, signal.SIGKILL)

    thread = threading.Thread(target=kill, daemon=True)
    thread.start()
    return thread


def timed(client, parts, options):
    began = time.perf_counter()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        fit = fo.train(parts, client=client, l2=1e-6, **options)
    return fit, time.perf_counter() - began


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--runs", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    rng, bad, wanted = np.random.default_rng(given.seed), 0, {}
    with (
        tempfile.TemporaryDirectory() as folder,
        LocalCluster(n_workers=WORKERS, threads_per_worker=1, dashboard_address=":0") as cluster,
        Client(cluster) as client,
    ):
        parts = parts_in(Path(folder))
        for name, options in RUNS.items():
            timed(client, parts, options)  # kernels are prepared
            wanted[name] = timed(client, parts, options)
            print(f"{name}: {wanted[name][1]:.2f} s undisturbed", flush=True)
        for run in range(given.runs):
            name = list(RUNS)[run % len(RUNS)]
            client.wait_for_workers(WORKERS, timeout=300)
            whole, usual = wanted[name]
            after = float(rng.uniform(0, usual))
            thread = killed_after(cluster, after, rng)
            fit, seconds = timed(client, parts, RUNS[name])
            thread.join()
            equal = np.array_equal(fit.W, whole.W) and np.array_equal(fit.b, whole.b)
            bad += not equal
            print(
                f"run {run + 1}, {name}: killed after {after:.2f} s, {seconds:.2f} s, same bits: {equal}",
                flush=True,
            )
    print(f"{given.runs - bad} of {given.runs} runs ended with the same bits")
    return int(bad > 0)


if __name__ == "__main__":
    sys.exit(main())
