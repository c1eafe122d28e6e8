"""The slope of f along one line, whatever the scale on which f changes there.

A step is trusted from below. At the smallest steps a difference is exact but for rounding, whose share
falls as the step grows; as long as the slope at a larger step lies within what all smaller ones allow, the
larger step is better (Lepski 1991). The first that does not has met curvature, a period, a kink or the end
of the domain. Steps tried from above can be fooled: sin(2 pi t) at whole periods has slope 0.
"""

from typing import NamedTuple

import numpy as np

from fastopt.functions import ladder
from fastopt.functions.ladder import Slope
from fastopt.functions.noise import of_series

RATIO = 32.0
_VISIBLE = 8  # times the noise
_DEEPEST = 64  # levels
# Shares of the first step that are multiples of no period written in a few digits.
_BELOW = 0.3728195463e-4, 0.6173902847e-7
# Noise above this share of f is more likely structure that is finer than the steps.
_TOO_NOISY = 1e-4


class Range(NamedTuple):
    """Steps along a line: the first to try, the least and the largest that have a meaning."""

    start: float
    lowest: float
    highest: float
    grain: float = 0.0  # distance of neighbouring numbers at x: f cannot know x better
    coarse: bool = False  # f is of low precision: its kinks may hide below its noise
    joint: bool = False  # many entries move: the roundings of their steps meet in every output


def slope(
    phi, value, noise, steps, *, floor=None, size=None, target=0.0, relative=1e-13, enough=None, known=None
):
    """Slope of t -> phi(t) = (realised t, f) at 0, with an honest error; NaN where nothing can be measured.

    value, noise: f at 0 and the noise of f, one number per output; floor: the least noise. steps: a Range.
    size: of f, where phi is f less something. known: (slope, error) that a measurement with small steps has
    given. Steps from `start` on downward are extrapolated; if the result is not what smaller steps say, or
    its error is above `enough` (else 10 times the target, or 1e-6 of the slope), the scale of f is searched for.
    """
    size = np.abs(value) if size is None else size
    options = {"floor": floor, "size": size, "target": target, "relative": relative}
    found = ladder.slope(phi, value, noise, steps.start, target=target, relative=relative, grain=steps.grain)
    if known is None:
        known = _below(phi, value, noise, steps, found)
    seen = size + found.remainder.max(axis=0, initial=0)
    if not _agree(found, *known) or (noise > _TOO_NOISY * seen).any():
        return searched(phi, value, noise, steps, **options)
    if enough is None:
        enough = np.maximum(10 * target, 1e-6 * np.abs(found.value))
    weak = ~found.kink & ~(found.error <= enough)
    if weak.any() and not steps.coarse:
        other = searched(phi, value, noise, steps, **options)
        found = _merged(found, other, weak & (other.error < found.error))
    return _doubted(found, _steep(found, value, steps.grain))


def _agree(found, value, error):
    with np.errstate(invalid="ignore"):
        return bool(np.all(np.abs(found.value - value) <= error + 3 * found.error))


def _below(phi, value, noise, steps, found):
    """(slope, error) at steps far below the first; error is how sure that is."""
    best, error = np.full(value.shape, np.nan), np.full(value.shape, np.inf)
    far = found.remainder[-1] if len(found.remainder) else 0.0
    for share in _BELOW:
        t = max(steps.start * share, steps.lowest)
        up, plus = phi(t)
        down, minus = phi(-t)
        central, spread = _central(noise, steps, up, plus, down, minus)
        # f(x) itself as far from both sides as at larger steps: a spike at x, narrower than this step.
        lifted = np.abs(plus + minus - 2 * value)
        bend = (lifted > 16 * noise) & (lifted > 0.3 * far)
        sure = np.where(bend | ~np.isfinite(central), np.inf, spread)
        if not np.isfinite(sure).all():
            return np.full(value.shape, np.nan), sure
        clash = np.abs(central - best) > spread + error
        if clash.any():
            return np.full(value.shape, np.nan), sure
        closer = sure < error
        best, error = np.where(closer, central, best), np.where(closer, sure, error)
    return best, error


def _steep(found, value, grain):
    """Kinks whose slopes change f by a part of itself from one number to the next: as likely a bend."""
    return found.kink & (np.abs(found.right - found.left) * grain > 1e-2 * np.abs(value)) & (value != 0)


def _doubted(found, which):
    return found._replace(error=np.where(which, np.inf, found.error), kink=found.kink & ~which)


def _central(noise, steps, up, plus, down, minus):
    """(slope, error) from both sides."""
    slope = (plus - minus) / (up - down)
    steep = np.abs(slope).max() if steps.joint else np.abs(slope)
    blur = np.maximum(noise, ladder.EPS / 2 * np.maximum(np.abs(plus), np.abs(minus)))
    return slope, (4 * blur + 2 * steps.grain * steep) / (up - down)


