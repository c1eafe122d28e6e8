"""The losses, rules and schedules that options name, and the file of a model."""

import os
import re
import tempfile
from pathlib import Path

import click

from fastopt import losses, rules, schedules
from fastopt.fit import Fit

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
RULES = {rule.__name__.lower(): rule for rule in rules.RULES}
SCHEDULES = {
    "constant": schedules.Constant(),
    "cosine": schedules.Cosine(),
    "linear": schedules.Linear(),
    "polynomial": schedules.Polynomial(),
    "one-cycle": schedules.OneCycle(),
}


def rule(name, lr, options=()):
    """The rule called so, with its fields set by "name=value" texts."""
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
