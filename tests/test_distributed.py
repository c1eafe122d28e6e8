"""Objectives and solvers on Dask's workers: the bits of one machine, whatever happens to a worker."""

import os
import signal
import threading
import time

import numpy as np
import pytest

import fastopt as fo
from fastopt.solvers.solve import solve

distributed = pytest.importorskip("distributed")
array = pytest.importorskip("dask.array")
from fastopt.distributed import DistributedObjective, Load, PartitionError  # noqa: E402
from fastopt.parts import SourceLost  # noqa: E402

N, FEATURES, CLASSES, CHUNK = 4000, 10, 3, 512


def data(classes=CLASSES, seed=3):
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(N, FEATURES))
    return X, (X @ rng.normal(size=(FEATURES, classes)) + rng.gumbel(size=(N, classes))).argmax(axis=1)


def chunked(*arrays):
    return [array.from_array(a, chunks=(CHUNK, *a.shape[1:])) for a in arrays]


@pytest.fixture(scope="module")
def client():
    with (
        distributed.LocalCluster(
            n_workers=3, threads_per_worker=1, processes=False, dashboard_address=":0"
        ) as cluster,
        distributed.Client(cluster) as client,
    ):
        yield client


@pytest.fixture
def parts_as_chunks(monkeypatch):
    """One machine takes the rows in the groups that the chunks are (workers are threads of this process)."""
    from fastopt import parts, rows
    from fastopt.distributed import worker

    for module in (rows, parts, worker):
        monkeypatch.setattr(module, "part_rows", lambda *shape: CHUNK)


def same(a, b):
    for x, z in zip(a, b, strict=True):
        assert (x is None and z is None) or np.array_equal(x, z)


@pytest.mark.parametrize("weighted", [False, True])
def test_values_and_gradients_are_those_of_one_machine(weighted, client, parts_as_chunks):
    X, y = data()
    w = np.random.default_rng(1).uniform(0.5, 2, N) if weighted else None
    mine = fo.Objective(fo.Softmax(), X, y, l2=1e-3, sample_weight=w)
    there = chunked(X, y) + ([] if w is None else chunked(w))
    theirs = DistributedObjective(
        fo.Softmax(), *there[:2], l2=1e-3, sample_weight=there[2] if weighted else None, client=client
    )
    W, b = mine.zeros()
    W += np.arange(W.size).reshape(W.shape) / 100
    assert theirs.weight == pytest.approx(mine.weight, rel=1e-12)
    same(theirs.gradient_sums(W, b)[:3], mine.gradient_sums(W, b)[:3])
    if not weighted:
        same(theirs.value_and_grad(W, b), mine.value_and_grad(W, b))
    np.testing.assert_allclose(
        theirs.hessian_product(W, b, W, b)[0], mine.hessian_product(W, b, W, b)[0], rtol=1e-12
    )
    same([theirs.scores(W, b)], [mine.scores(W, b)])


@pytest.mark.parametrize("solver", ["lbfgs", "newton"])
@pytest.mark.parametrize("loss", [fo.Softmax(), fo.Logistic()], ids=str)
def test_solvers_find_the_bits_of_one_machine(solver, loss, client, parts_as_chunks):
    X, y = data(2 if isinstance(loss, fo.Logistic) else CLASSES)
    mine = solve(fo.Objective(loss, X, y, l2=1e-4), solver)
    theirs = solve(DistributedObjective(loss, *chunked(X, y), l2=1e-4, client=client), solver)
    same(theirs[:2], mine[:2])
    assert theirs.report.converged and theirs.report.reads == mine.report.reads


def test_l1_and_standardize(client, parts_as_chunks):
    X, y = data()
    X[:, 0] *= 100
    options = {"solver": "lbfgs", "penalty": fo.L1(1e-2), "standardize": True, "tol": 1e-6}
    mine, theirs = fo.train(X, y, **options), fo.train(*chunked(X, y), client=client, **options)
    same([theirs.W, theirs.b], [mine.W, mine.b])
    assert theirs.report.solver == "lbfgs" and theirs.predict(X[:5]).shape == (5,)


