"""LinearClassifier."""

import numpy as np
from sklearn.base import ClassifierMixin
from sklearn.utils.class_weight import compute_sample_weight
from sklearn.utils.metaestimators import available_if
from sklearn.utils.multiclass import check_classification_targets

from fastopt import losses
from fastopt.estimators import features, fitting, names, sources, workers
from fastopt.estimators.linear import LinearModel, checked_weight, is_plain
from fastopt.estimators.progress import with_callbacks
from fastopt.fit import class_numbers
from fastopt.parts import classes_of, is_source
from fastopt.rows import check_distributions
from fastopt.weights import class_weights


def _has_probabilities(estimator):
    loss, _ = names.classification(estimator.loss, len(getattr(estimator, "classes_", "abc")))
    if not hasattr(loss, "probabilities"):
        raise AttributeError(
            f"predict_proba: loss {estimator.loss!r} has scores, no probabilities. Fit with "
            'loss="softmax" or "logistic", or calibrate: sklearn.calibration.CalibratedClassifierCV'
        )
    return True


def _is_soft(y):
    """Whether y has the share of each class: several columns."""
    shape = getattr(y, "shape", None)
    return shape is not None and len(shape) == 2 and shape[1] > 1


def _are_plain_labels(y, X):
    """Whether y is an array of class numbers, fewer than half as many as rows, in which they would find nothing either."""
    return (
        type(y) is np.ndarray
        and y.shape == X.shape[:1]
        and y.dtype.kind in "iub"
        and int(y.max()) - int(y.min()) < len(y) // 2
    )


