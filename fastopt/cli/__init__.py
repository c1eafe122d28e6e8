"""The command line: a file a command, each imported when it is called.

Exit status: 0 done, 1 something was wrong with the data, the file or the run, 2 wrong usage, 130 Ctrl-C.
"""

import difflib
import importlib
import os

import click

# command -> where it is; what a line of help says stands in its docstring.
COMMANDS = {
    "train": "fastopt.cli.train",
    "predict": "fastopt.cli.predict",
    "eval": "fastopt.cli.evaluate",
    "search": "fastopt.cli.search",
    "export": "fastopt.cli.export",
    "check": "fastopt.checking.command",
    "race": "fastopt.reports.command",
    "demo": "fastopt.reports.command",
    "report": "fastopt.cli.report",
    "info": "fastopt.cli.info",
    "warmup": "fastopt.cli.warmup",
    "bench": "fastopt.cli.bench",
    "completion": "fastopt.cli.completion",
}


class Commands(click.Group):
    """Commands that are imported on use, and whose errors are one line: the one place that words them."""

    def list_commands(self, context):
        return list(COMMANDS)

    def get_command(self, context, name):
        if name not in COMMANDS:
            return None
        return getattr(importlib.import_module(COMMANDS[name]), "evaluate" if name == "eval" else name)

    def resolve_command(self, context, args):
        try:
            return super().resolve_command(context, args)
        except click.UsageError as error:
            near = difflib.get_close_matches(args[0], COMMANDS, 1)
            if not near or args[0] in COMMANDS:
                raise
            raise click.UsageError(f"{error.message} Did you mean {near[0]!r}?", context) from None

    def invoke(self, context):
        try:
            return super().invoke(context)
        except (click.ClickException, click.Abort, click.exceptions.Exit, BrokenPipeError):
            raise
        except Exception as error:
            if os.environ.get("FASTOPT_TRACEBACK"):
                raise
            raise click.ClickException(_line(error)) from error


EXPECTED = (ValueError, TypeError, OSError, ImportError, MemoryError, FloatingPointError)


def _line(error):
    text = " ".join(str(error).split())
    if isinstance(error, OSError) and error.strerror:
        return f"{error.filename}: {error.strerror}" if error.filename else error.strerror
    if isinstance(error, MemoryError):
        return f"there is not enough memory{': ' + text if text else ''}"
    if isinstance(error, EXPECTED) and text:
        return text
    return f"{type(error).__name__}: {text} (FASTOPT_TRACEBACK=1 shows where)"


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(package_name="fastopt")
def main():
    """Train, use and inspect linear models with fastopt.

    \b
    fastopt train data.csv --target colour --out model.npz
    fastopt predict model.npz new.csv --out predictions.csv
    fastopt eval model.npz test.csv
    """
