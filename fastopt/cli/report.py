"""fastopt report: a page about runs."""

import shlex
import sys
from pathlib import Path

import click

from fastopt.cli import options
from fastopt.readers import dataset, open_data
from fastopt.readers.preparation import feature_names
from fastopt.reports.command import output_option, save


@click.command(short_help="A page about one run or several, side by side.")
@click.argument(
    "runs", nargs=-1, required=True, metavar="RUN...", type=click.Path(exists=True, dir_okay=False)
)
@click.option(
    "--data", "data_name", metavar="DATA", help="What a model was trained on: its test rows are scored."
)
@click.option(
    "--shape",
    callback=options.size,
    help="The features are pixels, WIDTHxHEIGHT.  [default: squares are found]",
)
@click.option("--title", help="Of the page.")
@output_option("report.html")
def report(runs, data_name, shape, title, out):
    """A page about RUN...: model files that `fastopt train --out` wrote, or logs of `--log`.

    Of m.npz the log m.jsonl beside it is taken too. Curves, learning rate, gradient norm, diagnosis and
    configuration; with --data confusion matrix and ROC; weights as images or by name.

    \b
    fastopt train digits --out a.npz --log a.jsonl
    fastopt report a.npz --data digits -o report.html
    """
    from fastopt.reports import report as writer
    from fastopt.reports.runs import load

    loaded = [load(path) for path in runs]
    fits = [run.fit for run in loaded if run.fit is not None]
    X = y = None
    if data_name is not None and fits:
        X, y = test_rows(fits[0], data_name)
    names = feature_names(fits[0].preparation) if fits else None
    size = None if shape is None else (shape[1], shape[0])
    command = f"fastopt {shlex.join(sys.argv[1:])}" if Path(sys.argv[0]).stem == "fastopt" else None
    save(out, writer.report(loaded, X, y, shape=size, names=names, title=title, command=command))


def test_rows(fit, data_name):
    """(X, y) of the rows that the model was not trained on, as it takes them."""
    record = fit.preparation or {}
    held = record.get("held_out") or {}
    options_of: dict = {"standardize": "shift" in record}
    if record.get("kind") != "matrix" and record:
        options_of = {k: record[k] for k in ("target", "missing", "unknown") if k in record}
        options_of["drop"] = tuple(record.get("dropped", ()))
    regression = fit.classes is None and fit.loss.one_row == "real"
    found = dataset.training_set(
        open_data(data_name),
        seed=held.get("seed", 0),
        test=held.get("share", 0.2),
        regression=regression,
        **options_of,
    )
    same = not held or found.record.get("held_out", {}).get("digest") == held["digest"]
    if not same:
        raise click.ClickException(
            f"{data_name} is not the data that the model was trained on: its test rows are not known"
        )
    if not len(found.y_test):
        raise click.ClickException(f"{data_name} has no test rows: the model was trained on all of it")
    return found.x_test, found.y_test
