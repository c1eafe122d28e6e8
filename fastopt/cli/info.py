"""fastopt info: what this machine offers and what is used of it; or what a model file holds."""

import click
import numpy as np

from fastopt.cli import models, options
from fastopt.info import show_info


@click.command(short_help="Versions, CPU features, threads, the cache; or a model.")
@click.argument("model", required=False, type=click.Path(exists=True, dir_okay=False))
@click.option("--kernels", is_flag=True, help="Name each compiled kernel of the cache.")
@options.json_option
def info(model, kernels, as_json):
    """Show versions, CPU features, threads, the cache, and how many kernels are compiled.

    With a MODEL that `fastopt train --out` wrote: its loss, its classes, the columns it takes, and how its training ended.
    """
    if model is None:
        show_info(as_json=as_json, kernels=kernels)
        return
    if kernels:
        raise click.UsageError("--kernels is of this machine: leave MODEL out")
    record = _record(models.load(model))
    if as_json:
        options.echo_json(record)
        return
    for name, value in record.items():
        if value is not None:
            click.echo(f"{name:<19} {', '.join(map(str, value)) if isinstance(value, list) else value}")


def _record(fit):
    """What is worth knowing of a Fit."""
    preparation = fit.preparation or {}
    features = preparation.get("features")
    columns = features if isinstance(features, list) else []
    last = {k: float(v[-1]) for k, v in fit.history.items() if np.size(v) and np.isfinite(v[-1])}
    return {
        "loss": str(fit.loss),
        "weights": f"{fit.W.shape[0]} x {fit.W.shape[1]} {fit.W.dtype}, {int((fit.W == 0).sum())} of them 0",
        "classes": None if fit.classes is None else fit.classes.tolist(),
        "target": preparation.get("target"),
        "columns": [f"{c['name']} ({_kind(c)})" for c in columns] or None,
        "missing": preparation.get("missing"),
        "average": fit.average,
        "steps": fit.steps or None,
        "loss_train": last.get("loss_train"),
        "loss_validation": last.get("loss_validation"),
        "accuracy_validation": last.get("accuracy_validation"),
    }


def _kind(column):
    values = column["values"]
    return f"{len(values)} categories" if values else column["kind"]
