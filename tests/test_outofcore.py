"""Sources: the bits of rows in memory, whatever the pieces in which the rows come."""

import errno
import os

import numpy as np
import pytest

import fastopt as fo
from fastopt import rows as rows_module
from fastopt.outofcore import disk
from fastopt.parts import ahead
from fastopt.readers.sources import ReadError
from fastopt.regroup import regrouped
from fastopt.solvers.solve import solve

BACKENDS = ("numba", "c", "numpy")
N, FEATURES, CLASSES = 6000, 12, 3


@pytest.fixture(autouse=True)
def small_parts(monkeypatch):
    monkeypatch.setattr(rows_module, "PART_BYTES", 1 << 16)  # 1,024 rows of float32, 512 of float64
    monkeypatch.setattr(rows_module, "SPARSE_PART_ROWS", 1024)


def data(dtype=np.float32, classes=CLASSES, n=N):
    rng = np.random.default_rng(3)
    X = rng.normal(size=(n, FEATURES)).astype(dtype)
    if dtype == np.uint8:
        X = rng.integers(0, 256, (n, FEATURES)).astype(np.uint8)
    y = (X @ rng.normal(size=(FEATURES, classes)) + rng.gumbel(size=(n, classes))).argmax(axis=1)
    return X, y


def sparse_data():
    scipy_sparse = pytest.importorskip("scipy.sparse")
    X, y = data()
    return scipy_sparse.csr_array(np.where(np.abs(X) > 1.2, X, 0)), y


def sources(X, y, tmp_path, weight=None):
    """The same rows from everywhere, in pieces of odd sizes."""
    np.save(tmp_path / "X.npy", X)
    np.save(tmp_path / "y.npy", y)
    step = 777

    def pieces():
        for i in range(0, len(y), step):
            part = slice(i, i + step)
            yield (X[part], y[part]) if weight is None else (X[part], y[part], weight[part])

    def cut(begin, end):
        return fo.source(X[begin:end], y[begin:end], weight=None if weight is None else weight[begin:end])

    yield fo.source(tmp_path / "X.npy", y=tmp_path / "y.npy", weight=weight)
    yield fo.source(str(tmp_path / "X.npy"), y=y, weight=weight, in_flight=1)
    yield fo.source(pieces)
    yield fo.source([cut(0, 11), cut(11, 3000), cut(3000, len(y))])


def same(a, b):
    for x, z in zip(a, b, strict=True):
        assert (x is None and z is None) or np.array_equal(x, z)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.uint8])
def test_an_objective_of_a_source_has_the_bits_of_one_in_memory(backend, dtype, need, tmp_path):
    need(backend)
    X, y = data(dtype)
    weight = np.random.default_rng(5).uniform(0.5, 2, N)
    mine = fo.Objective(fo.Softmax(), X, y, l2=1e-3, sample_weight=weight, backend=backend)
    W, b = mine.zeros()
    W += np.arange(W.size, dtype=W.dtype).reshape(W.shape) / 100
    wanted, product = mine.value_and_grad(W, b), mine.hessian_product(W, b, W, b)
    for source in sources(X, y, tmp_path, weight):
        found = fo.Objective(fo.Softmax(), source, l2=1e-3, backend=backend)
        same(found.value_and_grad(W, b), wanted)
        same(found.hessian_product(W, b, W, b), product)
        same([found.scores(W, b)], [mine.scores(W, b)])
        same(found.gradient_sums(W, b), mine.gradient_sums(W, b))


def test_sums_of_parts_are_those_of_a_plain_formula(tmp_path):
    X, y = data(np.float64)
    objective = fo.Objective(fo.Softmax(), fo.source(X, y), l2=0.1)
    W = np.random.default_rng(1).normal(size=(CLASSES, FEATURES))
    b = np.array([0.1, -0.2, 0.3])
    s = X @ W.T + b
    p = np.exp(s - s.max(axis=1, keepdims=True))
    p /= p.sum(axis=1, keepdims=True)
    value, dW, db = objective.value_and_grad(W, b)
    assert value == pytest.approx(-np.log(p[np.arange(N), y]).mean() + 0.1 * (W**2).sum(), rel=1e-12)
    p[np.arange(N), y] -= 1
    np.testing.assert_allclose(dW, p.T @ X / N + 0.2 * W, rtol=1e-10, atol=1e-14)
    np.testing.assert_allclose(db, p.mean(axis=0), rtol=1e-10, atol=1e-14)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("solver", ["lbfgs", "newton", "auto"])