def test_files_and_frames_give_the_same(client, tmp_path):
    pandas = pytest.importorskip("pandas")
    frames = pytest.importorskip("dask.dataframe")
    X, y = data()
    np.save(tmp_path / "X.npy", X)
    wanted = fo.train(*chunked(X, y), client=client, solver="lbfgs", l2=1e-3)
    ends = [*range(0, N, CHUNK), N]
    for hold in (True, False):
        loads = [Load(tmp_path / "X.npy", a, z, y=y, hold=hold) for a, z in zip(ends, ends[1:], strict=False)]
        fit = fo.train(loads, client=client, solver="lbfgs", l2=1e-3)
        same([fit.W, fit.b], [wanted.W, wanted.b])
    frame = pandas.DataFrame(X, columns=[f"x{j}" for j in range(FEATURES)])
    frame["colour"] = np.array(["red", "green", "blue"])[y]
    fit = fo.train(frames.from_pandas(frame, npartitions=5), "colour", client=client, solver="lbfgs", l2=1e-3)
    assert list(fit.classes) == ["blue", "green", "red"]
    np.testing.assert_allclose(fit.W[[2, 1, 0]], wanted.W, rtol=1e-3, atol=1e-5)
    assert (fit.predict(X[:200]) == frame["colour"][:200]).mean() > 0.6


def test_sparse_uneven_empty_and_one_row_partitions(client):
    from dask.delayed import delayed
    from scipy.sparse import csr_array

    X, y = data()
    X[np.abs(X) < 1] = 0
    cuts = [0, 0, 1, 2, 900, 900, 3999, 4000]
    order = np.argsort(y, kind="stable")  # classes are missing in most partitions
    X, y = X[order], y[order]
    parts = [delayed((csr_array(X[a:z]), y[a:z])) for a, z in zip(cuts, cuts[1:], strict=False)]
    theirs = solve(DistributedObjective(fo.Softmax(), parts, l2=1e-3, client=client), "lbfgs")
    mine = solve(fo.Objective(fo.Softmax(), csr_array(X), y, l2=1e-3), "lbfgs")
    np.testing.assert_allclose(theirs.W, mine.W, atol=1e-5)
    assert theirs.report.converged


def test_regression_and_unknown_chunks(client):
    X, _ = data()
    y = X @ np.arange(FEATURES)
    dX, dy = chunked(X, y)
    keep = dX[:, 0] > -10  # sizes are unknown after a choice of rows
    fit = fo.train(dX[keep], dy[keep], loss=fo.SquaredError(), client=client, solver="lbfgs", tol=1e-6)
    np.testing.assert_allclose(fit.W[0], np.arange(FEATURES), atol=1e-4)


def test_what_is_wrong_is_said(client, tmp_path):
    X, y = data()
    dX, dy = chunked(X, y)
    np.save(tmp_path / "X.npy", X)

    def refused(error, match, *arguments, **options):
        with pytest.raises(error, match=match):
            fo.train(*arguments, client=client, **{"solver": "lbfgs", **options})

    refused(ValueError, "for solvers", dX, dy, solver="sgd")
    refused(ValueError, "the same chunks", dX, dy.rechunk(100))
    refused(TypeError, "dask array", X, y)
    refused(ValueError, "no partitions", [])
    refused(ValueError, "class_weight", dX, dy, class_weight="balanced")
    refused(ValueError, "dual|memory", dX, dy, loss=fo.Hinge(), l2=1.0, solver="auto")
    refused(
        PartitionError, "gone.npy", [Load(tmp_path / "X.npy", 0, 9, y=y), Load(tmp_path / "gone.npy", 0, 5)]
    )
    refused(PartitionError, "4,000 rows", [Load(tmp_path / "X.npy", 0, 5000, y=y)])
    X[777, 3] = np.nan
    refused(PartitionError, "partition 1 .*row 265, column 3", *chunked(X, y))


def killer(client, after):
    """A thread that kills a worker's process after some time."""
    pid = min(client.run(os.getpid).values())

    def kill():
        time.sleep(after)
        os.kill(pid, signal.SIGKILL)

    thread = threading.Thread(target=kill, daemon=True)
    thread.start()
    return thread


@pytest.fixture(scope="module")
def processes():
    with (
        distributed.LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=":0") as cluster,
        distributed.Client(cluster) as client,
    ):
        yield client


