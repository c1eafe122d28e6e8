"""What the classifier and the regressor share."""

import numpy as np
from scipy import sparse
from sklearn.base import BaseEstimator
from sklearn.utils import check_random_state
from sklearn.utils.validation import _check_sample_weight, check_is_fitted, validate_data

from fastopt.estimators import features

ROWS = 8192  # rows scored at once, so that numbers that are narrower than float32 are never converted whole


class LinearModel(BaseEstimator):
    """Checking of arguments, scores, and coef_ as a sparse matrix."""

    def _checked_X(self, X, reset):
        return validate_data(
            self, X, reset=reset, accept_sparse="csr", accept_large_sparse=True, dtype="numeric",
            force_writeable=False,
        )  # fmt: skip

    def _checked_rows(self, X, y, sample_weight, reset=True):
        X, y = validate_data(
            self, X, y, reset=reset, accept_sparse="csr", accept_large_sparse=True, dtype="numeric",
            y_numeric=self._is_regression,
        )  # fmt: skip
        X = features.readable(X)
        if sample_weight is not None:
            sample_weight = _check_sample_weight(sample_weight, X, dtype=features.dtype_of(X))
        return X, y, sample_weight

    def _seed(self):
        return int(check_random_state(self.random_state).randint(1 << 31))

    def _start(self, rows):
        """(W, b) of the last fit where it fits and warm_start is on."""
        if not self.warm_start or not hasattr(self, "coef_"):
            return None
        coef = self.coef_.toarray() if sparse.issparse(self.coef_) else self.coef_
        if coef.shape[1] != self.n_features_in_ or (rows, len(coef)) not in ((2, 1), (len(coef),) * 2):
            return None
        b = np.broadcast_to(self.intercept_, len(coef))
        return (coef, b) if len(coef) == rows else (np.vstack([-coef, coef]) / 2, np.array([-b[0], b[0]]) / 2)

    def _keep(self, fitted):
        """coef_, intercept_, n_iter_ and history_; the difference of two classes' rows is one row."""
        W, b = fitted.W, fitted.b
        if len(W) == 2:
            W, b = W[1:] - W[:1], b[1:] - b[:1]
        if not (np.isfinite(W).all() and np.isfinite(b).all()):
            raise ValueError("the fit gave no finite coefficients: scale the features (standardize=True)")
        self.coef_, self.intercept_ = W, b
        self.n_iter_, self.history_ = fitted.iterations, fitted.history

    def _scores(self, X):
        """X coef_^T + intercept_, (n, rows of coef_)."""
        check_is_fitted(self)
        X = self._checked_X(X, reset=False)
        coef, b = (
            np.atleast_2d(self.coef_) if not sparse.issparse(self.coef_) else self.coef_,
            self.intercept_,
        )
        if X.dtype.kind == "f" and X.dtype.itemsize >= 4 or sparse.issparse(X):
            return _product(X, coef, b)
        out = np.empty((X.shape[0], coef.shape[0]), coef.dtype)
        for begin in range(0, len(out), ROWS):
            part = slice(begin, begin + ROWS)
            out[part] = _product(X[part].astype(coef.dtype), coef, b)
        return out

    def sparsify(self):
        """coef_ as a scipy CSR matrix; predictions work as before. For models with an l1."""
        check_is_fitted(self)
        self.coef_ = sparse.csr_matrix(self.coef_)
        return self

    def densify(self):
        """coef_ as an array again."""
        check_is_fitted(self)
        if sparse.issparse(self.coef_):
            self.coef_ = self.coef_.toarray()
        return self

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        return tags


def _product(X, coef, b):
    scores = X @ coef.T
    return (scores.toarray() if sparse.issparse(scores) else np.asarray(scores)) + b
