"""What is seen while a model is trained: a table of epochs, in a terminal only."""

import time
from contextlib import contextmanager

LAST = 8  # epochs that are shown


@contextmanager
def shown(quiet, epochs):
    """A function to be called with a Progress; None where nobody looks."""
    from rich.console import Console
    from rich.live import Live

    console = Console(stderr=True)
    if quiet or not console.is_terminal:
        yield None
        return
    watch = _Watch(epochs)
    with Live(console=console, refresh_per_second=8, transient=True) as live:

        def show(p):
            live.update(watch.table(p))

        yield show


class _Watch:
    """The losses seen so far, an epoch a row."""

    def __init__(self, epochs):
        self.epochs, self.began, self.rows = epochs, time.perf_counter(), {}

    def table(self, p):
        from rich.table import Table

        self.rows[p.epoch] = p
        seconds = time.perf_counter() - self.began
        left = seconds * (p.steps - p.step) / max(1, p.step)
        table = Table(title=f"step {p.step:,} of {p.steps:,}, {left:.0f} s left", box=None)
        extra = [
            f for f in ("loss_validation", "accuracy_validation", "lr") if getattr(p, f, None) is not None
        ]
        for name in ("epoch", "loss", *extra):
            table.add_column(name.replace("_", " "), justify="right")
        for epoch in sorted(self.rows)[-LAST:]:
            row = self.rows[epoch]
            values = [f"{getattr(row, name, float('nan')):.5g}" for name in extra]
            table.add_row(f"{epoch}/{self.epochs}", f"{row.loss:.4f}", *values)
        return table
