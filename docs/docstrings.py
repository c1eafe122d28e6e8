"""A hook of MkDocs: a line `::: name` becomes that object's signature and docstring, with its public methods.

Docstrings are plain text and stay so, in a block of their own: formulas have underscores and stars.
"""

import importlib
import inspect
import re
from pathlib import Path

LINE = re.compile(r"^::: *(fastopt[\w.]*)(?: +(#+))?$", re.MULTILINE)
OTHERS = "::: others"  # all public names that no page of the reference has
REFERENCE = Path(__file__).with_name("reference")


def on_page_markdown(markdown, page, config, files):
    """MkDocs calls this for each page; ValueError, which ends the build, for a name that is not there."""
    if OTHERS in markdown:
        markdown = markdown.replace(OTHERS, "\n\n".join(f"::: fastopt.{name}" for name in others()))
    return LINE.sub(lambda match: describe(match[1], match[2] or "##"), markdown)


def others():
    """Names of fastopt that no page of the reference has."""
    import fastopt

    text = "\n".join(page.read_text(encoding="utf-8") for page in sorted(REFERENCE.glob("*.md")))
    named = {name.split(".")[1] for name, _ in LINE.findall(text)}
    return [name for name in fastopt.__all__ if name not in named and inspect.getdoc(getattr(fastopt, name))]


def describe(name, mark="##"):
    """The Markdown of one public name."""
    found = lookup(name)
    parts = [f"{mark} {name.removeprefix('fastopt.')}", _block(found, name)]
    if inspect.isclass(found):
        for method, function in vars(found).items():
            if not method.startswith("_") and inspect.isfunction(inspect.unwrap(_plain(function))):
                text = inspect.getdoc(function)
                if text and method not in (
                    "coefficients",
                    "update",
                    "rows",
                    "curvature",
                    "probabilities",
                    "mean",
                ):
                    parts.append(_block(_plain(function), f"{found.__name__}.{method}"))
    return "\n\n".join(parts) + "\n"


def lookup(name):
    """The object of a dotted name."""
    module, _, attribute = name.rpartition(".")
    try:
        return getattr(importlib.import_module(module), attribute)
    except (ImportError, AttributeError) as error:
        raise ValueError(f"the documentation names {name}, which is not there: {error}") from error


def _plain(function):
    return getattr(function, "__func__", function)


def _block(found, name):
    try:
        signature = str(inspect.signature(found))
    except (TypeError, ValueError):
        signature = ""
    text = inspect.getdoc(found)
    if not text or text == f"{getattr(found, '__name__', '')}{signature}":
        raise ValueError(f"the documentation names {name}, which has no docstring")
    short = name.removeprefix("fastopt.")
    return f"```signature\n{short}{signature}\n```\n\n```text\n{text}\n```"
