"""What a training run is asked to do, and the description that tells one run from another."""

import functools
import hashlib
import math
import os
import types
from typing import Any, NamedTuple

import numpy as np

from fastopt import losses, rules
from fastopt.arrays import checked_l2, checked_number, checked_whole
from fastopt.engines import choose
from fastopt.fingerprint import digest
from fastopt.losses import LOSSES
from fastopt.penalties import PENALTIES
from fastopt.rules import FURTHER, RULES, SAM
from fastopt.schedules import SCHEDULES, checked_schedules, for_run
from fastopt.stepping import ascent
from fastopt.threads import checked_threads
from fastopt.training.wide import is_wide

SAMPLING = ("shuffle", "replacement", "sequential")
PATIENCE = 5  # epochs; of early_stopping=True


class Settings(NamedTuple):
    """batch: rows a step. patience: epochs without a better validation loss that end the run, or None.

    average: its decay a step, 1 for a plain mean, or None; average_from: the epoch in which it begins, from 0.
    """

    loss: Any
    rule: Any
    schedules: dict
    epochs: int
    batch: int
    steps_per_epoch: int
    l2: float
    sampling: str
    seed: int
    backend: str
    threads: int
    patience: int | None
    average: float | None
    average_from: int = 0

    @property
    def base_rule(self):
        """The rule that takes the step: of SAM its base."""
        return self.rule.base if isinstance(self.rule, SAM) else self.rule


