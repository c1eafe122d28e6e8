"""Losses of regression that large errors do not rule, and of counts."""

from typing import NamedTuple

import numpy as np

from fastopt.losses.vocabulary import zeros


class Huber(NamedTuple):
    """L = t^2/2 for |t| <= delta, delta*(|t| - delta/2) beyond; t = s - y with a real y, or, with more scores
    than one, the sum of that of each score less [c = y]. dL/ds = t, no smaller than -delta, no larger than delta.

    Source: Huber 1964. Same as torch.nn.HuberLoss for one score; sklearn's HuberRegressor has 2 L.
    """

    delta: float = 1.0

    one_row = "real"

    @staticmethod
    def rows(k, s, y, d):
        (delta,) = k
        loss = zeros(s[0])
        for c in range(len(s)):
            t = s[c] - y if len(s) == 1 else np.where(y == c, s[c] - 1, s[c])
            size = np.abs(t)
            loss = loss + np.where(size <= delta, t * t / 2, delta * (size - delta / 2))
            d[c] = np.maximum(np.minimum(t, delta), -delta)
        return loss

    @staticmethod
    def curvature(k, s, y, v, d):
        (delta,) = k
        for c in range(len(s)):
            t = s[c] - y if len(s) == 1 else np.where(y == c, s[c] - 1, s[c])
            d[c] = np.where(np.abs(t) <= delta, v[c], 0)


class EpsilonInsensitive(NamedTuple):
    """L = max(0, |t| - epsilon), squared with squared=True; t as in Huber. dL/ds = sign(t) beyond epsilon, else 0.

    Source: Vapnik 1995; Drucker et al. 1997. Same as sklearn's LinearSVR, squared_epsilon_insensitive.
    """

    epsilon: float = 0.1
    squared: bool = False

    one_row = "real"

    @staticmethod
    def rows(k, s, y, d):
        epsilon, squared = k
        loss = zeros(s[0])
        for c in range(len(s)):
            t = s[c] - y if len(s) == 1 else np.where(y == c, s[c] - 1, s[c])
            beyond = np.maximum(np.abs(t) - epsilon, 0)
            if squared:
                loss = loss + beyond * beyond
                d[c] = np.where(t > 0, 2 * beyond, -2 * beyond)
            else:
                loss = loss + beyond
                d[c] = np.where(beyond > 0, np.where(t > 0, 1, -1), 0)
        return loss

    @staticmethod
    def curvature(k, s, y, v, d):
        epsilon, squared = k
        for c in range(len(s)):
            t = s[c] - y if len(s) == 1 else np.where(y == c, s[c] - 1, s[c])
            d[c] = np.where(np.abs(t) > epsilon, 2 * v[c], 0) if squared else zeros(t)


class Quantile(NamedTuple):
    """L = sum_c q max(0, -t_c) + (1 - q) max(0, t_c): its minimum is the q-quantile of y;
    dL/ds_c = 1 - q where t_c > 0, -q where t_c < 0, 0 at 0; t as in Huber.

    Source: Koenker & Bassett 1978. scikit-learn's QuantileRegressor(quantile=q) minimises the same mean.
    """

    quantile: float = 0.5

    one_row = "real"

    @staticmethod
    def rows(k, s, y, d):
        (q,) = k
        loss = zeros(s[0])
        for c in range(len(s)):
            t = s[c] - y if len(s) == 1 else np.where(y == c, s[c] - 1, s[c])
            loss = loss + np.where(t < 0, -q * t, (1 - q) * t)
            d[c] = np.where(t < 0, -q, np.where(t > 0, 1 - q, zeros(t)))
        return loss


class Poisson(NamedTuple):
    """L = exp(s) - y s for a count y >= 0 whose mean is exp(s); more scores: the sum, with [c = y] for y.
    dL/ds = exp(s) - y.

    Source: McCullagh & Nelder 1989, 6.2. Same as torch.nn.PoissonNLLLoss; sklearn's PoissonRegressor
    minimizes half the deviance, which is this less a number that does not depend on s.
    """

    one_row = "real"

    @staticmethod
    def rows(k, s, y, d):
        loss = zeros(s[0])
        for c in range(len(s)):
            target = y if len(s) == 1 else np.where(y == c, zeros(s[c]) + 1, 0)
            mean = np.exp(s[c])
            loss = loss + (mean - target * s[c])
            d[c] = mean - target
        return loss

    @staticmethod
    def curvature(k, s, y, v, d):
        for c in range(len(s)):
            d[c] = np.exp(s[c]) * v[c]

    @staticmethod
    def mean(s):
        """The mean of y at scores s."""
        return np.exp(s)
