"""fastopt predict: all rows of a file, in order, by a model."""

from pathlib import Path

import click

from fastopt.cli import models, options, scoring, writers
from fastopt.readers import open_data
from fastopt.readers.dataset import prepared_parts


@click.command(short_help="Predict the rows of a file.")
@click.argument("model", type=click.Path(exists=True, dir_okay=False))
@click.argument("data_name", metavar="DATA")
@options.reading_options
@click.option("--probabilities", is_flag=True, help="With the probability of each class.")
@options.out_option("Write here: .csv, .parquet, or one prediction a line for any other name.")
@options.json_option
def predict(model, data_name, probabilities, out, as_json, **reading):
    """Predict every row of DATA, in order, with a MODEL that `fastopt train --out` wrote.

    DATA may have labels or not. Prints one prediction a line; where there are labels, the accuracy on
    standard error: on the rows that were held out, if these are the rows that the model was trained on.

    \b
    fastopt predict model.npz new.csv
    fastopt predict model.npz new.parquet --probabilities --out predictions.parquet
    cat new.csv | fastopt predict model.npz -
    """
    options.apart(out, data_name, model, reading["labels"])
    fit = models.load(model)
    if probabilities:
        scoring.refuse_without_probabilities(fit)
    data = open_data(data_name, features=fit.W.shape[1], **reading)
    tally = scoring.Tally(fit)
    with writers.writer(out, fit, probabilities, silent=as_json) as write:
        for X, y, whole in prepared_parts(data, fit.preparation, fit.W.shape[1], fit.W.dtype, fit.scale):
            scores = fit.scores(X)
            write(fit._decide(scores), scoring.probabilities(fit, scores) if probabilities else None, whole)
            tally.add(X, y, scores, whole)
    if as_json:
        options.echo_json(tally.record() | {"out": None if out is None else str(Path(out))})
        return
    if line := tally.line():
        click.echo(line, err=True)
    if out is not None:
        click.echo(f"{tally.rows:,} predictions written to {out}", err=True)
