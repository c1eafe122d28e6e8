"""What data may be, how it becomes partitions on workers, and one call of all of them."""

import itertools
import os
import time
from functools import partial

import numpy as np

from fastopt import losses
from fastopt.arrays import FLOATS
from fastopt.distributed import worker
from fastopt.distributed.worker import Partition, PartitionError
from fastopt.fit import class_numbers
from fastopt.outofcore import source as open_source
from fastopt.parts import SourceLost
from fastopt.regroup import together
from fastopt.rows import check_all_finite, checked_matrix, checked_rows, checked_scale

__all__ = ["Data", "Load", "PartitionError"]

ASK_AGAIN = 2.0  # seconds after which the scheduler is asked again who holds what: it takes some 5 ms
LOOK, LATE = (
    1.0,
    3.0,
)  # seconds after which it is looked who is slow; how many times as long as the others that is
MOST_LABELS = 1 << 16  # different ones of a partition that are sent to the client
_COUNT = itertools.count()


class Load:
    """A partition that its worker reads: rows [begin, end) of a file that fastopt.source takes.

    hold: whether the worker keeps the rows; else it reads them anew at every evaluation.
    path: as the workers see it. y: of an .npy file, the labels of the whole file, or the path of theirs.
    options: of fastopt.source, such as target=. ValueError where begin or end is no place in the file.
    """

    def __init__(self, path, begin=0, end=None, y=None, *, hold=True, **options):
        self.hold = hold
        self.path, self.begin, self.end, self.y, self.options = os.fspath(path), begin, end, y, options
        if begin < 0 or (end is not None and end < begin):
            raise ValueError(f"{self.path}: rows {begin} to {end} are none")

    def __repr__(self):
        return f"{self.path}, rows {self.begin:,} to {'the end' if self.end is None else f'{self.end:,}'}"

    def __call__(self):
        """(X, y, weight)"""
        source = open_source(self.path, self.y, **self.options)
        end = self.end
        if end is None:
            end = source.n if source.n is not None else sum(rows for rows, _, _ in source.labels())
        found = [
            tuple(None if p is None else p.copy() for p in piece) for piece in source.between(self.begin, end)
        ]
        if not found:
            return np.empty((0, source.features), source.dtype), np.empty(0, np.int64), None
        return together(found)


