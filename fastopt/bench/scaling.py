"""Cost against one size while the others stay: rows, features, classes, batch, threads."""

import numpy as np

import fastopt as fo
from fastopt.bench import cases, problems, timing
from fastopt.bench.timing import Contestant
from fastopt.threads import usable_threads

AXES = {
    "rows": (2000, 8000, 32_000, 128_000),
    "features": (32, 128, 512, 2048),
    "classes": (2, 8, 32, 128, 512),
    "batch size": (1, 4, 16, 64, 256, 1024),
    "elements": (1000, 10_000, 100_000, 1_000_000, 10_000_000),
}


def curves(axes=None, seconds=2.0):
    """[{axis, what, contestant, x, seconds, slope}]; slope of log seconds over log x, by least squares."""
    rows = []
    for axis, values in (AXES if axes is None else axes).items():
        points = {}
        for value in values:
            for name, contestant_times in _point(axis, value, seconds / len(values)).items():
                points.setdefault(name, []).append((value, float(np.median(contestant_times))))
        rows += [_curve(axis, name, pairs) for name, pairs in points.items()]
    return rows + _threads(seconds)


def _curve(axis, name, pairs):
    x, y = zip(*pairs, strict=True)
    slope = float(np.polyfit(np.log(x), np.log(y), 1)[0]) if len(x) > 1 else float("nan")
    return {"axis": axis, "what": TITLES[axis], "contestant": name, "x": x, "seconds": y, "slope": slope}


TITLES = {
    "rows": "softmax gradient, float32, n x 256 x 10",
    "features": "softmax gradient, float32, 10,000 x features x 10",
    "classes": "softmax gradient, float32, 5,000 x 256 x classes",
    "batch size": "an epoch of softmax with momentum, float32, 10,000 x 256 x 10",
    "elements": "a step of Adam, float32",
    "threads": "softmax gradient, float32, 60,000 x 784 x 10; a step of Adam, 10,000,000 elements",
}


def _point(axis, value, seconds):
    if axis == "elements":
        case = cases.step(fo.Adam(), value)
    elif axis == "batch size":
        case = cases.epoch(lambda: problems.linear(10_000, 256, 10), "", value)
    else:
        n, features, classes = {
            "rows": (value, 256, 10),
            "features": (10_000, value, 10),
            "classes": (5_000, 256, value),
        }[axis]
        case = cases.dense_gradient(n, features, classes)
    wanted = {name: make for name, make in case.makers.items() if _shown(name)}
    return timing.in_turns({name: make() for name, make in wanted.items()}, seconds, least=3)


def _shown(name):
    if not name.startswith(("fastopt", "NumPy")):
        return False
    return not name.endswith("1 thread") or usable_threads() == 1


def _threads(seconds):
    """Cost against threads, up to those that may be used."""
    counts, rows = list(range(1, usable_threads() + 1)), []
    problem = problems.linear(60_000, 784, 10)
    (p,), (g,) = problems.step(10_000_000)
    for backend in cases.fastopt_backends():
        work = {
            "gradient": lambda c, name=backend: _gradient(problem, name, c),
            "step": lambda c, name=backend: _step(p, g, name, c),
        }
        for kind, make in work.items():
            times = timing.in_turns({c: make(c) for c in counts}, seconds, least=3)
            pairs = [(c, float(np.median(times[c]))) for c in counts]
            rows.append(_curve("threads", f"fastopt {backend}, {kind}", pairs))
    return rows


def _gradient(problem, backend, threads):
    X, y, W, b = problem
    return Contestant(lambda: fo.value_and_grad(fo.Softmax(), W, X, y, b, backend=backend, threads=threads))


def _step(p, g, backend, threads):
    optimizer = fo.Optimizer(p, fo.Adam(), backend=backend, threads=threads)
    return Contestant(lambda: optimizer.step(g))
