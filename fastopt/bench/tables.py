"""A record as tables for the terminal, and the figures that tables and pages share."""

from rich.console import Console
from rich.table import Table

UNITS = {"rules": "GB/s", "gradient": "GFLOP/s", "epoch": "GFLOP/s", "numeric": "GFLOP/s", "first call": ""}
TITLES = {
    "rules": "One step of an update rule",
    "gradient": "The gradient of a linear model over all rows",
    "epoch": "One epoch of training",
    "numeric": "Numeric against analytic gradient",
    "first call": "From the start of a process to its first result",
}


def figures(result, name):
    """{"rate", "roof", "times"} of a contestant: GB/s or GFLOP/s, share of the roof, times faster than NumPy.

    None for what makes no sense.
    """
    row = result["contestants"][name]
    found = {"rate": None, "roof": None, "times": None}
    if "missing" in row:
        return found
    seconds = row["seconds"]
    if not name.startswith(("numeric", "roof")):
        amount = result["operations"] or result["bytes"]
        found["rate"] = amount / seconds / 1e9 if amount else None
    if result.get("roof_seconds"):
        found["roof"] = result["roof_seconds"] / seconds
    if (reference := numpy_seconds(result)) and not name.startswith("roof"):
        found["times"] = reference / seconds
    return found


def numpy_seconds(result):
    """The best time of NumPy in a case, or None."""
    rows = result["contestants"].items()
    return min(
        (r["seconds"] for name, r in rows if name.startswith("NumPy") and "seconds" in r), default=None
    )


def groups(record):
    """{group: its results}, in the order of TITLES."""
    found = {group: [r for r in record["results"] if r["group"] == group] for group in TITLES}
    return {group: rows for group, rows in found.items() if rows}


def microseconds(seconds):
    """Three digits of it, with thousands set apart."""
    value = seconds * 1e6
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def print_record(record, console=None):
    """Print a table a group."""
    console = console or Console()
    for group, results in groups(record).items():
        console.print(_table(group, results))
    machine, limits = record["machine"], record["limits"]
    console.print(
        f"{machine['cpu']}, {machine['threads']} threads, {machine['cpu_features']}; {_limits(limits)}"
    )
    console.print(
        "Medians of calls in turns. roof: for rules a plain kernel with the same reads and writes, for gradients and "
        "epochs BLAS's matrix product (bandwidth where that takes longer). x NumPy: above 1 is faster than NumPy's best."
    )
    if note := record["machine"].get("note"):
        console.print(f"[bold]{note}[/bold]")


def _limits(limits):
    moved, read = (max(limits[key].values()) / 1e9 for key in ("moved", "read"))
    single, double = (max(limits[key].values()) / 1e9 for key in ("float32", "float64"))
    return f"{moved:.1f} GB/s moved, {read:.1f} GB/s read, {single:.0f} GFLOP/s SGEMM, {double:.0f} DGEMM"


def _table(group, results):
    table = Table(title=TITLES[group], title_justify="left", title_style="bold", box=None, pad_edge=False)
    table.add_column("", overflow="fold")  # in a narrow window names are folded, numbers stay whole
    headings = ("us", UNITS[group], "% roof", "x NumPy") if UNITS[group] else ("us",)
    for heading in headings:
        table.add_column(heading, justify="right", no_wrap=True)
    for result in results:
        table.add_row(f"[bold]{result['name']}[/bold]")
        for name, row in result["contestants"].items():
            if "missing" in row:
                table.add_row(f"  [dim]{name}: {row['missing']}[/dim]")
                continue
            f = figures(result, name)
            rate = "" if f["rate"] is None else f"{f['rate']:.1f}"
            roof = "" if f["roof"] is None else f"{100 * f['roof']:.0f}"
            times = "" if f["times"] is None else f"{f['times']:.2f}"
            cells = (microseconds(row["seconds"]), rate, roof, times)[: len(headings)]
            style = "green" if name.startswith("fastopt") else ""
            table.add_row(f"  {name}", *cells, style=style)
    return table
