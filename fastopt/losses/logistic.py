"""Logistic loss."""

from typing import NamedTuple

import numpy as np

from fastopt.losses.vocabulary import zeros


class Logistic(NamedTuple):
    """L = sum_c log(1 + exp(-z_c s_c)), z_c = 1 for c = y and -1 otherwise;
    dL/ds_c = -z_c / (1 + exp(z_c s_c)).

    One score: z = 2y - 1 for y in {0, 1}; more: one versus the rest. exp is taken of -|s| only.
    Source: Bishop 2006, eq. 4.90-4.91. Same as torch.nn.BCEWithLogitsLoss for one score.
    """

    one_row = "binary"

    @staticmethod
    def rows(k, s, y, d):
        loss = zeros(s[0])
        for c in range(len(s)):
            positive = y == c
            m = np.where(positive, s[c], -s[c])
            e = np.exp(-np.abs(m))
            loss = loss + (np.maximum(-m, 0) + np.log1p(e))
            q = np.where(m > 0, e, 1) / (1 + e)
            d[c] = np.where(positive, -q, q)
        return loss

    @staticmethod
    def curvature(k, s, y, v, d):
        for c in range(len(s)):
            e = np.exp(-np.abs(s[c]))
            d[c] = v[c] * (e / ((1 + e) * (1 + e)))

    @staticmethod
    def probabilities(s):
        """Of each class, from scores s[c] by rows of W; several are divided by their sum."""
        e = np.exp(-np.abs(s))
        q = np.where(s > 0, 1 / (1 + e), e / (1 + e))
        return np.concatenate([1 - q, q]) if len(s) == 1 else q / q.sum(axis=0)


class LogisticOfShares(NamedTuple):
    """Logistic for soft labels: L = sum_c y_c log(1 + exp(-s_c)) + (1 - y_c) log(1 + exp(s_c)), y_c the
    probability of class c; dL/ds_c = 1 / (1 + exp(-s_c)) - y_c. With 0 and 1 it is Logistic.

    Source: as Logistic. Same as torch.nn.BCEWithLogitsLoss, summed over the classes.
    """

    one_row = "shares"

    @staticmethod
    def rows(k, s, y, d):
        loss = zeros(s[0])
        for c in range(len(s)):
            e = np.exp(-np.abs(s[c]))
            less = np.log1p(e)
            loss = loss + (y[c] * (np.maximum(-s[c], 0) + less) + (1 - y[c]) * (np.maximum(s[c], 0) + less))
            small, large = e / (1 + e), 1 / (1 + e)
            d[c] = (1 - y[c]) * np.where(s[c] > 0, large, small) - y[c] * np.where(s[c] > 0, small, large)
        return loss

    @staticmethod
    def curvature(k, s, y, v, d):
        for c in range(len(s)):
            e = np.exp(-np.abs(s[c]))
            d[c] = v[c] * (e / ((1 + e) * (1 + e)))
