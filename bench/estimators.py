"""Estimators against scikit-learn's at the same objective: accuracy, time, memory; writes docs/comparison.md.

    python bench/estimators.py [digits a9a letter mnist]

Each fit runs in a process of its own, ours and theirs in turns, three times; medians. Memory is the peak of the
process beyond what it held when the data were there. Data: FASTOPT_DATA, or ../shared/data.
"""

import json
import os
import resource
import statistics
import subprocess
import sys
import time
from pathlib import Path

import numpy as np

HERE = Path(__file__).resolve().parent
DATA = Path(os.environ.get("FASTOPT_DATA", HERE.parents[1] / "shared" / "data"))
SETS = ("digits", "a9a", "letter", "mnist")
ROUNDS = 3
C = {"digits": 1.0, "a9a": 1.0, "letter": 1.0, "mnist": 0.01}


def load(name):
    """(X_train, y_train, X_test, y_test), float32; a9a as CSR."""
    if name == "digits":
        from sklearn.datasets import load_digits

        X, y = load_digits(return_X_y=True)
        X = (X / 16).astype(np.float32)
        return X[:1400], y[:1400], X[1400:], y[1400:]
    if name == "letter":
        table = np.genfromtxt(DATA / "letter.csv", delimiter=",", skip_header=1, dtype=str)
        X, y = np.ascontiguousarray(table[:, :-1].astype(np.float32) / 15), table[:, -1]
        return X[:16000], y[:16000], X[16000:], y[16000:]
    if name == "a9a":
        import lzma

        from sklearn.datasets import load_svmlight_file

        found = []
        for part in ("a9a.svm.xz", "a9a.t.svm.xz"):
            with lzma.open(DATA / part) as file:
                found += load_svmlight_file(file, n_features=123, dtype=np.float32)
        return tuple(found)
    with np.load(DATA / "mnist.npz") as f:
        X, X_test = ((f[k] / np.float32(255)).reshape(len(f[k]), -1) for k in ("x_train", "x_test"))
        return X, f["y_train"], X_test, f["y_test"]


def models(name, n):
    """{what: (ours, theirs)} with the same objective."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.svm import LinearSVC

    import fastopt as fo

    c = C[name]
    found = {
        "softmax": (
            fo.LinearClassifier("softmax", l2=1 / (2 * n * c)),
            LogisticRegression(C=c, max_iter=1000),
        ),
    }
    if name != "mnist":
        found["squared hinge"] = (
            fo.LinearClassifier("squared_hinge", l2=1 / (2 * n * c)), LinearSVC(C=c, dual="auto", max_iter=5000)
        )  # fmt: skip
    return found


def one(name, what, which):
    """One fit, in this process: prints JSON."""
    X, y, X_test, y_test = load(name)
    model = models(name, len(y))[what][which]
    few = slice(0, 2000)
    model.fit(X[few], y[few])  # what is compiled or imported is not counted
    before = _resident()
    start = time.perf_counter()
    model.fit(X, y)
    seconds = time.perf_counter() - start
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(
        json.dumps(
            {"accuracy": model.score(X_test, y_test), "seconds": seconds, "memory": max(0.0, peak - before)}
        )
    )


def _resident():
    """MB that the process holds now; the peak is set to it where Linux lets us."""
    Path("/proc/self/clear_refs").write_text("5")
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize() / 2**20


def compare(names):
    """The table, as lines of Markdown."""
    lines = [
        "| data | loss | accuracy | scikit-learn | seconds | scikit-learn | MB beyond the data | scikit-learn |",
        "|---|---|---:|---:|---:|---:|---:|---:|",
    ]
    for name in names:
        for what in ["softmax"] + ["squared hinge"] * (name != "mnist"):
            rounds = [[_in_a_process(name, what, which) for which in (0, 1)] for _ in range(ROUNDS)]
            cells = []
            for key, form in (("accuracy", "{:.2%}"), ("seconds", "{:.3g}"), ("memory", "{:.0f}")):
                cells += [form.format(statistics.median(r[which][key] for r in rounds)) for which in (0, 1)]
            lines.append(f"| {name} | {what} | " + " | ".join(cells) + " |")
            print(lines[-1], flush=True)
    return lines


def _in_a_process(name, what, which):
    command = [sys.executable, __file__, "--one", name, what, str(which)]
    ran = subprocess.run(command, check=True, capture_output=True, text=True, cwd="/")
    return json.loads(ran.stdout.splitlines()[-1])


if __name__ == "__main__":
    if sys.argv[1:2] == ["--one"]:
        one(sys.argv[2], sys.argv[3], int(sys.argv[4]))
    else:
        import sklearn

        import fastopt as fo

        lines = compare(sys.argv[1:] or SETS)
        head = f"fastopt {fo.__version__} against scikit-learn {sklearn.__version__} at the same objective"
        text = f"# Against scikit-learn\n\n{head}; `python bench/estimators.py` writes this page. Medians of {ROUNDS}.\n"
        (HERE.parent / "docs" / "comparison.md").write_text(text + "\n" + "\n".join(lines) + "\n")
