"""LLVM vectors with Python's operators, for code that writes vector instructions itself.

Written by hand because the compiler prefers half-wide vectors on machines with 512-bit ones and
handles a remainder of the features element by element.
"""

import os
import platform

from llvmlite import binding, ir
from numba.core import config

_MACHINE = platform.machine().lower()
X86 = _MACHINE in ("x86_64", "amd64", "i386", "i686")
# The variable that the C library reads too; the rest of Numba's code follows NUMBA_CPU_FEATURES.
_DISABLED = os.environ.get("FASTOPT_DISABLE_CPU_FEATURES", "").replace(",", " ").split()


def _features():
    """Names of the features that Numba compiles for."""
    if config.CPU_FEATURES is not None:
        return {name[1:] for name in config.CPU_FEATURES.split(",") if name.startswith("+")}
    return {name for name, there in binding.get_host_cpu_features().items() if there}


_FEATURES = _features()


def _has(feature, name):
    return feature in _FEATURES and name not in _DISABLED


# A vector has the lanes of the widest machine on every machine, so that sums over lanes have one order; LLVM
# takes several registers for it where they are narrower. REGISTER_BYTES: for the tiles, which count registers.
VECTOR_BYTES = 64
REGISTER_BYTES = 64 if _has("avx512f", "avx512") else 32 if _has("avx", "avx2") else 16
REGISTERS = 32 if REGISTER_BYTES == 64 or _MACHINE in ("aarch64", "arm64") else 16

INT16, INT32, INT64 = ir.IntType(16), ir.IntType(32), ir.IntType(64)
_SIZES = {"float": 4, "double": 8, "i8": 1, "i16": 2, "i32": 4, "i64": 8}


def size_of(element):
    return _SIZES[str(element)]


def lanes_of(element):
    return VECTOR_BYTES // size_of(element)


def vector_type(element):
    return ir.VectorType(element, lanes_of(element))


