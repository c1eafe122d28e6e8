"""fo.jit.step: a rule's step called from a user's own compiled code, with the bits of fo.Optimizer.

The formula is compiled into his library: nothing in his code is a number that another process would not know,
so @njit(cache=True) works. Functions made for a formula carry its digest in their names: Numba calls
functions of two cached libraries by name, and two people's rules may be called alike.
"""

import types as python_types

import numpy as np
from llvmlite import ir
from numba import njit, typeof
from numba.core import types
from numba.core.errors import TypingError
from numba.core.registry import cpu_target
from numba.extending import intrinsic, overload

from fastopt import native, rules
from fastopt.fingerprint import digest
from fastopt.kernels.language.compile import kernel
from fastopt.kernels.language.formula import formula_type
from fastopt.kernels.step.elementwise import (
    flush_denormals,
    load_elements,
    narrow,
    restore_denormals,
    store_elements,
    update,
)

_INT64 = ir.IntType(64)


def state(rule, p):
    """The state of one array p under a rule, for `step`: an array (slots, *p.shape) of p's dtype.

    May be called from Python, where the rule is checked as fo.Optimizer checks it, and from @njit code. A rule
    without slots has an array of no elements.
    """
    p = np.asarray(p)
    _check_rule(rule, TypeError)
    rule = rules.checked(rule, {p.dtype})
    found = np.zeros((len(rule.slots), *p.shape), p.dtype)
    for j, (slot, start) in enumerate(zip(rule.slots, rules.initial(rule), strict=True)):
        found[j] = p if slot in getattr(rule, "copies", ()) else start
    return found


def step(rule, p, g, state, t):
    """Step t = 1, 2, ... of a rule: changes p and the state in place, inside @njit code, prange and cached code too.

    rule: any that goes element by element, built in or own, made outside or inside the code (an lr of your own
        at each step: fo.Adam(lr=...); Numba wants the fields named from the first on, without a gap).
    p: float32 or float64 array, g: its gradient, of the same shape and dtype, contiguous or 1-D; g may be p.
    state: from fo.jit.state(rule, p), or a tuple of arrays like p, one a slot (of an Optimizer: its `state`).
    Nothing is allocated. The bits are those of fo.Optimizer(p, rule, nonfinite="allow"): gradients are not looked
    at, subnormal numbers count as zero. Raises TypingError at compilation where types do not fit, ValueError,
    before anything is changed, for other shapes, t < 1, or arrays that overlap.
    """
    _check_rule(rule, TypeError)
    slots = list(state)
    if len(slots) != len(rule.slots) or any(np.shape(a) != p.shape for a in (g, *slots)):
        raise ValueError(REFUSALS[1])
    if not t >= 1:
        raise ValueError(REFUSALS[0])
    k = rules.in_dtype(rule.coefficients(rule, float(t)), p.dtype)
    with np.errstate(all="ignore"), native.denormals_flushed():
        p_new, s_new = rule.update(rule, k, p, np.asarray(g), tuple(slots))
    p[...] = p_new
    for slot, new in zip(slots, s_new, strict=True):
        slot[...] = new


def flush_subnormals():
    """Let subnormal numbers count as zero from here on, in this thread; returns what `restore_subnormals` takes.

    Each step does it for itself, which is 14 ns of it. A loop of many steps of few parameters does it once instead:
        before = fo.jit.flush_subnormals()
        for t in range(1, 100_001): ...; fo.jit.step(rule, p, g, state, t)
        fo.jit.restore_subnormals(before)
    The bits of the steps are the same; what else the loop computes counts subnormal numbers as zero too, and an error
    that leaves the loop must not leave it set (try ... finally). In a prange each thread has a switch of its own.
    Outside compiled code, and on CPUs other than x86, both functions do nothing.
    """
    return 0


def restore_subnormals(before):
    """Count subnormal numbers as before the call of `flush_subnormals` that returned `before`."""


@overload(flush_subnormals)
def _flush_subnormals():
    return lambda: flush_denormals()


@overload(restore_subnormals)
def _restore_subnormals(before):
    return lambda before: restore_denormals(before)


def _check_rule(rule, error):
    """rule: a rule, or its class."""
    cls = rule if isinstance(rule, type) else type(rule)
    if isinstance(rule, rules.SAM) or cls is rules.SAM:
        raise error(
            "fo.jit.step: SAM takes two gradients a step; give step its base, at the point SAM climbs to"
        )
    if not all(hasattr(cls, name) for name in ("_fields", "slots", "coefficients", "update")):
        raise error(f"fo.jit.step: {cls.__name__} is no rule (see fastopt.rules)")
    if rules.has_norms(cls) or rules.is_whole(cls):
        raise error(
            f"fo.jit.step: {cls.__name__} looks at whole arrays; in compiled code there are rules that go "
            "element by element. Use fo.Optimizer"
        )


