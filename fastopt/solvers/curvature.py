"""First and second derivatives of each row's loss by its scores, and Gram matrices weighted by them."""

import numpy as np

from fastopt.engines.numpy import BLOCK


def weighted_grams(loss, rows, own, kept, pairs, factor, ones):
    """X' D X for every pair of classes, D the second derivatives of the rows at kept scores times the factor.

    own: the rows' passes; ones: with a feature that is 1 in every row.
    """
    D = curvatures(loss, rows, own.by_row(kept)) * rows.dtype.type(factor)
    c, k = np.transpose(pairs)
    return own.gram(np.ascontiguousarray(D[c, k]), ones)


def slopes(loss, rows, scores):
    """(n,): the weighted derivative of each row's loss by its score, of one class."""
    k, formula, d = tuple(map(float, loss)), rows.formula(loss), np.empty((1, len(scores)), scores.dtype)
    for begin in range(0, len(scores), BLOCK):
        part = slice(begin, begin + BLOCK)
        formula.rows(k, np.ascontiguousarray(scores[part].T), rows.labels(loss, part), d[:, part])
    return d[0] if rows.weight is None else d[0] * rows.weight


def curvatures(loss, rows, scores):
    """D (classes, classes, n): the weighted second derivatives of each row's loss by its scores."""
    n, classes = scores.shape
    k, formula = tuple(map(float, loss)), rows.formula(loss)
    D = np.empty((classes, classes, n), scores.dtype)
    for begin in range(0, n, BLOCK):
        part = slice(begin, begin + BLOCK)
        s = np.ascontiguousarray(scores[part].T)
        for c in range(classes):
            unit, d = np.zeros_like(s), np.empty_like(s)
            unit[c] = 1
            formula.curvature(k, s, rows.labels(loss, part), unit, d)
            D[c, :, part] = d
    return D if rows.weight is None else D * rows.weight
