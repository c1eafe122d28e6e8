"""Parameter groups: which array has which hyperparameters, or another rule, or none."""

import fnmatch
from collections.abc import Mapping

from fastopt import rules

FROZEN = "frozen"


def assigned(groups, names, arrays, rule, each_selects=True):
    """For each array its changes: a dict of hyperparameters, a rule of its own, or FROZEN.

    groups: [(selector, changes), ...]; where several select an array, later ones go before earlier ones.
    A selector is a name ("b", as in a dict, or a position), a pattern of names ("layers.*.bias"), a function
    (name, array) -> bool, or a list of selectors. each_selects: a group that selects none is an error.
    """
    changes = [{} for _ in arrays]
    if groups is None:
        return changes
    if isinstance(groups, (Mapping, str)) or not hasattr(groups, "__iter__"):
        raise TypeError(f"groups must be a list of (selector, changes), not {groups!r:.60}")
    for number, group in enumerate(groups):
        where = f"groups[{number}]"
        if not isinstance(group, (tuple, list)) or len(group) != 2 or hasattr(group, "_fields"):
            raise TypeError(f"{where} must be a pair (selector, changes), not {group!r:.60}")
        selector, change = group
        chosen = [
            i for i, (n, a) in enumerate(zip(names, arrays, strict=True)) if _selects(selector, n, a, where)
        ]
        if not chosen and each_selects:
            raise ValueError(f"{where} selects no array: {selector!r:.60}; there are {names!r:.200}")
        change = _checked_change(change, rule, where)
        for i in chosen:
            both = isinstance(change, dict) and isinstance(changes[i], dict)
            changes[i] = {**changes[i], **change} if both else change
    return changes


def _selects(selector, name, array, where):
    if isinstance(selector, (list, tuple, set)):
        return any(_selects(one, name, array, where) for one in selector)
    if callable(selector):
        answer = selector(name, array)
        if not isinstance(answer, (bool, int)) and not hasattr(answer, "dtype"):
            raise TypeError(f"{where}: the selector must answer True or False, not {answer!r:.60}")
        return bool(answer)
    return name == selector or (
        isinstance(selector, str) and isinstance(name, str) and fnmatch.fnmatchcase(name, selector)
    )


def _checked_change(change, rule, where):
    if change is None or (isinstance(change, str) and change == FROZEN):
        return FROZEN
    if isinstance(change, Mapping):
        for field in change:
            if field not in rule._fields:
                known = ", ".join(rule._fields)
                raise ValueError(f"{where}: {type(rule).__name__} has no {field!r}; it has {known}")
        rules.checked(rule._replace(**change))
        return dict(change)
    if hasattr(change, "_fields") or isinstance(change, type):
        return rules.checked(change)
    raise TypeError(
        f"{where}: changes must be a dict of hyperparameters, a rule, or {FROZEN!r}, not {change!r:.60}"
    )


def rule_of(rule, change):
    """The rule of an array with these changes, or None where it is frozen."""
    if isinstance(change, dict):
        return rule._replace(**change) if change else rule
    return None if isinstance(change, str) else change
