"""The report as one self-contained HTML page."""

import math
from html import escape

import fastopt.reports.page as writer

_VERDICTS = ("ok", "wrong", "subgradient", "undecided")


def page(report):
    """The text of the page."""
    state = "passed" if report.ok else "failed"
    notes = [f"<b>Likely cause:</b> {escape(c)}" for c in report.causes] + [
        escape(w) for w in report.warnings
    ]
    parts = [
        f"<p class='{state}'><b>{escape(report.headline())}</b></p>",
        "<ul>" + "".join(f"<li>{note}</li>" for note in notes) + "</ul>" if notes else "",
        _entries(report.rows) if report.rows else "",
        _directions(report.directions) if report.directions else "",
        f"<p class='soft small'>{escape(report._footer())}</p>",
    ]
    return writer.page(f"gradcheck {state}", "".join(parts))


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
    return writer.table(heads, [cells for _, cells in body], kinds=[kind for kind, _ in body])
