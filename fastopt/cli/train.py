"""fastopt train: a linear model from a file."""

import shlex
import sys
import time
import warnings
from contextlib import contextmanager

import click
import numpy as np

import fastopt as fo
from fastopt.cli import large, models, options, progress, rates, settings
from fastopt.engines import choose
from fastopt.readers import dataset, open_data
from fastopt.readers.preparation import MISSING, UNKNOWN, feature_names

SOLVERS = ("sgd", "auto", "lbfgs", "newton", "prox-newton", "dual")


@click.command(short_help="Train a linear model on a file.")
@click.argument("data_name", metavar="DATA")
@click.option(
    "--settings",
    is_eager=True,
    expose_value=False,
    callback=settings.read,
    metavar="FILE",
    type=click.Path(exists=True, dir_okay=False),
    help="Take options from a TOML file.",
)
@click.option(
    "--target", help="Table: the column of labels.  [default: label, target, class, y, or the last]"
)
@click.option(
    "--drop", multiple=True, metavar="COLUMN", help="Table: leave a column out; may be given several times."
)
@click.option(
    "--categorical", multiple=True, metavar="COLUMN", help="Table: a column of numbers that are names."
)
@click.option(
    "--missing",
    type=click.Choice(MISSING),
    default="refuse",
    show_default=True,
    help="Table: what a missing value is taken for; drop leaves its row out.",
)
@click.option(
    "--unknown",
    type=click.Choice(UNKNOWN),
    default="ignore",
    show_default=True,
    help="Table: categories at predict time that training did not have.",
)
@click.option(
    "--standardize/--no-standardize",
    default=None,
    help="Features with mean 0 and deviation 1.  [default: columns of tables]",
)
@click.option(
    "--test",
    type=click.FloatRange(0, 0.9),
    default=0.2,
    show_default=True,
    help="Share of the rows held out to test on, where DATA has no test part.",
)
@options.reading_options
@click.option("--regression", is_flag=True, help="Labels are numbers to be met, not classes.")
@click.option(
    "--loss", type=click.Choice(list(models.LOSSES)), help="[default: softmax; squared-error in regression]"
)
@click.option(
    "--rule",
    "rule_name",
    type=click.Choice([*models.RULES, *models.AROUND]),
    default="momentum",
    show_default=True,
)
@click.option(
    "--base",
    type=click.Choice(list(models.RULES)),
    help=f"The rule inside {', '.join(models.AROUND)}.  [default: momentum]",
)
@click.option(
    "--average",
    metavar="mean|tail|DECAY",
    callback=lambda _, __, text: _average(text),
    help="The mean of the parameters over the run, over its second half, or an exponential one of this decay a step.",
)
@click.option(
    "--lr", type=float, help="Learning rate.  [default: one that suits the rule, tried on some rows]"
)
@click.option(
    "--set", "fields", multiple=True, metavar="NAME=VALUE", help="Another hyperparameter of the rule."
)
@click.option(
    "--schedule",
    type=click.Choice(list(models.SCHEDULES)),
    help="[default: cosine; constant for schedule-free rules]",
)
@click.option("--epochs", type=click.IntRange(1), default=50, show_default=True)
@click.option(
    "--batch-size", type=click.IntRange(0), default=128, show_default=True, help="Rows a step; 0: all rows."
)
@click.option("--l2", type=click.FloatRange(0), default=0.0, show_default=True)
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True)
@click.option(
    "--solver",
    type=click.Choice(SOLVERS),
    default="sgd",
    show_default=True,
    help="Epochs of the rule, or a solver that finds the optimum.",
)
@click.option("--l1", type=click.FloatRange(0), default=0.0, show_default=True, help="Of a solver.")
@click.option("--tol", type=click.FloatRange(0), help="Of a solver: the gradient's size at which it ends.")
@click.option("--max-iter", type=click.IntRange(1), default=1000, show_default=True, help="Of a solver.")
@click.option("--max-seconds", type=click.FloatRange(0, min_open=True), help="Of a solver.")
@click.option("--balanced", is_flag=True, help="Rows of rare classes weigh more.")
@click.option(
    "--early-stopping",
    type=click.IntRange(1),
    metavar="EPOCHS",
    help="End after so many epochs without a lower validation loss.",
)
@click.option(
    "--validation",
    type=click.FloatRange(0, 0.9),
    default=0.0,
    show_default=True,
    help="Share of the training rows held out to watch.",
)
@click.option(
    "--in-parts", is_flag=True, help="Read DATA part by part at every pass: it need not fit into memory."
)
@click.option(
    "--workers", type=click.IntRange(1), help="With a --solver: on so many processes (Dask), files by rows."
)
@click.option("--scheduler", metavar="ADDRESS", help="The same on the workers of a Dask scheduler.")
@options.backend_option
@click.option("--threads", type=click.IntRange(1), help="[default: all that the process may use]")
@options.out_option("Write the model to this file.")
@click.option("--log", "log_file", type=click.Path(dir_okay=False), callback=options.in_a_directory,
              help="Write each epoch's numbers to this JSONL file.")  # fmt: skip
