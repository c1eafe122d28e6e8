"""The command line: fastopt train | predict | check | bench | info | warmup."""

import json
import os
import sys
import tempfile
import time
import warnings
from pathlib import Path

import click
import numpy as np

import fastopt as fo
from fastopt import checkpoint as files
from fastopt import data, losses, rules, schedules
from fastopt.bench import GROUPS
from fastopt.checking.command import check
from fastopt.engines import choose
from fastopt.fit import Fit
from fastopt.reports.command import race

_LOSSES = {
    "softmax": losses.Softmax(),
    "hinge": losses.MulticlassHinge(),
    "squared-hinge": losses.MulticlassHinge(squared=True),
    "squared-error": losses.SquaredError(),
    "logistic": losses.Logistic(),
    "binary-hinge": losses.Hinge(),
}
_RULES = {rule.__name__.lower(): rule for rule in rules.RULES}
# A learning rate that trains most data scaled to 0..1; what is not named keeps the rule's own.
_LR = {"sgd": 0.5, "momentum": 0.1, "classicalmomentum": 0.1, "nesterov": 0.1, "adagrad": 0.05}
_SCHEDULES = {
    "constant": schedules.Constant(),
    "cosine": schedules.Cosine(),
    "linear": schedules.Linear(),
    "polynomial": schedules.Polynomial(),
    "one-cycle": schedules.OneCycle(),
}


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(package_name="fastopt")
def main():
    """Train, use and inspect linear classifiers with fastopt."""


main.add_command(check)
main.add_command(race)


def _backend_option(command):
    choice = click.Choice(choose.BACKENDS)
    return click.option("--backend", type=choice, default="auto", show_default=True)(command)


def _in_a_directory(context, parameter, path):
    """Refuse a file that cannot be written before the work is done, not after."""
    if path is not None and not Path(path).parent.is_dir():
        raise click.BadParameter(f"there is no directory {Path(path).parent}")
    return path


def _json_option(command):
    return click.option("--json", "as_json", is_flag=True, help="End with one line of JSON.")(command)


@main.command()
@click.argument("data_name", metavar="DATA")
@click.option("--loss", type=click.Choice(list(_LOSSES)), default="softmax", show_default=True)
@click.option("--rule", type=click.Choice(list(_RULES)), default="momentum", show_default=True)
@click.option("--lr", type=float, help="Learning rate.  [default: one that suits the rule]")
@click.option("--schedule", type=click.Choice(list(_SCHEDULES)), default="cosine", show_default=True)
@click.option("--epochs", type=click.IntRange(1), default=50, show_default=True)
@click.option(
    "--batch-size", type=click.IntRange(0), default=128, show_default=True, help="Rows a step; 0: all rows."
)
@click.option("--l2", type=click.FloatRange(0), default=0.0, show_default=True)
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True)
@click.option("--validation", type=click.FloatRange(0, 0.9), default=0.0, show_default=True,
              help="Share of the training rows held out to watch.")  # fmt: skip
@_backend_option
@click.option("--threads", type=click.IntRange(1), help="[default: all that the process may use]")
@click.option("--out", type=click.Path(dir_okay=False, path_type=Path), callback=_in_a_directory,
              help="Write the model to this file.")  # fmt: skip
@_json_option
def train(data_name, loss, rule, lr, schedule, epochs, batch_size, l2, seed, validation, backend, threads, out,
          as_json):  # fmt: skip
    """Train a linear classifier on DATA: 'digits', or an .npz file.

    An .npz file holds x_train, y_train, x_test, y_test, or X and y, of which a fifth is for testing.
    """
    began = time.perf_counter()
    dataset = _load(data_name, seed)
    _refuse_regression(dataset)
    chosen = _rule(rule, lr)
    try:
        fit = _train_with_bar(
            dataset.x_train,
            dataset.y_train,
            loss=_LOSSES[loss],
            rule=chosen,
            schedule=_SCHEDULES[schedule],
            epochs=epochs,
            batch_size=batch_size or None,
            l2=l2,
            seed=seed,
            validation=validation or None,
            backend=backend,
            threads=threads,
            scale=dataset.scale,
            classes=dataset.classes,
        )
    except fo.Diverged as error:
        kept = "Nothing was written"
        if out is not None:
            _save(error.fit, out)
            kept = f"The last good parameters are in {out}"
        where = f"training diverged at step {error.step} with learning rate {error.lr:g}"
        raise click.ClickException(f"{where}. {kept}; try a smaller --lr") from error
    except (ValueError, TypeError, ImportError) as error:
        raise click.ClickException(str(error)) from error
    if out is not None:
        _save(fit, out)
    _report(fit, dataset, chosen, choose.resolve(backend, chosen), out, as_json, time.perf_counter() - began)
    if fit.interrupted:
        sys.exit(130)


