"""Value and gradient of a linear model, rows in blocks, X read once.

The kernels take the address of a problem, a table as PROBLEM declares it. A block of rows goes through
    addresses -> scores -> loss rows -> dscores -> gradient
while it stays in the second-level cache.
"""

import numpy as np
from numba.extending import overload

from fastopt.kernels.gradient.pair import exchange, own_features, own_slot
from fastopt.kernels.gradient.tiles import (
    STRIP_CLASSES,
    TILE_CLASSES,
    TILE_ROWS,
    gradient_strips,
    scores_tile,
)
from fastopt.kernels.language.compile import kernel
from fastopt.kernels.language.lanes import BLOCK, load_lanes, same_lanes, scores_at, store_lanes, sum_lanes
from fastopt.kernels.language.memory import (
    as_element,
    call,
    clear,
    element_size,
    fetch,
    lane_count,
    read,
    read_element,
    widen,
    write,
    write_element,
    zero,
)
from fastopt.kernels.step.elementwise import read_coefficients

CHUNK = 2048  # bytes of a row between two sums of lanes: five rows of W and four of X fit in 32 KB


def loss_rows(k, s, y, d):
    """Stands for the formula that the type of s names."""


@overload(loss_rows)
def _loss_rows(k, s, y, d):
    return s.loss.formula.rows


def labels_at(h, targets, j, classes):
    """y of rows from j on, in the form that the formula of h takes: a register, or one a class of soft labels."""


@overload(labels_at)
def _labels_at(h, targets, j, classes):
    if h.formula.one_row == "shares":
        return lambda h, targets, j, classes: scores_at(h, targets + j * element_size(h), classes)
    return lambda h, targets, j, classes: load_lanes(h, targets, j, BLOCK)


@kernel
def row_at(problem, i):
    order = problem.order
    return read(np.int64, order, i) if order else i


@kernel
def fill_table(problem, table, begin, end, count, reach):
    """Addresses of rows, the last repeated up to `count`: tiles may be taller than the rest.

    Byte `reach` of each, the last that is wanted, is fetched: tiles fetch the line at which each vector
    begins, and rows rarely begin with a line (54 features: 32 ns a row instead of 40).
    """
    x, stride = problem.X, problem.x_stride
    address = x
    for i in range(begin, end):
        address = x + row_at(problem, i) * stride
        write(table, i - begin, address)
        fetch(address + reach)
    for i in range(max(end - begin, 0), count):
        write(table, i, address)


@kernel
def widen_rows(h, problem, table, rows, widened, target, first, last):
    """Copy features [first, last) of uint8 rows, scaled, to a block of the formula's dtype.

    `widened` is the table of the copies' addresses.
    """
    size = element_size(h)
    stride = (problem.features * size + 63) // 64 * 64 + 64
    scale = read(np.float64, problem.numbers, 0)
    for r in range(rows):
        source = read(np.int64, table, r) + first
        widen(h, source, target + r * stride + first * size, last - first, scale)
    for r in range(min(BLOCK, rows + TILE_ROWS - 1)):
        write(widened, r, target + min(r, rows - 1) * stride)


@kernel
def feature_bytes(h, problem):
    """Of X as it was given."""
    return 1 if problem.x_kind == 1 else element_size(h)


@kernel
def label(h, problem, row):
    """y of a row as a number of the formula's dtype."""
    y, kind = problem.y, problem.y_kind
    if kind == 8:
        return as_element(h, read(np.int64, y, row) - problem.y_shift)
    return read_element(h, y, row)


@kernel
def load_shares(h, problem, row, r, targets):
    """Soft labels of a row, one a class, to place r of the block."""
    shares, size = problem.shares, BLOCK * element_size(h)
    for c in range(shares):
        write(targets + c * size, r, read_element(h, problem.y, row * shares + c))


@kernel
def weight(h, problem, row):
    """The weight of a row, 1 where there are none."""
    w = problem.weights
    return read_element(h, w, row) if w else as_element(h, 1)


