"""One step of an element-wise rule over a table of arrays.

A step takes addresses, not arrays, so that one call serves any number of parameters. What its plan
holds is said in fastopt/plan.py.
"""

import functools
from collections import namedtuple

import numpy as np
from llvmlite import ir
from numba import njit
from numba.core import cgutils, types
from numba.extending import intrinsic, overload

from fastopt.kernels.language.atomic import add_shared, load_shared, replace_shared, spin, store_shared
from fastopt.kernels.language.compile import entry, kernel
from fastopt.kernels.language.memory import (
    as_element,
    element_size,
    read,
    read_element,
    write,
    write_element,
)
from fastopt.kernels.language.vectors import X86
from fastopt.plan import PLAN
from fastopt.threads import BAD, LOOK, SEEN, STEP

_INT32 = ir.IntType(32)
_INT64 = ir.IntType(64)
_FTZ_DAZ = 0x8040  # bits of MXCSR: results and operands that are subnormal become zero


def update(h, k, p, g, s):
    """Stands for the formula that the type of h names."""


@overload(update)
def _update(h, k, p, g, s):
    return function_of(h.formula, "update")


def function_of(formula, name):
    """The formula's function; of a rule around another one, built around the other's compiled function."""
    if not hasattr(formula, "around"):
        return getattr(formula, name)  # as it is now: a class may have been given another one
    return _around(formula, function_of(formula.base, name))


def measure_of(formula):
    """The same of `measure`, which is built around the base's, or around its update where it measures nothing."""
    if not hasattr(formula, "around_measure"):
        return formula.measure
    base = formula.base
    inner = measure_of(base) if hasattr(base, "measure") else function_of(base, "update")
    return _around_measure(formula, inner)


@functools.cache
def _around_measure(formula, inner):
    return formula.around_measure(njit(inner, error_model="numpy"))


@functools.cache
def _around(formula, inner):
    return formula.around(njit(inner, error_model="numpy"))


def read_address(builder, address, index):
    return _read(builder, address, index, _INT64)


def _read(builder, address, index, llvm_type):
    base = builder.inttoptr(address, llvm_type.as_pointer())
    return builder.load(builder.gep(base, [index]))


@intrinsic
def read_coefficients(typing, h, k):
    """The coefficients at address k as a tuple in the array's dtype.

    One that is not 0, such as an eps of 1e-50, does not become 0 or subnormal.
    """
    result = types.UniTuple(h.element, h.coefficients)
    tiny = float(np.finfo(h.element.name).tiny)

    def codegen(context, builder, signature, args):
        values = []
        for j in range(result.count):
            value = _read(builder, args[1], ir.Constant(_INT64, j), ir.DoubleType())
            values.append(
                narrow(builder, context.cast(builder, value, types.float64, h.element), value, tiny)
            )
        return context.make_tuple(builder, result, values)

    return result(h, k), codegen


def narrow(builder, value, wide, tiny):
    least, wide_zero = ir.Constant(value.type, tiny), ir.Constant(wide.type, 0.0)
    negative = builder.fcmp_ordered("<", wide, wide_zero)
    size = builder.select(negative, builder.fneg(value), value)
    lost = builder.and_(builder.fcmp_ordered("<", size, least), builder.fcmp_ordered("!=", wide, wide_zero))
    kept = builder.select(negative, builder.fneg(least), least)
    return builder.select(lost, kept, value)


@intrinsic
def element_addresses(typing, h, p, g, s, arrays, array, begin):
    """Addresses of element `begin` of one array's parameter, gradient and slots."""
    slots = len(getattr(h.formula, "slots", ()))  # none: kernels that know a dtype only
    result = types.UniTuple(types.int64, 2 + slots)

    def codegen(context, builder, signature, args):
        _, p, g, s, arrays, array, begin = args
        size = context.get_abi_sizeof(context.get_value_type(h.element))
        offset = builder.mul(begin, ir.Constant(_INT64, size))
        values = [_read(builder, p, array, _INT64), _read(builder, g, array, _INT64)]
        for j in range(slots):
            row = builder.mul(arrays, ir.Constant(_INT64, j))
            values.append(_read(builder, s, builder.add(row, array), _INT64))
        return context.make_tuple(builder, result, [builder.add(v, offset) for v in values])

    return result(h, p, g, s, arrays, array, begin), codegen


