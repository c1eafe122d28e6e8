"""Predict a CSV file that is larger than the memory should be: seconds and the peak memory of the command.

    python bench/large_csv.py [GIGABYTES] [--folder FOLDER]

Makes the file (5 GB unless told) in a temporary folder, trains a model on its first rows, predicts all of it with
`fastopt predict`, and says what the process took at most (limit: 300 MB). Nothing is left behind.
"""

import argparse
import subprocess
import sys
import sysconfig
import tempfile
import time
from pathlib import Path

import numpy as np

COMMAND = Path(sysconfig.get_path("scripts")) / "fastopt"
LIMIT = 300  # MB
# A child's ru_maxrss begins with what its parent had: this parent is small, whoever calls `measured`.
_STARTER = """
import os, sys
pid = os.fork()
if not pid:
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, 1)
    os.execv(sys.argv[1], sys.argv[1:])
_, status, usage = os.wait4(pid, 0)
print(usage.ru_maxrss)
sys.exit(bool(status))
"""
ROWS = 50_000  # different rows; the file repeats them


def block(seed=0):
    """(header, ROWS lines of text): eight numbers, a town, a label that follows from them."""
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(ROWS, 8)).round(5)
    town = rng.choice(["Bonn", '"Aachen, Rhld."', "Ulm"], ROWS)
    label = np.where(X[:, 0] + (town == "Ulm") > 0.3, "yes", "no")
    lines = (",".join([*map(str, x), t, y]) + "\n" for x, t, y in zip(X.tolist(), town, label, strict=True))
    return b"a,b,c,d,e,f,g,h,town,label\n", "".join(lines).encode()


def write(path, size):
    """A CSV file of at least `size` bytes; the number of its rows."""
    header, lines = block()
    repeats = max(1, -(-size // len(lines)))
    with open(path, "wb") as file:
        file.write(header)
        for _ in range(repeats):
            file.write(lines)
    return repeats * ROWS


def measured(*arguments):
    """(seconds, MB at most) of the installed command."""
    command = [sys.executable, "-S", "-c", _STARTER, str(COMMAND), *map(str, arguments)]
    began = time.perf_counter()
    ran = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=True)
    return time.perf_counter() - began, int(ran.stdout) / 1024


def predicted(folder, size):
    """(rows, seconds, MB at most) of a prediction of `size` bytes of CSV."""
    small, large, model, out = (folder / n for n in ("small.csv", "large.csv", "model.npz", "out.csv"))
    write(small, 1)
    measured("train", small, "--epochs", 2, "--quiet", "--out", model)
    rows = write(large, size)
    seconds, memory = measured("predict", model, large, "--out", out)
    with open(out, "rb") as file:
        lines = sum(piece.count(b"\n") for piece in iter(lambda: file.read(1 << 20), b""))
    if lines != rows + 1:
        raise SystemExit(f"{lines - 1:,} predictions of {rows:,} rows")
    return rows, seconds, memory


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("gigabytes", type=float, nargs="?", default=5.0)
    parser.add_argument("--folder", help="where the file is made")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=given.folder) as folder:
        rows, seconds, memory = predicted(Path(folder), int(given.gigabytes * 1e9))
    print(f"{given.gigabytes:g} GB, {rows:,} rows: {seconds:.0f} s, at most {memory:.0f} MB")
    sys.exit(memory > LIMIT)


if __name__ == "__main__":
    main()
