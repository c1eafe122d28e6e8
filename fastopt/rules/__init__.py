"""Update rules: one class a formula. RULES are those that a training loop can take in, FURTHER the rest.

A rule is a NamedTuple whose fields are its hyperparameters, with
    slots                    the names of its state arrays, each of the parameter's shape
    initial(h)               where a slot starts, one number each (0 where there is no `initial`)
    coefficients(h, t)       once a step, in float64; t counts from 1
    update(h, k, p, g, s)    once an element, in the array's dtype: the new p and the new slots
    copies                   names of slots that start as a copy of the parameter
    small                    how each slot may be kept in few bits: "signed", "positive", or None for float32 always
                             (storage.py)
    above_zero               names of fields that must not be 0
    linear                   True where the new p is a*p + b*g and there are no slots: training then
                             shrinks all weights by one number (kernels/training/scaled.py, csrc/scaled.inc.h)
A rule may be wider than one element. With norms over an array:
    measures, numbers        how many norms it takes, and how many numbers come from them
    measure(h, k, p, g, s)   once an element: a tuple of values, whose 2-norms over the array are taken in float64
    from_norms(h, k, norms, size)  once an array: numbers that follow the coefficients in the k of `update`
With whole arrays (`whole = True`; NumPy computes it on every back end):
    slot_shapes(h, shape)    the shapes of the slots for a parameter of this shape
    update(h, k, p, g, s)    on arrays in their shape
`update` has no literals (they would turn float32 into float64) and no branches; it is called by
the kernels on single elements and by the NumPy back end on whole arrays. What a rule declares is
tested once a class (contract.py).
"""

import dis
import functools
from math import inf

import numpy as np

from fastopt.rules import contract
from fastopt.rules.adagrad import AdaDelta, AdaGrad
from fastopt.rules.adam import Adam, Adamax, AdamW, AMSGrad, AMSGradW, NAdam, NAdamW
from fastopt.rules.further import AdEMAMix, RAdam, RAdamW, ScheduleFreeAdamW, ScheduleFreeSGD
from fastopt.rules.lion import Lion
from fastopt.rules.matrix import Adafactor, Muon, PlainAdafactor
from fastopt.rules.momentum import ClassicalMomentum, Momentum, MomentumW, Nesterov
from fastopt.rules.norms import LAMB, LARS
from fastopt.rules.rmsprop import CenteredRMSProp, CenteredRMSPropMomentum, RMSProp, RMSPropMomentum
from fastopt.rules.sgd import ASGD, SGD, SGDW, Rprop
from fastopt.rules.wrappers import SAM, Averaged, Cautious, Lookahead, ScheduleFree, made  # noqa: F401

RULES = (
    SGD,
    Momentum,
    ClassicalMomentum,
    Nesterov,
    AdaGrad,
    RMSProp,
    CenteredRMSProp,
    Adam,
    AdamW,
    AMSGrad,
    AdaDelta,
    Adamax,
    NAdam,
    Lion,
    SGDW,
    MomentumW,
    RMSPropMomentum,
    CenteredRMSPropMomentum,
    AMSGradW,
    NAdamW,
    RAdam,
    RAdamW,
    AdEMAMix,
    Rprop,
    ASGD,
)

# Those that begin with a copy of the parameters, or look at whole arrays: training loops do not have them.
FURTHER = (ScheduleFreeSGD, ScheduleFreeAdamW, LARS, LAMB, PlainAdafactor, Adafactor, Muon)
IN_C = (*RULES, ScheduleFreeSGD, ScheduleFreeAdamW, LARS, LAMB)  # the C library's, in its order

WHOLE_IN_C = (
    Adafactor,
    PlainAdafactor,
)  # whose step on whole arrays is in C, in its order (csrc/adafactor.inc.h)

# Where hyperparameters of these names must lie, in built-in and in users' rules: (low, high, the
# high end itself allowed).
_RANGES = {
    "lr": (0, inf, False),
    "eps": (0, inf, False),
    "weight_decay": (0, inf, False),
    "initial_accumulator_value": (0, inf, False),
    "momentum": (0, 1, True),
    "dampening": (0, 1, True),
    "decay": (0, 1, True),
    "rho": (0, 1, True),
    "beta1": (0, 1, False),
    "beta2": (0, 1, False),
    "beta3": (0, 1, False),
    "trust": (0, inf, False),
    "threshold": (0, inf, False),
    "etaminus": (0, 1, True),
    "etaplus": (1, inf, False),
    "step_min": (0, inf, False),
    "step_max": (0, inf, True),
    "lambd": (0, inf, False),
    "t0": (0, inf, True),
    "warmup": (0, inf, False),
    "average_decay": (0, 1, True),
    "average_begin": (0, inf, False),
    "lookahead_every": (1, inf, False),
    "lookahead_alpha": (0, 1, True),
    "free_momentum": (0, 1, True),
    "momentum_decay": (0, inf, False),
}


