"""Estimators on Dask's collections, fitted on the workers, predictions as collections; and on sources, part by part."""

import functools
import sys

import numpy as np

from fastopt.estimators import fitting
from fastopt.parts import is_source, over_parts


def is_lazy(X):
    """Whether X is a Dask collection; Dask is imported by whoever made one."""
    return "dask" in sys.modules and sys.modules["dask"].is_dask_collection(X)


def by_blocks(method):
    """A method of (self, X) that takes a Dask array or dataframe block by block, when it is computed, and a source part
    by part."""

    @functools.wraps(method)
    def run(self, X):
        if is_source(X):
            return over_parts(functools.partial(method, self), X)
        return _mapped(functools.partial(method, self), X) if is_lazy(X) else method(self, X)

    return run


def _mapped(function, X):
    if hasattr(X, "to_delayed") and hasattr(X, "columns"):
        like = function(X._meta_nonempty)
        return _of_frame(function, X, like)
    like = function(np.zeros((1, X.shape[1]), X.dtype))
    X = X.rechunk({1: -1})
    if like.ndim == 1:
        return X.map_blocks(function, dtype=like.dtype, drop_axis=1, meta=like[:0])
    return X.map_blocks(function, dtype=like.dtype, chunks=(X.chunks[0], like.shape[1:]), meta=like[:0])


def _of_frame(function, X, like):
    """A series, or a dataframe with a column a class."""
    import pandas

    make = pandas.Series if like.ndim == 1 else pandas.DataFrame
    return X.map_partitions(_framed, function, make, meta=make(like[:0]))


def _framed(frame, function, make):
    return make(function(frame), index=frame.index)


def fit(estimator, X, y, weight, loss, classes=None, class_weight=None):
    """Fit an estimator to Dask collections by a solver, on the workers of the current client."""
    from fastopt import penalties
    from fastopt.distributed import DistributedObjective
    from fastopt.solvers.solve import solve

    fitting.check(estimator)
    if estimator.solver not in ("auto", "lbfgs", "newton"):
        raise ValueError(
            f'on Dask\'s workers solver is "auto", "lbfgs" or "newton", not {estimator.solver!r}'
        )
    objective = DistributedObjective(
        loss, X, y, sample_weight=weight, fit_intercept=estimator.fit_intercept, classes=classes,
        penalty=penalties.combined(estimator.l1, estimator.l2), threads=estimator.n_threads, class_weight=class_weight,
    )  # fmt: skip
    found = solve(
        objective, estimator.solver, tol=estimator.tol, max_iter=estimator.max_iter,
        standardize=estimator.standardize,
    )  # fmt: skip
    estimator.n_features_in_ = objective.features
    if hasattr(X, "columns"):
        names = [str(c) for c in X.columns if c != y] if isinstance(y, str) else list(map(str, X.columns))
        estimator.feature_names_in_ = np.array(names, object)
    estimator._keep(found.W, found.b)
    estimator.n_iter_, estimator.history_ = found.report.iterations, found.report.history
    estimator.t_ = 1.0 + found.report.iterations
    return estimator


def labels_of(X, y):
    """The labels that there are, sorted: one pass over y."""
    import dask

    column = X[y] if isinstance(y, str) else y
    parts = [dask.delayed(_unique)(block) for block in np.ravel(column.to_delayed())]
    return np.unique(np.concatenate([np.asarray(p) for p in dask.compute(*parts) if len(p)]))


def _unique(values):
    values = np.asarray(values)
    return np.unique(values.astype(str) if values.dtype.hasobject else values)