@options.quiet_option
@options.json_option
def train(data_name, target, drop, categorical, missing, unknown, standardize, test, regression, loss, rule_name,
          lr, fields, schedule, epochs, batch_size, l2, seed, validation, solver, l1, tol, max_iter, max_seconds, balanced,
          early_stopping, base, average, in_parts, workers, scheduler, backend, threads, out, log_file, quiet, as_json, **reading):  # fmt: skip
    """Train a linear model on DATA: 'digits', a file, a folder of images, or - for standard input.

    \b
    CSV, Parquet, Arrow     a row a row; text becomes categories
    LIBSVM / SVMlight       plain, .gz, .bz2 or .xz
    .npz                    x_train, y_train, x_test, y_test; or X and y; or a CSR matrix
    .npy, IDX               with --labels, or IDX labels beside it
    a folder                of images, a folder a class

    \b
    fastopt train digits --rule adam --epochs 20
    fastopt train people.csv --target income --drop born --missing mean --out model.npz
    fastopt train houses.parquet --target price --regression --out model.npz
    """
    began = time.perf_counter()
    options.apart(out, data_name, reading["labels"])
    if in_parts or workers or scheduler:
        return large.train(click.get_current_context().params)
    data = open_data(data_name, **reading)
    columns = {} if target is None and not drop else {"target": target, "drop": drop}
    columns |= {"categorical": categorical, "missing": missing, "unknown": unknown}
    found = dataset.training_set(
        data, seed=seed, test=test, regression=regression, standardize=standardize, **columns
    )
    if not quiet and not as_json:
        click.echo("\n".join(found.notes))
    loss = models.LOSSES[loss or ("squared-error" if regression else "softmax")]
    batch = batch_size or None
    run = {
        "loss": loss, "l2": l2, "seed": seed, "validation": validation or None, "backend": backend,
        "threads": threads, "scale": found.scale, "classes": found.classes,
        "class_weight": "balanced" if balanced else None,
    }  # fmt: skip
    chosen = None
    if solver == "sgd":
        if l1:
            raise click.UsageError(
                "--l1 needs a --solver, such as auto: epochs of a rule do not make weights 0"
            )
        if tol is not None or max_seconds is not None:
            given = "--tol" if tol is not None else "--max-seconds"
            raise click.UsageError(
                f"{given} is of a --solver, such as auto: epochs of a rule end with --epochs"
            )
        chosen, tried = rates.chosen(
            models.rule(rule_name, lr, fields, base), lr, found, loss, batch, l2, seed
        )
        if tried and not quiet and not as_json:
            click.echo(tried)
        schedule = schedule or ("constant" if rule_name.startswith("schedulefree") else "cosine")
        run |= {"rule": chosen, "schedule": models.SCHEDULES[schedule], "epochs": epochs, "batch_size": batch,
                "early_stopping": early_stopping, "average": average}  # fmt: skip
    else:
        if average is not None:
            raise click.UsageError("--average is of epochs of a rule; a solver's end is the optimum itself")
        run |= {
            "solver": solver,
            "max_iter": max_iter,
            "max_seconds": max_seconds,
            "tol": tol,
            "penalty": fo.L1(l1) if l1 else None,
        }
    with _logged(log_file, data_name, run):
        fit = _fitted(found, run, out, quiet, epochs)
    if chosen is not None and not balanced:
        _refuse_growth(fit, found, loss, rates.base(chosen).lr)
    fit.preparation = found.record
    if out is not None:
        out = models.save(fit, out)
    seconds = time.perf_counter() - began
    record = _record(fit, found, chosen, choose.resolve(backend, rates.base(chosen), loss), out, seconds)
    if chosen is not None:
        findings = fo.diagnose(
            fit,
            found.x_train,
            found.y_train,
            rule=rates.base(chosen),
            l2=l2,
            names=feature_names(found.record),
        )
        record["diagnosis"] = [str(finding) for finding in findings]
    options.echo_json(record) if as_json else _say(fit, record, chosen)
    if fit.interrupted:
        sys.exit(130)


