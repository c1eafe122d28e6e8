"""l1*sum|W| + l2*sum(W**2), and what is left of it without one or both."""

from typing import NamedTuple

import numpy as np


def _value(penalty, W):
    value = penalty.l2 * float(np.sum(np.square(W, dtype=np.float64))) if penalty.l2 else 0.0
    return value + penalty.l1 * float(np.sum(np.abs(W), dtype=np.float64)) if penalty.l1 else value


def _add_gradient(penalty, W, dW):
    if penalty.l2:
        dW += dW.dtype.type(2 * penalty.l2) * W


def _prox(penalty, W, step):
    if not penalty.l1:
        return W
    return np.sign(W) * np.maximum(np.abs(W) - W.dtype.type(step * penalty.l1), 0)


class Unpenalised(NamedTuple):
    """No penalty."""

    l1, l2 = 0.0, 0.0
    value, add_gradient, prox = _value, _add_gradient, _prox


class L2(NamedTuple):
    """l2 * sum(W**2), gradient 2*l2*W. scikit-learn's C is 1 / (2 * n * l2); torch's weight_decay is 2*l2."""

    l2: float

    l1 = 0.0
    value, add_gradient, prox = _value, _add_gradient, _prox


class L1(NamedTuple):
    """l1 * sum|W|; prox: sign(w) max(0, |w| - step*l1). scikit-learn's C is 1 / (n * l1).

    Source: Tibshirani 1996.
    """

    l1: float

    l2 = 0.0
    value, add_gradient, prox = _value, _add_gradient, _prox


class ElasticNet(NamedTuple):
    """l1 * sum|W| + l2 * sum(W**2). scikit-learn's LogisticRegression(C, l1_ratio=r) has
    l1 = r / (n C) and l2 = (1 - r) / (2 n C). Source: Zou & Hastie 2005.
    """

    l1: float
    l2: float

    value, add_gradient, prox = _value, _add_gradient, _prox