@pytest.mark.parametrize("after", [0.05, pytest.param(0.3, marks=pytest.mark.long)])
def test_a_worker_that_is_killed_shows_in_no_bit(after, processes, tmp_path):
    client = processes
    X, y = data()
    np.save(tmp_path / "X.npy", X)
    ends = [*range(0, N, CHUNK), N]
    loads = [Load(tmp_path / "X.npy", a, z, y=y) for a, z in zip(ends, ends[1:], strict=False)]
    objective = DistributedObjective(fo.Softmax(), loads, l2=1e-7, client=client)
    wanted = solve(objective, "lbfgs", tol=1e-9)
    thread = killer(client, after)
    found = solve(objective, "lbfgs", tol=1e-9)
    thread.join()
    again = solve(objective, "lbfgs", tol=1e-9)
    same(found[:2], wanted[:2])
    same(again[:2], wanted[:2])


def test_what_a_slow_worker_holds_is_done_twice_and_counted_once(client, monkeypatch):
    from fastopt.distributed import partitions, worker

    X, y = data()
    addresses = sorted(client.scheduler_info()["workers"])
    place = {i: addresses[i % 3] for i in range(8)}
    parts = [
        client.scatter([(X[a : a + CHUNK], y[a : a + CHUNK])], workers=[place[i]])[0]
        for i, a in enumerate(range(0, N, CHUNK))
    ]
    wanted = solve(DistributedObjective(fo.Softmax(), parts, l2=1e-4, client=client), "lbfgs")
    monkeypatch.setattr(worker, "done", [], raising=False)  # workers are threads of this process

    def run(partitions, *rest, own=worker.run):
        from fastopt.distributed import worker

        address = distributed.get_worker().address
        worker.done.extend((partition.number, address) for partition in partitions)
        if address == addresses[0]:
            time.sleep(4)
        return own(partitions, *rest)

    monkeypatch.setattr(worker, "run", run)
    monkeypatch.setattr(partitions, "LOOK", 0.5)
    objective = DistributedObjective(fo.Softmax(), parts, l2=1e-4, client=client)
    held_by_all = objective.rows.data._by_worker()
    found = solve(objective, "lbfgs")
    same(found[:2], wanted[:2])
    assert addresses[0] in held_by_all and addresses[0] in objective.rows.data._slow
    slow = [number for number, address in worker.done if address == addresses[0]]
    assert slow and all(
        any(address != addresses[0] for number, address in worker.done if number == i) for i in slow
    )


def test_a_scheduler_that_is_gone():
    X, y = data()
    with distributed.LocalCluster(
        n_workers=1, threads_per_worker=1, processes=False, dashboard_address=":0"
    ) as cluster:
        client = distributed.Client(cluster)
        objective = DistributedObjective(fo.Softmax(), *chunked(X, y), l2=1e-6, client=client)

        def close(entry):
            if objective.rows.data.client.status == "running" and entry["reads"] > 3:
                client.close()

        with pytest.raises(SourceLost, match="no answer") as error:
            solve(objective, "lbfgs", callback=close)
        assert error.value.W.shape == (CLASSES, FEATURES) and error.value.W.any()


def test_estimators_take_collections(client):
    pandas = pytest.importorskip("pandas")
    pytest.importorskip("sklearn")
    frames = pytest.importorskip("dask.dataframe")
    X, y = data()
    names = np.array(["red", "green", "blue"])[y]
    dX, dy = chunked(X, names)
    wanted = fo.LinearClassifier(solver="lbfgs").fit(X, names)
    mine = fo.LinearClassifier(solver="lbfgs").fit(dX, dy)
    np.testing.assert_allclose(mine.coef_, wanted.coef_, rtol=1e-4, atol=1e-6)
    lazy = mine.predict(dX), mine.predict_proba(dX)
    assert lazy[0].numblocks == (8,) and lazy[1].shape == (N, CLASSES)
    assert (lazy[0].compute() == mine.predict(X)).all()
    np.testing.assert_array_equal(lazy[1].compute(), mine.predict_proba(X))
    frame = pandas.DataFrame(X, columns=[f"x{j}" for j in range(FEATURES)])
    there = frames.from_pandas(frame.assign(label=y % 2), npartitions=5)
    binary = fo.LinearClassifier("logistic", solver="lbfgs").fit(there, "label")
    assert list(binary.feature_names_in_) == list(frame.columns)
    found = binary.predict(there.drop(columns=["label"]))
    assert (found.compute().to_numpy() == binary.predict(frame)).all()
    line = fo.LinearRegressor(l2=0.0, solver="lbfgs").fit(dX, dX[:, 0] * 2)
    assert abs(line.predict(dX).compute() - 2 * X[:, 0]).max() < 1e-3
    with pytest.raises(ValueError, match="auto"):
        fo.LinearClassifier(solver="dual", loss="hinge").fit(dX, dy)
