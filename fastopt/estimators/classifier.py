"""LinearClassifier."""

import numpy as np
from sklearn.base import ClassifierMixin
from sklearn.utils.class_weight import compute_sample_weight
from sklearn.utils.metaestimators import available_if
from sklearn.utils.multiclass import check_classification_targets

from fastopt.estimators import fitting, names
from fastopt.estimators.linear import LinearModel
from fastopt.estimators.progress import Watch


def _has_probabilities(estimator):
    loss, _ = names.classification(estimator.loss, len(getattr(estimator, "classes_", "abc")))
    if not hasattr(loss, "probabilities"):
        raise AttributeError(
            f"predict_proba: loss {estimator.loss!r} has scores, no probabilities. Fit with "
            'loss="softmax" or "logistic", or calibrate: sklearn.calibration.CalibratedClassifierCV'
        )
    return True


class LinearClassifier(ClassifierMixin, LinearModel):
    """A linear classifier."""

    _is_regression = False

    def __init__(
        self, loss="softmax", *, solver="auto", l2=1e-4, l1=0.0, fit_intercept=True, standardize=False,
        class_weight=None, tol=None, max_iter=1000, rule=None, schedule=None, epochs=20, batch_size=128,
        early_stopping=False, validation_fraction=0.1, n_iter_no_change=5, average=False, warm_start=False,
        n_threads=None, random_state=None, verbose=0,
    ):  # fmt: skip
        self.loss = loss
        self.solver = solver
        self.l2 = l2
        self.l1 = l1
        self.fit_intercept = fit_intercept
        self.standardize = standardize
        self.class_weight = class_weight
        self.tol = tol
        self.max_iter = max_iter
        self.rule = rule
        self.schedule = schedule
        self.epochs = epochs
        self.batch_size = batch_size
        self.early_stopping = early_stopping
        self.validation_fraction = validation_fraction
        self.n_iter_no_change = n_iter_no_change
        self.average = average
        self.warm_start = warm_start
        self.n_threads = n_threads
        self.random_state = random_state
        self.verbose = verbose

    def fit(self, X, y, sample_weight=None):
        """Fit to X (n, features), dense, CSR or a table, and labels y (n,) of any kind. Returns self."""
        X, y, weight = self._checked_rows(X, y, sample_weight)
        check_classification_targets(y)
        self.classes_, numbers = np.unique(y, return_inverse=True)
        if len(self.classes_) < 2:
            raise ValueError(f"y holds one class only, {self.classes_[0]!r}: there is nothing to tell apart")
        loss, rows = names.classification(self.loss, len(self.classes_))
        weight = self._weights(y, weight)
        task = fitting.Task(loss, X, numbers, rows, weight, self._start(rows), self._seed())
        self._keep(fitting.fit(self, task, Watch(self)))
        return self

    def _weights(self, y, weight):
        """Weights of the rows, with those of their classes."""
        if self.class_weight is None:
            return weight
        of_class = compute_sample_weight(self.class_weight, y)
        return of_class if weight is None else of_class * weight

    def decision_function(self, X):
        """Scores: (n,) of the second class for two, else (n, classes)."""
        scores = self._scores(X)
        return scores[:, 0] if scores.shape[1] == 1 else scores

    def predict(self, X):
        """The label of each row, (n,)."""
        scores = self._scores(X)
        if scores.shape[1] == 1:
            return self.classes_[(scores[:, 0] > 0).astype(np.intp)]
        return self.classes_[scores.argmax(axis=1)]

    @available_if(_has_probabilities)
    def predict_proba(self, X):
        """(n, classes): the probability of each class; rows sum to 1."""
        scores = self._scores(X)
        loss, rows = names.classification(self.loss, len(self.classes_))
        s = scores.T
        if len(s) == 1 and rows == 2:
            s = np.concatenate([-s / 2, s / 2])
        return np.asarray(loss.probabilities(s)).T

    @available_if(_has_probabilities)
    def predict_log_proba(self, X):
        """The logarithm of predict_proba."""
        return np.log(self.predict_proba(X))
