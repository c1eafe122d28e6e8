"""Optimizers of torch and states of optax, taken over and given back: rule, hyperparameters, state, counts of steps."""

import sys
from collections.abc import Mapping
from typing import Any

import numpy as np

from fastopt import rules
from fastopt.optimizer import Optimizer
from fastopt.stepping.groups import rule_of
from fastopt.stepping.parameters import Parameters

# Names of torch's state by slot, and of its settings by field, where they are not the rule's own.
_ADAM = {"m": "exp_avg", "v": "exp_avg_sq", "u": "max_exp_avg_sq"}
_TORCH: dict = {  # our class -> (torch's class, settings that choose it, {slot: torch's name}, {field: torch's name})
    "SGD": ("SGD", {"momentum": 0, "nesterov": False}, {}, {}),
    "Momentum": ("SGD", {"nesterov": False}, {"v": "momentum_buffer"}, {}),
    "Nesterov": ("SGD", {"nesterov": True, "dampening": 0}, {"v": "momentum_buffer"}, {}),
    "Adam": ("Adam", {"amsgrad": False, "decoupled_weight_decay": False}, _ADAM, {}),
    "AdamW": ("AdamW", {"amsgrad": False, "decoupled_weight_decay": True}, _ADAM, {}),
    "AMSGrad": ("Adam", {"amsgrad": True, "decoupled_weight_decay": False}, _ADAM, {}),
    "AMSGradW": ("AdamW", {"amsgrad": True, "decoupled_weight_decay": True}, _ADAM, {}),
    "RMSProp": ("RMSprop", {"momentum": 0, "centered": False}, {"v": "square_avg"}, {"decay": "alpha"}),
    "CenteredRMSProp": (
        "RMSprop", {"momentum": 0, "centered": True}, {"v": "square_avg", "m": "grad_avg"}, {"decay": "alpha"},
    ),
    "RMSPropMomentum": (
        "RMSprop", {"centered": False}, {"v": "square_avg", "b": "momentum_buffer"}, {"decay": "alpha"},
    ),
    "CenteredRMSPropMomentum": (
        "RMSprop", {"centered": True}, {"v": "square_avg", "m": "grad_avg", "b": "momentum_buffer"}, {"decay": "alpha"},
    ),
    "AdaGrad": ("Adagrad", {"lr_decay": 0}, {"v": "sum"}, {}),
    "AdaDelta": ("Adadelta", {}, {"v": "square_avg", "u": "acc_delta"}, {}),
    "Adamax": ("Adamax", {}, {"m": "exp_avg", "u": "exp_inf"}, {}),
    "NAdam": ("NAdam", {"decoupled_weight_decay": False}, _ADAM, {}),
    "NAdamW": ("NAdam", {"decoupled_weight_decay": True}, _ADAM, {}),
    "RAdam": ("RAdam", {"decoupled_weight_decay": False}, _ADAM, {}),
    "RAdamW": ("RAdam", {"decoupled_weight_decay": True}, _ADAM, {}),
}  # fmt: skip
_OURS = {"bias_correction", "undamped_start"}  # fields that torch has no setting for


def from_torch(optimizer, **options):
    """An Optimizer that goes on where one of torch.optim stands, on the same tensors.

    Taken over: the rule, each group's hyperparameters, maximize, the state and every tensor's own count of steps.
    options: schedules, clip, backend... of the Optimizer. The rules that torch has: SGD, Momentum, Nesterov, Adam, AdamW,
    AMSGrad, AMSGradW, RMSProp (centred or not, with momentum or not), AdaGrad, AdaDelta, Adamax, NAdam, NAdamW, RAdam,
    RAdamW. Later steps leave torch's optimizer as it is.
    Raises TypeError for another kind, ValueError for a setting that no rule here has.
    """
    groups = optimizer.param_groups
    if len({bool(group.get("maximize")) for group in groups}) > 1:
        raise ValueError("some groups maximize and some do not: one Optimizer does the one or the other")
    found = [_rule_of_group(optimizer, group) for group in groups]
    tensors = [p for group in groups for p in group["params"]]
    mine = [rule for rule, group in zip(found, groups, strict=True) for _ in group["params"]]
    number = {id(p): i for i, p in enumerate(tensors)}

    def same_rule(rule):
        return lambda name, array: (
            mine[number[id(array)]] == rule and type(mine[number[id(array)]]) is type(rule)
        )

    changes = [(same_rule(rule), rule) for rule in dict.fromkeys(found) if rule != found[0]]
    if any(type(rule) is type(found[0]) for _, rule in changes):
        changes = [
            (which, rule._asdict() if type(rule) is type(found[0]) else rule) for which, rule in changes
        ]
    opt = Optimizer(tensors, found[0], groups=changes, maximize=bool(groups[0].get("maximize")), **options)
    states = [optimizer.state.get(p, {}) for p in tensors]
    steps = [_steps_of(state, rule) for state, rule in zip(states, mine, strict=True)]
    slots = []
    for array, state, rule in zip(opt._params.arrays, states, mine, strict=True):
        names = _TORCH[type(rule).__name__][2]
        starts = zip(rule.slots, rules.initial(rule), strict=True)
        slots.append({s: _array(state.get(names[s]), array, start) for s, start in starts})
    opt.load_state_dict({**opt.state_dict(), "t": max(steps), "steps": steps, "state": slots})
    return opt


