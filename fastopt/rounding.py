"""The forms of fastopt/storage.py in NumPy: bits to float32 numbers and back, whole arrays at a time.

Kernels have the same in kernels/language/halves.py and csrc/forms.inc.h, bit for bit.
"""

import numpy as np

from fastopt.arrays import half_of
from fastopt.storage import BLOCK, LARGEST, WEYL

_U, _I, _F = np.uint32, np.int32, np.float32
_SIGN, _SIZE, _INF = _U(0x80000000), _U(0x7FFFFFFF), _U(0x7F800000)


def as_float32(array):
    """The numbers of a bfloat16, float16 or float32 array as new float32 numbers, in its shape."""
    half = half_of(array.dtype)
    if half is None:
        return array.astype(_F)
    words = array.view(np.uint16)
    return from_bfloat16(words) if half == "bfloat16" else from_float16(words)


def as_half(x, dtype):
    """Float32 numbers as new ones of a bfloat16 or float16 dtype, rounded to nearest, in their shape and order."""
    code = np.empty_like(x, np.uint16)  # keeps the order of the axes
    code[...] = to_float16(x) if dtype == np.float16 else split(x)[0]
    return code.view(dtype)


def words_of(count, key):
    """uint32: the word of noise of each of the first `count` elements."""
    return np.arange(count, dtype=_U) * _U(WEYL) + _U(key)


def bits_of(x):
    return np.ascontiguousarray(x, _F).view(_U)


def from_bfloat16(code):
    return (code.astype(_U) << _U(16)).view(_F)


def _cut(size, noise):
    """size + noise, but not beyond the largest finite number; inf and NaN as they are."""
    return np.minimum(size + noise, np.maximum(size, _U(LARGEST)))


def to_bfloat16(x, noise):
    """uint16, rounded without bias. noise: uint32 below 2^16."""
    bits = bits_of(x)
    return ((_cut(bits & _SIZE, noise) | bits & _SIGN) >> _U(16)).astype(np.uint16)


def split(x):
    """(high, low): the nearest bfloat16 as uint16, and what the float32 has more as int16."""
    bits = bits_of(x)
    size = bits & _SIZE
    high = (np.minimum(size + _U(0x8000), np.maximum(size, _INF)) | bits & _SIGN) >> _U(16)
    return high.astype(np.uint16), bits.astype(np.uint16).view(np.int16)


def joined(high, low):
    return ((high.astype(_U) << _U(16)) + low.astype(_I).view(_U)).view(_F)


def from_float16(code):
    code = code.astype(_U)
    shifted = (code & _U(0x7FFF)) << _U(13)
    power = shifted & _U(0x0F800000)
    bits = shifted + _U(112 << 23)
    special = bits + _U(112 << 23)
    small = (bits + _U(1 << 23)).view(_F) - _F(2.0**-14)
    size = np.where(power == _U(0x0F800000), special, np.where(power == 0, small.view(_U), bits))
    return (size | (code & _U(0x8000)) << _U(16)).view(_F)


def to_float16(x):
    """uint16, rounded to nearest, ties to even."""
    bits = bits_of(x)
    size = bits & _SIZE
    with np.errstate(all="ignore"):
        small = (size.view(_F) + _F(0.5)).view(_U) - _U(0x3F000000)
    usual = (size + _U(0xC8000FFF) + (size >> _U(13) & _U(1))) >> _U(13)
    large = np.where(size > _INF, _U(0x7E00), _U(0x7C00))
    code = np.where(size >= _U(0x47800000), large, np.where(size < _U(0x38800000), small, usual))
    return (code | bits >> _U(16) & _U(0x8000)).astype(np.uint16)


def _of_elements(bases, count):
    return np.repeat(bases.astype(_U), BLOCK)[:count]


def from_eight(code, bases, signed):
    """float32 from 8-bit codes and the bases of their blocks."""
    code, base = code.astype(_U), _of_elements(bases, code.size)
    if not signed:
        return ((code + base) << _U(20)).view(_F)
    size = code & _U(127)
    sign = (code & _U(128)) << _U(24)
    return (np.where(size > 0, (size + base) << _U(20), _U(0)) | sign).view(_F)


def to_eight(x, noise, signed):
    """(codes uint8, bases int16), rounded without bias. noise: uint32 below 2^20."""
    bits = bits_of(x)
    size, last = bits & _SIZE, 127 if signed else 255
    whole = np.zeros(-(-size.size // BLOCK) * BLOCK, _U)
    whole[: size.size] = size
    top = whole.reshape(-1, BLOCK).max(axis=1)
    bases = np.maximum(((top + _U(0xFFFFF)) >> _U(20)).astype(_I) - last, 0)
    code = (_cut(size, noise) >> _U(20)).astype(_I) - _of_elements(bases, size.size).astype(_I)
    code = np.maximum(code, 0)
    if signed:
        code |= (bits >> _U(24)).astype(_I) & 128
    return code.astype(np.uint8), bases.astype(np.int16)
