"""Problems of Moré, Garbow and Hillstrom (1981) and the 53 of Moré and Wild (2009), from the papers' formulas.

All are sums of squares of residuals r(x) that are analytic, so gradients are 2 J'r with J by the complex
step. `known`: the sum of squares at a minimum, from the paper, where it gives one.
"""

from typing import Any, NamedTuple

import numpy as np

exp, sqrt, pi = np.exp, np.sqrt, np.pi


def array(*values):
    return np.array(values)


def arctan_turns(x, y):
    """The helical valley's theta; its branch is that of the real part."""
    return np.arctan(y / x) / (2 * pi) + (0.5 if np.real(x) < 0 else 0.0)


def linear_full_rank(x, m):
    s = 2 * np.sum(x) / m + 1
    return np.concatenate([x - s, np.full(m - x.size, -s)])


def linear_rank_1(x, m):
    return np.arange(1, m + 1) * np.sum(np.arange(1, x.size + 1) * x) - 1


def linear_rank_1_zeros(x, m):
    s = np.sum(np.arange(2, x.size) * x[1:-1])
    inner = np.arange(1, m - 1) * s - 1
    return np.concatenate([[-1.0], inner, [-1.0]]).astype(x.dtype)


def rosenbrock(x, m):
    return np.stack([10 * (x[1::2] - x[::2] ** 2), 1 - x[::2]], 1).ravel()


def helical_valley(x, m):
    return array(10 * (x[2] - 10 * arctan_turns(x[0], x[1])), 10 * (sqrt(x[0] ** 2 + x[1] ** 2) - 1), x[2])


def powell_singular(x, m):
    a, b, c, d = x[::4], x[1::4], x[2::4], x[3::4]
    return np.stack([a + 10 * b, sqrt(5) * (c - d), (b - 2 * c) ** 2, sqrt(10) * (a - d) ** 2], 1).ravel()


def freudenstein_roth(x, m):
    a, b = x
    return array(-13 + a + ((5 - b) * b - 2) * b, -29 + a + ((b + 1) * b - 14) * b)


BARD = array(0.14, 0.18, 0.22, 0.25, 0.29, 0.32, 0.35, 0.39, 0.37, 0.58, 0.73, 0.96, 1.34, 2.10, 4.39)


def bard(x, m):
    u = np.arange(1, 16)
    v = 16 - u
    return BARD - (x[0] + u / (v * x[1] + np.minimum(u, v) * x[2]))


KOWALIK = array(0.1957, 0.1947, 0.1735, 0.1600, 0.0844, 0.0627, 0.0456, 0.0342, 0.0323, 0.0235, 0.0246)
KOWALIK_U = array(4.0, 2.0, 1.0, 0.5, 0.25, 0.167, 0.125, 0.1, 0.0833, 0.0714, 0.0625)


def kowalik_osborne(x, m):
    u = KOWALIK_U
    return KOWALIK - x[0] * (u**2 + u * x[1]) / (u**2 + u * x[2] + x[3])


MEYER = array(
    34780, 28610, 23650, 19630, 16370, 13720, 11540, 9744, 8261, 7030, 6005, 5147, 4427, 3820, 3307, 2872
)  # fmt: skip


def meyer(x, m):
    return x[0] * exp(x[1] / (45 + 5 * np.arange(1, 17) + x[2])) - MEYER


def watson(x, m):
    t = np.arange(1, 30) / 29
    j = np.arange(x.size)
    powers = t[:, None] ** j
    slope = (powers[:, :-1] * j[1:]) @ x[1:]
    return np.concatenate([slope - (powers @ x) ** 2 - 1, [x[0], x[1] - x[0] ** 2 - 1]])


def box_3d(x, m):
    t = 0.1 * np.arange(1, m + 1)
    return exp(-t * x[0]) - exp(-t * x[1]) - x[2] * (exp(-t) - exp(-10 * t))


