"""A step on numbers of few bits (fastopt/storage.py): decoded, used and encoded in registers, in one pass.

An 8-bit code needs the largest number of its block first: new slots of this form wait for it, 256 at a time, in the
first cache. Everything about threads, chunks and NaN is elementwise.py's, which calls what is overloaded here.
"""

import numpy as np
from llvmlite import ir
from numba.core import cgutils, types
from numba.extending import intrinsic, overload, register_model

from fastopt.kernels.language import halves
from fastopt.kernels.language import vectors as v
from fastopt.kernels.language.compile import kernel
from fastopt.kernels.language.formula import Formula, FormulaModel, formula_type
from fastopt.kernels.language.halves import Bits
from fastopt.kernels.language.memory import read
from fastopt.kernels.step import elementwise
from fastopt.kernels.step.elementwise import chunk_of, read_address, tell_apart, update
from fastopt.storage import BLOCK, MIX, STEP, WEYL, WORDS

_FLOAT, _INT8, _INT16, _INT32, _INT64 = ir.FloatType(), *(ir.IntType(n) for n in (8, 16, 32, 64))
_EXPONENTS = {"bfloat16": 0x7F80, "float16": 0x7C00}
_LANES = 16  # that are encoded together


class StoredFormula(Formula):
    """A formula whose numbers are float32, on arrays in other forms."""

    def __init__(self, formula, stored):
        super().__init__(formula.reference, "float32", formula.coefficients)
        self.stored, self.gradient, self.places = stored, stored.gradient, stored.places()
        self.pieces = len(stored.pieces(range(len(stored.slots))))
        self.eights = [j for j, form in enumerate(stored.slots) if form.endswith("8")]
        self.name = f"Stored({self.name}, {', '.join((stored.parameter, *stored.slots))})"


register_model(StoredFormula)(FormulaModel)


def stored_type(cls, stored, coefficients=0):
    return StoredFormula(formula_type(cls, "float32", coefficients), stored)


# ---- single elements ----


class _Memory:
    """Loads and stores of one element, told apart by the array they are of."""

    def __init__(self, builder, h, addresses, i):
        self.builder, self.addresses, self.i = builder, addresses, i
        self.count = 2 + h.pieces + 1  # the last: room

    def _pointer(self, which, kind, i, address=None):
        address = self.builder.extract_value(self.addresses, which) if address is None else address
        base = self.builder.inttoptr(address, kind.as_pointer())
        return self.builder.gep(base, [self.i if i is None else i])

    def load(self, which, kind, i=None):
        """Numbers of less than 32 bits as int32, without a sign."""
        value = self.builder.load(self._pointer(which, kind, i))
        tell_apart(value, self.builder.module, which, self.count)
        return value

    def bits(self, which, kind, i=None):
        return Bits(self.builder, self.builder.zext(self.load(which, kind, i), _INT32))

    def store(self, which, value, i=None, room=None):
        instruction = self.builder.store(value, self._pointer(which, value.type, i, room))
        tell_apart(instruction, self.builder.module, which, self.count)

    def store_bits(self, which, bits, kind):
        self.store(which, self.builder.trunc(bits.value, kind))

    def float_bits(self, value):
        return Bits(self.builder, self.builder.bitcast(value, _INT32))


def _gradient(memory, form):
    if form == "float32":
        return memory.load(1, _FLOAT)
    code = memory.bits(1, _INT16)
    return (code << 16 if form == "bfloat16" else halves.from_float16(code)).floats()


def _parameter(memory, form):
    if form == "float32":
        return memory.load(0, _FLOAT)
    code = memory.bits(0, _INT16)
    if form == "rounded":
        return (code << 16).floats()
    if form == "bfloat16":
        low = memory.builder.sext(memory.load(2, _INT16), _INT32)
        return ((code << 16) + Bits(memory.builder, low)).floats()
    master = memory.load(2, _FLOAT)
    same = memory.builder.icmp_unsigned("==", halves.to_float16(memory.float_bits(master)).value, code.value)
    return memory.builder.select(same, master, halves.from_float16(code).floats())


def _slot(memory, form, at, block):
    if form == "float32":
        return memory.load(at, _FLOAT)
    if form == "bfloat16":
        return (memory.bits(at, _INT16) << 16).floats()
    base = memory.bits(at + 1, _INT16, block)
    return halves.from_eight(memory.bits(at, _INT8), base, form == "signed8").floats()


@intrinsic
def _load(typing, h, addresses, begin, i):
    """p, g and the slots of element i of the block that begins at element `begin`, as float32."""
    stored = h.stored
    result = types.UniTuple(types.float32, 2 + len(stored.slots))

    def codegen(context, builder, signature, args):
        memory = _Memory(builder, h, args[1], args[3])
        block = builder.lshr(args[2], ir.Constant(_INT64, BLOCK.bit_length() - 1))
        values = [_parameter(memory, stored.parameter), _gradient(memory, stored.gradient)]
        values += [
            _slot(memory, form, 2 + at, block) for form, at in zip(stored.slots, h.places, strict=True)
        ]
        return context.make_tuple(builder, result, values)

    return result(h, addresses, begin, i), codegen


