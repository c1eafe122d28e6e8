"""First and second derivatives of each row's loss by its scores, and Gram matrices weighted by them."""

import functools

import numpy as np

from fastopt import losses
from fastopt.engines.numpy import BLOCK


def weighted_grams(loss, rows, own, kept, pairs, factor, ones):
    """X' D X for every pair of classes, D the second derivatives of the rows at kept scores times the factor.

    own: the rows' passes; ones: with a feature that is 1 in every row.
    """
    D = curvatures(loss, rows, own.by_class(kept))
    D = D[0] if len(D) == 1 else D[tuple(np.transpose(pairs))]
    D *= rows.dtype.type(factor)
    return own.gram(D, ones)


def slopes(loss, rows, scores):
    """(n,): the weighted derivative of each row's loss by its score, of scores (1, n)."""
    k, formula, d = tuple(map(float, loss)), rows.formula(loss), np.empty_like(scores)
    for begin in range(0, scores.shape[1], BLOCK):
        part = slice(begin, begin + BLOCK)
        formula.rows(k, np.ascontiguousarray(scores[:, part]), rows.labels(loss, part), d[:, part])
    return d[0] if rows.weight is None else d[0] * rows.weight


def curvatures(loss, rows, scores):
    """D (classes, classes, n): the weighted second derivatives of each row's loss by its scores (classes, n)."""
    classes, n = scores.shape
    k, formula = tuple(map(float, loss)), rows.formula(loss)
    derive = _of_units if formula.one_row == "shares" or type(formula) in losses.LOSSES else _of_one_unit_each
    D, units = np.empty((classes, classes, n), scores.dtype), _units(classes, scores.dtype)
    for begin in range(0, n, BLOCK):
        part = slice(begin, begin + BLOCK)
        s = np.ascontiguousarray(scores[:, part])
        derive(formula, k, s, rows.labels(loss, part), units, D[:, :, part])
    if rows.weight is not None:
        D *= rows.weight
    return D


@functools.cache
def _units(classes, dtype):
    return np.eye(classes, dtype=dtype)


def _of_units(formula, k, s, y, units, D):
    """The derivatives of all classes by one call: our own formulas take arrays of any shape for a vector of rows."""
    formula.curvature(k, s[:, None], y, units[:, :, None], D.transpose(1, 0, 2))


def _of_one_unit_each(formula, k, s, y, units, D):
    for c, unit in enumerate(units):
        formula.curvature(k, s, y, np.repeat(unit[:, None], s.shape[1], axis=1), D[c])
