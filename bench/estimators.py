"""Estimators against scikit-learn's at the same objective: accuracy, time, memory; writes docs/comparison.md.

    python bench/estimators.py [digits a9a letter mnist] [--rounds 3] [--csv 5]

Each fit runs in a process of its own, ours and theirs in turns; medians. MNIST takes long with scikit-learn and has
one round. Memory is the peak of the process beyond what it held when the data were there. The exit status tells
whether at an optimum an accuracy is more than 0.3 % below scikit-learn's, or memory beyond its limit. --csv: GB of a CSV file that
is predicted (bench/large_csv.py); 0 leaves it out. Data: FASTOPT_DATA, or ../shared/data.
"""

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import large_csv
import numpy as np

HERE = Path(__file__).resolve().parent
DATA = Path(os.environ.get("FASTOPT_DATA", HERE.parents[1] / "shared" / "data"))
SETS = ("digits", "a9a", "letter", "mnist")
C = {"digits": 1.0, "a9a": 1.0, "letter": 1.0, "mnist": 0.01}
ONCE = ("mnist",)  # sets of one round
EPOCHS = 10  # of the comparison by epochs
GAP = 0.003  # of accuracy
LIMIT = 50  # MB beyond the data, of MNIST in float32


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
                X, y = load_svmlight_file(file, n_features=123, dtype=np.float32)
            X.indices, X.indptr = X.indices.astype(np.int32), X.indptr.astype(np.int32)  # for liblinear
            found += [X, y]
        return tuple(found)
    with np.load(DATA / "mnist.npz") as f:
        X, X_test = ((f[k] / np.float32(255)).reshape(len(f[k]), -1) for k in ("x_train", "x_test"))
        return X, f["y_train"], X_test, f["y_test"]


def with_ones(X):
    """X with a last column of ones: its weight is an intercept that both sides penalise."""
    ones = np.ones((X.shape[0], 1), np.float32)
    if isinstance(X, np.ndarray):
        return np.hstack([X, ones])
    from scipy import sparse

    made = sparse.hstack([X, ones], format="csr", dtype=np.float32)
    made.indices, made.indptr = made.indices.astype(np.int32), made.indptr.astype(np.int32)
    return made


def models(name, n):
    """{what: (ours, theirs)} with the same objective."""
    from sklearn.linear_model import LogisticRegression, SGDClassifier
    from sklearn.svm import LinearSVC

    import fastopt as fo

    c = C[name]
    l2 = 1 / (2 * n * c)
    found = {
        "softmax": (fo.LinearClassifier("softmax", l2=l2), LogisticRegression(C=c, max_iter=1000)),
        "squared hinge": (
            fo.LinearClassifier("squared_hinge", l2=l2, fit_intercept=False),
            LinearSVC(C=c, dual="auto", max_iter=5000, fit_intercept=False),
        ),
        "hinge": (
            fo.LinearClassifier("hinge", l2=l2, fit_intercept=False),
            LinearSVC(loss="hinge", C=c, max_iter=20000, fit_intercept=False),
        ),
        f"logistic, {EPOCHS} epochs": (
            fo.LinearClassifier("logistic", solver="sgd", l2=l2, epochs=EPOCHS, batch_size=16, random_state=0),
            SGDClassifier(loss="log_loss", alpha=2 * l2, max_iter=EPOCHS, tol=None, random_state=0),
        ),
    }  # fmt: skip
    slow = {"mnist": ("squared hinge", "hinge"), "letter": ("hinge",)}.get(name, ())  # minutes with liblinear
    return {what: pair for what, pair in found.items() if what not in slow}


def one(name, what, which):
    """One fit, in this process: prints JSON."""
    X, y, X_test, y_test = load(name)
    if "hinge" in what:
        X, X_test = with_ones(X), with_ones(X_test)
    model = models(name, len(y))[what][which]
    few = slice(0, 2000)
    model.fit(X[few], y[few])  # what is compiled or imported is not counted
    before = resident()
    start = time.perf_counter()
    model.fit(X, y)
    seconds = time.perf_counter() - start
    status = Path("/proc/self/status").read_text()  # ru_maxrss begins with what the parent had
    peak = int(status.split("VmHWM:")[1].split()[0]) / 1024
    found = {"accuracy": model.score(X_test, y_test), "seconds": seconds, "memory": max(0.0, peak - before)}
    print(json.dumps(found))


