"""What an Optimizer is asked to do beside its rule, checked: errors name the argument."""

from fastopt import arrays
from fastopt.stepping import clipping
from fastopt.stepping.gathered import Gathered
from fastopt.stepping.loss_scale import LossScale


def checked_policy(nonfinite):
    if nonfinite not in ("raise", "skip", "allow"):
        raise ValueError(f'nonfinite must be "raise", "skip" or "allow", not {nonfinite!r}')
    return nonfinite


def checked_gathered(accumulate, sam):
    count = arrays.checked_whole(accumulate, "accumulate", 1)
    if count > 1 and sam is not None:
        raise ValueError(
            "accumulate: SAM takes two gradients a step at different places; add them up yourself"
        )
    return Gathered(count) if count > 1 else None


def checked_loss_scale(scale, nonfinite):
    if scale is None:
        return None
    if nonfinite == "allow":
        raise ValueError('loss_scale looks for inf in gradients, which nonfinite="allow" forbids')
    return scale if isinstance(scale, LossScale) else LossScale(scale, 1.0, 1.0, None)


def checked_by(by):
    if by not in clipping.BY:
        raise ValueError(f"clip_by must be one of {', '.join(map(repr, clipping.BY))}, not {by!r}")
    return by


def checked_clip(clip):
    if clip is None:
        return None
    number = arrays.checked_number(clip, "clip", "a number above 0, or None")
    if not number > 0:
        raise ValueError(f"clip must be above 0, not {clip!r}")
    return number
