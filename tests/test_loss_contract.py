"""Losses that are broken, and what their author is told: the same words on every back end."""

from typing import NamedTuple

import numpy as np
import pytest

import fastopt as fo


class Good(NamedTuple):
    delta: float = 1.0

    one_row = "real"

    @staticmethod
    def rows(k, s, y, d):
        (delta,) = k
        for c in range(len(s)):
            d[c] = delta * s[c]
        return delta * s[0] * s[0] / 2


class Branches(Good):
    @staticmethod
    def rows(k, s, y, d):
        t = s[0] - y
        d[0] = t
        return t * t / 2 if t > 0 else t * 0


class SumsRows(Good):
    @staticmethod
    def rows(k, s, y, d):
        for c in range(len(s)):
            d[c] = s[c]
        return np.sum(s * s) / 2


class TakesTheMaximumOfAll(Good):
    @staticmethod
    def rows(k, s, y, d):
        for c in range(len(s)):
            d[c] = s[c] - np.max(s)
        return s[0] * s[0] / 2


class WritesScores(Good):
    @staticmethod
    def rows(k, s, y, d):
        s[0] = s[0] - y
        d[0] = s[0]
        return s[0] * s[0] / 2


class ForgetsClasses(Good):
    one_row = "class"

    @staticmethod
    def rows(k, s, y, d):
        d[0] = s[0]
        return s[0] * s[0] / 2


class NamesAField(Good):
    @staticmethod
    def rows(k, s, y, d):
        d[0] = k.delta * s[0]
        return k.delta * s[0] * s[0] / 2


class Doubles(Good):
    @staticmethod
    def rows(k, s, y, d):
        for c in range(len(s)):
            d[c] = s[c]
        return s[0] * np.ones(s.shape[1])


class NotStatic(Good):
    def rows(self, s, y, d):
        return s[0]


class OddKind(Good):
    one_row = "regression"


BROKEN = [
    (Branches, r"Branches\.rows raises ValueError.*`return t \* t / 2 if t > 0.*np\.where"),
    (SumsRows, r"SumsRows\.rows must return a loss for each row.*no np\.sum"),
    (TakesTheMaximumOfAll, r"TakesTheMaximumOfAll\.rows gives .* alone and .* among others.*np\.maximum"),
    (WritesScores, r"WritesScores\.rows raises ValueError.*`s\[0\] = s\[0\] - y`: .*write to d, not to s"),
    (ForgetsClasses, r"ForgetsClasses\.rows does not write d\[1\] for 3 classes"),
    (NamesAField, r"NamesAField\.rows raises AttributeError.*k is a tuple.*`delta, = k`"),
    (Doubles, r"Doubles\.rows must return float32 for float32 scores, not float64"),
    (NotStatic, r"NotStatic\.rows must be a static method of \(k, s, y, d\)"),
    (OddKind, r"OddKind\.one_row must be one of 'class', 'binary', 'real'"),
]


@pytest.mark.parametrize(("broken", "words"), BROKEN, ids=lambda x: getattr(x, "__name__", ""))
def test_a_broken_loss_is_told_what_is_wrong(broken, words, need):
    X, y, W = np.ones((8, 3)), np.ones(8), np.zeros((1, 3))
    said = set()
    for backend in ("numpy", "numba"):
        need(backend)
        for call in (
            lambda b: fo.value_and_grad(broken(), W, X, y, backend=b),
            lambda b: fo.train(X, y, broken(), backend=b, epochs=1),
            lambda b: fo.Objective(broken(), X, y, backend=b),
        ):
            with pytest.raises((TypeError, ValueError), match=words) as caught:
                call(backend)
            said.add(str(caught.value))
    assert len(said) == 1


def test_one_that_is_mended_is_tested_anew(backend):
    if backend == "c":
        pytest.skip("the C library has no losses of one's own")

    class Own(Good):
        rows = staticmethod(SumsRows.rows)

    X, y, W = np.ones((8, 3)), np.ones(8), np.zeros((1, 3))
    with pytest.raises(TypeError, match="np.sum"):
        fo.value_and_grad(Own(), W, X, y, backend=backend)
    Own.rows = Good.rows
    with pytest.raises(TypeError, match="static"):
        fo.value_and_grad(Own(), W, X, y, backend=backend)
    Own.rows = staticmethod(Good.rows)
    assert fo.value_and_grad(Own(), W, X, y, backend=backend)[0] == 0
