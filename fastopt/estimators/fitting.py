"""One fit of a linear model to checked rows: by a solver, or by epochs of a rule."""

import warnings
from typing import Any, NamedTuple

import numpy as np
from sklearn.exceptions import ConvergenceWarning

from fastopt import penalties, rules
from fastopt.objective import Objective
from fastopt.solvers import solve
from fastopt.training import train


class Task(NamedTuple):
    """What is fitted: X and y as the engines read them, classes: the rows of W, start: (W, b) or None."""

    loss: Any
    X: Any
    y: np.ndarray
    classes: int
    weight: np.ndarray | None
    start: tuple | None
    seed: int

    @property
    def scale(self):
        """uint8 numbers are taken as they are."""
        return 1.0 if self.X.dtype == np.uint8 else None


class Fitted(NamedTuple):
    """W (classes, features), b (classes,), iterations or epochs, and the history."""

    W: np.ndarray
    b: np.ndarray
    iterations: int
    history: dict


def fit(settings, task, watch):
    """Fitted, as the estimator `settings` asks for; watch: an estimators.progress.Watch."""
    return (_by_epochs if by_epochs(settings, task.loss) else _by_solver)(settings, task, watch)


def by_epochs(settings, loss):
    """Whether a rule does it: because it is asked for, or because the loss is for no solver."""
    if settings.solver != "auto":
        return settings.solver == "sgd"
    asked = settings.rule is not None or settings.schedule is not None
    return bool(asked or settings.early_stopping or settings.average)


def _by_solver(settings, task, watch):
    for name in ("rule", "schedule"):
        if getattr(settings, name) is not None:
            raise ValueError(f'{name} is for solver="sgd", not for solver={settings.solver!r}')
    for name in ("early_stopping", "average"):
        if getattr(settings, name):
            raise ValueError(f'{name} is for solver="sgd", not for solver={settings.solver!r}')
    objective = Objective(
        task.loss, task.X, task.y, penalty=penalty(settings), sample_weight=task.weight, classes=task.classes,
        fit_intercept=settings.fit_intercept, scale=task.scale, threads=settings.n_threads,
    )  # fmt: skip
    start = task.start if task.start is None or settings.fit_intercept else (task.start[0], None)
    W, b, report = solve(
        objective, settings.solver, start=start, tol=settings.tol, max_iter=settings.max_iter,
        standardize=settings.standardize, callback=watch.iteration,
    )  # fmt: skip
    if not report.converged:
        warnings.warn(str(report), ConvergenceWarning, stacklevel=5)
    b = np.zeros(task.classes, W.dtype) if b is None else b
    return Fitted(W, b, max(1, report.iterations), report.history)


def penalty(settings):
    """The penalty of l1 and l2."""
    return penalties.checked(penalties.combined(settings.l1, settings.l2))


def _by_epochs(settings, task, watch):
    found = train(
        task.X, task.y, task.loss, rule_for(settings, task), settings.schedule, settings.epochs,
        settings.batch_size, settings.l2, seed=task.seed, threads=settings.n_threads, scale=task.scale,
        classes=None if task.loss.one_row == "real" and task.classes == 1 else np.arange(max(2, task.classes)),
        sample_weight=task.weight, start=task.start,
        validation=settings.validation_fraction if settings.early_stopping else None,
        early_stopping=settings.n_iter_no_change if settings.early_stopping else None,
    )  # fmt: skip
    return Fitted(found.W, found.b, len(found.history["epoch"]), found.history)


def rule_for(settings, task):
    """The rule that is asked for, or one with a learning rate that the rows allow."""
    if settings.rule is not None:
        return rules.checked(settings.rule)
    return rules.Momentum(0.1)