def _load(name, seed=0):
    try:
        return data.load(name, seed)
    except (FileNotFoundError, ValueError) as error:
        raise click.ClickException(str(error)) from error


def _save(fit, out):
    """Write the model; where there is no room for it, beside temporary files rather than not at all."""
    try:
        fit.save(out)
    except OSError as error:
        handle, rescued = tempfile.mkstemp(suffix=".npz", prefix="fastopt-model-")
        os.close(handle)
        try:
            fit.save(rescued)
        except OSError as again:
            raise click.ClickException(f"{out} cannot be written: {error.strerror}") from again
        raise click.ClickException(
            f"{out} cannot be written: {error.strerror}. The model is in {rescued}"
        ) from error


def _refuse_regression(dataset):
    """Real numbers would become a class per value."""
    classes = dataset.classes
    if classes.dtype.kind == "f" and not (np.floor(classes) == classes).all():
        example = classes[np.floor(classes) != classes][0]
        raise click.ClickException(
            f"{dataset.name}: the labels are real numbers, such as {example:g}, and this command trains "
            "classifiers. For regression, in Python: fastopt.train(X, y, fastopt.SquaredError())"
        )


def _rule(name, lr):
    lr = _LR.get(name) if lr is None else lr
    try:
        return rules.checked(_RULES[name]() if lr is None else _RULES[name](lr=lr))
    except ValueError as error:
        raise click.ClickException(str(error)) from error


