"""Entries of CSR rows times weights, as vector code for each width of W and kind of index."""

from llvmlite import ir
from numba.core import cgutils, types
from numba.extending import intrinsic

from fastopt.kernels.gradient.tiles import variants
from fastopt.kernels.language import vectors as v
from fastopt.kernels.language.lanes import llvm_element

WIDE = 1024  # added to the width where indices have 64 bits


def _selections(lanes):
    widths = [1 << j for j in range(lanes.bit_length())]
    return [*widths, *(w + WIDE for w in widths)]


def _entry(builder, h, args, i, index_bits):
    """Value and feature number of entry i."""
    values, indices = args
    x = builder.load(v.pointer(builder, values, llvm_element(h.element), i))
    j = builder.load(v.pointer(builder, indices, ir.IntType(index_bits), i))
    return x, j if index_bits == 64 else builder.sext(j, v.INT64)


def _variant(h, selection, stride):
    """(vector, bits of an index, stride): rows of W narrower than a vector lie one after the other."""
    width, bits = selection % WIDE, 64 if selection >= WIDE else 32
    element = llvm_element(h.element)
    known = ir.Constant(v.INT64, width) if width < v.lanes_of(element) else stride
    return ir.VectorType(element, width), bits, known


@intrinsic
def sparse_dots(typing, h, selection, values, indices, spans, near, far, rows, w, stride, out, step):
    """out[r * step + c] = sum over row r's entries of value * w[feature * stride + c], for a vector of c.

    spans: a row's first entry and its end, two int64 a row. near, far: the same of as many rows that are
    wanted soon, and later: their entries are fetched meanwhile, to the first-level cache and to the second.
    With W in half of the second-level cache, far alone makes the dots of 37 million entries take 37 ms, both 30.
    """

    def codegen(context, builder, signature, args):
        _, selection, values, indices, spans, near, far, rows, w, stride, out, step = args

        def emit(number):
            vector, bits, apart = _variant(h, number, stride)
            zero = v.splat(builder, vector, 0.0)

            def term(i, total):
                x, j = _entry(builder, h, (values, indices), i, bits)
                weights = v.load(builder, w, vector, builder.mul(j, apart))
                return weights.times_plus(v.splat(builder, vector, x), total)

            def four(i, totals):
                places = [builder.add(i, ir.Constant(v.INT64, k)) for k in range(4)]
                return [term(place, total) for place, total in zip(places, totals, strict=True)]

            def rest(i, totals, end):
                """One to three entries: a loop's end would be guessed wrongly in every other row."""
                totals = [term(i, totals[0]), *totals[1:]]
                for k in (1, 2):
                    place = builder.add(i, ir.Constant(v.INT64, k))
                    there = builder.icmp_signed("<", place, end)
                    more = term(builder.select(there, place, i), totals[k])
                    value = builder.select(there, more.value, totals[k].value)
                    totals[k] = v.Vector(builder, value)
                return totals

            def row(r, _):
                begin, end = _span(builder, spans, r)
                count = builder.and_(builder.sub(end, begin), ir.Constant(v.INT64, -4))
                middle = builder.add(begin, count)
                totals = v.loop(builder, begin, middle, 4, [zero] * 4, four)
                a, b, c, d = v.loop(builder, middle, end, 4, totals, lambda i, t: rest(i, t, end))
                v.store((a + b) + (c + d), out, builder.mul(r, step))
                for table, level in ((far, 2), (near, 1)):
                    wanted = _span(builder, table, r)
                    _prefetch_span(builder, values, llvm_element(h.element), *wanted, level)
                    _prefetch_span(builder, indices, ir.IntType(bits), *wanted, level)
                return []

            v.loop(builder, ir.Constant(v.INT64, 0), rows, 1, [], row)

        variants(builder, selection, _selections(v.lanes_of(llvm_element(h.element))), emit)
        return context.get_dummy_value()

    given = (h, selection, values, indices, spans, near, far, rows, w, stride, out, step)
    return types.none(*given), codegen


