"""One fit of a linear model to checked rows: by a solver, or by epochs of a rule."""

import time
import warnings
from typing import Any, NamedTuple

import numpy as np
from sklearn.exceptions import ConvergenceWarning

from fastopt import penalties, rules
from fastopt.arrays import checked_whole
from fastopt.estimators import features
from fastopt.estimators.batches import Batches
from fastopt.fit import Fit
from fastopt.losses import Poisson
from fastopt.objective import Objective
from fastopt.parts import rows_of
from fastopt.rows import checked_rows
from fastopt.schedules import Cosine, for_run
from fastopt.solvers import solve
from fastopt.solvers.choose import is_smooth
from fastopt.solvers.dual import why_not
from fastopt.training import train
from fastopt.training.ending import NOTHING_YET
from fastopt.training.examples import hold_out

FEW = 1 << 20  # rows, of all epochs together, that a usual number of epochs above 20 takes at most
FOR_EPOCHS = ("rule", "schedule", "early_stopping", "average")


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
        return 1.0 if self.X.dtype == np.uint8 and features.is_read(self.X) else None

    @property
    def shape(self):
        """(rows, features)"""
        return self.X.shape

    @property
    def dtype(self):
        """That of the model."""
        return features.dtype_of(self.X)

    @property
    def zeros(self):
        return np.zeros((self.classes, self.shape[1]), self.dtype), np.zeros(self.classes, self.dtype)

    @property
    def unit_weight(self):
        """The weights, of mean 1."""
        weight = self.weight
        return weight / weight.mean() if weight is not None and weight.sum() > 0 else weight

    def rows(self):
        """As checked Rows, or what gives some of them, with weights of mean 1."""
        weight = self.unit_weight
        if not features.is_read(self.X):
            return rows_of(features.Blocks(self.X), self.loss, self.y, classes=self.classes, weight=weight)
        return checked_rows(self.loss, self.X, self.y, classes=self.classes, scale=self.scale, weight=weight)

    def given(self, batch=1):
        """X as fo.train and fo.Objective take it: blocks of what is not read as it is."""
        return self.X if features.is_read(self.X) else features.Blocks(self.X, batch=batch)

    def whole(self):
        """The same with X in memory as it is read."""
        return self._replace(X=features.whole(self.X))

    def mean_square(self):
        """The mean of |x|^2."""
        return features.mean_square(self.X)

    def standardized(self, fit_intercept):
        """(the Task of X with columns of mean 0 and deviation 1, the solvers' Scaling)"""
        X, scaling = features.standardized(self.X, self.weight, fit_intercept)
        return self._replace(X=X), scaling

    def epoch(self, run, rows, size, chosen, rng):
        """The mean loss of the chosen rows, taken once in an order drawn with rng by `run`, in batches of `size`."""
        return run.over(rows, size, chosen[rng.permutation(len(chosen))])


class Fitted(NamedTuple):
    """W (classes, features), b (classes,), iterations or epochs, updates, and the history."""

    W: np.ndarray
    b: np.ndarray
    iterations: int
    steps: int
    history: dict


def fit(settings, task, watch):
    """Fitted, as the estimator `settings` asks for; watch: an estimators.progress.Watch.

    A loss with kinks that has no dual (with an l1, or without an l2) is for no solver: a rule whose
    learning rate falls to 0 comes near its optimum.
    """
    check(settings)
    if _wants_all(settings, task.loss):
        task = task.whole()
    return (_by_rule if by_epochs(settings) else _by_solver)(settings, task, watch)


def _wants_all(settings, loss):
    """Whether X must be in memory as it is read: blocks are for passes in order, and for batches."""
    if not by_epochs(settings):
        return not (settings.solver in ("lbfgs", "newton") or settings.solver == "auto" and is_smooth(loss))
    own = settings.l1 or settings.average or not settings.fit_intercept
    return bool(settings.standardize or settings.early_stopping or settings.batch_size is None and not own)


