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
