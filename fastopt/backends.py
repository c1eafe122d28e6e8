"""Which back end computes: "numba", "c" or "numpy". Chosen once per optimizer or run."""

import functools
import importlib.util
import os
import struct

import numpy as np

from fastopt import native
from fastopt.arrays import aligned_zeros
from fastopt.losses import LOSSES
from fastopt.native import address
from fastopt.rules import RULES
from fastopt.threads import BAD, SEEN, share

# Numbers read and written above which a step is shared among threads: 0.4 ms of work and more, some 0.2 ms
# to share it (SGD of 1M elements took 460 us on two threads, 220 on one).
PARALLEL_NUMBERS = 6 << 20

BACKENDS = ("auto", "numba", "c", "numpy")
_default = None


def set_backend(name):
    """Set the back end that "auto" stands for from now on: "numba", "c", "numpy" or "auto".

    The environment variable FASTOPT_BACKEND does the same from outside; this call goes before it.
    """
    global _default
    _check(name)
    if name not in ("auto", "numpy"):
        _require(name)
    _default = None if name == "auto" else name


def resolve(name=None, rule=None, loss=None):
    """ "numba", "c" or "numpy" for any of BACKENDS or None. "auto" is the fastest there is.

    The C library has no rules and losses of users' own: NumPy serves them where "auto" is C.
    """
    own = next((f for f in (rule, loss) if f is not None and type(f) not in RULES + LOSSES), None)
    name = "auto" if name is None else name
    _check(name)
    if name == "auto":
        name = _default or os.environ.get("FASTOPT_BACKEND") or "auto"
        _check(name)
        if name == "auto":
            name = "numba" if has_numba() else "c" if has_c() else "numpy"
        _require(name)
        return "numpy" if name == "c" and own is not None else name
    _require(name)
    if name == "c" and own is not None:
        raise ValueError(f'{type(own).__name__} is not in the C library: use backend "numba" or "numpy"')
    return name


def _check(name):
    if name not in BACKENDS:
        raise ValueError(f"backend must be one of {', '.join(BACKENDS)}, not {name!r}")


def _require(name):
    if name == "numba" and not has_numba():
        raise ImportError('backend "numba" needs the package numba: pip install "numba>=0.68"')
    if name == "c" and not has_c():
        raise ImportError('backend "c" needs the compiled module fastopt._native: install fastopt')


@functools.cache
def has_numba():
    return importlib.util.find_spec("numba") is not None


@functools.cache
def has_c():
    return importlib.util.find_spec("fastopt._native") is not None


def bind_coefficients(rule, k):
    """A function fill(rule, t) that writes the rule's coefficients at step t into the array k."""
    if type(rule) in RULES and has_c():
        return _coefficients_in_c(rule, k)
    pack, buffer = struct.Struct(f"{len(k)}d").pack_into, memoryview(k).cast("B")
    return lambda now, t: pack(buffer, 0, *now.coefficients(now, float(t)))


def _coefficients_in_c(rule, k):
    """The same bits as in Python, in a third of the time (0.4 us for Adam)."""
    h = np.array(rule, np.float64)
    number, h_address, k_address = native.rule_number(rule), address(h), address(k)
    compute, last = native.coefficients_function(), rule

    def fill(now, t):
        nonlocal last
        if now is not last:
            h[:] = now
            last = now
        compute(number, h_address, t, k_address)

    return fill


def bind_step(backend, rule, table, threads):
    """A function run(check) which performs one step of the rule on the table's arrays.

    It returns -1; or with check, where a gradient has NaN or inf, that array, and nothing has changed.
    """
    if backend == "numba":
        return _numba_step(rule, table, threads)
    if backend == "c":
        return _c_step(rule, table, threads)
    return _numpy_step(rule, table)


def shared_from(rule):
    """Elements from which a step of the rule is shared among threads."""
    return -(-PARALLEL_NUMBERS // (3 + 2 * len(rule.slots)))


def _numba_step(rule, table, threads):
    from fastopt.kernels.language.formula import formula_type
    from fastopt.kernels.step import elementwise

    rule_type = formula_type(type(rule), table.dtype.name, len(table.k))
    plan, chunks = table.plan, len(table.chunks)
    if threads < 2 or table.size < shared_from(rule):
        step = elementwise.step_entry(rule_type)

        def run(check):
            bad = step(None, check, plan, 0, chunks)
            return bad if bad < 0 else table.array_of(bad)

        return run
    together = elementwise.step_together_entry(rule_type)
    return _shared_step(lambda check, board: together(None, check, plan, chunks, board), table, threads)


def _c_step(rule, table, threads):
    plan, chunks = table.plan, len(table.chunks)
    if threads < 2 or table.size < shared_from(rule):
        step = native.step_function(table.dtype)
        return lambda check: step(plan, check, 0, chunks)
    together = native.step_together_function(table.dtype)
    return _shared_step(lambda check, board: together(plan, check, chunks, board), table, threads)


def _shared_step(together, table, threads):
    """run(check) on several threads, each of which calls together(check, address of a board) once."""
    chunks = len(table.chunks)
    board, crew, bad = aligned_zeros(SEEN // 8 + chunks, np.int64), range(min(threads, chunks)), BAD // 8
    at = address(board)

    def run(check):
        board[:] = 0
        board[bad] = -1
        share(lambda _: together(check, at), crew, threads)
        return table.array_of(int(board[bad]))

    return run


def _numpy_step(rule, table):
    def run(check):
        if check:
            for i, g in enumerate(table.gradients):
                if not np.isfinite(g).all():
                    return i
        k = tuple(table.k.astype(table.dtype))
        with np.errstate(all="ignore"), native.denormals_flushed():
            for i, (p, g) in enumerate(zip(table.parameters, table.gradients, strict=True)):
                slots = [slot[i] for slot in table.slots]
                p_new, new_slots = rule.update(rule, k, p, g.reshape(-1), tuple(slots))
                p[...] = p_new
                for slot, new in zip(slots, new_slots, strict=True):
                    slot[...] = new
        return -1

    return run