def _by_rule(settings, task, watch):
    """Epochs of a rule, on standardized rows where that is asked for."""
    scaling = None
    if settings.standardize:
        task, scaling = task.standardized(settings.fit_intercept)
        task = task._replace(start=task.start and scaling.scaled(*task.start))
    own = settings.l1 or settings.average or not settings.fit_intercept
    found = (_by_batches if own else _by_epochs)(settings, task, watch)
    return (
        found
        if scaling is None
        else found._replace(**dict(zip("Wb", scaling.weights(found.W, found.b), strict=True)))
    )


def check(settings):
    """ValueError for arguments that contradict each other."""
    penalties.checked(penalties.ElasticNet(settings.l1, settings.l2))
    if not by_epochs(settings):
        for name in FOR_EPOCHS:
            if getattr(settings, name) not in (None, False):
                raise ValueError(
                    f'{name} is for solver="sgd" (or "auto"), not for solver={settings.solver!r}'
                )


def check_partial(settings):
    """ValueError where partial_fit cannot do what the arguments say."""
    penalties.checked(penalties.ElasticNet(settings.l1, settings.l2))
    if settings.early_stopping:
        raise ValueError("early_stopping is for fit: partial_fit is told when to stop by who calls it")


def takes_parts(settings):
    """Whether there is a partial_fit, for scikit-learn's available_if."""
    if settings.solver not in ("auto", "sgd"):
        raise AttributeError(
            f'partial_fit takes steps of a rule: solver must be "auto" or "sgd", not {settings.solver!r}'
        )
    return True


def by_epochs(settings):
    """Whether a rule does it: solver="sgd", or "auto" with what only a rule has."""
    if settings.solver != "auto":
        return settings.solver == "sgd"
    return any(getattr(settings, name) not in (None, False) for name in FOR_EPOCHS)


def _by_solver(settings, task, watch):
    objective = Objective(
        task.loss, task.given(), task.y, penalty=penalties.combined(settings.l1, settings.l2), scale=task.scale,
        sample_weight=task.weight, classes=task.classes, fit_intercept=settings.fit_intercept,
        threads=settings.n_threads,
    )  # fmt: skip
    if settings.solver == "auto" and not is_smooth(task.loss) and why_not(objective):
        return _by_rule(settings, task, watch)
    start = task.start if task.start is None or settings.fit_intercept else (task.start[0], None)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", ".*NOT converged")
        W, b, report = solve(
            objective, settings.solver, start=start, tol=settings.tol, max_iter=settings.max_iter,
            standardize=settings.standardize, watch=watch.iteration,
        )  # fmt: skip
    if not report.converged and report.reason != "watch":
        warnings.warn(str(report), ConvergenceWarning, stacklevel=4)
    b = np.zeros(task.classes, W.dtype) if b is None else b
    return Fitted(W, b, max(1, report.iterations), report.iterations, report.history)


def _by_epochs(settings, task, watch):
    real = task.loss.one_row == "real" and task.classes == 1
    found = train(
        task.given(settings.batch_size or 1), task.y, task.loss, rule_for(settings, task), schedule_for(settings), epochs_for(settings, len(task.y)),
        settings.batch_size, settings.l2, seed=task.seed, threads=settings.n_threads, scale=task.scale,
        classes=None if real else np.arange(max(2, task.classes)), sample_weight=task.weight,
        start=task.start, watch=watch.iteration,
        validation=settings.validation_fraction if settings.early_stopping else None,
        early_stopping=settings.n_iter_no_change if settings.early_stopping else None,
    )  # fmt: skip
    return Fitted(found.W, found.b, len(found.history["epoch"]), found.steps, found.history)


