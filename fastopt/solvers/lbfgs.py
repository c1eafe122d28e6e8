"""L-BFGS on kept scores; OWL-QN where there is an l1, projected where there are bounds."""

import collections
from typing import Any

import numpy as np

from fastopt.solvers.dots import dot
from fastopt.solvers.precondition import ByMatrix, by_columns, precondition
from fastopt.solvers.searches import Patience, falls, search

MEMORY = 10  # pairs of steps and changes of the gradient
FOLLOW = 12  # steps after which the first approximation follows the curvature; 8 to 20 take as many reads
SMALLEST = 1e-290  # product of a pair: at a minimum of 0 steps fall to 1e-159, and the square of one is no number any more


class Pairs:
    """The last steps s and changes of the gradient y, and the product with the inverse Hessian they stand for.

    Source: Nocedal & Wright 2006, algorithm 7.4; inverse(v): the first approximation's product.
    """

    def __init__(self, inverse=None, memory=MEMORY):
        self._pairs = collections.deque(maxlen=memory)
        self._inverse: Any = inverse or (lambda v: v)
        self._gamma, self._steps, self._followed = None, 0, np.zeros(0)

    def begin_step(self, x):
        """Count it; after FOLLOW of them the first approximation follows the curvature to x."""
        if self._steps == FOLLOW and isinstance(self._inverse, ByMatrix):
            self._followed = x
            self._inverse.follow(x)
            self._scale()
        self._steps += 1

    def add(self, s, y):
        product = dot(s, y)
        if product > max(SMALLEST, 1e-12 * np.sqrt(dot(s, s) * dot(y, y))):
            self._pairs.append((s, y, product))
            self._scale()

    def _scale(self):
        """The inverse's factor, by the last pair."""
        if self._pairs:
            _, y, product = self._pairs[-1]
            self._gamma = product / max(dot(y, self._inverse(y)), np.finfo(float).tiny)

    def __bool__(self):
        return bool(self._pairs)

    def clear(self):
        self._pairs.clear()
        self._gamma = None

    def arrays(self):
        """{name: array} for a State."""
        s, y, products = zip(*self._pairs, strict=True) if self._pairs else ((), (), ())
        gamma = np.nan if self._gamma is None else self._gamma
        return {
            "s": np.array(s),
            "y": np.array(y),
            "products": np.array(products),
            "gamma": np.float64(gamma),
            "steps": np.int64(self._steps),
            "followed": self._followed,
        }

    def take_up(self, arrays):
        rows = zip(arrays["s"], arrays["y"], arrays["products"].tolist(), strict=True)
        self._pairs.extend((s.copy(), y.copy(), product) for s, y, product in rows)
        self._steps, self._followed = int(arrays["steps"]), arrays["followed"].copy()
        if self._followed.size:
            self._inverse.follow(self._followed)
        gamma = float(arrays["gamma"])
        self._gamma = None if np.isnan(gamma) else gamma

    def direction(self, g):
        """-H g."""
        q, alphas = -g, []
        for s, y, product in reversed(self._pairs):
            alphas.append(dot(s, q) / product)
            q -= alphas[-1] * y
        q = self._inverse(q)
        if self._gamma is not None:
            q = q * self._gamma
        for (s, y, product), alpha in zip(self._pairs, reversed(alphas), strict=True):
            q += (alpha - dot(y, q) / product) * s
        return q