def is_in_c(rule):
    """Whether the C library has it: one of its own, or a rule around such a one."""
    return _is_in_c(type(rule))  # type: ignore[arg-type]


@functools.lru_cache(maxsize=256)
def _is_in_c(cls):
    wrapper, base = made(cls)
    return cls in IN_C if wrapper is None else _is_in_c(base)


def initial(rule):
    """Where each slot of the rule starts."""
    return rule.initial(rule) if hasattr(rule, "initial") else (0.0,) * len(rule.slots)


def has_norms(rule):
    """Whether it takes norms over an array, and turns them into numbers for its update."""
    return hasattr(rule, "measure")


def is_whole(rule):
    """Whether its update takes whole arrays in their shape."""
    return getattr(rule, "whole", False)


def is_elementwise(rule):
    """Whether it is nothing but `update`, so that a training loop can take it in."""
    return not (has_norms(rule) or is_whole(rule) or hasattr(rule, "copies") or hasattr(rule, "ascent"))


def norm_count(rule):
    return rule.measures if has_norms(rule) else 0


def coefficient_count(rule):
    """How many numbers `update` takes: those of `coefficients`, and those that come from norms."""
    count = len(rule.coefficients(rule, 1.0))
    return count + (rule.numbers if has_norms(rule) else 0)


def is_linear(rule):
    """Whether a step is p = decay * p + slope * g, so that weights can be kept as alpha * V.

    A class that has an update of its own says so itself: it does not inherit it.
    """
    return not rule.slots and contract.declares_linear(type(rule))


def looks_at_t(rule):
    """Whether the coefficients may differ from step to step: whether their code reads t."""
    return _reads_second(type(rule).coefficients)


@functools.lru_cache(maxsize=64)
def _reads_second(function):
    code = getattr(function, "__code__", None)
    if code is None or code.co_argcount != 2:
        return True
    t = code.co_varnames[1]
    return any(i.argval == t or (isinstance(i.argval, tuple) and t in i.argval)
               for i in dis.get_instructions(code))  # fmt: skip


def in_dtype(coefficients, dtype):
    """The coefficients (float64) as numbers of a dtype, as the kernels narrow them.

    One that is not 0, such as an eps of 1e-50, does not become 0 or subnormal.
    """
    wide, tiny = np.asarray(coefficients, np.float64), np.finfo(dtype).tiny
    with np.errstate(all="ignore"):
        narrow = wide.astype(dtype)
    lost = (wide != 0) & (np.abs(narrow) < tiny)
    return tuple(np.where(lost, np.copysign(tiny, wide), narrow).astype(dtype))


def linear_coefficients(rule, l2, K):
    """(decay of W, decay of b, slope) of each step of a linear rule, in float64; one row where all are the same."""
    if (K[0] == K).all():
        K = K[:1]
    one, zero, k = np.ones(len(K)), np.zeros(len(K)), tuple(K.T)
    cases = ((one, 2 * l2 * one), (one, zero), (zero, one))
    columns = np.broadcast_arrays(*(rule.update(rule, k, p, g, ())[0] for p, g in cases))
    return np.stack(columns, axis=1)


def checked(rule, dtypes=()):
    """The rule with its numbers as floats; raises where it is no rule or a number is impossible.

    A rule of a user's own is tested once a class (contract.py), in float64 and in these dtypes.
    """
    if isinstance(rule, type):
        raise TypeError(f"rule must be a value: write {rule.__name__}(...), not {rule.__name__}")
    if not hasattr(rule, "_asdict"):
        raise TypeError(f"{type(rule).__name__} is no rule: it is not a NamedTuple (see fastopt.rules)")
    number = functools.partial(_number, type(rule).__name__)
    rule = rule._replace(**{f: number(f, v) for f, v in zip(rule._fields, rule, strict=True)})
    for field in getattr(rule, "above_zero", ()):
        if getattr(rule, field) == 0:
            raise ValueError(f"{type(rule).__name__}({field}=0): 0 < {field} is needed, the average is told from it; "
                             "Averaged(SGD()) keeps one of its own")  # fmt: skip
    if type(rule) not in RULES + FURTHER:
        for dtype in ("float64", *dtypes):
            contract.test(rule, dtype)
    return rule


def _number(rule, field, value):
    if isinstance(value, (bool, np.bool_)):
        return bool(value)
    try:
        number = float(value)
    except (TypeError, ValueError):
        raise TypeError(f"{rule}({field}={value!r}): a number is needed") from None
    if bound := out_of_range(field, number, number):
        raise ValueError(f"{rule}({field}={value!r}): {bound} is needed")
    return number


def out_of_range(field, lowest, highest):
    """None where both may be this hyperparameter; else what they should fulfil."""
    low, high, closed = _RANGES.get(field, (-inf, inf, False))
    if low <= lowest and (highest < high or (closed and highest == high)):
        return None
    return f"{low} <= {field} {'<=' if closed else '<'} {high}"
