"""fastopt eval: how good a model is, by scikit-learn's measures."""

import click
import numpy as np

from fastopt.cli import models, options, scoring
from fastopt.readers import labels, open_data
from fastopt.readers.dataset import prepared_parts

SHOWN = 12  # classes of which a confusion matrix is printed


@click.command("eval", short_help="Measure a model on a file with labels.")
@click.argument("model", type=click.Path(exists=True, dir_okay=False))
@click.argument("data_name", metavar="DATA")
@options.reading_options
@click.option(
    "--threshold", type=float, help="Two classes: the probability (or score) from which it is the second."
)
@click.option("--positive", help="Two classes: the one that is looked for.  [default: the second]")
@options.json_option
def evaluate(model, data_name, threshold, positive, as_json, **reading):
    """Measure a MODEL on the rows of DATA, which has labels.

    Classes: accuracy beside that of the most frequent class, precision and recall of each class, the
    confusion matrix; for two classes sensitivity, specificity and the area under the ROC curve.
    Regression: the root of the mean square error, the mean absolute error, R2.
    If these are the rows that the model was trained on, only those that were held out count.

    \b
    fastopt eval model.npz test.csv
    fastopt eval model.npz test.csv --positive yes --threshold 0.3
    """
    fit = models.load(model)
    y, scores, tally = _scored(fit, open_data(data_name, features=fit.W.shape[1], **reading))
    if tally.regression:
        record = _regression(labels.targets(y, data_name), scores[:, 0])
    else:
        record = _classification(fit, y, scores, positive, threshold, data_name)
    record = {"data": data_name, "rows": len(scores), "on": tally.record()["on"]} | record
    options.echo_json(record) if as_json else _show(record)


def _scored(fit, data):
    """(labels, scores) of the rows that count, and the tally that tells them."""
    tally, y, blocks = scoring.Tally(fit), [], []
    for X, own, whole in prepared_parts(data, fit.preparation, fit.W.shape[1], fit.W.dtype, fit.scale):
        if own is None:
            raise click.ClickException(f"{data.name} has no labels: fastopt predict needs none")
        s = fit.scores(X)
        tally.add(X, own, s, whole)
        keep = [i for i in np.flatnonzero(whole) if own[i] is not None]
        y += [own[i] for i in keep]
        blocks.append(s[keep])
    scores = np.concatenate(blocks) if blocks else np.empty((0, len(fit.W)))
    if tally.same():
        held = np.flatnonzero(tally.mask)
        y, scores = [y[i] for i in held], scores[held]
    if not len(scores):
        raise click.ClickException(f"{data.name}: no rows are left to measure on: none was held out")
    return y, scores, tally


def _metrics():
    try:
        from sklearn import metrics
    except ImportError as error:
        raise click.ClickException(
            'fastopt eval needs scikit-learn: pip install "fastopt[sklearn]"'
        ) from error
    return metrics


def _regression(y, predicted):
    metrics = _metrics()

    spread = len(y) > 1
    return {
        "rmse": float(np.sqrt(metrics.mean_squared_error(y, predicted))),
        "mae": float(metrics.mean_absolute_error(y, predicted)),
        "r2": float(metrics.r2_score(y, predicted)) if spread else None,
    }


def _classification(fit, y, scores, positive, threshold, name):
    metrics = _metrics()

    classes = np.arange(max(2, len(fit.W))) if fit.classes is None else fit.classes
    truth = labels.class_numbers(y, classes)
    two = len(classes) == 2
    if not two and (positive is not None or threshold is not None):
        raise click.UsageError(f"--positive and --threshold are for two classes; there are {len(classes)}")
    predicted = scores.argmax(axis=1) if scores.shape[1] > 1 else (scores[:, 0] > 0).astype(np.int64)
    record = {}
    if two:
        record, predicted = _two(fit, classes, truth, scores, predicted, positive, threshold)
    known = truth >= 0
    if not known.any():
        raise click.ClickException(
            f"{name}: no label is one of the model's classes, {_some(classes)}; the first label is {y[0]}"
        )
    if not known.all():
        record["unknown_labels"] = int((~known).sum())
    counts = np.bincount(truth[known], minlength=len(classes))
    numbers = np.arange(len(classes))
    precision, recall, f1, support = metrics.precision_recall_fscore_support(
        truth, predicted, labels=numbers, zero_division=0
    )
    return {
        "accuracy": float(np.mean(truth == predicted)),
        "accuracy_of_most_frequent": float(counts.max() / len(truth)),
        "balanced_accuracy": float(recall[support > 0].mean()) if support.any() else None,
        **record,
        "classes": [
            {"class": c, "precision": p, "recall": r, "f1": f, "rows": int(n)}
            for c, p, r, f, n in zip(classes.tolist(), precision, recall, f1, support, strict=True)
        ],
        "confusion": metrics.confusion_matrix(truth[known], predicted[known], labels=numbers).tolist(),
    }


