"""The one writer of HTML: a page is one file that asks the network for nothing.

Style, scripts and data stand in the page itself; a policy in its head forbids everything else, so
that a page which forgot itself shows in the tests. Stands on the ground floor: imports no other room.
"""

import json
import math
import os
import re
from html import escape
from importlib.resources import files
from pathlib import Path

import numpy as np

_POLICY = "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; img-src data:"
_THEME = (
    '<button type="button" id="theme" class="quiet" aria-label="Colours: as the system has them">◐</button>'
)


def asset(name):
    """The text of a file of reports/assets."""
    return (files("fastopt.reports") / "assets" / name).read_text(encoding="utf-8")


def page(title, body, *, lead="", scripts=(), styles=(), script="", data=None):
    """The text of a page.

    title: text. body, lead: HTML. scripts, styles: names of assets, beside page.css and, where there are
    scripts, theme.js with its button. script: the text of one that comes before the others. data: what the scripts read as
    `DATA`; NaN and inf become null.
    """
    style = "".join(map(asset, ("page.css", *styles)))
    head = (
        f'<meta charset="utf-8"><meta http-equiv="Content-Security-Policy" content="{_POLICY}">'
        '<meta name="viewport" content="width=device-width,initial-scale=1">'
        f'<link rel="icon" href="data:,"><title>{escape(title)}</title><style>{style}</style>'
    )
    button, ending = "", ""
    if scripts or script:
        text = "\n".join((asset("theme.js"), script, *map(asset, scripts)))
        held = "" if data is None else f'<script type="application/json" id="data">{as_json(data)}</script>'
        button, ending = _THEME, f'{held}<script>"use strict";\n{_closed(text)}</script>'
    top = f"<header><h1>{escape(title)}</h1>{button}</header>{lead}"
    return f'<!doctype html>\n<html lang="en"><head>{head}</head><body>{top}<main>{body}</main>{ending}</body></html>\n'


def write(path, text):
    """Write the page, whole or not at all."""
    path = Path(path)
    unfinished = path.with_name(f"{path.name}.{os.getpid()}.part")
    try:
        unfinished.write_text(text, encoding="utf-8")
        os.replace(unfinished, path)
    finally:
        unfinished.unlink(missing_ok=True)


def table(heads, rows, *, caption="", kinds=None, numbers=True):
    """A table that scrolls in itself where the window is narrow.

    heads: texts. rows: of texts. kinds: a class for each row, or None. numbers: cells to the right.
    """
    head = "".join(f'<th scope="col">{escape(str(h))}</th>' for h in heads)
    lines = []
    for i, cells in enumerate(rows):
        kind = f' class="{escape(str(kinds[i]))}"' if kinds else ""
        first, *rest = (escape(str(c)) for c in cells)
        lines.append(
            f'<tr{kind}><th scope="row">{first}</th>' + "".join(f"<td>{c}</td>" for c in rest) + "</tr>"
        )
    named = f"<caption>{escape(caption)}</caption>" if caption else ""
    label = escape(caption or "table")
    return (
        f'<div class="wide" role="region" tabindex="0" aria-label="{label}">'
        f"<table{' class=numbers' if numbers else ''}>{named}"
        f"<thead><tr>{head}</tr></thead><tbody>{''.join(lines)}</tbody></table></div>"
    )


def definitions(pairs):
    """Names and what they are, below one another; None is left out."""
    items = (f"<dt>{escape(str(k))}</dt><dd>{escape(str(v))}</dd>" for k, v in pairs if v is not None)
    return f"<dl>{''.join(items)}</dl>"


def section(title, *parts, id=None):
    """A section under a heading."""
    name = f' id="{escape(id)}"' if id else ""
    return f"<section{name}><h2>{escape(title)}</h2>{''.join(parts)}</section>"


def as_json(data):
    """Strict JSON that may stand in a script element: no NaN, no inf, no closing tag."""
    return json.dumps(_plain(data), allow_nan=False, separators=(",", ":")).replace("<", "\\u003c")


def _plain(value):
    if isinstance(value, dict):
        return {str(k): _plain(v) for k, v in value.items()}
    if isinstance(value, np.ndarray):
        return _plain(value.tolist())
    if isinstance(value, (list, tuple)):
        return [_plain(v) for v in value]
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value if value is None or isinstance(value, (bool, int, float)) else str(value)


def _closed(script):
    """The script without a text that would end its element."""
    return re.sub(r"</(script)", r"<\\/\1", script, flags=re.IGNORECASE)
