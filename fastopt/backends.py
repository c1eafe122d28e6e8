"""Which back end computes: "numba", "c" or "numpy". Chosen once per optimizer or run."""

import functools
import importlib.util
import os

import numpy as np

from fastopt.rules import RULES

# Elements above which a step is shared among threads: 0.2 ms of work, some 20 us to share it.
PARALLEL_ELEMENTS = 262_144

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


def resolve(name=None, rule=None):
    """"numba", "c" or "numpy" for any of BACKENDS or None. "auto" is the fastest there is.

    The C library has no rules of users' own: NumPy serves them where there is no Numba.
    """
    own = rule is not None and type(rule) not in RULES
    name = "auto" if name is None else name
    _check(name)
    if name == "auto":
        name = _default or os.environ.get("FASTOPT_BACKEND") or "auto"
        _check(name)
    if name == "auto":
        name = "numba" if has_numba() else "c" if has_c() else "numpy"
        return "numpy" if name == "c" and own else name
    _require(name)
    if name == "c" and own:
        raise ValueError(f'{type(rule).__name__} is not in the C library: use backend "numba" or "numpy"')
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


def bind_step(backend, rule, table, threads):
    """A function run(check) -> -1, or the array with NaN or inf in its gradient (then nothing has
    changed), which performs one step of the rule on the table's arrays.
    """
    if backend == "numba":
        return _numba_step(rule, table, threads)
    if backend == "c":
        return _c_step(rule, table, threads)
    return _numpy_step(rule, table)


def _numba_step(rule, table, threads):
    from fastopt.kernels.elementwise import step_entry
    from fastopt.kernels.formula import formula_type
    from fastopt.kernels.threads import region

    rule_type = formula_type(type(rule), table.dtype.name, len(table.k))
    serial = step_entry(rule_type, parallel=False)
    arguments = table.arguments
    if threads < 2 or table.size < PARALLEL_ELEMENTS:
        return lambda check: table.array_of(serial(None, check, *arguments))

    def run(check):
        with region(threads) as count:
            if count == 1:
                return table.array_of(serial(None, check, *arguments))
            parallel = step_entry(rule_type, parallel=True)
            return table.array_of(parallel(None, check, *arguments))

    return run


def _numpy_step(rule, table):
    def run(check):
        if check:
            for i, g in enumerate(table.gradients):
                if not np.isfinite(g).all():
                    return i
        k = tuple(table.k.astype(table.dtype))
        with np.errstate(all="ignore"):
            for i, (p, g) in enumerate(zip(table.parameters, table.gradients, strict=True)):
                slots = [slot[i] for slot in table.slots]
                p_new, new_slots = rule.update(rule, k, p, g.reshape(-1), tuple(slots))
                p[...] = p_new
                for slot, new in zip(slots, new_slots, strict=True):
                    slot[...] = new
        return -1

    return run
