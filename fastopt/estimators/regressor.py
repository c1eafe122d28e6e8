"""LinearRegressor."""

import numpy as np
from sklearn.base import RegressorMixin

from fastopt.estimators import fitting, names
from fastopt.estimators.features import dtype_of
from fastopt.estimators.linear import LinearModel
from fastopt.estimators.progress import Watch


class LinearRegressor(RegressorMixin, LinearModel):
    """A linear regression."""

    _is_regression = True

    def __init__(
        self, loss="squared_error", *, solver="auto", l2=1e-4, l1=0.0, fit_intercept=True, standardize=False,
        tol=None, max_iter=1000, rule=None, schedule=None, epochs=20, batch_size=128, early_stopping=False,
        validation_fraction=0.1, n_iter_no_change=5, average=False, warm_start=False, n_threads=None,
        random_state=None, verbose=0,
    ):  # fmt: skip
        self.loss = loss
        self.solver = solver
        self.l2 = l2
        self.l1 = l1
        self.fit_intercept = fit_intercept
        self.standardize = standardize
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
        """Fit to X (n, features), dense, CSR or a table, and numbers y (n,). Returns self."""
        X, y, weight = self._checked_rows(X, y, sample_weight)
        loss, y = names.regression(self.loss), np.asarray(y, dtype_of(X))
        task = fitting.Task(loss, X, y, 1, weight, self._start(1), self._seed())
        self._keep(fitting.fit(self, task, Watch(self)))
        return self

    def predict(self, X):
        """The value of each row, (n,): its score, or the mean that the loss takes it for (Poisson: exp)."""
        scores = self._scores(X)[:, 0]
        loss = names.regression(self.loss)
        return loss.mean(scores) if hasattr(loss, "mean") else scores

    def _keep(self, fitted):
        super()._keep(fitted)
        self.coef_ = self.coef_[0]
