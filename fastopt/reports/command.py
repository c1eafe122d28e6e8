"""`fastopt race`: pages from the command line."""

from pathlib import Path

import click

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
@click.option("--rules", default="sgd,momentum,nesterov,adagrad,rmsprop,adam", show_default=True,
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
    except ValueError as error:
        raise click.ClickException(str(error)) from error
    finally:
        sys.path.pop(0)
