"""Rules, schedules and the form of parameters as plain values, for a file, and back."""

from collections.abc import Mapping
from numbers import Real

import numpy as np

from fastopt import fingerprint, rules, schedules
from fastopt.rules import wrappers

# ---- rules ----


def of_rule(rule):
    """A rule as a dict: its class by name, a digest of the code of one that is not fastopt's own, its fields."""
    cls = type(rule)
    if hasattr(cls, "around"):
        count = len(cls.base._fields)
        extra = dict(zip(cls._fields[count:], rule[count:], strict=True))
        name = cls.__name__.removesuffix(cls.base.__name__)
        return {"around": name, "base": of_rule(cls.base(*rule[:count])), "fields": extra}
    fields = {f: of_rule(v) if hasattr(v, "_fields") else v for f, v in zip(rule._fields, rule, strict=True)}
    found = {"rule": cls.__name__, "fields": fields}
    if cls is not _known_rule(cls.__name__):
        found["digest"] = fingerprint.digest(cls)
    return found


def rule_of(found, own=()):
    """The rule of such a dict. own: rules of the user's, whose classes a file cannot hold."""
    if "around" in found:
        base = rule_of(found["base"], own)
        return getattr(wrappers, found["around"])(base)._replace(**found["fields"])
    name = found["rule"]
    cls = _known_rule(name) if "digest" not in found else _own_class(found, own)
    fields = {f: rule_of(v, own) if isinstance(v, Mapping) else v for f, v in found["fields"].items()}
    if cls is None or not set(fields) <= set(cls._fields):  # one that came later has its default
        raise ValueError(f"this version of fastopt has no rule {name} with {', '.join(fields)}")
    return cls(**fields)


def _known_rule(name):
    return next((cls for cls in (*rules.RULES, *rules.FURTHER, wrappers.SAM) if cls.__name__ == name), None)


def _own_class(found, own):
    name = found["rule"]
    classes = {}
    for rule in own:
        cls = type(rule.base) if isinstance(rule, wrappers.SAM) else type(rule)
        while hasattr(cls, "around"):
            cls = cls.base
        classes[cls.__name__] = cls
    if name not in classes:
        raise ValueError(f"its rule {name} is not one of fastopt: pass rule={name}(...) to load")
    if fingerprint.digest(classes[name]) != found["digest"]:
        raise ValueError(f"the code of {name} is another than when it was saved")
    return classes[name]


def of_change(change):
    """What groups have changed for one array: hyperparameters, a rule, or "frozen"."""
    return {"own": of_rule(change)} if hasattr(change, "_fields") else change


def change_of(found, own=()):
    return rule_of(found["own"], own) if isinstance(found, Mapping) and "own" in found else found


# ---- schedules ----


def of_schedule(value):
    """A schedule, or a value in one, as plain values; of a user's function only the name and a digest."""
    if isinstance(value, schedules.Plateau):
        settings = {f: getattr(value, f) for f in _PLATEAU}
        return {"schedule": "Plateau", "fields": settings, "state": value.state_dict()}
    if type(value) in schedules.SCHEDULES:
        fields = zip(value._fields, value, strict=True)
        return {"schedule": type(value).__name__, "fields": {f: of_schedule(v) for f, v in fields}}
    if callable(value):
        return {"own": getattr(value, "__qualname__", type(value).__name__)}
    if isinstance(value, (tuple, list, np.ndarray)):
        return [of_schedule(v) for v in value]
    return value.item() if isinstance(value, np.generic) else value


_PLATEAU = ("drop", "patience", "threshold", "lowest", "largest_is_best")


def schedules_of(found, given):
    """{hyperparameter: schedule}; those that the user gives go before those of the file, which lacks his functions."""
    made = dict(given or {})
    for name, description in found.items():
        if name not in made:
            made[name] = _schedule_of(description, name)
    return made


def _schedule_of(found, name):
    if isinstance(found, list):
        return tuple(_schedule_of(v, name) for v in found)
    if not isinstance(found, Mapping):
        return found
    if "own" in found:
        function = found["own"]
        raise ValueError(
            f"its schedule of {name} is a function of yours, {function}: pass schedules={{{name!r}: ...}} to load"
        )
    if found["schedule"] == "Plateau":
        made = schedules.Plateau(**found["fields"])
        made.load_state_dict(found["state"])
        return made
    cls = next((c for c in schedules.SCHEDULES if c.__name__ == found["schedule"]), None)
    if cls is None:
        raise ValueError(f"this version of fastopt has no schedule {found['schedule']}")
    return cls(**{f: _schedule_of(v, name) for f, v in found["fields"].items()})


# ---- the form of parameters ----


def of_form(form):
    """Nested dicts, lists and tuples of numbers (of the arrays) as JSON keeps them."""
    if isinstance(form, Mapping):
        for key in form:
            if isinstance(key, bool) or not isinstance(key, (str, int)):
                raise TypeError(
                    f"the key {key!r:.60} of params is no text and no whole number: no file takes it"
                )
        return {"dict": [[key, of_form(value)] for key, value in form.items()]}
    if isinstance(form, (list, tuple)):
        kind = "tuple" if isinstance(form, tuple) else "list"
        return {kind: [of_form(value) for value in form]}
    return form


def form_of(found, values):
    """The form, with the values in the places of their numbers."""
    if isinstance(found, Real):
        return values[int(found)]  # type: ignore[call-overload]
    ((kind, inner),) = found.items()
    if kind == "dict":
        return {key: form_of(value, values) for key, value in inner}
    return (tuple if kind == "tuple" else list)(form_of(value, values) for value in inner)
