"""What Optimizer.load_state_dict takes, looked at as a whole before anything is changed."""

from collections.abc import Mapping
from numbers import Real
from typing import Any

import numpy as np

from fastopt import rules
from fastopt.storage import NOISE

MOST_STEPS = 2**62


def checked_count(value: Any, name: str) -> int:
    """A number of steps as an int; ValueError for anything else."""
    if (
        isinstance(value, bool)
        or not isinstance(value, Real)
        or not 0 <= value < MOST_STEPS  # type: ignore[operator]
        or value != int(value)  # type: ignore[call-overload]
    ):
        raise ValueError(f"{name} must be a whole number, at least 0, not {value!r:.60}")
    return int(value)  # type: ignore[call-overload]


def checked_storage(saved, state_dtype, stored, seed):
    """The seed of the noise to go on with; ValueError where the state was kept in another form.

    stored: whether this optimizer keeps numbers in few bits.
    """
    if not isinstance(saved, Mapping) or (not stored and "state_dtype" not in saved):
        return seed  # what is wrong with it is said later
    theirs = saved.get("state_dtype")
    if not stored or theirs != state_dtype:
        raise ValueError(
            f"state_dict is that of an Optimizer with state_dtype={theirs!r}, this one has {state_dtype!r}"
            + ("" if stored else " and parameters that need no small state")
        )
    noise = saved.get("noise")
    known = {key: NOISE[key] for key in ("generator", "version")}
    if not isinstance(noise, Mapping) or {key: noise.get(key) for key in known} != known:
        raise ValueError(f"state_dict: noise must be that of the generator {known}, not {noise!r:.100}")
    return checked_count(noise.get("seed"), "state_dict: noise seed")


def check_order(saved, state_dtype, orders):
    """ValueError where 8-bit codes were kept in another order of memory: their blocks are stretches of memory."""
    theirs = saved.get("order", orders)
    if (state_dtype or "").startswith("float8") and theirs != orders:
        raise ValueError(
            f"state_dict has 8-bit codes of parameters whose axes lie in memory in the order {theirs}, here it is {orders}: "
            "make the Optimizer over parameters in the same order (np.asfortranarray, np.ascontiguousarray)"
        )


def checked_state(saved, rule, params, states):
    """(rule, t, skipped, states) of a state_dict that fits, else ValueError.

    params: the Parameters. states: a dict {slot: array} a parameter, as the optimizer has them.
    """
    if not isinstance(saved, Mapping):
        raise ValueError(f"state_dict must be a dict of Optimizer.state_dict(), not {type(saved).__name__}")
    for key in ("rule", "hyperparameters", "t", "state"):
        if key not in saved:
            raise ValueError(f"state_dict has no {key!r}; is it one of Optimizer.state_dict()?")
    name = type(rule).__name__
    if saved["rule"] != name:
        raise ValueError(f"state_dict is that of {saved['rule']}, this optimizer's rule is {name}")
    t = checked_count(saved["t"], "state_dict: t")
    skipped = checked_count(saved.get("skipped", 0), "state_dict: skipped")
    rule = _checked_rule(rule, saved["hyperparameters"])
    try:
        given = params.gradients(saved["state"], "state")
    except TypeError as error:
        raise ValueError(f"state_dict: {error}") from None
    pairs = zip(states, given, strict=True)
    return rule, t, skipped, [_checked_slots(m, g, params.name(i)) for i, (m, g) in enumerate(pairs)]


def checked_steps(saved, params, t):
    """The steps that each array has taken: t where the state_dict does not say."""
    if "steps" not in saved:
        return [t] * len(params.arrays)
    try:
        steps = params.gradients(saved["steps"], "steps")
    except TypeError as error:
        raise ValueError(f"state_dict: {error}") from None
    for i, count in enumerate(steps):
        if checked_count(count, f"state_dict: {params.name(i, 'steps')}") > t:
            raise ValueError(f"state_dict: {params.name(i, 'steps')} is {count}, beyond t = {t}")
    return [int(count) for count in steps]


def _checked_rule(rule, hyperparameters):
    if not isinstance(hyperparameters, Mapping):
        raise ValueError(f"state_dict: hyperparameters must be a dict, not {hyperparameters!r:.60}")
    if set(hyperparameters) != set(rule._fields):
        raise ValueError(f"state_dict has the hyperparameters {sorted(map(str, hyperparameters))}")
    try:
        return rules.checked(rule._replace(**hyperparameters))
    except TypeError as error:
        raise ValueError(f"state_dict: {error}") from None


def _checked_slots(mine, theirs, name):
    """{slot: array} of one parameter, of the right shapes and dtypes, and finite or not as it was saved."""
    if not isinstance(theirs, Mapping) or any(isinstance(a, Mapping) for a in theirs.values()):
        raise ValueError(f"state of {name} must be a dict of arrays by slot")
    if unknown := set(theirs) - set(mine):
        raise ValueError(f"state of {name}: unknown slots {sorted(map(str, unknown))}")
    found = {}
    for slot, array in mine.items():
        what = f"state of {name}, slot {slot!r}"
        if slot not in theirs:
            raise ValueError(f"{what}: missing")
        given = theirs[slot]
        if isinstance(given, np.ma.MaskedArray):
            raise ValueError(f"{what}: a masked array")
        try:
            given = np.asarray(given)
        except ValueError:
            raise ValueError(f"{what}: not an array") from None
        if given.shape != array.shape or given.dtype != array.dtype:
            raise ValueError(f"{what}: {given.dtype}{given.shape} does not fit {array.dtype}{array.shape}")
        found[slot] = given
    return found
