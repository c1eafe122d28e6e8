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


def test_class_weights(client, parts_as_chunks):
    X, y = data()
    y = y[np.argsort(y, kind="stable")]  # most partitions hold one class
    for class_weight in ("balanced", {0: 3.0, 1: 0.0}, [1.0, 2.0, 0.5]):
        of_class = np.array(
            N / (3 * np.bincount(y)) if class_weight == "balanced" else [3, 0, 1] if 0 in class_weight and isinstance(class_weight, dict)
            else class_weight
        )  # fmt: skip
        mine = solve(fo.Objective(fo.Softmax(), X, y, l2=1e-4, sample_weight=of_class[y]), "lbfgs")
        theirs = fo.train(*chunked(X, y), l2=1e-4, client=client, class_weight=class_weight, solver="lbfgs")
        same([theirs.W, theirs.b], mine[:2])
    names = np.array(["red", "green", "blue"])[y]
    wanted = fo.LinearClassifier(solver="lbfgs", class_weight="balanced").fit(X, names)
    mine = fo.LinearClassifier(solver="lbfgs", class_weight="balanced").fit(*chunked(X, names))
    np.testing.assert_allclose(mine.coef_, wanted.coef_, rtol=1e-4, atol=1e-6)


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
    refused(ValueError, "class_weight", dX, dy, loss=fo.SquaredError(), class_weight="balanced")
    refused(ValueError, "names 7", dX, dy, class_weight={7: 1.0})
    refused(ValueError, "weights of all rows are 0", dX, dy, class_weight=[0, 0, 0])
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


@pytest.mark.parametrize("solver", ["lbfgs", "newton"])
def test_recipes_of_scores_travel_once_and_again_where_they_are_lost(solver, client, monkeypatch):
    from fastopt.distributed import worker

    X, y = data()
    objective = DistributedObjective(fo.Softmax(), *chunked(X, y), l2=1e-6, client=client)
    travelled = []

    def made_of(kept):
        return (kept.kind == "scores") + sum(made_of(other) for other in kept.others())

    def light(function, own=worker.light):
        found = own(function)
        travelled.append(sum(made_of(kept) for kept in worker.kept_by(found)))
        return found

    monkeypatch.setattr(worker, "light", light)
    W, b = objective.zeros()
    start = (
        W + np.random.default_rng(1).normal(size=W.shape).astype(W.dtype),
        b,
    )  # so that Newton takes several steps
    wanted = solve(objective, solver, start=start)
    assert wanted.report.iterations > 5 and max(travelled) <= 2 and sum(travelled) <= wanted.report.reads + 2

    def forget(entry):
        client.gather(
            client.map(lambda partition: partition.kept.clear(), objective.rows.data.futures, pure=False)
        )

    same(solve(objective, solver, start=start, callback=forget)[:2], wanted[:2])


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


