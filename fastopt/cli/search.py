"""fastopt search: hyperparameters, by what they do to rows that are held out."""

import math
import sys

import click
import numpy as np

import fastopt as fo
from fastopt.cli import models, options
from fastopt.readers import dataset, open_data
from fastopt.readers.preparation import MISSING

METHODS = ("grid", "random", "halving")


def numbers(context, parameter, text):
    """The values of "1e-3,1e-2" or, spaced by factors, of "1e-4..1e-1" (five of them)."""
    if text is None:
        return [None]
    try:
        if ".." in text:
            low, high = map(float, text.split(".."))
            values = np.geomspace(low, high, 5).tolist() if 0 < low < high else []
        else:
            values = [float(v) for v in text.split(",") if v.strip()]
    except ValueError:
        values = []
    if not values or not all(math.isfinite(v) and v >= 0 for v in values):
        raise click.BadParameter(f"{text!r}: say 1e-3,1e-2 or 1e-4..1e-1")
    return values


@click.command(short_help="Find hyperparameters on held-out rows.")
@click.argument("data_name", metavar="DATA")
@click.option(
    "--method",
    type=click.Choice(METHODS),
    default="grid",
    show_default=True,
    help="All combinations; some of them; or all for few epochs and the better half for more.",
)
@click.option("--lr", default="1e-3..1", callback=numbers, show_default=True, help="Learning rates.")
@click.option("--l2", default="0,1e-4,1e-2", callback=numbers, show_default=True)
@click.option("--batch-size", callback=numbers, help="[default: 128; 0, all rows, for rprop]")
@click.option("--trials", type=click.IntRange(1), default=10, show_default=True, help="Of the random method.")
@click.option(
    "--loss",
    type=click.Choice(list(models.LOSSES)),
    metavar="LOSS",
    help="As of fastopt train.  [default: softmax; squared-error in regression]",
)
@click.option(
    "--rule",
    "rule_name",
    type=click.Choice(list(models.RULES)),
    metavar="RULE",
    default="momentum",
    show_default=True,
    help="As of fastopt train.",
)
@click.option("--epochs", type=click.IntRange(1), default=20, show_default=True)
@click.option(
    "--validation",
    type=click.FloatRange(0.01, 0.9),
    default=0.2,
    show_default=True,
    help="Share of the training rows held out to choose by.",
)
@click.option("--target", help="Table: the column of labels.")
@click.option("--drop", multiple=True, metavar="COLUMN", help="Table: leave a column out.")
@click.option("--missing", type=click.Choice(MISSING), default="refuse", show_default=True)
@click.option("--regression", is_flag=True, help="Labels are numbers to be met, not classes.")
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True)
@options.reading_options
@options.out_option("Write the best model to this file.")
@options.json_option
def search(data_name, method, lr, l2, batch_size, trials, loss, rule_name, epochs, validation, target, drop, missing,
           regression, seed, out, as_json, **reading):  # fmt: skip
    """Train on DATA with many hyperparameters and show what they do to rows that are held out.

    The training accuracy stands beside: far above the other it means overfitting. Test rows are
    looked at once, by the best model.

    \b
    fastopt search digits --lr 1e-2..1 --l2 0,1e-4,1e-3
    fastopt search people.csv --target income --method halving --out model.npz
    """
    options.apart(out, data_name, reading["labels"])
    data = open_data(data_name, **reading)
    columns = {} if not hasattr(data, "columns") else {"target": target, "drop": drop, "missing": missing}
    found = dataset.training_set(data, seed=seed, regression=regression, **columns)
    loss = models.LOSSES[loss or ("squared-error" if regression else "softmax")]
    space = {"lr": lr, "l2": l2, "batch_size": [models.batch(size, rule_name) for size in batch_size]}
    result = fo.search(
        space, found.x_train, found.y_train, validation=validation, method=method, keep=0.5, seed=seed,
        samples=trials if method == "random" else None, progress=not as_json and sys.stderr.isatty(), loss=loss, epochs=epochs,
        rule=models.rule(rule_name, None), scale=found.scale, classes=found.classes,
        schedule=models.SCHEDULES["cosine"],
    )  # fmt: skip
    fit, rows = result.fit, [_flat(row, result.measure) for row in result.trials]
    interrupted = result.message.startswith("interrupted")
    if fit is None:
        none_good = "every trial diverged: try smaller values of --lr"
        raise click.ClickException("interrupted before a trial ended well" if interrupted else none_good)
    fit.preparation = found.record
    record = {"data": found.name, "method": method, "trials": rows, "best": result.x, "out": out}
    measure = None
    if len(found.y_test):
        measure, record["test"] = _measured(fit, found.x_test, found.y_test)
    if out is not None:
        record["out"] = models.save(fit, out)
    options.echo_json(record) if as_json else _say(record, result, lr, measure, len(found.y_test))
    if interrupted:
        sys.exit(130)


def _say(record, result, lr, measure, rows):
    """What was found, for people. measure: what the test rows, so many, were told by."""
    _show(record["trials"])
    if not result.success:
        click.echo(f"interrupted: trials made: {len(result.trials)}")
    click.echo(
        "best: "
        + ", ".join(f"{k.replace('_', ' ')} {'all' if v is None else f'{v:g}'}" for k, v in result.x.items())
    )
    if len(lr) > 1 and result.x["lr"] in (min(lr), max(lr)):
        which = "largest" if result.x["lr"] == max(lr) else "smallest"
        click.echo(f"its learning rate is the {which} that was tried: there may be a better one beyond")
    if "test" in record:
        click.echo(f"test {measure} {record['test']:.4f} on {rows:,} rows that were not trained on")
    if record["out"] is not None:
        click.echo(f"model written to {record['out']}")


def _flat(row, measure):
    """A trial as it is shown; score: the larger the better."""
    value = row["validation"]
    score = -math.inf if value is None else value if measure == "accuracy" else -value
    shown = {name: row[name] for name in ("epochs", "training", "validation", "diverged")}
    return {**row["point"], **shown, "score": score}


def _measured(fit, X, y):
    """("accuracy" or "error", its value)."""
    if fit.classes is None:
        return "error", float(np.sqrt(np.mean((fit.predict(X) - y) ** 2)))
    return "accuracy", float(np.mean(fit.predict(X) == fit.classes[y]))


def _show(rows):
    from rich.console import Console
    from rich.table import Table

    table = Table(box=None)
    names = ("lr", "l2", "batch_size", "epochs", "training", "validation")
    for name in names:
        table.add_column(name.replace("_", " "), justify="right")
    for row in sorted(rows, key=lambda r: (-r["epochs"], -r["score"])):
        values = [f"{row[k]:.4f}" if row[k] is not None else "diverged" for k in names[4:]]
        table.add_row(*("all" if row[k] is None else f"{row[k]:.4g}" for k in names[:4]), *values)
    Console().print(table)