def _average(text):
    """What fo.train takes for --average."""
    if text is None or text == "tail":
        return text
    if text == "mean":
        return True
    try:
        decay = float(text)
    except ValueError:
        decay = -1.0
    if not 0 < decay < 1:
        raise click.BadParameter(f"{text!r}: mean, tail, or a decay between 0 and 1")
    return decay


@contextmanager
def _logged(path, data_name, run):
    """With run["log"], which writes the epochs into the file, where there is one."""
    if path is None:
        yield
        return
    if "solver" in run:
        raise click.UsageError("--log is for epochs; a solver has none")
    run["log"] = fo.JsonLog(path, _config(data_name, run))
    try:
        yield
    finally:
        run["log"].close()


def _config(data_name, run):
    """What the first line of a log says: how to do it again."""
    texts = {k: str(v) for k, v in run.items() if k in ("loss", "rule", "schedule")}
    numbers = {k: run[k] for k in ("epochs", "batch_size", "l2", "seed", "validation", "backend", "threads")}
    command = shlex.join(["fastopt", *sys.argv[1:]])
    return {"command": command, "fastopt": fo.__version__, "data": data_name, **texts, **numbers}


def _fitted(found, run, out, quiet, epochs):
    try:
        with progress.shown(quiet, epochs) as show, warnings.catch_warnings():
            warnings.simplefilter("ignore")  # that it was interrupted is said below, in one line
            return fo.train(found.x_train, found.y_train, progress=show, **run)
    except fo.Diverged as error:
        kept = "Nothing was written"
        if out is not None:
            error.fit.preparation = found.record
            kept = f"The last good parameters are in {models.save(error.fit, out)}"
        where = f"training diverged at step {error.step} with learning rate {error.lr:g}"
        raise click.ClickException(f"{where}. {kept}; try a smaller --lr") from error


def _refuse_growth(fit, found, loss, lr):
    """A loss that ended far above that of weights of 0 is no success, though it is finite."""
    history = fit.history.get("loss_train", ())
    start = rates.loss_of_zeros(found, loss)
    if len(history) and not history[-1] <= 2 * start + 1e-12:
        raise click.ClickException(
            f"training diverged: with learning rate {lr:g} the loss grew from {start:.4g} to {history[-1]:.4g}. "
            "Nothing was written; try a smaller --lr"
        )


def _record(fit, found, rule, backend, out, seconds):
    last = {name: values[-1] for name, values in fit.history.items() if len(values)}
    loss_test = accuracy = None
    if len(found.y_test):
        loss_test, accuracy = fit.evaluate(found.x_test, found.y_test.astype(_target_dtype(fit, found)))
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
        "solver": getattr(getattr(fit, "report", None), "solver", "sgd"),
        "converged": getattr(getattr(fit, "report", None), "converged", None),
        "reason": getattr(getattr(fit, "report", None), "reason", None),
        "gradient_norm": getattr(getattr(fit, "report", None), "gradient_norm", None),
        "notes": list(getattr(getattr(fit, "report", None), "notes", ())),
        "objective": last.get("objective"),
        "nonzero": int(np.count_nonzero(fit.W)),
        "epochs": int(last.get("epoch", 0)),
        "steps": fit.steps,
        "loss_train": last.get("loss_train"),
        "loss_validation": last.get("loss_validation"),
        "accuracy_validation": last.get("accuracy_validation"),
        "loss_test": loss_test,
        "accuracy_test": accuracy,
        "rmse_test": _rmse(fit, found),
        "rows_test": len(found.y_test),
        "seconds": seconds,
        "seconds_training": float(np.sum(fit.history.get("seconds", 0.0))),
        "backend": backend,
        "interrupted": fit.interrupted,
        "out": out,
    }


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


def _say(fit, record, rule):
    kinds = "regression" if record["classes"] is None else f"{record['classes']} classes"
    click.echo(
        f"{record['data']}: {record['rows']:,} rows x {record['features']} features, {kinds}; "
        f"{record['loss']}, {_method(rule, record)}, back end {record['backend']}"
    )
    if fit.average is not None:
        click.echo(f"parameters: an average, {fit.average}")
    if fit.interrupted:
        click.echo("interrupted: this is the model so far")
    if rule is None:
        click.echo(str(fit.report))
        click.echo(f"{record['nonzero']:,} of {fit.W.size:,} weights are not 0")
    loss = record["loss_train"]
    click.echo(
        f"{fit.steps:,} steps in {record['seconds']:.2f} s" + (f", training loss {loss:.4f}" if loss else "")
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