def test_a_solver_finds_the_same_bits(backend, solver, need, tmp_path):
    need(backend)
    X, y = data(np.float64, classes=2)
    wanted = solve(fo.Objective(fo.Logistic(), X, y, l2=1e-4, backend=backend), solver)
    for source in sources(X, y, tmp_path):
        found = solve(fo.Objective(fo.Logistic(), source, l2=1e-4, backend=backend), solver)
        same(found[:2], wanted[:2])
        assert found.report.converged and found.report.reads == wanted.report.reads


def test_kept_scores_may_lie_in_a_file(monkeypatch):
    from fastopt import parts

    X, y = data()
    wanted = solve(fo.Objective(fo.Softmax(), X, y, l2=1e-4), "lbfgs")
    monkeypatch.setattr(parts, "KEPT_BYTES", 10_000)
    same(solve(fo.Objective(fo.Softmax(), fo.source(X, y), l2=1e-4), "lbfgs")[:2], wanted[:2])


def test_sparse_rows_from_a_source(tmp_path):
    X, y = sparse_data()
    mine = fo.Objective(fo.Softmax(), X, y, l2=1e-4)
    found = fo.Objective(
        fo.Softmax(), fo.source([fo.source(X[:100], y[:100]), fo.source(X[100:], y[100:])]), l2=1e-4
    )
    W, b = mine.zeros()
    W += 0.1
    same(found.value_and_grad(W, b), mine.value_and_grad(W, b))
    same(solve(found, "lbfgs")[:2], solve(mine, "lbfgs")[:2])


@pytest.mark.parametrize("solver", ["lbfgs", "auto"])
def test_l1_and_standardize(solver):
    X, y = data(np.float64)
    X[:, 0] *= 100
    options = {"solver": "lbfgs", "penalty": fo.L1(1e-2), "standardize": True, "tol": 1e-6}
    same_as = fo.train(X, y, **options)
    found = fo.train(fo.source(X, y), **options | {"solver": solver})
    same([found.W, found.b], [same_as.W, same_as.b])


@pytest.mark.parametrize("sampling", ["sequential", "shuffle"])
def test_epochs_over_a_source(sampling, tmp_path):
    X, y = data()
    memory = fo.train(X, y, epochs=3, sampling=sampling, batch_size=50)
    fits = [
        fo.train(source, epochs=3, sampling=sampling, batch_size=50) for source in sources(X, y, tmp_path)
    ]
    for fit in fits:
        if sampling == "sequential":
            np.testing.assert_allclose(fit.W, memory.W, rtol=1e-4, atol=1e-5)
        assert abs(fit.evaluate(X, y)[1] - memory.evaluate(X, y)[1]) < 0.02
        assert fit.steps == memory.steps
    again = fo.train(
        fo.source(tmp_path / "X.npy", y=y), epochs=3, sampling=sampling, batch_size=50, threads=2
    )
    same([again.W, again.b], [fits[0].W, fits[0].b])


def test_an_epoch_takes_every_row_once(tmp_path):
    X, y = data()
    np.save(tmp_path / "X.npy", X)
    for source in (
        fo.source(tmp_path / "X.npy", y=y),
        fo.source([fo.source(X[:999], y[:999]), fo.source(X[999:], y[999:])]),
    ):
        rng = np.random.default_rng(0)
        seen = []
        for rows, numbers, _ in source.shuffled(100, rng):
            np.testing.assert_array_equal(rows, X[numbers])
            seen.append(numbers.copy())
        assert sorted(np.concatenate(seen)) == list(range(N))
        assert not np.array_equal(np.concatenate(seen), np.arange(N))


def test_options_of_a_run_over_a_source(tmp_path):
    X, y = data()
    source, held = fo.source(X, y), fo.source(X[:2000], y[:2000])
    options = {"batch_size": 64, "class_weight": "balanced", "average": True, "rule": fo.Adam(0.01)}
    whole = fo.train(source, epochs=4, validation=held, **options)
    assert whole.history["accuracy_validation"][-1] > 0.6
    np.testing.assert_allclose(whole.evaluate(held), whole.evaluate(X[:2000], y[:2000]), rtol=1e-12)
    path = tmp_path / "run.npz"
    fo.train(source, epochs=2, validation=held, checkpoint=path, schedule=None, **options)
    resumed = fo.train(source, epochs=4, validation=held, checkpoint=path, schedule=None, **options)
    same([resumed.W, resumed.b], [whole.W, whole.b])