def tell_apart(instruction, module, which, count):
    """Tell LLVM that the arrays do not overlap (checked by the optimizer beforehand).

    With the checks left to LLVM a loop over five arrays is not vectorised at all.
    """
    domain = module.add_metadata(["fastopt"])
    scopes = [module.add_metadata([f"fastopt {j}", domain]) for j in range(count)]
    others = [scope for j, scope in enumerate(scopes) if j != which]
    instruction.set_metadata("alias.scope", module.add_metadata([scopes[which]]))
    instruction.set_metadata("noalias", module.add_metadata(others))


@intrinsic
def load_elements(typing, h, addresses, i):
    result = types.UniTuple(h.element, addresses.count)

    def codegen(context, builder, signature, args):
        values = []
        for j in range(result.count):
            address = builder.extract_value(args[1], j)
            values.append(_read(builder, address, args[2], context.get_value_type(h.element)))
            tell_apart(values[-1], builder.module, j, result.count)
        return context.make_tuple(builder, result, values)

    return result(h, addresses, i), codegen


@intrinsic
def store_elements(typing, h, addresses, i, p, s):
    """Write p and the slots s; position 1 of the addresses is the gradient's, which stays."""
    given = (p, *s.types)
    if any(t != h.element for t in given) or len(given) != addresses.count - 1:
        raise TypeError(
            f"update() of {h.reference.split('#')[0]} must return (p, slots) with "
            f"{addresses.count - 2} slots, all {h.element}, not {given}: a literal or an integer "
            "in the formula changes the type; make it a coefficient"
        )

    def codegen(context, builder, signature, args):
        _, addresses, i, p, s = args
        for j in (0, *range(2, signature.args[1].count)):
            value = p if j == 0 else builder.extract_value(s, j - 2)
            address = builder.extract_value(addresses, j)
            pointer = builder.inttoptr(address, value.type.as_pointer())
            instruction = builder.store(value, builder.gep(pointer, [i]))
            tell_apart(instruction, builder.module, j, signature.args[1].count)
        return context.get_dummy_value()

    return types.void(h, addresses, i, p, s), codegen


@intrinsic
def flush_denormals(typing):
    """Let this thread count subnormal numbers as zero; return the control word that was.

    Where the word says so already it is not written: two writes take 14 ns, as long as a step of 100 numbers.
    """

    def codegen(context, builder, signature, args):
        before = cgutils.alloca_once(builder, _INT32)
        if X86:
            _control(builder, "stmxcsr", before)
            flushed = builder.or_(builder.load(before), ir.Constant(_INT32, _FTZ_DAZ))
            with builder.if_then(builder.icmp_unsigned("!=", builder.load(before), flushed)):
                _write_control(builder, flushed)
        return builder.load(before)

    return types.int32(), codegen


@intrinsic
def restore_denormals(typing, word):
    def codegen(context, builder, signature, args):
        if X86:
            flushed = builder.or_(args[0], ir.Constant(_INT32, _FTZ_DAZ))
            with builder.if_then(builder.icmp_unsigned("!=", args[0], flushed)):
                _write_control(builder, args[0])
        return context.get_dummy_value()

    return types.void(types.int32), codegen


def _control(builder, name, pointer):
    bytes_pointer = ir.IntType(8).as_pointer()
    function_type = ir.FunctionType(ir.VoidType(), [bytes_pointer])
    function = cgutils.get_or_insert_function(builder.module, function_type, f"llvm.x86.sse.{name}")
    builder.call(function, [builder.bitcast(pointer, bytes_pointer)])


def _write_control(builder, word):
    slot = cgutils.alloca_once(builder, _INT32)
    builder.store(word, slot)
    _control(builder, "ldmxcsr", slot)


PlanTuple = namedtuple("PlanTuple", PLAN)  # type: ignore[misc]


