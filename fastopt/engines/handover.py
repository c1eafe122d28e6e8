"""Steps and training runs that begin with what is there, NumPy or C, and go over to Numba's kernels when they are compiled.

The bits are the same on all engines, so the place where it happens shows in none. Only for what choose.of_steps and
choose.of_run send here.
"""

import time
import warnings
from typing import Any

from fastopt import background
from fastopt.engines import c, c_entries, numba, numpy
from fastopt.engines.choose import shared_from
from fastopt.kernels.solvers.kept import KeptPasses
from fastopt.rules import is_in_c

PATIENCE = 0.1  # seconds of a formula's steps or gradients before anything is compiled for it: importing Numba takes longer
PASSES = 60  # seconds of a loss's passes in C, which take 0.95 to 1.24 of Numba's time: what Numba saves pays for nothing sooner
LEFT = 5  # seconds that a run must have before it in C: Numba takes a half to nine tenths of them, to compile 4 to 10

_seconds: dict = {}  # class of a rule or loss, or key of passes -> what its steps, gradients or passes took so far
_compiled: set = set()  # what _key says of kernels that this process has


def bind_step(rule, table, threads):
    return _bound("bind_step", rule, table, threads)


def bind_gradient(loss, rows, threads, unchecked=False):
    key = ("bind_gradient", type(loss), rows.dtype.name, rows.sparse is not None)

    def compiled():
        run = numba.bind_gradient(loss, rows, threads, unchecked)
        numba.entries().take_groups(rows.dtype.name)  # which a bound gradient calls on several threads only
        _compiled.add(key)
        return run

    if key in _compiled:
        return compiled()
    return Handover(loss, c.bind_gradient(loss, rows, threads, unchecked), c, compiled)


def bind_passes(loss, rows, threads):
    key = ("bind_passes", type(loss), rows.dtype.name, rows.sparse is not None)
    return numba.bind_passes(loss, rows, threads) if key in _compiled else Passes(rows, loss, threads, key)


class Passes(KeptPasses):
    """A solver's passes in C, and from one of them on in Numba, for a solver that takes longer than PASSES."""

    def __init__(self, rows, loss, threads, key):
        super().__init__(c_entries, rows, rows.formula(loss), threads)
        self._key, self._next, self._asked = key, None, False

    def gram(self, diagonals, ones=False):
        self._follow()
        began = time.perf_counter()
        try:
            return super().gram(diagonals, ones)
        finally:
            self._count(began)

    def _prepare(self, kind, kept, out):
        self._follow()
        super()._prepare(kind, kept, out)

    def _sums(self, *arguments):
        began = time.perf_counter()
        try:
            return super()._sums(*arguments)
        finally:
            self._count(began)

    def _take(self, *arguments):
        began = time.perf_counter()
        try:
            super()._take(*arguments)
        finally:
            self._count(began)

    def _follow(self):
        if self._next is not None:
            self.go_over(self._next)
            self._next = None

    def _count(self, began):
        """A pass ends. No context manager of contextlib's: with one 569 x 30 took 4 us more of 20."""
        _seconds[self._key] = spent = _seconds.get(self._key, 0.0) + time.perf_counter() - began
        if spent > PASSES and not self._asked:
            background.submit(self._compile)
            self._asked = True

    def _compile(self):
        entries = numba.entries()
        self.kernels(entries)
        _compiled.add(self._key)
        self._next = entries


def bind_measure(rule, table, threads):
    return _bound("bind_measure", rule, table, threads)


bind_look = c.bind_look


def _bound(name, rule, table, threads):
    key = (name, type(rule), table.dtype.name, table.stored, threads > 1 and table.size >= shared_from(rule))

    def compiled():
        run = getattr(numba, name)(rule, table, threads)
        _compiled.add(key)
        return run

    if key in _compiled:
        return compiled()
    engine = c if is_in_c(rule) else numpy
    return Handover(rule, getattr(engine, name)(rule, table, threads), engine, compiled)


class Handover:
    """Calls `first`, and what `compiled()` gives once that has come back from the background thread."""

    __slots__ = ("_run", "_first", "_compiled", "_formula", "_asked", "_trouble", "backend")

    def __init__(self, formula, first, engine, compiled):
        self._run, self._first, self._compiled, self._formula = self._begin, first, compiled, formula
        self._asked, self._trouble = False, ""
        self.backend: Any = engine.__name__.rpartition(".")[2]

    def __call__(self, *arguments):
        return self._run(*arguments)

    def _begin(self, *arguments):
        if self._trouble:
            text, self._trouble = self._trouble, ""
            warnings.warn(text, RuntimeWarning, stacklevel=4)
        cls, began = type(self._formula), time.perf_counter()
        try:
            return self._first(*arguments)
        finally:
            _seconds[cls] = spent = _seconds.get(cls, 0.0) + time.perf_counter() - began
            if spent > PATIENCE and not self._asked:
                background.submit(self._prepare)
                self._asked = True  # after it: Ctrl-C between the two must not leave it unasked for ever

    def _prepare(self):
        try:
            run = self._compiled()
        except TypeError as error:
            self._trouble = f"the steps stay with {self.backend}, which is slower: {error}"
        else:
            self._run, self.backend = run, "numba"


def bind_epoch(rows, loss, rule, parameters, batch, l2, threads):
    epoch = c.bind_epoch(rows, loss, rule, parameters, batch, l2, threads)
    key = ("bind_epoch", type(epoch), type(loss), type(rule), rows.dtype.name, rows.sparse is not None)
    return RunHandover(epoch, key)


class RunHandover:
    """An epoch's loop in C, and from a stretch on in Numba."""

    def __init__(self, epoch, key):
        self._epoch, self._key, self._next, self._asked, self.backend = epoch, key, None, False, "c"
        if key in _compiled:
            self._prepare()

    def __call__(self, K, order, begin, end, loss):
        if self._next is not None:
            self._epoch.go_over(self._next)
            self._next, self.backend = None, "numba"
        return self._epoch(K, order, begin, end, loss)

    def consider(self, seconds):
        """Have Numba's kernels prepared if this is what the rest of the run takes as it goes now."""
        if seconds > LEFT and not self._asked:
            background.submit(self._prepare)
            self._asked = True

    def _prepare(self):
        entries = numba.entries()
        self._epoch.kernels(entries)
        _compiled.add(self._key)
        self._next = entries
