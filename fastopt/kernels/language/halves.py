"""The forms of fastopt/storage.py as LLVM code: bits in int32 to bits of a float32 and back, numbers or vectors.

fastopt/rounding.py has the same in NumPy, csrc/forms.inc.h in C, bit for bit.
"""

from llvmlite import ir

from fastopt.storage import LARGEST

SIZE, INF = 0x7FFFFFFF, 0x7F800000


class Bits:
    """Unsigned int32 numbers, or vectors of them, with Python's operators; whole numbers mix in."""

    def __init__(self, builder, value):
        self.builder, self.value = builder, value

    def like(self, number):
        kind = self.value.type
        many = isinstance(kind, ir.VectorType)
        return ir.Constant(kind, [number] * kind.count if many else number)

    def _do(self, name, other):
        other = other.value if isinstance(other, Bits) else self.like(other)
        return Bits(self.builder, getattr(self.builder, name)(self.value, other))

    def __add__(self, other):
        return self._do("add", other)

    def __sub__(self, other):
        return self._do("sub", other)

    def __mul__(self, other):
        return self._do("mul", other)

    def __and__(self, other):
        return self._do("and_", other)

    def __xor__(self, other):
        return self._do("xor", other)

    def __or__(self, other):
        return self._do("or_", other)

    def __lshift__(self, other):
        return self._do("shl", other)

    def __rshift__(self, other):
        return self._do("lshr", other)

    def _compare(self, operation, other, compare="icmp_unsigned"):
        other = other.value if isinstance(other, Bits) else self.like(other)
        return getattr(self.builder, compare)(operation, self.value, other), other

    def where(self, operation, number, yes, no):
        """`yes` where self compares so with a number, else `no`."""
        mask, _ = self._compare(operation, number)
        yes, no = (x.value if isinstance(x, Bits) else self.like(x) for x in (yes, no))
        return Bits(self.builder, self.builder.select(mask, yes, no))

    def maximum(self, other):
        more, other = self._compare(">", other)
        return Bits(self.builder, self.builder.select(more, self.value, other))

    def above_zero(self):
        """self, or 0 where it is a negative int32."""
        more, zero = self._compare(">", 0, "icmp_signed")
        return Bits(self.builder, self.builder.select(more, self.value, zero))

    def floats(self):
        kind = self.value.type
        many = isinstance(kind, ir.VectorType)
        return self.builder.bitcast(
            self.value, ir.VectorType(ir.FloatType(), kind.count) if many else ir.FloatType()
        )

    def plus_float(self, number):
        """The bits of the float32 number whose bits self has, plus a number."""
        x = self.floats()
        many = isinstance(x.type, ir.VectorType)
        other = ir.Constant(x.type, [number] * x.type.count if many else number)
        return Bits(self.builder, self.builder.bitcast(self.builder.fadd(x, other), self.value.type))


def noisy(bits, noise, places):
    """bits + noise, which is below 2^places and carries into the bits above, but not beyond the largest finite number; inf and
    NaN as they are. What a cut leaves of numbers that have its last code is that code with noise and without."""
    return bits + (bits & SIZE).where("<", LARGEST >> places << places, noise, 0)


def to_bfloat16(bits, noise):
    return noisy(bits, noise, 16) >> 16


def split(bits):
    """(high, low): the nearest bfloat16, and what the float32 has more in its lower 16 bits."""
    return (bits + (bits & SIZE).where(">", INF, 0, 0x8000)) >> 16, bits


def from_float16(code):
    shifted = (code & 0x7FFF) << 13
    power = shifted & 0x0F800000
    bits = shifted + (112 << 23)
    small = (bits + (1 << 23)).plus_float(-(2.0**-14))
    size = power.where("==", 0x0F800000, bits + (112 << 23), power.where("==", 0, small, bits))
    return size | ((code & 0x8000) << 16)


def to_float16(bits):
    size = bits & SIZE
    small = size.plus_float(0.5) - 0x3F000000
    usual = (size + 0xC8000FFF + ((size >> 13) & 1)) >> 13
    large = size.where(">", INF, 0x7E00, 0x7C00)
    code = size.where(">=", 0x47800000, large, size.where("<", 0x38800000, small, usual))
    return code | ((bits >> 16) & 0x8000)


def from_eight(code, base, signed):
    if not signed:
        return (code + base) << 20
    size = code & 127
    return size.where(">", 0, (size + base) << 20, 0) | ((code & 128) << 24)


def to_eight(bits, base, noise, signed):
    code = (((noisy(bits, noise, 20) & SIZE) >> 20) - base).above_zero()
    return code | ((bits >> 24) & 128) if signed else code
