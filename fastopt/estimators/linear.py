"""What the classifier and the regressor share."""

from typing import Any

import numpy as np
from scipy import sparse
from sklearn.base import BaseEstimator
from sklearn.utils import assert_all_finite, check_random_state
from sklearn.utils.validation import _check_sample_weight, check_is_fitted, validate_data

from fastopt.arrays import checked_whole
from fastopt.engines.scores import row_scores
from fastopt.estimators import features, fitting, sources
from fastopt.estimators.progress import CallbackSupportMixin, Watch
from fastopt.parts import is_source
from fastopt.rows import checked_matrix

ROWS = 8192  # rows scored at once, so that numbers that are narrower than float32 are never converted whole
PLAIN = 1 << 16  # numbers of an array that is looked at here instead


class LinearModel(CallbackSupportMixin, BaseEstimator):
    """Checking of arguments, the fit around fitting.fit, scores, and coef_ as a sparse matrix."""

    coef_: Any
    _run: Any

    def _checked_X(self, X):
        if self._is_plain(X):
            return X
        accept = {"accept_sparse": "csr", "accept_large_sparse": True}
        X = _finite(validate_data(self, X, reset=False, ensure_all_finite=_searched(X), **accept), self)
        if sparse.issparse(X):  # scipy's product reads wherever a damaged matrix leads
            checked_matrix(X)
        return X

    def _is_plain(self, X):
        """Whether X is a small array for this model in which scikit-learn's checks would find nothing."""
        return (
            type(X) is np.ndarray
            and X.shape[1:] == (self.n_features_in_,)
            and not hasattr(self, "feature_names_in_")
            and is_plain(X)
        )

    def _checked_rows(self, X, y, sample_weight, reset=True, soft=False):
        if is_source(X):
            raise TypeError("partial_fit takes rows in memory: fit takes a source, and reads it part by part")
        accept = {
            "accept_sparse": "csr",
            "accept_large_sparse": True,
            "y_numeric": self._is_regression,
            "multi_output": soft,
        }
        X, y = validate_data(self, X, y, reset=reset, ensure_all_finite=_searched(X), **accept)
        X = features.readable(_finite(X, self))
        return X, y, checked_weight(sample_weight, X)

    def _seed(self):
        return int(check_random_state(self.random_state).randint(1 << 31))

    def _fit(self, X, y, weight, loss, rows):
        """Fit `rows` rows of W to checked X and numbers y."""
        return self._fitted(fitting.Task(loss, X, y, rows, weight, self._start(rows), self._seed()))

    def _fit_source(self, source, y, weight, loss, rows):
        """The same to the rows of a source, y and weight in memory."""
        fitting.check(self)
        if self.early_stopping:
            raise ValueError(
                "early_stopping wants the rows in memory: of a source fo.train(source, validation=...) does it"
            )
        self.n_features_in_ = source.features
        self.__dict__.pop("feature_names_in_", None)
        task = sources.SourceTask(loss, source, y, rows, weight, None, self._seed())
        scale, start = task.scale or 1.0, self._start(rows)
        return self._fitted(task._replace(start=start and (start[0] / scale, start[1])), scale)

    def _fitted(self, task, scale=1.0):
        """scale: what makes W one for the features as they are."""
        self._run = None
        by_epochs = fitting.by_epochs(self)
        most = fitting.epochs_for(self, len(task.y)) if by_epochs else self.max_iter + 1
        watch = Watch(
            self, task.X, task.y, task.weight, lambda W, b: self._attributes(W * W.dtype.type(scale), b), most
        )
        found = fitting.fit(self, task, watch)
        self._keep(found.W * found.W.dtype.type(scale), found.b)
        self.n_iter_, self.history_, self.t_ = found.iterations, found.history, 1.0 + found.steps
        watch.end()
        return self

    def _partial_fit(self, X, y, weight, loss, rows):
        """One pass over these rows by the rule, from where the last one ended."""
        if self.standardize:
            raise ValueError("standardize=True needs all rows at once: scale them before partial_fit")
        fitting.check_partial(self)
        task = fitting.Task(loss, X, y, rows, weight, self._start(rows, always=True), 0)
        if getattr(self, "_run", None) is None:
            self._run, self.history_ = fitting.batches(self, task), {"loss_train": np.empty(0)}
        count = len(y)
        size = count if self.batch_size is None else checked_whole(self.batch_size, "batch_size", 1)
        mean = self._run.over(task.rows(), size)
        self._keep(*self._run.parameters)
        self.history_["loss_train"] = np.append(self.history_["loss_train"], mean)
        self.n_iter_, self.t_ = 1, 1.0 + self._run.optimizer.t
        return self

    def _start(self, rows, always=False):
        """(W, b) of the last fit where it fits and warm_start is on."""
        if not (self.warm_start or always) or not hasattr(self, "coef_"):
            return None
        coef = self.coef_.toarray() if sparse.issparse(self.coef_) else np.atleast_2d(self.coef_)
        b = np.broadcast_to(self.intercept_, len(coef))
        if coef.shape[1] != self.n_features_in_ or (rows != len(coef) and (rows, len(coef)) != (2, 1)):
            return None
        if rows == len(coef):
            return np.array(coef), np.array(b)
        return np.concatenate([-coef, coef]) / 2, np.concatenate([-b, b]) / 2

    def _attributes(self, W, b):
        """The fitted attributes; the difference of the rows of two classes is one row."""
        b = np.zeros(len(W), W.dtype) if b is None else b
        if len(W) == 2:
            W, b = W[1:] - W[:1], b[1:] - b[:1]
        return {"coef_": W, "intercept_": b}

    def _keep(self, W, b):
        found = self._attributes(W, b)
        if not all(np.isfinite(values).all() for values in found.values()):
            raise ValueError("the fit gave no finite coefficients: scale the features (standardize=True)")
        for name, values in found.items():
            setattr(self, name, values)

    def _scores(self, X):
        """X coef_^T + intercept_, (n, rows of coef_)."""
        if "coef_" not in vars(self):  # 20 us otherwise
            check_is_fitted(self)
        X = self._checked_X(X)
        if not sparse.issparse(X) and not sparse.issparse(self.coef_):
            coef = np.atleast_2d(self.coef_)
            return row_scores(X, coef, np.broadcast_to(self.intercept_, len(coef)), threads=self.n_threads)
        coef = self.coef_ if sparse.issparse(self.coef_) else np.atleast_2d(self.coef_)
        if sparse.issparse(X) or X.dtype in features.READ[:2]:
            return _product(X, coef) + self.intercept_
        out = np.empty((X.shape[0], coef.shape[0]), np.result_type(coef.dtype, np.float32))
        for begin in range(0, len(out), ROWS):
            part = slice(begin, begin + ROWS)
            out[part] = _product(X[part].astype(features.float_for(X.dtype)), coef) + self.intercept_
        return out

    def sparsify(self):
        """coef_ as a scipy CSR matrix; predictions work as before. For models with an l1."""
        check_is_fitted(self)
        self.coef_ = sparse.csr_matrix(
            np.atleast_2d(self.coef_) if not sparse.issparse(self.coef_) else self.coef_
        )
        return self

    def densify(self):
        """coef_ as an array again."""
        check_is_fitted(self)
        if sparse.issparse(self.coef_):
            coef = self.coef_.toarray()
            self.coef_ = coef[0] if self._is_regression else coef
        return self

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        return tags


def is_plain(X):
    """Whether X is a small array in which scikit-learn's checks, 0.2 ms for one row, would find nothing."""
    return (
        type(X) is np.ndarray
        and X.ndim == 2
        and 0 < X.size <= PLAIN
        and X.dtype in features.READ[:2]
        and bool(np.isfinite(X).all())
    )


def checked_weight(weight, X):
    if weight is None:
        return None
    return _check_sample_weight(weight, X, dtype=features.dtype_of(X), ensure_non_negative=True)


def _searched(X):
    """Whether scikit-learn shall search X for NaN: in float16 it makes masks of X's size, and `_finite` does it."""
    return getattr(X, "dtype", None) != np.float16


def _finite(X, estimator):
    """X; ValueError as scikit-learn words it for NaN and inf in float16."""
    if not sparse.issparse(X) and X.dtype == np.float16:
        for begin in range(0, len(X), features.SAMPLE):
            part = X[begin : begin + features.SAMPLE].astype(np.float32)
            assert_all_finite(part, estimator_name=type(estimator).__name__, input_name="X")
    return X


def _product(X, coef):
    scores = X @ coef.T
    return scores.toarray() if sparse.issparse(scores) else np.asarray(scores)