def test_tables_and_text(tmp_path):
    pa = pytest.importorskip("pyarrow")
    from pyarrow import csv, parquet

    X, y = data()
    names = np.array(["red", "green", "blue"])[y]
    columns = {f"x{j}": X[:, j] for j in range(FEATURES)}
    parquet.write_table(pa.table(columns | {"colour": names}), tmp_path / "t.parquet", row_group_size=700)
    csv.write_csv(pa.table(columns | {"colour": names}), tmp_path / "t.csv")
    number = np.searchsorted(np.unique(names), names)
    wanted = fo.train(X, number, solver="lbfgs", l2=1e-3)
    for name in ("t.parquet", "t.csv"):
        fit = fo.train(fo.source(tmp_path / name, target="colour"), solver="lbfgs", l2=1e-3)
        assert list(fit.classes) == ["blue", "green", "red"]
        if name == "t.parquet":
            same([fit.W, fit.b], [wanted.W, wanted.b])
        np.testing.assert_allclose(fit.W, wanted.W, atol=1e-4)
    epochs = fo.train(fo.source(tmp_path / "t.parquet", target="colour"), epochs=3)
    assert epochs.evaluate(X, number)[1] > 0.6


def test_a_table_with_categories_and_missing_values(tmp_path):
    pytest.importorskip("pyarrow")
    lines = ["kind,size,price"] + [
        f"{'abc'[i % 3]},{'' if i % 7 == 0 else i % 5},{i % 3 + i % 5}" for i in range(4000)
    ]
    (tmp_path / "t.csv").write_text("\n".join(lines) + "\n")
    with pytest.raises(ReadError, match="'size' has no value"):
        fo.source(tmp_path / "t.csv", target="price")
    source = fo.source(tmp_path / "t.csv", target="price", missing="mean", standardize=True)
    fit = fo.train(source, loss=fo.SquaredError(), solver="lbfgs", l2=1e-6)
    assert fit.W.shape == (1, 4) and fit.report.objective < 1


