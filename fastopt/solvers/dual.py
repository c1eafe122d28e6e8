"""Dual coordinate ascent for the losses with kinks, with a duality gap as the proof of what it found."""

from collections.abc import Callable

import numpy as np

from fastopt import losses, native
from fastopt.arrays import aligned_zeros
from fastopt.kernels.tables import ASCENT, ASCENT_NUMBERS
from fastopt.native import address
from fastopt.solvers.augmented import Augmented, Pace
from fastopt.solvers.flat import all_ones, in_double, triple, without_zeros
from fastopt.solvers.interior import WIDEST, Interior
from fastopt.threads import share

# rows looked at before the first measurement of the gap, in all rows, doubled each time, more of FEW, where a measurement is mostly calls; at most
FIRST, FIRST_OF_FEW, FEW, MOST_VISITED = 8, 16, 10_000, 32
# rho is no larger than this over how far b may have to go, or b hardly moves: weights add up to 1, and so does what pulls at
# it. Hinges on rows of 200 x 3, 1e-3 large, l2 = 1e-3: 19 rounds with 1, 5 with 0.1, 4 with 0.01; Weston-Watkins 56, 70, 340;
# unbounded the squared hinge was not done after 400, and of rows of 0 rho had no digits left: gaps below 0
FREE = 0.1
LESS = 0.03  # of the violation: fewer passes do
# Over the step to a variable's own best, of one row of W: a pass goes on for others (successive over-relaxation; ascent up to 2).
FURTHER = 1.4
GAP = 1e-6  # over the objective, where no tol is given
SLOW, FALLEN = 5, 0.1  # iterations in which the gap should fall to so much
Z, MOST, BEND, INVERSE_Q, ALPHA = range(5)  # of a row's numbers, as fo_ascent_row in csrc/sets.h
TARGET, LEAST = Z, BEND  # with targets
OF_TARGETS = (losses.Quantile, losses.EpsilonInsensitive)


def why_not(objective):
    """What to say where there is no dual of the loss and penalty; None where there is."""
    hinges = (losses.Hinge, losses.SquaredHinge, losses.MulticlassHinge, losses.CrammerSinger)
    loss = objective.loss
    if not isinstance(loss, hinges + OF_TARGETS) or (
        isinstance(loss, losses.EpsilonInsensitive) and loss.squared
    ):
        return (
            "it is for Hinge, SquaredHinge, MulticlassHinge, CrammerSinger, Quantile and EpsilonInsensitive "
            f"without squares, not {loss}"
        )
    if objective.penalty.l1 or not objective.penalty.l2 > 0:
        return f"it needs an l2 above 0 and no l1, not {objective.penalty}"
    return None if native.available() else "it needs the compiled module fastopt._native"


def dual(problem, x):
    """Iterates (x, value, gap): the objective at x, and how far above the optimum it is at most; from zeros.

    b is not penalised, which in the dual is an equality constraint. Instead b has rho*(b - centre)^2, and the
    centre follows b (the proximal point method, Rockafellar 1976), which leaves the optimum where it is.
    What is left of the constraint is counted in the gap as if b were off by 1 + |b|, of targets by their spread + |b|.
    Where ascent will take longer than Newton steps those go on, and where the gap hardly falls an interior point method.
    """
    parts = ascents = _parts(problem)
    kept, gaps, first = problem.slot(), [], ascents[0]
    may_leave = isinstance(first, _OneRow) and not first.bent and problem.shape[1] <= WIDEST
    pace, unfinished = Pace(problem, GAP), 0
    while True:
        share(lambda part: part.advance(), parts, problem.objective.threads)
        W, b = np.concatenate([part.W for part in parts]), np.concatenate([part.b for part in parts])
        x = problem.join(W, b if problem.objective.fit_intercept else None)
        value = problem.value(x, kept)
        gap = value - sum(part.lower_bound() for part in parts)
        yield x, value, gap
        over = all(part.over for part in parts)
        gaps, unfinished = gaps + [gap] * over, 0 if over else unfinished + 1
        if may_leave and parts is ascents and pace.is_slower(value, gap, ascents):
            rows = in_double(problem.objective.rows, first.data)
            parts, gaps = [part.augmented(rows) for part in ascents], []
        elif may_leave and (_is_slow(gaps) or unfinished == SLOW):
            rows = in_double(problem.objective.rows, first.data)
            parts, may_leave = [part.interior(rows) for part in ascents], False
        scores = problem.passes.by_row(kept.slot)
        for part in parts:
            part.put_aside(scores)
            part.move_centre()