# ---- what the types must be ----


def _class_of(rule):
    if isinstance(rule, types.NamedTupleClass):
        raise TypingError(f"fo.jit.step: rule must be a value: write {rule.instance_class.__name__}(...)")
    if not isinstance(rule, types.BaseNamedTuple):
        raise TypingError(f"fo.jit.step: rule must be a rule such as fo.Adam(lr=1e-3), not {rule}")
    _check_rule(rule.instance_class, TypingError)
    for field, kind in zip(rule.fields, _kinds(rule), strict=True):
        if not isinstance(types.unliteral(kind), (types.Float, types.Integer, types.Boolean)):
            raise TypingError(
                f"fo.jit.step: {rule.instance_class.__name__}({field}=...) is {kind}, not a number"
            )
    return rule.instance_class


def _kinds(rule):
    """The types of all fields; Numba leaves out those that code like fo.Adam(lr=0.1) does not name."""
    defaults = rule.instance_class._field_defaults
    return [*rule.types, *(typeof(defaults.get(field)) for field in rule.fields[len(rule.types) :])]


def _check_parameter(p):
    if not isinstance(p, types.Array) or p.dtype not in (types.float32, types.float64):
        raise TypingError(f"fo.jit.step: p must be an array of float32 or float64, not {p}")


def _slots_of(cls, p, state):
    """The types of the arrays of each slot."""
    if isinstance(state, types.Array):
        if state.ndim != p.ndim + 1:
            raise TypingError(
                f"fo.jit.step: the state of {p} must be an array (slots, *p.shape), not {state}"
            )
        layout = "C" if state.layout == "C" else "A"
        return [types.Array(state.dtype, p.ndim, layout, not state.mutable)] * len(cls.slots)
    if not isinstance(state, types.BaseTuple):
        raise TypingError(f"fo.jit.step: state must be from fo.jit.state(rule, p), or a tuple, not {state}")
    if len(state.types) != len(cls.slots):
        wanted = f"{len(cls.slots)} ({', '.join(cls.slots)})"
        raise TypingError(f"fo.jit.step: state has {len(state.types)} arrays, {cls.__name__} has {wanted}")
    return list(state.types)


def _strided(p, g, slots):
    """Whether the arrays are taken by their strides; TypingError where they do not fit p."""
    for name, a in (("g", g), *((f"state[{j}]", a) for j, a in enumerate(slots))):
        if not isinstance(a, types.Array) or a.dtype != p.dtype or a.ndim != p.ndim:
            raise TypingError(f"fo.jit.step: {name} must be an array like p, {p}, not {a}")
    if not all(a.mutable for a in (p, *slots)):
        raise TypingError("fo.jit.step: p and the state must be arrays that can be written to")
    layouts = {a.layout for a in (p, g, *slots)}
    if layouts in ({"C"}, {"F"}):
        return False
    if p.ndim != 1:
        raise TypingError(
            "fo.jit.step: arrays of more than one dimension must all be C-contiguous (or all F-contiguous): "
            f"p is {p}, g {g}, the state {', '.join(map(str, slots)) or 'nothing'}"
        )
    return True


# ---- the formula in the user's code ----


def _compiled(function, tag):
    """A function compiled, with the plain functions that it names or holds."""

    def inner(value):
        return _compiled(value, tag) if isinstance(value, python_types.FunctionType) else value

    code, scope = function.__code__, function.__globals__
    scope = scope | {name: inner(scope[name]) for name in code.co_names if name in scope}
    cells = function.__closure__
    cells = cells and tuple(python_types.CellType(inner(cell.cell_contents)) for cell in cells)
    copy = python_types.FunctionType(code, scope, function.__name__, function.__defaults__, cells)
    copy.__kwdefaults__, copy.__qualname__ = function.__kwdefaults__, f"{function.__qualname__}#{tag}"
    return njit(copy, error_model="numpy")


def value_of(kind):
    """A function that gives the (empty) value of a formula's type."""

    @intrinsic
    def value(typing):
        return kind(), lambda context, builder, signature, args: context.get_dummy_value()

    return value