class _Level(NamedTuple):
    t: float
    slope: np.ndarray
    error: np.ndarray
    lift: np.ndarray  # of both sides above f(x)
    visible: np.ndarray  # f moved by more than its noise
    finite: bool


class _Search:
    """Levels of one line, from the smallest step up."""

    def __init__(self, phi, value, noise, floor, steps, size):
        self.phi, self.value, self.noise, self.steps = phi, value, noise, steps
        self.floor = noise if floor is None else floor
        self.points = {}  # {t: (realised t, f)}
        self.largest = np.abs(value) if size is None else size
        self.side, self.blocked = 0, None

    def at(self, t):
        if t not in self.points:
            self.points[t] = self.phi(t)
        return self.points[t]

    def level(self, t):
        value, noise = self.value, self.noise
        if self.side:
            near, first = self.at(self.side * t)
            far, second = self.at(self.side * 2 * t)
            central = one_sided(near, first - value, far, second - value)
            blur = np.maximum(noise, ladder.EPS / 2 * np.maximum(np.abs(first), np.abs(second)))
            error = (8 * blur + 4 * self.steps.grain * np.abs(central)) / abs(near)
            ends, lift = (first, second), np.zeros(value.shape)
        else:
            up, plus = self.at(t)
            down, minus = self.at(-t)
            central, error = _central(noise, self.steps, up, plus, down, minus)
            ends, lift = (plus, minus), np.abs(plus + minus - 2 * value)
        moved, finite = np.zeros(value.shape), bool(np.isfinite(central).all())
        if finite:
            moved = np.maximum(np.abs(ends[0] - value), np.abs(ends[1] - value))
            self.largest = np.maximum(self.largest, np.maximum(np.abs(ends[0]), np.abs(ends[1])))
        return _Level(t, central, error, lift, moved > _VISIBLE * noise, finite)

    def descend(self, t):
        """Steps from t down to where f no longer moves, in rising order."""
        steps, calm = [], 0
        while t >= self.steps.lowest and len(steps) < _DEEPEST:
            level = self.level(t)
            steps.append(t)
            calm = 0 if level.visible.any() or not level.finite else calm + 1
            if calm == 2:
                break
            t /= RATIO
        return steps[::-1]

    def choose_side(self, t):
        """Both sides of x, or the one on which f is finite."""
        above, below = (bool(np.isfinite(self.at(s * t)[1]).all()) for s in (1, -1))
        self.side = 0 if above == below else 1 if above else -1
        return above or below

    def measure_noise(self, steps):
        """Of this line alone, at a spacing at which f hardly moves, or the least."""
        t = steps[0] if self.level(steps[0]).visible.any() else steps[min(1, len(steps) - 1)]
        if self.steps.grain and not self.steps.joint:  # equally spaced after rounding too
            t = np.ceil(t / self.steps.grain) * self.steps.grain
        offsets = range(0, 7) if self.side else range(-3, 4)
        values = np.array([self.value if j == 0 else self.at((self.side or 1) * j * t)[1] for j in offsets])
        if np.isfinite(values).all() and (values[1:] != values[:-1]).mean() > 0.5:
            self.noise = np.maximum(of_series(values), self.floor)

    def climb(self, steps, target, relative):
        """(levels, index of the last that agrees with all below it, one per output)."""
        size = self.value.size
        levels, last, alive = [], np.zeros(size, int), np.ones(size, bool)
        low, high = np.full(size, -np.inf), np.full(size, np.inf)
        t, k = steps[0], 0
        while t <= self.steps.highest and k < _DEEPEST:
            level = self.level(t)
            if not level.finite:
                self.blocked = t
                break
            levels.append(level)
            alive &= (level.slope - level.error <= high) & (level.slope + level.error >= low)
            low = np.where(alive, np.maximum(low, level.slope - level.error), low)
            high = np.where(alive, np.minimum(high, level.slope + level.error), high)
            last[alive] = k
            if not alive.any() or (k > 1 and self._good(levels, last, target, relative)):
                break
            k += 1
            t = steps[k] if k < len(steps) else t * (8.0 if self.side else RATIO)
        return levels, last

    def _good(self, levels, last, target, relative):
        value, error = self.pick(levels, last)
        return bool(np.all(error <= np.maximum(target / 8, np.maximum(relative, 1e-9) * np.abs(value))))

    def pick(self, levels, last):
        """The slope at the last level that agreed; what the level below it allows is its error."""
        columns = np.arange(last.size)
        slopes, errors = np.array([v.slope for v in levels]), np.array([v.error for v in levels])
        # From one side, and below the noise of low precision, a bend need not fall with the square of the step.
        below = np.maximum(last - (2 if self.steps.coarse or self.side else 1), 0)
        error = errors[below, columns] + errors[last, columns]
        self.still = ~np.any([v.visible for v in levels], axis=0)  # a bounded term may hide below the noise
        error = np.where(self.still, np.maximum(error, 0.08 * self.noise / self.steps.start), error)
        return slopes[last, columns], np.where(self._baseless(levels, last), np.inf, error)

    @staticmethod
    def alone(levels, last):
        """Outputs of which the smallest step agrees with no other, though f moves there."""
        moves = levels[0].visible if len(levels) == 1 else True
        return (last == 0) & moves

    def _baseless(self, levels, last):
        """No smaller step confirms the slope, f(x) is a spike, or f is little but noise on this line."""
        alone = self.alone(levels, last)
        noisy = self.noise > _TOO_NOISY * self.largest
        if len(levels) < 2:
            return alone | noisy
        lift = levels[0].lift
        return alone | noisy | ((lift > 16 * levels[0].t * levels[0].error) & (lift > 0.3 * levels[1].lift))


