"""fastopt train: a linear model from a file."""

import shlex
import sys
import time
import warnings
from contextlib import contextmanager

import click

import fastopt as fo
from fastopt.cli import large, models, options, outcome, progress, rates, settings
from fastopt.readers import dataset, open_data
from fastopt.readers.preparation import MISSING, UNKNOWN, feature_names

SOLVERS = ("sgd", "auto", "lbfgs", "newton", "prox-newton", "dual", "local-sgd")


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
    "--soft-labels",
    metavar="A,B,...",
    callback=lambda _, __, text: [] if text is None else _columns(text),
    help="Table: the columns with the probability of each class, in the place of one of labels.",
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
    "--loss",
    type=click.Choice(list(models.LOSSES)),
    metavar="LOSS",
    help=f"{', '.join(models.LOSSES)}.  [default: softmax; squared-error in regression]",
)
@click.option(
    "--rule",
    "rule_name",
    type=click.Choice([*models.RULES, *models.AROUND]),
    metavar="RULE",
    help=f"The update rule: {', '.join(models.RULES)}; around a --base: {', '.join(models.AROUND)}.",
    default="momentum",
    show_default=True,
)
@click.option(
    "--base",
    type=click.Choice(list(models.RULES)),
    metavar="RULE",
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
    "--batch-size",
    type=click.IntRange(0),
    help="Rows a step; 0: all rows.  [default: 128; all of them for rprop]",
)
@click.option("--l2", type=click.FloatRange(0), default=0.0, show_default=True)
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True)
@click.option(
    "--solver",
    type=click.Choice(SOLVERS),
    default="sgd",
    show_default=True,
    help="Epochs of the rule, or a solver that finds the optimum. local-sgd: epochs on each partition of --workers, averaged "
    "now and then.",
)
@click.option(
    "--local-steps", type=click.IntRange(1), help="Of local-sgd: steps between two averages.  [default: 100]"
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
@click.option("--checkpoint", type=click.Path(dir_okay=False), callback=options.in_a_directory,
              help="A file to write after every epoch or iteration; where it is there, the run goes on from it.")  # fmt: skip
@click.option("--log", "log_file", type=click.Path(dir_okay=False), callback=options.in_a_directory,
              help="Write each epoch's numbers to this JSONL file.")  # fmt: skip
@options.quiet_option
@options.json_option
def train(**given):
    """Train a linear model on DATA: 'digits', a file, a folder of images, or - for standard input.

    \b
    CSV, Parquet, Arrow     a row a row; text becomes categories
    LIBSVM / SVMlight       plain, .gz, .bz2 or .xz
    .npz                    x_train, y_train, x_test, y_test; or X and y; or a CSR matrix;
                            y of (rows, classes) has the probability of each class
    .npy, IDX               with --labels, or IDX labels beside it
    a folder                of images, a folder a class

    \b
    fastopt train digits --rule adam --epochs 20
    fastopt train people.csv --target income --drop born --missing mean --out model.npz
    fastopt train houses.parquet --target price --regression --out model.npz
    """
    began = time.perf_counter()
    options.apart(given["out"], given["data_name"], given["labels"])
    if given["in_parts"] or given["workers"] or given["scheduler"]:
        return large.train(given)
    if given["solver"] == "local-sgd":
        raise click.UsageError("--solver local-sgd averages over partitions: say --workers N or --scheduler")
    found = _read(given)
    say = (lambda text: None) if given["quiet"] or given["as_json"] else click.echo
    say("\n".join(found.notes))
    loss = models.LOSSES[given["loss"] or ("squared-error" if given["regression"] else "softmax")]
    if found.y_train.ndim == 2 and type(loss) not in fo.losses.OF_SHARES:
        raise click.UsageError(f"--loss {given['loss']} has no soft labels: softmax and logistic have")
    run = {
        "loss": loss, "scale": found.scale, "classes": found.classes, "validation": given["validation"] or None,
        "class_weight": "balanced" if given["balanced"] else None,
        **{name: given[name] for name in ("l2", "seed", "backend", "threads", "checkpoint")},
    }  # fmt: skip
    run |= _of_epochs(given, found, loss, say) if given["solver"] == "sgd" else _of_solver(given)
    with _logged(given["log_file"], given["data_name"], run):
        fit = _fitted(found, run, given)
    rule = run.get("rule")
    if rule is not None and not given["balanced"]:
        _refuse_growth(fit, found, loss, rates.base(rule).lr)
    fit.preparation = found.record
    out = given["out"] if given["out"] is None else models.save(fit, given["out"])
    record = outcome.record(fit, found, rule, given, out, time.perf_counter() - began)
    if rule is not None:
        names = feature_names(found.record)
        findings = fo.diagnose(
            fit, found.x_train, found.y_train, rule=rates.base(rule), l2=run["l2"], names=names
        )
        record["diagnosis"] = [str(finding) for finding in findings]
    options.echo_json(record) if given["as_json"] else outcome.say(fit, record, rule)
    if fit.interrupted:
        sys.exit(130)


def _read(given):
    """The rows to train on and to test on."""
    data = open_data(given["data_name"], **{name: given[name] for name in options.READING})
    columns = {name: given[name] for name in ("categorical", "missing", "unknown")}
    if given["soft_labels"]:
        if given["target"] is not None or given["regression"]:
            other = "--regression" if given["regression"] else "--target"
            raise click.UsageError(f"--soft-labels and {other}: give one of them")
        columns["shares"] = given["soft_labels"]
    if given["target"] is not None or given["drop"]:
        columns |= {"target": given["target"], "drop": given["drop"]}
    kind = {name: given[name] for name in ("seed", "test", "regression", "standardize")}
    return dataset.training_set(data, **kind, **columns)


def _columns(text):
    names = [name.strip() for name in text.split(",")]
    if len(names) < 2 or not all(names) or len(set(names)) < len(names):
        raise click.BadParameter(f"{text!r}: two columns or more, a,b,c, each once")
    return names


def _of_epochs(given, found, loss, say):
    """Arguments of fo.train for epochs of a rule, its learning rate tried on some rows."""
    if given["l1"]:
        raise click.UsageError("--l1 needs a --solver, such as auto: epochs of a rule do not make weights 0")
    for name in ("tol", "max_seconds"):
        if given[name] is not None:
            raise click.UsageError(
                f"--{name.replace('_', '-')} is of a --solver, such as auto: epochs of a rule end with --epochs"
            )
    if given["early_stopping"] and not given["validation"]:
        raise click.UsageError("--early-stopping watches rows that are held out: say --validation 0.1 too")
    lr, batch = given["lr"], models.batch(given["batch_size"], given["rule_name"], given["base"])
    rule = models.rule(given["rule_name"], lr, given["fields"], given["base"])
    rule, tried = rates.chosen(rule, lr, found, loss, batch, given["l2"], given["seed"], given["epochs"])
    if tried:
        say(tried)
    schedule = given["schedule"] or (
        "constant" if given["rule_name"].startswith("schedulefree") else "cosine"
    )
    return {"rule": rule, "schedule": models.SCHEDULES[schedule], "batch_size": batch,
            **{name: given[name] for name in ("epochs", "early_stopping", "average")}}  # fmt: skip


def _of_solver(given):
    """Arguments of fo.train for a solver."""
    if given["average"] is not None:
        raise click.UsageError("--average is of epochs of a rule; a solver's end is the optimum itself")
    penalty = fo.L1(given["l1"]) if given["l1"] else None
    return {
        "penalty": penalty,
        **{name: given[name] for name in ("solver", "max_iter", "max_seconds", "tol")},
    }


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


def _fitted(found, run, given):
    epochs = None if "solver" in run else given["epochs"]
    try:
        with progress.shown(given["quiet"], epochs) as show, warnings.catch_warnings():
            warnings.simplefilter("ignore")  # that it was interrupted is said below, in one line
            return fo.train(found.x_train, found.y_train, **show, **run)
    except fo.Diverged as error:
        kept, out = "Nothing was written", given["out"]
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