@intrinsic
def read_plan(typing, plan):
    result = types.NamedUniTuple(types.int64, len(PLAN), PlanTuple)

    def codegen(context, builder, signature, args):
        values = [_read(builder, args[0], ir.Constant(_INT64, j), _INT64) for j in range(len(PLAN))]
        return context.make_tuple(builder, result, values)

    return result(plan), codegen


@intrinsic
def chunk_of(typing, chunks, c):
    """Row c of the chunks: array, first and last element."""
    result = types.UniTuple(types.int64, 3)

    def codegen(context, builder, signature, args):
        start = builder.mul(args[1], ir.Constant(_INT64, 3))
        index = [builder.add(start, ir.Constant(_INT64, j)) for j in range(3)]
        values = [_read(builder, args[0], i, _INT64) for i in index]
        return context.make_tuple(builder, result, values)

    return result(chunks, types.int64), codegen


_BLOCK = 2048  # elements of a gradient that is multiplied on its way: they stay in the first cache


@intrinsic
def _block(typing, h):
    """The address of room for a block on this thread's stack."""

    def codegen(context, builder, signature, args):
        room = ir.ArrayType(context.get_value_type(h.element), _BLOCK)
        return builder.ptrtoint(cgutils.alloca_once(builder, room), _INT64)

    return types.int64(h), codegen


@intrinsic
def _with_gradient(typing, addresses, g):
    """The addresses with another one for the gradient."""

    def codegen(context, builder, signature, args):
        return builder.insert_value(args[0], args[1], 1)

    return addresses(addresses, types.int64), codegen


@kernel
def _multiply(h, g, count, factors, block):
    """Write gradient * unit * scale of so many elements to the block, held within [-most, most]."""
    for i in range(count):
        write_element(h, block, i, scaled(read_element(h, g, i), factors))


@kernel
def scaled(g, factors):
    unit, scale, most = factors
    g = g * unit * scale
    g = most if g > most else g
    return -most if g < -most else g


@kernel
def update_chunk(h, k, plan, c, block):
    array, first, last = chunk_of(plan.chunks, c)
    factors = gradient_factors(h, plan, array)
    addresses = element_addresses(h, plan.p, plan.g, plan.s, plan.arrays, array, first)
    begin, count, size = 0, last - first, element_size(h)
    changed = factors[0] != 1 or factors[1] != 1 or factors[2] < np.inf
    step = _BLOCK if changed else count
    while begin < count:
        end, now = min(begin + step, count), addresses
        if changed:
            _multiply(h, addresses[1] + begin * size, end - begin, factors, block)
            now = _with_gradient(addresses, block - begin * size)
        for i in range(begin, end):
            x = load_elements(h, now, i)
            p_new, s_new = update(h, k, x[0], x[1], x[2:])
            store_elements(h, now, i, p_new, s_new)
        begin = end


@kernel
def gradient_factors(h, plan, array):
    return (
        as_element(h, read(np.float64, plan.factors, 3 * array)),
        as_element(h, read(np.float64, plan.factors, 3 * array + 1)),
        as_element(h, read(np.float64, plan.factors, 3 * array + 2)),
    )


@kernel
def _bad_chunk(h, plan, c):
    """Whether the gradient has NaN or inf in chunk c."""
    array, first, last = chunk_of(plan.chunks, c)
    addresses = element_addresses(h, plan.p, plan.g, plan.s, plan.arrays, array, first)[1:2]
    bad, n = False, last - first
    part = n // 4096 * 1024  # four places are read at once: from memory 20M took 2.6 ms, in order 3.5
    for i in range(part):
        for j in range(4):
            x = load_elements(h, addresses, j * part + i)[0]
            bad |= x - x != x - x  # inf - inf is NaN, and NaN is not NaN
    for i in range(4 * part, n):
        x = load_elements(h, addresses, i)[0]
        bad |= x - x != x - x
    return bad


# A step of numbers in other forms has these three as it needs them (stored.py); here are the plain ones.


def room(h, plan):
    """What a thread's step works with beside the arrays."""


def chunk_updated(h, k, plan, c, block):
    """Update chunk c."""


def chunk_is_bad(h, plan, c):
    """Whether the gradient has NaN or inf in chunk c."""


@overload(room)
def _plain_room(h, plan):
    return (lambda h, plan: _block(h)) if not hasattr(h, "stored") else None