def searched(phi, value, noise, steps, *, floor=None, size=None, target=0.0, relative=1e-13):
    """As slope, with the scale on which f changes found first."""
    with np.errstate(all="ignore"):
        search = _Search(phi, value, noise, floor, steps, size)
        down = search.descend(steps.start * 1e-4) or [steps.lowest]
        if not search.choose_side(down[0]):
            return _nothing(value)
        search.measure_noise(down)
        if search.level(down[0]).visible.any():  # the noise was taken for too large, or the end is reached
            more = search.descend(down[0] / RATIO)
            down = more + down
            search.measure_noise(down)
        if search.side:  # the levels that were looked at were of both sides
            down = _finer(down)
        for _ in range(3):
            levels, last = search.climb(down, target, relative)
            if not levels:
                return _nothing(value)
            if not (alone := search.alone(levels, last)).any():
                break
            search.noise = np.where(alone, 8 * search.noise, search.noise)  # the measure of it was lucky
        best, error = search.pick(levels, last)
        if search.side:
            return _plain(best, error, levels[last.max()].t)
        found = _extrapolated(search, levels, last, best, error, target, relative)
        return found if search.blocked is None else _beyond(search, found, down, target, relative)


def _beyond(search, found, down, target, relative):
    """Where the domain ends on one side of x: steps on the other that go further, where they say more."""
    if not search.choose_side(search.blocked) or search.side == 0:
        return found
    levels, last = search.climb(_finer(down), target, relative)
    if not levels:
        return found
    best, error = search.pick(levels, last)
    closer = (error < found.error) & ~found.kink & (np.abs(best - found.value) <= 3 * found.error + error)
    return _merged(found, _plain(best, error, levels[last.max()].t), closer)


def _finer(steps):
    """A ratio of 8 where the slope is not extrapolated."""
    first, final = steps[0], steps[-1]
    return [first * 8.0**k for k in range(int(np.log(final / first) / np.log(8.0)) + 1)]


def _extrapolated(search, levels, last, best, error, target, relative):
    """The ladder from a little above the trusted step of each output; what disagrees is not taken."""
    result = _plain(best, error, levels[last.max()].t)
    for k in sorted(set(last.tolist()), reverse=True)[:3]:
        start = min(8 * levels[k].t, search.steps.highest)
        found = ladder.slope(
            search.phi, search.value, search.noise, start,
            target=target, relative=relative, grain=search.steps.grain,
        )  # fmt: skip
        steep = _steep(found, search.value, search.steps.grain) & (last == k)
        result = _doubted(result, steep)
        mine = (
            (last == k)
            & ~steep
            & ~search.still
            & np.isfinite(error)
            & (np.abs(found.value - best) <= error + 3 * found.error)
            & ((found.error < error) | found.kink)
        )
        result = _merged(result, found, mine)
    return result


def _merged(old, new, which):
    columns = [np.where(which, getattr(new, n), getattr(old, n)) for n in Slope._fields[:5]]
    if not which.any():
        return old
    return Slope(*columns, new.h, new.steps, new.central, new.remainder)


def _plain(value, error, h):
    none = np.zeros((0, value.size))
    return Slope(value, error, value, value, np.zeros(value.shape, bool), h, np.zeros(0), none, none)


def _nothing(value):
    nan = np.full(value.shape, np.nan)
    return _plain(nan, np.full(value.shape, np.inf), np.nan)


def one_sided(near, first, far, second):
    """Slope at 0 of the parabola through 0, (near, first) and (far, second)."""
    return (first * far / near - second * near / far) / (far - near)


def raised(phi, value, noise, steps, t, there, enough):
    """The slope at steps from t up, at which it is right but for rounding, as long as they agree.

    there: {step: (realised step, f)} that is known.
    """
    with np.errstate(all="ignore"):
        search = _Search(phi, value, noise, None, steps, None)
        search.points.update(there)
        levels, last = search.climb([t], 0.0, enough)
        columns = np.arange(last.size)
        slopes, errors = np.array([v.slope for v in levels]), np.array([v.error for v in levels])
        error = errors[last, columns] + np.where(last > 0, errors[np.maximum(last - 1, 0), columns], 0)
        return _plain(slopes[last, columns], error, levels[last.max()].t)
