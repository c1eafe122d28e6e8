"""Compare two stored runs: python bench/compare.py BEFORE.json AFTER.json [--relative]

Takes records of `fastopt bench --out` and files of `pytest bench --benchmark-json`. Fails (exit 1) where
fastopt became slower by more than the noise that the two runs show: the spread of that contestant's own
times, and how far the times of others moved from one run to the other, whose code did not change.
--relative compares times divided by NumPy's of the same case: for runs on different machines.
"""

import argparse
import json
import math
import sys
from typing import NamedTuple

import numpy as np

LEAST = 0.05  # below this nothing counts as a regression


class Time(NamedTuple):
    seconds: float
    noise: float  # standard deviation of the median's logarithm


def load(path):
    """{(case, contestant): Time} of a file in either format."""
    with open(path) as file:
        content = json.load(file)
    return dict(_of_pytest(content) if "benchmarks" in content else _of_record(content))


def _of_record(record):
    for result in record["results"]:
        for name, row in result["contestants"].items():
            if "seconds" in row:
                case = f"{result['group']}: {result['name']}"
                yield (case, name), _time(row["seconds"], row["high"] - row["low"], row["rounds"])


def _of_pytest(content):
    for row in content["benchmarks"]:
        stats, name = row["stats"], row["extra_info"].get("contestant", row["name"])
        yield (row["group"] or "", name), _time(stats["median"], stats["iqr"], stats["rounds"])


def _time(median, iqr, rounds):
    """A median of n has 1.25/sqrt(n) of the spread of one; the spread is iqr/1.35."""
    return Time(median, 1.25 * iqr / 1.35 / median / math.sqrt(rounds))


def relative(run):
    """Times as multiples of NumPy's best in their case; cases without NumPy drop out."""
    best = {}
    for (case, name), time in run.items():
        if name.startswith("NumPy") and (case not in best or time.seconds < best[case].seconds):
            best[case] = time
    return {
        (case, name): Time(time.seconds / best[case].seconds, math.hypot(time.noise, best[case].noise))
        for (case, name), time in run.items()
        if case in best and not name.startswith("NumPy")
    }


def changes(before, after):
    """Rows (change of the logarithm, threshold, case, contestant) of what is in both, worst first."""
    both = [key for key in after if key in before]
    moved = {key: math.log(after[key].seconds / before[key].seconds) for key in both}
    others = [abs(value) for key, value in moved.items() if not is_ours(key)]
    drift = float(np.quantile(others, 0.9)) if len(others) >= 5 else 0.0
    rows = []
    for key in both:
        noise = 3 * math.hypot(before[key].noise, after[key].noise)
        rows.append((moved[key], max(LEAST, drift, noise), *key))
    return sorted(rows, reverse=True), drift


def is_ours(key):
    case, name = key
    return "fastopt" in name or "fastopt" in case


def main(arguments=None):
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("before")
    parser.add_argument("after")
    parser.add_argument("--relative", action="store_true", help="times divided by NumPy's of the same case")
    options = parser.parse_args(arguments)
    runs = [load(path) for path in (options.before, options.after)]
    if options.relative:
        runs = [relative(run) for run in runs]
    rows, drift = changes(*runs)
    slower = [row for row in rows if row[0] > row[1] and is_ours(row[2:])]
    faster = [row for row in reversed(rows) if -row[0] > row[1] and is_ours(row[2:])]
    for title, chosen in (("slower", slower), ("faster", faster)):
        for change, threshold, case, name in chosen:
            print(
                f"{title}  {math.exp(change):6.2f}x  (noise {math.expm1(threshold):.0%})  {name}  |  {case}"
            )
    print(
        f"{len(rows)} times in both; what is not fastopt moved by {math.expm1(drift):.0%} (9 of 10 by less)"
    )
    if not rows:
        print("nothing to compare: no case is in both runs")
        return 2
    return 1 if slower else 0


if __name__ == "__main__":
    sys.exit(main())