class Data:
    """Partitions as futures on a cluster. found: the fields of RemoteRows that one look at all of them gives."""

    def __init__(self, client, loss, X, y, weight, classes, scale):
        losses.checked(loss)
        self.client = _client(client)
        loads = _loads(X, y, weight)
        if not loads:
            raise ValueError("there are no partitions")
        self.names, self._groups, self._asked, self._slow = None, None, 0.0, set()
        raw = self._submit(_raw, [(number, where, *parts) for number, (where, parts) in enumerate(loads)])
        prepare, self.found = self._first_pass(loss, self._map(_look, raw), classes, scale)
        self.futures = self._submit(prepare, [(future,) for future in raw])
        sums = self._map(_sums_of, self.futures)
        self.found["entries"] = sum(entries for entries, _ in sums)
        self.found["weight_sum"] = float(sum(weight for _, weight in sums))

    def _submit(self, function, arguments):
        """A future a partition."""
        name = getattr(function, "func", function).__name__.strip("_")
        return [
            self.client.submit(function, *given, key=f"fastopt-{name}-{number}-{next(_COUNT)}", pure=False)
            for number, given in enumerate(arguments)
        ]

    def _map(self, function, futures):
        """function(value of the future) of each, in order."""
        return self._gathered(lambda: self.client.map(function, futures, pure=False))

    def _gathered(self, submit):
        """What the futures that `submit` gives hold."""
        return self._answered(lambda: self.client.gather(submit()))

    def _answered(self, ask):
        """What `ask` gives; PartitionError, or SourceLost where the cluster fails."""
        try:
            return ask()
        except PartitionError:
            raise
        except Exception as error:
            raise SourceLost(
                f"the cluster gave no answer ({type(error).__name__}: {str(error)[:200]})"
            ) from error

    def _first_pass(self, loss, looks, classes, scale):
        """(the function that makes a Partition, the fields of RemoteRows) of all looks."""
        filled = [look for look in looks if look["n"]]
        if not filled:
            raise ValueError("all partitions are empty: there is nothing to train on")
        for name in ("features", "dtype", "sparse"):
            values = {look[name] for look in filled}
            if len(values) > 1:
                raise ValueError(f"partitions differ in {name}: {', '.join(sorted(map(str, values)))}")
        features, dtype = filled[0]["features"], np.dtype(filled[0]["dtype"])
        self.names, count = (None, 1) if loss.one_row == "real" else _classes(loss, filled, classes)
        scale = checked_scale(scale, dtype)
        fields = {
            "n": sum(look["n"] for look in looks), "counts": [look["n"] for look in looks],
            "features": features, "classes": count, "scale": scale, "is_sparse": filled[0]["sparse"],
            "dtype": np.dtype(np.float32) if dtype == np.uint8 else dtype,
        }  # fmt: skip
        return partial(_partition, loss=loss, classes=count, names=self.names, scale=scale,
                       features=features, dtype=dtype.name), fields  # fmt: skip

    def run(self, function, live, backend, loss, threads):
        """[(partition, results of its parts)] in order; a task for each worker that holds some of them."""

        def submit(address, mine):
            return self.client.submit(
                worker.run, [self.futures[i] for i in mine], function, live, backend, loss, threads,
                workers=address and [address], allow_other_workers=bool(address), pure=False, key=_task_name(function),
            )  # fmt: skip

        found = self._answered(lambda: self._raced(submit, list(self._by_worker().items())))
        return sorted((result for results in found for result in results), key=lambda pair: pair[0])

    def _raced(self, submit, groups):
        """What submit(address, partitions) gives for all groups. What a slow worker holds is done by another one too.

        Slow is who takes LATE times as long as half of the tasks took. The two results have the same bits: the first
        one is taken.
        """
        futures, began, half = [submit(*group) for group in groups], time.monotonic(), None
        while True:
            try:
                gather = partial(self.client.gather, futures, asynchronous=True)
                return self.client.sync(gather, callback_timeout=LOOK if len(futures) > 1 else None)
            except TimeoutError:
                if any(future.status == "error" for future in futures):
                    raise
            took, done = time.monotonic() - began, [future.status == "finished" for future in futures]
            if half is None and 2 * sum(done) >= len(done):
                half = took
            if half is not None and took > LATE * half and not all(done):
                return self.client.gather(self._twice(submit, groups, futures, done))

    def _twice(self, submit, groups, futures, done):
        """The futures, those that are not done or the same by another worker: who is first."""
        from distributed import wait

        quick = [group[0] for group, is_done in zip(groups, done, strict=True) if is_done]
        twins = {}
        for i in [i for i, is_done in enumerate(done) if not is_done]:
            self._slow.add(groups[i][0])
            twins[i] = submit(quick[len(twins) % len(quick)], groups[i][1])
        self._groups = None  # what was copied for it stays where it is now
        first = list(futures)
        while twins:
            with self.client.as_current():  # wait asks that one
                wait(
                    [future for i in twins for future in (futures[i], twins[i])],
                    return_when="FIRST_COMPLETED",
                )
            for i in list(twins):
                pair = futures[i], twins[i]
                ended = [future for future in pair if future.status != "pending"]
                good = [future for future in ended if future.status == "finished"]
                if good or len(ended) == 2:
                    first[i] = (good or ended)[0]
                    self.client.cancel([future for future in pair if future is not first[i]])
                    del twins[i]
        return first

    def _by_worker(self):
        """{address: numbers of the partitions there}, asked again now and then: where they are has no effect on bits."""
        if self._groups is None or time.monotonic() > self._asked + ASK_AGAIN:
            from distributed import wait

            self._asked = time.monotonic()

            with self.client.as_current():  # wait asks that one
                wait(self.futures)
            where, groups = self.client.who_has(self.futures), {}
            for number, future in enumerate(self.futures):
                holders = set(where.get(future.key) or ())
                holders = holders - self._slow or holders
                groups.setdefault(min(holders) if holders else None, []).append(number)
            self._groups = groups
        return self._groups