def resident():
    """MB that the process holds now; the peak is set to it where Linux lets us."""
    Path("/proc/self/clear_refs").write_text("5")
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize() / 2**20


def _in_a_process(name, what, which):
    command = [sys.executable, __file__, "--one", name, what, str(which)]
    ran = subprocess.run(command, check=True, capture_output=True, text=True, cwd="/")
    return json.loads(ran.stdout.splitlines()[-1])


def compare(names, rounds):
    """(the table, as lines of Markdown, what misses its mark)."""
    lines = [
        "| data | objective | accuracy | scikit-learn | seconds | scikit-learn | MB beyond the data | scikit-learn |",
        "|---|---|---:|---:|---:|---:|---:|---:|",
    ]
    missed = []
    for name in names:
        for what in models(name, 1):
            count = 1 if name in ONCE else rounds
            found = [[_in_a_process(name, what, which) for which in (0, 1)] for _ in range(count)]
            ours, theirs = (
                {key: statistics.median(pair[which][key] for pair in found) for key in found[0][0]}
                for which in (0, 1)
            )
            cells = [
                form.format(side[key])
                for key, form in (("accuracy", "{:.2%}"), ("seconds", "{:.3g}"), ("memory", "{:.0f}"))
                for side in (ours, theirs)
            ]
            lines.append(f"| {name} | {what} | " + " | ".join(cells) + " |")
            print(lines[-1], flush=True)
            if "epochs" not in what and ours["accuracy"] < theirs["accuracy"] - GAP:
                missed.append(f"{name}, {what}: accuracy {ours['accuracy']:.4f}")
            if name == "mnist" and ours["memory"] > LIMIT:
                missed.append(f"{name}, {what}: {ours['memory']:.0f} MB beyond the data")
    return lines, missed


def page(lines, gigabytes):
    """(the page's text, what misses its mark)."""
    import sklearn

    import fastopt as fo

    text = f"""# Against scikit-learn

fastopt {fo.__version__} and scikit-learn {sklearn.__version__} at the same objective, the same rows, float32
(a9a as CSR); `python bench/estimators.py` writes this page. LogisticRegression, LinearSVC and SGDClassifier stand
opposite. Accuracy is on test rows, memory the peak beyond what the process held with the data.
LinearSVC penalises its intercept, fastopt does not: the hinges have a column of ones and no other intercept.
"{EPOCHS} epochs" compares {EPOCHS} passes over the rows: SGD of single rows there, batches of 16 by Momentum here;
neither is at the optimum, so their accuracies differ in both directions.

"""
    text += "\n".join(lines) + "\n"
    if not gigabytes:
        return text, []
    with tempfile.TemporaryDirectory() as folder:
        rows, seconds, memory = large_csv.predicted(Path(folder), int(gigabytes * 1e9))
    said = (f"`fastopt predict` takes a CSV file of {gigabytes:g} GB ({rows:,} rows, ten columns, one of text) in "
            f"{seconds:.0f} s and at most {memory:.0f} MB.")  # fmt: skip
    print(said)
    return text + f"\n{said}\n", [said] if memory > large_csv.LIMIT else []


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("sets", nargs="*", metavar="SET", help=f"of {', '.join(SETS)}")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--csv", type=float, default=5.0, metavar="GB")
    parser.add_argument("--out", default=HERE.parent / "docs" / "comparison.md", type=Path)
    given = parser.parse_args()
    lines, missed = compare(given.sets or SETS, given.rounds)
    text, beyond = page(lines, given.csv)
    given.out.write_text(text)
    for line in (*missed, *beyond):
        print("missed:", line)
    sys.exit(bool(missed or beyond))


if __name__ == "__main__":
    if sys.argv[1:2] == ["--one"]:
        one(sys.argv[2], sys.argv[3], int(sys.argv[4]))
    else:
        main()
