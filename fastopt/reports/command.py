"""`fastopt race`: pages from the command line."""

from pathlib import Path

import click

from fastopt.readers import dataset, open_data
from fastopt.readers.preparation import feature_names
from fastopt.reports.page import write


def _output(context, parameter, path):
    """Refuse a file that cannot be written before the work is done, not after."""
    if not path.parent.is_dir():
        raise click.BadParameter(f"there is no directory {path.parent}")
    return path


def output_option(default):
    """-o FILE."""
    file = click.Path(dir_okay=False, path_type=Path)
    return click.option("-o", "--out", type=file, default=default, show_default=True, callback=_output)


def save(path, text):
    """Write the page and say so."""
    write(path, text)
    click.echo(f"{path}: {len(text.encode()) / 1000:.0f} KB, opens without a network")


@click.command()
@click.argument("function", default="lectures")
@click.option("--rules", default="sgd,momentum,nesterov,adagrad,rmsprop,adam,lbfgs", show_default=True,
              help="Names with commas between them.")  # fmt: skip
@click.option("--steps", type=click.IntRange(1, 2000), default=200, show_default=True)
@click.option(
    "--box", type=float, nargs=4, metavar="X0 X1 Y0 Y1", help="What a function of your own is shown on."
)
@click.option("--start", type=float, nargs=2, metavar="X Y", help="Where paths on it begin.")
@output_option("race.html")
def race(function, rules, steps, box, start, out):
    """A page on which update rules race on FUNCTION.

    FUNCTION is lectures, ravine, saddle, plateau, local-minima, rosenbrock, beale or mini-batch, or your own
    function of two numbers, as module:function (its module is looked for in this directory too).
    """
    import sys

    from fastopt.reports.race import race as text

    sys.path.insert(0, str(Path.cwd()))
    try:
        save(out, text(function, rules.split(","), steps=steps, box=box, start=start))
    finally:
        sys.path.pop(0)


PAGES = ("classifier", "slice", "table")


@click.command()
@click.argument("name", type=click.Choice(PAGES), metavar="|".join(PAGES))
@click.argument("data_name", metavar="[DATA]", default="digits")
@output_option("demo.html")
def demo(name, data_name, out):
    """A page that shows one thing.

    \b
    classifier  points in the plane that can be dragged, softmax and SVM, every number
    slice       the loss of a softmax model of DATA around the path of its training
    table       the columns of DATA, the ravine they make, before and after standardising
    """
    save(out, _demo(name, data_name))


def _demo(name, data_name):
    from fastopt.reports.classifier import classifier
    from fastopt.reports.normalisation import normalisation

    if name == "classifier":
        return classifier()
    found = dataset.training_set(open_data(data_name), standardize=False)
    if name == "table":
        X = found.x_train.toarray() if hasattr(found.x_train, "toarray") else found.x_train
        return normalisation(X, found.y_train, names=feature_names(found.record), title=found.name)
    return _slice(found)


def _slice(found):
    """500 steps of momentum; the losses of the grid on 2,000 rows at most."""
    from fastopt.losses import Softmax
    from fastopt.objective import Objective
    from fastopt.reports.slice import flat_value, loss_slice, slice_page, trained_path
    from fastopt.rules import Momentum

    def objective(rows):
        X = found.x_train[rows]
        scale = found.scale if X.dtype == "uint8" else None
        return Objective(Softmax(), X, found.y_train[rows], scale=scale, classes=len(found.classes))

    few = slice(None, None, -(-len(found.y_train) // 2000))
    path, steps = trained_path(objective(slice(None)), Momentum(0.1), steps=500)
    title = f"The loss of {found.name} around the path"
    return slice_page(loss_slice(flat_value(objective(few)), path), steps, title)
