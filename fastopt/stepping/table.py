"""A table of arrays of one dtype, as addresses: parameters, gradients, state and the work to do.

One kernel call updates the whole table, however many arrays there are. Before every step a watch
(native.Watch) looks whether the arrays are where and as they were.
"""

import bisect
import math
from operator import itemgetter, setitem

import numpy as np

from fastopt import arrays, native, rounding, rules, storage
from fastopt.plan import CHUNK, PLAN

_FAR = np.iinfo(np.int64).max
_end = itemgetter(1)


class Table:
    """members: positions in the optimizer's list of parameters, all of one dtype.

    rows: for each array the row of coefficients that it takes; a rule with norms has a row an array.
    others: parameters in other tables, which are updated before or after these.
    stored: how they and their state are kept where not all of it is of their dtype (storage.py), or None.

    names: of the arrays that are kept for each parameter: the rule's slots, or with `stored` its pieces.
    """

    def __init__(self, members, parameters, rule, rows, others=(), stored=None):
        self.stored, self.names = stored, tuple(rule.slots)
        self.members, self.dtype = members, parameters[0].dtype
        self.size, self.shapes = sum(p.size for p in parameters), [p.shape for p in parameters]
        self.axes = [arrays.axes_in_memory(p) for p in parameters]
        self.parameters = [_flat(p, axes) for p, axes in zip(parameters, self.axes, strict=True)]
        # (the user's array, the one that is worked on, in its shape) where it does not lie in one piece
        self.copied = [
            (p, work.reshape(p.shape))
            for p, work, axes in zip(parameters, self.parameters, self.axes, strict=True)
            if axes is None
        ]
        self.whole = rules.is_whole(rule)
        self.slots = self._allocate(rule)
        self.gradients = [None] * len(parameters)
        self.refreshed = {}  # position -> gradient that is copied before every step
        self.missing = []  # positions that have no gradient this time
        self.uneven = False  # whether there are such
        self._coefficients = rules.coefficient_count(rule)
        self._k = np.zeros(len(parameters), np.int64)
        self.set_rows(list(range(len(parameters))) if rules.has_norms(rule) else rows)
        self.factors = np.empty(
            (len(parameters), 3)
        )  # of gradients: unit, scale, and what they are held within
        self.factors[:] = 1, 1, np.inf
        self._forms = np.zeros(1 + len(rule.slots), np.int32)
        if stored is not None:
            self._forms[:] = [storage.FORMS.index(form) for form in (stored.parameter, *stored.slots)]
        self.seed(storage.NOISE["seed"])
        self._clock = np.zeros(1, np.int64)
        self.clock = memoryview(self._clock.data)  # of a memoryview a number is read in 30 ns
        self.chunks = _chunks(self.parameters)
        self._ends = self.chunks[:, 2].copy()
        self.first_chunk = np.searchsorted(self.chunks[:, 0], np.arange(len(parameters) + 1)).tolist()
        self.sums = np.zeros(len(self.chunks))
        self.measured = np.zeros((len(self.chunks), rules.norm_count(rule)))
        self._make_plan(rule, parameters, others)

    def _make_plan(self, rule, parameters, others):
        n = len(parameters)
        self._p = _addresses(self.parameters)
        self._g = np.zeros(n, np.int64)
        self._s = _addresses([s for slot in self.slots for s in slot] or self.parameters[:1])
        known = {"rule": native.rule_number(rule) if native.available() else -1, "arrays": n}
        parts = {"k": self._k, "p": self._p, "g": self._g, "s": self._s, "chunks": self.chunks}
        parts |= {"clock": self._clock, "factors": self.factors, "forms": self._forms, "noise": self.noise}
        known |= {name: arrays.address(part) for name, part in parts.items()}
        self._plan = np.array([known[name] for name in PLAN], np.int64)
        self.plan = arrays.address(self._plan)
        taken = [*self.parameters, *self._blocks, *others]
        spans = sorted(arrays.span(a) for a in taken if a.nbytes)
        self._spans = [*spans, (_FAR, _FAR)]
        strides = [arrays.in_shape(w, p.shape, axes).strides
                   for w, p, axes in zip(self.parameters, parameters, self.axes, strict=True)]  # fmt: skip
        self.watch = native.Watch(parameters, strides, spans, self._g)

    def _allocate(self, rule):
        """Slot arrays: for each slot a list of an array a parameter, flat, or in the shape that the rule says."""
        if self.stored is not None:
            return self._allocate_pieces(rule)
        if rules.is_whole(rule):
            shapes = [rule.slot_shapes(rule, shape) for shape in self.shapes]
            self._blocks = []
            return [[np.zeros(shape[j], self.dtype) for shape in shapes] for j in range(len(rule.slots))]
        step = 64 // self.dtype.itemsize  # every array starts at a cache line
        offsets = np.cumsum([0, *(-(-p.size // step) * step for p in self.parameters)])
        self._blocks = [arrays.aligned_zeros(int(offsets[-1]), self.dtype) for _ in rule.slots]
        for block, start in zip(self._blocks, rules.initial(rule), strict=True):
            block += start
        slots = [
            [block[o : o + p.size] for o, p in zip(offsets[:-1], self.parameters, strict=True)]
            for block in self._blocks
        ]
        for name, views in zip(rule.slots, slots, strict=True):
            if name in getattr(rule, "copies", ()):
                for view, p in zip(views, self.parameters, strict=True):
                    view[...] = p
        return slots

    def as_bound(self, number):
        """The number as the steps' arithmetic has it: not 0, and inf beyond its range."""
        limits = np.finfo(np.float64 if self.dtype == np.float64 else np.float32)
        return math.inf if number > limits.max else max(float(number), float(limits.tiny))

    def set_rows(self, rows):
        """Give each array the row of coefficients that it takes."""
        self.k = np.zeros((max(rows) + 1, self._coefficients))
        self._k[:] = arrays.address(self.k) + self.k.strides[0] * np.array(rows, np.int64)
        self.rows = rows

    def _allocate_pieces(self, rule):
        pieces, self._blocks, slots = self.stored.pieces(rule.slots), [], []
        self.names = tuple(piece.name for piece in pieces)
        starts = dict(zip(rule.slots, rules.initial(rule), strict=True))
        for piece in pieces:
            sizes = [-(-p.size // storage.BLOCK) if piece.blocks else p.size for p in self.parameters]
            step = 64 // piece.dtype.itemsize
            offsets = np.cumsum([0, *(-(-size // step) * step for size in sizes)])
            block = arrays.aligned_zeros(int(offsets[-1]), piece.dtype)
            slots.append([block[o : o + size] for o, size in zip(offsets[:-1], sizes, strict=True)])
            self._blocks.append(block)
            if piece.dtype == np.float32:
                block += starts.get(piece.name, 0.0)
            if piece.name == "master" or piece.name in getattr(rule, "copies", ()):
                for view, p in zip(slots[-1], self.parameters, strict=True):
                    view[...] = rounding.as_float32(p)
        return slots

    def seed(self, seed):
        """Take the noise of this seed from now on."""
        bases = storage.noise_bases(seed, self.members)
        if not hasattr(self, "noise"):
            self.noise = bases
        self.noise[...] = bases

    def k_of(self, j):
        """The coefficients of array j, float64."""
        return self.k[self.rows[j]]

    def norms_of(self, j):
        """2-norms over array j of what the rule measured: the same in any order of the chunks."""
        columns = self.measured[self.first_chunk[j] : self.first_chunk[j + 1]].T.tolist()
        return [math.sqrt(math.fsum(c)) if all(map(math.isfinite, c)) else math.inf for c in columns]

    def slot_in_shape(self, slot, j):
        """A slot of array j as a view in the parameter's shape, or as the rule made it; numbers of blocks flat."""
        if self.whole or self.slots[slot][j].size != self.parameters[j].size:
            return self.slots[slot][j]
        return arrays.in_shape(self.slots[slot][j], self.shapes[j], self.axes[j])

    def flat_gradient(self, j):
        """The gradient that a step takes, in the order of the parameter's memory."""
        g, axes = self.gradients[j], self.axes[j]
        return g.reshape(-1) if axes is None else g.transpose(axes).reshape(-1)

    def take(self, gradients):
        """Use these from now on: native.SAME, native.PARAMETER_CHANGED, or the first that must be placed alone."""
        self.gradients = list(gradients)
        if self.uneven:
            self._take_back()
        return self.watch.look(gradients)

    def _take_back(self):
        self.refreshed.clear()
        if self.missing:
            self.chunks[:, 2] = self._ends
            self.missing = []
        self.uneven = False

    def leave_out(self, j):
        """No step for array j this time: its chunks are empty until other gradients are taken."""
        self.missing.append(j)
        mine = slice(self.first_chunk[j], self.first_chunk[j + 1])
        self.chunks[mine, 2] = self.chunks[mine, 1]
        self.uneven = True

    def place_gradient(self, j, g):
        """Use the checked gradient g for parameter j, if need be through a copy, made anew before every step."""
        axes = self.axes[j]
        begin, flat = arrays.address(g), g if axes is None else g.transpose(axes)
        if not arrays.is_plain(flat) or self._overlaps(begin, begin + g.nbytes):
            work = np.empty(g.size, self.dtype)
            copy = arrays.in_shape(work, g.shape, axes)
            copy[...] = g
            self.refreshed[j] = (g, copy)
            self.uneven = True
            g, begin = copy, arrays.address(work)
        self.gradients[j], self._g[j] = g, begin

    def _overlaps(self, begin, end):
        """Whether these bytes meet a parameter or the state; spans are sorted and disjoint."""
        return self._spans[bisect.bisect_right(self._spans, begin, key=_end)][0] < end

    def copy_in(self):
        for user, work in self.copied:
            work[...] = user
        for g, copy in self.refreshed.values():
            copy[...] = g

    def copy_out(self):
        """All copies go back in one call of C, between whose parts no Ctrl-C is looked at."""
        if self.copied:
            users, works = zip(*self.copied, strict=True)
            list(map(setitem, users, [...] * len(users), works))

    def array_of(self, chunk):
        """The array that a chunk belongs to; -1 stays -1."""
        return chunk if chunk < 0 else int(self.chunks[chunk, 0])


def _flat(p, axes):
    if axes is None:
        return np.array(p, order="C", subok=False).reshape(-1)
    return np.asarray(p).transpose(axes).reshape(-1)


def _addresses(items):
    return np.array([arrays.address(a) for a in items], np.int64)


def _chunks(parameters):
    rows = [
        (i, begin, min(begin + CHUNK, p.size))
        for i, p in enumerate(parameters)
        for begin in range(0, p.size, CHUNK)
    ]
    return np.array(rows, np.int64).reshape(-1, 3)
