"""The losses, rules and schedules that options name, and the file of a model."""

import functools
import os
import re
import tempfile
from pathlib import Path
from typing import Any

import click

from fastopt import losses, rules, schedules
from fastopt.fit import Fit
from fastopt.stepping import ascent

LOSSES = {
    "softmax": losses.Softmax(),
    "hinge": losses.MulticlassHinge(),
    "squared-hinge": losses.MulticlassHinge(squared=True),
    "squared-error": losses.SquaredError(),
    "logistic": losses.Logistic(),
    "binary-hinge": losses.Hinge(),
}


def _kebab(name):
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "-", name).lower()


_NAMED = {type(loss) for loss in LOSSES.values()}
for _loss in losses.LOSSES:
    if _loss not in _NAMED:
        _name = _kebab(_loss.__name__)
        LOSSES[f"binary-{_name}" if _name in LOSSES else _name] = _loss()
RULES = {rule.__name__.lower(): rule for rule in (*rules.RULES, *rules.FURTHER)}
# Rules around another one, the base: what makes them, and the hyperparameters that are theirs.
AROUND: dict[str, tuple[Any, tuple[str, ...]]] = {
    "sam": (rules.SAM, ("rho", "p")),
    "asam": (functools.partial(rules.SAM, adaptive=True), ("rho", "eta")),
    "lookahead": (rules.Lookahead, ("every", "alpha")),
    "averaged": (rules.Averaged, ("decay", "begin")),
    "cautious": (rules.Cautious, ()),
    "schedulefree": (rules.ScheduleFree, ("momentum",)),
}
SCHEDULES = {
    "constant": schedules.Constant(),
    "cosine": schedules.Cosine(),
    "linear": schedules.Linear(),
    "polynomial": schedules.Polynomial(),
    "one-cycle": schedules.OneCycle(),
}


def rule(name, lr, options=(), base=None):
    """The rule called so, with its fields set by "name=value" texts; base: the name of the one inside it."""
    if name not in AROUND:
        if base is not None:
            raise click.BadParameter(f"--base goes with --rule {', '.join(AROUND)}, not {name}")
        return _plain_rule(name, lr, options)
    make, own = AROUND[name]
    mine = {
        text.partition("=")[0]: text.partition("=")[2] for text in options if text.partition("=")[0] in own
    }
    theirs = [text for text in options if text.partition("=")[0] not in own]
    try:
        found = make(_plain_rule(base or "momentum", lr, theirs), **{k: float(v) for k, v in mine.items()})
        return ascent.checked(found) if isinstance(found, rules.SAM) else rules.checked(found)
    except (TypeError, ValueError) as error:
        raise click.BadParameter(f"{name}: {error}; it has {', '.join(own)} of its own") from None


def _plain_rule(name, lr, options):
    kind = RULES[name]
    fields = {} if lr is None else {"lr": lr}
    for text in options:
        field, _, value = text.partition("=")
        if field not in kind._fields or not value:
            raise click.BadParameter(
                f"{text!r}: {kind.__name__} has {', '.join(kind._fields)}: say beta1=0.8 or so"
            )
        try:
            fields[field] = {"true": True, "false": False}.get(value.lower()) or float(value)
        except ValueError:
            raise click.BadParameter(f"{text!r}: {value!r} is no number") from None
    return rules.checked(kind(**fields))


def batch(size, name, base=None):
    """Rows a step, None for all of them. size: what was asked for. Rprop grows its steps while signs stay the same, which
    batches of some rows do by chance."""
    if size is None:
        return None if "rprop" in (name, base) else 128
    return int(size) or None


def load(path):
    """The Fit in a file, whatever is wrong with it a one-line error."""
    if not Path(path).is_file():
        raise click.ClickException(f"{path} is no file")
    return Fit.load(path)


def save(fit, path):
    """Write the model; where that fails, to the folder for temporary files, so that the training is not lost."""
    try:
        fit.save(path)
        return path
    except OSError as error:
        reason = f"{path} cannot be written: {error.strerror or error}"
    spare = Path(tempfile.gettempdir()) / f"fastopt-model-{os.getpid()}.npz"
    try:
        fit.save(spare)
    except OSError:
        raise click.ClickException(reason) from None
    raise click.ClickException(f"{reason}. The model is in {spare}")
