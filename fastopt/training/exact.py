"""A run by a solver instead of epochs of a rule."""

import time

import numpy as np

from fastopt.fit import Fit
from fastopt.objective import Objective
from fastopt.preparing import preparing, seconds_preparing
from fastopt.rows import check_all_finite, check_finite
from fastopt.solvers.solve import solve
from fastopt.training.resume import SolverFile, checked_path
from fastopt.training.settings import solver_identity

FOR_EPOCHS = (
    "schedule",
    "progress",
    "early_stopping",
    "average",
)  # arguments that solvers have no use for


def fit_exactly(examples, loss, penalty, solver, start, options, backend, threads, checkpoint=None):
    """A Fit whose `report` says how the solver ended; options: those of solvers.solve."""
    path = checked_path(checkpoint)
    rows = examples.rows if examples.chosen is None else examples.rows.take(examples.chosen)
    if rows.in_memory:
        check_finite(rows, slice(None))
    began, prepared = time.perf_counter(), seconds_preparing()
    with preparing():
        objective = Objective.of_rows(loss, rows, penalty, backend=backend, threads=threads)
    file = None
    if path is not None:
        file = SolverFile(path, solver_identity(examples, loss, penalty, solver, start, options), objective)
    W, b, report = solve(objective, solver, start=start, file=file, **options)
    waited = seconds_preparing() - prepared
    seconds = time.perf_counter() - began - waited
    if not np.isfinite(report.objective) and not rows.is_remote:
        check_all_finite(rows, None)  # of a source they have not been looked at
    fit = Fit(
        W, b, loss, scale=examples.rows.scale, classes=examples.classes, history=report.history,
        steps=report.iterations, interrupted=report.reason == "interrupted",
    )  # fmt: skip
    fit.report, fit.backend, fit.seconds, fit.seconds_preparing = report, report.backend, seconds, waited
    if examples.validation is not None:
        held_out = fit.evaluate_rows(*examples.validation)
        for name, value in zip(("loss_validation", "accuracy_validation"), held_out, strict=True):
            fit.history[name] = np.array([value])
    return fit


def refuse_for_solvers(given):
    """ValueError for what was passed beside a solver and would not be looked at."""
    unused = [name for name in FOR_EPOCHS if given[name] is not None]
    if unused:
        raise ValueError(f'{unused[0]} is for solver="sgd", which takes epochs: leave it out')


def refuse_for_epochs(given):
    """The same the other way round; given: {name: (value, what it is without)}."""
    for name, (value, default) in given.items():
        if value is not default:
            raise ValueError(
                f'{name} is for a solver: pass solver="auto" too (SGD takes a rule, epochs and l2)'
            )
