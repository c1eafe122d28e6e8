"""Solvers of linear models against scikit-learn: seconds to a relative gap of the best objective known.

    python bench/solvers.py [--data FOLDER] [--threads 2] [--float32] [--only NAME] [--gap 1e-6] [--svg FILE]

Each contestant runs on each problem with a rising number of iterations (peers) or notes its history (fastopt);
the time is the first at which its objective, measured by one function in float64, is within the gap. Times
are the least of --rounds, interleaved. `--svg` draws gap against time. Peers that are not installed are left out.
"""

import argparse
import io
import lzma
import time
import warnings
from pathlib import Path

import numpy as np

import fastopt as fo
from fastopt.solvers import solve

warnings.simplefilter("ignore")
NEVER = float("inf")


def labels_of(path):
    from sklearn.datasets import load_svmlight_file

    with lzma.open(path) as file:
        X, y = load_svmlight_file(io.BytesIO(file.read()), n_features=123)
    X.indices, X.indptr = X.indices.astype(np.int32), X.indptr.astype(np.int32)
    return X, (y > 0).astype(int)


def letter(folder):
    lines = (folder / "letter.csv").read_text().splitlines()[1:]
    table = [line.split(",") for line in lines]
    X = np.array([row[:16] for row in table], float) / 15
    return X, np.array([ord(row[16].strip()) - ord("A") for row in table])


def mnist(folder, count):
    with np.load(folder / "mnist.npz") as file:
        return file["x_train"][:count].reshape(count, -1) / 255.0, file["y_train"][:count].astype(int)


def small(name, standard=True):
    from sklearn import datasets

    X, y = getattr(datasets, f"load_{name}")(return_X_y=True)
    return ((X - X.mean(axis=0)) / np.maximum(X.std(axis=0), 1e-12) if standard else X / 16), y


def made(n, features, seed=0):
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n, features))
    return X, (X[:, : min(10, features)].sum(axis=1) / 2 + rng.logistic(size=n) > 0).astype(int)


def wide(n=5000, features=50_000, seed=0):
    from scipy.sparse import csr_matrix

    rng = np.random.default_rng(seed)
    columns = (features * rng.random((n, 60)) ** 3).astype(np.int32)  # some are in many rows, most in few
    X = csr_matrix(
        (np.abs(rng.normal(size=n * 60)), columns.reshape(-1), np.arange(0, n * 60 + 1, 60)), (n, features)
    )
    X.sum_duplicates()
    w = np.zeros(features)
    w[rng.integers(0, 2000, 200)] = rng.normal(size=200) * 3
    return X, (X @ w + rng.logistic(size=n) > 0).astype(int)


def problems(folder):
    """(name, X, y, loss, l1 * n, l2 * 2 n): the last two are 1 / C of scikit-learn."""
    yield "digits softmax L2", *small("digits", False), fo.Softmax(), 0, 1
    yield "wine softmax L2", *small("wine"), fo.Softmax(), 0, 1
    yield "cancer logistic L2", *small("breast_cancer"), fo.Logistic(), 0, 1
    yield "made 100,000 x 50 logistic L2", *made(100_000, 50), fo.Logistic(), 0, 1
    yield "made 10,000 x 10 logistic L1", *made(10_000, 10), fo.Logistic(), 10, 0
    yield "digits softmax L1", *small("digits", False), fo.Softmax(), 1, 0
    yield "wide 5,000 x 50,000 logistic L1", *wide(), fo.Logistic(), 2, 0
    if not folder.exists():
        return
    a9a = labels_of(folder / "a9a.svm.xz")
    yield "a9a logistic L2", *a9a, fo.Logistic(), 0, 1
    yield "a9a logistic L1", *a9a, fo.Logistic(), 1, 0
    yield "a9a logistic elastic net", *a9a, fo.Logistic(), 0.5, 0.5
    yield "a9a squared hinge L2", *a9a, fo.SquaredHinge(), 0, 1
    yield "a9a hinge L2", *a9a, fo.Hinge(), 0, 100
    yield "letter softmax L2", *letter(folder), fo.Softmax(), 0, 1
    yield "MNIST 5,000 softmax L2", *mnist(folder, 5000), fo.Softmax(), 0, 1
    yield "MNIST 60,000 softmax L2", *mnist(folder, 60_000), fo.Softmax(), 0, 1


class Problem:
    def __init__(self, name, X, y, loss, l1, l2, dtype, threads):
        n = X.shape[0]
        self.name, self.loss, self.y, self.threads = name, loss, y, threads
        self.l1, self.l2, self.X = l1 / n, l2 / (2 * n), X.astype(dtype)
        # liblinear penalises b: hinges are compared without one
        self.intercept = type(loss) not in (fo.Hinge, fo.SquaredHinge)
        options = {"fit_intercept": self.intercept, "threads": threads}
        penalty = fo.ElasticNet(self.l1, self.l2) if l1 else fo.L2(self.l2)
        self.objective = fo.Objective(loss, self.X, y, penalty=penalty, **options)
        self.exact = fo.Objective(loss, X.astype(np.float64), y, penalty=penalty, **options)

    def value(self, W, b):
        W = np.asarray(W, np.float64)
        return self.exact.value(W, np.asarray(b, np.float64)) if self.intercept else self.exact.value(W)