def jennrich_sampson(x, m):
    i = np.arange(1, m + 1)
    return 2 + 2 * i - (exp(i * x[0]) + exp(i * x[1]))


def brown_dennis(x, m):
    t = np.arange(1, m + 1) / 5
    return (x[0] + t * x[1] - exp(t)) ** 2 + (x[2] + x[3] * np.sin(t) - np.cos(t)) ** 2


def chebyquad(x, m):
    before, now, y = np.ones_like(x), 2 * x - 1, 2 * x - 1
    r = []
    for i in range(1, m + 1):
        r.append(np.mean(now) + (1 / (i * i - 1) if i % 2 == 0 else 0))
        before, now = now, 2 * y * now - before
    return np.array(r)


def brown_almost_linear(x, m):
    n = x.size
    return np.concatenate([x[:-1] + np.sum(x) - (n + 1), [np.prod(x) - 1]])


OSBORNE_1 = array(
    0.844, 0.908, 0.932, 0.936, 0.925, 0.908, 0.881, 0.850, 0.818, 0.784, 0.751, 0.718, 0.685, 0.658, 0.628,
    0.603, 0.580, 0.558, 0.538, 0.522, 0.506, 0.490, 0.478, 0.467, 0.457, 0.448, 0.438, 0.431, 0.424, 0.420,
    0.414, 0.411, 0.406,
)  # fmt: skip


def osborne_1(x, m):
    t = 10 * np.arange(33)
    return OSBORNE_1 - (x[0] + x[1] * exp(-x[3] * t) + x[2] * exp(-x[4] * t))


OSBORNE_2 = array(
    1.366, 1.191, 1.112, 1.013, 0.991, 0.885, 0.831, 0.847, 0.786, 0.725, 0.746, 0.679, 0.608, 0.655, 0.616,
    0.606, 0.602, 0.626, 0.651, 0.724, 0.649, 0.649, 0.694, 0.644, 0.624, 0.661, 0.612, 0.558, 0.533, 0.495,
    0.500, 0.423, 0.395, 0.375, 0.372, 0.391, 0.396, 0.405, 0.428, 0.429, 0.523, 0.562, 0.607, 0.653, 0.672,
    0.708, 0.633, 0.668, 0.645, 0.632, 0.591, 0.559, 0.597, 0.625, 0.739, 0.710, 0.729, 0.720, 0.636, 0.581,
    0.428, 0.292, 0.162, 0.098, 0.054,
)  # fmt: skip


def osborne_2(x, m):
    t = np.arange(65) / 10
    f = x[0] * exp(-t * x[4])
    for i in range(3):
        f = f + x[1 + i] * exp(-((t - x[8 + i]) ** 2) * x[5 + i])
    return OSBORNE_2 - f


def bdqrtic(x, m):
    k = x.size - 4
    a = -4 * x[:k] + 3
    b = x[:k] ** 2 + 2 * x[1 : k + 1] ** 2 + 3 * x[2 : k + 2] ** 2 + 4 * x[3 : k + 3] ** 2 + 5 * x[-1] ** 2
    return np.concatenate([a, b])


def cube(x, m):
    return np.concatenate([[x[0] - 1], 10 * (x[1:] - x[:-1] ** 3)])


def mancino(x, m):
    n = x.size
    i = np.arange(1, n + 1)
    v = sqrt(x[:, None] ** 2 + i[:, None] / i[None, :])
    terms = v * (np.sin(np.log(v)) ** 5 + np.cos(np.log(v)) ** 5)
    return 1400 * x + (i - 50.0) ** 3 + np.sum(terms, axis=1)


