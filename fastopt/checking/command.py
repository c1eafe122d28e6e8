"""fastopt check: the gradient check from the command line, for CI.

Exit status: 0 right, 1 wrong, 2 could not be checked.
"""

import importlib
import importlib.util
import json
import sys
from pathlib import Path

import click
import numpy as np

from fastopt import checkpoint
from fastopt.checking.check import MODES, gradcheck
from fastopt.functions.guarded import EvaluationError


@click.command()
@click.argument("function", metavar="MODULE:FUNCTION")
@click.argument("gradient", metavar="[MODULE:GRADIENT]", required=False)
@click.option(
    "--at", "point", type=click.Path(exists=True, dir_okay=False), help="x: .npy, or .npz: f(**arrays)."
)
@click.option("--shape", help="Instead of --at: a random x of this shape, e.g. 3,4.")
@click.option("--dtype", type=click.Choice(["float64", "float32"]), default="float64", show_default=True)
@click.option("--seed", type=int, default=0, show_default=True, help="Of the random x and directions.")
@click.option("--eps", type=float, default=1e-6, show_default=True)
@click.option("--atol", type=float, default=1e-5, show_default=True)
@click.option("--rtol", type=float, default=1e-3, show_default=True)
@click.option("--mode", type=click.Choice(MODES), default="auto", show_default=True)
@click.option("--json", "as_json", is_flag=True, help="One line of JSON instead of the table.")
@click.option("--html", type=click.Path(dir_okay=False), help="Write the report to this file as well.")
def check(function, gradient, point, shape, dtype, seed, eps, atol, rtol, mode, as_json, html):
    """Check MODULE:GRADIENT against differences of MODULE:FUNCTION.

    MODULE is a module or a path to a .py file. Without MODULE:GRADIENT the function must return
    (value, gradient). Exit status: 0 right, 1 wrong, 2 could not be checked.
    """
    try:
        f, grad = _load(function), _load(gradient) if gradient else None
        x, f, grad = _point(point, shape, dtype, seed, f, grad)
        report = gradcheck(
            f, grad, x, eps=eps, atol=atol, rtol=rtol, mode=mode, seed=seed, raise_exception=False
        )
    except (EvaluationError, TypeError, ValueError, OSError, ImportError, AttributeError) as error:
        if as_json:
            click.echo(json.dumps({"ok": None, "error": f"{type(error).__name__}: {error}"}))
        else:
            click.echo(f"cannot check: {error}", err=True)
        sys.exit(2)
    if html:
        report.save_html(html)
    click.echo(report.json() if as_json else report.text())
    sys.exit(0 if report.ok else 1)


def _load(name):
    module, _, attribute = name.rpartition(":")
    if not module:
        raise ValueError(f"{name!r} must be MODULE:FUNCTION")
    if module.endswith(".py"):
        spec = importlib.util.spec_from_file_location(Path(module).stem, module)
        loaded = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(loaded)
    else:
        if "" not in sys.path and str(Path.cwd()) not in sys.path:
            sys.path.insert(0, str(Path.cwd()))
        loaded = importlib.import_module(module)
    value = loaded
    for part in attribute.split("."):
        value = getattr(value, part)
    return value


def _point(point, shape, dtype, seed, f, grad):
    """x and the functions of it; the arrays of an .npz become arguments by name."""
    if (point is None) == (shape is None):
        raise ValueError("give x by --at or by --shape")
    if shape is not None:
        sizes = tuple(int(n) for n in shape.split(",") if n.strip())
        return np.random.default_rng(seed).standard_normal(sizes).astype(dtype), f, grad
    try:
        loaded = checkpoint.load(point)
    except ValueError as error:
        raise ValueError(f"--at {point} cannot be read: {error}") from error
    if isinstance(loaded, np.ndarray):
        return loaded, f, grad
    return loaded, *(g if g is None else _by_name(g) for g in (f, grad))


def _by_name(g):
    return lambda arrays: g(**arrays)