def lbfgs(problem, x, state):
    """Iterates (x, f, g) of L-BFGS, from x or a State on; ends where no smaller value can be found.

    A step of 1 is tried first: its pass gives value, gradient and scores at once, one read of X. Where it does
    not do, the difference of the scores is that of the direction, the search goes on without X, and the
    gradient there is the second read.
    """
    if problem.l1 or problem.bounds is not None:
        yield from _projected(problem, x, state)
        return
    inverse = precondition(problem, x)
    pairs, kept, trial = Pairs(inverse), problem.slot(), problem.slot()
    if state.found:
        x, f, g, patience, kept = state.taken_up(problem)
        pairs.take_up(state.found)
    else:
        f, g = problem.evaluate(x, kept)
        patience = Patience(f, g)
        state.at(x, f, g, patience, kept, pairs)
        yield x, f, g
    while True:
        pairs.begin_step(x)
        d = pairs.direction(g)
        slope = dot(d, g)
        if not slope < 0:
            if not pairs:
                return
            pairs.clear()
            continue
        step = None
        if pairs:
            x_new = x + d
            f_new, g_new = problem.evaluate(x_new, trial)
            bend = dot(d, g_new)
            if bend >= 0.9 * slope and falls(f_new, bend, f, slope, 1.0, problem.rounding):
                step, kept, trial = 1.0, trial, kept
            else:
                problem.of_direction(x, d, kept, trial)
        else:
            problem.scores(d, trial)
        if step is None:
            first = 1.0 if inverse is not None or pairs else 1 / float(np.abs(g).sum())
            phi, exact = problem.along(x, d, kept, trial), 0.9 if pairs else 0.1
            found = search(phi, f, slope, first, rounding=problem.rounding, curvature=exact)
            if found is None:
                if not pairs:
                    return
                pairs.clear()
                continue
            step = found[0]
            problem.move(kept, trial, step)
            x_new = x + step * d
            f_new, g_new = problem.gradient_at(x_new, kept)
        pairs.add(x_new - x, g_new - g)
        if patience.is_over(f_new, g_new):
            return
        x, f, g = x_new, f_new, g_new
        state.at(x, f, g, patience, kept, pairs)
        yield x, f, g


def _projected(problem, x, state):
    """OWL-QN: no entry changes its sign within a step; with bounds, none leaves them.

    Source: Andrew & Gao 2007; for bounds Bertsekas 1982. A trial is a read of X.
    """
    inverse = by_columns(problem, x)
    pairs = Pairs(inverse)
    if state.found:
        x, f, g, patience, _ = state.taken_up(problem)
        pairs.take_up(state.found)
        if patience.is_spent():
            return
    else:
        x = problem.within(x)
        f, g = problem.evaluate(x)
        patience = Patience(problem.whole(f, x), problem.steepest(x, g))
        state.at(x, f, g, patience, None, pairs)
        yield x, f, g
    while True:
        pseudo, whole = problem.steepest(x, g), problem.whole(f, x)
        d = pairs.direction(pseudo)
        d[d * pseudo >= 0] = 0
        if not d.any():
            if not pairs:
                return
            pairs.clear()
            continue
        sign = np.where(x != 0, np.sign(x), -np.sign(pseudo))
        t = 1.0 if pairs or inverse is not None else min(1.0, 1 / float(np.abs(pseudo).sum()))
        for _ in range(40):
            x_new, f_new, g_new, fell, steep = _trial(problem, x, d, sign, pseudo, whole, t)
            if fell:
                break
            t /= 2
        else:
            if not pairs:
                return
            pairs.clear()
            continue
        while steep and not pairs:  # nothing is known of the curvature, and little seen of it
            t *= 10
            further = _trial(problem, x, d, sign, pseudo, whole, t)
            if not (further[3] and problem.whole(further[1], further[0]) < problem.whole(f_new, x_new)):
                break
            x_new, f_new, g_new, _, steep = further
        if not (x_new - x).any():
            if not pairs:
                return
            pairs.clear()
            continue
        pairs.add(x_new - x, g_new - g)
        x, f, g = x_new, f_new, g_new
        over = patience.is_over(problem.whole(f, x), problem.steepest(x, g))
        state.at(x, f, g, patience, None, pairs)
        yield x, f, g
        if over:
            return


def _trial(problem, x, d, sign, pseudo, whole, t):
    """(x + t d within its orthant and bounds, f and its gradient there, whether it fell, whether it still falls as fast)."""
    x_new = x + t * d
    if problem.l1:
        x_new[problem.weights & (x_new * sign < 0)] = 0
    x_new = problem.within(x_new)
    f_new, g_new = problem.evaluate(x_new)
    moved = (x_new - x) / t
    slope, slope_new = dot(pseudo, moved), dot(problem.steepest(x_new, g_new), moved)
    fell = falls(problem.whole(f_new, x_new), slope_new, whole, slope, t, problem.rounding)
    return x_new, f_new, g_new, fell, slope_new < 0.9 * slope
