"""fo.path: a model for each of many penalties, each from where the one before ended."""

from typing import Any, NamedTuple

import numpy as np

from fastopt import penalties
from fastopt.arrays import checked_number, checked_whole
from fastopt.fit import Fit
from fastopt.losses import Softmax
from fastopt.objective import Objective
from fastopt.rows import check_finite
from fastopt.solvers import solve
from fastopt.training.examples import checked_examples

SPAN, HUGE = 1e-4, 1e30  # the smallest factor of a grid, in the largest; an l1 that leaves no weight


class Path(NamedTuple):
    """Models by the factor of their penalty, the largest first.

    vary: "l1" or "l2". values: the factors. fits: a fo.Fit each, with its `report`. loss_train, loss_validation:
    mean loss without penalty; accuracy_validation: NaN in regression; validation's are NaN without held-out rows.
    used: weights that are not 0.
    """

    vary: str
    values: np.ndarray
    fits: list
    loss_train: np.ndarray
    loss_validation: np.ndarray
    accuracy_validation: np.ndarray
    used: np.ndarray

    def best(self, on="validation"):
        """The number of the model with the lowest mean loss on "validation" or "train" rows."""
        if on not in ("validation", "train"):
            raise ValueError(f'on must be "validation" or "train", not {on!r}')
        losses = self.loss_validation if on == "validation" else self.loss_train
        if np.isnan(losses).all():
            raise ValueError('no rows were held out: pass validation to fo.path, or on="train"')
        return int(np.nanargmin(losses))

    @property
    def fit(self):
        """The model that is best on the rows held out."""
        return self.fits[self.best()]

    def __str__(self):
        head = f"{self.vary:>10}  loss_train  loss_validation  accuracy  weights used"
        rows = zip(
            self.values,
            self.loss_train,
            self.loss_validation,
            self.accuracy_validation,
            self.used,
            strict=True,
        )
        lines = [f"{v:10.3g}  {a:10.6f}  {b:15.6f}  {c:8.4f}  {k:12d}" for v, a, b, c, k in rows]
        return "\n".join([head, *lines])


def path(
    X, y, loss: Any = Softmax(), *, vary=None, values=None, count=20, l1=0.0, l2=0.0, validation=0.2, seed=0,
    sample_weight=None, class_weight=None, scale=None, classes=None, solver="auto", tol=None, max_iter=1000,
    standardize=False, fit_intercept=True, backend="auto", threads=None,
):  # fmt: skip
    """A model for each l1 or l2 of a grid, from the largest on, each started where the one before ended: a Path.

    vary: "l1" or "l2" ("l2" without); the other stays what it is given as. values: the factors, 0 among them
        if wanted; without, `count` of them: from the l1 that leaves no weight, or an l2 of 1, down to 1e-4 of
        that, for l2 with 0 at the end. validation: (X, y), or a share of the rows held out, drawn with seed,
        or None. solver, tol, max_iter, standardize: as in fastopt.solvers.solve; the rest as in fo.train.

    Chosen on the rows trained on, the best factor is always the smallest; so choose on the rows held out, which
    `fit` of the result does. Source of the grid: Friedman, Hastie & Tibshirani 2010, 2.5.
    """
    vary = "l2" if vary is None else vary
    if vary not in ("l1", "l2"):
        raise ValueError(f'vary must be "l1" or "l2", not {vary!r}')
    fixed = {"l1": checked_number(l1, "l1"), "l2": checked_number(l2, "l2")}
    if fixed[vary]:
        raise ValueError(f"{vary} is what is varied: pass values=[...] instead of {vary}")
    examples = checked_examples(
        loss, X, y, seed, scale=scale, classes=classes, validation=validation, sample_weight=sample_weight,
        class_weight=class_weight,
    )  # fmt: skip
    rows = examples.rows if examples.chosen is None else examples.rows.take(examples.chosen)
    check_finite(rows, slice(None))

    def objective(factor):
        penalty = penalties.checked(penalties.combined(**{**fixed, vary: factor}))
        return Objective.of_rows(
            loss, rows, penalty, fit_intercept=fit_intercept, backend=backend, threads=threads
        )

    if values is None:
        values = _grid(objective, vary, checked_whole(count, "count", 1), standardize)
    values = np.sort(np.asarray([_factor(value) for value in values]))[::-1]
    options = {"tol": tol, "max_iter": max_iter, "standardize": standardize}
    found = _models(objective, values, solver, options, examples)
    return Path(vary, values, *found)


def _factor(value):
    number = checked_number(value, "values")
    if not 0 <= number < np.inf:
        raise ValueError(f"values must be numbers, at least 0, not {value!r}")
    return number


def _models(objective, values, solver, options, examples):
    fits, numbers, start = [], [], None
    for value in values:
        of = objective(float(value))
        W, b, report = solve(of, solver, start=start, **options)
        start = (W, b)
        bias = np.zeros(len(W), W.dtype) if b is None else b
        fit = Fit(W, bias, of.loss, scale=examples.rows.scale, classes=examples.classes, history=report.history,
                  steps=report.iterations, interrupted=report.reason == "interrupted")  # fmt: skip
        fit.report = report
        held_out = (
            (np.nan, np.nan) if examples.validation is None else fit.evaluate_rows(*examples.validation)
        )
        fits.append(fit)
        numbers.append((report.objective - of.penalty.value(W), *held_out, np.count_nonzero(W)))
        if fit.interrupted:
            break
    train, validation, accuracy, used = (np.array(column) for column in zip(*numbers, strict=True))
    return fits, train, validation, accuracy, used


def _grid(objective, vary, count, standardize):
    """Factors from the largest that is of use down; objective: a function of the factor."""
    if vary == "l2":
        return [*np.geomspace(1.0, SPAN, max(1, count - 1)), 0.0][:count]
    W, b, _ = solve(objective(HUGE), "auto")  # no weight, and the best b
    dW = objective(0.0).value_and_grad(W, b)[1] if b is not None else objective(0.0).value_and_grad(W)[1]
    largest = float(np.abs(dW / _scales(objective(0.0)) if standardize else dW).max()) or 1.0
    largest *= 1 + 1e-8  # b, of which it is made, is exact to 1e-9
    return np.geomspace(largest, SPAN * largest, count)


def _scales(objective):
    from fastopt.solvers.scaling import column_scaling

    return column_scaling(objective.rows, objective.fit_intercept).scale
