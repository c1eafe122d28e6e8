"""Options that several commands have, and what is printed in the same way by all of them."""

import json
import os
from pathlib import Path

import click
import numpy as np

from fastopt.engines import choose
from fastopt.readers import FORMATS


def json_option(command):
    return click.option("--json", "as_json", is_flag=True, help="End with one line of JSON.")(command)


def backend_option(command):
    choice = click.Choice(choose.BACKENDS)
    return click.option("--backend", type=choice, default="auto", show_default=True)(command)


def quiet_option(command):
    return click.option("--quiet", "-q", is_flag=True, help="Say nothing but errors and results.")(command)


def in_a_directory(context, parameter, path):
    """Refuse a file that cannot be written before the work is done, not after."""
    if path is None or str(path) == "-":
        return path
    if not str(path):
        raise click.BadParameter("a file's name is needed")
    folder = Path(path).parent
    if not folder.is_dir():
        raise click.BadParameter(f"there is no directory {folder}")
    if not os.access(folder, os.W_OK):
        raise click.BadParameter(f"the directory {folder} may not be written by you")
    if Path(path).exists() and not Path(path).is_file() and not os.path.samefile(path, os.devnull):
        raise click.BadParameter(f"{path} is there and is no file")
    return path


def out_option(help):
    """--out, a file in a folder that is there."""
    kind = click.Path(dir_okay=False, path_type=Path)
    return click.option("--out", type=kind, callback=in_a_directory, help=help)


def size(context, parameter, text):
    """(width, height) of "28x28"."""
    if text is None:
        return None
    parts = text.lower().split("x")
    if len(parts) != 2 or not all(p.isdigit() and int(p) > 0 for p in parts):
        raise click.BadParameter(f"a size is WIDTHxHEIGHT, such as 28x28, not {text!r}")
    return int(parts[0]), int(parts[1])


def one_character(context, parameter, text):
    """What separates the fields of CSV."""
    if text is not None and (len(text) != 1 or text in '\r\n"\0'):
        raise click.BadParameter(f"{text!r}: one character is needed, such as ';'")
    return text


_READING = (
    click.option("--format", type=click.Choice(FORMATS), help="Of DATA.  [default: by its name and first bytes]"),
    click.option("--labels", type=click.Path(exists=True, dir_okay=False),
                 help="A .npy (or IDX) file of labels beside a .npy (or IDX) file of features."),
    click.option("--size", callback=size, help="Resize images to WIDTHxHEIGHT."),
    click.option("--delimiter", callback=one_character, help="CSV: what separates fields.  [default: found out]"),
    click.option("--decimal", type=click.Choice([".", ","]), help="CSV: the decimal point.  [default: found out]"),
    click.option("--encoding", default="utf8", show_default=True, help="CSV: of the text."),
    click.option("--header/--no-header", default=None, help="CSV: whether the first line names the columns."),
    click.option("--null", multiple=True, metavar="TEXT",
                 help="CSV: stands for a missing value, besides nothing, NA, NaN, null and ?"),
)  # fmt: skip
READING = ("format", "labels", "size", "delimiter", "decimal", "encoding", "header", "null")


def reading_options(command):
    """How DATA is read; READING names them."""
    for option in reversed(_READING):
        command = option(command)
    return command


def apart(out, *inputs):
    """Refuse to write the output over what is read."""
    for given in inputs:
        if out is None or given is None or not os.path.exists(out) or not os.path.exists(given):
            continue
        if os.path.isfile(given) and os.path.samefile(out, given):
            raise click.BadParameter(f"{out} is what is read: choose another file", param_hint="--out")


def echo_json(record):
    """One line of strict JSON: NaN and infinities become null."""
    click.echo(json.dumps(plain(record), allow_nan=False))


def plain(value):
    """A value that JSON has; null stands for what was not measured."""
    if isinstance(value, dict):
        return {str(k): plain(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(v) for v in value]
    if isinstance(value, np.ndarray):
        return plain(value.tolist())
    if isinstance(value, (float, np.floating)):
        return float(value) if np.isfinite(value) else None
    if isinstance(value, np.generic):
        return plain(value.item())
    return str(value) if isinstance(value, Path) else value