def register_type(element):
    """As much of a vector as a register holds."""
    return ir.VectorType(element, REGISTER_BYTES // size_of(element))


class Vector:
    """A vector value; numbers and scalars of its element type mix in.

    Each operation rounds: the compiler fuses none. Where products and sums are to be fused, `times_plus` says so.
    """

    def __init__(self, builder, value):
        self.builder, self.value = builder, value
        self.type = value.type

    def splat(self, number):
        return splat(self.builder, self.type, number)

    def _value(self, other):
        return other.value if isinstance(other, Vector) else self.splat(other).value

    def _do(self, name, a, b):
        return Vector(self.builder, getattr(self.builder, name)(a, b))

    def __add__(self, other):
        return self._do("fadd", self.value, self._value(other))

    def __sub__(self, other):
        return self._do("fsub", self.value, self._value(other))

    def __rsub__(self, other):
        return self._do("fsub", self._value(other), self.value)

    def __mul__(self, other):
        return self._do("fmul", self.value, self._value(other))

    def __truediv__(self, other):
        return self._do("fdiv", self.value, self._value(other))

    def __rtruediv__(self, other):
        return self._do("fdiv", self._value(other), self.value)

    __radd__, __rmul__ = __add__, __mul__

    def times_plus(self, factor, other):
        """self * factor + other, rounded once; by software where the CPU has no such instruction."""
        given = [self.value, self._value(factor), self._value(other)]
        return Vector(self.builder, intrinsic_call(self.builder, "fma", *given))

    def __neg__(self):
        return Vector(self.builder, self.builder.fneg(self.value))

    def compare(self, operation, other):
        """A mask; false where one of the two is NaN, but != is true there."""
        kind = self.builder.fcmp_unordered if operation == "!=" else self.builder.fcmp_ordered
        return Vector(self.builder, kind(operation, self.value, self._value(other)))

    def where(self, mask, other):
        """self where the mask is set, else other."""
        return Vector(self.builder, self.builder.select(mask.value, self.value, self._value(other)))

    def maximum(self, other):
        other = Vector(self.builder, self._value(other))
        return other.where(other.compare(">", self) | other.compare("!=", other), self)

    def minimum(self, other):
        other = Vector(self.builder, self._value(other))
        return other.where(other.compare("<", self) | other.compare("!=", other), self)

    def __or__(self, other):
        return Vector(self.builder, self.builder.or_(self.value, other.value))

    def call(self, name):
        """An intrinsic of LLVM with one argument, such as "sqrt" or "fabs"."""
        return Vector(self.builder, intrinsic_call(self.builder, name, self.value))

    # integers

    def bits(self):
        element = ir.IntType(8 * size_of(self.type.element))
        to = ir.VectorType(element, self.type.count)
        return Vector(self.builder, self.builder.bitcast(self.value, to))

    def as_floats(self, like):
        return Vector(self.builder, self.builder.bitcast(self.value, like.type))

    def plus(self, number):
        return self._do("add", self.value, self._value(number))

    def shift_left(self, count):
        return self._do("shl", self.value, self._value(count))

    def shift_right(self, count):
        return self._do("ashr", self.value, self._value(count))

    def masked(self, number):
        return self._do("and_", self.value, self._value(number))

    def minus(self, other):
        return self._do("sub", self.value, self._value(other))

    def unsigned_maximum(self, other):
        greater = self.builder.icmp_unsigned(">", self.value, other.value)
        return Vector(self.builder, self.builder.select(greater, self.value, other.value))

    # lanes

    def shuffled(self, other, lanes):
        """The lanes of these numbers, of self followed by other."""
        mask = ir.Constant(ir.VectorType(INT32, len(lanes)), lanes)
        return Vector(self.builder, self.builder.shuffle_vector(self.value, other.value, mask))

    def lane(self, i):
        return self.builder.extract_element(self.value, ir.Constant(INT32, i))

    def lanes(self, begin, end):
        """Lanes [begin, end) as a shorter vector."""
        return self.shuffled(self, list(range(begin, end)))


def splat(builder, vector, number):
    """A vector of equal lanes, from a Python number or from a scalar."""
    if isinstance(number, ir.Value) and not isinstance(number, ir.Constant):
        none = ir.Constant(vector, ir.Undefined)
        first = builder.insert_element(none, number, ir.Constant(INT32, 0))
        zeros = ir.Constant(ir.VectorType(INT32, vector.count), [0] * vector.count)
        return Vector(builder, builder.shuffle_vector(first, none, zeros))
    constant = number.constant if isinstance(number, ir.Constant) else number
    if not isinstance(vector.element, ir.IntType):
        constant = float(constant)
    return Vector(builder, ir.Constant(vector, [constant] * vector.count))


def intrinsic_call(builder, name, *args, result=None):
    suffix = {"float": "f32", "double": "f64"}
    parts = [f"v{args[0].type.count}{suffix[str(args[0].type.element)]}"]
    function_type = ir.FunctionType(result or args[0].type, [a.type for a in args])
    return builder.call(declare(builder.module, function_type, ".".join(["llvm", name, *parts])), args)


def declare(module, function_type, name):
    found = module.globals.get(name)
    return found if found is not None else ir.Function(module, function_type, name)


def pointer(builder, address, element, index=None):
    """A typed pointer to element `index` at an integer address."""
    base = builder.inttoptr(address, element.as_pointer())
    return base if index is None else builder.gep(base, [index])


def load(builder, address, vector, index=None):
    where = pointer(builder, address, vector.element, index)
    where = builder.bitcast(where, vector.as_pointer())
    return Vector(builder, builder.load(where, align=size_of(vector.element)))


def store(vector, address, index=None):
    builder = vector.builder
    where = pointer(builder, address, vector.type.element, index)
    where = builder.bitcast(where, vector.type.as_pointer())
    builder.store(vector.value, where, align=size_of(vector.type.element))


def first_lanes(builder, vector, count):
    """A mask of the first `count` lanes (any int64)."""
    n = vector.count
    low, high = ir.Constant(INT64, 0), ir.Constant(INT64, n)
    count = builder.select(builder.icmp_signed("<", count, low), low, count)
    count = builder.trunc(builder.select(builder.icmp_signed("<", count, high), count, high), INT32)
    numbers = ir.Constant(ir.VectorType(INT32, n), list(range(n)))
    limit = splat(builder, ir.VectorType(INT32, n), count)
    return Vector(builder, builder.icmp_signed("<", numbers, limit.value))


def load_masked(builder, address, vector, index, mask):
    """Lanes outside the mask are not read and are 0."""
    where = pointer(builder, address, vector.element, index)
    where = builder.bitcast(where, vector.as_pointer())
    align, zero = ir.Constant(INT32, size_of(vector.element)), ir.Constant(vector, None)
    function_type = ir.FunctionType(vector, [where.type, INT32, mask.type, vector])
    name = f"llvm.masked.load.{_mangled(vector)}.p0"
    function = declare(builder.module, function_type, name)
    return Vector(builder, builder.call(function, [where, align, mask.value, zero]))


def store_masked(vector, address, index, mask):
    builder = vector.builder
    where = pointer(builder, address, vector.type.element, index)
    where = builder.bitcast(where, vector.type.as_pointer())
    align = ir.Constant(INT32, size_of(vector.type.element))
    function_type = ir.FunctionType(ir.VoidType(), [vector.type, where.type, INT32, mask.type])
    name = f"llvm.masked.store.{_mangled(vector.type)}.p0"
    function = declare(builder.module, function_type, name)
    builder.call(function, [vector.value, where, align, mask.value])


def _mangled(vector):
    return (
        f"v{vector.count}" + {"float": "f32", "double": "f64", "i8": "i8", "i16": "i16"}[str(vector.element)]
    )


def prefetch(builder, address, offset, level=2):
    """Ask for the line that holds the byte, for the cache of a level."""
    where = pointer(builder, address, ir.IntType(8), offset)
    kinds = [ir.Constant(INT32, v) for v in (0, 4 - level, 1)]
    function_type = ir.FunctionType(ir.VoidType(), [where.type, INT32, INT32, INT32])
    builder.call(declare(builder.module, function_type, "llvm.prefetch.p0"), [where, *kinds])


def loop(builder, begin, end, step, carried, body):
    """carried = body(i, carried) for i in range(begin, end, step); returns the last carried."""
    before = builder.block
    head, inside, after = (builder.append_basic_block(n) for n in ("head", "body", "after"))
    builder.branch(head)
    builder.position_at_end(head)
    i = builder.phi(INT64)
    i.add_incoming(begin, before)
    values = []
    for start in carried:
        phi = builder.phi(start.type)
        phi.add_incoming(start.value, before)
        values.append(phi)
    builder.cbranch(builder.icmp_signed("<", i, end), inside, after)
    builder.position_at_end(inside)
    results = body(i, [Vector(builder, v) for v in values])
    i.add_incoming(builder.add(i, ir.Constant(INT64, step)), builder.block)
    for phi, result in zip(values, results, strict=True):
        phi.add_incoming(result.value, builder.block)
    builder.branch(head)
    builder.position_at_end(after)
    return [Vector(builder, v) for v in values]
