"""Solvers on 1, 2 and 4 worker processes of a LocalCluster: the same coefficients, time and bytes moved.

    python bench/workers.py [--data FOLDER with a9a and MNIST] [--rows 5000000]

Beside one process, and dask-ml's LogisticRegression where it is installed (two classes: it has no multinomial
model). The overhead of an evaluation is that of one whose computation is nothing: 64 rows a partition, a partition a
worker.
"""

import argparse
import time
from pathlib import Path

import numpy as np

import fastopt as fo


def problems(data, rows):
    rng = np.random.default_rng(0)
    X = rng.standard_normal((rows, 50), np.float32)
    w = rng.normal(size=50).astype(np.float32)
    yield f"made {rows:,} x 50", X, (X @ w + rng.logistic(size=rows) > 0).astype(np.int64), fo.Logistic()
    if data is None:
        return
    from fastopt.readers import open_data

    for name, loss in (("mnist.npz", fo.Softmax()), ("a9a.svm.xz", fo.Logistic())):
        path = next(data.rglob(name), None)
        if path is not None:
            found = open_data(path)
            X, y = found.whole()
            yield name, X, np.unique(y, return_inverse=True)[1], loss


def partitions(client, X, y, workers):
    """Futures of rows that are on the workers already."""
    cuts = np.linspace(0, X.shape[0], 9).astype(int)
    places = [workers[i * len(workers) // 8] for i in range(8)]
    return [
        client.scatter([(X[a:z], y[a:z])], workers=[place])[0]
        for a, z, place in zip(cuts, cuts[1:], places, strict=False)
    ]


def overhead(client, workers):
    """Seconds of an evaluation that computes nothing, the median of 50."""
    from fastopt.distributed import DistributedObjective

    X, y = np.ones((64, 4)), np.arange(64) % 2
    objective = DistributedObjective(
        fo.Logistic(), [client.scatter([(X, y)], workers=[w])[0] for w in workers], client=client
    )
    W, b = objective.zeros()
    objective.value_and_grad(W, b)
    times = []
    for _ in range(50):
        began = time.perf_counter()
        objective.value_and_grad(W, b)
        times.append(time.perf_counter() - began)
    return float(np.median(times))


def dask_ml(client, X, y):
    try:
        from dask_ml.linear_model import LogisticRegression
    except ImportError as error:
        return f"dask-ml: {error}"
    import dask.array as da

    if hasattr(X, "indptr") or len(np.unique(y)) > 2:
        return "dask-ml: no model for it"
    rows = -(-len(X) // 8)
    dX, dy = (da.from_array(a, chunks=(rows, *a.shape[1:])).persist() for a in (X.astype(np.float64), y))
    began = time.perf_counter()
    try:
        LogisticRegression(C=1e4 / len(X), solver="lbfgs").fit(dX, dy)
    except Exception as error:
        return f"dask-ml: {type(error).__name__}: {str(error)[:100]}"
    return f"dask-ml's lbfgs {time.perf_counter() - began:.2f} s"


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path)
    parser.add_argument("--rows", type=int, default=5_000_000)
    given = parser.parse_args()
    from distributed import Client, LocalCluster

    from fastopt.distributed import DistributedObjective
    from fastopt.solvers.solve import solve

    all_problems, reference = list(problems(given.data, given.rows)), {}
    for name, X, y, loss in all_problems:
        for threads in (1, 2):
            objective = fo.Objective(loss, X, y, l2=1e-4, threads=threads)
            objective.value_and_grad(*objective.zeros())
            began = time.perf_counter()
            report = solve(objective, "lbfgs", max_iter=60).report
            print(
                f"{name}: one process, {threads} threads {time.perf_counter() - began:.2f} s, {report.reads} reads"
            )
    for count in (1, 2, 4):
        with (
            LocalCluster(n_workers=count, threads_per_worker=1, dashboard_address=":0") as cluster,
            Client(cluster) as client,
        ):
            workers = list(client.scheduler_info(n_workers=-1)["workers"])
            print(f"{count} workers: overhead of an evaluation {1e3 * overhead(client, workers):.1f} ms")
            for name, X, y, loss in all_problems:
                objective = DistributedObjective(
                    loss, partitions(client, X, y, workers), l2=1e-4, client=client
                )
                W, b = objective.zeros()
                objective.value_and_grad(W, b)
                began = time.perf_counter()
                found = solve(objective, "lbfgs", max_iter=60)
                seconds = time.perf_counter() - began
                size = found.W.nbytes + found.b.nbytes
                moved = found.report.reads * (len(workers) * size + 8 * size)
                same = reference.setdefault(name, found.W) is found.W or np.array_equal(
                    reference[name], found.W
                )
                print(
                    f"  {name}: {seconds:.2f} s, {found.report.reads} reads, some {moved / 1e6:.1f} MB moved; same bits: {same}"
                )
                if count == 4:
                    print(f"  {name}: {dask_ml(client, X, y)}")


if __name__ == "__main__":
    main()