def _word(builder, key, i):
    """The word of noise of element i; i: an int32, or a vector of them."""
    return i * WEYL + key


def _half(word, slot):
    return word >> 16 if slot % 2 else word & 0xFFFF


def _twenty(word, slot):
    return word >> 12 if slot % 2 else (word << 4) & 0xFFFFF


@intrinsic
def _store(typing, h, addresses, room, keys, begin, i, p, s):
    """Write p and the slots of element i; those of 8 bits as float32 to the room of their block."""
    stored = h.stored
    given = (p, *s.types)
    if any(t != types.float32 for t in given) or len(s) != len(stored.slots):
        raise TypeError(
            f"update() of {h.reference.split('#')[0]} must return (p, slots) with {len(stored.slots)} slots, all "
            f"float32, not {given}: a literal or an integer in the formula changes the type; make it a coefficient"
        )

    def codegen(context, builder, signature, args):
        _, addresses, room, keys, begin, i, p, s = args
        memory, number = _Memory(builder, h, addresses, i), Bits(builder, builder.trunc(i, _INT32))
        words = [_word(builder, Bits(builder, builder.extract_value(keys, q)), number) for q in range(WORDS)]
        bits, last = memory.float_bits(p), 2 + h.pieces
        if stored.parameter == "float32":
            memory.store(0, p)
        elif stored.parameter == "rounded":
            memory.store_bits(0, halves.to_bfloat16(bits, words[2] >> 16), _INT16)
        elif stored.parameter == "bfloat16":
            for which, part in zip((0, 2), halves.split(bits), strict=True):
                memory.store_bits(which, part, _INT16)
        else:
            memory.store_bits(0, halves.to_float16(bits), _INT16)
            memory.store(2, p)
        for slot, (form, at) in enumerate(zip(stored.slots, h.places, strict=True)):
            value = builder.extract_value(s, slot)
            if form == "float32":
                memory.store(2 + at, value)
            elif form == "bfloat16":
                code = halves.to_bfloat16(memory.float_bits(value), _half(words[slot // 2], slot))
                memory.store_bits(2 + at, code, _INT16)
            else:
                place = builder.add(builder.sub(i, begin), ir.Constant(_INT64, BLOCK * h.eights.index(slot)))
                memory.store(last, value, place, room)
        return context.get_dummy_value()

    return types.void(h, addresses, room, keys, begin, i, p, s), codegen


# ---- blocks of 8-bit codes ----


@intrinsic
def _encode(typing, h, addresses, room, keys, begin, count):
    """Write the codes and the bases of a block of so many elements from its room."""

    def codegen(context, builder, signature, args):
        _, addresses, room, keys, begin, count = args
        for number, slot in enumerate(h.eights):
            key = Bits(builder, builder.extract_value(keys, slot // 2))
            at, signed = 2 + h.places[slot], h.stored.slots[slot] == "signed8"
            where = builder.add(room, ir.Constant(_INT64, 4 * BLOCK * number))
            code, base = (builder.extract_value(addresses, at + j) for j in (0, 1))
            _encode_slot(builder, where, code, base, begin, count, key, slot, signed)
        return context.get_dummy_value()

    return types.void(h, addresses, room, keys, begin, count), codegen


def _encode_slot(builder, room, code, bases, begin, count, key, slot, signed):
    ints, floats = ir.VectorType(_INT32, _LANES), ir.VectorType(_FLOAT, _LANES)
    zero, full = ir.Constant(_INT64, 0), builder.and_(count, ir.Constant(_INT64, -_LANES))

    def bits_at(i, mask):
        x = (
            v.load(builder, room, floats, i)
            if mask is None
            else v.load_masked(builder, room, floats, i, mask)
        )
        return Bits(builder, builder.bitcast(x.value, ints))

    def masked(body):
        return lambda i, carried: body(i, carried, v.first_lanes(builder, ints, builder.sub(count, i)))

    def over_all(carried, body):
        carried = v.loop(builder, zero, full, _LANES, carried, lambda i, c: body(i, c, None))
        return v.loop(builder, full, count, _LANES, carried, masked(body))

    def largest(i, carried, mask):
        size = bits_at(i, mask) & halves.SIZE
        return [v.Vector(builder, Bits(builder, carried[0].value).maximum(size).value)]

    (top,) = over_all([v.Vector(builder, ir.Constant(ints, None))], largest)
    width = _LANES
    while width > 1:
        width //= 2
        low, high = top.lanes(0, width), top.lanes(width, 2 * width)
        top = v.Vector(builder, Bits(builder, low.value).maximum(Bits(builder, high.value)).value)
    base = (((Bits(builder, top.lane(0)) + 0xFFFFF) >> 20) - (127 if signed else 255)).above_zero()
    block = builder.lshr(begin, ir.Constant(_INT64, BLOCK.bit_length() - 1))
    builder.store(builder.trunc(base.value, _INT16), v.pointer(builder, bases, _INT16, block))

    wide_base, wide_key = (Bits(builder, v.splat(builder, ints, x.value).value) for x in (base, key))
    lanes = Bits(builder, ir.Constant(ints, list(range(_LANES))))

    def encode(i, carried, mask):
        i_all = builder.add(begin, i)
        number = Bits(builder, v.splat(builder, ints, builder.trunc(i_all, _INT32)).value) + lanes
        noise = _twenty(_word(builder, wide_key, number), slot)
        codes = halves.to_eight(bits_at(i, mask), wide_base, noise, signed)
        codes = v.Vector(builder, builder.trunc(codes.value, ir.VectorType(_INT8, _LANES)))
        if mask is None:
            v.store(codes, code, i_all)
        else:
            v.store_masked(codes, code, i_all, mask)
        return []

    over_all([], encode)


# ---- what elementwise.py calls ----


@intrinsic
def _addresses(typing, h, p, g, s, arrays, array):
    """Where the parameter, the gradient and the pieces of an array begin."""
    result = types.UniTuple(types.int64, 2 + h.pieces)

    def codegen(context, builder, signature, args):
        _, p, g, s, arrays, array = args
        values = [read_address(builder, p, array), read_address(builder, g, array)]
        for j in range(h.pieces):
            row = builder.mul(arrays, ir.Constant(_INT64, j))
            values.append(read_address(builder, s, builder.add(row, array)))
        return context.make_tuple(builder, result, values)

    return result(h, p, g, s, arrays, array), codegen


@intrinsic
def _noise_keys(typing, noise, array, t):
    """The keys of an array's words of noise at step t."""
    result = types.UniTuple(types.uint32, WORDS)

    def codegen(context, builder, signature, args):
        noise, array, t = args
        step = Bits(builder, builder.trunc(t, _INT32)) * STEP
        first = builder.mul(array, ir.Constant(_INT64, WORDS))
        values = []
        for q in range(WORDS):
            where = v.pointer(builder, noise, _INT32, builder.add(first, ir.Constant(_INT64, q)))
            key = step + Bits(builder, builder.load(where))
            for shift, factor in MIX:
                key = (key ^ (key >> shift)) * factor
            values.append((key ^ (key >> 15)).value)
        return context.make_tuple(builder, result, values)

    return result(types.int64, types.int64, types.int64), codegen


@intrinsic
def _room(typing, h):
    """The address of room for blocks of slots of 8 bits, on this thread's stack."""

    def codegen(context, builder, signature, args):
        room = ir.ArrayType(_FLOAT, BLOCK * max(1, len(h.eights)))
        return builder.ptrtoint(cgutils.alloca_once(builder, room), _INT64)

    return types.int64(h), codegen


@overload(elementwise.room)
def _stored_room(h, plan):
    if isinstance(h, StoredFormula):
        # The step is read before any chunk is taken: the thread that finds none left counts it up.
        return lambda h, plan: (_room(h), read(np.int64, plan.clock, 0) + 1)
    return None


@kernel
def _update_chunk(h, k, plan, c, room):
    array, first, last = chunk_of(plan.chunks, c)
    addresses = _addresses(h, plan.p, plan.g, plan.s, plan.arrays, array)
    keys, factors = _noise_keys(plan.noise, array, room[1]), elementwise.gradient_factors(h, plan, array)
    for begin in range(first, last, BLOCK):
        end = min(begin + BLOCK, last)
        for i in range(begin, end):
            x = _load(h, addresses, begin, i)
            p_new, s_new = update(h, k, x[0], elementwise.scaled(x[1], factors), x[2:])
            _store(h, addresses, room[0], keys, begin, i, p_new, s_new)
        _encode(h, addresses, room[0], keys, begin, end - begin)


@overload(elementwise.chunk_updated)
def _stored_update(h, k, plan, c, room):
    if isinstance(h, StoredFormula):
        return lambda h, k, plan, c, room: _update_chunk(h, k, plan, c, room)
    return None


@intrinsic
def _is_bad(typing, h, address, i):
    """Whether element i of a gradient of 16 bits is inf or NaN."""

    def codegen(context, builder, signature, args):
        exponent = ir.Constant(_INT16, _EXPONENTS[h.gradient])
        word = builder.load(v.pointer(builder, args[1], _INT16, args[2]))
        return builder.icmp_unsigned("==", builder.and_(word, exponent), exponent)

    return types.boolean(h, address, i), codegen


@kernel
def _bad_half_chunk(h, plan, c):
    array, first, last = chunk_of(plan.chunks, c)
    address, bad = read(np.int64, plan.g, array), False
    for i in range(first, last):
        bad |= _is_bad(h, address, i)
    return bad


@overload(elementwise.chunk_is_bad)
def _stored_bad(h, plan, c):
    if isinstance(h, StoredFormula) and h.gradient != "float32":
        return lambda h, plan, c: _bad_half_chunk(h, plan, c)
    return None
