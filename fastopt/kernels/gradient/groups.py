"""A pass over rows in groups: each group's gradient is summed alone, then the groups' in order.

So the sums do not depend on who did which group. The groups are those of a batch: a whole gradient is
a batch of all rows.
"""

import numpy as np

from fastopt.kernels.gradient import linear
from fastopt.kernels.gradient.division import MOST
from fastopt.kernels.language.atomic import add_shared
from fastopt.kernels.language.compile import kernel
from fastopt.kernels.language.lanes import load_lanes, store_lanes, sum_lanes, times_plus
from fastopt.kernels.language.memory import as_element, call, clear, element_size, lane_count, read, write


@kernel
def batch_of(worker, step):
    """(first, last, groups): positions of a step's rows, and how many groups they are."""
    first = step * worker.batch
    last = min(first + worker.batch, worker.n)
    group_rows = worker.group_rows
    return first, last, max(1, (last - first + group_rows - 1) // group_rows)


@kernel
def place_of(h, problem, worker, group):
    """Where this worker puts a group's dW and db."""
    dw, db = worker.first, worker.first_bias
    if group > 0:
        weights, size = linear.elements_of(problem), element_size(h)
        stride = (weights + problem.classes) * size
        dw = worker.partials + (group - 1) * stride
        db = dw + weights * size if db else 0
    return dw, db


@kernel
def do_group(h, problem, worker, step, group, coming):
    """The sums over one group of a step's rows; those from `coming` on will be wanted next."""
    first, last, _ = batch_of(worker, step)
    group_rows, n = worker.group_rows, worker.n
    dw, db = place_of(h, problem, worker, group)
    if db:
        clear(db, problem.classes * element_size(h))
    begin, scratch = first + group * group_rows, worker.scratch
    arguments = (problem, begin, min(begin + group_rows, last), coming, n, dw, db, scratch, 0)
    loss = call(problem.add_rows, arguments)
    write(worker.losses, group, loss)


@kernel
def take_groups(h, problem, worker, counter):
    """Groups of the only step, until none is left that nobody has taken."""
    _, _, groups = batch_of(worker, 0)
    group = add_shared(counter, 1)
    while group < groups:
        do_group(h, problem, worker, 0, group, (group + 1) * worker.group_rows)
        group = add_shared(counter, 1)


@kernel
def _add_up(h, begin, end, target, sources, groups, scale, p, twice_l2):
    """target = scale * (the sources in order) + twice_l2 * p for elements [begin, end)."""
    for i in range(begin, end, lane_count(h)):
        t = load_lanes(h, read(np.int64, sources, 0), i, end)
        for g in range(1, groups):
            t = t + load_lanes(h, read(np.int64, sources, g), i, end)
        t = t * scale
        if twice_l2 != 0:
            t = times_plus(load_lanes(h, p, i, end), twice_l2, t)
        store_lanes(h, target, i, end, t)


@kernel
def join(h, problem, worker, others, theirs, groups, scale, twice_l2):
    """scale * (sum over a step's groups) + twice_l2 * W to dW and db; returns the groups' loss.

    Bit k of `theirs` is set where group k was done by others, into that worker's places.
    """
    sources, dw, db = worker.sources, worker.first, worker.first_bias
    loss = 0.0
    for g in range(groups):
        whose = others if theirs >> g & 1 else worker
        weights, biases = place_of(h, problem, whose, g)
        write(sources, g, weights)
        write(sources, MOST + g, biases)
        loss += read(np.float64, whose.losses, g)
    if groups > 1 or theirs or scale != 1 or twice_l2 != 0:
        w, classes = problem.W, problem.classes
        _add_up(h, 0, linear.elements_of(problem), dw, sources, groups, scale, w, twice_l2)
        if db:
            _add_up(h, 0, classes, db, sources + MOST * 8, groups, scale, db, as_element(h, 0))
    return loss


@kernel
def sum_of_squares(h, p, count):
    total = 0.0
    step = 16 * lane_count(h)
    for i in range(0, count, step):
        x = load_lanes(h, p, i, count)
        t = x * x
        for j in range(i + lane_count(h), min(i + step, count), lane_count(h)):
            x = load_lanes(h, p, j, count)
            t = times_plus(x, x, t)
        total += sum_lanes(t)
    return total


@kernel
def finish_gradient(h, problem, worker, counter, scale, l2):
    """Groups that nobody has taken, then all groups' sums, in order, to dW and db; the value is returned."""
    take_groups(h, problem, worker, counter)
    _, _, groups = batch_of(worker, 0)
    loss = join(h, problem, worker, worker, 0, groups, scale, 2 * l2)
    penalty = l2 * sum_of_squares(h, problem.W, linear.elements_of(problem)) if l2 != 0 else 0.0
    return loss * scale + penalty
