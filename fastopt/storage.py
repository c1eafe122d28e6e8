"""How parameters and state are kept in few bits, and how numbers get there and back.

    float32      as they are
    bfloat16     the upper 16 bits of a float32. A slot is rounded without bias: bits + noise, cut. A parameter is
                 rounded to nearest, and the int16 `remainder` is what its float32 master has more, exactly:
                 high = (bits + 0x8000) >> 16, low = bits - (high << 16)
    rounded      a bfloat16 parameter without a master, rounded without bias
    float16      IEEE's, as a parameter with a float32 `master` beside it; where somebody has written another
                 number to the parameter, that number counts
    signed8,     8 bits with 3 of them after the point, and an integer base (`..._base`, int16) for 256 elements:
    positive8    bits = (code + base) << 20. signed8: the sign in bit 7, 16 binades, code 0 is 0. positive8: 32
                 binades, no code for 0, so that a second moment never vanishes beside larger ones. base is the
                 least with which the largest number has a code, and not below 0; rounded without bias

Noise is a function of (seed, step, array, element), not a generator's state: the word of element i is
i * 0x9E3779B1 + key mod 2^32, key = mix(a hash of (seed, array, word) + step * 0xC2B2AE35). Without `mix` the roundings
of one step told something of the next one's, and a mean of 8-bit numbers was 1 % off. Slots 0 and 1 take the
lower and the upper half of word 0, slots 2 and 3 of word 1, a rounded parameter the upper half of word 2.
Rounding makes no infinity of a number in a slot: the largest finite code is the end.
"""

from typing import NamedTuple

import numpy as np

from fastopt import rules

BLOCK = 256  # elements with one base
WEYL, STEP = 0x9E3779B1, 0xC2B2AE35
MIX = (16, 0x21F0AAAD), (15, 0xD35A2D97)
WORDS = 3  # of noise for each element
LARGEST = 0x7F7FFFFF  # bits of the largest finite float32
NOISE = {"generator": "weyl", "version": 1, "seed": 0}

STATE_DTYPES = (
    "float32",
    "bfloat16",
    "float8",
    "float32-no-master",
    "bfloat16-no-master",
    "float8-no-master",
)
_EIGHT = {"signed": "signed8", "positive": "positive8"}
# The C library's numbers of these forms (csrc/fastopt.h); also those in a plan.
FORMS = ("float32", "bfloat16", "rounded", "float16", "signed8", "positive8")
_STORED = {"float32": np.float32, "bfloat16": np.uint16, "signed8": np.uint8, "positive8": np.uint8}


class Piece(NamedTuple):
    """An array that is kept beside a parameter. blocks: it has a number for each block of 256 elements."""

    name: str
    dtype: np.dtype
    blocks: bool = False


class Storage(NamedTuple):
    """The form of a parameter (and, with it, of its gradient) and of each slot."""

    parameter: str
    slots: tuple[str, ...]

    @property
    def gradient(self) -> str:
        return "bfloat16" if self.parameter == "rounded" else self.parameter

    def pieces(self, names) -> list[Piece]:
        """What is kept: the master's part first, then each slot, with its bases behind it. names: of the slots."""
        beside = {"bfloat16": ("remainder", np.int16), "float16": ("master", np.float32)}.get(self.parameter)
        found = [Piece(beside[0], np.dtype(beside[1]))] if beside else []
        for name, form in zip(names, self.slots, strict=True):
            found.append(Piece(name, np.dtype(_STORED[form])))
            if form in _EIGHT.values():
                found.append(Piece(f"{name}_base", np.dtype(np.int16), True))
        return found

    def places(self) -> tuple[int, ...]:
        """Where each slot stands among the pieces."""
        names = [str(j) for j in range(len(self.slots))]
        order = [piece.name for piece in self.pieces(names)]
        return tuple(order.index(name) for name in names)


def checked_state_dtype(value):
    """One of STATE_DTYPES or None; ValueError for anything else."""
    if value is None or (isinstance(value, str) and value in STATE_DTYPES):
        return value
    raise ValueError(f"state_dtype must be None or one of {', '.join(STATE_DTYPES)}, not {value!r:.60}")


def storage_of(rule, half, dtype, state_dtype, name):
    """The Storage of a parameter, or None where parameter and state are float32 or float64 as ever.

    half: "bfloat16", "float16" or None, dtype and name: the parameter's. Raises where they do not go together.
    """
    slot, _, no_master = (state_dtype or "float32").partition("-")
    if half is None and state_dtype in (None, "float32") and (dtype == np.float32 or state_dtype is None):
        return None
    if half is None and dtype != np.float32:
        raise TypeError(f"{name} is {dtype}: state_dtype={state_dtype!r} is for float32, bfloat16 and float16 "
                        'parameters; convert it: array.astype("float32")')  # fmt: skip
    if no_master and half != "bfloat16":
        raise TypeError(f"{name} is {half or dtype}: state_dtype={state_dtype!r} is for bfloat16 parameters, which "
                        f"have a master; write {slot!r}")  # fmt: skip
    if getattr(rule, "whole", False) or hasattr(rule, "measure"):
        raise TypeError(f"{name}: {type(rule).__name__} looks at whole arrays, and takes float32 and float64 "
                        "parameters and state only")  # fmt: skip
    parameter = "rounded" if no_master else half or "float32"
    return Storage(parameter, _slot_forms(rule, slot, state_dtype))


def _slot_forms(rule, slot, state_dtype):
    if slot == "float32" or not rule.slots:
        return ("float32",) * len(rule.slots)
    small, starts = getattr(rule, "small", None), rules.initial(rule)
    if small is not None and any(start for kind, start in zip(small, starts, strict=False) if kind):
        raise ValueError(
            f"{type(rule).__name__}.small: a slot that is kept in few bits starts at 0, not {starts}"
        )
    if small is None or len(small) != len(rule.slots):
        raise ValueError(
            f"{type(rule).__name__} says not how its slots {rule.slots} may be kept in few bits (`small`, see "
            f"fastopt.rules): state_dtype={state_dtype!r} is for Adam and its kin, Lion, the rules with momentum, "
            "and averages of these"
        )
    return tuple("float32" if kind is None else _EIGHT[kind] if slot == "float8" else slot for kind in small)


def noise_bases(seed, members):
    """uint32 (arrays, WORDS): the keys of these arrays at step 0."""
    rows = [[_hash(seed, i, q) for q in range(WORDS)] for i in members]
    return np.array(rows, np.uint32).reshape(-1, WORDS)


def noise_keys(bases, t):
    """uint32: the keys of step t, as kernels make them."""
    x = bases + np.uint32(t % 2**32 * STEP % 2**32)
    for shift, factor in MIX:
        x = (x ^ x >> np.uint32(shift)) * np.uint32(factor)
    return x ^ x >> np.uint32(15)


def _hash(*words):
    """32 bits of the words: splitmix64's mixing (Steele et al. 2014), in turns."""
    x, mask = 0, 2**64 - 1
    for word in words:
        x = (x ^ word) + 0x9E3779B97F4A7C15 & mask
        x = (x ^ x >> 30) * 0xBF58476D1CE4E5B9 & mask
        x = (x ^ x >> 27) * 0x94D049BB133111EB & mask
        x ^= x >> 31
    return x & 0xFFFFFFFF
