"""fastopt check: the gradient check from the command line, for CI.

Exit status: 0 right, 1 wrong, 2 undecided or could not be checked.
"""

import importlib
import importlib.util
import json
import sys
from pathlib import Path
from typing import Any

import click
import numpy as np

from fastopt import checkpoint
from fastopt.checking.check import MODES, gradcheck


@click.command()
@click.argument("function", metavar="MODULE:FUNCTION")
@click.argument("gradient", metavar="[MODULE:GRADIENT]", required=False)
@click.option(
    "--at", "point", type=click.Path(exists=True, dir_okay=False), help="x: .npy, or .npz: f(**arrays)."
)
@click.option("--shape", help="Instead of --at: a random x of this shape, e.g. 3,4.")
@click.option("--dtype", type=click.Choice(["float64", "float32"]), default="float64", show_default=True)
@click.option("--seed", type=int, default=0, show_default=True, help="Of the random x and directions.")
@click.option("--eps", type=float, help="First step, relative to max(1, |x|); by default found from f.")
@click.option("--atol", type=float, help="Absolute; by default 1e-5 * min(1, largest entry).")
@click.option("--rtol", type=float, default=1e-3, show_default=True)
@click.option("--mode", type=click.Choice(MODES), default="auto", show_default=True)
@click.option(
    "--autograd",
    type=click.Choice(["torch", "jax"]),
    help="The function takes tensors of this kind, and its automatic gradient is checked.",
)
@click.option(
    "--jacobian", is_flag=True, help="With --autograd: every number of an output, not a random sum."
)
@click.option("--lower", type=float, help="f has no values below this x.")
@click.option("--upper", type=float, help="f has no values above this x.")
@click.option("--allow-undecided", is_flag=True, help="What cannot be measured is no failure.")
@click.option(
    "--rows", type=click.IntRange(0), default=10, show_default=True, help="Entries to show, the worst first."
)
@click.option("--json", "as_json", is_flag=True, help="One line of JSON instead of the table.")
@click.option("--html", type=click.Path(dir_okay=False), help="Write the report to this file as well.")
def check(
    function, gradient, point, shape, dtype, seed, eps, atol, rtol, mode, autograd, jacobian, lower, upper,
    allow_undecided, rows, as_json, html,
):  # fmt: skip
    """Check MODULE:GRADIENT against differences of MODULE:FUNCTION.

    MODULE is a module or a path to a .py file. Without MODULE:GRADIENT the function must return
    (value, gradient); or, with --autograd, it takes tensors: one, or those of an .npz by their names. Exit status: 0 right, 1 wrong, 2 undecided or could not be checked.
    """
    try:
        _check_writable(html)
        f, grad = _load(function), _load(gradient) if gradient else None
        x, f, grad = _point(point, shape, dtype, seed, f, grad)
        if jacobian and not autograd:
            raise ValueError("--jacobian goes with --autograd")
        if autograd:
            if gradient:
                raise ValueError("--autograd checks the automatic gradient: leave MODULE:GRADIENT out")
            grad, x = _tensors(x, autograd), None
        report = gradcheck(
            f, grad, x, projection="jacobian" if jacobian else None, eps=eps, atol=atol, rtol=rtol, mode=mode, seed=seed, raise_exception=False,
            bounds=None if lower is None and upper is None else (lower, upper), allow_undecided=allow_undecided,
        )  # fmt: skip
    except (Exception, SystemExit) as error:  # whatever the checked module may raise, the status is 2
        _give_up(error, as_json)
    click.echo(report.json() if as_json else report.text(rows, "(--rows 1000 shows them)"))
    if html:
        try:
            report.save_html(html)
        except OSError as error:
            click.echo(f"{html} cannot be written: {error.strerror}", err=True)
            sys.exit(1 if report.outcome == "wrong" else 2)
    sys.exit(0 if report.ok else 2 if report.outcome == "undecided" else 1)


def _give_up(error, as_json):
    text = " ".join(str(error).split()) or type(error).__name__
    if as_json:
        click.echo(json.dumps({"ok": None, "error": f"{type(error).__name__}: {text}"}))
    else:
        click.echo(f"cannot check: {text}", err=True)
    sys.exit(2)


def _check_writable(html):
    """Before the work, not after it."""
    if html and not Path(html).absolute().parent.is_dir():
        raise ValueError(f"--html {html}: there is no folder {Path(html).absolute().parent}")


def _load(name):
    module, _, attribute = name.rpartition(":")
    if not module or not attribute:
        raise ValueError(f"{name!r} must be MODULE:FUNCTION")
    try:
        loaded = _file(Path(module)) if module.endswith(".py") else _module(module)
    except (Exception, SystemExit) as error:  # a module may raise anything
        raise ImportError(f"{module} cannot be imported: {type(error).__name__}: {error}") from error
    value = loaded
    for part in attribute.split("."):
        if not hasattr(value, part):
            raise AttributeError(f"{module} has no {attribute}")
        value = getattr(value, part)
    if not callable(value):
        raise TypeError(f"{name} is no function but a {type(value).__name__}")
    return value


def _module(name):
    if "" not in sys.path and str(Path.cwd()) not in sys.path:
        sys.path.insert(0, str(Path.cwd()))
    return importlib.import_module(name)


def _file(path):
    """The file as a module, once, with the modules beside it in reach, as `python path` has them."""
    path = path.resolve()
    for loaded in list(sys.modules.values()):
        if getattr(loaded, "__file__", None) == str(path):
            return loaded
    if not path.is_file():
        raise FileNotFoundError(f"there is no file {path}")
    name = path.stem if path.stem not in sys.modules else f"checked_{path.stem}"
    spec: Any = importlib.util.spec_from_file_location(name, path)
    loaded = importlib.util.module_from_spec(spec)
    sys.modules[name] = loaded  # dataclasses and pickle look their module up
    if str(path.parent) not in sys.path:
        sys.path.insert(0, str(path.parent))
    try:
        spec.loader.exec_module(loaded)
    except BaseException:
        del sys.modules[name]
        raise
    return loaded


def _point(point, shape, dtype, seed, f, grad):
    """x and the functions of it; the arrays of an .npz become arguments by name."""
    if (point is None) == (shape is None):
        raise ValueError("give x by --at or by --shape")
    if shape is not None:
        try:
            sizes = tuple(int(n) for n in shape.split(",") if n.strip())
        except ValueError:
            raise ValueError(f"--shape {shape} must be numbers, e.g. 3,4") from None
        return np.random.default_rng(seed).standard_normal(sizes).astype(dtype), f, grad
    try:
        loaded = checkpoint.load(point)
    except ValueError as error:
        raise ValueError(f"--at {point} cannot be read: {error}") from error
    if isinstance(loaded, np.ndarray):
        return loaded, f, grad
    return loaded, *(g if g is None else _by_name(g) for g in (f, grad))


def _tensors(x, framework):
    """x, an array or a dict of them, as tensors of a framework; ImportError where it is not installed."""
    module = importlib.import_module("torch" if framework == "torch" else "jax.numpy")

    def tensor(a):
        if framework == "torch":
            return module.from_numpy(np.array(a))
        wide = importlib.import_module("jax")
        with (wide if hasattr(wide, "enable_x64") else wide.experimental).enable_x64(a.dtype.itemsize == 8):
            return module.array(a)

    return {name: tensor(a) for name, a in x.items()} if isinstance(x, dict) else tensor(x)


def _by_name(g):
    return lambda arrays: g(**arrays)