def ours(problem, solver):
    """[(seconds, objective)] along one run."""
    seen = []
    try:
        report = solve(problem.objective, solver, callback=lambda now: seen.append((now["seconds"], now["objective"])),
                       max_iter=3000, max_seconds=60, **({"tol": 1e-9} if solver == "dual" else {})).report  # fmt: skip
    except ValueError:
        return []
    return [*seen[:-1], (report.seconds, report.objective)]


def peers(problem):
    """{name: function(iterations) -> (W, b)} of scikit-learn."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.svm import LinearSVC

    n, loss, found = problem.X.shape[0], problem.loss, {}
    C = 1 / (n * (problem.l1 + 2 * problem.l2))
    ratio = problem.l1 / (problem.l1 + 2 * problem.l2)

    def logistic(solver):
        def fit(iterations):
            model = LogisticRegression(C=C, l1_ratio=ratio, solver=solver, tol=1e-14, max_iter=iterations)
            model.fit(problem.X, problem.y)
            return model.coef_, model.intercept_

        return fit

    def svm(iterations):
        name = "hinge" if isinstance(loss, fo.Hinge) else "squared_hinge"
        model = LinearSVC(loss=name, C=C, fit_intercept=False, tol=1e-14, max_iter=iterations, dual=True)
        return model.fit(problem.X, problem.y).coef_, None

    if isinstance(loss, fo.Softmax | fo.Logistic):
        wide = problem.X.shape[1] * len(np.unique(problem.y)) > 3000
        names = ["saga"] if problem.l1 else ["lbfgs", "saga", *([] if wide else ["newton-cholesky"])]
        found = {f"sklearn {name}": logistic(name) for name in names}
    elif isinstance(loss, fo.Hinge | fo.SquaredHinge):
        found = {"liblinear": svm}
    return found


def along(problem, fit, limit):
    """[(seconds, objective)] of runs with more and more iterations, until one takes longer than the limit."""
    points, iterations = [], 2
    while True:
        start = time.perf_counter()
        W, b = fit(iterations)
        points.append((time.perf_counter() - start, problem.value(W, b)))
        if points[-1][0] > limit or len(points) > 3 and points[-1][1] >= points[-2][1] == points[-3][1]:
            return points
        iterations = int(iterations * 1.6) + 1


def reached(points, goal):
    return next((seconds for seconds, value in points if value <= goal), NEVER)


def race(problem, gap, rounds, limit):
    """({contestant: seconds}, {contestant: points}, the best objective)."""
    curves = {}
    for _ in range(rounds):
        for solver in ("auto", "lbfgs", "newton", "prox-newton", "dual"):
            curves.setdefault(f"fastopt {solver}", []).append(ours(problem, solver))
        for name, fit in peers(problem).items():
            curves.setdefault(name, []).append(along(problem, fit, limit))
    best = min(value for runs in curves.values() for points in runs for _, value in points)
    goal = best + gap * abs(best)
    times = {name: min(reached(points, goal) for points in runs) for name, runs in curves.items()}
    return times, {name: runs[0] for name, runs in curves.items()}, best


def draw(curves, best, path):
    import matplotlib

    matplotlib.use("svg")
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(1, len(curves), figsize=(5 * len(curves), 4), squeeze=False)
    for axis, (title, by_name) in zip(axes[0], curves.items(), strict=True):
        for name, points in by_name.items():
            if points:
                seconds, values = zip(*points, strict=True)
                gaps = np.maximum(np.array(values) / best[title] - 1, 1e-12)
                axis.loglog(seconds, gaps, "-" if name.startswith("fastopt") else "--", label=name, lw=1.2)
        axis.set(title=title, xlabel="seconds", ylabel="relative gap", ylim=(1e-10, 10))
        axis.legend(fontsize=7)
    figure.tight_layout()
    figure.savefig(path)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, default=Path(__file__).resolve().parents[2] / "shared" / "data")
    parser.add_argument("--threads", type=int)
    parser.add_argument("--float32", action="store_true")
    parser.add_argument("--only", default="")
    parser.add_argument("--gap", type=float, default=1e-6)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--limit", type=float, default=20.0, help="seconds of a peer's longest run")
    parser.add_argument("--svg", type=Path)
    options = parser.parse_args()
    dtype, curves, bests = np.float32 if options.float32 else np.float64, {}, {}
    print(
        f"seconds to a relative gap of {options.gap:g}, {np.dtype(dtype)}, threads: {options.threads or 'all'}\n"
    )
    for name, *given in problems(options.data):
        if options.only not in name:
            continue
        problem = Problem(name, *given, dtype, options.threads)
        for solver in ("lbfgs", "newton", "prox-newton", "dual"):  # compile
            try:
                solve(problem.objective, solver, max_iter=1)
            except ValueError:
                continue
        times, curves[name], bests[name] = race(problem, options.gap, options.rounds, options.limit)
        print(f"{name}: best objective {bests[name]:.10g}")
        for who, seconds in sorted(times.items(), key=lambda item: item[1]):
            if curves[name][who]:
                print(f"    {who:24} {'not reached' if seconds == NEVER else f'{seconds:9.4f} s'}")
        own = min(seconds for who, seconds in times.items() if who.startswith("fastopt"))
        auto = times["fastopt auto"]
        peer = min(
            (seconds for who, seconds in times.items() if not who.startswith("fastopt")), default=NEVER
        )
        print(
            f"    auto / best of fastopt {auto / own:.2f}, best peer / auto {peer / auto:.1f}\n", flush=True
        )
    if options.svg:
        draw(curves, bests, options.svg)


if __name__ == "__main__":
    main()
