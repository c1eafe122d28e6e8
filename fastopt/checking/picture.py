"""Error of the difference quotient against h: a V where the gradient is right, a plateau where it is not."""

import importlib


def draw(report, path, rows, axes):
    if report.curves is None:
        raise ValueError("this report holds no entries to draw")
    try:
        Figure = importlib.import_module("matplotlib.figure").Figure  # by name: frozen programs do without it
    except ImportError as error:
        raise ImportError("the picture needs matplotlib: pip install matplotlib") from error
    if axes is None:
        axes = Figure(figsize=(7, 4.5), layout="constrained").subplots()
    for row, h, errors in report.curves(report.rows[:rows]):
        label = f"{row.name}: {row.verdict}" + (f" ({row.cause})" if row.cause else "")
        axes.loglog(h, errors.clip(1e-18), "o-", ms=3, label=label)
    axes.set_xlabel("h")
    axes.set_ylabel("|analytic - central difference at h|")
    axes.set_title("passed" if report.ok else "failed")
    if axes.get_legend_handles_labels()[1]:
        axes.legend(fontsize=8)
    if path is not None:
        axes.figure.savefig(path)
    return axes
