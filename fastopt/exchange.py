"""Optimizers of torch and states of optax, taken over and given back: rule, hyperparameters, state, counts of steps."""

import sys
from collections.abc import Mapping
from typing import Any

import numpy as np

from fastopt import rules
from fastopt.optimizer import Optimizer
from fastopt.schedules import InverseTime
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
    "AdaGrad": ("Adagrad", {}, {"v": "sum"}, {}),
    "AdaDelta": ("Adadelta", {}, {"v": "square_avg", "u": "acc_delta"}, {}),
    "Adamax": ("Adamax", {}, {"m": "exp_avg", "u": "exp_inf"}, {}),
    "NAdam": ("NAdam", {"decoupled_weight_decay": False}, _ADAM, {}),
    "NAdamW": ("NAdam", {"decoupled_weight_decay": True}, _ADAM, {}),
    "RAdam": ("RAdam", {"decoupled_weight_decay": False}, _ADAM, {}),
    "RAdamW": ("RAdam", {"decoupled_weight_decay": True}, _ADAM, {}),
    "Rprop": ("Rprop", {}, {"before": "prev", "size": "step_size"}, {}),
    "ASGD": ("ASGD", {}, {"ax": "ax"}, {}),
    "Adafactor": ("Adafactor", {}, {}, {"threshold": "d"}),
    "Muon": ("Muon", {"nesterov": True, "eps": 1e-7, "adjust_lr_fn": None}, {"v": "momentum_buffer"}, {}),
}  # fmt: skip
_TUPLES = {  # settings of torch that are several of our fields
    "betas": ("beta1", "beta2"), "etas": ("etaminus", "etaplus"), "step_sizes": ("step_min", "step_max"),
    "ns_coefficients": ("ns_a", "ns_b", "ns_c"),
}  # fmt: skip


def from_torch(optimizer, **options):
    """An Optimizer that goes on where one of torch.optim stands, on the same tensors.

    Taken over: the rule, each group's hyperparameters, maximize, the state and every tensor's own count of steps.
    options: schedules, clip, backend... of the Optimizer. All of torch.optim but LBFGS and SparseAdam: SGD, Momentum,
    Nesterov, Adam, AdamW, AMSGrad, AMSGradW, RMSProp (centred or not, with momentum or not), AdaGrad (its lr_decay
    becomes a schedule, which counts opt.t, where torch counts each tensor's own steps), AdaDelta, Adamax, NAdam, NAdamW, RAdam, RAdamW, Rprop, ASGD, Adafactor (without torch's floor
    of V), Muon (not in bfloat16). Later steps leave torch's optimizer as it is.
    Raises TypeError for another kind, ValueError for a setting that no rule here has.
    """
    if not hasattr(optimizer, "param_groups"):
        raise TypeError(f"optimizer must be one of torch.optim, not {type(optimizer).__name__}")
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
    if any(group.get("lr_decay") for group in groups):
        options = {**options, "schedules": _with_lr_decay(groups, options.get("schedules") or {})}
    opt = Optimizer(tensors, found[0], groups=changes, maximize=bool(groups[0].get("maximize")), **options)
    states = [optimizer.state.get(p, {}) for p in tensors]
    steps = [_steps_of(state, rule) for state, rule in zip(states, mine, strict=True)]
    slots = []
    for i, (state, rule) in enumerate(zip(states, mine, strict=True)):
        theirs = _slots_of(rule, state)
        starts = zip(rule.slots, rules.initial(rule), strict=True)
        slots.append({s: _array(theirs.get(s), opt._states()[i][s], start) for s, start in starts})
    opt.load_state_dict({**opt.state_dict(), "t": max(steps), "steps": steps, "state": slots})
    return opt


def _with_lr_decay(groups, schedules):
    """torch's Adagrad takes lr/(1 + lr_decay*t), t counted from 0."""
    rates = {(group["lr_decay"], float(group["lr"])) for group in groups}
    if len(rates) > 1 or "lr" in schedules:
        raise ValueError("Adagrad's lr_decay becomes a schedule of lr: it must be the same in all groups, with one lr "
                         "and no other schedule of it")  # fmt: skip
    return {**schedules, "lr": InverseTime(float(rates.pop()[0]))}


def _lr_decay_of(schedule, rule):
    """The same the other way."""
    if not isinstance(schedule, InverseTime):
        return {}
    return {"lr": rule.lr if schedule.start is None else schedule.start, "lr_decay": schedule.k}


def _slots_of(rule, state):
    """{slot: torch's tensor} of what the state has."""
    name = type(rule).__name__
    if name == "Adafactor" and "variance" in state:
        return {"r": state["variance"]}
    if name == "Adafactor" and state:
        return {"r": state["row_var"].squeeze(-1), "c": state["col_var"].squeeze(-2)}
    slots = {slot: state[theirs] for slot, theirs in _TORCH[name][2].items() if theirs in state}
    if name == "Muon" and slots:
        slots["v"] = slots["v"] / (1 - rule.momentum)  # torch's is an average
    return slots


def _array(tensor, like, start):
    return np.full_like(like, start) if tensor is None else tensor.detach().numpy()


def _steps_of(state, rule):
    """The steps that a tensor has taken; torch's SGD and Muon count none: 1 is as good as any where it has begun."""
    if "step" in state:
        return int(state["step"])
    return int(state.get("momentum_buffer") is not None)


