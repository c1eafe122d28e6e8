"""The gradient of a scalar function by differences, for callers that ask again and again."""

import numpy as np

from fastopt.functions.guarded import Function
from fastopt.functions.point import Point


class NumericGradient:
    """gradient = NumericGradient(f, x, bounds=(lower, upper)); gradient(x, value).

    f: function of a float64 array (n,) that returns a number. x: a point of the shape that f takes.
    bounds: (lower, upper), each a number, an array (n,) or None: f is never called outside of them, and
    differences at their edge are one-sided, of second order. f may raise ArithmeticError or ValueError, or
    return NaN, beside x: that is read as the end of its domain.
    """

    def __init__(self, f, x, *, bounds=None):
        self.function = Function(f, Point(np.asarray(x, dtype=np.float64)), scalar=True)
        self.lower, self.upper = limits(bounds, self.function.point.size)

    @property
    def evaluations(self):
        """How often f was called."""
        return self.function.calls

    @np.errstate(all="ignore")
    def __call__(self, x, value=None):
        """The gradient at x, in its shape; NaN where f has no finite value beside x. value: f(x), if known."""
        function = self.function
        function.move(x, value)
        x = function.point.values
        gradient = np.empty(x.size)
        h = function.eps ** (1 / 3) * np.maximum(1.0, np.abs(x))
        function.start()
        for i in range(x.size):
            gradient[i] = self._slope(i, x[i], h[i])
        function.finish()
        return gradient.reshape(function.point.shapes[0])

    def _slope(self, i, x, h):
        above, below = self.upper[i] - x, x - self.lower[i]
        if min(above, below) >= h:
            up, plus = self.function.moved(i, h)
            down, minus = self.function.moved(i, -h)
            return (plus[0] - minus[0]) / (up - down)
        side = 1.0 if above >= below else -1.0
        h = side * min(h, max(above, below) / 2)
        near, first = self.function.moved(i, h)
        far, second = self.function.moved(i, 2 * h)
        value = self.function.value
        return float(one_sided(near, first - value, far, second - value)[0])


def one_sided(near, first, far, second):
    """Slope at 0 of the parabola through 0, (near, first), (far, second); exact steps near and far."""
    return (first * far / near - second * near / far) / (far - near)


def limits(bounds, size):
    """(lower, upper) as flat arrays; -inf and inf where there is none."""
    lower, upper = (None, None) if bounds is None else bounds
    ends = (lower, -np.inf), (upper, np.inf)
    return tuple(
        np.broadcast_to(np.asarray(none if e is None else e, float).ravel(), size) for e, none in ends
    )
