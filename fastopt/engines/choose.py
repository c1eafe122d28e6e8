"""Which engine computes: "numba", "c" or "numpy". Chosen once per optimizer, objective or run."""

import functools
import importlib.util
import os
import sys

from fastopt import losses, rules
from fastopt.background import is_cut_off
from fastopt.exactness import is_exact

# Numbers read and written above which a step is shared among threads: 0.4 ms of work and more, some 0.2 ms
# to share it (SGD of 1M elements took 460 us on two threads, 220 on one).
PARALLEL_NUMBERS = 6 << 20

BACKENDS = ("auto", "numba", "c", "numpy")
_LOSSES_IN_C = frozenset((*losses.IN_C, *map(type, losses.OF_SHARES.values())))
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
    own = _of_users_own(rule, loss)
    if name is None or name == "auto":
        name = _named(name)
        if name == "auto":
            name = "numba" if has_numba() else "c" if has_c() else "numpy"
        _require(name)
        return "numpy" if name == "c" and own is not None else name
    _check(name)
    _require(name)
    if name == "c" and own is not None:
        raise ValueError(f'{type(own).__name__} is not in the C library: use backend "numba" or "numpy"')
    return name


def of_steps(name=None, rule=None):
    """The same for the steps of a rule: "c", "numba", "numpy" or "handover" (engines/handover.py).

    "auto" is C for the rules that it has, since its steps take Numba's time (docs/decisions/cold_start.md), and begins with
    NumPy where only Numba is fast, or with C for rules around others (up to 1.2 times Numba's time). The bits are the same.
    """
    if _named(name) != "auto" or not (has_c() and has_numba()):
        return resolve(name, rule)
    if type(rule) in rules.IN_C:
        return "c"
    return "handover" if not rules.is_whole(rule) and is_exact(rule) else "numba"


def of_run(name, loss, rule=None):
    """The same for a training run, or a gradient: "auto" begins in C with what the C library has, and is then "handover"."""
    found = resolve(name, rule, loss)
    all_in_c = has_c() and _of_users_own(rule, loss) is None
    return "handover" if found == "numba" and all_in_c and _named(name) == "auto" else found


def is_auto():
    """Whether nobody has named an engine, so that one may begin and another go on."""
    return _named(None) == "auto"


def _of_users_own(rule, loss):
    """The first of the two, where they are given, that the C library does not have."""
    if rule is not None and not (rules.is_in_c(rule) or type(rule) in rules.WHOLE_IN_C):
        return rule
    return loss if loss is not None and type(loss) not in _LOSSES_IN_C else None


def _named(name):
    """What the caller, set_backend or the environment names, in this order; "auto" where none does."""
    name = "auto" if name is None else name
    _check(name)
    return _default or _from_environment() if name == "auto" else name


def _from_environment():
    name = os.environ.get("FASTOPT_BACKEND", "").strip() or "auto"
    if name not in BACKENDS:
        raise ValueError(
            f"the environment variable FASTOPT_BACKEND must be one of {', '.join(BACKENDS)}, not {name!r}"
        )
    return name


def _check(name):
    if name not in BACKENDS:
        raise ValueError(f"backend must be one of {', '.join(BACKENDS)}, not {name!r}")


def _require(name):
    if name == "numba" and _compiler_is_off():
        raise ImportError(
            'backend "numba" compiles, which NUMBA_DISABLE_JIT=1 forbids: unset it, or use backend "c" or "numpy"'
        )
    if name == "numba" and is_cut_off():
        raise ImportError(
            'backend "numba": this process was forked while another thread was compiling, and took the compiler over half '
            'used: use backend "c" or "numpy" here, or fork before or later'
        )
    if name == "numba" and not has_numba():
        raise ImportError('backend "numba" needs the package numba: pip install "numba>=0.68"')
    if name == "c" and not has_c():
        raise ImportError('backend "c" needs the compiled module fastopt._native: install fastopt')


def has_numba():
    """Whether kernels can be compiled: numba is there, NUMBA_DISABLE_JIT is not set, no fork has cut the compiler in two."""
    return _finds_numba() and not _compiler_is_off() and not is_cut_off()


@functools.cache
def _finds_numba():
    return importlib.util.find_spec("numba") is not None


def _compiler_is_off():
    """As Numba reads it: once, when it is imported."""
    if "numba" in sys.modules:
        return bool(getattr(getattr(sys.modules["numba"], "config", None), "DISABLE_JIT", False))
    return os.environ.get("NUMBA_DISABLE_JIT", "0").strip() not in ("", "0")


@functools.cache
def has_c():
    return importlib.util.find_spec("fastopt._native") is not None


def shared_from(rule):
    """Elements from which a step of the rule is shared among threads."""
    return -(-PARALLEL_NUMBERS // (3 + 2 * len(rule.slots)))
