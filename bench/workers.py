"""Solvers on 1, 2 and 4 worker processes of a LocalCluster: the same coefficients, time and bytes moved.

    python bench/workers.py [--data FOLDER with a9a and MNIST] [--rows 5000000]

Beside one process, and dask-ml's LogisticRegression where it is installed (two classes, rows made dense: it takes no others). Bytes are
counted where Dask writes them to its connections. The overhead of an evaluation is that of one whose computation is nothing: 64 rows a partition, a partition a
worker.
"""

import argparse
import hashlib
import time
import warnings
from pathlib import Path

import numpy as np
from distributed import Client, LocalCluster, wait

import fastopt as fo
from fastopt.distributed import DistributedObjective
from fastopt.solvers.solve import solve

PARTITIONS, L2 = 8, 1e-4


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
    cuts = np.linspace(0, X.shape[0], PARTITIONS + 1).astype(int)
    places = [workers[i * len(workers) // PARTITIONS] for i in range(PARTITIONS)]
    return [
        client.scatter([(X[a:z], y[a:z])], workers=[place])[0]
        for a, z, place in zip(cuts, cuts[1:], places, strict=False)
    ]


def overhead(client, workers):
    """Seconds of an evaluation that computes nothing, the median of 50."""
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


def bandwidths(client, workers, size=256 << 20):
    """Bytes a second from a worker to another one, and to the client: the faster of three."""
    found = []
    for _ in range(3):
        there = client.submit(np.ones, size // 8, workers=workers[:1], pure=False)
        wait(there)
        began = time.perf_counter()
        wait(client.submit(len, there, workers=workers[1:2], pure=False))
        between = time.perf_counter()
        client.gather(there, direct=True)
        found.append((between - began, time.perf_counter() - between))
        del there
    return [size / min(seconds) for seconds in zip(*found, strict=True)]


class Traffic:
    """Bytes that the processes of a cluster wrote to their connections, counted where Dask writes them.

    The client and the scheduler are this process. With what Dask says on its own, such as that a worker is alive.
    """

    def __init__(self, client):
        self.client = client
        _count_writes()
        client.run(_count_writes)

    def __call__(self):
        return _written() + sum(self.client.run(_written).values())


def _count_writes():
    from distributed.comm.tcp import TCP

    if hasattr(TCP, "written"):
        return
    TCP.written, own = 0, TCP.write

    async def write(self, *given, **named):
        size = await own(self, *given, **named)
        TCP.written += size
        return size

    TCP.write = write


def _written():
    from distributed.comm.tcp import TCP

    return TCP.written


def dask_ml(X, y, traffic):
    """What dask-ml's lbfgs takes on the same workers, in words."""
    try:
        from dask_ml.linear_model import LogisticRegression
    except ImportError as error:
        return f"not there ({error})"
    import dask.array as da

    if hasattr(X, "indptr"):
        X = X.toarray()
    if len(np.unique(y)) > 2:
        return "has no multinomial model"
    rows = -(-len(X) // PARTITIONS)
    dX, dy = (da.from_array(a, chunks=(rows, *a.shape[1:])).persist() for a in (X, y))
    wait([dX, dy])
    before, began = traffic(), time.perf_counter()
    try:
        model = LogisticRegression(C=1 / (2 * L2 * len(X)), solver="lbfgs", max_iter=60).fit(dX, dy)
    except Exception as error:
        return f"{type(error).__name__}: {str(error)[:100]}"
    seconds = time.perf_counter() - began
    found = solved(fo.Objective(fo.Logistic(), X, y, l2=L2))[0]
    value = fo.Objective(fo.Logistic(), X, y, l2=L2).value
    own = [
        np.asarray(a, X.dtype).reshape(s.shape)
        for a, s in zip((model.coef_, model.intercept_), found[:2], strict=True)
    ]
    return f"{seconds:.2f} s, {(traffic() - before) / 1e6:.1f} MB; its objective is {value(*own) - value(*found[:2]):+.1e} from this one's"


def solved(objective):
    """(what lbfgs finds, seconds), after two iterations that prepare all."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # MNIST's optimum is farther than so many iterations
        solve(objective, "lbfgs", max_iter=2)
        began = time.perf_counter()
        found = solve(objective, "lbfgs", max_iter=60)
    return found, time.perf_counter() - began


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path)
    parser.add_argument("--rows", type=int, default=5_000_000)
    given = parser.parse_args()
    all_problems, reference = list(problems(given.data, given.rows)), {}
    for name, X, y, loss in all_problems:
        for threads in (1, 2):
            found, seconds = solved(fo.Objective(loss, X, y, l2=L2, threads=threads))
            reads = found.report.reads
            print(f"{name}: one process, {threads} threads {seconds:.2f} s, {reads} reads", flush=True)
    for count in (1, 2, 4):
        with (
            LocalCluster(n_workers=count, threads_per_worker=1, dashboard_address=":0") as cluster,
            Client(cluster) as client,
        ):
            workers = list(client.scheduler_info(n_workers=-1)["workers"])
            traffic = Traffic(client)
            print(
                f"{count} workers: overhead of an evaluation {1e3 * overhead(client, workers):.1f} ms",
                flush=True,
            )
            if count > 1:
                between, back = bandwidths(client, workers)
                print(
                    f"  from worker to worker {between / 1e9:.2f} GB/s, to the client {back / 1e9:.2f} GB/s",
                    flush=True,
                )
            for name, X, y, loss in all_problems:
                given_to = partitions(client, X, y, workers)
                objective = DistributedObjective(loss, given_to, l2=L2, client=client)
                before = traffic()
                found, seconds = solved(objective)
                moved, reads = traffic() - before, found.report.reads
                kept = reference.setdefault(name, found)
                equal = np.array_equal(found.W, kept.W) and np.array_equal(found.b, kept.b)
                digest = hashlib.sha256(found.W.tobytes() + found.b.tobytes()).hexdigest()[:12]
                print(
                    f"  {name}: {seconds:.2f} s, {reads} reads, {moved / 1e6:.2f} MB moved ({moved / 1e3 / (reads + 1):.1f} KB a read); "
                    f"coefficients {digest}, equal to those of 1 worker: {equal}",
                    flush=True,
                )
                del objective, given_to
                if count == 4:
                    print(f"  {name}, dask-ml on 4 workers: {dask_ml(X, y, traffic)}", flush=True)


if __name__ == "__main__":
    main()
