"""LinearRegressor."""

import numpy as np
from sklearn.base import RegressorMixin
from sklearn.utils.metaestimators import available_if

from fastopt.estimators import fitting, names, sources, workers
from fastopt.estimators.features import dtype_of
from fastopt.estimators.linear import LinearModel
from fastopt.estimators.progress import with_callbacks
from fastopt.losses import Poisson
from fastopt.parts import is_source, targets_of


class LinearRegressor(RegressorMixin, LinearModel):
    """A linear regression with scikit-learn's interface.

    loss: "squared_error" (half the square), "huber" (delta = 1), "epsilon_insensitive" and its square (epsilon =
        0.1), "quantile" (the median), "poisson" (counts, predict gives exp of the score), or a value such as
        fo.Huber(0.5) or fo.Quantile(0.9), or an own.
    solver: "auto" takes the solver that suits loss, penalty and shape, and ends at the optimum; or name one:
        "newton", "lbfgs", "prox-newton" (with an l1), "dual" (hinges). "sgd" takes epochs of a rule; so does
        "auto" where rule, schedule, early_stopping or average is given.
    l2, l1: factors of sum(coef_**2) and sum|coef_|; the intercept is not penalised. The objective is
        sum_i w_i L_i / sum_i w_i + l2*sum(coef_**2) + l1*sum|coef_|.
        Ridge(alpha) has l2 = alpha / (2 n), ElasticNet(alpha, l1_ratio=r) l1 = alpha r and l2 = alpha (1 - r) / 2.
    standardize: penalise the weights of features of mean 0 and deviation 1 (sparse ones are scaled, not
        centred); coef_ is for the features as they are. Solvers copy nothing for it, "sgd" copies X.
    tol, max_iter: of the solvers, see fastopt.solvers.solve; sklearn.exceptions.ConvergenceWarning says that they
        did not reach tol.
    rule, schedule, epochs, batch_size: of "sgd", see fo.train. epochs=None: 20, more on few rows, so that there are 1,000
        updates. Without a rule it is Momentum with a learning rate
        from the length of the rows, which falls to 0 by a cosine.
    early_stopping: end after n_iter_no_change epochs without a lower loss on validation_fraction of the rows.
    average: the mean of all iterates. warm_start: start from the last fit. n_threads: None is all there are.
    random_state: draws the order of the rows and the held-out ones. verbose: a line an iteration.

    X: float32, float64 and uint8 arrays in C order and CSR matrices (int32 or int64 indices) are read as they
    are, also read-only and memory-mapped. Others (Fortran order, int8, float16, integers) are converted block by block
    while they are read, to float32 where that holds their values, else to float64: large ones are copied whole only
    for "dual", "prox-newton", early_stopping, standardize with "sgd", and batch_size=None. float32 gives float32 coefficients. uint8 numbers are taken as they are, not divided by 255. Tables
    (pandas, polars, Arrow) give feature_names_in_.

    Attributes: coef_ (features,), intercept_, n_iter_, n_features_in_, feature_names_in_, history_ (dict of
    arrays, an entry an iteration or epoch), t_ (updates + 1). set_callbacks takes scikit-learn's callbacks (1.9).
    """

    _is_regression = True

    def __init__(
        self, loss="squared_error", *, solver="auto", l2=1e-4, l1=0.0, fit_intercept=True, standardize=False,
        tol=None, max_iter=1000, rule=None, schedule=None, epochs=None, batch_size=128, early_stopping=False,
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

    @with_callbacks
    def fit(self, X, y=None, sample_weight=None):
        """Fit to X (n, features), dense, CSR or a table, and numbers y (n,). Returns self.

        Or to Dask collections or a source, as LinearClassifier.fit.
        """
        if workers.is_lazy(X):
            return workers.fit(self, X, y, sample_weight, names.regression(self.loss))
        if is_source(X):
            y, weight = targets_of(X, y, sample_weight)
            return self._fit_source(X, self._targets(X, y), weight, names.regression(self.loss), 1)
        X, y, weight = self._checked_rows(X, y, sample_weight)
        return self._fit(X, self._targets(X, y), weight, names.regression(self.loss), 1)

    @available_if(fitting.takes_parts)
    def partial_fit(self, X, y, sample_weight=None):
        """One pass over these rows in batches of batch_size, as they stand, for solver "auto" and "sgd"; the rule's state is kept."""
        X, y, weight = self._checked_rows(X, y, sample_weight, reset=not hasattr(self, "coef_"))
        return self._partial_fit(X, self._targets(X, y), weight, names.regression(self.loss), 1)

    def _targets(self, X, y):
        y = np.asarray(y, dtype_of(X))
        if isinstance(names.regression(self.loss), Poisson) and (y < 0).any():
            raise ValueError(f"y has {y.min():g}; the Poisson loss is for counts, at least 0")
        return y

    @workers.by_blocks
    def predict(self, X):
        """The value of each row, (n,): its score, or the mean that the loss takes it for (Poisson: exp)."""
        scores = self._scores(X)[:, 0]
        loss = names.regression(self.loss)
        return loss.mean(scores) if hasattr(loss, "mean") else scores

    def score(self, X, y=None, sample_weight=None):
        """R^2; a source has targets and weights of its own."""
        if is_source(X):
            y, sample_weight = sources.truth_of_numbers(X, y, sample_weight)
        return super().score(X, y, sample_weight)

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.target_tags.positive_only = self.loss == "poisson" or isinstance(self.loss, Poisson)
        return tags

    def _attributes(self, W, b):
        found = super()._attributes(W, b)
        return {**found, "coef_": found["coef_"][0]}
