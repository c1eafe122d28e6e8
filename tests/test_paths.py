"""fo.path: the models of a grid of penalties, and which of them is chosen on which rows."""

import numpy as np
import pytest

import fastopt as fo
from fastopt.solvers import solve


@pytest.fixture
def noisy(rng):
    """Few rows, many features of no use: without a penalty a model learns the noise."""
    X = rng.normal(size=(160, 60))
    y = (X[:, :3] @ np.array([[1.0, -1, 0], [0, 1, -1], [1, 0, 1]]).T + rng.gumbel(size=(160, 3))).argmax(
        axis=1
    )
    return X, y


def test_each_model_is_the_optimum_of_its_penalty(noisy):
    X, y = noisy
    found = fo.path(X, y, vary="l1", count=8, validation=None)
    assert found.used[0] == 0 and (np.diff(found.values) < 0).all() and found.used[-1] > 50
    assert np.isnan(found.loss_validation).all()
    for value, fit in zip(found.values, found.fits, strict=True):
        assert fit.report.converged
        alone = solve(fo.Objective(fo.Softmax(), X, y, penalty=fo.L1(value)))
        assert fit.report.objective == pytest.approx(alone.report.objective, rel=1e-8)
    assert (np.diff(found.loss_train) < 0).all()


def test_validation_finds_a_factor_and_training_data_take_none(noisy):
    X, y = noisy
    found = fo.path(X, y, vary="l2", values=[0, 1e-4, 1e-3, 1e-2, 1e-1, 1.0], max_iter=200, tol=1e-4)
    assert found.values[found.best("train")] == 0
    assert 1e-3 <= found.values[found.best()] <= 1e-1
    assert found.fit is found.fits[found.best()]
    assert found.loss_validation[found.best()] < found.loss_validation[-1]
    assert str(found).count("\n") == 6


def test_what_is_refused(noisy):
    X, y = noisy
    for options, words in (
        ({"vary": "l3"}, "vary"),
        ({"vary": "l1", "l1": 0.1}, "l1 is what is varied"),
        ({"values": [-1.0]}, "values"),
    ):
        with pytest.raises(ValueError, match=words):
            fo.path(X, y, **options)
    with pytest.raises(ValueError, match="held out"):
        fo.path(X, y, values=[0.1], validation=None).best()
