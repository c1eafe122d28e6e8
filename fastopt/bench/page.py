"""A record as one HTML file without anything from outside: roofline, bars, scaling."""

from html import escape

from fastopt.bench import tables
from fastopt.reports import svg
from fastopt.reports.page import definitions, page, section
from fastopt.reports.page import write as write_page


def write(record, path):
    """Write the page, whole or not at all."""
    write_page(path, html(record))


def html(record):
    """The text of the page."""
    parts = [f"<p class=soft>{escape(record['when'])}</p>", _machine(record["machine"])]
    if note := record["machine"].get("note"):
        parts.append(f"<p><b>{escape(note)}</b></p>")
    parts.append(section("Roofline", roofline(record)))
    for group, results in tables.groups(record).items():
        bars = (f"<h3>{escape(result['name'])}</h3>{_bars(result)}" for result in results)
        parts.append(section(tables.TITLES[group], *bars))
    if record.get("scaling"):
        axes = dict.fromkeys(c["axis"] for c in record["scaling"])
        parts.append(section("Scaling", *(_scaling(axis, record["scaling"]) for axis in axes)))
    return page("fastopt bench", "".join(parts))


def _machine(machine):
    return definitions((k.replace("_", " "), v) for k, v in machine.items() if k != "note")


def _bars(result):
    rows, missing = [], []
    for name, row in result["contestants"].items():
        if "missing" in row:
            missing.append(f"{name}: {row['missing']}")
            continue
        rows.append((name, row["seconds"], _figures_text(result, name, row["seconds"])))
    below = f"<p class=soft>{escape('; '.join(missing))}</p>" if missing else ""
    return svg.bars(rows) + below


def _figures_text(result, name, seconds):
    f = tables.figures(result, name)
    parts = [f"{tables.microseconds(seconds)} us"]
    if f["roof"] is not None and not name.startswith("roof"):
        parts.append(f"{100 * f['roof']:.0f} % of the roof")
    if f["times"] is not None and not name.startswith("NumPy"):
        parts.append(f"{f['times']:.3g}x")
    return ", ".join(parts)


def roofline(record):
    """GFLOP/s against operations a byte: the machine's two limits, and where everybody stands."""
    points = list(_points(record))
    limits = record["limits"]
    bandwidth = max(limits["read"].values()) / 1e9
    top = max(limits["float32"].values()) / 1e9
    x = [0.05, 100.0, *(p[0] for p in points)]
    y = [top * 1.1, *(p[1] for p in points)]
    plot = svg.LogLog(x, y, "operations a byte of memory", "GFLOP/s")
    right, bottom = 10.0 ** plot.x[1], 10.0 ** plot.y[0]
    start = max(10.0 ** plot.x[0], bottom / bandwidth)
    corner = top / bandwidth
    plot.line([(start, start * bandwidth), (corner, top), (right, top)], "#7a828a", dashed=True)
    plot.text(right, top, f"SGEMM {top:.0f} GFLOP/s", anchor="end")
    middle = (start * corner) ** 0.5
    plot.text(middle, middle * bandwidth, f"{bandwidth:.1f} GB/s", anchor="end")
    for x, y, name, title in points:
        plot.point(x, y, svg.colour(name), f"{title}, {name}: {y:.1f} GFLOP/s")
    shown = {key: c for key, c in svg.COLOURS.items() if any(p[2].startswith(key) for p in points)}
    plot.legend(list(shown.items()))
    return plot.svg()


def _points(record):
    for result in record["results"]:
        if not result["operations"] or not result["bytes"]:
            continue
        for name, row in result["contestants"].items():
            if "seconds" in row and not name.startswith(("numeric", "roof")):
                rate = result["operations"] / row["seconds"] / 1e9
                yield result["operations"] / result["bytes"], rate, name, result["name"]


def _scaling(axis, curves):
    mine = [c for c in curves if c["axis"] == axis]
    x = [v for c in mine for v in c["x"]]
    y = [1e6 * v for c in mine for v in c["seconds"]]
    plot = svg.LogLog(x, y, axis, "microseconds", height=340)
    for i, curve in enumerate(mine):
        fill = svg.colour(curve["contestant"])
        points = [(a, 1e6 * s) for a, s in zip(curve["x"], curve["seconds"], strict=True)]
        plot.line(points, fill, dashed="step" in curve["contestant"], dots=True)
        plot.legend([(f"{curve['contestant']}: slope {curve['slope']:.2f}", fill)], row=i)
    what = escape(mine[0]["what"])
    return f"<h3>Cost against {escape(axis)}</h3><p class=soft>{what}</p>{plot.svg()}"