@kernel
def load_rows(h, problem, begin, end, targets, weights):
    """Labels and weights of a block as numbers of its dtype; the weight past the end is 0."""
    for i in range(begin, end):
        row, r = row_at(problem, i), i - begin
        if problem.shares:
            load_shares(h, problem, row, r, targets)
        else:
            write(targets, r, label(h, problem, row))
        write(weights, r, weight(h, problem, row))
    for r in range(end - begin, BLOCK):
        for c in range(max(1, problem.shares)):
            write(targets + c * BLOCK * element_size(h), r, zero(h))
        write(weights, r, zero(h))


@kernel
def block_scores(h, problem, table, following, rows, scores, first, last):
    """scores[c, r] = W[c] X[r] over features [first, last), + b[c] if these are the first.

    A part of the rows in `following` is fetched meanwhile.
    """
    w, classes, size = problem.W, problem.classes, element_size(h)
    width = problem.w_stride
    w += problem.jump if first else 0
    b = problem.b if first == 0 else 0
    for c in range(classes):
        start = same_lanes(h, read_element(h, b, c) if b else zero(h))
        for r in range(0, BLOCK, lane_count(h)):  # one by one they take an eighth of 54 features' scores
            store_lanes(h, scores, c * BLOCK + r, c * BLOCK + BLOCK, start)
    tile, step = BLOCK * size, feature_bytes(h, problem)
    for offset in range(first * size, last * size, CHUNK):
        count = min(CHUNK, last * size - offset) // size
        apart = offset // size * step
        for panel in range(0, classes, 2 * TILE_CLASSES):
            wide = min(classes - panel, 2 * TILE_CLASSES)
            cut = wide if wide <= TILE_CLASSES else (wide + 1) // 2
            w_panel, target = w + panel * width + offset, scores + panel * tile
            for r in range(0, rows, TILE_ROWS):
                source, next_source = table + r * 8, following + r * 8
                out = target + r * size
                if rows - r == 1:
                    scores_tile(
                        h, 1, source, next_source, offset, apart, step, w_panel, width, count, out, wide
                    )
                    continue
                scores_tile(
                    h, TILE_ROWS, source, next_source, offset, apart, step, w_panel, width, count, out, cut
                )
                if cut < wide:
                    scores_tile(
                        h, TILE_ROWS, source, next_source + 8, offset, apart, step, w_panel + cut * width,
                        width, count, out + cut * tile, wide - cut,
                    )  # fmt: skip
    return 0.0


@kernel
def block_loss(h, problem, rows, scores, dscores, targets, weights, db):
    """Loss of a block; its dscores, times the weights; their sums over rows are added to db."""
    classes, size = problem.classes, element_size(h)
    k = read_coefficients(h, problem.numbers + 8)
    weighted = rows < BLOCK or problem.weights != 0
    total = 0.0
    for j in range(0, rows, lane_count(h)):
        d = scores_at(h, dscores + j * size, classes)
        y = labels_at(h, targets, j, classes)
        loss = loss_rows(k, scores_at(h, scores + j * size, classes), y, d)
        if weighted:
            w = load_lanes(h, weights, j, BLOCK)
            loss = loss * w
            for c in range(classes):
                d[c] = d[c] * w
        total += sum_lanes(loss)
    if db:
        for c in range(classes):
            t = load_lanes(h, dscores, c * BLOCK, c * BLOCK + BLOCK)
            for j in range(lane_count(h), rows, lane_count(h)):
                t = t + load_lanes(h, dscores, c * BLOCK + j, c * BLOCK + BLOCK)
            write_element(h, db, c, read_element(h, db, c) + sum_lanes(t))
    return total


@kernel
def block_gradient(h, problem, table, following, rows, dscores, dw, fresh, begin, end):
    """dw += dscores X, or with fresh = 1, dw = dscores X, for features [begin, end)."""
    classes, size = problem.classes, BLOCK * element_size(h)
    stride = problem.w_stride
    dw += problem.jump if begin else 0
    parts = (classes + STRIP_CLASSES - 1) // STRIP_CLASSES
    first = 0
    for part in range(parts):
        last = first + (classes - first) // (parts - part)
        gradient_strips(h, table, following, feature_bytes(h, problem), rows, dscores + first * size,
                        dw + first * stride, fresh, stride, begin, end, last - first)  # fmt: skip
        following = table
        first = last
    return 0.0