def _rule_of_group(optimizer, group):
    theirs = type(optimizer).__name__
    given = {**group, **({"decoupled_weight_decay": True} if theirs == "AdamW" else {})}
    if given.get("adjust_lr_fn") == "original":
        given["adjust_lr_fn"] = None
    known = [name for name, (kind, *_) in _TORCH.items() if _family(kind) == _family(theirs)]
    if not known:
        raise TypeError(f"no rule here is that of {type(optimizer).__module__}.{theirs}")
    fits = [name for name in known if all(given.get(k, v) == v for k, v in _TORCH[name][1].items())]
    if not fits:
        raise ValueError(f"{theirs} with {_settings(group)} is no rule here")
    cls, renamed = getattr(rules, fits[0]), _TORCH[fits[0]][3]
    ours = _fields_of(theirs, given)
    return cls(**{f: float(ours[renamed.get(f, f)]) for f in cls._fields if renamed.get(f, f) in ours})


def _fields_of(theirs, given):
    """torch's settings, and by our names those that are others here."""
    given = dict(given)
    for name, fields in _TUPLES.items():
        given.update(zip(fields, given.get(name, ()), strict=False))
    if theirs == "SGD":
        given["undamped_start"] = True
    elif theirs == "Adafactor":
        eps1, eps2 = given["eps"]
        given.update(
            eps1=1e-30 if eps1 is None else eps1, eps2=eps2, decay=-given["beta2_decay"], decay_by_lr=True
        )
    elif theirs == "Muon":
        del given["eps"]  # of its norm; ours is that of Adam, for what is no matrix
    return given


def _settings_of(rule):
    """The same the other way: torch's settings of a rule."""
    kind, needed, _, renamed = _TORCH[type(rule).__name__]
    settings = rule._asdict()
    for name, fields in _TUPLES.items():
        if kind in ("Adafactor", "Muon") and name == "betas":
            continue
        if all(f in settings for f in fields):
            settings[name] = tuple(settings.pop(f) for f in fields)
    if kind == "Adafactor":
        settings["eps"] = settings.pop("eps1"), settings.pop("eps2")
        settings["beta2_decay"] = -settings.pop("decay")
    ours: tuple[str, ...] = ("bias_correction", "undamped_start")
    if kind == "Adafactor":
        ours = ("beta1", "relative", "decay_by_lr")
    if kind == "Muon":
        ours = ("adam_lr", "beta1", "beta2", "eps")
        settings["ns_steps"] = int(settings["ns_steps"])
    plain = {k: v for k, v in needed.items() if k != "decoupled_weight_decay" or kind in ("NAdam", "RAdam")}
    return plain | {renamed.get(f, f): v for f, v in settings.items() if f not in ours}


def _family(kind):
    """AdamW is Adam with a setting."""
    return "Adam" if kind == "AdamW" else kind


def _settings(group):
    return ", ".join(f"{k}={v!r}" for k, v in group.items() if k != "params")


def _check_optimizer(opt):
    if not isinstance(opt, Optimizer):
        raise TypeError(f"opt must be a fastopt.Optimizer, not {type(opt).__name__}")


def to_torch(opt):
    """The optimizer of torch.optim that goes on where this one stands, on the same tensors (which must be torch's).

    For the rules that `from_torch` takes. Schedules, clipping and accumulation are not torch's optimizers' and stay here,
    but AdaGrad's InverseTime schedule of lr, which is torch's lr_decay.
    """
    _check_optimizer(opt)
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
        if name == "Adafactor" and (
            rule.beta1 or not rule.relative or (rule.weight_decay and not rule.decay_by_lr)
        ):
            raise TypeError("torch.optim.Adafactor has beta1=0, relative=True and decay_by_lr=True")
        if name == "Muon" and (len(tensor.shape) != 2 or opt.maximize):
            raise TypeError("torch.optim.Muon takes matrices only, and does not maximize")
        maximize = {} if name == "Muon" else {"maximize": opt.maximize}
        decay = _lr_decay_of(opt.schedules.get("lr"), rule) if name == "AdaGrad" else {}
        groups.append({"params": [tensor], **_settings_of(rule), **maximize, **decay})
        kinds.add(_TORCH[name][0])
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
    slots = {slot: torch.from_numpy(np.array(array)) for slot, array in slots.items()}
    state = {} if kind in ("SGD", "Muon") else {"step": torch.tensor(float(t))}
    if kind == "Adafactor" and tensor.dim() < 2:
        return {**state, "variance": slots["r"]}
    if kind == "Adafactor":
        return {**state, "row_var": slots["r"].unsqueeze(-1), "col_var": slots["c"].unsqueeze(-2)}
    if kind == "Muon":
        return {"momentum_buffer": slots["v"] * (1 - rule.momentum)}
    if kind == "ASGD":  # those of the next step
        state["eta"] = torch.tensor(rule.lr / (1 + rule.lambd * rule.lr * t) ** rule.alpha)
        state["mu"] = torch.tensor(1 / max(1.0, t - rule.t0))
    if kind == "NAdam":
        product = 1.0
        for i in range(1, t + 1):
            product *= rule.beta1 * (1 - 0.5 * 0.96 ** (i * rule.momentum_decay))
            if product == 0:
                break
        state["mu_product"] = torch.tensor(product)
    for slot, array in slots.items():
        state[names[slot]] = array.reshape(tensor.shape)
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
    _check_optimizer(opt)
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
