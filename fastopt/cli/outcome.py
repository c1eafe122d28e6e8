"""What `fastopt train` says of a run when it is over: a record for --json, and lines for people."""

import click
import numpy as np

import fastopt as fo
from fastopt.cli import rates


def record(fit, found, rule, given, out, seconds):
    """Everything that --json says. given: the options."""
    last = _last(fit, given)
    loss_test = accuracy = None
    if len(found.y_test):
        loss_test, accuracy = fit.evaluate(found.x_test, found.y_test.astype(_target_dtype(fit, found)))
    report = getattr(fit, "report", None)
    return {
        "data": found.name,
        "rows": found.x_train.shape[0],
        "features": found.x_train.shape[1],
        "classes": None if found.classes is None else len(found.classes),
        "loss": type(fit.loss).__name__,
        "rule": None if rule is None else type(rule).__name__,
        "base": type(rule.base).__name__ if isinstance(rule, fo.SAM) else None,
        "average": fit.average,
        "lr": getattr(rates.base(rule), "lr", None),
        "solver": getattr(report, "solver", "sgd"),
        **{name: getattr(report, name, None) for name in ("converged", "reason", "gradient_norm")},
        "notes": list(getattr(report, "notes", ())),
        "objective": last.get("objective"),
        "nonzero": int(np.count_nonzero(fit.W)),
        "epochs": len(fit.history.get("epoch", ())),
        "epoch_kept": last.get("epoch"),
        "steps": fit.steps,
        **{name: last.get(name) for name in ("loss_train", "loss_validation", "accuracy_validation")},
        "loss_test": loss_test,
        "accuracy_test": accuracy,
        "rmse_test": _rmse(fit, found),
        "rows_test": len(found.y_test),
        "seconds": seconds,
        "seconds_training": fit.seconds,
        "seconds_preparing": fit.seconds_preparing,
        "backend": fit.backend,
        "interrupted": fit.interrupted,
        "out": out,
    }


def _last(fit, given):
    """What the history notes of the epoch whose parameters these are: the best one, or the last."""
    history = {name: values for name, values in fit.history.items() if len(values)}
    held_out = history.get("loss_validation", ())
    best = (given["early_stopping"] or fit.interrupted) and len(held_out) and not np.isnan(held_out).all()
    at = int(np.nanargmin(held_out)) if best else -1
    return {name: values[at] for name, values in history.items()}


def _target_dtype(fit, found):
    return found.y_test.dtype if found.classes is not None else fit.W.dtype


def _rmse(fit, found):
    if found.classes is not None or not len(found.y_test):
        return None
    return float(np.sqrt(np.mean((fit.predict(found.x_test) - found.y_test) ** 2)))


def _method(rule, record):
    if rule is None:
        return f"solver {record['solver']}"
    lr = f"lr={record['lr']:g}" if record["lr"] is not None else ""
    inside = f"{record['base']}({lr})" if record["base"] else lr
    return f"{record['rule']}({inside})"


def say(fit, record, rule):
    """The record as lines for people."""
    kinds = "regression" if record["classes"] is None else f"{record['classes']} classes"
    click.echo(
        f"{record['data']}: {record['rows']:,} rows x {record['features']} features, {kinds}; "
        f"{record['loss']}, {_method(rule, record)}, back end {record['backend']}"
    )
    if fit.average is not None:
        click.echo(f"parameters: an average, {fit.average}")
    if fit.interrupted:
        kept = record["epoch_kept"] if record["loss_validation"] == record["loss_validation"] else None
        best = f": this is the model of epoch {kept:.0f}, the best on the validation rows" if kept else ""
        click.echo(f"interrupted{best or ': this is the model so far'}")
    if rule is None:
        click.echo(str(fit.report))
        click.echo(f"{record['nonzero']:,} of {fit.W.size:,} weights are not 0")
    loss, took, waited = (record[name] for name in ("loss_train", "seconds_training", "seconds_preparing"))
    kernels = f"{waited:.2f} s more for kernels to be ready, " if waited >= 0.05 else ""
    click.echo(
        f"{fit.steps:,} steps in {took:.2f} s ({kernels}{record['seconds']:.2f} s with reading and measuring)"
        + (f", training loss {loss:.4f}" if loss else "")
    )
    validation = record["accuracy_validation"]
    if validation is not None and validation == validation:
        click.echo(f"validation accuracy {validation:.4f}")
    rows = f"on {record['rows_test']:,} rows that were not trained on"
    if record["rows_test"] == 0:
        click.echo("no rows were held out to test on")
    elif record["classes"] is None:
        click.echo(f"test error {record['rmse_test']:.4g} (root of the mean square) {rows}")
    else:
        click.echo(f"test accuracy {record['accuracy_test']:.4f} {rows}")
    for line in record.get("diagnosis", ()):
        click.echo(line)
    if record["out"] is not None:
        click.echo(f"model written to {record['out']}")
