"""Register tiles of the linear model: scores of a few rows, gradient of a few classes.

Both keep a tile of sums in registers while they read memory once. X is given as a table of row
addresses, so rows may lie anywhere; features of a row are contiguous. All integers are int64.
"""

from llvmlite import ir
from numba.core import types
from numba.extending import intrinsic

from fastopt.kernels.language import vectors as v
from fastopt.kernels.language.lanes import BLOCK, llvm_element
from fastopt.kernels.language.vectors import INT64, REGISTERS, Vector

# 4 x 5 sums, 4 vectors of X and one of W: 25 of 32 registers
TILE_ROWS = 4 if REGISTERS == 32 else 2
TILE_CLASSES = 5 if REGISTERS == 32 else 4
# gradient: classes x vectors of features, and those vectors of X
STRIP_CLASSES = 10 if REGISTERS == 32 else 5


def strip_vectors(classes):
    return max(1, min(4, (REGISTERS - 4) // (classes + 1)))


def _constant(number):
    return ir.Constant(INT64, number)


def variants(builder, selector, numbers, emit):
    """Emit emit(n) for each n of numbers and jump to the one that equals the selector."""
    after = builder.append_basic_block("after")
    start = builder.block
    blocks = []
    for n in numbers:
        block = builder.append_basic_block(f"variant_{n}")
        builder.position_at_end(block)
        emit(n)
        builder.branch(after)
        blocks.append(block)
    builder.position_at_end(start)
    switch = builder.switch(selector, after)
    for n, block in zip(numbers, blocks, strict=True):
        switch.add_case(_constant(n), block)
    builder.position_at_end(after)


@intrinsic(prefer_literal=True)
def scores_tile(typing, h, rows, table, following, offset, apart, step, w, w_stride, count, scores, classes):
    """scores[c, r] += sum over `count` features of X[r] W[c], for `rows` (a literal) x classes.

    table: the rows' addresses, to which `offset` bytes are added; w: address of the first weight,
    w_stride: bytes from class to class. following: where the address stands of a row that is wanted
    next: it is fetched meanwhile from its byte `apart` on, `step` bytes a feature. classes <=
    TILE_CLASSES, or 2 TILE_CLASSES for one row.
    """
    tall = rows.literal_value
    most = TILE_CLASSES if tall > 1 else 2 * TILE_CLASSES
    element = llvm_element(h.element)

    def codegen(context, builder, signature, args):
        _, _, table, following, offset, apart, step, w, w_stride, count, scores, classes = args
        slots = v.pointer(builder, table, INT64)
        x = [builder.load(builder.gep(slots, [_constant(r)])) for r in range(tall)]
        x = [builder.add(address, offset) for address in x]
        ahead = builder.add(builder.load(v.pointer(builder, following, INT64)), apart), step

        def emit(wide):
            ws = [builder.add(w, builder.mul(w_stride, _constant(c))) for c in range(wide)]
            _sum_tile(builder, element, x, ahead, ws, count, scores)

        variants(builder, classes, range(1, most + 1), emit)
        return context.get_dummy_value()

    given = (h, rows, table, following, offset, apart, step, w, w_stride, count, scores, classes)
    return types.none(*given), codegen


def _sum_tile(builder, element, x, ahead, ws, count, scores):
    """A vector's sums, where it is several registers, one register after the other, then their tree."""
    registers = v.VECTOR_BYTES // v.REGISTER_BYTES
    sums = [_register_sums(builder, element, x, ahead, ws, count, j) for j in range(registers)]
    while len(sums) > 1:
        half = len(sums) // 2
        sums = [
            [a + b for a, b in zip(*pair, strict=True)] for pair in zip(sums[:half], sums[half:], strict=True)
        ]
    _add_sums(builder, sums[0], len(x), scores, v.register_type(element))


def _register_sums(builder, element, x, ahead, ws, count, register):
    """The lanes of one register of each vector, summed over the features; the first fetches what comes."""
    lanes, vector = v.lanes_of(element), v.register_type(element)
    begin, full = _constant(register * vector.count), builder.and_(count, _constant(-lanes))

    def multiply_add(sums, read):
        values = [read(address) for address in x]
        result = []
        for c, address in enumerate(ws):
            weight = read(address)
            result += [values[r].times_plus(weight, sums[c * len(x) + r]) for r in range(len(x))]
        return result

    def fetch(i):
        if register == 0:
            v.prefetch(builder, ahead[0], builder.mul(i, ahead[1]))

    def body(i, sums):
        fetch(i)
        return multiply_add(sums, lambda address: v.load(builder, address, vector, i))

    zero = v.splat(builder, vector, 0.0)
    sums = v.loop(builder, begin, full, lanes, [zero] * (len(x) * len(ws)), body)
    before = builder.block
    tail = builder.append_basic_block("tail")
    after = builder.append_basic_block("sums")
    builder.cbranch(builder.icmp_signed("<", builder.add(full, begin), count), tail, after)
    builder.position_at_end(tail)
    fetch(full)
    place = builder.add(full, begin)
    mask = v.first_lanes(builder, vector, builder.sub(count, place))
    more = multiply_add(sums, lambda address: v.load_masked(builder, address, vector, place, mask))
    builder.branch(after)
    builder.position_at_end(after)
    joined = []
    for a, b in zip(sums, more, strict=True):
        phi = builder.phi(vector)
        phi.add_incoming(a.value, before)
        phi.add_incoming(b.value, tail)
        joined.append(Vector(builder, phi))
    return joined


def _add_sums(builder, vectors, rows, scores, vector):
    """Add the sums over each vector's lanes to the scores, which are in the same order."""
    slots = v.pointer(builder, scores, vector.element)
    for begin in range(0, len(vectors), vector.count):
        group = vectors[begin : begin + vector.count]
        sums = _lane_sums(builder, group, vector)
        for j in range(0, len(group), rows):  # a class: its rows lie side by side
            where = builder.gep(slots, [_constant((begin + j) // rows * BLOCK)])
            part = sums.lanes(j, j + rows)
            where = builder.ptrtoint(where, INT64)
            v.store(v.load(builder, where, part.type) + part, where)


def _lane_sums(builder, vectors, vector):
    """Lane j is the sum over the lanes of vectors[j].

    Two vectors become one that holds half as many lanes of each, until the halves are single lanes;
    one of the two operands is a blend, which costs less than a shuffle.
    """
    none = Vector(builder, ir.Constant(vector, ir.Undefined))
    level, half = vectors + [none] * (vector.count - len(vectors)), vector.count // 2
    while half:
        level = [_halves(a, b, half) for a, b in zip(level[:half], level[half : 2 * half], strict=True)]
        half //= 2
    return level[0]


def _halves(a, b, half):
    """In every 2*half lanes: the sums of a's two halves, then those of b's."""
    lanes = range(a.type.count)
    own = [i if i % (2 * half) < half else i + len(lanes) for i in lanes]
    other = [i + half if i % (2 * half) < half else i - half + len(lanes) for i in lanes]
    return a.shuffled(b, own) + a.shuffled(b, other)


@intrinsic
def gradient_strips(typing, h, table, following, step, rows, d, dw, fresh, dw_stride, begin, end, classes):
    """dw[c] += sum over rows of d[c, r] X[r], for features [begin, end); classes <= STRIP_CLASSES.

    fresh = 1: dw is written without being looked at; to clear it first takes 3 % of a batch of 32.
    following: a table of as many rows that are wanted next, of `step` bytes a feature: they are fetched
    meanwhile, where the memory would be idle. Rows already there cost an instruction.
    """
    vector = v.register_type(llvm_element(h.element))

    def codegen(context, builder, signature, args):
        _, table, following, step, rows, d, dw, fresh, dw_stride, begin, end, classes = args
        count = builder.sub(end, begin)
        tables = v.pointer(builder, table, INT64), v.pointer(builder, following, INT64), step

        def emit(wide):
            strip = strip_vectors(wide) * vector.count
            full = (
                builder.and_(count, _constant(-strip))
                if _is_power(strip)
                else _multiple(builder, count, strip)
            )
            full = builder.add(begin, full)
            sums = [builder.add(dw, builder.mul(dw_stride, _constant(c))) for c in range(wide)]
            is_fresh = builder.icmp_signed("!=", fresh, _constant(0))

            def whole(i, _):
                _strip(builder, vector, tables, rows, d, sums, is_fresh, i, strip // vector.count, None)
                return []

            def part(i, _):
                mask = v.first_lanes(builder, vector, builder.sub(end, i))
                _strip(builder, vector, tables, rows, d, sums, is_fresh, i, 1, mask)
                return []

            v.loop(builder, begin, full, strip, [], whole)
            v.loop(builder, full, end, vector.count, [], part)

        variants(builder, classes, range(1, STRIP_CLASSES + 1), emit)
        return context.get_dummy_value()

    given = (h, table, following, step, rows, d, dw, fresh, dw_stride, begin, end, classes)
    return types.none(*given), codegen


def _is_power(n):
    return n & (n - 1) == 0


def _multiple(builder, count, n):
    return builder.sub(count, builder.srem(count, _constant(n)))


def _strip(builder, vector, tables, rows, d, sums, fresh, feature, vectors, mask):
    """All rows of the block for a few vectors of features; the sums stay in registers."""
    table, following, step = tables
    offsets = [builder.add(feature, _constant(k * vector.count)) for k in range(vectors)]
    d = v.pointer(builder, d, vector.element)

    def read(address, index):
        if mask is None:
            return v.load(builder, address, vector, index)
        return v.load_masked(builder, address, vector, index, mask)

    def body(r, totals):
        x = builder.load(builder.gep(table, [r]))
        values = [read(x, index) for index in offsets]
        ahead = builder.load(builder.gep(following, [r]))
        for index in offsets:
            v.prefetch(builder, ahead, builder.mul(index, step))
        result = []
        for c in range(len(sums)):
            slot = builder.gep(d, [builder.add(r, _constant(c * BLOCK))])
            slope = v.splat(builder, vector, builder.load(slot))
            result += [values[k].times_plus(slope, totals[c * vectors + k]) for k in range(vectors)]
        return result

    zero = v.splat(builder, vector, 0.0)
    start = [read(address, index) for address in sums for index in offsets]
    start = [Vector(builder, builder.select(fresh, zero.value, total.value)) for total in start]
    totals = v.loop(builder, _constant(0), rows, 1, start, body)
    for j, total in enumerate(totals):
        address, index = sums[j // vectors], offsets[j % vectors]
        if mask is None:
            v.store(total, address, index)
        else:
            v.store_masked(total, address, index, mask)