def test_files_of_one_table(tmp_path):
    pa = pytest.importorskip("pyarrow")
    from pyarrow import csv, parquet

    X, y = data()
    whole = pa.table({f"x{j}": X[:, j] for j in range(FEATURES)} | {"label": y})
    folder = tmp_path / "folder"
    folder.mkdir()
    for i, begin in enumerate(range(0, N, 2500)):
        parquet.write_table(whole.slice(begin, 2500), folder / f"part-{i}.parquet")
    (folder / "_SUCCESS").write_text("")
    wanted = fo.train(X, y, solver="lbfgs", l2=1e-3)
    for given in (folder, sorted(map(str, folder.glob("*.parquet")))):
        fit = fo.train(fo.source(given, target="label"), solver="lbfgs", l2=1e-3)
        same([fit.W, fit.b], [wanted.W, wanted.b])
    assert fo.train(fo.source(folder, target="label"), epochs=3).evaluate(X, y)[1] > 0.6
    # categories that only one of the files has, and values that only one lacks
    kinds = np.array(["a", "b", "c", "d"])[np.arange(N) // 2000 + (np.arange(N) % 2)]
    mixed = pa.table({"kind": kinds, "size": np.where(np.arange(N) % 7, X[:, 0], np.nan), "label": y})
    csv.write_csv(mixed, tmp_path / "whole.csv")
    for i, begin in enumerate(range(0, N, 3000)):
        csv.write_csv(mixed.slice(begin, 3000), tmp_path / f"part-{i}.csv")
    options = {"target": "label", "missing": "mean", "standardize": True}
    one = fo.train(fo.source(tmp_path / "whole.csv", **options), solver="lbfgs", l2=1e-3)
    two = fo.train(
        fo.source([tmp_path / f"part-{i}.csv" for i in range(2)], **options), solver="lbfgs", l2=1e-3
    )
    assert one.W.shape == (CLASSES, 5)
    same([two.W, two.b], [one.W, one.b])
    csv.write_csv(mixed.drop_columns(["size"]), tmp_path / "other.csv")
    refused(
        lambda: fo.source([tmp_path / "whole.csv", tmp_path / "other.csv"]), ReadError, "other columns.*size"
    )
    parquet.write_table(
        whole.select([*whole.column_names[1::-1], *whole.column_names[2:]]), folder / "z.parquet"
    )
    refused(lambda: fo.source(folder, target="label"), ValueError, "another order")


def test_new_rows_become_features_as_the_first_did_and_need_no_labels(tmp_path):
    pandas = pytest.importorskip("pandas")
    pytest.importorskip("sklearn")
    X, y = data(np.float64)
    table = pandas.DataFrame(X, columns=[f"x{j}" for j in range(FEATURES)])
    kinds = np.array(["u", "v", "w"])[np.arange(N) % 3]
    for name, columns in {
        "plain.parquet": {},
        "plain.csv": {},
        "kinds.csv": {"kind": kinds},
        "kinds.parquet": {"kind": kinds},
    }.items():
        whole, path = table.assign(**columns), tmp_path / name
        new = whole.iloc[-99:] if "kinds" not in name else whole[whole["kind"] != "v"]
        save = "to_csv" if name.endswith("csv") else "to_parquet"
        getattr(whole.assign(label=y), save)(path, index=False)
        getattr(new, save)(tmp_path / f"new-{name}", index=False)
        source = fo.source(path, target="label")
        model = fo.LinearClassifier(solver="lbfgs").fit(source)
        found = fo.source(tmp_path / f"new-{name}", like=source)
        same([model.predict_proba(found)], [model.predict_proba(source)[new.index]])
        assert model.score(found, y[new.index]) == pytest.approx(
            (model.predict(source) == y)[new.index].mean()
        )
        refused(lambda found=found, model=model: model.score(found), ValueError, "has no labels: pass y")
        assert model.score(fo.source(path, like=source)) == model.score(source)
    refused(
        lambda: fo.source(tmp_path / "plain.csv", like=fo.source(X, y)),
        ValueError,
        "like= is a source of tables",
    )
    refused(lambda: fo.source(tmp_path / "plain.csv", like=source), ReadError, "no column 'kind'")
    refused(lambda: fo.source(path, like=source, target="label"), ValueError, "target and like=")
    refused(lambda: fo.source(X, like=source), TypeError, "path of a table")


def test_svmlight(tmp_path):
    datasets = pytest.importorskip("sklearn.datasets")
    X, y = sparse_data()
    datasets.dump_svmlight_file(X, 2 * (y > 0) - 1, str(tmp_path / "t.svm"), zero_based=False)
    fit = fo.train(fo.source(tmp_path / "t.svm"), loss=fo.Logistic(), solver="lbfgs", l2=1e-3)
    assert list(fit.classes) == [-1, 1] and fit.report.converged
    wanted = fo.train(X, (y > 0).astype(int), loss=fo.Logistic(), solver="lbfgs", l2=1e-3)
    np.testing.assert_allclose(fit.W, wanted.W, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("chunks", [(1000, 5), (64, FEATURES)])
def test_zarr(chunks, tmp_path):
    zarr = pytest.importorskip("zarr")
    X, y = data()
    path = tmp_path / "X.zarr"
    array = zarr.create_array(store=str(path), shape=X.shape, chunks=chunks, dtype=X.dtype)
    array[:] = X
    wanted = fo.train(X, y, solver="lbfgs", l2=1e-3)
    for source in (fo.source(path, y=y), fo.source(array, y=y), fo.source([fo.source(path, y=y)])):
        fit = fo.train(source, solver="lbfgs", l2=1e-3)
        same([fit.W, fit.b], [wanted.W, wanted.b])
    source, seen = fo.source(path, y=y), np.zeros_like(X)
    for rows, numbers, _ in source.shuffled(100, np.random.default_rng(0)):
        assert numbers[0] % chunks[0] == 0
        seen[numbers] += rows
    same([seen, *(piece[0] for piece in source.between(1001, 1003))], [X, X[1001:1003]])
    assert fo.train(source, epochs=3).evaluate(X, y)[1] > 0.6
    group = zarr.open_group(str(tmp_path / "group.zarr"))
    group.create_array("X", shape=X.shape, chunks=chunks, dtype=X.dtype)[:] = X
    same(fo.train(fo.source(tmp_path / "group.zarr" / "X", y=y), solver="lbfgs", l2=1e-3).W, wanted.W)
    refused(
        lambda: fo.source(tmp_path / "group.zarr", y=y), ReadError, "group of arrays: name one of them .X."
    )
    refused(lambda: fo.source(tmp_path / "none.zarr", y=y), ReadError, "none.zarr")
    group.create_array("i", shape=X.shape, chunks=chunks, dtype=np.int32)
    refused(lambda: fo.source(tmp_path / "group.zarr" / "i", y=y), ReadError, "int32")
    chunk = next(p for p in (path / "c" / "0").rglob("*") if p.is_file())
    chunk.write_bytes(b"damaged")
    refused(lambda: fo.train(fo.source(path, y=y), solver="lbfgs"), ReadError, "X.zarr, rows 0 to 1,024")


@pytest.mark.parametrize("loss", [fo.Softmax(), fo.Logistic()], ids=str)
def test_soft_labels_of_a_source(loss, tmp_path):
    X, y = data()
    shares = np.eye(CLASSES)[y] * 0.9 + 0.1 / CLASSES
    wanted = fo.train(X, shares, loss, solver="lbfgs", l2=1e-3)
    for source in sources(X, shares, tmp_path):
        fit = fo.train(source, loss=loss, solver="lbfgs", l2=1e-3)
        same([fit.W, fit.b], [wanted.W, wanted.b])
    epochs = fo.train(source, loss=loss, epochs=2, sampling="sequential", batch_size=64)
    np.testing.assert_allclose(
        epochs.W,
        fo.train(X, shares, loss, epochs=2, sampling="sequential", batch_size=64).W,
        rtol=1e-4,
        atol=1e-6,
    )
    refused(lambda: fo.train(fo.source(X, 2 * shares), loss=loss, solver="lbfgs"), ValueError, "shares|sums")
    refused(lambda: fo.train(fo.source(X, y=shares[:, :1].ravel()[:9]), loss=loss), ValueError, "9 entries")
    refused(lambda: fo.train(fo.source(X, shares), loss=fo.Hinge(), solver="lbfgs"), ValueError, "shape")


def test_estimators_are_fitted_to_sources(tmp_path):
    pytest.importorskip("sklearn")
    X, y = data(np.float64)
    names = np.array(["red", "green", "blue"])[y]
    numbers = np.searchsorted(["blue", "green", "red"], names)
    weight = np.random.default_rng(5).uniform(0.5, 2, N)
    for options in (
        {"solver": "lbfgs"},
        {"solver": "newton", "standardize": True},
        {"class_weight": "balanced"},
        {"class_weight": {"red": 5.0}, "l1": 1e-3, "solver": "lbfgs"},
        {"loss": "logistic", "fit_intercept": False},
    ):
        wanted = fo.LinearClassifier(**options).fit(X, names, weight)
        for source in [*sources(X, names, tmp_path, weight)][:1] + [
            fo.source(X, numbers, weight=weight, classes=["blue", "green", "red"])
        ]:
            mine = fo.LinearClassifier(**options).fit(source)
            assert list(mine.classes_) == list(wanted.classes_) and mine.n_features_in_ == FEATURES
            if "class_weight" in options:  # the mean weight of all rows is rounded otherwise
                np.testing.assert_allclose(mine.coef_, wanted.coef_, rtol=1e-5, atol=1e-7)
            else:
                same([mine.coef_, mine.intercept_], [wanted.coef_, wanted.intercept_])
            same([mine.predict(source), mine.predict_proba(source)], [mine.predict(X), mine.predict_proba(X)])
            assert mine.score(source) == pytest.approx(mine.score(X, names, weight))
    assert mine.score(fo.source(X), names) == mine.score(X, names)
    line = fo.LinearRegressor(l2=0.0).fit(fo.source(X, 2 * X[:, 0] + 1))
    np.testing.assert_allclose(line.predict(fo.source(X)), 2 * X[:, 0] + 1, atol=1e-6)
    assert line.score(fo.source(X, 2 * X[:, 0] + 1)) == pytest.approx(1)


def test_estimators_take_epochs_over_sources(tmp_path):
    pytest.importorskip("sklearn")
    X, y = data()
    X[:, 0] *= 30
    sparse, _ = sparse_data()
    for rows, options in (
        (X, {"standardize": True}),
        (X, {"standardize": True, "l1": 1e-3}),
        (X, {"standardize": True, "fit_intercept": False, "average": True}),
        (sparse, {"standardize": True}),
    ):
        options |= {"solver": "sgd", "epochs": 4, "random_state": 0}
        wanted = fo.LinearClassifier(**options).fit(rows, y).score(rows, y)
        mine = fo.LinearClassifier(**options).fit(fo.source(rows, y))
        assert mine.score(rows, y) > wanted - 0.02 > 0.5
        again = fo.LinearClassifier(**options, n_threads=1).fit(fo.source(rows, y))
        same([mine.coef_], [again.coef_])
    warm = fo.LinearClassifier(solver="lbfgs", warm_start=True).fit(fo.source(X, y))
    assert warm.fit(fo.source(X, y)).n_iter_ <= 3
    for make, match in (
        (lambda: fo.LinearClassifier(early_stopping=True).fit(fo.source(X, y)), "early_stopping"),
        (lambda: fo.LinearClassifier().fit(fo.source(X, 0 * y)), "one class only"),
        (lambda: fo.LinearClassifier().fit(fo.source(X, X[:, 1])), "continuous"),
        (lambda: fo.LinearClassifier("hinge", solver="dual").fit(fo.source(X, y)), "memory"),
        (lambda: fo.LinearClassifier(class_weight={7: 1}).fit(fo.source(X, y)), "names 7"),
        (lambda: fo.LinearRegressor("poisson").fit(fo.source(X, X[:, 0])), "counts"),
    ):
        refused(make, ValueError, match)
    refused(
        lambda: fo.LinearClassifier().partial_fit(fo.source(X, y), None, [0, 1]), TypeError, "partial_fit"
    )


def test_estimators_take_bytes_of_a_source_as_they_are():
    pytest.importorskip("sklearn")
    X, y = data(np.uint8)
    for scale, l2 in ((None, 1e-4), (1 / 255, 1e-4)):
        given = X if scale is None else (X * np.float32(scale))
        wanted = fo.LinearClassifier(solver="lbfgs", l2=l2, tol=1e-6).fit(given, y)
        mine = fo.LinearClassifier(solver="lbfgs", l2=l2, tol=1e-6).fit(fo.source(X, y, scale=scale))
        np.testing.assert_allclose(mine.coef_, wanted.coef_ * (scale or 1), rtol=1e-3, atol=1e-6)
        assert (mine.predict(X) == wanted.predict(given)).mean() > 0.999
    small = fo.train(fo.source(X[:300], y[:300]), scale=0.5, epochs=1)  # one part
    same([small.W], [fo.train(X[:300], y[:300], scale=0.5, epochs=1).W])


def test_a_small_source_is_read_once():
    X, y = data(n=300)
    reads = []

    def pieces():
        reads.append(1)
        yield X, y

    same([fo.train(fo.source(pieces), epochs=5).W],
         [fo.train(X, y, epochs=5).W])  # fmt: skip
    assert len(reads) == 3  # to know its shape, its labels, its rows


def refused(make, error, match):
    with pytest.raises(error, match=match):
        make()


def test_refusals(tmp_path):
    X, y = data()
    np.save(tmp_path / "X.npy", X)
    np.save(tmp_path / "F.npy", np.asfortranarray(X))
    np.save(tmp_path / "i.npy", X.astype(np.int32))
    whole = (tmp_path / "X.npy").read_bytes()
    (tmp_path / "cut.npy").write_bytes(whole[: len(whole) // 2])
    source = fo.source(X, y)
    refused(lambda: fo.source(tmp_path / "none.npy"), ReadError, "none.npy")
    refused(lambda: fo.source(tmp_path / "F.npy"), ReadError, "by columns")
    refused(lambda: fo.source(tmp_path / "i.npy"), ReadError, "int32")
    refused(lambda: fo.source(tmp_path / "cut.npy"), ReadError, "cut off")
    refused(lambda: fo.source(tmp_path / "X.npy", y=y[:-1]), ValueError, "y has 5,999 entries")
    refused(lambda: fo.source(tmp_path / "X.npy", y=y, target="a"), ValueError, "target is for tables")
    refused(lambda: fo.source([]), ValueError, "empty list")
    refused(lambda: fo.source(lambda: iter([])), ValueError, "no rows")
    refused(lambda: fo.source([source, fo.source(X[:, 1:], y)]), ValueError, "11 features")
    refused(lambda: fo.source(X, y, in_flight=0), ValueError, "in_flight")
    refused(lambda: fo.Objective(fo.Softmax(), fo.source(X)), ValueError, "no labels")
    refused(lambda: fo.train(source, solver="dual", loss=fo.SquaredHinge(), l2=1.0), ValueError, "memory")
    refused(lambda: fo.train(source, validation=0.1), ValueError, "no share")
    refused(lambda: fo.train(source, sampling="replacement"), ValueError, "replacement")
    refused(lambda: fo.train(source, batch_size=None), ValueError, "lbfgs")
    X[4321, 3] = np.nan
    for solver in ("lbfgs", "sgd"):
        refused(lambda s=solver: fo.train(fo.source(X, y), solver=s), ValueError, "row 4321, column 3")


def test_a_source_that_changes_between_passes_is_noticed():
    X, y = data()
    lengths = iter([N, N, N - 100, N - 100, N - 100])

    def pieces():
        n = next(lengths)
        yield X[:n], y[:n]

    objective = fo.Objective(fo.Softmax(), fo.source(pieces))
    with pytest.raises(ValueError, match="first pass"):
        objective.value_and_grad(*objective.zeros())


def test_errors_of_a_reader_arrive_and_its_thread_ends():
    import threading

    def items():
        yield 1
        raise OSError("disk gone")

    with pytest.raises(OSError, match="disk gone"):
        list(ahead(items, 2))
    early = ahead(lambda: iter(range(100)), 3)
    next(early)
    early.close()
    assert not [t for t in threading.enumerate() if t.name == "fastopt-reader"]


@pytest.mark.parametrize("size", [1, 3, 7, 100])
def test_regrouped(size):
    rng, X = np.random.default_rng(size), np.arange(60.0).reshape(30, 2)
    cuts = np.sort(rng.integers(0, 31, 6))
    pieces = [X[a:b] for a, b in zip([0, *cuts], [*cuts, 30], strict=True)]
    found = list(regrouped(((p, np.arange(len(p)), None) for p in pieces), size))
    assert all(len(p[0]) == size for p in found[:-1]) and len(found[-1][0]) <= size
    np.testing.assert_array_equal(np.concatenate([p[0] for p in found]), X)


def test_the_command_line_reads_in_parts(tmp_path):
    pa = pytest.importorskip("pyarrow")
    pytest.importorskip("click")
    from click.testing import CliRunner
    from pyarrow import parquet

    from fastopt.cli import main

    def run(*arguments):
        result = CliRunner().invoke(main, [*map(str, arguments)])
        return result.exit_code, result.output

    X, y = data(classes=2)
    names = np.array(["no", "yes"])[y]
    path, model = tmp_path / "t.parquet", tmp_path / "m.npz"
    columns = {f"x{j}": X[:, j] for j in range(FEATURES)}
    parquet.write_table(pa.table(columns | {"label": names}), path, row_group_size=700)
    np.save(tmp_path / "X.npy", X)
    np.save(tmp_path / "y.npy", y)
    for options in (["--solver", "lbfgs"], ["--epochs", 2]):
        code, text = run("train", path, "--in-parts", "--loss", "logistic", *options, "--out", model)
        assert code == 0 and "read part by part" in text, text
        fit = fo.Fit.load(model)
        assert list(fit.classes) == ["no", "yes"] and (fit.predict(X) == names).mean() > 0.6
        code, text = run("predict", model, path, "--json")
        assert code == 0 and '"accuracy"' in text
    code, text = run(
        "train", path, "--in-parts", "--epochs", 2, "--out", model
    )  # two rows, where logistic has one
    assert code == 0 and (fo.Fit.load(model).predict(X) == names).mean() > 0.6, text
    wanted = fo.train(X, y, loss=fo.Logistic(), solver="lbfgs", l2=1e-3)
    code, text = run("train", tmp_path / "X.npy", "--labels", tmp_path / "y.npy", "--in-parts", "--loss", "logistic",
                     "--solver", "lbfgs", "--l2", 1e-3, "--out", model)  # fmt: skip
    assert code == 0, text
    same([fo.Fit.load(model).W], [wanted.W])
    for options, match in (
        (["--early-stopping", 3], "wants the rows in memory"),
        (["--workers", 2], "for a solver"),
        (["--workers", 2, "--scheduler", "tcp://x:1", "--solver", "lbfgs"], "one of them"),
    ):
        code, text = run("train", path, "--in-parts", *options)
        assert code != 0 and match in text, text
    code, text = run("train", tmp_path / "X.npy", "--in-parts")
    assert code != 0 and "--labels" in text


@pytest.mark.parametrize("refuses", ["", "open", "read"])
def test_reading_past_the_page_cache_gives_the_same(refuses, tmp_path, monkeypatch):
    """Also where the file system cannot: some say so when a file is opened, some when it is read."""
    X, y = data()
    np.save(tmp_path / "X.npy", X)
    monkeypatch.setattr(disk, "_memory", lambda: X.nbytes)
    source = fo.source(tmp_path / "X.npy", y=y)
    assert source.past_cache
    flags, direct = [], getattr(os, "O_DIRECT", 0)

    def opened(path, given, own=os.open):
        flags.append(given)
        if refuses == "open" and given & direct:
            raise OSError(errno.EINVAL, "no")
        return own(path, given)

    def refusing(room):
        if flags[-1] & direct:
            raise OSError(errno.EINVAL, "no")
        return memoryview(room)

    monkeypatch.setattr(disk.os, "open", opened)
    if refuses == "read":
        monkeypatch.setattr(disk, "memoryview", refusing, raising=False)
    for size in (1, 513, 4096, N):
        pieces = [(piece[0].copy(), piece[1]) for piece in source.pieces(size)]
        same([np.concatenate([p[0] for p in pieces]), np.concatenate([p[1] for p in pieces])], [X, y])
    same([p[0] for p in source.between(1001, 1003)], [X[1001:1003]])
    got = np.empty_like(X)
    for part, numbers, _ in source.shuffled(700, np.random.default_rng(0)):
        got[numbers] = part
    same([got], [X])
    assert not refuses or not flags[-1] & direct
    os.truncate(tmp_path / "X.npy", 5000)
    with pytest.raises(ReadError, match="became shorter"):
        list(source.pieces(4096))


def test_files_share_the_page_cache(tmp_path, monkeypatch):
    X, y = data()
    for name in "ab":
        np.save(tmp_path / f"{name}.npy", X)
    monkeypatch.setattr(disk, "_memory", lambda: 3 * X.nbytes)
    each = [fo.source(tmp_path / f"{name}.npy", y=y) for name in "ab"]
    assert not any(source.past_cache for source in each)
    fo.source(each)
    assert all(source.past_cache for source in each)


def test_memory_is_what_limits_allow(tmp_path, monkeypatch):
    assert 0 < disk._memory() < 1 << 62
    monkeypatch.setattr(disk, "CGROUP", tmp_path)
    (tmp_path / "memory.max").write_text("max\n")
    assert disk._limits(tmp_path, "some/where", "memory.max") == []
    (tmp_path / "memory.max").write_text("1000000\n")
    (tmp_path / "group").mkdir()
    (tmp_path / "group" / "memory.max").write_text("2000\n")
    assert disk._limits(tmp_path, "group", "memory.max") == [2000, 1000000]


@pytest.mark.parametrize("loss", [fo.Hinge(), fo.SquaredHinge(), fo.CrammerSinger()], ids=str)
def test_kinks_of_rows_in_several_parts(loss, monkeypatch):
    """131,073 sparse rows had no dual ascent: what it asks of passes, parts did not have."""
    X, y = sparse_data()
    X, y = X[:1500].astype(np.float64), y[:1500]
    ends = []
    for rows_of_a_part in (256, 4096):
        monkeypatch.setattr(rows_module, "SPARSE_PART_ROWS", rows_of_a_part)
        report = solve(fo.Objective(loss, X, y, penalty=fo.L2(1e-3)), "dual").report
        assert report.converged
        ends.append(report.objective)
    assert ends[0] == pytest.approx(ends[1], rel=1e-6)
