"""What Optimizer.save writes, and what Optimizer.load makes of it."""

import numpy as np

from fastopt import arrays, safetensors
from fastopt.stepping import described
from fastopt.stepping.parameters import Parameters

KIND, VERSION = "optimizer", 1


def save(path, snapshot, params):
    """Write a snapshot (Optimizer._snapshot) and the parameters it belongs to.

    Arrays are "params.NAME" and "state.NAME.SLOT".
    """
    names = [str(name) for name in params.names] if params.kind != "array" else [""]
    if len(set(names)) < len(names):
        names = [f"{name}#{i}" for i, name in enumerate(names)]
    members, state = {}, dict(snapshot["state"])
    states = params.gradients(state.pop("state"), "state")
    for name, array, slots in zip(names, params.arrays, states, strict=True):
        members[f"params.{name}"] = array
        members |= {f"state.{name}.{slot}": values for slot, values in slots.items()}
    for kind, values in snapshot["arrays"].items():
        members |= {f"{kind}.{names[i]}": array for i, array in values.items()}
    axes = [arrays.axes_in_memory(a) for a in params.arrays]
    steps = state.pop("steps", None)
    values = {
        "kind": KIND,
        "version": VERSION,
        "names": names,
        "form": described.of_form(params.in_form(list(range(len(names))))),
        "axes": axes,
        "slots": [list(slots) for slots in states],
        "rule": described.of_rule(snapshot["rule"]),
        "schedules": {name: described.of_schedule(s) for name, s in snapshot["schedules"].items()},
        "changes": [described.of_change(change) for change in snapshot["changes"]],
        "options": snapshot["options"],
        "numbers": snapshot["numbers"],
        "state": state,
        "steps": None if steps is None else params.gradients(steps, "steps"),
        "arrays": {kind: sorted(values) for kind, values in snapshot["arrays"].items()},
    }
    safetensors.write(path, values, members)


def read(path):
    """(values, arrays) of a file that `save` wrote; ValueError for any other."""
    values, members = safetensors.read(path)
    if not isinstance(values, dict) or values.get("kind") != KIND:
        raise ValueError(f"{path} holds no optimizer")
    if values["version"] > VERSION:
        raise ValueError(f"{path} was saved by a later version of fastopt (format {values['version']})")
    return values, members


def load(path, given, own, schedules):
    """(Parameters, snapshot, values of the parameters) of a file that `save` wrote.

    given: the user's parameters, or None: they are made. ValueError, before anything is changed, where they do not
    fit, or the file is no such file.
    """
    values, members = read(path)
    names = values["names"]
    found = [members[f"params.{name}"] for name in names]
    try:
        params = _checked(given, values, found) if given is not None else _made(values, found)
        rule = described.rule_of(values["rule"], own)
        made = described.schedules_of(values["schedules"], schedules)
        changes = [described.change_of(change, own) for change in values["changes"]]
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error
    states = [{slot: members[f"state.{name}.{slot}"] for slot in slots}
              for name, slots in zip(names, values["slots"], strict=True)]  # fmt: skip
    state = {**values["state"], "state": params.in_form(states)}
    if values["steps"] is not None:
        state["steps"] = params.in_form(values["steps"])
    extra = {
        kind: {i: members[f"{kind}.{names[i]}"] for i in which} for kind, which in values["arrays"].items()
    }
    snapshot = {
        "rule": rule, "schedules": made, "changes": changes, "options": values["options"],
        "numbers": values["numbers"], "state": state, "arrays": extra,
    }  # fmt: skip
    return params, snapshot, found


def _made(values, found):
    """New arrays in the form and in the order of memory that were saved."""
    made = []
    for array, axes in zip(found, values["axes"], strict=True):
        dtype = arrays.bfloat16() if array.dtype == arrays.BFLOAT16 else array.dtype
        mine = np.empty(array.size, dtype)
        made.append(arrays.in_shape(mine, array.shape, axes))
        made[-1][...] = array.view(dtype)
    return Parameters(described.form_of(values["form"], made))


def _checked(given, values, found):
    params = Parameters(given)
    theirs = [str(name) for name in params.names] if params.kind != "array" else [""]
    saved = [name.rpartition("#")[0] if len(set(theirs)) < len(theirs) else name for name in values["names"]]
    if theirs != saved:
        missing, unknown = [n for n in saved if n not in theirs], [n for n in theirs if n not in saved]
        what = f"missing {missing}, unknown {unknown}" if missing or unknown else "their order is another"
        raise ValueError(f"params are not those that were saved: {what}")
    for i, (mine, array) in enumerate(zip(params.arrays, found, strict=True)):
        if (
            mine.shape != array.shape
            or mine.dtype.itemsize != array.dtype.itemsize
            or (mine.dtype != array.dtype and array.dtype.kind != "V")
        ):
            raise ValueError(
                f"{params.name(i)} is {mine.dtype}{mine.shape}, was saved as {array.dtype}{array.shape}"
            )
    return params
