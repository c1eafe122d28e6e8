"""What is seen while a model is trained: a table of epochs, or of a solver's iterations, in a terminal only."""

import math
import time
from contextlib import contextmanager

LAST = 8  # rows that are shown while it runs
SPREAD = 10  # rows that are left at the end, from all of it
COLUMNS = {
    "epoch": "epoch", "iteration": "iteration", "loss_train": "loss", "objective": "objective",
    "loss_validation": "validation loss", "accuracy_validation": "accuracy", "gradient_norm": "gradient",
    "gap": "gap", "lr": "learning rate", "seconds": "seconds",
}  # fmt: skip
OF_SOLVERS = ("iteration", "gradient_norm", "gap", "seconds")  # of epochs the next ones say enough


@contextmanager
def shown(quiet, epochs=None):
    """The arguments for fo.train that show how it goes; none where nobody looks. epochs: None is of a solver."""
    from rich.console import Console
    from rich.live import Live

    console = Console(stderr=True, highlight=False)
    if quiet or not console.is_terminal:
        yield {}
        return
    watch = _Watch(epochs)
    with Live(watch.drawn(), console=console, refresh_per_second=8) as live:

        def finished(entry, parameters):
            watch.finished(entry)
            live.update(watch.drawn())

        def stands(p):
            watch.stands(p)
            live.update(watch.drawn())

        try:
            yield {"watch": finished} if epochs is None else {"watch": finished, "progress": stands}
        finally:
            live.update(watch.drawn(end=True))


class _Watch:
    """What has been seen of a run, as a table and a line below it."""

    def __init__(self, epochs):
        self.epochs, self.began = epochs, time.perf_counter()
        self.rows, self.now, self.first, self.left = [], None, None, ""

    def finished(self, entry):
        """An epoch or iteration is over: a dict of what is noted of it."""
        row = dict(entry)
        if self.epochs is None:
            row["iteration"] = len(self.rows)
        self.rows.append(row)
        self.now = None

    def stands(self, p):
        """Within an epoch: a Progress."""
        self.now = p
        self.first = self.first or (p.step, time.perf_counter())

    def drawn(self, end=False):
        from rich.console import Group

        parts = [self._table(end)] if self.rows or self.now else []
        if not end:
            parts.append(self._where())
        return Group(*parts)

    def _where(self):
        """How far it is, and the time left, reckoned from the first call on: what is compiled comes before."""
        p = self.now
        if not self.rows and p is None:
            return "[dim]starting; what is used for the first time is compiled[/]"
        if self.epochs is None:
            return f"[dim]{time.perf_counter() - self.began:.0f} s[/]"
        line = f"epoch {min(len(self.rows) + 1, self.epochs)} of {self.epochs}"
        if p is not None and self.first and p.step > self.first[0]:
            pace = (time.perf_counter() - self.first[1]) / (p.step - self.first[0])
            self.left = f", {_duration(pace * (p.steps - p.step))} left"
        return f"[dim]{line}{self.left}[/]"

    def _table(self, end):
        from rich.table import Table

        names = [name for name in COLUMNS if self._has(name)]
        if not self.rows:
            names = ["epoch", "loss_train"]
        table = Table(box=None, pad_edge=False)
        for name in names:
            table.add_column(COLUMNS[name], justify="right")
        best = min((r["loss_validation"] for r in self.rows if "loss_validation" in r), default=math.nan)
        for row in _spread(self.rows, SPREAD) if end else self.rows[-LAST:]:
            lowest = row.get("loss_validation") == best
            table.add_row(*(_text(name, row[name]) for name in names), style="green" if lowest else None)
        if self.now is not None and not end:
            table.add_row(str(self.now.epoch), f"{self.now.loss:.4f}", style="dim")
        return table

    def _has(self, name):
        if self.epochs is not None and name in OF_SOLVERS:
            return False
        return any(math.isfinite(row.get(name, math.nan)) for row in self.rows)


def _spread(rows, count):
    """At most so many of the rows, the first and the last among them."""
    last = len(rows) - 1
    if last < count:
        return rows
    return [rows[round(i * last / (count - 1))] for i in range(count)]


def _text(name, value):
    if name in ("epoch", "iteration"):
        return f"{value:,}"
    if name in ("lr", "gradient_norm", "gap"):
        return f"{value:.3g}"
    return f"{value:.6g}" if name == "objective" else f"{value:.2f}" if name == "seconds" else f"{value:.4f}"


def _duration(seconds):
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
