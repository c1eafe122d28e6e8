"""Write the figures of a stored run into README: python bench/readme_figures.py [RECORD.json] [--check]

Without a file: the newest quick run in bench/results. They go between the two marker comments. --check writes
nothing and fails where README holds other figures than the run gives.
"""

import argparse
import json
import sys
from pathlib import Path

from fastopt.bench import tables

ROOT = Path(__file__).resolve().parents[1]
BEGIN, END = "<!-- figures -->", "<!-- /figures -->"
PEERS = ("NumPy", "torch", "optax", "Numba", "scikit-learn")


def newest():
    """The newest record of a quick run, or else of a full one: README quotes the essential part."""
    found = []
    for path in (ROOT / "bench" / "results").glob("*.json"):
        record = json.loads(path.read_text())
        found.append((record["quick"], record["when"], path))
    if not found:
        sys.exit("bench/results holds no run: fastopt bench --out bench/results/NAME.json")
    return max(found)[-1]


def text(record):
    """Markdown: the machine, a table a group, a row a case."""
    machine, limits = record["machine"], record["limits"]
    packages = (
        (name, machine.get(name, "not installed")) for name in ("numpy", "numba", "torch", "optax", "sklearn")
    )
    versions = ", ".join(f"{name} {version}" for name, version in packages if version != "not installed")
    lines = [
        f"{machine['cpu']}, {machine['threads']} threads, {machine['cpu_features']}; {versions}; "
        f"{record['when'][:10]}. Limits in the same run: "
        f"{max(limits['moved'].values()) / 1e9:.1f} GB/s, {max(limits['float32'].values()) / 1e9:.0f} GFLOP/s SGEMM. "
        "Best of the threads of each; medians, in turns.",
    ]
    if note := machine.get("note"):
        lines += ["", note]
    for group, results in tables.groups(record).items():
        lines += ["", *_table(group, results)]
    return "\n".join(lines)


def _table(group, results):
    if group == "first call":
        yield from _first_calls(results[0])
        return
    peers = [p for p in PEERS if any(_best(r, p) for r in results)]
    kinds = [k for k in ("fastopt numba", "fastopt c") if any(_best(r, k) for r in results)]
    yield (
        f"| {tables.TITLES[group]} | " + " | ".join([*kinds, "% of roof", *(f"x {p}" for p in peers)]) + " |"
    )
    yield "|---|" + "---:|" * (len(kinds) + 1 + len(peers))
    for result in results:
        best = {k: _best(result, k) for k in kinds}
        ours = min((s for s in best.values() if s), default=None)
        if ours is None:
            continue
        roof = f"{100 * result['roof_seconds'] / ours:.0f}" if result.get("roof_seconds") else ""
        cells = [_time(best[k]) for k in kinds] + [roof]
        cells += [_ratio(_best(result, p), ours) for p in peers]
        yield f"| {result['name']} | " + " | ".join(cells) + " |"


def _first_calls(result):
    yield f"| {tables.TITLES['first call']} | s |"
    yield "|---|---:|"
    for name, row in result["contestants"].items():
        yield f"| {name} | {row['seconds']:.2f} |"


def _best(result, name):
    """The least median of the contestants of this name: with whatever number of threads."""
    rows = result["contestants"].items()
    plain = [
        r["seconds"] for n, r in rows if n.split(",")[0] == name and "seconds" in r and "unchecked" not in n
    ]
    return min(plain, default=None)


def _time(seconds):
    if seconds is None:
        return ""
    return f"{tables.microseconds(seconds)} us" if seconds < 1e-3 else f"{seconds * 1e3:,.3g} ms"


def _ratio(theirs, ours):
    return "" if theirs is None else f"{theirs / ours:.3g}"


def main(arguments=None):
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("record", nargs="?", type=Path)
    parser.add_argument("--check", action="store_true", help="write nothing; fail where README differs")
    parser.add_argument("--readme", type=Path, default=ROOT / "README.md")
    options = parser.parse_args(arguments)
    record = json.loads((options.record or newest()).read_text())
    before = options.readme.read_text()
    head, found, rest = before.partition(BEGIN)
    _, closed, tail = rest.partition(END)
    if not found or not closed:
        sys.exit(f"{options.readme} has no {BEGIN} ... {END}")
    after = f"{head}{BEGIN}\n{text(record)}\n{END}{tail}"
    if options.check:
        return int(after != before)
    options.readme.write_text(after)
    return 0


if __name__ == "__main__":
    sys.exit(main())
