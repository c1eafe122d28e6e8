"""Plain SGD on single CSR rows of two classes (a9a), an epoch's time beside scikit-learn's SGDClassifier.

    python bench/single_rows.py a9a.svm.xz [rounds]

Constant rate and l2 on both sides, a new order every epoch, both from Python to Python: the difference of runs
of 6 and of 1 epochs, by 5. Rounds are interleaved; medians and the median ratio are printed.
"""

import lzma
import statistics
import sys
import time
import warnings

import numpy as np
from sklearn.datasets import load_svmlight_file
from sklearn.linear_model import SGDClassifier

import fastopt as fo

RATE, L2 = 0.01, 1e-5
LOSSES = {"hinge": fo.Hinge(), "log_loss": fo.Logistic()}


def ours(X, y, loss, schedule):
    def run(epochs):
        fo.train(X, y, LOSSES[loss], fo.SGD(RATE), schedule, epochs=epochs, batch_size=1, l2=L2)

    return run


def theirs(X, y, loss):
    def run(epochs):
        SGDClassifier(
            loss=loss, alpha=2 * L2, learning_rate="constant", eta0=RATE, max_iter=epochs, tol=None
        ).fit(X, y)

    return run


def epoch_seconds(run):
    times = []
    for epochs in (6, 1):
        began = time.perf_counter()
        run(epochs)
        times.append(time.perf_counter() - began)
    return (times[0] - times[1]) / 5


def main(path, rounds=7):
    warnings.simplefilter("ignore")
    with lzma.open(path) as file:
        X, labels = load_svmlight_file(file, n_features=123)
    X.indices, X.indptr = X.indices.astype(np.int32), X.indptr.astype(np.int32)
    y = (labels > 0).astype(np.int64)
    for loss in LOSSES:
        runs = {
            "scikit-learn float64": theirs(X, y, loss),
            "fastopt float64": ours(X, y, loss, None),
            "fastopt float32": ours(X.astype(np.float32), y, loss, None),
            "fastopt float32, cosine": ours(X.astype(np.float32), y, loss, fo.schedules.Cosine()),
        }
        for run in runs.values():
            run(1)
        times = {name: [] for name in runs}
        for _ in range(rounds):
            for name, run in runs.items():
                times[name].append(epoch_seconds(run))
        base = times["scikit-learn float64"]
        for name, values in times.items():
            ratio = statistics.median(a / b for a, b in zip(values, base, strict=True))
            print(
                f"{loss:9} {name:24} {1e3 * statistics.median(values):6.2f} ms an epoch, {ratio:.2f} of theirs"
            )


if __name__ == "__main__":
    main(sys.argv[1], *map(int, sys.argv[2:]))