@kernel
def elements_of(problem):
    """Numbers of W as the kernels hold it."""
    return problem.width * problem.features


@kernel
def block_memory(h, problem, scratch):
    """Addresses of a block's (scores, dscores, targets, weights, what comes after them)."""
    size = BLOCK * element_size(h)
    scores = (scratch + 63) // 64 * 64
    dscores = scores + problem.classes * size
    targets = dscores + problem.classes * size
    weights = targets + max(1, problem.shares) * size
    return scores, dscores, targets, weights, weights + size


@kernel
def add_blocks(h, problem, a, b, target):
    """target = a + b, blocks of scores."""
    count = problem.classes * BLOCK
    for i in range(0, count, lane_count(h)):
        store_lanes(h, target, i, count, load_lanes(h, a, i, count) + load_lanes(h, b, i, count))


@kernel
def all_scores(h, problem, x, following, rows, scores, free):
    """The scores of a block by all features; free: memory for as many."""
    features, half = problem.features, problem.half
    kernel = problem.scores
    call(kernel, (problem, x, following, rows, scores, 0, half or features))
    if half:
        call(kernel, (problem, x, following, rows, free, half, features))
        add_blocks(h, problem, scores, free, scores)


@kernel
def add_rows(h, problem, begin, end, coming, stop, dw, db, scratch, pair):
    """Write the gradient of rows [begin, end) to dw, add it to db (0: no bias); returns their loss.

    Rows from `coming` on, up to `stop`, will be wanted next: they are fetched meanwhile. dw = 0 ends after
    the first block's dscores: see single_row. pair: 0, or one's side of a pair, which does its own half of
    the features; it stops where the other side is lost.
    """
    classes, block = problem.classes, problem.block_rows
    scores, dscores, targets, weights, table = block_memory(h, problem, scratch)
    following = table + BLOCK * 8
    ahead = following + BLOCK * 8
    widened = ahead + BLOCK * 8
    wide = problem.x_kind == 1
    total = 0.0
    if begin >= end and dw:
        clear(dw, classes * problem.features * element_size(h))
    fetched = 2 if classes > TILE_CLASSES else 1  # rows of each tile that scores fetch
    left, right = own_features(pair) if pair else (0, problem.features)
    reach = right * feature_bytes(h, problem) - 1
    fill_table(problem, table, begin, min(begin + block, end), BLOCK, reach)
    for first in range(begin, end, block):
        last = min(first + block, end)
        rows = last - first
        load_rows(h, problem, first, last, targets, weights)
        if last < end:
            fill_table(problem, following, last, min(last + block, end), BLOCK, reach)
        else:
            fill_table(problem, following, coming, min(coming + block, stop), BLOCK, reach)
        x = table
        if wide:
            x = widened
            widen_rows(h, problem, table, rows, widened, widened + BLOCK * 8, left, right)
        if pair:
            slot = own_slot(pair)
            call(problem.scores, (problem, x, following, rows, slot, left, right))
            a, b = exchange(pair)
            if not a:
                return total
            add_blocks(h, problem, a, b, scores)
        else:
            all_scores(h, problem, x, following, rows, scores, dscores)
        total += call(problem.loss, (problem, rows, scores, dscores, targets, weights, db))
        if dw == 0:
            return total
        for r in range(rows):
            fetch = table if r % TILE_ROWS < fetched else following
            write(ahead, r, read(np.int64, fetch, r))
        fresh = 1 if first == begin else 0
        gradient, middle = problem.gradient, 0 if pair else problem.half
        call(gradient, (problem, x, ahead, rows, dscores, dw, fresh, left, middle or right))
        if middle:
            call(gradient, (problem, x, ahead, rows, dscores, dw, fresh, middle, right))
        table, following = following, table
    return total


@kernel
def single_row(h, problem, scratch):
    """(address of its X, address of dscores) of the one row that add_rows was called for without dw."""
    _, dscores, _, _, table = block_memory(h, problem, scratch)
    if problem.x_kind == 1:
        table += 3 * BLOCK * 8  # of the widened rows
    return read(np.int64, table, 0), dscores
