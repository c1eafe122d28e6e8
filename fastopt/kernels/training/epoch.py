"""A training run's arrays in the form that the compiled loops take (steps.py, scaled.py, crew.py, pair.py)."""

import functools

import numpy as np
from numba.core import types

from fastopt.arrays import aligned_zeros
from fastopt.kernels.gradient import linear, pair
from fastopt.kernels.gradient.problem import Problem
from fastopt.kernels.language.compile import entry
from fastopt.kernels.language.formula import formula_type
from fastopt.kernels.language.lanes import BLOCK
from fastopt.kernels.language.memory import element_type, native_address
from fastopt.kernels.training import lone, scaled, steps
from fastopt.kernels.training.crew import CREW_SIZE, STOP, TICKET, help_crew
from fastopt.native import address
from fastopt.rules import is_linear, linear_coefficients
from fastopt.threads import cpus, share

# Multiply-adds of a batch's scores above which a crew shares it (10 us of work, 1 us to hand it over), or a pair.
CREW_WORK, PAIR_WORK = 400_000, 25_000


@functools.cache
def _steps_entry(dtype, kernel):
    return entry(kernel, element_type(dtype), *[types.int64] * 4)


@functools.cache
def _rule_addresses(rule_type):
    kernels = (steps.update_features, 5), (steps.update_by_row, 3)
    return [native_address(kernel, rule_type, integers) for kernel, integers in kernels]


@functools.cache
def _row_loss_address(loss_type):
    return native_address(lone.row_loss, loss_type, 4)


@functools.cache
def _help_entry(dtype, is_pair):
    kernel, integers = (steps.help_pair, 4) if is_pair else (help_crew, 3)
    return entry(kernel, element_type(dtype), *[types.int64] * integers)