def heart8(x, m):
    a, b, c, d, t, u, v, w = x
    return array(
        a + b + 0.69,
        c + d + 0.044,
        t * a + u * b - v * c - w * d + 1.57,
        v * a + w * b + t * c + u * d + 1.31,
        a * (t**2 - v**2) - 2 * c * t * v + b * (u**2 - w**2) - 2 * d * u * w + 2.65,
        c * (t**2 - v**2) + 2 * a * t * v + d * (u**2 - w**2) + 2 * b * u * w - 2.0,
        a * t * (t**2 - 3 * v**2) + c * v * (v**2 - 3 * t**2) + b * u * (u**2 - 3 * w**2)
        + d * w * (w**2 - 3 * u**2) + 12.6,
        c * t * (t**2 - 3 * v**2) - a * v * (v**2 - 3 * t**2) + d * u * (u**2 - 3 * w**2)
        - b * w * (w**2 - 3 * u**2) - 9.48,
    )  # fmt: skip


# Of Moré, Garbow and Hillstrom besides these.


def powell_badly_scaled(x, m):
    return array(1e4 * x[0] * x[1] - 1, exp(-x[0]) + exp(-x[1]) - 1.0001)


def brown_badly_scaled(x, m):
    return array(x[0] - 1e6, x[1] - 2e-6, x[0] * x[1] - 2)


def beale(x, m):
    return array(1.5, 2.25, 2.625) - x[0] * (1 - x[1] ** np.arange(1, 4))


GAUSSIAN = array(9, 44, 175, 540, 1295, 2420, 3521, 3989, 3521, 2420, 1295, 540, 175, 44, 9) * 1e-4


def gaussian(x, m):
    t = (8 - np.arange(1, 16)) / 2
    return x[0] * exp(-x[1] * (t - x[2]) ** 2 / 2) - GAUSSIAN


def gulf(x, m):
    t = np.arange(1, m + 1) / 100
    y = 25 + (-50 * np.log(t)) ** (2 / 3)
    z = (y - x[1]) * np.sign(np.real(y - x[1]))
    return exp(-(z ** x[2]) / x[0]) - t


def wood(x, m):
    a, b, c, d = x
    return array(
        10 * (b - a**2), 1 - a, sqrt(90) * (d - c**2), 1 - c, sqrt(10) * (b + d - 2), (b - d) / sqrt(10)
    )


def biggs(x, m):
    t = 0.1 * np.arange(1, m + 1)
    y = exp(-t) - 5 * exp(-10 * t) + 3 * exp(-4 * t)
    return x[2] * exp(-t * x[0]) - x[3] * exp(-t * x[1]) + x[5] * exp(-t * x[4]) - y


def penalty_1(x, m):
    return np.concatenate([sqrt(1e-5) * (x - 1), [np.sum(x**2) - 0.25]])


def penalty_2(x, m):
    n, a = x.size, sqrt(1e-5)
    i = np.arange(2, n + 1)
    y = exp(i / 10) + exp((i - 1) / 10)
    first = a * (exp(x[1:] / 10) + exp(x[:-1] / 10) - y)
    second = a * (exp(x[1:] / 10) - exp(-1 / 10))
    return np.concatenate([[x[0] - 0.2], first, second, [np.sum((n - np.arange(n)) * x**2) - 1]])


def variably_dimensioned(x, m):
    s = np.sum(np.arange(1, x.size + 1) * (x - 1))
    return np.concatenate([x - 1, [s, s**2]])


def trigonometric(x, m):
    n = x.size
    return n - np.sum(np.cos(x)) + np.arange(1, n + 1) * (1 - np.cos(x)) - np.sin(x)


def discrete_boundary(x, m):
    n = x.size
    h = 1 / (n + 1)
    around = np.concatenate([[0], x, [0]])
    return 2 * x - around[:-2] - around[2:] + h**2 * (x + np.arange(1, n + 1) * h + 1) ** 3 / 2


def discrete_integral(x, m):
    n = x.size
    h = 1 / (n + 1)
    t = np.arange(1, n + 1) * h
    c = (x + t + 1) ** 3
    low = np.cumsum(t * c)
    high = np.concatenate([np.cumsum(((1 - t) * c)[::-1])[::-1][1:], [0]])
    return x + h * ((1 - t) * low + t * high) / 2


