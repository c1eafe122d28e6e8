"""Hinge losses. At a kink they have the derivative of the inactive side, 0."""

from typing import NamedTuple

import numpy as np

from fastopt.losses.vocabulary import zeros


class MulticlassHinge(NamedTuple):
    """L = sum_{c != y} t_c,  t_c = max(0, s_c - s_y + margin);  with squared=True, sum of t_c^2.

    dL/ds_c = [t_c > 0] (2 t_c when squared) for c != y;  dL/ds_y = -sum of the others.
    Source: Weston & Watkins 1999, eq. 7. torch.nn.MultiMarginLoss divides by the classes besides.
    """

    margin: float = 1.0
    squared: bool = False

    one_row = "class"

    @staticmethod
    def rows(k, s, y, d):
        margin, squared = k
        own = s[0]
        for c in range(1, len(s)):
            own = np.where(y == c, s[c], own)
        loss = slope = zeros(own)
        for c in range(len(s)):
            t = np.where(y == c, 0, np.maximum(s[c] - own + margin, 0))
            if squared:
                d[c] = 2 * t
                loss = loss + t * t
            else:
                d[c] = np.where(t > 0, 1, 0)
                loss = loss + t
            slope = slope + d[c]
        for c in range(len(s)):
            d[c] = np.where(y == c, -slope, d[c])
        return loss

    @staticmethod
    def curvature(k, s, y, v, d):
        margin, squared = k
        own, own_v = s[0], v[0]
        for c in range(1, len(s)):
            own, own_v = np.where(y == c, s[c], own), np.where(y == c, v[c], own_v)
        total = zeros(own)
        for c in range(len(s)):
            active = np.where(y == c, 0, np.where(s[c] - own + margin > 0, 2, 0))
            d[c] = active * (v[c] - own_v) if squared else zeros(own)
            total = total + d[c]
        for c in range(len(s)):
            d[c] = np.where(y == c, -total, d[c])


class Hinge(NamedTuple):
    """L = sum_c max(0, 1 - z_c s_c), z_c = 1 for c = y and -1 otherwise;  dL/ds_c = -z_c [z_c s_c < 1].

    One score: z = 2y - 1 for y in {0, 1}; more: one versus the rest. Source: Cortes & Vapnik
    1995; Rifkin & Klautau 2004. Same as sklearn's SGDClassifier(loss="hinge").
    """

    one_row = "binary"

    @staticmethod
    def rows(k, s, y, d):
        loss = zeros(s[0])
        for c in range(len(s)):
            positive = y == c
            t = 1 - np.where(positive, s[c], -s[c])
            loss = loss + np.maximum(t, 0)
            d[c] = np.where(t > 0, np.where(positive, -1, 1), 0)
        return loss


class SquaredHinge(NamedTuple):
    """L = sum_c max(0, 1 - z_c s_c)^2, z_c = 1 for c = y and -1 otherwise; dL/ds_c = -2 z_c max(0, 1 - z_c s_c).

    One score: z = 2y - 1 for y in {0, 1}; more: one versus the rest. Source: Chang, Hsieh & Lin 2008.
    Same as sklearn's LinearSVC.
    """

    one_row = "binary"

    @staticmethod
    def rows(k, s, y, d):
        loss = zeros(s[0])
        for c in range(len(s)):
            positive = y == c
            t = np.maximum(1 - np.where(positive, s[c], -s[c]), 0)
            loss = loss + t * t
            d[c] = np.where(positive, -2 * t, 2 * t)
        return loss

    @staticmethod
    def curvature(k, s, y, v, d):
        for c in range(len(s)):
            d[c] = np.where(np.where(y == c, s[c], -s[c]) < 1, 2 * v[c], 0)


class ModifiedHuber(NamedTuple):
    """L = sum_c max(0, 1 - m_c)^2 for m_c = z_c s_c >= -1, -4 m_c below; z_c as in Hinge.
    dL/ds_c = -2 z_c max(0, 1 - m_c), no larger than 4.

    Source: Zhang 2004. Same as sklearn's SGDClassifier(loss="modified_huber").
    """

    one_row = "binary"

    @staticmethod
    def rows(k, s, y, d):
        loss = zeros(s[0])
        for c in range(len(s)):
            positive = y == c
            m = np.where(positive, s[c], -s[c])
            t = np.minimum(np.maximum(1 - m, 0), 2)
            loss = loss + np.where(m < -1, -4 * m, t * t)
            d[c] = np.where(positive, -2 * t, 2 * t)
        return loss

    @staticmethod
    def curvature(k, s, y, v, d):
        for c in range(len(s)):
            m = np.where(y == c, s[c], -s[c])
            d[c] = np.where(m < 1, np.where(m >= -1, 2 * v[c], 0), 0)

    @staticmethod
    def probabilities(s):
        """Of each class: (s + 1) / 2 within [0, 1] (Zhang 2004, table 1); several are divided by their sum."""
        q = (np.clip(s, -1, 1) + 1) / 2
        if len(s) == 1:
            return np.concatenate([1 - q, q])
        total = q.sum(axis=0)
        return np.where(total > 0, q / np.where(total > 0, total, 1), 1 / len(s)).astype(q.dtype)


class CrammerSinger(NamedTuple):
    """L = max(0, max_{c != y} s_c - s_y + margin): the worst class alone counts, the first of several.

    dL/ds_c = 1 for that class, -1 for y, 0 for the others and where L = 0. Source: Crammer & Singer 2001.
    Same as sklearn's LinearSVC(multi_class="crammer_singer"); torch.nn.MultiMarginLoss sums as MulticlassHinge.
    """

    margin: float = 1.0

    one_row = "class"

    @staticmethod
    def rows(k, s, y, d):
        (margin,) = k
        own = s[0]
        for c in range(1, len(s)):
            own = np.where(y == c, s[c], own)
        worst = taken = zeros(own)
        for c in range(len(s)):
            t = np.where(y == c, 0, np.maximum(s[c] - own + margin, 0))
            worst = np.maximum(worst, t)
        for c in range(len(s)):
            t = np.where(y == c, 0, np.maximum(s[c] - own + margin, 0))
            share = np.where(t > 0, np.where(t >= worst, 1 - taken, 0), 0)
            taken = taken + share
            d[c] = share
        for c in range(len(s)):
            d[c] = np.where(y == c, -taken, d[c])
        return worst