class Epoch:
    """Called with a stretch of steps; see fastopt.engines."""

    def __init__(self, rows, loss, rule, parameters, batch, l2, threads):
        self.problem = problem = Problem(rows, loss)
        self.rule, self.batch, self.l2 = rule, batch, l2
        (self.W, W_slots), (self.b, b_slots) = parameters
        halved = problem.halve(batch)
        groups, group_rows = (1, batch) if halved else problem.groups(batch)
        # Two threads of a pair on one CPU wait for each other: 2.1 times as slow as one
        work, most = batch * rows.work // rows.n, min(2, cpus()) if halved else groups
        self.threads = min(threads, most) if work >= (PAIR_WORK if halved else CREW_WORK) else 1
        self.scaled = self._can_be_scaled(groups)
        self.kernel = scaled.scaled_steps if self.scaled else steps.steps
        if self.scaled and problem.sparse and batch == 1:
            self.kernel = lone.lone_steps
            loss_type = formula_type(type(loss), problem.dtype_name, len(loss))
            problem.table[linear.LOSS] = _row_loss_address(loss_type)
        # While a stretch runs W and its slots are held otherwise: CSR by feature, or by halves of the features;
        # lazily scaled weights are never in W itself
        self.arrays = [self.W, *W_slots]
        apart = problem.sparse or self.scaled or halved
        self.held = [problem.like_weights() for _ in self.arrays] if apart else self.arrays
        self.dW, self.db = problem.like_weights() if apart else np.zeros_like(self.W), np.empty_like(self.b)
        slots = zip(self.held[1:], b_slots, strict=True)
        self._tables = {
            "p": _addresses_of(self.held[0], self.b),
            "g": _addresses_of(self.dW, self.db),
            "s": _addresses_of(*(array for both in slots for array in both), self.b),
        }
        self.numbers = _on_own_lines([0.0] * 6, np.float64)
        self.numbers[steps.L2] = l2
        problem.set("W", self.held[0])
        problem.set("b", None if self.scaled else self.b)
        scratch = self._scaled_bytes() if self.scaled else problem.scratch_bytes
        hands = problem.hands(batch, groups, group_rows, self.dW, self.db, problem.places(groups), scratch)
        fields = {name: address(table) for name, table in self._tables.items()}
        fields |= {"hands": hands, "numbers": address(self.numbers)}
        # with a weight it would round otherwise than the steps by whole batches that stand in for it now and then
        self.by_row = batch == 1 and not problem.sparse and rows.weight is None
        self.helpers, self.pair = [], None
        if halved and self.threads > 1:
            self._pair(fields, batch, work)
        elif self.threads > 1:
            self._hire(fields, batch, groups, group_rows, work // groups)
        self.run = _run_table(fields)

    def _can_be_scaled(self, groups):
        if not is_linear(self.rule):
            return False
        return self.batch == 1 or (self.problem.sparse and groups == 1)

    def _scaled_bytes(self):
        problem = self.problem
        features = 0 if problem.sparse else problem.features
        return scaled.scaled_bytes(
            problem.classes, problem.width, self.batch, problem.dtype.itemsize, features
        )

    def _hire(self, fields, batch, groups, group_rows, group_work):
        """Memory for the helpers of a crew."""
        problem = self.problem
        self.crew = aligned_zeros(CREW_SIZE, np.int64)
        dW, db = problem.like_weights(), np.empty_like(self.b)
        places, scratch = problem.places(groups), problem.scratch_bytes
        for _ in range(self.threads - 1):
            self.helpers.append(problem.hands(batch, groups, group_rows, dW, db, places, scratch))
        fields |= {"crew": address(self.crew), "others": self.helpers[0]}
        fields["patience"] = _patience(group_work)

    def _pair(self, fields, batch, work):
        """Memory for the two sides of a pair, and the run as the helper sees it."""
        problem = self.problem
        blocks = -(-batch // int(problem.table[linear.BLOCK_ROWS]))
        block_bytes = BLOCK * problem.classes * problem.dtype.itemsize
        # Two blocks and the notes; a page apart, as W's halves are
        sums = [aligned_zeros(2 * block_bytes + 4096, np.uint8) for _ in range(2)]
        dW, numbers = problem.like_weights(), _on_own_lines(self.numbers, np.float64)
        self.board = aligned_zeros(pair.BOARD_SIZE, np.int64)
        features, sides = (0, problem.halves.first, problem.features), []
        for which in range(2):
            known = {
                "which": which,
                "first": features[which],
                "last": features[which + 1],
                "mine": address(sums[which]),
                "other": address(sums[1 - which]),
                "block_bytes": block_bytes,
                "board": address(self.board),
                "patience": _patience(work),
            }
            sides.append(_on_own_lines([known.get(name, 0) for name in pair.SIDE], np.int64))
        hands = problem.hands(batch, 1, batch, dW, None, problem.places(1), problem.scratch_bytes)
        table = _addresses_of(dW, self.b)
        fields |= {"side": address(sides[0]), "blocks": blocks}
        own = {"side": address(sides[1]), "hands": hands, "numbers": address(numbers), "g": address(table)}
        self.pair = _run_table(fields | own)
        self._kept = [sums, dW, numbers, sides, table]

    def __call__(self, coefficients, order, begin, end, loss):
        """Steps [begin, end) with one row of coefficients each: (stopped, loss + theirs, gradient norm)."""
        order = None if order is None else np.ascontiguousarray(order, np.int64)
        self.problem.set("order", order)
        same = coefficients.strides[0] == 0 or len(coefficients) == 1
        run = self._bind(np.ascontiguousarray(coefficients[:1] if same else coefficients, np.float64))
        self.numbers[steps.LOSS] = loss
        self._move_in(begin)
        stopped = self._share(lambda: run(None, self.problem.at, address(self.run), begin, end), begin, end)
        self._move_out()
        return stopped, float(self.numbers[steps.LOSS]), float(self.numbers[steps.NORM])

    def _bind(self, K):
        """The compiled loop for these coefficients, which are put where it finds them."""
        dtype = self.problem.dtype_name
        if self.scaled:
            K = linear_coefficients(self.rule, self.l2, K)
        else:
            whole, by_row = _rule_addresses(formula_type(type(self.rule), dtype, K.shape[1]))
            self.run[steps.UPDATE], self.run[steps.UPDATE_BY_ROW] = whole, by_row if self.by_row else 0
        self._K = K
        self.run[steps.K], self.run[steps.K_COUNT] = address(K), K.shape[1] if len(K) > 1 else 0
        if self.pair is not None:
            for i in (steps.UPDATE, steps.K, steps.K_COUNT):
                self.pair[i] = self.run[i]
        return _steps_entry(dtype, self.kernel)

    def _share(self, work, begin, end):
        """The stretch on this thread, or on a helper while this thread helps."""
        at, count = self.problem.at, len(self.helpers) + 1 if self.pair is None else 2
        if count == 1:
            return work()
        board, place, stop = (self.crew, TICKET, STOP) if self.pair is None else (self.board, pair.STOP, 1)
        board[:] = 0
        help_ = _help_entry(self.problem.dtype_name, self.pair is not None)

        def dismiss():
            board[place // 8] = stop

        def part(i):
            if i and self.pair is not None:
                return help_(None, at, address(self.pair), begin, end)
            if i:
                return help_(None, at, self.helpers[i - 1], address(self.crew))
            try:
                return work()
            finally:
                dismiss()

        return share(part, range(count), count, dismiss)[0]

    def _move_in(self, begin):
        if self.scaled and begin > 0:
            return  # V and alpha stand as the last stretch left them
        for array, held in self._apart():
            held[...] = array
        if self.scaled:
            self.numbers[steps.ALPHA] = 1.0
            self.numbers[steps.SQUARES] = np.sum(np.square(self.W, dtype=np.float64))

    def _move_out(self):
        for array, held in self._apart():
            array[...] = held
            if self.scaled:
                array *= array.dtype.type(self.numbers[steps.ALPHA])

    def _apart(self):
        """[(array, the same numbers where the kernels hold them)], in parts."""
        pairs = zip(self.arrays, self.held, strict=True)
        if self.problem.sparse or self.problem.halves:
            return [part for array, held in pairs for part in self.problem.parts(array, held)]
        return [(array, held) for array, held in pairs if held is not array]


def _patience(work):
    """Spins, of 50 cycles and more, that take about as long as so many multiply-adds."""
    return 256 + work // 512


def _run_table(fields):
    return np.array([fields.get(name, 0) for name in steps.RUN], np.int64)


def _on_own_lines(values, dtype):
    """A vector of them on cache lines of its own: what one thread writes all the time is in no other's way."""
    lanes = 64 // np.dtype(dtype).itemsize
    vector = aligned_zeros(-(-len(values) // lanes) * lanes, dtype)[: len(values)]
    vector[:] = values
    return vector


def _addresses_of(*arrays):
    return np.array([address(a) for a in arrays], np.int64)