def _some(classes, most=8):
    shown = ", ".join(map(str, classes[:most].tolist()))
    return f"{shown}, and {len(classes) - most} more" if len(classes) > most else shown


def _two(fit, classes, truth, scores, predicted, positive, threshold):
    """(what is said of two classes, the predictions at the threshold)."""
    metrics = _metrics()

    name = str(classes[1]) if positive is None else positive
    if name not in map(str, classes):
        raise click.UsageError(f"--positive {name}: the classes are {classes[0]} and {classes[1]}")
    second = [str(c) for c in classes].index(name)
    margin = scores[:, 0] if scores.shape[1] == 1 else scores[:, 1] - scores[:, 0]
    margin, what = (margin if second == 1 else -margin), "score"
    if type(fit.loss).__name__ in scoring.WITH_PROBABILITIES:
        margin, what = scoring.probabilities(fit, scores)[:, second], "probability"
    if threshold is not None:
        predicted = np.where(margin >= threshold, second, 1 - second)
    positive_rows, found = truth == second, predicted == second
    negative_rows = truth == 1 - second
    both = positive_rows.any() and negative_rows.any()
    known = truth >= 0
    record = {
        "positive": name,
        "threshold": threshold,
        "threshold_of": what,
        "sensitivity": float(found[positive_rows].mean()) if positive_rows.any() else None,
        "specificity": float(1 - found[negative_rows].mean()) if negative_rows.any() else None,
        "auc": float(metrics.roc_auc_score(positive_rows[known], margin[known])) if both else None,
    }
    return record, predicted


def _show(record):
    from rich.console import Console
    from rich.table import Table

    console = Console()
    on = " that were held out" if record["on"] == "held-out rows" else ""
    click.echo(f"{record['data']}: {record['rows']:,} rows{on}")
    if "rmse" in record:
        click.echo(f"root of the mean square error {record['rmse']:.5g}, mean absolute error {record['mae']:.5g}"
                   + ("" if record["r2"] is None else f", R2 {record['r2']:.4f}"))  # fmt: skip
        return
    most = record["accuracy_of_most_frequent"]
    click.echo(f"accuracy {record['accuracy']:.4f}; always the most frequent class: {most:.4f}")
    if record["accuracy"] <= most:
        click.echo("the model is no better than that: look at precision and recall, not at the accuracy")
    if record.get("positive") is not None:
        values = ((key, record[key]) for key in ("sensitivity", "specificity", "auc"))
        click.echo(
            f"for {record['positive']}: " + ", ".join(f"{k} {v:.4f}" for k, v in values if v is not None)
        )
    if "unknown_labels" in record:
        click.echo(f"{record['unknown_labels']:,} labels are none of the model's classes: counted as wrong")
    table = Table(box=None)
    for name in ("class", "precision", "recall", "f1", "rows"):
        table.add_column(name, justify="right")
    for row in record["classes"]:
        table.add_row(
            str(row["class"]), *(f"{row[k]:.4f}" for k in ("precision", "recall", "f1")), f"{row['rows']:,}"
        )
    console.print(table)
    if len(record["classes"]) <= SHOWN:
        _show_confusion(record, console)


def _show_confusion(record, console):
    from rich.table import Table

    click.echo("\ntrue class (row) and prediction (column)")
    table = Table(box=None)
    names = [str(row["class"]) for row in record["classes"]]
    for name in ("", *names):
        table.add_column(name, justify="right")
    for name, row in zip(names, record["confusion"], strict=True):
        table.add_row(name, *(f"{n:,}" for n in row))
    console.print(table)
