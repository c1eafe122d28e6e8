"""What an array or a number must be before a kernel sees it, and the errors where it is not."""

from numbers import Real
from typing import Any

import numpy as np

from fastopt.native import address

_PLAIN = 0x1 | 0x100  # NumPy's C_CONTIGUOUS and ALIGNED, in one look
FLOATS = (np.dtype(np.float32), np.dtype(np.float64))
_UNMASK = "pass array.filled(0), or array.data if the mask has no meaning here"
# A bfloat16 for who has no ml_dtypes: its 16 bits in a field of that name.
BFLOAT16 = np.dtype([("bfloat16", "u2")])
NAMES = {dtype: dtype.name for dtype in FLOATS}  # dtype.name takes 2 us


def aligned_zeros(size, dtype, make=np.zeros):
    """Zeros that start at a cache line: NumPy's own start at 16 bytes, and 64-byte loads straddle."""
    dtype = np.dtype(dtype)
    buffer = make(size + 64 // dtype.itemsize, dtype)
    skip = -address(buffer) % 64 // dtype.itemsize
    return buffer[skip : skip + size]


def aligned_empty(size, dtype):
    return aligned_zeros(size, dtype, np.empty)


def checked_number(value, name, what="a number, at least 0"):
    """As a float, or a TypeError that names the argument."""
    try:
        return float(value)
    except (TypeError, ValueError):
        raise TypeError(f"{name} must be {what}, not {value!r:.60}") from None


def checked_l2(value):
    """The factor of the penalty on W."""
    number = checked_number(value, "l2")
    if not 0 <= number < float("inf"):
        raise ValueError(f"l2 must be a number, at least 0, not {value!r}")
    return number


def is_plain(array):
    """One stretch of memory in C order that a kernel can walk."""
    return array.flags.num & _PLAIN == _PLAIN


def axes_in_memory(array):
    """The order of the axes in which the array is one stretch of memory in C order, or None.

    (0, 1) of a C-ordered matrix, (1, 0) of a Fortran-ordered one.
    """
    axes = tuple(range(array.ndim))
    if not is_plain(array):
        axes = tuple(sorted(axes, key=lambda j: (-array.strides[j], j)))
    return axes if is_plain(array.transpose(axes)) else None


def in_shape(flat, shape, axes):
    """A flat array as a view of this shape that lies in memory in this order of the axes (None: C order)."""
    if axes is None:
        return flat.reshape(shape)
    return flat.reshape([shape[j] for j in axes]).transpose(np.argsort(axes))


def half_of(dtype):
    """ "bfloat16" (of ml_dtypes, or BFLOAT16), "float16", or None for any other dtype."""
    if dtype.itemsize != 2 or not dtype.isnative:
        return None
    if dtype == np.float16:
        return "float16"
    return "bfloat16" if dtype == BFLOAT16 or dtype.name == "bfloat16" else None


def bfloat16():
    """The dtype of new bfloat16 arrays: that of ml_dtypes, which NumPy can calculate with, or BFLOAT16 without it."""
    try:
        import ml_dtypes  # type: ignore[import-not-found, unused-ignore]
    except ImportError:
        return BFLOAT16
    return np.dtype(ml_dtypes.bfloat16)


def computed_in(dtype):
    """The dtype of the arithmetic on numbers of a parameter's dtype: float32 for halves."""
    return np.dtype(np.float32) if half_of(dtype) else dtype


def bfloat16_view(bits):
    """An array of 16-bit integers that are bfloat16 numbers, such as a torch tensor's memory, as one of BFLOAT16.

    The same memory: bfloat16_view(tensor.detach().view(torch.int16).numpy()).
    """
    if not isinstance(bits, np.ndarray) or bits.dtype not in (np.uint16, np.int16):
        raise TypeError(
            f"bits must be an array of uint16 or int16, not {getattr(bits, 'dtype', type(bits).__name__)}"
        )
    return bits.view(BFLOAT16)


def is_masked(array):
    """Whether it is a masked array. Plain ones are not asked: numpy.ma, which NumPy imports on use, takes 10 ms."""
    return type(array) is not np.ndarray and isinstance(array, np.ma.MaskedArray)


def check_unmasked(array, name):
    """Raise for a masked array with an entry under its mask, which nobody would see."""
    if is_masked(array) and np.ma.is_masked(array):
        raise TypeError(f"{name} is a masked array, whose mask would not be seen: {_UNMASK}")


def check_parameter(array, name, halves=False):
    """Raise unless the array can be updated in place. halves: bfloat16 and float16 are taken as well."""
    if is_masked(array):
        raise TypeError(f"{name} is a masked array; a step would write under its mask: {_UNMASK}")
    if not isinstance(array, np.ndarray):
        hint = " (a torch tensor: pass t.detach().numpy())" if hasattr(array, "detach") else ""
        raise TypeError(f"{name} must be a NumPy array, not {type(array).__name__}{hint}")
    if not (halves and half_of(array.dtype)):
        check_float(array, name)
    if not array.flags.writeable:
        raise ValueError(f"{name} is read-only; it is updated in place: pass a writable array")
    if not is_plain(array) and _overlaps_itself(array):
        raise ValueError(f"{name} overlaps itself in memory (a broadcast view?); pass a copy")


def check_float(array, name):
    dtype = array.dtype
    if dtype in FLOATS and dtype.isnative:
        return
    if not dtype.isnative and dtype.newbyteorder("=") in FLOATS:
        fix = f"convert it: array.astype({dtype.newbyteorder('=').name!r})"
        raise TypeError(f"{name} has the other byte order ({dtype.str}); {fix}")
    if dtype == np.float16:
        fix = "float16 has too few digits for updates; keep a float32 master copy"
    else:
        fix = "convert it: array.astype('float32') or 'float64'"
    raise TypeError(f"{name} must be float32 or float64, not {dtype}; {fix}")


def check_gradient(g, parameter, name):
    """The gradient as an array, or an error that says what it should have been."""
    if isinstance(g, np.generic):
        g = np.asarray(g)
    if is_masked(g):
        raise TypeError(f"{name} is a masked array, whose mask a step would not see: {_UNMASK}")
    if not isinstance(g, np.ndarray):
        hint = " (a torch tensor: pass t.detach().numpy())" if hasattr(g, "detach") else ""
        raise TypeError(f"{name} must be a NumPy array, not {type(g).__name__}{hint}")
    half = half_of(parameter.dtype)
    if half and half_of(g.dtype) == half:
        g = g.view(parameter.dtype)
    if g.dtype != parameter.dtype:
        fix = f"convert it: g.astype({half or parameter.dtype.name!r})"
        raise TypeError(
            f"{name} is {half_of(g.dtype) or g.dtype}, its parameter {half or parameter.dtype}; {fix}"
        )
    if g.shape != parameter.shape:
        raise ValueError(f"{name} has shape {g.shape}, its parameter {parameter.shape}")
    return g


def span(array):
    """(begin, end) in memory of an array in one piece."""
    begin = address(array)
    return begin, begin + array.nbytes


def meet(a, b):
    """Whether two spans share memory; an empty one shares none. np.may_share_memory takes 1 us more."""
    return max(a[0], b[0]) < min(a[1], b[1])


def check_apart(arrays, names):
    """Raise if two of the arrays share memory."""
    spans = sorted((*np.lib.array_utils.byte_bounds(a), i) for i, a in enumerate(arrays) if a.size)
    reach = []  # arrays that may still reach into the next one
    for begin, end, i in spans:
        reach = [(e, j) for e, j in reach if e > begin]
        for _, j in reach:
            if _share(arrays[i], arrays[j]):
                raise ValueError(f"{names[j]} and {names[i]} overlap in memory; pass copies")
        reach.append((end, i))


def _share(a, b):
    try:
        return np.shares_memory(a, b, max_work=100_000)  # type: ignore[arg-type]
    except np.exceptions.TooHardError:
        return True


def _overlaps_itself(array):
    """Whether two indices may lead to one element: a stride that does not step over the inner axes."""
    if array.size == 0:
        return False
    extent = array.itemsize
    for stride, size in sorted((abs(s), n) for s, n in zip(array.strides, array.shape, strict=True) if n > 1):
        if stride < extent:
            return True
        extent = stride * size
    return False


def checked_whole(value: Any, name: str, least: int) -> int:
    """As an int, or a ValueError that names the argument."""
    if isinstance(value, bool) or not isinstance(value, Real) or value < least or value % 1 != 0:
        raise ValueError(f"{name} must be a whole number, at least {least}, not {value!r}")
    return int(value)  # type: ignore[call-overload]