def naive_local_sgd(parts, classes, H, batch, epochs, lr, momentum, l2, seed):
    """Softmax by SGD with momentum on every part, averaged after H steps: from the definition, in float64."""
    features, n = parts[0][0].shape[1], sum(len(y) for _, y in parts)
    W, b, V, c = (
        np.zeros((classes, features)),
        np.zeros(classes),
        np.zeros((classes, features)),
        np.zeros(classes),
    )
    steps, taken, losses = -(-n // (batch * len(parts))), 0, []
    sequences = [
        np.concatenate(
            [
                np.random.default_rng([seed, e, k, 0]).permutation(len(y))
                for e in range(1 + epochs * steps * batch // len(y))
            ]
        )
        for k, (_, y) in enumerate(parts)
    ]
    for _ in range(epochs):
        done = epoch_loss = 0
        while done < steps:
            count, ends = min(H, steps - done), []
            for (X, y), sequence in zip(parts, sequences, strict=True):
                own, size, sum_of_losses = [a.copy() for a in (W, b, V, c)], min(batch, len(y)), 0.0
                for t in range(taken, taken + count):
                    rows = sequence[t * size : (t + 1) * size]
                    s = X[rows] @ own[0].T + own[1]
                    p = np.exp(s - s.max(axis=1, keepdims=True))
                    p /= p.sum(axis=1, keepdims=True)
                    sum_of_losses += -np.log(p[np.arange(size), y[rows]]).mean() + l2 * (own[0] ** 2).sum()
                    p[np.arange(size), y[rows]] -= 1
                    own[2] = momentum * own[2] + p.T @ X[rows] / size + 2 * l2 * own[0]
                    own[3] = momentum * own[3] + p.mean(axis=0)
                    own[0], own[1] = own[0] - lr * own[2], own[1] - lr * own[3]
                ends.append((len(y) / n, own))
                epoch_loss += len(y) / n * sum_of_losses
            W, b, V, c = (sum(share * own[i] for share, own in ends) for i in range(4))
            taken, done = taken + count, done + count
        losses.append(epoch_loss / steps)
    return W, b, losses


LOCAL = {
    "solver": "local-sgd",
    "rule": fo.Momentum(0.05),
    "epochs": 3,
    "batch_size": 32,
    "l2": 1e-3,
    "seed": 7,
}


def test_local_sgd_is_what_its_definition_says(client):
    X, y = data()
    cuts = [0, 1000, 1010, 2500, N]  # one part is smaller than a batch
    parts = [(X[a:z], y[a:z]) for a, z in zip(cuts, cuts[1:], strict=False)]
    there = [*parts, (X[:0], y[:0])]
    from dask.delayed import delayed

    fit = fo.train([delayed(p) for p in there], client=client, local_steps=7, **LOCAL)
    W, b, losses = naive_local_sgd(parts, CLASSES, 7, 32, 3, 0.05, 0.9, 1e-3, 7)
    np.testing.assert_allclose(fit.W, W, rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(fit.b, b, rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(fit.history["loss_train"], losses, rtol=1e-9)
    assert fit.steps == 3 * -(-N // (32 * 4))


def test_local_sgd_of_one_part_is_sgd(client):
    X, y = data()
    options = LOCAL | {"sampling": "sequential", "batch_size": 40, "rule": fo.Adam(0.01)}
    there = [array.from_array(a, chunks=a.shape) for a in (X, y)]
    fit = fo.train(*there, client=client, local_steps=9, **options)
    alone = fo.train(X, y, **options | {"solver": "sgd"})
    same([fit.W, fit.b], [alone.W, alone.b])


@pytest.mark.parametrize("sampling", ["shuffle", "replacement"])
def test_local_sgd_has_the_same_bits_on_any_workers(sampling, client, tmp_path):
    from dask.delayed import delayed
    from scipy.sparse import csr_array

    X, y = data()
    w = np.random.default_rng(1).uniform(0.5, 2, N)
    one = sorted(client.scheduler_info()["workers"])[:1]
    options = LOCAL | {"sampling": sampling, "local_steps": 5, "client": client}
    for form in (np.asarray, csr_array):
        for rule in (fo.SGD(0.1), fo.Adam(0.01)):
            parts = [
                delayed((form(X[a : a + CHUNK]), y[a : a + CHUNK], w[a : a + CHUNK]))
                for a in range(0, N, CHUNK)
            ]
            placed = [client.compute(part, workers=one) for part in parts]
            fits = [fo.train(p, **options | {"rule": rule, "threads": 1}) for p in (parts, placed)]
            same([fits[0].W, fits[0].b], [fits[1].W, fits[1].b])
            assert fits[0].evaluate(X, y)[1] > 0.6
    path = tmp_path / "run.npz"
    options |= {"validation": (X[:500], y[:500]), "schedule": fo.schedules.Cosine()}
    whole = fo.train(*chunked(X, y), **options)
    assert whole.history["accuracy_validation"][-1] > 0.6
    options["schedule"] = None
    whole = fo.train(*chunked(X, y), **options)
    fo.train(*chunked(X, y), **options | {"epochs": 1}, checkpoint=path)
    again = fo.train(*chunked(X, y), **options, checkpoint=path)
    same([again.W, again.b], [whole.W, whole.b])
    with pytest.raises(ValueError, match="local_steps"):
        fo.train(*chunked(X, y), **options | {"local_steps": 6}, checkpoint=path)


def test_a_worker_that_is_killed_shows_in_no_bit_of_local_sgd(processes, tmp_path):
    X, y = data()
    np.save(tmp_path / "X.npy", X)
    ends = [*range(0, N, CHUNK), N]
    loads = [
        Load(tmp_path / "X.npy", a, z, y=y, hold=i % 2 == 0)
        for i, (a, z) in enumerate(zip(ends, ends[1:], strict=False))
    ]
    options = LOCAL | {"epochs": 12, "local_steps": 4, "client": processes}
    wanted = fo.train(loads, **options)
    thread = killer(processes, 0.2)
    found = fo.train(loads, **options)
    thread.join()
    same([found.W, found.b], [wanted.W, wanted.b])


def test_what_local_sgd_refuses(client):
    X, y = data()
    there = chunked(X, y)
    for options, match in (
        ({"rule": fo.SAM(fo.SGD(0.1))}, "SAM"),
        ({"rule": fo.LARS(0.1)}, "LARS"),
        ({"average": True}, "average"),
        ({"local_steps": 0}, "local_steps"),
        ({"solver": "lbfgs", "local_steps": 5}, "local_steps is for"),
        ({"validation": 0.1}, "validation"),
        ({"penalty": fo.L1(0.1)}, "penalty"),
    ):
        with pytest.raises(ValueError, match=match):
            fo.train(*there, client=client, **LOCAL | options)
    with pytest.raises(ValueError, match="client="):
        fo.train(X, y, solver="local-sgd")
    with pytest.raises(fo.Diverged):
        fo.train(
            *there, client=client, **LOCAL | {"rule": fo.SGD(1e6), "loss": fo.SquaredError(), "epochs": 20}
        )


@pytest.mark.parametrize("kind", ["npy", "zarr", "parquet"])
def test_the_command_line_on_workers(kind, client, tmp_path):
    pytest.importorskip("click")
    from click.testing import CliRunner

    from fastopt.cli import main

    X, y = data()
    path, labels, model = tmp_path / f"X.{kind}", tmp_path / "y.npy", tmp_path / "m.npz"
    np.save(labels, y)
    if kind == "npy":
        np.save(path, X)
    elif kind == "parquet":
        pa, parquet = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
        path.mkdir()
        whole = pa.table({f"x{j}": X[:, j] for j in range(FEATURES)} | {"label": y})
        for i in range(0, N, 1500):
            parquet.write_table(whole.slice(i, 1500), path / f"{i}.parquet")
    else:
        zarr = pytest.importorskip("zarr")
        zarr.create_array(store=str(path), shape=X.shape, chunks=(500, FEATURES), dtype=X.dtype)[:] = X

    def run(*options):
        of_labels = ["--target", "label"] if kind == "parquet" else ["--labels", labels]
        given = ["train", path, *of_labels, "--scheduler", client.scheduler.address, *options, "--out", model]
        result = CliRunner().invoke(main, [*map(str, given)])
        return result.exit_code, result.output

    code, text = run("--solver", "lbfgs", "--l2", 1e-3)
    assert code == 0, text
    wanted = fo.train(X, y, solver="lbfgs", l2=1e-3)
    if kind == "parquet":  # three partitions
        np.testing.assert_allclose(fo.Fit.load(model).W, wanted.W, rtol=1e-3, atol=1e-5)
        return
    same([fo.Fit.load(model).W], [wanted.W])
    code, text = run("--solver", "local-sgd", "--local-steps", 5, "--epochs", 3, "--lr", 0.1, "--json")
    assert code == 0 and '"solver": "local-sgd"' in text, text
    options = {"rule": fo.Momentum(0.1), "epochs": 3, "schedule": fo.schedules.Cosine(), "local_steps": 5}
    there = [Load(path, 0, N, y=labels)]
    same([fo.Fit.load(model).W], [fo.train(there, solver="local-sgd", client=client, **options).W])
    code, text = run("--solver", "sgd")
    assert code != 0 and "local-sgd" in text


@pytest.mark.parametrize("solver", ["lbfgs", "newton"])
@pytest.mark.parametrize("intercept", [False, True])
def test_large_gradients_are_added_on_workers_with_the_same_bits(
    solver, intercept, client, parts_as_chunks, monkeypatch
):
    from fastopt.distributed import adding

    X, y = data()
    options = {"l2": 1e-4, "fit_intercept": intercept}
    mine = solve(fo.Objective(fo.Softmax(), X, y, **options), solver, max_iter=8)
    monkeypatch.setattr(adding, "ON_WORKERS", 0)
    objective, gathered = DistributedObjective(fo.Softmax(), *chunked(X, y), client=client, **options), []

    def counted(futures, *rest, gather=client.gather):
        found = gather(futures, *rest)
        gathered.append(found)
        return found

    monkeypatch.setattr(client, "gather", counted)
    W, b = objective.zeros()
    objective.value_and_grad(W, b)
    (sums,) = gathered
    assert len(sums) == 3 and sum(dW.size for _, dW, _ in sums) == W.size  # of eight partitions one gradient
    same(solve(objective, solver, max_iter=8)[:2], mine[:2])


def test_short_calls_go_past_the_scheduler_and_what_goes_wrong_there_is_asked_as_tasks(client, monkeypatch):
    from fastopt.distributed import direct

    X, y = data()
    ways = []

    def counted(self, *given, call=direct.Direct.__call__):
        found = call(self, *given)
        ways.append("tasks" if found is None else "direct")
        return found

    monkeypatch.setattr(direct.Direct, "__call__", counted)
    found = {}
    for how in ("tasks", "direct", "late", "lost"):
        ways.clear()
        monkeypatch.setattr(direct, "SHORT", -1.0 if how == "tasks" else 1e9)
        monkeypatch.setattr(direct, "LIMIT", 1e-6 if how == "late" else 30.0)
        objective = DistributedObjective(fo.Softmax(), *chunked(X, y), l2=1e-4, client=client)
        objective.value_and_grad(*objective.zeros())
        assert ways == ["tasks"]  # nothing is known of its length yet
        if how == "lost":
            monkeypatch.setattr(direct, "here", _of_nobody)
        found[how] = solve(objective, "lbfgs", max_iter=10)
        assert set(ways[1:]) >= ({"direct"} if how == "direct" else {"tasks"})
        if how in ("late", "lost"):
            assert "direct" not in ways and objective.rows.data._direct._is_given_up
        same(found[how][:2], found["tasks"][:2])


async def _of_nobody(shared, keys, dask_worker):
    raise OSError("no way to this worker")