def broyden_tridiagonal(x, m):
    around = np.concatenate([[0], x, [0]])
    return (3 - 2 * x) * x - around[:-2] - 2 * around[2:] + 1


def broyden_banded(x, m):
    n = x.size
    y = x * (1 + x)
    sums = [np.sum(y[max(0, i - 5) : min(n, i + 2)]) - y[i] for i in range(n)]
    return x * (2 + 5 * x**2) + 1 - np.array(sums)


class Problem(NamedTuple):
    name: str
    residual: Any
    start: np.ndarray
    m: int
    known: float | None = None

    def r(self, x):
        with np.errstate(all="ignore"):
            return self.residual(np.asarray(x), self.m)

    def value(self, x):
        with np.errstate(all="ignore"):
            f = float(np.sum(self.r(x) ** 2))
        return f

    def jacobian(self, x):
        n = len(x)
        J = np.empty((self.r(np.asarray(x, float)).size, n))
        for i in range(n):
            z = np.array(x, complex)
            z[i] += 1e-200j
            J[:, i] = self.r(z).imag / 1e-200
        return J

    def gradient(self, x):
        with np.errstate(all="ignore"):
            return 2 * self.jacobian(x).T @ self.r(np.asarray(x, float))

    def hessian(self, x):
        """By central differences of the gradient, made symmetric."""
        n = len(x)
        H = np.empty((n, n))
        for i in range(n):
            h = 6e-6 * max(1e-3, abs(x[i]))
            up, down = np.array(x, float), np.array(x, float)
            up[i] += h
            down[i] -= h
            H[i] = (self.gradient(up) - self.gradient(down)) / (up[i] - down[i])
        return (H + H.T) / 2


def _watson_start(n):
    return np.full(n, 0.5)


# (number of Moré and Wild's table: function, start); None: depends on n.
FUNCTIONS = {
    1: (linear_full_rank, lambda n: np.ones(n)),
    2: (linear_rank_1, lambda n: np.ones(n)),
    3: (linear_rank_1_zeros, lambda n: np.ones(n)),
    4: (rosenbrock, lambda n: array(-1.2, 1.0)),
    5: (helical_valley, lambda n: array(-1.0, 0, 0)),
    6: (powell_singular, lambda n: array(3.0, -1, 0, 1)),
    7: (freudenstein_roth, lambda n: array(0.5, -2)),
    8: (bard, lambda n: np.ones(3)),
    9: (kowalik_osborne, lambda n: array(0.25, 0.39, 0.415, 0.39)),
    10: (meyer, lambda n: array(0.02, 4000.0, 250.0)),
    11: (watson, _watson_start),
    12: (box_3d, lambda n: array(0.0, 10, 20)),
    13: (jennrich_sampson, lambda n: array(0.3, 0.4)),
    14: (brown_dennis, lambda n: array(25.0, 5, -5, -1)),
    15: (chebyquad, lambda n: np.arange(1, n + 1) / (n + 1)),
    16: (brown_almost_linear, lambda n: np.full(n, 0.5)),
    17: (osborne_1, lambda n: array(0.5, 1.5, 1, 0.01, 0.02)),
    18: (osborne_2, lambda n: array(1.3, 0.65, 0.65, 0.7, 0.6, 3, 5, 7, 2, 4.5, 5.5)),
    19: (bdqrtic, lambda n: np.ones(n)),
    20: (cube, lambda n: np.full(n, 0.5)),
    21: (mancino, lambda n: _mancino_start(n)),
    22: (heart8, lambda n: array(-0.3, -0.39, 0.3, -0.344, -1.2, 2.69, 1.59, -1.5)),
}


def _mancino_start(n):
    """-8.710996e-4 times what the residuals but for 1400 x are at 0."""
    return -8.710996e-4 * mancino(np.zeros(n), n)