def _array(tensor, like, start):
    return np.full_like(like, start) if tensor is None else tensor.detach().numpy()


def _steps_of(state, rule):
    """The steps that a tensor has taken; torch's SGD counts none: 1 is as good as any where it has begun."""
    if "step" in state:
        return int(state["step"])
    return int(state.get("momentum_buffer") is not None)


def _rule_of_group(optimizer, group):
    theirs = type(optimizer).__name__
    given = {**group, **dict(zip(("beta1", "beta2"), group.get("betas", ()), strict=False))}
    if theirs == "AdamW":
        given["decoupled_weight_decay"] = True
    known = [name for name, (kind, *_) in _TORCH.items() if _family(kind) == _family(theirs)]
    if not known:
        raise TypeError(f"no rule here is that of {type(optimizer).__module__}.{theirs}")
    fits = [name for name in known if all(given.get(k, v) == v for k, v in _TORCH[name][1].items())]
    if not fits:
        raise ValueError(f"{theirs} with {_settings(group)} is no rule here")
    cls = getattr(rules, fits[0])
    renamed = _TORCH[fits[0]][3]
    values = {f: given[renamed.get(f, f)] for f in cls._fields if f not in _OURS}
    values = {f: float(v) for f, v in values.items()}
    if "undamped_start" in cls._fields:
        values["undamped_start"] = True
    return cls(**values)


def _family(kind):
    """AdamW is Adam with a setting."""
    return "Adam" if kind == "AdamW" else kind


def _settings(group):
    return ", ".join(f"{k}={v!r}" for k, v in group.items() if k != "params")


def to_torch(opt):
    """The optimizer of torch.optim that goes on where this one stands, on the same tensors (which must be torch's).

    For the rules that `from_torch` takes. Schedules, clipping and accumulation are not torch's optimizers' and stay here.
    """
    if len(opt._params.tensors) < len(opt._params.given):
        raise TypeError("to_torch is for an Optimizer on torch's tensors")
    torch: Any = sys.modules["torch"]
    groups, kinds, states = [], set(), opt._states()
    behind = opt._behind()
    for tensor, change in zip(opt._params.given, opt._changes, strict=True):
        rule = rule_of(opt._rule, change)
        if rule is None:
            continue
        name = type(rule).__name__
        if name not in _TORCH or not getattr(rule, "bias_correction", True):
            raise TypeError(f"torch.optim has no {name}{'' if name in _TORCH else ' that this knows'}")
        if name == "Momentum" and rule.dampening and not rule.undamped_start:
            raise TypeError(
                "torch.optim.SGD leaves dampening out of the first step: Momentum(undamped_start=True)"
            )
        kind, needed, _, renamed = _TORCH[name]
        settings = {renamed.get(f, f): v for f, v in rule._asdict().items() if f not in _OURS}
        if "beta1" in settings:
            settings["betas"] = settings.pop("beta1"), settings.pop("beta2")
        plain = {
            k: v for k, v in needed.items() if k != "decoupled_weight_decay" or kind in ("NAdam", "RAdam")
        }
        groups.append({"params": [tensor], **plain, **settings, "maximize": opt.maximize})
        kinds.add(kind)
    if len(kinds) > 1:
        raise TypeError(f"one optimizer of torch has one rule, this one has {sorted(kinds)}")
    made = getattr(torch.optim, kinds.pop())(groups)
    for i, tensor in enumerate(opt._params.given):
        rule = rule_of(opt._rule, opt._changes[i])
        if rule is not None and opt.t > behind[i]:
            made.state[tensor] = _state_for_torch(torch, tensor, rule, states[i], opt.t - behind[i])
    return made


def _state_for_torch(torch, tensor, rule, slots, t):
    kind, _, names, _ = _TORCH[type(rule).__name__]
    state = {} if kind == "SGD" else {"step": torch.tensor(float(t))}
    if kind == "NAdam":
        product = 1.0
        for i in range(1, t + 1):
            product *= rule.beta1 * (1 - 0.5 * 0.96 ** (i * rule.momentum_decay))
            if product == 0:
                break
        state["mu_product"] = torch.tensor(product)
    for slot, array in slots.items():
        state[names[slot]] = torch.from_numpy(np.array(array)).reshape(tensor.shape)
    return state


