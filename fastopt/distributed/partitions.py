"""All partitions as futures on a cluster, and one call of all of them."""

import itertools
import time
from functools import partial

import numpy as np

from fastopt import losses
from fastopt.distributed import loading, worker
from fastopt.distributed.adding import added
from fastopt.distributed.direct import Direct
from fastopt.distributed.worker import PartitionError
from fastopt.parts import SourceLost
from fastopt.rows import checked_scale

ASK_AGAIN = 2.0  # seconds after which the scheduler is asked again who holds what: it takes some 5 ms
LOOK, LATE = (
    1.0,
    3.0,
)  # seconds after which it is looked who is slow; how many times as long as the others that is
SEND_AFTER = 0.001  # seconds
_COUNT = itertools.count()


class Data:
    """Partitions as futures on a cluster. found: the fields of RemoteRows that one look at all of them gives."""

    def __init__(self, client, loss, X, y, weight, classes, scale, class_weight):
        losses.checked(loss)
        self.client = _client(client)
        loads = loading.loads_of(X, y, weight)
        if not loads:
            raise ValueError("there are no partitions")
        self.names, self._groups, self._asked, self._slow = None, None, 0.0, set()
        self._results: list = []
        self._direct = Direct(self.client)
        raw = self._submit(
            loading.raw_of, [(number, where, *parts) for number, (where, parts) in enumerate(loads)]
        )
        looks = self._map(loading.look, raw)
        prepare, self.found = self._first_pass(loss, looks, classes, scale, class_weight)
        self.futures = self._submit(prepare, [(future,) for future in raw])
        sums = self._map(loading.sums_of, self.futures)
        self.found["entries"] = sum(entries for entries, _ in sums)
        self.found["weight_sum"] = float(sum(weight for _, weight in sums))
        if not self.found["weight_sum"] > 0:
            raise ValueError("the weights of all rows are 0: there is no mean to take")

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
        except (PartitionError, worker.Lacks):
            raise
        except Exception as error:
            raise SourceLost(
                f"the cluster gave no answer ({type(error).__name__}: {str(error)[:200]})"
            ) from error

    def _first_pass(self, loss, looks, classes, scale, class_weight):
        """(the function that makes a Partition, the fields of RemoteRows) of all looks."""
        filled = [look for look in looks if look["n"]]
        if not filled:
            raise ValueError("all partitions are empty: there is nothing to train on")
        for name in ("features", "dtype", "sparse"):
            values = {look[name] for look in filled}
            if len(values) > 1:
                raise ValueError(f"partitions differ in {name}: {', '.join(sorted(map(str, values)))}")
        features, dtype = filled[0]["features"], np.dtype(filled[0]["dtype"])
        is_real = loss.one_row == "real"
        self.names, count = (None, 1) if is_real else loading.classes_of(loss, filled, classes)
        of_class = None
        if class_weight is not None:
            if is_real:
                raise ValueError("class_weight is for classes; this is a regression: use sample_weight")
            of_class = loading.weights_of_classes(class_weight, filled, self.names, count)
        scale = checked_scale(scale, dtype)
        fields = {
            "n": sum(look["n"] for look in looks), "counts": [look["n"] for look in looks],
            "features": features, "classes": count, "scale": scale, "is_sparse": filled[0]["sparse"],
            "dtype": np.dtype(np.float32) if dtype == np.uint8 else dtype,
        }  # fmt: skip
        return partial(loading.partition_of, loss=loss, classes=count, names=self.names, scale=scale,
                       features=features, dtype=dtype.name, of_class=of_class), fields  # fmt: skip

    def run(self, function, live, backend, loss, threads):
        """[(partition, results of its parts)] in order; a call of each worker that holds some of them."""
        groups = list(self._answered(self._by_worker).items())
        keys = [(address, [self.futures[i].key for i in mine]) for address, mine in groups]
        kind, began, context = _kind(function), time.monotonic(), (live, backend, loss, threads)
        found = self._direct(kind, keys, (worker.light(function), *context))
        if found is None:
            began = time.monotonic()
            found = self._as_tasks(function, context, self.client.gather)
        self._direct.known[kind] = time.monotonic() - began
        _set_made(function)
        return sorted((result for results in found for result in results), key=lambda pair: pair[0])

    def run_added(self, function, size, live, backend, loss, threads):
        """(loss, dW, db), float64 and flat, the sums of what the function gives of all parts, added on the workers. size: of a dW."""

        def add(futures):
            self._results = []  # gradients of all parts: not kept until the next call
            return added(self.client, futures, size, _task_name(function))

        found = self._as_tasks(function, (live, backend, loss, threads), add)
        _set_made(function)
        return found

    def _as_tasks(self, function, context, finish):
        """finish(futures of what the workers give)."""
        import dask

        def submit(work, groups):
            """A future a group, all in one message: each by itself would be as many, and W would travel as often."""
            keys = [_task_name(function) for _ in groups]
            places = {
                key: [address] if address else [] for key, (address, _) in zip(keys, groups, strict=True)
            }
            held = [[self.futures[i] for i in mine] for _, mine in groups]
            same = ([value] * len(groups) for value in (work, *context))
            with dask.annotate(workers=places.__getitem__, allow_other_workers=True):
                return self.client.map(worker.run, held, *same, key=keys, pure=False)

        def called(first):
            groups = list(self._by_worker().items())
            return finish(self._raced(partial(submit, first), partial(submit, function), groups))

        try:
            return self._answered(lambda: called(worker.light(function)))
        except worker.Lacks:  # a worker is new, or has the partitions of another one
            return self._answered(lambda: called(function))

    def _raced(self, submit, again, groups):
        """The futures that submit([(address, partitions)]) gives, done. What a slow worker holds is done by another one too, which is told
        how to make what that one has kept: again([(address, partitions)]).

        Slow is who takes LATE times as long as half of the tasks took. The two results have the same bits: the first
        one is taken.
        """
        from distributed import wait

        _send_at_once(self.client)
        futures, began, half = submit(groups), time.monotonic(), None
        # Let go of the last call's results now: said to the scheduler by itself, it would hold up what is sent next.
        self._results = futures
        while True:
            try:
                with self.client.as_current():  # wait asks that one
                    wait(futures, timeout=LOOK if len(futures) > 1 else None)
                break
            except TimeoutError:
                if any(future.status == "error" for future in futures):
                    break
            took, done = time.monotonic() - began, [future.status == "finished" for future in futures]
            if half is None and 2 * sum(done) >= len(done):
                half = took
            if half is not None and took > LATE * half and not all(done):
                futures = self._twice(again, groups, futures, done)
                break
        return futures

    def _twice(self, submit, groups, futures, done):
        """The futures, those that are not done or the same by another worker: who is first."""
        from distributed import wait

        quick = [group[0] for group, is_done in zip(groups, done, strict=True) if is_done]
        twins = {}
        for i in [i for i, is_done in enumerate(done) if not is_done]:
            self._slow.add(groups[i][0])
            (twins[i],) = submit([(quick[len(twins) % len(quick)], groups[i][1])])
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


def _send_at_once(client):
    """Dask's client sends at most every 10 ms what it has for the scheduler, which is more than all else that a call costs."""
    messages = client.scheduler_comm
    if messages is not None and getattr(messages, "interval", 0.0) > SEND_AFTER:
        messages.interval = SEND_AFTER


def _task_name(function):
    """What the dashboard shows: fastopt-gradient, fastopt-line, ..."""
    return f"fastopt-{_kind(function)}-{next(_COUNT)}"


def _set_made(function):
    for kept in worker.kept_by(function):
        kept.set_made()


def _kind(function):
    return getattr(function, "func", function).__name__.strip("_")


def _client(client):
    from distributed import get_client

    if client is not None:
        return client
    try:
        return get_client()
    except ValueError:
        raise ValueError("there is no Dask client: pass client=distributed.Client(...)") from None
