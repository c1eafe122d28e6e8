"""scikit-learn's own checks, of every loss with every solver that takes it, and what weights of rows mean."""

import numpy as np
import pytest

pytest.importorskip("sklearn", reason="scikit-learn is not installed")

from sklearn.datasets import load_iris
from sklearn.utils.estimator_checks import estimator_checks_generator

import fastopt as fo
from fastopt.estimators import names

KINKS = ("hinge", "multiclass_hinge", "crammer_singer", "epsilon_insensitive", "quantile")
WEIGHTS = ("check_sample_weight_equivalence_on_dense_data", "check_sample_weight_equivalence_on_sparse_data")
# Why a fit is not held to rows of weight 2 being rows that stand there twice, to seven digits.
ORDER = (
    "rows are taken in a drawn order, batch by batch: one more row is another order (so with SGDClassifier)"
)
TOL = "it ends within tol of the optimum, from another side each time"


def solvers_of(loss):
    if loss in KINKS:
        return ["auto", "sgd", "dual"]
    return ["auto", "sgd", "newton", "lbfgs"] + ["dual"] * loss.endswith("squared_hinge")


def not_held_to(loss, solver):
    """{check: the reason}"""
    if solver == "sgd":
        return dict.fromkeys(WEIGHTS, ORDER)
    if solver == "lbfgs" or solver == "dual" and loss not in KINKS:
        return dict.fromkeys(WEIGHTS, TOL)
    return {}


def cases():
    for kind, losses in (
        (fo.LinearClassifier, names.CLASSIFICATION),
        (fo.LinearRegressor, names.REGRESSION),
    ):
        for loss in losses:
            for solver in solvers_of(loss):
                usual = solver == "auto" and loss in ("softmax", "hinge", "squared_error")
                for estimator, check in estimator_checks_generator(kind(loss, solver=solver)):
                    name = check.func.__name__
                    if name not in not_held_to(loss, solver):
                        yield pytest.param(
                            estimator, check, id=f"{kind.__name__}-{loss}-{solver}-{name}",
                            marks=() if usual else pytest.mark.long,
                        )  # fmt: skip


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(("estimator", "check"), list(cases()))
def test_scikit_learn_checks(estimator, check):
    check(estimator)


@pytest.mark.parametrize("loss", ["softmax", "hinge", "squared_hinge"])
def test_weights_are_repetitions_where_a_batch_is_all_rows(loss):
    X, y = load_iris(return_X_y=True)
    weight = np.random.default_rng(0).integers(0, 3, len(y))
    repeated = np.repeat(np.arange(len(y)), weight)
    model = fo.LinearClassifier(loss, rule=fo.Adam(0.05), batch_size=None, epochs=100)
    weighted = model.fit(X, y, sample_weight=weight).decision_function(X)
    np.testing.assert_allclose(weighted, model.fit(X[repeated], y[repeated]).decision_function(X), rtol=1e-7)


@pytest.mark.parametrize("dtype", ["float32", "float64", "uint8", "int8", "float16", "Fortran"])
@pytest.mark.parametrize("classes", [2, 3, 10])
def test_scores_of_a_row_do_not_depend_on_the_other_rows(dtype, classes):
    rng = np.random.default_rng(classes)
    X = rng.integers(0, 100, (3000, 37))
    X = np.asfortranarray(X, np.float32) if dtype == "Fortran" else X.astype(dtype)
    model = fo.LinearClassifier("hinge", l2=1e-2, solver="sgd", epochs=1)
    model.fit(X, rng.integers(0, classes, len(X)))
    whole, labels = model.decision_function(X), model.predict(X)
    fit = fo.Fit(np.atleast_2d(model.coef_), model.intercept_, fo.Hinge(), scale=1.0)
    oracle = X.astype(np.float64) @ np.atleast_2d(model.coef_).T.astype(np.float64) + model.intercept_
    np.testing.assert_allclose(
        whole.reshape(oracle.shape), oracle, rtol=1e-4, atol=1e-4 * np.abs(oracle).max()
    )
    for _ in range(20):
        some = rng.integers(0, len(X), rng.integers(1, 70))
        assert (model.decision_function(X[some]) == whole[some]).all()
        assert (model.predict(X[some]) == labels[some]).all()
        if dtype in ("float32", "float64", "uint8"):
            assert (fit.scores(X[some]).reshape(whole[some].shape) == whole[some]).all()