@intrinsic(prefer_literal=True)
def sparse_adds(typing, h, squares, selection, values, indices, spans, rows, target, stride, slopes, step):
    """target[feature * stride + c] += value * slopes[r * step + c] for all rows and a vector of c.

    Rows whose slopes are all 0 are passed over. With squares (a literal) it returns how much the sum of
    squares of the target grew, in four sums: one chain of additions would take as long as all the rest. Else 0.
    """
    result, wanted = h.element, squares.literal_value

    def codegen(context, builder, signature, args):
        _, _, selection, values, indices, spans, rows, target, stride, slopes, step = args
        grown = cgutils.alloca_once_value(builder, ir.Constant(context.get_value_type(result), 0.0))

        def emit(number):
            vector, bits, apart = _variant(h, number, stride)

            def one(i, total, slope):
                x, j = _entry(builder, h, (values, indices), i, bits)
                place = builder.mul(j, apart)
                before = v.load(builder, target, vector, place)
                value = v.splat(builder, vector, x)
                after = slope.times_plus(value, before)
                v.store(after, target, place)
                return (slope * value).times_plus(before + after, total) if wanted else total

            def four(i, totals, slope):
                places = [builder.add(i, ir.Constant(v.INT64, k)) for k in range(4)]
                return [one(place, total, slope) for place, total in zip(places, totals, strict=True)]

            def row(r, totals):
                slope = v.load(builder, slopes, vector, builder.mul(r, step))
                begin, end = _span(builder, spans, r)
                end = builder.select(_any(builder, slope.compare("!=", 0)), end, begin)
                if not wanted:
                    v.loop(builder, begin, end, 1, [], lambda i, none: one(i, none, slope))
                    return []
                middle = builder.add(begin, builder.and_(builder.sub(end, begin), ir.Constant(v.INT64, -4)))
                totals = v.loop(builder, begin, middle, 4, totals, lambda i, t: four(i, t, slope))
                rest = v.loop(builder, middle, end, 1, totals[:1], lambda i, t: [one(i, t[0], slope)])
                return rest + totals[1:]

            zero = v.splat(builder, vector, 0.0)
            totals = v.loop(builder, ir.Constant(v.INT64, 0), rows, 1, [zero] * (4 * wanted), row)
            value = zero.lane(0)
            for total in totals:
                for c in range(vector.count):
                    value = builder.fadd(value, total.lane(c))
            builder.store(value, grown)

        variants(builder, selection, _selections(v.lanes_of(llvm_element(h.element))), emit)
        return builder.load(grown)

    given = (h, squares, selection, values, indices, spans, rows, target, stride, slopes, step)
    return result(*given), codegen


@intrinsic
def largest_index(typing, indices, bits, begin, end):
    """The largest column number of entries [begin, end); negative ones count as huge."""

    def codegen(context, builder, signature, args):
        indices, bits, begin, end = args
        found = cgutils.alloca_once_value(builder, ir.Constant(v.INT64, 0))

        def emit(width):
            vector = v.vector_type(ir.IntType(width))

            def whole(i, largest):
                return [largest[0].unsigned_maximum(v.load(builder, indices, vector, i))]

            zero = v.splat(builder, vector, 0)
            count = builder.and_(builder.sub(end, begin), ir.Constant(v.INT64, -vector.count))
            middle = builder.add(begin, count)
            (largest,) = v.loop(builder, begin, middle, vector.count, [zero], whole)
            for lane in range(vector.count):
                keep(largest.lane(lane), width)

            def one(i, _):
                keep(builder.load(v.pointer(builder, indices, ir.IntType(width), i)), width)
                return []

            v.loop(builder, middle, end, 1, [], one)

        def keep(value, width):
            if width == 32:
                value = builder.zext(value, v.INT64)
            most = builder.load(found)
            greater = builder.icmp_unsigned(">", value, most)
            builder.store(builder.select(greater, value, most), found)

        variants(builder, bits, (32, 64), emit)
        return builder.load(found)

    return types.uint64(indices, bits, begin, end), codegen


def _span(builder, spans, r):
    slots = v.pointer(builder, spans, v.INT64)
    first = builder.mul(r, ir.Constant(v.INT64, 2))
    second = builder.add(first, ir.Constant(v.INT64, 1))
    return [builder.load(builder.gep(slots, [i])) for i in (first, second)]


def _prefetch_span(builder, address, element, begin, end, level):
    """The first line, the last and those between; for short rows, whose lengths vary, without a branch.

    How many depends on the number of entries alone: by addresses it would be guessed wrongly in rows of one length
    too. So a line between may be left out where a row has fewer than 96 bytes.
    """
    size = v.size_of(element)
    address = builder.add(address, builder.mul(begin, ir.Constant(v.INT64, size)))
    bytes_ = builder.mul(builder.sub(end, begin), ir.Constant(v.INT64, size))

    def fetch(i, _):
        v.prefetch(builder, address, i, level)
        return []

    fetch(ir.Constant(v.INT64, 0), [])
    fetch(builder.sub(bytes_, ir.Constant(v.INT64, 1)), [])
    v.loop(builder, ir.Constant(v.INT64, 64), builder.sub(bytes_, ir.Constant(v.INT64, 32)), 64, [], fetch)


def _any(builder, mask):
    bits = builder.bitcast(mask.value, ir.IntType(mask.value.type.count))
    return builder.icmp_unsigned("!=", bits, ir.Constant(bits.type, 0))