@overload(chunk_updated)
def _plain_update(h, k, plan, c, block):
    if hasattr(h, "stored"):
        return None
    return lambda h, k, plan, c, block: update_chunk(h, k, plan, c, block)


@overload(chunk_is_bad)
def _plain_bad(h, plan, c):
    plain = getattr(h, "gradient", "float32") == "float32"
    return (lambda h, plan, c: _bad_chunk(h, plan, c)) if plain else None


@kernel
def _tick(plan):
    write(plan.clock, 0, read(np.int64, plan.clock, 0) + 1)


@kernel
def step(h, check, at, begin, end):
    """Update all chunks and return -1; or the chunk with NaN or inf, and nothing is changed. at: of the plan."""
    plan = read_plan(at)
    if check:
        for c in range(begin, end):
            if chunk_is_bad(h, plan, c):
                return c
    block = room(h, plan)
    known = read(np.int64, plan.k, 0)
    k = read_coefficients(h, known)
    before = flush_denormals()
    for c in range(begin, end):
        now = read(np.int64, plan.k, chunk_of(plan.chunks, c)[0])
        if now != known:
            k, known = read_coefficients(h, now), now
        chunk_updated(h, k, plan, c, block)
    restore_denormals(before)
    _tick(plan)
    return -1


_PATIENCE = 4096  # rests of some 50 ns in all: as long as a look at a few chunks


@kernel
def _look(h, plan, c, board):
    if chunk_is_bad(h, plan, c):
        while True:
            known = load_shared(board + BAD)
            if 0 <= known <= c or replace_shared(board + BAD, known, np.int64(c)):
                break
    store_shared(board + SEEN + 8 * c, 1)


@kernel
def _look_at_all(h, plan, chunks, board):
    """Whether all gradients are finite, with what the other threads find."""
    c = add_shared(board + LOOK, 1)
    while c < chunks:
        _look(h, plan, c, board)
        c = add_shared(board + LOOK, 1)
    patience = _PATIENCE
    for c in range(chunks):
        while not load_shared(board + SEEN + 8 * c) and patience > 0:
            patience -= 1
            spin()
        if not load_shared(board + SEEN + 8 * c):
            _look(h, plan, c, board)
    return load_shared(board + BAD) < 0


@kernel
def step_together(h, check, at, chunks, board):
    """What each thread of a shared step does; with NaN or inf, BAD on the board is the first chunk with it.

    One call for the look and the update: to come back to Python in between, and wait there for its lock,
    took up to 1 ms of a step of 1. No thread waits long for another either: a chunk that it does not get
    to look at in time is looked at again. The last chunks looked at come first in the update, because
    their gradients are still in the cache. The one thread that first finds no chunk left counts the step.
    """
    plan = read_plan(at)
    if check and not _look_at_all(h, plan, chunks, board):
        return
    block = room(h, plan)
    known = read(np.int64, plan.k, 0)
    k = read_coefficients(h, known)
    before = flush_denormals()
    c = chunks - 1 - add_shared(board + STEP, 1)
    while c >= 0:
        now = read(np.int64, plan.k, chunk_of(plan.chunks, c)[0])
        if now != known:
            k, known = read_coefficients(h, now), now
        chunk_updated(h, k, plan, c, block)
        c = chunks - 1 - add_shared(board + STEP, 1)
    restore_denormals(before)
    if c == -1:
        _tick(plan)


@kernel
def first_nonfinite(h, at, begin, end):
    """The first of the chunks [begin, end) whose gradient has NaN or inf, or -1."""
    plan = read_plan(at)
    for c in range(begin, end):
        if chunk_is_bad(h, plan, c):
            return c
    return -1


def step_entry(rule_type):
    """The compiled step(h, check, at, begin, end); h may be anything, check is a bool."""
    return entry(step, rule_type, types.boolean, types.int64, types.int64, types.int64)


def step_together_entry(rule_type):
    return entry(step_together, rule_type, types.boolean, *[types.int64] * 3)


@functools.cache
def first_nonfinite_entry(h):
    return entry(first_nonfinite, h, *[types.int64] * 3)
