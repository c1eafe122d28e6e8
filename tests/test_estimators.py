"""scikit-learn's interface: its own checks, and what it promises beyond them."""

import pytest

pytest.importorskip("sklearn", reason="scikit-learn is not installed")

from sklearn.utils.estimator_checks import parametrize_with_checks

import fastopt as fo


@parametrize_with_checks([fo.LinearClassifier(), fo.LinearRegressor()])
def test_scikit_learn_checks(estimator, check):
    check(estimator)