def _is_slow(gaps):
    """Whether the smallest gap of SLOW iterations is not FALLEN of that of as many before."""
    return len(gaps) >= 2 * SLOW and min(gaps[-SLOW:]) > FALLEN * min(gaps[-2 * SLOW : -SLOW])


def _parts(problem):
    """One ascent for all classes, or, where the loss is one versus the rest, one for each."""
    loss, rows = problem.objective.loss, problem.objective.rows
    if isinstance(loss, losses.MulticlassHinge | losses.CrammerSinger):
        return [_Multiclass(problem)]
    data = triple(rows, problem.scaling)
    if isinstance(loss, OF_TARGETS):
        targets = [rows.y] if rows.classes == 1 else [rows.y == c for c in range(rows.classes)]
        return [_Targets(problem, data, y.astype(np.float64), seed) for seed, y in enumerate(targets)]
    signs = [np.where(rows.y == (1 if rows.classes == 1 else c), 1.0, -1.0) for c in range(rows.classes)]
    return [_Binary(problem, data, z, seed) for seed, z in enumerate(signs)]


class _Ascent:
    """What the two kinds share: rows, bounds of the dual variables, the penalty on b, passes."""

    _one_pass: Callable
    reach = 1.0  # of b, beside |b|
    visited = 0  # rows looked at in the last round
    over = True  # whether advance() has ended a round

    def __init__(self, problem, data, outputs, squared, margin, seed=0):
        self.objective, self.data, self.start = problem.objective, data, 0.0
        objective = self.objective
        rows, self.l2 = objective.rows, objective.penalty.l2
        C = np.full(rows.n, float(rows.one_over_weights))
        if rows.weight is not None:
            C *= rows.weight
        self.most, self.bend, self.bent = C, np.zeros(rows.n), squared
        if squared:
            self.most = np.where(C > 0, np.inf, 0.0)
            np.divide(0.5, C, out=self.bend, where=C > 0)
        self.w, self.bias = np.zeros((rows.features, outputs)), np.zeros(outputs)
        self.centre, self.order, self.margin = np.zeros(outputs), np.arange(rows.n, dtype=np.int32), margin
        self.squares, self.numbers = np.empty(rows.n), ASCENT_NUMBERS.filled()
        where = (*data, self.w, self.bias, self.order, self.numbers)
        values, indices, indptr, w, b, order, numbers = (address(a) if a.size else 0 for a in where)
        if indices and all_ones(data[0]):
            values = 0
        self.table = ASCENT.filled(
            values=values, indices=indices, indptr=indptr, features=rows.features, w=w, b=b, order=order,
            seed=12345 + seed, numbers=numbers,
        )  # fmt: skip
        self._at = address(self.table)
        self._of_rows("row_squares")(self._at, rows.n, address(self.squares))
        self.table[ASCENT.active] = rows.n
        self.rho = self._first_rho() if objective.fit_intercept else 0.0
        self.one_over_l2, self.one_over_rho = 1 / (2 * self.l2), 1 / (2 * self.rho) if self.rho else 0.0
        self.numbers[:] = self.one_over_l2, self.one_over_rho, margin, np.inf, -np.inf, 0.0
        self.most_visited = (FIRST_OF_FEW if rows.n < FEW else FIRST) * rows.n

    def _first_rho(self):
        """b as one more feature, of the rows' length; FREE bounds it where rows are so short that b is nearly all there is."""
        return min(self.l2 / max(float(np.mean(self.squares)), 1e-300), FREE / max(self.reach, 1e-300))

    def _of_rows(self, name):
        """The C library's function for rows of these values."""
        return native.function(name, self.data[0].dtype)

    def advance(self):
        """Passes until the rows in use violate their conditions by LESS of what all did, or many."""
        table, numbers = self.table, self.numbers
        visited = table[ASCENT.active]
        self._one_pass()
        enough = LESS * numbers[ASCENT_NUMBERS.worst]
        while visited < self.most_visited:
            visited += table[ASCENT.active]
            self._one_pass()
            if table[ASCENT.active] == 0 or numbers[ASCENT_NUMBERS.worst] <= enough:
                break
        self.visited = visited
        self.most_visited = min(MOST_VISITED * len(self.order), 2 * self.most_visited)

    def _bound(self, gain, sum_of_squares, pull):
        """The dual's value; pull: what the equality constraint of each b still misses."""
        value = gain - self.l2 * float(np.sum(self.w**2)) - sum_of_squares / 2
        return value - float(self.bias @ pull) - float((self.reach + np.abs(self.bias)) @ np.abs(pull))

    def _pull(self):
        return 2 * self.rho * (self.bias - self.centre)

    def move_centre(self):
        """The next problem: the same dual variables give the same W, and b seen from the new centre."""
        shift = self.bias - self.centre
        self.centre += shift
        self.bias += shift

    def put_aside(self, scores):
        """Of all rows, those that the next pass need not look at, by their scores (n, classes) before the centre moves: none here."""
        self.table[ASCENT.active] = len(self.order)

    @property
    def W(self):
        return np.ascontiguousarray(self.w.T)

    @property
    def b(self):
        return self.bias.copy()


