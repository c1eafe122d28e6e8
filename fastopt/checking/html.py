"""The report as one self-contained HTML page."""

import math
from html import escape

_STYLE = """
body{font:15px/1.5 system-ui,sans-serif;margin:2em auto;max-width:70em;padding:0 1em;color:#1b1f24}
h1{font-size:1.3em}.passed{color:#116329}.failed{color:#a40e26}
table{border-collapse:collapse;font-variant-numeric:tabular-nums;margin:1em 0}
td{white-space:nowrap}.wide{overflow-x:auto}
th,td{padding:.25em .6em;text-align:right;border-bottom:1px solid #d8dee4}
th:first-child,td:first-child,td:last-child,th:last-child{text-align:left}
tr.wrong{background:#ffebe9}tr.subgradient{background:#ddf4ff}tr.undecided{background:#fff8c5}
.foot{color:#57606a;font-size:.9em}
@media(prefers-color-scheme:dark){body{background:#0d1117;color:#e6edf3}th,td{border-color:#30363d}
tr.wrong{background:#4c1519}tr.subgradient{background:#0c2d4a}tr.undecided{background:#3a2d05}
.passed{color:#56d364}.failed{color:#ff7b72}}
"""
_VERDICTS = ("ok", "wrong", "subgradient", "undecided")


def page(report):
    state = "passed" if report.ok else "failed"
    notes = [f"<b>Likely cause:</b> {escape(c)}" for c in report.causes] + [
        escape(w) for w in report.warnings
    ]
    parts = [
        f"<!doctype html><html lang='en'><head><meta charset='utf-8'><title>gradcheck {state}</title>",
        f"<style>{_STYLE}</style></head><body>",
        f"<h1 class='{state}'>{escape(report.headline())}</h1>",
        "<ul>" + "".join(f"<li>{note}</li>" for note in notes) + "</ul>" if notes else "",
        _entries(report.rows) if report.rows else "",
        _directions(report.directions) if report.directions else "",
        f"<p class='foot'>{escape(report._footer())}</p></body></html>",
    ]
    return "".join(parts)


def _entries(rows):
    heads = ("entry", "analytic", "numeric", "error", "h", "difference / tolerance", "verdict", "cause")
    body = [
        (
            r.verdict,
            (r.name, f"{r.analytic:.9g}", r.numeric_text, f"{r.error:.0e}", f"{r.h:.0e}", f"{r.excess:.3g}",
             r.verdict, r.cause),
        )
        for r in rows
    ]  # fmt: skip
    return _table(heads, body)


def _directions(directions):
    heads = ("direction", "analytic", "numeric", "error", "Taylor order", "verdict")
    body = []
    for d in directions:
        order = "exact" if math.isnan(d.order) else f"{d.order:.2f}"
        verdict = _VERDICTS[d.status] if d.status or not d.deviates else "deviates"
        body.append(
            (verdict, (d.name, f"{d.analytic:.9g}", f"{d.numeric:.9g}", f"{d.error:.0e}", order, verdict))
        )
    return _table(heads, body)


def _table(heads, body):
    head = "".join(f"<th>{escape(h)}</th>" for h in heads)
    lines = []
    for kind, cells in body:
        lines.append(f"<tr class='{kind}'>" + "".join(f"<td>{escape(c)}</td>" for c in cells) + "</tr>")
    return f"<div class='wide'><table><thead><tr>{head}</tr></thead><tbody>{''.join(lines)}</tbody></table></div>"
