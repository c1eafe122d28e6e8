"""Sums of large gradients added on the workers: the client gets one gradient, not one a part.

Each of some workers adds a share of the entries, of all parts in their order, so that every entry is the same sum as if the client
had added whole gradients. A share travels from where it was computed to where it is added: the client's connection and memory no
longer grow with the number of partitions.
"""

import numpy as np

from fastopt.engines.parted import Sums

ON_WORKERS = 1 << 26  # bytes of the gradients of all partitions, from where on workers add them
ADDERS = 8  # at most: as many shares of every worker's result are tasks for the scheduler


def added(client, results, size, name):
    """(loss, entries of dW, db) in float64 of futures of worker.run's results; size: entries of a dW."""
    count = min(len(results), ADDERS)
    cuts = np.linspace(0, size, count + 1).astype(int).tolist()
    shares = [
        client.map(
            share, results, [begin] * len(results), [end] * len(results),
            key=[f"{name}-share-{i}-{j}" for j in range(len(results))], pure=False,
        )
        for i, (begin, end) in enumerate(zip(cuts, cuts[1:], strict=False))
    ]  # fmt: skip
    sums = client.gather(
        [client.submit(add, own, key=f"{name}-add-{i}", pure=False) for i, own in enumerate(shares)]
    )
    return sums[0][0], np.concatenate([dW for _, dW, _ in sums]), sums[0][2]


def share(result, begin, end):
    """Entries [begin, end) of the gradients of a worker's parts; what else there is of a part is for the first share."""
    return [
        (number, [(loss, dW.ravel()[begin:end], None if begin else db) for loss, dW, db in parts])
        for number, parts in result
    ]


def add(shares):
    """(loss, entries of dW, db) of all parts, added in the order of the partitions."""
    parts = [
        part for _, parts in sorted((p for own in shares for p in own), key=lambda p: p[0]) for part in parts
    ]
    _, dW, db = parts[0]
    sums = Sums(dW, db)
    for part in parts:
        sums.add(*part)
    return sums.totals()