def _task_name(function):
    """What the dashboard shows: fastopt-gradient, fastopt-line, ..."""
    inner = getattr(function, "func", function)
    return f"fastopt-{inner.__name__.strip('_')}-{next(_COUNT)}"


def _client(client):
    from distributed import get_client

    if client is not None:
        return client
    try:
        return get_client()
    except ValueError:
        raise ValueError("there is no Dask client: pass client=distributed.Client(...)") from None


def _loads(X, y, weight):
    """[(where it is from, what `_raw` takes)] of any data."""
    import dask
    from dask.delayed import Delayed, delayed

    if isinstance(X, (list, tuple)):
        if y is not None or weight is not None:
            raise ValueError("partitions of a list hold their own y and weights: leave them out")
        found = []
        for item in X:
            if isinstance(item, Load):
                found.append((repr(item), (item,)))
            elif isinstance(item, Delayed) or hasattr(item, "key"):
                found.append((str(getattr(item, "key", item))[:80], (item,)))
            else:
                raise TypeError(
                    f"a partition must be a Load, a delayed or a future of (X, y), not {item!r:.60}"
                )
        return [(where, _computed(parts)) for where, parts in found]
    if not dask.is_dask_collection(X):
        raise TypeError(
            f"X must be a dask array, a dask dataframe or a list of partitions, not {type(X).__name__}; in one "
            "process call fo.train without client"
        )
    columns = [_blocks_of(X, "X")]
    if isinstance(y, str):
        blocks = [delayed(_split_frame)(block, y) for block in columns[0]]
        columns = [blocks]
    elif y is not None:
        columns.append(_blocks_of(y, "y"))
    columns += [] if weight is None else [_blocks_of(weight, "sample_weight")]
    counts = {len(blocks) for blocks in columns}
    if len(counts) > 1:
        raise ValueError(
            f"X, y and sample_weight have {[len(b) for b in columns]} blocks of rows: give them the same chunks, "
            "y = y.rechunk(X.chunks[0])"
        )
    name = type(X).__module__.split(".")[0] + " " + type(X).__name__
    return [
        (f"block {i} of a {name}", _computed(parts)) for i, parts in enumerate(zip(*columns, strict=True))
    ]


def _computed(parts):
    """Delayed values as futures that the partition's task waits for: computed where Dask likes."""
    from dask.delayed import Delayed

    return tuple(_Later(p) if isinstance(p, Delayed) else p for p in parts)


class _Later:
    """A delayed value of a partition, computed by the task that makes the partition, on its worker."""

    def __init__(self, delayed):
        self.delayed = delayed

    def __call__(self):
        return self.delayed.compute(scheduler="synchronous")


def _blocks_of(value, what):
    """The blocks of rows of a dask array or dataframe, as delayed values."""
    if hasattr(value, "chunks") and hasattr(value, "rechunk"):
        if value.ndim == 2 and len(value.chunks[1]) > 1:
            value = value.rechunk({1: -1})
        return list(np.ravel(value.to_delayed()))
    if hasattr(value, "to_delayed"):
        return list(value.to_delayed())
    raise TypeError(
        f"{what} must be a dask collection as X is, not {type(value).__name__}: dask.array.from_array"
    )


def _split_frame(frame, target):
    if target not in frame.columns:
        raise ValueError(f"there is no column {target!r}; it has {', '.join(map(str, frame.columns[:20]))}")
    return frame.drop(columns=[target]), frame[target]


class Raw:
    """What a partition is made of: X, y, weight as arrays; or a Load that is read anew at every call."""

    def __init__(self, number, where, values, load=None):
        self.number, self.where, self.values, self.load = number, where, values, load

    def error(self, error):
        return PartitionError(f"partition {self.number} ({self.where}): {error}")

    def __sizeof__(self):
        return 1000 + sum(getattr(v, "nbytes", 0) for v in self.values or ())


