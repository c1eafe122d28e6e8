"""gradcheck and numeric gradients on every scale: |x| and widths from 1e-12 to 1e12, twelve families.

Each entry has a family, a place and a width of its own, which nothing but f tells. The right gradient passes
where double precision can tell (|x| below 1e9 widths; up to 1 in 200 may be undecided); wrong ones never pass.
"""

import math

import numpy as np
import pytest

from fastopt.checking import gradcheck, numeric_gradient

TELLS = 1e9  # |x|/width up to which a step can be found that is neither rounding nor curvature


def lennard_jones(r):
    return 4 * (r**-12 - r**-6)


# name -> (f, derivative) of u = (x - place)/width, and where u lies: "near" 0, or the "ratio" x/width itself
FAMILIES = {
    "sine": (np.sin, np.cos, "ratio"),
    "trend and cycle": (
        lambda u: u / 2 + np.sin(2 * np.pi * u),
        lambda u: 0.5 + 2 * np.pi * np.cos(2 * np.pi * u),
        "ratio",
    ),
    "bell": (lambda u: np.exp(-u * u), lambda u: -2 * u * np.exp(-u * u), "near"),
    "tanh": (np.tanh, lambda u: 1 / np.cosh(u) ** 2, "near"),
    "softplus": (lambda u: np.logaddexp(0, u), lambda u: 1 / (1 + np.exp(-u)), "near"),
    "cubic": (lambda u: u**3 + 2 * u - 1, lambda u: 3 * u**2 + 2, "near"),
    "logistic on a level": (
        lambda u: 1000 + 1 / (1 + np.exp(-u)),
        lambda u: 0.25 / np.cosh(u / 2) ** 2,
        "near",
    ),
    "rational": (lambda u: 1 / (1 + u * u), lambda u: -2 * u / (1 + u * u) ** 2, "near"),
    "log": (np.log, lambda u: 1 / u, "unit"),
    "reciprocal": (lambda u: 1 / u, lambda u: -1 / u**2, "unit"),
    "Lennard-Jones": (lennard_jones, lambda u: 4 * (-12 * u**-13 + 6 * u**-7), "unit"),
    "root": (np.sqrt, lambda u: 0.5 / np.sqrt(u), "unit"),
}


class Entry:
    """One entry of x and its term of f."""

    def __init__(self, rng, name=None):
        self.name = name or str(rng.choice(list(FAMILIES)))
        self.f, self.slope, where = FAMILIES[self.name]
        self.width, size = 10.0 ** rng.uniform(-12, 12, 2)
        self.place, self.x = 0.0, size * rng.choice([-1.0, 1.0])
        u = rng.uniform(0.2, 1.2)
        if where == "near":
            self.place = self.x - rng.choice([-1.0, 1.0]) * u * self.width
        elif where == "unit":  # the width is the distance to 0
            self.x = abs(self.x)
            self.width = self.x / (0.9 + u)
        self.ratio = abs(self.x) / self.width

    def value(self, x):
        return self.f((x - self.place) / self.width)

    def derivative(self, x):
        return self.slope((x - self.place) / self.width) / self.width


class Case:
    def __init__(self, j):
        rng = np.random.default_rng([31, j])
        names = list(FAMILIES)
        self.entries = [Entry(rng, names[j % 12])]
        # Terms of other sizes would drown it: only those that stay about 1 go together.
        if self.entries[0].name in ("sine", "bell", "tanh", "rational", "log", "root"):
            self.entries += [Entry(rng, "tanh") for _ in range(int(rng.integers(0, 3)))]
        self.x = np.array([e.x for e in self.entries])
        self.tells = max(e.ratio for e in self.entries) < TELLS
        self.names = [e.name for e in self.entries]

    def f(self, x):
        return float(sum(e.value(v) for e, v in zip(self.entries, x, strict=True)))

    def gradient(self, x):
        return np.array([e.derivative(v) for e, v in zip(self.entries, x, strict=True)])

    def measurable(self):
        """Entries whose slope is not lost under the rounding of f at any step: a part of f over the width."""
        g, f = np.abs(self.gradient(self.x)), max(abs(self.f(self.x)), 1e-3)
        return np.array([s * e.width > 1e-6 * f for s, e in zip(g, self.entries, strict=True)])


def verdict(case, gradient):
    with np.errstate(all="ignore"):
        return gradcheck(
            case.f, gradient, case.x, atol=0.0, rtol=1e-3, raise_exception=False, mode="full"
        ).outcome


def cases(count, total=2000):
    with np.errstate(all="ignore"):
        for j in range(0, total, total // count):
            case = Case(j + j // (total // count) % 12)
            if np.isfinite(case.gradient(case.x)).all() and math.isfinite(case.f(case.x)):
                yield case


def sweep(count):
    """(right gradients by outcome where double precision tells, elsewhere, wrong ones by outcome)"""
    tells, beyond, wrong = {}, {}, {}
    for case in cases(count):
        outcome = verdict(case, case.gradient)
        sure = case.tells and case.measurable().all()
        where = tells if sure else beyond
        where[outcome] = where.get(outcome, 0) + 1
        assert not (sure and outcome == "wrong"), (case.names, case.x, [e.width for e in case.entries])
        for factor in (1.01, -1.0, 0.0):
            result = verdict(case, lambda x, c=case, s=factor: s * c.gradient(x))
            wrong[result] = wrong.get(result, 0) + 1
            assert result != "passed", (factor, case.names, case.x, [e.width for e in case.entries])
    return tells, beyond, wrong


def test_sampled():
    tells, _, wrong = sweep(120)
    assert tells["passed"] > 60 and tells.get("undecided", 0) <= 1 and wrong["wrong"] > 180


@pytest.mark.long
def test_whole():
    tells, beyond, wrong = sweep(2000)
    print("right", tells, "where double precision cannot tell", beyond, "wrong", wrong)
    assert tells["passed"] > 1200 and tells.get("undecided", 0) <= 10


@pytest.mark.parametrize("method", ["forward", "central", "five-point", "richardson"])
def test_numeric_gradient_on_every_scale(method):
    allowed = 1e-3 if method == "forward" else 1e-5
    for case in cases(60):
        if not (case.tells and max(e.ratio for e in case.entries) < 1e6):
            continue
        with np.errstate(all="ignore"):
            found, right = numeric_gradient(case.f, case.x, method=method), case.gradient(case.x)
        good = np.abs(found - right) <= allowed * np.abs(right)
        assert (good | ~case.measurable()).all(), (case.names, case.x, found, right)
