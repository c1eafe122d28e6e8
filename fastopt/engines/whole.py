"""Steps of rules that look at whole arrays: NumPy's on every engine, those of Adafactor's two forms in C where that is built. The same bits."""

import numpy as np

from fastopt import native, rules
from fastopt.engines import numpy


def bind_step(rule, table, threads=1):
    if type(rule) not in rules.WHOLE_IN_C or not native.available() or not _in_order(table):
        return numpy.bind_step(rule, table, threads)
    step, plan, chunks = native.whole_function(table.dtype), table.plan, len(table.chunks)
    which = rules.WHOLE_IN_C.index(type(rule))
    forms = np.array([_form(table, j) for j in range(len(table.shapes))], np.int64)
    at = native.address(forms)

    def run(check):
        forms[:, -1] = 1
        forms[table.missing, -1] = 0
        bad = step(plan, which, check, at, chunks)
        if bad < -1:
            raise MemoryError("no memory for the sums over rows and columns; nothing was changed")
        return bad

    return run


def _in_order(table):
    """Whether all arrays are worked on in C's order."""
    return all(axes is None or axes == tuple(range(len(axes))) for axes in table.axes)


def _form(table, j):
    """Matrices, rows and columns of each, whether it is factored, has the slot m, and a gradient."""
    shape, has_m = table.shapes[j], int(any(slot[j].size for slot in table.slots[2:]))
    if len(shape) < 2:
        return 1, 1, table.parameters[j].size, 0, has_m, 1
    return int(np.prod(shape[:-2])), *shape[-2:], 1, has_m, 1