_TABLE = """1 9 45 0  1 9 45 1  2 7 35 0  2 7 35 1  3 7 35 0  3 7 35 1  4 2 2 0  4 2 2 1  5 3 3 0  5 3 3 1  6 4 4 0
6 4 4 1  7 2 2 0  7 2 2 1  8 3 15 0  8 3 15 1  9 4 11 0  10 3 16 0  11 6 31 0  11 6 31 1  11 9 31 0  11 9 31 1
11 12 31 0  11 12 31 1  12 3 10 0  13 2 10 0  14 4 20 0  14 4 20 1  15 6 6 0  15 7 7 0  15 8 8 0  15 9 9 0
15 10 10 0  15 11 11 0  16 10 10 0  17 5 33 0  18 11 65 0  18 11 65 1  19 8 8 0  19 10 12 0  19 11 14 0
19 12 16 0  20 5 5 0  20 6 6 0  20 8 8 0  21 5 5 0  21 5 5 1  21 8 8 0  21 10 10 0  21 12 12 0  21 12 12 1
22 8 8 0  22 8 8 1"""


def more_wild():
    """The 53 problems: starts are 1 or 10 times the standard ones."""
    numbers = list(map(int, _TABLE.split()))
    for i in range(0, len(numbers), 4):
        k, n, m, far = numbers[i : i + 4]
        function, start = FUNCTIONS[k]
        scale = 10.0 if far else 1.0
        yield Problem(f"{function.__name__}-{n}" + "-far" * far, function, scale * start(n), m)


def more_garbow_hillstrom():
    """30 problems with the minima that the paper gives."""

    def make(function, start, m=0, known=0.0):
        return Problem(function.__name__, function, np.array(start, float), m, known)

    alternating = np.resize([-1.2, 1.0], 20)
    return [
        make(rosenbrock, [-1.2, 1]),
        make(freudenstein_roth, [0.5, -2], known=48.9842),
        make(powell_badly_scaled, [0, 1]),
        make(brown_badly_scaled, [1, 1]),
        make(beale, [1, 1]),
        make(jennrich_sampson, [0.3, 0.4], 10, 124.362),
        make(helical_valley, [-1, 0, 0]),
        make(bard, [1, 1, 1], known=8.21487e-3),
        make(gaussian, [0.4, 1, 0], known=1.12793e-8),
        make(meyer, [0.02, 4000, 250], known=87.9458),
        make(gulf, [5, 2.5, 0.15], 99),
        make(box_3d, [0, 10, 20], 10),
        make(powell_singular, [3, -1, 0, 1]),
        make(wood, [-3, -1, -3, -1]),
        make(kowalik_osborne, [0.25, 0.39, 0.415, 0.39], known=3.07505e-4),
        make(brown_dennis, [25, 5, -5, -1], 20, 85822.2),
        make(osborne_1, [0.5, 1.5, -1, 0.01, 0.02], known=5.46489e-5),
        make(biggs, [1, 2, 1, 1, 1, 1], 13),
        make(osborne_2, [1.3, 0.65, 0.65, 0.7, 0.6, 3, 5, 7, 2, 4.5, 5.5], known=4.01377e-2),
        make(watson, np.zeros(6), 31, 2.28767e-3),
        make(rosenbrock, alternating)._replace(name="extended_rosenbrock"),
        make(powell_singular, np.resize([3, -1, 0, 1], 12))._replace(name="extended_powell"),
        make(penalty_1, np.arange(1, 5), known=2.24997e-5),
        make(penalty_2, np.full(4, 0.5), known=9.37629e-6),
        make(variably_dimensioned, 1 - np.arange(1, 11) / 10),
        make(trigonometric, np.full(10, 0.1)),
        make(discrete_boundary, np.arange(1, 11) / 11 * (np.arange(1, 11) / 11 - 1)),
        make(discrete_integral, np.arange(1, 11) / 11 * (np.arange(1, 11) / 11 - 1)),
        make(broyden_tridiagonal, np.full(10, -1.0)),
        make(broyden_banded, np.full(10, -1.0)),
    ]