@intrinsic
def as_floats(typing, rule):
    """The rule with its numbers as float64 (flags stay), as rules.checked makes them for an Optimizer."""
    cls = rule.instance_class
    kinds = [types.boolean if types.unliteral(k) == types.boolean else types.float64 for k in _kinds(rule)]
    result = types.BaseTuple.from_types(kinds, cls)

    def codegen(context, builder, signature, args):
        values = []
        for j, (field, kind) in enumerate(zip(cls._fields, kinds, strict=True)):
            if j < len(rule.types):
                given = builder.extract_value(args[0], j)
                values.append(context.cast(builder, given, rule.types[j], kind))
            else:
                values.append(context.get_constant(kind, cls._field_defaults[field]))
        return context.make_tuple(builder, result, values)

    return result(rule), codegen


@intrinsic
def as_elements(typing, h, k):
    """The coefficients, a tuple of numbers, in the formula's dtype (see read_coefficients)."""
    if not isinstance(k, types.BaseTuple):
        raise TypingError("coefficients must return a tuple of numbers: write a comma behind a single one")
    result, tiny = types.UniTuple(h.element, len(k.types)), float(np.finfo(h.element.name).tiny)

    def codegen(context, builder, signature, args):
        values = []
        for j, kind in enumerate(k.types):
            wide = context.cast(builder, builder.extract_value(args[1], j), kind, types.float64)
            near = context.cast(builder, wide, types.float64, h.element)
            values.append(narrow(builder, near, wide, tiny))
        return context.make_tuple(builder, result, values)

    return result(h, k), codegen


def _places_of(slots):
    """An intrinsic (p, g, state): the first addresses of p, g and so many slots, their strides in bytes, and the
    number of elements, -1 where shapes differ.

    One call for all of it, and one place where `step` may raise: else Numba counts references of all arrays at
    every step (30 ns of 50).
    """

    @intrinsic
    def places(typing, p, g, state):
        kind = types.UniTuple(types.int64, 2 + slots)
        result = types.Tuple((kind, kind, types.int64))

        def codegen(context, builder, signature, args):
            shape = context.make_array(p)(context, builder, args[0]).shape
            given, size = list(zip((p, g), args[:2], strict=True)), ir.Constant(_INT64, 1)
            for axis in range(p.ndim):
                size = builder.mul(size, builder.extract_value(shape, axis))
            if isinstance(state, types.Array):
                parts = _parts_of_array(context, builder, state, args[2], slots)
                whole = context.make_array(state)(context, builder, args[2]).shape
                size = _unless(builder, [(builder.extract_value(whole, 0), ir.Constant(_INT64, slots))], size)
            else:
                given += [(k, builder.extract_value(args[2], j)) for j, k in enumerate(state.types)]
                parts = []
            parts = [_parts(context, builder, k, a) for k, a in given] + parts
            for _, _, other in parts[1:]:
                axes = range(p.ndim)
                size = _unless(builder, [(builder.extract_value(shape, a), other[a]) for a in axes], size)
            made = [context.make_tuple(builder, kind, [part[i] for part in parts]) for i in range(2)]
            return context.make_tuple(builder, result, [*made, size])

        return result(p, g, state), codegen

    return places


def _parts(context, builder, kind, value):
    """(address, stride, lengths of the axes) of an array; the stride from element to element."""
    array = context.make_array(kind)(context, builder, value)
    shape = [builder.extract_value(array.shape, a) for a in range(kind.ndim)]
    stride = builder.extract_value(array.strides, 0) if kind.ndim == 1 else _size_of(kind)
    return builder.ptrtoint(array.data, _INT64), stride, shape


def _parts_of_array(context, builder, kind, value, slots):
    """The same of each slot in an array of all slots."""
    array = context.make_array(kind)(context, builder, value)
    shape = [builder.extract_value(array.shape, a) for a in range(1, kind.ndim)]
    stride = builder.extract_value(array.strides, 1) if kind.ndim == 2 else _size_of(kind)
    first, apart = builder.ptrtoint(array.data, _INT64), builder.extract_value(array.strides, 0)
    starts = [builder.add(first, builder.mul(apart, ir.Constant(_INT64, j))) for j in range(slots)]
    return [(start, stride, shape) for start in starts]