def _raw(number, where, *parts):
    """A Raw of values, of a Load, or of delayed values."""
    raw = Raw(number, where, None)
    try:
        values = [p() if isinstance(p, (Load, _Later)) else p for p in parts]
        if len(values) == 1 and isinstance(values[0], (tuple, list)):
            values = list(values[0])
        raw.values = _arrays(*values, *[None] * (3 - len(values)))
    except Exception as error:
        raise raw.error(error) from error
    if isinstance(parts[0], Load) and not parts[0].hold:
        raw.load = parts[0]
    return raw


def _look(raw):
    """What the client must know of a partition before there can be Rows."""
    X, y, _ = raw.values
    labels = np.unique(y)
    return {
        "n": X.shape[0], "features": X.shape[1], "dtype": X.dtype.name, "sparse": hasattr(X, "indptr"),
        "labels": labels if len(labels) < MOST_LABELS else labels[[0, -1]],
    }  # fmt: skip


def _arrays(X, y, weight):
    """As NumPy arrays or CSR."""
    names = getattr(X, "columns", None)
    if names is not None:
        wrong = [str(c) for c in names if X[c].dtype.kind not in "biuf"]
        if wrong:
            raise ValueError(f"column {wrong[0]!r} holds {X[wrong[0]].dtype}: features must be numbers")
        X = X.to_numpy(dtype=np.float32 if all(X[c].dtype == np.float32 for c in names) else np.float64)
    if not hasattr(X, "indptr"):
        X = np.asarray(X)
        if X.ndim == 2 and X.dtype not in FLOATS and X.dtype != np.uint8 and X.dtype.kind in "biuf":
            X = X.astype(np.float32 if X.dtype.itemsize <= 2 else np.float64)
    checked_matrix(X)
    if y is None:
        raise ValueError("it has no labels: pass y")
    y = np.asarray(y)
    if y.dtype.hasobject:
        y = y.astype(str)
    if len(y) != X.shape[0]:
        raise ValueError(f"X has {X.shape[0]:,} rows, y {len(y):,}")
    return X, y, None if weight is None else np.asarray(weight)


def _classes(loss, looks, classes):
    """(names of the class numbers, or None where labels are they; rows of W)."""
    kinds = {look["labels"].dtype.kind in "US" for look in looks}
    if len(kinds) > 1:
        raise ValueError("labels are numbers in some partitions and text in others")
    values = np.unique(np.concatenate([look["labels"] for look in looks]))
    names = None
    if isinstance(classes, (list, tuple, np.ndarray)):
        names = np.asarray(classes)
        unknown = np.setdiff1d(values, names)
        if len(unknown):
            raise ValueError(f"y has the label {unknown[0]!r}, which is none of the classes")
        count = len(names)
    elif values.dtype.kind in "US" or values.dtype.kind == "f" or values[0] < 0:
        if values.dtype.kind == "f" and not (values == np.floor(values)).all():
            raise ValueError(
                f"y holds real numbers, such as {values[values != np.floor(values)][0]}: classes are needed"
            )
        names, count = values, len(values)
    else:
        count = int(values[-1]) + 1
    if isinstance(classes, (int, np.integer)):
        count = max(count, int(classes))
    return names, 1 if loss.one_row == "binary" and count <= 2 else max(2, count)


def _partition(raw, **fields):
    """The Partition of a Raw; its rows are made and looked at once, whether they are held or not."""
    load = partial(_rows, *(raw.values if raw.load is None else (raw.load,)), **fields)
    found = Partition(raw.number, raw.where, load, hold=raw.load is None)
    try:
        rows = load()
        check_all_finite(rows, None)
    except Exception as error:
        raise raw.error(error) from error
    found.take(rows)
    return found


def _sums_of(partition):
    return partition.entries, partition.weight_sum


def _rows(X, y=None, weight=None, *, loss, classes, names, scale, features, dtype):
    if isinstance(X, Load):
        X, y, weight = _arrays(*X())
    if not X.shape[0]:
        X, y = np.empty((0, features), dtype), np.empty(0, np.int64)
    if names is not None:
        y = class_numbers(y, names)
    weight = None if weight is None or not len(y) else weight
    return checked_rows(
        loss, X, y, classes=classes, scale=scale if X.dtype == np.uint8 else None, weight=weight
    )
