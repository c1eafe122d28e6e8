"""A run's file: everything that it goes on from, checked against the run that wants to."""

import math
import os
import time
from pathlib import Path

import numpy as np

from fastopt import checkpoint
from fastopt.training.ending import NOTHING_YET, Best
from fastopt.training.history import NAMES


def save(path, identity, state, arrays, history, best):
    """Write a run. state: {"step", "epoch", "taken"}. arrays: parameters and slots."""
    meta = {"kind": "run", "settings": identity, **state}
    members = arrays | {f"history_{name}": values for name, values in history.arrays().items()}
    if best is not NOTHING_YET:
        meta["best"] = {"loss": best.loss, "epochs_since": best.epochs_since}
        members |= {"best_W": best.W, "best_b": best.b}
    checkpoint.write(path, meta, members)


def load(path, identity, arrays, history, epochs, steps_per_epoch):
    """(state, Best) of a run's file, its numbers put into the arrays and the history.

    ValueError where it is of another run, or holds anything that `save` would not have written; nothing
    has then changed.
    """
    meta, found = checkpoint.read(path, "run")
    _check_identity(path, meta.get("settings"), identity)
    try:
        state = _checked_state(meta, steps_per_epoch)
        history_arrays = _checked_history(found, state["epoch"])
        best = _checked_best(meta, found, arrays)
        _check_arrays(found, arrays)
    except (KeyError, TypeError, ValueError) as error:
        lacks = f"it has no {error}" if isinstance(error, KeyError) else str(error)
        raise ValueError(f"checkpoint {path} is damaged: {lacks}") from error
    if state["epoch"] > epochs:
        raise ValueError(
            f"checkpoint {path} has {state['epoch']} epochs, more than the {epochs} asked for: "
            f"pass epochs={state['epoch']} or more, or another file to start anew"
        )
    for name, array in arrays.items():
        array[...] = found[name]
    history.restore(history_arrays)
    return state, best


def _check_identity(path, theirs, mine):
    if not isinstance(theirs, dict) or not theirs:
        raise ValueError(f"checkpoint {path} is damaged: it has no settings")
    # What a checkpoint of an earlier version does not hold is not compared.
    differ = [f"{k}: {theirs[k]!r:.200}, now {v!r:.200}" for k, v in mine.items() if theirs.get(k, v) != v]
    if differ:
        raise ValueError(f"checkpoint {path} is of another run ({'; '.join(differ)})")


def _checked_state(meta, steps_per_epoch):
    state = {name: meta[name] for name in ("step", "epoch")}
    for name, value in state.items():
        if isinstance(value, bool) or not isinstance(value, int) or value < 0:
            raise ValueError(f"its {name} is {value!r:.60}")
    if state["step"] != state["epoch"] * steps_per_epoch:
        raise ValueError(f"it has {state['step']} steps in {state['epoch']} epochs of {steps_per_epoch}")
    return state


def _checked_history(found, epochs):
    history = {name: found[f"history_{name}"] for name in NAMES}
    for name, values in history.items():
        if values.shape != (epochs,) or (epochs and values.dtype.kind not in "if"):
            raise ValueError(f"its history of {name} is {values.dtype}{values.shape} after {epochs} epochs")
    return history


def _checked_best(meta, found, arrays):
    if "best" not in meta:
        return NOTHING_YET
    loss, since = meta["best"]["loss"], meta["best"]["epochs_since"]
    W, b = found["best_W"], found["best_b"]
    if (
        not isinstance(loss, float)
        or not math.isfinite(loss)
        or isinstance(since, bool)
        or not isinstance(since, int)
    ):
        raise ValueError(f"its best epoch is {meta['best']!r:.100}")
    _check_arrays({"W": W, "b": b}, {"W": arrays["W"], "b": arrays["b"]})
    return Best(loss, W, b, since)


def _check_arrays(found, arrays):
    for name, array in arrays.items():
        theirs = found[name]
        if theirs.shape != array.shape or theirs.dtype != array.dtype:
            raise ValueError(f"its {name} is {theirs.dtype}{theirs.shape}, not {array.dtype}{array.shape}")
        if not np.isfinite(theirs).all():
            raise ValueError(f"its {name} has NaN or inf")


def checked_path(path):
    if path is None:
        return None
    if not isinstance(path, (str, os.PathLike)) or not os.fspath(path):
        raise TypeError(f"checkpoint must be the path of a file, not {path!r:.60}")
    path = Path(path)
    if not path.parent.is_dir():
        raise FileNotFoundError(f"checkpoint {path}: there is no directory {path.parent}")
    if not os.access(path.parent, os.W_OK):
        raise PermissionError(f"checkpoint {path}: the directory {path.parent} cannot be written to")
    return path


class SolverFile:
    """The file of a run by a solver, which its State goes into; see fastopt.solvers.solve.

    identity: what another run must share to go on from it. Written where that takes less than a SHARE of the time.
    """

    SHARE = 1 / 20

    def __init__(self, path, identity, objective):
        self._path, self._identity = path, identity
        self._size = objective.classes * (objective.features + objective.fit_intercept)
        self._not_before = 0.0

    def load(self):
        """What was saved last, or None. ValueError where it is of another run or damaged."""
        if not self._path.exists():
            return None
        meta, found = checkpoint.read(self._path, "solver run")
        _check_identity(self._path, meta.get("settings"), self._identity)
        try:
            for name in ("x", "g", "best"):
                _check_arrays(found, {name: np.empty(self._size)})
            for name in ("s", "y", "made_of"):
                if len(found.get(name, ())) and found[name].shape[1:] != (self._size,):
                    raise ValueError(f"its {name} is {found[name].shape}, for {self._size} coefficients")
        except (KeyError, ValueError) as error:
            lacks = f"it has no {error}" if isinstance(error, KeyError) else str(error)
            raise ValueError(f"checkpoint {self._path} is damaged: {lacks}") from error
        return found

    def save(self, arrays, at_the_end):
        began = time.perf_counter()
        if began >= self._not_before or at_the_end:
            checkpoint.write(self._path, {"kind": "solver run", "settings": self._identity}, arrays)
            took = time.perf_counter() - began
            self._not_before = began + took / self.SHARE