def _train_with_bar(X, y, **options):
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (
        TextColumn("epoch {task.fields[epoch]}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("loss {task.fields[loss]}"),
        TimeRemainingColumn(),
    )
    console = Console(stderr=True)
    with Progress(*columns, console=console, disable=not console.is_terminal) as bar:
        task = bar.add_task("", total=None, epoch="-", loss="-")

        def show(p):
            bar.update(
                task, total=p.steps, completed=p.step, epoch=f"{p.epoch}/{p.epochs}", loss=f"{p.loss:.4f}"
            )

        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # that it was interrupted is said below, in one line
            return fo.train(X, y, progress=show, **options)


def _report(fit, dataset, rule, backend, out, as_json, seconds):
    loss_test, accuracy = fit.evaluate(dataset.x_test, dataset.y_test)
    last = {name: values[-1] for name, values in fit.history.items() if len(values)}
    n, features = dataset.x_train.shape
    if as_json:
        record = {
            "data": dataset.name,
            "rows": n,
            "features": features,
            "classes": len(dataset.classes),
            "loss": type(fit.loss).__name__,
            "rule": type(rule).__name__,
            "lr": rule.lr,
            "epochs": int(last.get("epoch", 0)),
            "steps": fit.steps,
            "loss_train": last.get("loss_train"),
            "loss_validation": last.get("loss_validation"),
            "accuracy_validation": last.get("accuracy_validation"),
            "loss_test": loss_test,
            "accuracy_test": accuracy,
            "seconds": seconds,
            "seconds_training": float(np.sum(fit.history.get("seconds", 0.0))),
            "backend": backend,
            "interrupted": fit.interrupted,
            "out": None if out is None else str(out),
        }
        click.echo(json.dumps({k: _plain(v) for k, v in record.items()}))
        return
    click.echo(
        f"{dataset.name}: {n:,} rows x {features} features, {len(dataset.classes)} classes; "
        f"{type(fit.loss).__name__}, {type(rule).__name__}(lr={rule.lr:g}), back end {backend}"
    )
    if fit.interrupted:
        click.echo("interrupted: this is the model so far")
    click.echo(
        f"{fit.steps:,} steps in {seconds:.2f} s, training loss {last.get('loss_train', float('nan')):.4f}"
    )
    if last.get("accuracy_validation", float("nan")) == last.get("accuracy_validation"):
        click.echo(f"validation accuracy {last['accuracy_validation']:.4f}")
    click.echo(f"test accuracy {accuracy:.4f} on {len(dataset.y_test):,} rows that were not trained on")
    if out is not None:
        click.echo(f"model written to {out}")


def _plain(value):
    """JSON has no NaN: null stands for what was not measured."""
    if isinstance(value, (float, np.floating)):
        return float(value) if np.isfinite(value) else None
    return value


@main.command()
@click.argument("model", type=click.Path(exists=True, dir_okay=False))
@click.argument("data_name", metavar="DATA")
@click.option(
    "--out",
    type=click.Path(dir_okay=False),
    callback=_in_a_directory,
    help="Write the predictions here as text, one a line.",
)
@_json_option
def predict(model, data_name, out, as_json):
    """Predict the test rows of DATA with a MODEL that `fastopt train --out` wrote.

    Prints one class a line, or with --json the accuracy alone.
    """
    dataset = _load(data_name)
    try:
        fit = Fit.load(model)
        predicted = fit.predict(dataset.x_test)
    except ValueError as error:
        raise click.ClickException(str(error)) from error
    accuracy = float((predicted == dataset.classes[dataset.y_test]).mean())
    if out is not None:
        try:
            with files.replacing(out) as file:
                file.write("".join(f"{p}\n" for p in predicted).encode())
        except OSError as error:
            raise click.ClickException(f"{out} cannot be written: {error.strerror}") from error
    if as_json:
        click.echo(json.dumps({"rows": len(predicted), "accuracy": accuracy, "out": out}))
        return
    if out is None:
        click.echo("\n".join(str(p) for p in predicted))
    click.echo(f"accuracy {accuracy:.4f} on {len(predicted):,} rows", err=True)


@main.command()
@_json_option
def info(as_json):
    """Show versions, CPU features, threads, the cache, and which kernels are compiled."""
    try:
        fo.show_info(as_json=as_json)
    except (ValueError, ImportError) as error:
        raise click.ClickException(str(error)) from error


@main.command()
@_backend_option
def warmup(backend):
    """Compile the usual kernels into the disk cache, so that later processes start at once."""
    from rich.console import Console
    from rich.progress import track

    from fastopt.warm import usual_kernels

    if choose.resolve(backend) != "numba":
        click.echo("nothing to compile: the back end is not numba")
        return
    console = Console(stderr=True)
    began, jobs = time.perf_counter(), usual_kernels()
    for _, compile_one in track(jobs, "compiling", console=console, disable=not console.is_terminal):
        compile_one()
    click.echo(f"{len(jobs)} kernels ready in {time.perf_counter() - began:.1f} s")


@main.command()
@click.option("--quick", is_flag=True, help="The essential part, in under two minutes.")
@click.option(
    "--only", type=click.Choice(GROUPS), multiple=True, help="A group to measure; may be given several times."
)
@_json_option
@click.option(
    "--out", type=click.Path(dir_okay=False, path_type=Path), help="Keep the record in this JSON file."
)
@click.option("--html", type=click.Path(dir_okay=False, path_type=Path), help="Write a page with pictures.")
def bench(quick, only, as_json, out, html):
    """Measure fastopt against NumPy, peers that are installed, and this machine's limits."""
    from rich.console import Console

    from fastopt.bench import page, suite, tables

    if quick and set(only) == {"scaling"}:
        raise click.UsageError("scaling is not part of --quick: leave one of them out")
    console = Console(stderr=True)
    with console.status("measuring") as status:
        record = suite.run(
            quick, lambda done, total, what: status.update(f"{done}/{total} {what}"), only or GROUPS
        )
    if out is not None:
        out.write_text(json.dumps(record, indent=1) + "\n")
    if html is not None:
        page.write(record, html)
    if as_json:
        click.echo(json.dumps(record))
    else:
        tables.print_record(record, Console())