class LinearClassifier(ClassifierMixin, LinearModel):
    """A linear classifier with scikit-learn's interface.

    loss: "softmax", "logistic", "hinge", "squared_hinge", "modified_huber", "multiclass_hinge",
        "multiclass_squared_hinge", "crammer_singer", or one of fastopt.losses, or an own. Two classes have one row of weights; with
        more, "logistic" and the first three hinges take one class against the rest.
    solver: "auto" takes the solver that suits loss, penalty and shape, and ends at the optimum; or name one:
        "newton", "lbfgs", "prox-newton" (with an l1), "dual" (hinges). "sgd" takes epochs of a rule; so does
        "auto" where rule, schedule, early_stopping or average is given.
    l2, l1: factors of sum(coef_**2) and sum|coef_|; the intercept is not penalised. The objective is
        sum_i w_i L_i / sum_i w_i + l2*sum(coef_**2) + l1*sum|coef_|.
        LogisticRegression(C) has l2 = 1 / (2 n C), SGDClassifier(alpha) l2 = alpha / 2, LinearSVC(C) 1 / (2 n C)
        (and penalises its intercept).
    standardize: penalise the weights of features of mean 0 and deviation 1 (sparse ones are scaled, not
        centred); coef_ is for the features as they are. Solvers copy nothing for it, "sgd" copies X.
    class_weight: None, "balanced" or {label: weight}; multiplied with sample_weight. "balanced" counts rows, as
        SGDClassifier does; LogisticRegression of scikit-learn 1.9 adds up their sample_weight.
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

    Attributes: coef_ (1 or classes, features), intercept_, classes_, n_iter_, n_features_in_, feature_names_in_, history_ (dict of
    arrays, an entry an iteration or epoch), t_ (updates + 1). set_callbacks takes scikit-learn's callbacks (1.9).

    predict_proba is there for "softmax", "logistic" (sigmoids, divided by their sum) and "modified_huber"
    (Zhang 2004); scores of hinges are no probabilities: sklearn.calibration.CalibratedClassifierCV makes them some.
    Differs from scikit-learn: "softmax" is multinomial with every solver; l2 is beside the mean of the losses.
    """

    _is_regression = False

    def __init__(
        self, loss="softmax", *, solver="auto", l2=1e-4, l1=0.0, fit_intercept=True, standardize=False,
        class_weight=None, tol=None, max_iter=1000, rule=None, schedule=None, epochs=None, batch_size=128,
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

    @with_callbacks
    def fit(self, X, y=None, sample_weight=None):
        """Fit to X (n, features), dense, CSR or a table, and labels y (n,) of any kind. Returns self.

        With "softmax" and "logistic" y may be soft labels, (n, classes): the probability of each class in each row.
        classes_ are the columns of a table then, else numbers.
        A Dask array or dataframe (y: the same, or the name of a column) is fitted by a solver on the workers of the
        current client, and predictions of one are Dask collections. A source (fo.source), which has its labels and
        weights, is read part by part, also by what predicts.
        """
        if workers.is_lazy(X):
            return self._fit_on_workers(X, y, sample_weight)
        if is_source(X):
            return self._fit_to_source(X, y, sample_weight)
        if _is_soft(y):
            return self._fit_shares(X, y, sample_weight)
        X, y, weight, classes, numbers = self._checked_labels(X, y, sample_weight)
        loss, rows = self._loss_of(classes)
        return self._fit(X, numbers, self._weights(y, weight), loss, rows)

    def _checked_labels(self, X, y, sample_weight):
        """(X, y, weight or None, the classes, the number of each y's class) for a new fit."""
        if is_plain(X) and _are_plain_labels(y, X):
            self.n_features_in_ = X.shape[1]
            self.__dict__.pop("feature_names_in_", None)
            X, weight = features.readable(X), checked_weight(sample_weight, X)
        else:
            X, y, weight = self._checked_rows(X, y, sample_weight)
            check_classification_targets(y)
        return X, y, weight, *np.unique(y, return_inverse=True)

    def _fit_shares(self, X, y, weight):
        if self.class_weight is not None:
            raise ValueError("class_weight is for labels; y has shares of classes: pass sample_weight")
        names_of = getattr(y, "columns", None)
        X, y, weight = self._checked_rows(X, y, weight, soft=True)
        self.classes_ = np.arange(y.shape[1]) if names_of is None else np.asarray(names_of)
        loss, rows = self._loss_of_shares(y)
        return self._fit(X, y, weight, loss, rows)

    def _loss_of_shares(self, y):
        """(loss, rows of W); ValueError where y is not a distribution a row, or the loss takes none."""
        loss, rows = names.classification(self.loss, len(self.classes_))
        if type(loss) not in losses.OF_SHARES:
            raise ValueError(
                f'y has shape {y.shape}, soft labels: loss "softmax" and "logistic" take them, not {self.loss!r}'
            )
        if y.shape[1] != len(self.classes_):
            raise ValueError(f"y has the shares of {y.shape[1]} classes, and there are {len(self.classes_)}")
        if y.dtype.kind not in "biuf":
            raise ValueError(
                f"y of several columns must hold numbers, the share of each class, not {y.dtype}"
            )
        check_distributions(y)
        return loss, rows

    def _fit_to_source(self, source, y, weight):
        numbers, weight, classes = classes_of(source, y, weight)
        check_classification_targets(classes)
        loss, rows = self._loss_of(classes)
        if self.class_weight is not None:
            counts = np.bincount(numbers, minlength=len(classes))
            of_class = class_weights(self.class_weight, counts, classes)[numbers]
            weight = of_class if weight is None else of_class * weight
        return self._fit_source(source, numbers, weight, loss, rows)

    def _fit_on_workers(self, X, y, weight):
        classes = workers.labels_of(X, y)
        loss, _ = self._loss_of(classes)
        return workers.fit(self, X, y, weight, loss, classes, self.class_weight)

    def _loss_of(self, classes):
        """(the loss, rows of W) for these classes, which classes_ then holds."""
        if len(classes) < 2:
            found = ", ".join(map(repr, classes))
            raise ValueError(f"y holds one class only, {found}: there is nothing to tell apart")
        self.classes_ = classes
        return names.classification(self.loss, len(classes))

    @available_if(fitting.takes_parts)
    def partial_fit(self, X, y, classes=None, sample_weight=None):
        """One pass over these rows in batches of batch_size, as they stand, for solver "auto" and "sgd"; the rule's state is kept.

        classes: all labels there will be; needed in the first call. Returns self.
        """
        first, soft = not hasattr(self, "classes_"), _is_soft(y)
        X, y, weight = self._checked_rows(X, y, sample_weight, reset=first, soft=soft)
        if first:
            if classes is None:
                raise ValueError("classes must be passed on the first call to partial_fit.")
            self.classes_ = np.unique(np.asarray(classes))
        elif classes is not None and not np.array_equal(np.unique(np.asarray(classes)), self.classes_):
            raise ValueError(
                f"classes={classes!r:.60} is not the same as on the first call: {self.classes_!r:.60}"
            )
        if self.class_weight == "balanced":
            raise ValueError(
                'class_weight="balanced" needs all of y: pass the weights as a dict to partial_fit'
            )
        if soft:
            if self.class_weight is not None:
                raise ValueError("class_weight is for labels; y has shares of classes: pass sample_weight")
            return self._partial_fit(X, y, weight, *self._loss_of_shares(y))
        numbers = class_numbers(y, self.classes_)
        loss, rows = names.classification(self.loss, len(self.classes_))
        return self._partial_fit(X, numbers, self._weights(y, weight), loss, rows)

    def _weights(self, y, weight):
        """Weights of the rows, with those of their classes."""
        if self.class_weight is None:
            return weight
        of_class = compute_sample_weight(self.class_weight, y)
        return of_class if weight is None else of_class * weight

    @workers.by_blocks
    def decision_function(self, X):
        """Scores: (n,) of the second class for two, else (n, classes)."""
        scores = self._scores(X)
        return scores[:, 0] if scores.shape[1] == 1 else scores

    @workers.by_blocks
    def predict(self, X):
        """The label of each row, (n,)."""
        scores = self._scores(X)
        if scores.shape[1] == 1:
            return self.classes_[(scores[:, 0] > 0).astype(np.intp)]
        return self.classes_[scores.argmax(axis=1)]

    @available_if(_has_probabilities)
    @workers.by_blocks
    def predict_proba(self, X):
        """(n, classes): the probability of each class; rows sum to 1."""
        scores = self._scores(X)
        loss, rows = names.classification(self.loss, len(self.classes_))
        s = scores.T
        if len(s) == 1 and rows == 2:
            s = np.concatenate([-s / 2, s / 2])
        return np.asarray(loss.probabilities(s)).T

    def score(self, X, y=None, sample_weight=None):
        """The share of rows whose label is predicted; a source has labels and weights of its own.

        Soft labels count as the class with the largest share.
        """
        if is_source(X):
            y, sample_weight = sources.truth(X, y, sample_weight)
        if _is_soft(y):
            y = self.classes_[np.asarray(y).argmax(axis=1)]
        return super().score(X, y, sample_weight)

    @available_if(_has_probabilities)
    def predict_log_proba(self, X):
        """The logarithm of predict_proba."""
        return np.log(self.predict_proba(X))
