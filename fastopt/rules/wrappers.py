"""Rules around another rule: the base's step, and one more slot that follows it, in the same pass."""

import functools
from collections import namedtuple
from typing import Any, NamedTuple

import numpy as np


def Averaged(base, decay=1.0, begin=0):
    """The base rule, and the average of its iterates: average = (1-c)*average + c*p after each step,
    c = max(1 - decay, 1/(t - begin)), and 1 up to step `begin`.

    decay = 1 is the mean of all iterates after `begin` (Polyak & Juditsky 1992; tail averaging); decay < 1 the
    exponential average, which begins as the mean of the first 1/(1 - decay) iterates, so that it owes nothing to
    the starting point. `Optimizer.averaged()` gives it. torch.optim.swa_utils.AveragedModel is the same for
    decay = 1; its EMA begins at the first iterate instead.
    """
    return _wrapped(base, "Averaged", _averaged, average_decay=decay, average_begin=begin)


def Lookahead(base, every=6, alpha=0.5):
    """The base rule on fast weights; after every so many steps slow = slow + alpha*(fast - slow), fast = slow.

    Source: Zhang et al. 2019, algorithm 1 (the base's state is kept at a synchronisation). optax.lookahead keeps the
    slow weights beside the parameters and resets nothing either; torch has none.
    """
    return _wrapped(base, "Lookahead", _lookahead, lookahead_every=every, lookahead_alpha=alpha)


def ScheduleFree(base, momentum=0.9):
    """The base's steps on z, with gradients taken at the parameters y between z and its average x:
    z = base(z, g(y));  x = (1 - 1/t)*x + z/t;  y = (1-momentum)*z + momentum*x.

    `Optimizer.averaged()` gives x, the model to use; the base's lr needs no schedule, and its own momentum should be
    0 (momentum here takes its place, 0 < momentum <= 1). Source: Defazio et al. 2024, eq. 2-4. As
    schedulefree.ScheduleFreeWrapper and optax.contrib.schedule_free at a constant rate: they weigh the mean by the
    largest lr so far, squared. torch and Keras have none. ScheduleFreeSGD and ScheduleFreeAdamW have the decay at y
    and a warm-up.
    """
    if not isinstance(momentum, (int, float, np.number)) or not 0 < momentum <= 1:
        raise ValueError(f"ScheduleFree(momentum={momentum!r}): 0 < momentum <= 1 is needed")
    if "z" in getattr(base, "slots", ()):
        raise TypeError(
            f"ScheduleFree goes around a rule without averages of its own, not {type(base).__name__}"
        )
    return _wrapped(base, "ScheduleFree", _schedule_free, free_momentum=momentum)


def Cautious(base):
    """The base's step where it goes against the gradient, u*g > 0, and none elsewhere; what is left grows by
    1/max(k/n, 1e-3), k of the array's n elements being left. Moments and weight decay are not masked.

    For rules with momentum: Momentum, Nesterov, Adam, AdamW, Lion, NAdam, ... (one without never goes the other way).
    Averaged, Lookahead and ScheduleFree go around it: Averaged(Cautious(Adam())).
    Source: Liang et al. 2024, algorithm 1, with the factor of the authors' code; the paper has n/(k + 1), and
    optax.contrib.cautious masks the decay too. torch and Keras have none.
    """
    _check_base(base, "Cautious")
    name = type(base).__name__
    for wide in ("measure", "whole", "copies", "ascent", "base"):
        if hasattr(base, wide):
            raise TypeError(f"Cautious takes rules that go element by element, not {name}: write it inside")
    if getattr(base, "weight_decay", 0) != 0 and type(base).__module__.partition(".")[0] != "fastopt":
        raise ValueError(
            f"Cautious({name}): where its weight decay enters is not known: set weight_decay=0, or write the rule so"
        )
    count = len(base.coefficients(base, 1.0))
    return _cautious_class(type(base), count)(*base)  # type: ignore[arg-type]


class SAM(NamedTuple):
    """Climb by e = rho*sign(g)|g|^(q-1)/||g||_q^(q-1), 1/p + 1/q = 1; the base's step from where the climb began,
    with the gradient taken up there: `opt.ascend(grads)`, then `opt.step(grads)`, or `opt.step_closure(fn)`.

    adaptive=True: e = rho*T^2 g/||T g||, T = |w| + eta (ASAM, p = 2). The parameters come back exactly; a gradient of
    0 climbs nowhere. Source: Foret et al. 2021, eq. 2-3; Kwon et al. 2021, eq. 7.
    """

    base: Any
    rho: float = 0.05
    p: float = 2.0
    adaptive: bool = False
    eta: float = 0.01