def checked_settings(
    rows, loss, rule, schedule, epochs, batch_size, l2, sampling, seed, backend, threads, *, early_stopping, average, has_validation
):  # fmt: skip
    """Settings of a run over rows, or TypeError/ValueError naming the argument that does not fit."""
    rule, base = _checked_rule(rule)
    epochs, n = checked_whole(epochs, "epochs", 0), rows.n
    if sampling not in SAMPLING:
        raise ValueError(f'sampling must be "shuffle", "replacement" or "sequential", not {sampling!r}')
    batch = n if batch_size is None else min(n, checked_whole(batch_size, "batch_size", 1))
    at_once = sum(count > 0 for count in rows.part_counts) if rows.is_remote else 1
    steps = -(-n // (batch * at_once))
    schedule = schedule if isinstance(schedule, dict) or schedule is None else {"lr": schedule}
    schedules = {k: for_run(s, max(1, steps * epochs)) for k, s in (schedule or {}).items()}
    return Settings(
        loss=losses.checked(loss),
        rule=rule,
        schedules=checked_schedules(schedules, base),
        epochs=epochs,
        batch=batch,
        steps_per_epoch=steps,
        l2=checked_l2(l2),
        sampling=sampling,
        seed=checked_whole(seed, "seed", 0),
        backend=_backend(backend, rule, base, rows.formula(loss)),
        threads=checked_threads(threads),
        patience=_patience(early_stopping, has_validation),
        average=_average(average, base),
        average_from=epochs // 2 if isinstance(average, str) else 0,
    )


def _backend(name, rule, base, formula):
    """Wide rules are stepped from Python: with a gradient in C there is nothing to go over to."""
    found = choose.of_run(name, formula, base)
    return "c" if found == "handover" and is_wide(rule) else found


def _checked_rule(rule):
    """(the rule, the one that takes the step)"""
    if not isinstance(rule, SAM):
        rule = rules.checked(rule)
        return rule, rule
    base = rules.checked(rule.base)
    return ascent.checked(rule._replace(base=base)), base


def _average(average, rule):
    if average is None or average is False:
        return None
    if hasattr(rule, "averaged"):
        raise ValueError(f"average: {type(rule).__name__} keeps an average of its own; leave average out")
    if average is True or (isinstance(average, str) and average == "tail"):
        return 1.0
    wanted = 'True, "tail", or a decay between 0 and 1'
    decay = checked_number(average, "average", wanted)
    if not 0 < decay < 1:
        raise ValueError(f"average must be {wanted}, not {average!r}")
    return decay


def _patience(early_stopping, has_validation):
    if early_stopping is None or early_stopping is False:
        return None
    if not has_validation:
        raise ValueError(
            "early_stopping watches rows that are held out: pass validation=0.1, or a pair (X, y)"
        )
    return PATIENCE if early_stopping is True else checked_whole(early_stopping, "early_stopping", 1)


def identity(settings, examples, start):
    """What two runs must share so that one can go on where the other stopped: plain values by their names."""
    rows = examples.rows
    return {
        **_of_formula("rule", settings.rule, RULES),
        **_of_formula("loss", settings.loss, LOSSES),
        "schedule": {name: _of_schedule(s) for name, s in settings.schedules.items()},
        "batch_size": settings.batch,
        "l2": settings.l2,
        "sampling": settings.sampling,
        "seed": settings.seed,
        "scale": float(rows.scale),
        "rows": rows.n,
        "shape": [rows.classes, rows.features],
        "dtype": rows.dtype.name,
        "early_stopping": settings.patience,
        "average": settings.average,
        "average_from": settings.average_from,
        "digest of X, y and weights": _digest(rows, examples.chosen),
        "digest of validation": _digest_of_validation(examples),
        "digest of start": _digest_of_arrays(start),
    }


def solver_identity(examples, loss, penalty, solver, start, options):
    """The same of two runs by a solver; when they stop is left to each."""
    rows = examples.rows
    return {
        **_of_formula("loss", loss, LOSSES),
        "penalty": [float(penalty.l1), float(penalty.l2)],
        "solver": solver,
        **{name: plain(options[name]) for name in ("tol", "standardize", "bounds")},
        "scale": float(rows.scale),
        "rows": rows.n,
        "rows of partitions": list(rows.counts) if rows.is_remote else None,
        "shape": [rows.classes, rows.features],
        "dtype": rows.dtype.name,
        "digest of X, y and weights": _digest(rows, examples.chosen),
        "weight": float(rows.weight_sum),
        "digest of start": _digest_of_arrays(start),
    }


def _of_formula(what, formula, built_in):
    """Name, numbers and, of a user's own, a digest of the code: an edited formula is another one."""
    own = {} if type(formula) in built_in else {f"formula of the {what}": digest(type(formula))}
    hyper = "hyperparameters" if what == "rule" else "loss_hyperparameters"
    fields = {
        k: _of_formula("rule", v, built_in) if hasattr(v, "_asdict") else plain(v)
        for k, v in formula._asdict().items()
    }
    return {what: type(formula).__name__, hyper: fields, **own}


def _of_schedule(schedule):
    """A schedule by its kind and numbers, a function by its code: the same in every process."""
    if isinstance(schedule, types.FunctionType):
        return f"{schedule.__qualname__} {digest(schedule)}"
    if isinstance(schedule, functools.partial):
        values = [*schedule.args, *sorted(schedule.keywords.items())]
        return [_of_schedule(schedule.func), *map(plain, values)]
    own = [] if type(schedule) in SCHEDULES else [digest(type(schedule))]
    fields = schedule._asdict() if hasattr(schedule, "_asdict") else getattr(schedule, "__dict__", {})
    return [type(schedule).__name__, *own, {k: plain(v) for k, v in fields.items()}]


def plain(value):
    """As JSON gives it back, so that what was read can be compared with what is."""
    if isinstance(value, (bool, np.bool_)):
        return bool(value)
    if isinstance(value, (int, float, np.integer, np.floating)):
        number = float(value)
        return number if math.isfinite(number) else str(number)  # JSON has no inf
    if isinstance(value, (str, type(None))):
        return value
    if isinstance(value, np.ndarray):
        return _digest_of_arrays([value])
    if isinstance(value, (tuple, list)) and not hasattr(value, "_asdict"):
        return [plain(v) for v in value]
    if isinstance(value, dict):
        return {str(k): plain(v) for k, v in value.items()}
    return _of_schedule(value) if callable(value) else f"{type(value).__name__}: not compared"


def described(value):
    """An option of fo.train, as `plain`: a formula by its numbers and, of a user's own, its code; a Fit by its arrays."""
    if hasattr(value, "_asdict") and not callable(value):
        return _of_formula("formula", value, RULES + FURTHER + LOSSES + PENALTIES)
    if hasattr(value, "W") and hasattr(value, "b"):
        return plain([value.W, value.b])
    if isinstance(value, (tuple, list)) and not hasattr(value, "_asdict"):
        return [described(v) for v in value]
    if isinstance(value, dict):
        return {str(k): described(v) for k, v in value.items()}
    return str(value) if isinstance(value, os.PathLike) else plain(value)


def digest_of_data(examples):
    return [_digest(examples.rows, examples.chosen), _digest_of_validation(examples)]


def _digest(rows, chosen):
    """Of all of X, y and the weights, and of which rows are trained on."""
    if not rows.in_memory:  # X is not read for it
        return _digest_of_arrays(rows.arrays())
    arrays = [rows.y, *(rows.sparse or (rows.X,)), rows.weight, chosen]
    return _digest_of_arrays([a for a in arrays if a is not None])


def _digest_of_validation(examples):
    if (
        examples.validation is None
        or not examples.rows.is_remote
        and examples.validation[0].y is examples.rows.y
    ):
        return ""
    return _digest(examples.validation[0], None)


def _digest_of_arrays(arrays):
    found = hashlib.blake2b(digest_size=16)
    for array in arrays or ():
        found.update(f"{array.dtype.str}{array.shape}".encode())
        found.update(np.ascontiguousarray(array).data)
    return found.hexdigest() if arrays else ""
