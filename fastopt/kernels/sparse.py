"""The row kernel for CSR features.

W and its gradient are held as (features, width): the weights of one feature lie together, padded to
a power of two or to whole vectors, so that an entry of X touches one or few cache lines.
"""

import numpy as np
from llvmlite import ir
from numba.core import types
from numba.extending import intrinsic

from fastopt.kernels import linear as dense
from fastopt.kernels import vectors as v
from fastopt.kernels.compile import kernel
from fastopt.kernels.lanes import BLOCK, llvm_element
from fastopt.kernels.memory import call, clear, element_size, lane_count, read, read_element, write
from fastopt.kernels.tiles import variants

_WIDE = 1024  # added to the width where indices have 64 bits


def padded_classes(classes, itemsize):
    lanes = v.VECTOR_BYTES // itemsize
    if classes > lanes:
        return -(-classes // lanes) * lanes
    return 1 << (classes - 1).bit_length()


def _selections(lanes):
    widths = [1 << j for j in range(lanes.bit_length())]
    return [*widths, *(w + _WIDE for w in widths)]


def _entry(builder, h, args, i, index_bits):
    """Value and feature number of entry i."""
    values, indices = args
    x = builder.load(v.pointer(builder, values, llvm_element(h.element), i))
    j = builder.load(v.pointer(builder, indices, ir.IntType(index_bits), i))
    return x, j if index_bits == 64 else builder.sext(j, v.INT64)


def _variant(h, selection):
    width, bits = selection % _WIDE, 64 if selection >= _WIDE else 32
    return ir.VectorType(llvm_element(h.element), width), bits


@intrinsic
def sparse_dot(typing, h, selection, values, indices, begin, end, w, stride, out):
    """out[c] = sum over entries [begin, end) of value * w[feature * stride + c], for a vector of c."""

    def codegen(context, builder, signature, args):
        _, selection, values, indices, begin, end, w, stride, out = args

        def emit(number):
            vector, bits = _variant(h, number)

            def term(i, total):
                x, j = _entry(builder, h, (values, indices), i, bits)
                weights = v.load(builder, w, vector, builder.mul(j, stride))
                return total + weights * v.splat(builder, vector, x)

            def four(i, totals):
                places = [builder.add(i, ir.Constant(v.INT64, k)) for k in range(4)]
                return [term(place, total) for place, total in zip(places, totals, strict=True)]

            def one(i, totals):
                return [term(i, totals[0])]

            count = builder.and_(builder.sub(end, begin), ir.Constant(v.INT64, -4))
            middle = builder.add(begin, count)
            zero = v.splat(builder, vector, 0.0)
            a, b, c, d = v.loop(builder, begin, middle, 4, [zero] * 4, four)
            (total,) = v.loop(builder, middle, end, 1, [(a + b) + (c + d)], one)
            v.store(total, out)

        variants(builder, selection, _selections(v.lanes_of(llvm_element(h.element))), emit)
        return context.get_dummy_value()

    return types.none(h, selection, values, indices, begin, end, w, stride, out), codegen


@intrinsic
def sparse_add(typing, h, selection, values, indices, begin, end, dw, stride, slopes):
    """dw[feature * stride + c] += value * slopes[c] for entries [begin, end) and a vector of c."""

    def codegen(context, builder, signature, args):
        _, selection, values, indices, begin, end, dw, stride, slopes = args

        def emit(number):
            vector, bits = _variant(h, number)
            slope = v.load(builder, slopes, vector)

            def one(i, _):
                x, j = _entry(builder, h, (values, indices), i, bits)
                place = builder.mul(j, stride)
                total = v.load(builder, dw, vector, place) + slope * v.splat(builder, vector, x)
                v.store(total, dw, place)
                return []

            v.loop(builder, begin, end, 1, [], one)

        variants(builder, selection, _selections(v.lanes_of(llvm_element(h.element))), emit)
        return context.get_dummy_value()

    return types.none(h, selection, values, indices, begin, end, dw, stride, slopes), codegen


@kernel
def add_sparse_rows(h, problem, begin, end, soon, dw, db, scratch):
    """linear.add_rows for CSR: X is the address of the values, x_kind the bits of an index."""
    classes, width = read(np.int64, problem, dense.CLASSES), read(np.int64, problem, dense.WIDTH)
    size, lanes = element_size(h), lane_count(h)
    wide = (width + lanes - 1) // lanes * lanes
    scores = (scratch + 63) // 64 * 64
    dscores = scores + classes * BLOCK * size
    targets = dscores + classes * BLOCK * size
    weights = targets + BLOCK * size
    by_row = weights + BLOCK * size
    values, indices = read(np.int64, problem, dense.X), read(np.int64, problem, dense.INDICES)
    indptr, bits = read(np.int64, problem, dense.INDPTR), read(np.int64, problem, dense.X_KIND)
    w = read(np.int64, problem, dense.W)
    selection = min(width, lanes) + (_WIDE if bits == 64 else 0)
    total = 0.0
    for first in range(begin, end, BLOCK):
        last = min(first + BLOCK, end)
        rows = last - first
        dense.load_rows(h, problem, first, last, targets, weights)
        for r in range(rows):
            from_, to = entries(problem, indptr, bits, first + r)
            for c in range(0, width, lanes):
                out = by_row + (r * wide + c) * size
                sparse_dot(h, selection, values, indices, from_, to, w + c * size, width, out)
        _spread_scores(h, problem, rows, classes, wide, by_row, scores)
        arguments = (problem, rows, scores, dscores, targets, weights, db)
        total += call(read(np.int64, problem, dense.LOSS), arguments)
        clear(by_row, rows * wide * size)
        for c in range(classes):
            for r in range(rows):
                write(by_row, r * wide + c, read_element(h, dscores, c * BLOCK + r))
        for r in range(rows):
            from_, to = entries(problem, indptr, bits, first + r)
            for c in range(0, width, lanes):
                slopes = by_row + (r * wide + c) * size
                sparse_add(h, selection, values, indices, from_, to, dw + c * size, width, slopes)
    return total


@kernel
def entries(problem, indptr, bits, position):
    row = dense.row_at(problem, position)
    if bits == 64:
        return read(np.int64, indptr, row), read(np.int64, indptr, row + 1)
    return np.int64(read(np.int32, indptr, row)), np.int64(read(np.int32, indptr, row + 1))


@kernel
def _spread_scores(h, problem, rows, classes, wide, by_row, scores):
    """From a row's scores side by side to (classes, rows), with the bias."""
    b = read(np.int64, problem, dense.B)
    for c in range(classes):
        start = read_element(h, b, c) if b else dense.zero(h)
        for r in range(rows):
            write(scores, c * BLOCK + r, start + read_element(h, by_row, r * wide + c))
        for r in range(rows, BLOCK):
            write(scores, c * BLOCK + r, start)
