"""fo.Objective over partitions on a cluster."""

from fastopt import losses, penalties
from fastopt.arrays import checked_l2
from fastopt.distributed.rows import remote_rows
from fastopt.engines import choose
from fastopt.objective import Objective


class DistributedObjective(Objective):
    """fo.Objective of data on the workers of a dask.distributed cluster; its methods are the same.

    loss, l2, penalty, fit_intercept: as of fo.Objective. X: a dask array (rows in chunks) or dask dataframe of
        numbers; y: a dask array or series with the same chunks, or the name of a dataframe's column. Or X: a list
        of partitions, each a `Load` (a file and its rows), or a delayed or future (X, y) or (X, y, weight), X dense
        or scipy CSR. sample_weight: a dask array like y. class_weight: as of fo.train.
    classes: how many rows W has, or the labels that there are, where the partitions may not show all.
    client: a distributed.Client; the current one without. backend, threads: on the workers; threads None: as many
        as a worker of Dask has.

    The data are loaded and looked at once. Values and gradients have the same bits for any number of workers,
    whoever holds what, and whatever had to be done again; and those of one machine where every partition but the
    last has a multiple of fo.source's rows of a part. PartitionError names a partition that cannot be read,
    SourceLost says that the cluster does not answer any more.
    """

    def __init__(
        self, loss, X, y=None, *, l2=0.0, penalty=None, sample_weight=None, fit_intercept=True, scale=None,
        classes=None, client=None, class_weight=None, backend="auto", threads=None,
    ):  # fmt: skip
        losses.checked(loss)
        penalty = penalties.checked(penalty, checked_l2(l2))
        backend = choose.resolve(backend, loss=loss)
        rows = remote_rows(
            loss,
            X,
            y,
            client=client,
            sample_weight=sample_weight,
            class_weight=class_weight,
            classes=classes,
            scale=scale,
            threads=threads,
        )
        self.classes_ = rows.data.names
        self._bind(loss, rows, penalty, fit_intercept, backend, threads, False)