class _OneRow(_Ascent):
    """Of one row of W: what Interior goes on with."""

    y: np.ndarray
    _run: Callable

    def take_rows(self):
        """A row's own numbers, a cache line each."""
        self.rows = aligned_zeros(8 * len(self.order), np.float64).reshape(-1, 8)
        self.table[ASCENT.rows] = address(self.rows)
        self.alpha = self.rows[:, ALPHA]

    def _set_steps(self, bend):
        """In place: numbers of all rows that are new take their time from the kernel, which clears their pages."""
        q = self.rows[:, INVERSE_Q]
        np.multiply(self.squares, self.one_over_l2, out=q)
        q += self.one_over_rho
        q += bend
        # a row of zeros without b: its dual variable goes to a bound
        np.divide(FURTHER, np.maximum(q, 1e-300, out=q), out=q)

    def _one_pass(self):
        self._run(self._at)

    def terms(self):
        """(c, t, s) of Terms."""
        raise NotImplementedError

    def augmented(self, rows):
        """What goes on from here; rows: of `in_double`."""
        c, t, s = self.terms()
        b = float(self.bias[0]) if self.objective.fit_intercept else None
        a = np.maximum(s * self.alpha, 0) if len(s) > 1 else self.alpha[None].copy()
        return Augmented(self.objective, rows, c, t, s, self.l2, b, self.reach, self.w[:, 0], a)

    def interior(self, rows):
        """From the start."""
        b = float(self.start) if self.objective.fit_intercept else None
        return Interior(self.objective, rows, *self.terms(), self.l2, b, self.reach)


