"""Where a run starts: zeros, given W and b, or a file with the state of the rule as well."""

import os
from typing import Any, NamedTuple

import numpy as np

from fastopt import checkpoint
from fastopt.fit import Fit
from fastopt.stepping import described, files


class Start(NamedTuple):
    """W and b of the model's shape and dtype; slots: {name: (of W, of b)} of the rule, after t steps of it."""

    W: np.ndarray
    b: np.ndarray
    slots: dict[str, tuple[np.ndarray, np.ndarray]]
    t: int = 0

    def arrays(self):
        """All that a run that goes on must share."""
        taken = [np.array(self.t)] if self.slots else []
        return [self.W, self.b, *(a for both in self.slots.values() for a in both), *taken]


def checked_start(start, rows, rule=None):
    """The Start that `start` is: None, (W, b), a Fit, or the path of a file of Optimizer.save or of a run.

    rule: the one that takes the steps, whose state is taken over; None for a solver, which has none.
    """
    if start is None:
        return None
    if isinstance(start, (str, os.PathLike)):
        pair, slots, t = _of_file(start, rows, rule)
    else:
        pair, slots, t = (start.W, start.b) if isinstance(start, Fit) else start, {}, 0
    if not isinstance(pair, (tuple, list)) or len(pair) != 2:
        raise TypeError(f"start must be (W, b), a Fit or the path of a file, not {type(start).__name__}")
    shapes, arrays = ((rows.classes, rows.features), (rows.classes,)), []
    for name, value, shape in zip("Wb", pair, shapes, strict=True):
        array = np.zeros(shape) if name == "b" and value is None else np.asarray(value)
        if array.shape != shape or array.dtype.kind not in "iuf":
            raise ValueError(
                f"start: {name} must be numbers of shape {shape}, not {array.dtype}{array.shape}"
            )
        array = array.astype(rows.dtype)
        if not np.isfinite(array).all():
            raise ValueError(f"start: {name} has NaN or inf")
        arrays.append(array)
    W, b = arrays
    cast = {name: (of_W.astype(rows.dtype), of_b.astype(rows.dtype)) for name, (of_W, of_b) in slots.items()}
    return Start(W, b, cast, t)


class _Saved(NamedTuple):
    """What a file says. rule: the name of its class; where: "params" of the two arrays and their slots."""

    rule: str
    params: tuple
    slots: tuple[dict[str, np.ndarray], ...]
    t: tuple[int, ...]


def _of_file(path, rows, rule):
    """((W, b), slots, steps taken) of either kind of file."""
    with checkpoint.open_file(path) as file:
        is_run = file.read(2) == b"PK"
    found = _of_run(path) if is_run else _of_optimizer(path, rows, rule)
    if rule is None:
        return found.params, {}, 0
    mine = type(rule).__name__
    if found.rule != mine:
        raise ValueError(
            f"start: {path} was saved by {found.rule}, whose state is not {mine}'s: pass rule={found.rule}(...), or "
            "W and b alone, start=(W, b)"
        )
    for slots in found.slots:
        if set(slots) != set(rule.slots) or any(a.dtype.kind != "f" for a in slots.values()):
            raise ValueError(
                f"start: {path} keeps its state in another form ({', '.join(slots)}): pass W and b alone, start=(W, b)"
            )
    of_W, of_b = found.slots
    if len(set(found.t)) > 1:
        raise ValueError(f"start: in {path} W and b have taken {found.t[0]} and {found.t[1]} steps: a run counts them "
                         "together; pass W and b alone, start=(W, b)")  # fmt: skip
    return found.params, {name: (of_W[name], of_b[name]) for name in rule.slots}, found.t[0]


def _of_run(path):
    meta, found = checkpoint.read(path, "run")
    settings = meta["settings"]
    if settings["rule"] == "SAM":
        settings = settings["hyperparameters"]["base"]
    slots = tuple({n[2:]: a for n, a in found.items() if n.startswith(f"{of}_")} for of in "Wb")
    return _Saved(
        settings["rule"], (found["W"], found["b"]), slots, (meta["step"] + meta.get("taken", 0),) * 2
    )


def _of_optimizer(path, rows, rule):
    values, members = files.read(path)
    arrays = [members[f"params.{name}"] for name in values["names"]]
    places = []
    for what, shape in (("W", (rows.classes, rows.features)), ("b", (rows.classes,))):
        at = [i for i, a in enumerate(arrays) if a.shape == shape]
        if len(at) != 1:
            shapes = ", ".join(
                f"{n or 'params'} {a.shape}" for n, a in zip(values["names"], arrays, strict=True)
            )
            raise ValueError(
                f"start: {path} has {len(at) or 'no'} arrays of shape {shape}, for {what}; it has {shapes}"
            )
        places += at
    if any(values["changes"][i] for i in places):
        raise ValueError(
            f"start: {path} was saved with groups, and a run has one rule for W and b: pass start=(W, b)"
        )
    if any(values["arrays"].values()):
        raise ValueError(f"start: {path} was saved amid a step (accumulate, or ascend): take the step first")
    names = [values["names"][i] for i in places]
    slots = tuple(
        {s: members[f"state.{name}.{s}"] for s in values["slots"][i]}
        for name, i in zip(names, places, strict=True)
    )
    t, steps = values["state"]["t"], values["steps"]
    taken = tuple(t if steps is None else steps[i] for i in places)
    return _Saved(_name_of(values["rule"], rule), tuple(arrays[i] for i in places), slots, taken)


def _name_of(description: Any, rule):
    """The class's name of a rule as files describe it; of SAM its base's."""
    if description.get("rule") == "SAM":
        description = description["fields"]["base"]
    return type(described.rule_of(description, () if rule is None else (rule,))).__name__