# ---- optax ----

# By the fields of the NamedTuples that optax keeps its states in: {slot: field} of each of our rules.
_OPTAX: dict = {
    **{name: {} for name in ("SGD", "SGDW")},
    **{name: {"v": "trace"} for name in ("Momentum", "MomentumW", "ClassicalMomentum", "Nesterov")},
    "Lion": {"m": "mu"}, "RMSProp": {"v": "nu"}, "CenteredRMSProp": {"v": "nu", "m": "mu"},
    "AdaGrad": {"v": "sum_of_squares"}, "AdaDelta": {"v": "e_g", "u": "e_x"}, "Adamax": {"m": "mu", "u": "nu"},
    "AdEMAMix": {"m": "m1", "n": "m2", "v": "nu"},
    **{name: {"m": "mu", "v": "nu"} for name in ("Adam", "AdamW", "NAdam", "NAdamW", "RAdam", "RAdamW", "LAMB")},
}  # fmt: skip


def from_optax(params, state, rule, **options):
    """An Optimizer on NumPy arrays that goes on where a state of optax stands.

    params: arrays, or dicts and lists of them, which are updated in place (np.array of JAX's). state: what init and
    update of the transformation gave, a chain or not. rule: the rule with the hyperparameters that the
    transformation was made with, which its state does not tell: SGD, SGDW, Momentum, MomentumW, ClassicalMomentum
    (lr before the trace), Nesterov, RMSProp (centred or not), AdaGrad, AdaDelta, Adam, AdamW, Adamax, NAdam, NAdamW,
    RAdam, RAdamW, AdEMAMix, Lion, LAMB. docs/parity.md has the settings in which the two are equal; RAdam's need
    JAX to count in float64 (in float32 its rate of the first steps is some per cent off). options: of the Optimizer.
    Raises ValueError where the state has no part with the fields of the rule's.
    """
    opt = Optimizer(params, rule, **options)
    fields = _optax_fields(opt._rule)
    part = _part_with(state, fields.values(), type(rule).__name__)
    form: Parameters = opt._params
    slots: list = [{} for _ in form.arrays]
    for slot, field in fields.items():
        for mine, array in zip(slots, form.gradients(getattr(part, field), field), strict=True):
            mine[slot] = np.asarray(array)
    t = int(np.asarray(_count_in(state, part)))
    opt.load_state_dict({**opt.state_dict(), "t": t, "state": form.in_form(slots)})
    return opt


def to_optax(opt, state):
    """A state of optax, such as transformation.init(params), with the numbers of this Optimizer in it.

    Every count in it becomes opt.t. Arrays are NumPy's, which JAX takes.
    """
    fields = _optax_fields(opt._rule)
    part = _part_with(state, fields.values(), type(opt._rule).__name__)
    states = [{slot: array.copy() for slot, array in each.items()} for each in opt._states()]
    values = {field: opt._params.in_form([each[slot] for each in states]) for slot, field in fields.items()}
    return _replaced(state, part, values, opt.t)


def _optax_fields(rule):
    name = type(rule).__name__
    if name not in _OPTAX:
        raise TypeError(
            f"{name}: optax has no such rule, or another state for it; there are {', '.join(_OPTAX)}"
        )
    return _OPTAX[name]


def _parts(state):
    """All NamedTuples in a state, the outer ones first; trees of arrays are not looked into."""
    if hasattr(state, "_fields"):
        yield state
    if isinstance(state, tuple):
        for inner in state:
            yield from _parts(inner)


def _part_with(state, fields, name):
    if not fields:
        return None
    for part in _parts(state):
        if set(fields) == {field for field in part._fields if not _counts(field)}:
            return part
    raise ValueError(f"the state has no part with the fields {sorted(fields)} of {name}")


def _counts(field):
    return field.startswith("count")  # AdEMAMix has two


def _count_in(state, part):
    counts = [p.count for p in _parts(state) if "count" in p._fields]
    if part is not None and "count" in part._fields:
        return part.count
    return counts[0] if counts else 1  # a trace counts nothing, and its rule looks at no t


def _replaced(state, part, values, t):
    if isinstance(state, Mapping) or not isinstance(state, tuple):
        return state
    if not hasattr(state, "_fields"):
        return tuple(_replaced(inner, part, values, t) for inner in state)
    mine = values if state is part else {}
    new = {}
    for field, value in zip(state._fields, state, strict=True):
        if _counts(field):
            new[field] = np.asarray(t, np.asarray(value).dtype)
        else:
            new[field] = mine.get(field, _replaced(value, part, values, t))
    return type(state)(**new)
