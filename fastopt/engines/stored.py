"""A step on numbers of few bits (fastopt/storage.py) in NumPy: decoded, the formula as it is written, encoded."""

from collections import deque
from operator import setitem

import numpy as np

from fastopt import native, rounding
from fastopt.rules import in_dtype
from fastopt.rules.limits import held
from fastopt.storage import noise_keys

_FLOAT32 = np.dtype(np.float32)
_EXPONENT = {"bfloat16": 0x7F80, "float16": 0x7C00}


def bind_step(rule, table, present):
    """As engines/numpy.py's. present(table): the arrays that have a gradient this time."""
    stored = table.stored
    words = [p if p.dtype == _FLOAT32 else p.view(np.uint16) for p in table.parameters]
    first_slot, places = stored.parameter in ("bfloat16", "float16"), stored.places()

    def new_values(j, keys):
        """The new parameter and pieces of array j, in their order."""
        pieces = [piece[j] for piece in table.slots]
        p = _parameter(stored.parameter, words[j], pieces[0] if first_slot else None)
        s = [_slot(form, pieces, at) for form, at in zip(stored.slots, places, strict=True)]
        k, g = in_dtype(table.k_of(j), _FLOAT32), gradient(table, j)
        p, s = rule.update(rule, k, p, g, tuple(s))
        noise = [rounding.words_of(p.size, key) for key in keys[j]]
        found = _encoded_parameter(stored.parameter, p, noise[2])
        for slot, (form, x) in enumerate(zip(stored.slots, s, strict=True)):
            found += _encoded_slot(form, x, noise[slot // 2], slot % 2)
        return found

    def run(check):
        there = present(table)
        if check and (bad := first_bad(table, there)) >= 0:
            return bad
        keys = noise_keys(table.noise, table.clock[0] + 1)
        with np.errstate(all="ignore"), native.denormals_flushed():
            new = [new_values(j, keys) for j in there]
        written = [a for j in there for a in (words[j], *(piece[j] for piece in table.slots))]
        # One call of C, within which no Ctrl-C is looked at: all of it is written, or nothing.
        values = [*(a for each in new for a in each), table.clock[0] + 1]
        deque(map(setitem, [*written, table.clock], [*[...] * len(written), 0], values), maxlen=0)
        return -1

    return run


def gradient(table, j):
    """The gradient of array j as float32 numbers, times the table's factors."""
    unit, scale, most = table.factors[j].astype(np.float32)
    return held(rounding.as_float32(table.flat_gradient(j)) * unit * scale, most)


def first_bad(table, present):
    """The first of these arrays whose gradient has NaN or inf, or -1."""
    for j in present:
        g = table.flat_gradient(j)
        if table.stored.gradient == "float32":
            bad = not np.isfinite(g).all()
        else:
            exponent = np.uint16(_EXPONENT[table.stored.gradient])
            bad = bool(((g.view(np.uint16) & exponent) == exponent).any())
        if bad:
            return j
    return -1


def _parameter(form, words, beside):
    if form == "float32":
        return words
    if form == "rounded":
        return rounding.from_bfloat16(words)
    if form == "bfloat16":
        return rounding.joined(words, beside)
    return np.where(rounding.to_float16(beside) == words, beside, rounding.from_float16(words))


def _encoded_parameter(form, p, noise):
    if form == "float32":
        return [p]
    if form == "rounded":
        return [rounding.to_bfloat16(p, noise >> np.uint32(16))]
    if form == "bfloat16":
        return list(rounding.split(p))
    return [rounding.to_float16(p), p]


def _slot(form, pieces, at):
    if form == "float32":
        return pieces[at]
    if form == "bfloat16":
        return rounding.from_bfloat16(pieces[at])
    return rounding.from_eight(pieces[at], pieces[at + 1], form == "signed8")


def _encoded_slot(form, x, word, upper):
    if form == "float32":
        return [x]
    if form == "bfloat16":
        return [rounding.to_bfloat16(x, word >> np.uint32(16) if upper else word & np.uint32(0xFFFF))]
    noise = word >> np.uint32(12) if upper else word << np.uint32(4) & np.uint32(0xFFFFF)
    return list(rounding.to_eight(x, noise, form == "signed8"))
