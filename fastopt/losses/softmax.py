"""Cross-entropy of the softmax."""

from typing import NamedTuple

import numpy as np

from fastopt.losses.vocabulary import zeros


class Softmax(NamedTuple):
    """L = log(sum_c exp(s_c)) - s_y;  dL/ds_c = exp(s_c)/sum_j exp(s_j) - [c = y].

    The largest score is subtracted first, so no finite score overflows. Source: Bridle 1990;
    Bishop 2006, eq. 4.108-4.109. Same as torch.nn.CrossEntropyLoss.
    """

    one_row = "class"

    @staticmethod
    def rows(k, s, y, d):
        top = own = s[0]
        for c in range(1, len(s)):
            top = np.maximum(top, s[c])
            own = np.where(y == c, s[c], own)
        total = zeros(top)
        for c in range(len(s)):
            e = np.exp(s[c] - top)
            total = total + e
            d[c] = e
        scale = 1 / total
        for c in range(len(s)):
            share = d[c] * scale
            d[c] = np.where(y == c, share - 1, share)
        return np.log(total) + (top - own)

    @staticmethod
    def curvature(k, s, y, v, d):
        top = s[0]
        for c in range(1, len(s)):
            top = np.maximum(top, s[c])
        total = mean = zeros(top)
        for c in range(len(s)):
            e = np.exp(s[c] - top)
            total = total + e
            mean = mean + e * v[c]
            d[c] = e
        scale = 1 / total
        mean = mean * scale
        for c in range(len(s)):
            d[c] = d[c] * scale * (v[c] - mean)

    @staticmethod
    def probabilities(s):
        """Of each class, from scores s[c] by rows of W."""
        e = np.exp(s - s.max(axis=0))
        return e / e.sum(axis=0)


class SoftmaxOfShares(NamedTuple):
    """Softmax for soft labels: L = sum_c y_c (log(sum_j exp(s_j)) - s_c), y_c the share of class c in the row;
    dL/ds_c = sum(y) exp(s_c)/sum_j exp(s_j) - y_c. With a share of 1 it is Softmax.

    Source: as Softmax; Hinton, Vinyals & Dean 2015. Same as torch.nn.CrossEntropyLoss with probabilities.
    """

    one_row = "shares"

    @staticmethod
    def rows(k, s, y, d):
        top = s[0]
        for c in range(1, len(s)):
            top = np.maximum(top, s[c])
        total = below = mass = zeros(top)
        for c in range(len(s)):
            e = np.exp(s[c] - top)
            total = total + e
            mass = mass + y[c]
            below = below + y[c] * (top - s[c])
            d[c] = e
        scale = mass / total
        for c in range(len(s)):
            d[c] = d[c] * scale - y[c]
        return mass * np.log(total) + below

    @staticmethod
    def curvature(k, s, y, v, d):
        top, mass = s[0], y[0]
        for c in range(1, len(s)):
            top = np.maximum(top, s[c])
            mass = mass + y[c]
        total = mean = zeros(top)
        for c in range(len(s)):
            e = np.exp(s[c] - top)
            total = total + e
            mean = mean + e * v[c]
            d[c] = e
        scale = 1 / total
        mean = mean * scale
        for c in range(len(s)):
            d[c] = d[c] * scale * (v[c] - mean) * mass