def _size_of(kind):
    return ir.Constant(_INT64, kind.dtype.bitwidth // 8)


def _unless(builder, pairs, size):
    """The size, or -1 where the two of a pair differ."""
    for a, b in pairs:
        size = builder.select(builder.icmp_signed("==", a, b), size, ir.Constant(_INT64, -1))
    return size


@intrinsic
def _moved(typing, addresses, strides, i):
    def codegen(context, builder, signature, args):
        values = []
        for j in range(addresses.count):
            at, stride = (builder.extract_value(a, j) for a in args[:2])
            values.append(builder.add(at, builder.mul(stride, args[2])))
        return context.make_tuple(builder, addresses, values)

    return addresses(addresses, strides, types.int64), codegen


@kernel
def refused(addresses, strides, count, t):
    """What stands against the step, one of REFUSALS, or 0."""
    close, length = False, abs(strides[0]) * count
    for a in range(1, len(addresses)):  # without branches: mostly all arrays are far apart
        close |= strides[a] != strides[0]
        for b in range(a):
            close |= abs(addresses[a] - addresses[b]) < length
    if t >= 1 and count >= 0 and not close:
        return 0
    return _closely(addresses, strides, count, t)


@kernel
def _closely(addresses, strides, count, t):
    if not t >= 1:
        return 1
    if count < 0:
        return 2
    for a in range(1, len(addresses)):
        for b in range(a):
            gap, step = addresses[a] - addresses[b], abs(strides[a])
            if strides[a] != strides[b]:
                mine, other = strides[a] * (count - 1), strides[b] * (count - 1)
                if gap + max(0, mine) >= min(0, other) and gap + min(0, mine) <= max(0, other):
                    return 3
            elif abs(gap) < count * step and gap % step == 0 and not (a == 1 and gap == 0):
                return 3
    return 0


REFUSALS = (
    "fo.jit.step: t counts from 1",
    "fo.jit.step: g and each slot of the state must have the shape of p; state: fo.jit.state(rule, p)",
    "fo.jit.step: p, g and the slots of the state must not overlap in memory (g may be p itself)",
)


@njit
def refuse(what):
    if what == 1:
        raise ValueError(REFUSALS[0])
    if what == 2:
        raise ValueError(REFUSALS[1])
    raise ValueError(REFUSALS[2])


@kernel
def update_contiguous(h, k, addresses, strides, count, t):
    bad = refused(addresses, strides, count, t)
    if bad == 0:
        before = flush_denormals()
        for i in range(count):
            x = load_elements(h, addresses, i)
            p_new, s_new = update(h, k, x[0], x[1], x[2:])
            store_elements(h, addresses, i, p_new, s_new)
        restore_denormals(before)
    return bad


@kernel
def update_strided(h, k, addresses, strides, count, t):
    bad = refused(addresses, strides, count, t)
    if bad == 0:
        before = flush_denormals()
        for i in range(count):
            here = _moved(addresses, strides, i)
            x = load_elements(h, here, 0)
            p_new, s_new = update(h, k, x[0], x[1], x[2:])
            store_elements(h, here, 0, p_new, s_new)
        restore_denormals(before)
    return bad


@overload(step)
def _step(rule, p, g, state, t):
    cls = _class_of(rule)
    _check_parameter(p)
    loop = update_strided if _strided(p, g, _slots_of(cls, p, state)) else update_contiguous
    if not isinstance(types.unliteral(t), (types.Integer, types.Float)):
        raise TypingError(f"fo.jit.step: t must be the number of the step, 1, 2, ..., not {t}")
    tag, places = digest(cls), _places_of(len(cls.slots))
    value, coefficients = value_of(formula_type(cls, p.dtype.name)), _compiled(cls.coefficients, tag)

    def run(rule, p, g, state, t):
        h = value()
        addresses, strides, count = places(p, g, state)
        k = as_elements(h, coefficients(as_floats(rule), float(t)))
        bad = loop(h, k, addresses, strides, count, float(t))
        if bad != 0:
            refuse(bad)

    run.__qualname__ = f"step#{tag}"
    return run


@overload(state)
def _state(rule, p):
    cls = _class_of(rule)
    _check_parameter(p)
    count, tag = len(cls.slots), digest(cls)
    if count == 0:
        return lambda rule, p: np.zeros((0, *p.shape), p.dtype)
    copied = np.array([slot in getattr(cls, "copies", ()) for slot in cls.slots])
    zeros, value = (0.0,) * count, value_of(formula_type(cls, p.dtype.name))
    initial = _compiled(getattr(cls, "initial", lambda h: zeros), tag)

    def make(rule, p):
        found = np.empty((count, *p.shape), p.dtype)
        starts = as_elements(value(), initial(as_floats(rule)))
        for j in range(count):
            if copied[j]:
                found[j] = p
            else:
                found[j] = starts[j]
        return found

    make.__qualname__ = f"state#{tag}"
    return make


# User code may be the first to import this module, while Numba types it: it learns of overloads at a refresh.
cpu_target.typing_context.refresh()