# The rules' parts of k: the base's `count` coefficients, those of what goes around it, and from `end` on the numbers from
# the base's norms, if it has any.


def _averaged(base_update, count, slots):
    end = count + 2

    def update(h, k, p, g, s):
        p_new, s_new = base_update(h, k[:count] + k[end:], p, g, s[:slots])
        return p_new, s_new + (k[count] * s[slots] + k[count + 1] * p_new,)  # noqa: RUF005 (Numba)

    def coefficients(h, t):
        share = 1.0 if t <= h.average_begin else max(1 - h.average_decay, 1 / (t - h.average_begin))
        return 1 - share, share

    def averaged(h, p, s):
        return s["average"]

    return update, coefficients, "average", averaged


def _lookahead(base_update, count, slots):
    end = count + 3

    def update(h, k, p, g, s):
        p_new, s_new = base_update(h, k[:count] + k[end:], p, g, s[:slots])
        slow, alpha, stay, meet = s[slots], k[count], k[count + 1], k[count + 2]
        middle = slow + alpha * (p_new - slow)
        return stay * p_new + meet * middle, s_new + (stay * slow + meet * middle,)  # noqa: RUF005 (Numba)

    def coefficients(h, t):
        meet = 1.0 if t % h.lookahead_every == 0 else 0.0
        return h.lookahead_alpha, 1 - meet, meet

    return update, coefficients, "slow", None


def _schedule_free(base_update, count, slots):
    end = count + 3

    def update(h, k, p, g, s):
        z = s[slots]
        z_new, s_new = base_update(h, k[:count] + k[end:], z, g, s[:slots])
        keep, apart, toward = k[count], k[count + 1], k[count + 2]
        return keep * (p - apart * z) + toward * z_new, s_new + (z_new,)  # noqa: RUF005 (Numba)

    def coefficients(h, t):  # p - (1-momentum)*z is momentum*x
        return 1 - 1 / t, 1 - h.free_momentum, 1 - h.free_momentum + h.free_momentum / t

    def averaged(h, p, s):
        return (p - (1 - h.free_momentum) * s["z"]) / h.free_momentum

    return update, coefficients, "z", averaged


def _check_base(base, name):
    if isinstance(base, type):
        raise TypeError(f"{name} takes a rule's value: write {name}({base.__name__}(...))")
    if not hasattr(base, "_asdict") or not hasattr(base, "coefficients"):
        raise TypeError(f"{name}: base must be a rule, such as fo.SGD(0.1), not {type(base).__name__}")


def _wrapped(base, name, make, **fields):
    if isinstance(base, SAM) or getattr(base, "whole", False):
        raise TypeError(
            f"{name} goes around rules that update element by element, not around {type(base).__name__}"
            + (f": write SAM({name}(...))" if isinstance(base, SAM) else "")
        )
    _check_base(base, name)
    count = len(base.coefficients(base, 1.0))
    cls = _class(type(base), name, make, count, tuple(fields))  # type: ignore[arg-type]
    return cls(*base, *fields.values())


def _again(base, name, make, count, fields, values):
    """What a pickle calls: the class is none that a module has. base: a value, since its class may be none either."""
    return _class(type(base), name, make, count, fields)(*base, *values)  # type: ignore[arg-type]


_made: dict = {}  # class of rules around others -> (the wrapper's name, the base's class)


def made(cls):
    """(the wrapper's name, the base's class) of a class of rules around others, (None, None) of any other."""
    return _made.get(cls, (None, None))


