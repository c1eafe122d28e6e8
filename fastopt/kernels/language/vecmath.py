"""exp, log and log1p of vectors: <= 2 ulp over the whole range, denormal results included.

Functions of vectors.Vector, used while a kernel is compiled: what they return are instructions. The same operations
in the same order stand in csrc/vecmath.inc.h.
"""

from math import factorial, log

from fastopt.kernels.language.vectors import size_of

# mantissa bits, terms of exp's series, terms of log's, head of log 2 (its product with any exponent
# is exact), magic number that rounds to an integer, exponent bias
_FORMATS = {
    4: (23, 7, 5, 0.693359375, 1.5 * 2**23, 127),
    8: (52, 13, 10, 0.6931471803691238, 1.5 * 2**52, 1023),
}


def _format(x):
    return _FORMATS[size_of(x.type.element)]


def exp(x):
    """e^x = 2^n e^r, |r| <= log(2)/2, with Taylor's series for e^r."""
    mantissa, terms, _, head, magic, bias = _format(x)
    x = x.maximum(-1.05 * (bias + mantissa) * log(2)).minimum(1.05 * bias * log(2))
    shifted = x.times_plus(1 / log(2), magic)
    n = shifted - magic
    r = n.times_plus(-head, x)
    r = n.times_plus(-_tail(x), r)
    p = x.splat(1 / factorial(terms))
    for j in range(terms - 1, -1, -1):
        p = p.times_plus(r, 1 / factorial(j))
    # 2^n in two factors, as n may lie outside the exponents of normal numbers
    n = shifted.bits().minus(x.splat(magic).bits())
    half = n.shift_right(1)
    return p * _power(half, x) * _power(n.minus(half), x)


def _tail(x):
    """log(2) minus its head."""
    mantissa, _, _, head, *_ = _format(x)
    return log(2) - head if mantissa == 23 else 1.9082149292705877e-10


def _power(n, like):
    mantissa, *_, bias = _format(like)
    return n.plus(bias).shift_left(mantissa).as_floats(like)


def natural_log(x):
    """log(2^n m) = n log(2) + log(1 + f), f = m - 1, m in [sqrt(1/2), sqrt(2))."""
    mantissa, *_, bias = _format(x)
    small = x.compare("<", 2.0 ** (1 - bias))
    scaled = (x * 2.0 ** (mantissa + 1)).where(small, x)
    bits = scaled.bits()
    # subtracting the bits of sqrt(1/2) puts the cut between exponents there
    offset = _bits_of_root_half(mantissa)
    n_bits = bits.minus(offset).shift_right(mantissa)
    m = bits.minus(n_bits.shift_left(mantissa)).as_floats(x)
    n = _to_float(n_bits, x) - x.splat(mantissa + 1).where(small, 0)
    result = _log_reduced(m - 1, n)
    result = x.where(x.compare("==", float("inf")), result)
    result = x.splat(float("-inf")).where(x.compare("==", 0), result)
    return x.splat(float("nan")).where(x.compare("<", 0) | x.compare("!=", x), result)


def _log_reduced(f, n):
    """Log(1 + f) + n log(2), as in fdlibm's e_log.c."""
    _, _, terms, head, *_ = _format(f)
    s = f / (f + 2)
    z = s * s
    series = f.splat(2 / (2 * terms + 1))
    for j in range(terms - 1, 0, -1):
        series = series.times_plus(z, 2 / (2 * j + 1))
    half = f * f * 0.5
    small = n.times_plus(_tail(f), s * series.times_plus(z, half))
    return n.times_plus(head, f - (half - small))


def log1p(x):
    """log(1 + x) = log(w) + (x - (w - 1))/w, w = 1 + x rounded."""
    w = x + 1
    correction = ((x - (w - 1)) / w).where(w.compare(">", 0), 0)
    result = natural_log(w) + correction
    return x.where(x.compare("==", float("inf")), result)


def _bits_of_root_half(mantissa):
    return {23: 0x3F3504F3, 52: 0x3FE6A09E667F3BCD}[mantissa]


def _to_float(n, like):
    *_, magic, _ = _format(like)
    return like.splat(magic).bits().plus(n).as_floats(like) - magic
