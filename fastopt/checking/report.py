"""What a check found: verdict, worst entries, causes; as text, HTML, JSON, picture and exception."""

import json
import math
from dataclasses import dataclass, field
from typing import NamedTuple


class Row(NamedTuple):
    """One entry. At a kink numeric is None and [left, right] the one-sided slopes."""

    name: str
    index: tuple
    analytic: float
    numeric: float | None
    left: float | None
    right: float | None
    error: float
    h: float
    excess: float  # difference in units of the tolerance
    verdict: str  # ok, wrong, subgradient, undecided
    cause: str

    @property
    def numeric_text(self):
        if self.left is None:
            return f"{self.numeric:.9g}"
        return f"[{self.left:.5g}, {self.right:.5g}]"


@dataclass
class Report:
    """Result of a check; true if it passed.

    outcome: "passed", "wrong", or "undecided": nothing is known to be wrong, but not all could be measured
    (then ok is false unless the caller allowed it). rows: the worst entries, worst first. causes: what the wrong ones have in common. counts: entries,
    compared, wrong, subgradients, undecided. directions: Taylor tests of mode "directions".
    """

    ok: bool
    verdict: str
    mode: str
    rows: list = field(default_factory=list)
    causes: list = field(default_factory=list)
    warnings: list = field(default_factory=list)
    counts: dict = field(default_factory=dict)
    directions: list = field(default_factory=list)
    settings: dict = field(default_factory=dict)
    value: float | None = None
    noise: float = 0.0
    deterministic: bool = True
    evaluations: int = 0
    seconds: float = 0.0
    curves: object = field(default=None, repr=False)  # function(rows) -> error against h, for the picture
    outcome: str = "passed"

    def fail(self, verdict):
        self.ok, self.outcome, self.verdict = False, "wrong", verdict

    def leave(self, verdict, allowed=False):
        """Undecided; a pass only where the caller said so."""
        self.ok, self.outcome, self.verdict = allowed, "undecided", verdict

    def __getstate__(self):
        """Without f, which the curves of the picture hold: a report crosses processes."""
        return {**self.__dict__, "curves": None}

    def __bool__(self):
        return self.ok

    def __str__(self):
        return self.text()

    def text(self, rows=10, rest="in report.rows"):
        """Plain text at most 100 columns wide; rest: where the rows beyond so many are."""
        parts = [self.headline(), *self._notes()]
        shown = self.rows[:rows]
        if shown:
            parts += ["", *_table(shown)]
            if len(self.rows) > rows:
                parts.append(f"... and {len(self.rows) - rows} more {rest}")
        if self.directions:
            parts += ["", *_direction_table(self.directions)]
        parts += ["", self._footer()]
        return "\n".join(parts)

    def headline(self):
        word = "passed" if self.ok else "UNDECIDED" if self.outcome == "undecided" else "FAILED"
        return f"gradcheck {word}: {self.verdict}"

    def _notes(self):
        return [f"  likely cause: {c}" for c in self.causes] + [f"  note: {w}" for w in self.warnings]

    def _footer(self):
        tolerance = f"|a - n| <= {self.settings.get('atol', 0):.3g} + {self.settings.get('rtol', 0):g}*|n|"
        return (
            f"{tolerance}; {self.mode}; {self.counts.get('compared', 0)} of {self.counts.get('entries', 0)} entries"
            f" in {self.evaluations} evaluations, {self.seconds:.2g} s; noise of f {self.noise:.1e}"
        )

    def to_dict(self):
        """Plain data for JSON; numbers that are not finite become strings."""
        return _plain(
            {
                "ok": self.ok, "outcome": self.outcome, "verdict": self.verdict, "mode": self.mode, "causes": self.causes,
                "warnings": self.warnings, "counts": self.counts, "settings": self.settings, "value": self.value,
                "noise": self.noise, "deterministic": self.deterministic, "evaluations": self.evaluations,
                "seconds": self.seconds, "rows": [row._asdict() for row in self.rows],
                "directions": [d._asdict() for d in self.directions],
            }
        )  # fmt: skip

    def json(self):
        return json.dumps(self.to_dict())

    def html(self):
        """One self-contained page."""
        from fastopt.checking.html import page

        return page(self)

    def save_html(self, path):
        with open(path, "w", encoding="utf-8") as file:
            file.write(self.html())

    def _repr_html_(self):
        return self.html()

    def plot(self, path=None, *, rows=5, axes=None):
        """Error of the central difference against h for the worst entries; needs matplotlib. The axes."""
        from fastopt.checking.picture import draw

        return draw(self, path, rows, axes)


class GradcheckError(AssertionError):
    """A gradient is wrong, or could not be decided; .report says where."""

    def __init__(self, report):
        self.report = report
        super().__init__("\n".join([report.headline(), *report._notes(), *_table(report.rows[:5])]))

    def __reduce__(self):
        return type(self), (self.report,)


def _table(rows):
    width = min(max(len(r.name) for r in rows) if rows else 5, 24)
    lines = [f"  {'entry':<{width}} {'analytic':>15} {'numeric':>21} {'error':>7} {'h':>7} verdict     cause"]
    for r in rows:
        lines.append(
            f"  {r.name:<{width}.{width}} {r.analytic:>15.9g} {r.numeric_text:>21} {r.error:>7.0e} {r.h:>7.0e}"
            f" {r.verdict:<11} {r.cause}".rstrip()
        )
    return lines if rows else []


def _direction_table(directions):
    names = ("ok", "wrong", "subgradient", "undecided")
    lines = [
        f"  {'direction':<16} {'analytic':>15} {'numeric':>15} {'error':>8} {'Taylor order':>13} verdict"
    ]
    for d in directions:
        order = "exact" if math.isnan(d.order) else f"{d.order:.2f}"
        lines.append(
            f"  {d.name:<16} {d.analytic:>15.9g} {d.numeric:>15.9g} {d.error:>8.0e} {order:>13} {names[d.status] if d.status or not d.deviates else 'deviates'}"
        )
    return lines


def _plain(value):
    if isinstance(value, dict):
        return {str(k): _plain(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(v) for v in value]
    if isinstance(value, bool) or value is None or isinstance(value, str):
        return value
    if hasattr(value, "item"):
        value = value.item()
    if isinstance(value, float) and not math.isfinite(value):
        return repr(value)
    return value