@functools.cache
def _class(base, name, make, count, fields):
    """The class of rules around this base; `base` and `around` are what a compiler needs to build update anew."""
    own, extra, slot, averaged = make(base.update, count, len(base.slots))
    parent = namedtuple(name + base.__name__, base._fields + fields)
    of_base, start_of_base = base.coefficients, getattr(base, "initial", None)

    def coefficients(h, t):
        return of_base(h, t) + extra(h, t)  # a sum of tuples, which Numba compiles

    def around(base_update):
        return make(base_update, count, len(base.slots))[0]

    zeros = (0.0,) * (len(base.slots) + 1)

    def initial(h):
        return zeros if start_of_base is None else start_of_base(h) + (0.0,)

    members = {
        "__doc__": f"{name} around {base.__name__}.",
        "__module__": base.__module__,
        "slots": (*base.slots, slot),
        "copies": (*getattr(base, "copies", ()), slot),
        "base": base,
        "around": staticmethod(around),
        "update": staticmethod(own),
        "coefficients": staticmethod(coefficients),
        "initial": staticmethod(initial),
        "__reduce__": lambda self: (
            _again,
            (base(*self[: -len(fields)]), name, make, count, fields, self[-len(fields) :]),
        ),
    }
    if hasattr(base, "measure"):
        members |= _measuring(base, count, len(base.slots) if slot == "z" else None)
    else:
        members["small"] = (*getattr(base, "small", ()), None)
    if averaged is not None:
        members["averaged"] = staticmethod(averaged)
    cls = type(name + base.__name__, (parent,), members)
    _made[cls] = name, base
    return cls


def _measuring(base, count, z):
    """What a rule around one with norms measures: what the base does, at the parameters or, of ScheduleFree, at slot z."""
    slots = len(base.slots)

    def around_measure(base_measure):
        def measure(h, k, p, g, s):
            return base_measure(h, k[:count], p, g, s[:slots])

        def measure_at_z(h, k, p, g, s):
            return base_measure(h, k[:count], s[z], g, s[:slots])

        return measure if z is None else measure_at_z

    def from_norms(h, k, norms, size):
        return base.from_norms(h, k[:count], norms, size)

    return {
        "measures": base.measures,
        "numbers": base.numbers,
        "around_measure": staticmethod(around_measure),
        "measure": staticmethod(around_measure(base.measure)),
        "from_norms": staticmethod(from_norms),
    }


# Whose decay is a factor of the parameter, not a part of the gradient.
_DECOUPLED = ("AdamW", "AMSGradW", "NAdamW", "RAdamW", "AdEMAMix", "Lion", "SGDW", "MomentumW")


@functools.cache
def _cautious_class(base, count):
    """The class of the cautious form of this base, as _class makes those of the other wrappers."""
    decoupled = base.__name__ in _DECOUPLED

    # fmax: a NaN, as where p is inf, agrees with nothing, and the rest of the array goes on. + 0, since of -0 and 0 either may be
    # the larger for an engine.
    def make(base_update):
        def update(h, k, p, g, s):
            g = g + k[count] * p
            move, s_new = base_update(h, k[:count], p - p, g, s)
            agree = np.fmax(-np.sign(move) * np.sign(g), k[count + 2]) + k[count + 2]
            return k[count + 1] * p + k[count + 3] * agree * move, s_new

        return update

    def make_measure(base_update):
        def measure(h, k, p, g, s):
            g = g + k[count] * p
            move, _ = base_update(h, k[:count], p - p, g, s)
            return (np.fmax(-np.sign(move) * np.sign(g), k[count + 2]) + k[count + 2],)

        return measure

    def coefficients(h, t):
        decay = getattr(h, "weight_decay", 0.0)
        plain = h._replace(weight_decay=0.0) if "weight_decay" in base._fields else h
        coupled, keep = (0.0, 1 - h.lr * decay) if decoupled else (decay, 1.0)
        return (*base.coefficients(plain, t), coupled, keep, 0.0)

    def from_norms(h, k, norms, size):
        return (1 / max(norms[0] ** 2 / max(size, 1), 1e-3),)

    members = {
        "__doc__": f"Cautious around {base.__name__}.",
        "__module__": base.__module__,
        "slots": base.slots,
        "base": base,
        "measures": 1,
        "numbers": 1,
        "around": staticmethod(make),
        "around_measure": staticmethod(make_measure),
        "update": staticmethod(make(base.update)),
        "measure": staticmethod(make_measure(base.update)),
        "from_norms": staticmethod(from_norms),
        "coefficients": staticmethod(coefficients),
        "__reduce__": lambda self: (Cautious, (base(*self),)),
    }
    if hasattr(base, "initial"):
        members["initial"] = staticmethod(base.initial)
    name = f"Cautious{base.__name__}"
    cls = type(name, (namedtuple(name, base._fields),), members)
    _made[cls] = "Cautious", base
    return cls