def epochs_for(settings, n):
    """The epochs of n rows that are asked for; else 20, and of few rows so many that they are 1,000 updates."""
    if settings.epochs is not None:
        return checked_whole(settings.epochs, "epochs", 1)
    size = n if settings.batch_size is None else checked_whole(settings.batch_size, "batch_size", 1)
    updates = max(1, -(-n // max(1, size)))  # of an epoch
    return max(20, min(-(-1000 // updates), FEW // max(1, n)))


def batches(settings, task, schedule=None):
    """Batches that start where the task says; schedule: in the place of the settings'."""
    start = task.zeros if task.start is None else [np.array(a, task.dtype) for a in task.start]
    return Batches(
        task.loss, rule_for(settings, task), start, l1=settings.l1, l2=settings.l2, average=settings.average,
        fit_intercept=settings.fit_intercept, schedule=settings.schedule if schedule is None else schedule, threads=settings.n_threads,
    )  # fmt: skip


def _by_batches(settings, task, watch):
    rows, history, best = task.rows(), {}, NOTHING_YET
    share = settings.validation_fraction if settings.early_stopping else None
    patience = checked_whole(settings.n_iter_no_change, "n_iter_no_change", 1)
    chosen, held = hold_out(rows, share, task.seed)
    chosen = np.arange(rows.n) if chosen is None else chosen
    size = len(chosen) if settings.batch_size is None else checked_whole(settings.batch_size, "batch_size", 1)
    epochs = epochs_for(settings, len(chosen))
    run = batches(settings, task, _of_length(schedule_for(settings), epochs * -(-len(chosen) // size)))
    for epoch in range(epochs):
        began = time.perf_counter()
        rng = np.random.default_rng([task.seed, epoch])
        entry = {"epoch": epoch + 1, "loss_train": task.epoch(run, rows, size, chosen, rng)}
        if held is not None:
            W, b = run.parameters
            loss, accuracy = Fit(W, b, task.loss, scale=rows.scale).evaluate_rows(rows, held)
            entry |= {"loss_validation": loss, "accuracy_validation": accuracy}
            best = best.after(loss, W, b)
        entry["seconds"] = time.perf_counter() - began
        for name, value in entry.items():
            history.setdefault(name, []).append(value)
        if (
            watch.iteration(entry, lambda: run.parameters)
            or held is not None
            and best.epochs_since >= patience
        ):
            break
    arrays = {name: np.array(values) for name, values in history.items()}
    W, b = run.parameters if best is NOTHING_YET else (best.W, best.b)
    return Fitted(W, b, len(arrays["epoch"]), run.optimizer.t, arrays)


# The largest second derivative of a loss by a score; of one with a kink, what does.
_BEND = {"Logistic": 0.25, "Softmax": 0.5, "SquaredHinge": 2.0, "ModifiedHuber": 2.0, "MulticlassHinge": 2.0}


def rule_for(settings, task):
    """The rule that is asked for; else Momentum with an lr of 1 / (k * bend * mean |x|^2), at most 1.

    A batch's curvature is at most bend * mean |x|^2, and Momentum of 0.9 is stable up to 3.8 times its reciprocal:
    k = 2. Of batches of B rows that differ, up to some B / 5 of it: k = 10 / B. (Ten epochs of 16 rows with k = 2
    instead of 10: digits 0.884 instead of 0.867, letter 0.709 instead of 0.679, a9a the same.) Rows with weights of mean 1
    count as one over their mean square (Kish 1965): a batch may hold the heavy ones only.
    """
    if settings.rule is not None:
        return settings.rule if isinstance(settings.rule, rules.SAM) else rules.checked(settings.rule)
    bend = _BEND.get(type(task.loss).__name__, 1.0)
    if isinstance(task.loss, Poisson):  # that at a score is its mean, near y
        bend = max(bend, float(np.max(task.y, initial=0)))
    weight = task.unit_weight
    spread = 1.0 if weight is None else max(1.0, float(np.mean(np.square(weight, dtype=np.float64))))
    k = max(2.0, 10 * spread / (settings.batch_size or task.shape[0]))
    return rules.Momentum(min(1.0, 1 / (k * bend * (1 + task.mean_square()))))


def schedule_for(settings):
    """The schedule that is asked for; without rule and schedule the learning rate falls to 0 by a cosine."""
    if settings.schedule is None and settings.rule is None and not settings.average:
        return Cosine()
    return settings.schedule


def _of_length(schedule, steps):
    if isinstance(schedule, dict):
        return {name: for_run(s, steps) for name, s in schedule.items()}
    return None if schedule is None else for_run(schedule, steps)
