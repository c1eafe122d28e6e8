"""A table of arrays of one dtype, as addresses: parameters, gradients, state and the work to do.

One kernel call updates the whole table, however many arrays there are. Addresses are taken once
and kept while the arrays stay the same objects (the table holds references, so none can move).
"""

import bisect
from operator import itemgetter

import numpy as np

from fastopt import arrays, native, rules

_FAR = np.iinfo(np.int64).max
_end = itemgetter(1)
NOTHING = object()  # no gradient so far; not None, which a user may pass by mistake
CHUNK = 32_768  # elements per piece of work: the pieces are what threads share


class Table:
    """members: positions in the optimizer's list of parameters, all of one dtype.

    others: parameters in other tables, which are updated before or after these.
    """

    def __init__(self, members, parameters, rule, coefficients, others=()):
        self.members = members
        self.dtype = parameters[0].dtype
        self.shapes = [p.shape for p in parameters]
        self.parameters = [_flat(p) for p in parameters]
        self.copied = [
            (p, work.reshape(p.shape))
            for p, work in zip(parameters, self.parameters, strict=True)
            if not arrays.is_plain(p)
        ]
        self.size = sum(p.size for p in parameters)
        self.slots = self._allocate(rule)
        self.sources = [NOTHING] * len(parameters)  # the gradients as the user gave them
        self.gradients = [None] * len(parameters)
        self.refreshed = {}  # position -> gradient that is copied before every step
        self.k = np.zeros(coefficients)
        self._p = _addresses(self.parameters)
        self._g = np.zeros(len(parameters), np.int64)
        self._s = _addresses([s for slot in self.slots for s in slot] or self.parameters[:1])
        self.chunks = _chunks(self.parameters)
        number = native.rule_number(rule) if native.available() else -1
        k, p, g, st, chunks = map(arrays.address, (self.k, self._p, self._g, self._s, self.chunks))
        # What one call of a kernel needs (kernels/step/elementwise.py).
        self._plan = np.array([number, k, p, g, st, len(parameters), chunks], np.int64)
        self.plan = arrays.address(self._plan)
        taken = [*self.parameters, *self._blocks, *others]
        spans = sorted((arrays.address(a), arrays.address(a) + a.nbytes) for a in taken if a.nbytes)
        self._spans = [*spans, (_FAR, _FAR)]
        self._g_address = arrays.address(self._g)
        self._matcher = native.Matcher(parameters, spans)

    def _allocate(self, rule):
        """Slot arrays as views of one aligned block a slot."""
        step = 64 // self.dtype.itemsize  # every array starts at a cache line
        offsets = np.cumsum([0, *(-(-p.size // step) * step for p in self.parameters)])
        self._blocks = [arrays.aligned_zeros(int(offsets[-1]), self.dtype) for _ in rule.slots]
        for block, start in zip(self._blocks, rules.initial(rule), strict=True):
            block += start
        return [
            [block[o : o + p.size] for o, p in zip(offsets[:-1], self.parameters, strict=True)]
            for block in self._blocks
        ]

    def place_gradients(self, gradients):
        """Use these from now on, if all are as they should be; False if each must be looked at alone.

        0.1 us an array; one by one 2 us.
        """
        if not self._matcher.addresses(gradients, self._g_address):
            return False
        self.sources = self.gradients = gradients
        self.refreshed.clear()
        return True

    def place_gradient(self, j, source, g):
        """Use the checked gradient g, given as source, for parameter j from now on."""
        if self.sources is self.gradients:
            self.gradients = list(self.sources)
        self.sources[j], self.gradients[j] = source, g
        begin = arrays.address(g)
        if not arrays.is_plain(g) or self._overlaps(begin, begin + g.nbytes):
            # A copy of its own, made anew before every step.
            copy = np.array(g, order="C", subok=False)
            self.refreshed[j] = (g, copy)
            self.gradients[j], begin = copy, arrays.address(copy)
        else:
            self.refreshed.pop(j, None)
        self._g[j] = begin

    def _overlaps(self, begin, end):
        """Whether these bytes meet a parameter or the state; spans are sorted and disjoint."""
        return self._spans[bisect.bisect_right(self._spans, begin, key=_end)][0] < end

    def copy_in(self):
        for user, work in self.copied:
            work[...] = user
        for g, copy in self.refreshed.values():
            copy[...] = g

    def copy_out(self):
        for user, work in self.copied:
            user[...] = work

    def array_of(self, chunk):
        """The array that a chunk belongs to; -1 stays -1."""
        return chunk if chunk < 0 else int(self.chunks[chunk, 0])


def _flat(p):
    if arrays.is_plain(p):
        return np.asarray(p).reshape(-1)
    return np.array(p, order="C", subok=False).reshape(-1)


def _addresses(items):
    return np.array([arrays.address(a) for a in items], np.int64)


def _chunks(parameters):
    rows = [
        (i, begin, min(begin + CHUNK, p.size))
        for i, p in enumerate(parameters)
        for begin in range(0, p.size, CHUNK)
    ]
    return np.array(rows, np.int64).reshape(-1, 3)