class _Binary(_OneRow):
    """z: -1 or 1, one a row."""

    def __init__(self, problem, data, z, seed):
        squared = isinstance(problem.objective.loss, losses.SquaredHinge)
        super().__init__(problem, data, 1, squared, 1.0, seed)
        self.z, self.place = z, seed
        self.take_rows()
        for place, values in ((Z, z), (MOST, self.most), (BEND, self.bend)):
            self.rows[:, place] = values
        self._set_steps(self.bend)
        self._run = self._of_rows("ascent_pass")

    def terms(self):
        return self.most[None], np.full((1, len(self.z)), self.margin), self.z[None]

    def put_aside(self, scores):
        """Those at a bound, and farther from leaving it than the worst row is from where it should be, as a pass would do.

        Within the root of the dtype's rounding of leaving it they stay: what float32 scores say wrong would be said each time.
        """
        own = scores[:, self.place]
        near = float(np.finfo(own.dtype).eps) ** 0.5 * (1 + float(np.abs(own).max(initial=0.0)))
        slope = self.z * (own + float(self.bias[0] - self.centre[0]))
        slope -= self.margin
        if self.bent:
            slope += self.alpha * self.bend
        least, most = self.alpha == 0, self.alpha == self.most
        high = (slope * ~least).max(initial=near)
        low = (slope * ~most).min(initial=-near)
        aside = least & (slope > high) | most & (slope < low)
        used = np.flatnonzero(~aside)
        self.order[: len(used)], self.order[len(used) :] = used, np.flatnonzero(aside)
        self.table[ASCENT.active] = len(used)

    def lower_bound(self):
        squares = float(self.bend @ self.alpha**2) if self.bent else 0.0
        return self._bound(self.margin * float(self.alpha.sum()), squares, self._pull())


class _Targets(_OneRow):
    """y: a target a row."""

    def __init__(self, problem, data, y, seed):
        loss = problem.objective.loss
        wide = isinstance(loss, losses.EpsilonInsensitive)
        self.y, self.reach = y, float(np.std(y))
        super().__init__(problem, data, 1, False, float(loss.epsilon) if wide else 0.0, seed)
        if problem.objective.fit_intercept:
            self.bias[:] = self.centre[:] = self.start = np.median(y)
        self.take_rows()
        up, down = (1.0, 1.0) if wide else (loss.quantile, 1 - loss.quantile)
        self.rows[:, TARGET] = y
        self._set_steps(0.0)
        self.rows[:, MOST], self.rows[:, LEAST] = up * self.most, -down * self.most
        self._run = self._of_rows("target_pass")

    def terms(self):
        c = np.stack([self.rows[:, MOST], -self.rows[:, LEAST]])
        t = np.stack([self.y - self.margin, -self.y - self.margin])
        return c, t, np.stack([np.ones(len(self.y)), -np.ones(len(self.y))])

    def lower_bound(self):
        gain = float(np.sum(self.y * self.alpha)) - self.margin * float(np.abs(self.alpha).sum())
        return self._bound(gain, 0.0, self._pull())


class _Multiclass(_Ascent):
    """alpha (n, classes): of each class that is not the row's own; Weston-Watkins or Crammer-Singer."""

    def __init__(self, problem):
        loss, rows = problem.objective.loss, problem.objective.rows
        squared = bool(getattr(loss, "squared", False))
        data = without_zeros(*triple(rows, problem.scaling), rows.features)
        super().__init__(problem, data, rows.classes, squared, float(loss.margin))
        self.y, self.one_of_a_row = rows.y, isinstance(loss, losses.CrammerSinger)
        self.alpha = np.zeros((rows.n, rows.classes))
        self._room = np.empty(3 * rows.classes)

    def _one_pass(self):
        arrays = self.y, self.most, self.bend, self.squares, self.alpha, self._room
        run = self._of_rows("multiclass_pass")
        run(self._at, len(self.bias), self.one_of_a_row, *map(address, arrays))

    def lower_bound(self):
        others = self.alpha.copy()
        others[np.arange(len(self.y)), self.y] = 0
        return self._bound(
            self.margin * float(others.sum()), float(self.bend @ (others**2).sum(axis=1)), self._pull()
        )
