"""What a report shows of runs: curves thinned for the screen, weights, what they answer on test rows."""

import json
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from fastopt.diagnostics.case import read_log
from fastopt.fit import Fit

POINTS = 1500  # of a curve on the page; of longer ones the smallest and largest of each stretch
CURVES = ("loss_train", "loss", "loss_validation", "accuracy_validation", "lr", "gradient_norm")
THRESHOLDS = 200
LARGEST = 12  # coefficients by name, on each side
IMAGES = 64  # templates at most


class Run(NamedTuple):
    """name; curves: {name: vector}, with "step" or "epoch"; config: dict; fit: Fit or None."""

    name: str
    curves: dict
    config: dict
    fit: Any = None


def load(path):
    """The Run of a model file (with the log beside it, x.jsonl of x.npz) or of a JSONL log."""
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"{path} is no file")
    if path.suffix != ".npz":
        return Run(path.stem, read_log(path), log_config(path))
    fit, log = Fit.load(path), path.with_suffix(".jsonl")
    curves = read_log(log) if log.is_file() else dict(fit.history)
    return Run(path.stem, curves, log_config(log) if log.is_file() else {}, fit)


def log_config(path):
    """The config in the first line of a log, or {}."""
    with Path(path).open(encoding="utf-8", errors="replace") as file:
        try:
            first = json.loads(file.readline())
        except json.JSONDecodeError:
            return {}
    config = first.get("run") if isinstance(first, dict) else None
    return config if isinstance(config, dict) else {}


def thinned(x, y, most=POINTS):
    """(x, y) of at most `most` points: first, last, and of each stretch its smallest and largest value."""
    keep = np.isfinite(y)
    x, y = np.asarray(x)[keep], np.asarray(y, float)[keep]
    if len(y) <= most:
        return x, y
    count = most // 2 - 1
    edges = np.linspace(0, len(y), count + 1).astype(int)
    chosen = {0, len(y) - 1}
    for begin, end in zip(edges[:-1], edges[1:], strict=True):
        chosen |= {begin + int(y[begin:end].argmin()), begin + int(y[begin:end].argmax())}
    at = np.array(sorted(chosen))
    return x[at], y[at]


def described_curves(run):
    """{name: {"x", "y"}} thinned, over steps (or epochs) and with the seconds of each point."""
    n = max((len(v) for v in run.curves.values()), default=0)
    x = np.asarray(run.curves.get("step", run.curves.get("epoch", np.arange(1, n + 1))))
    found = {}
    for name in CURVES:
        values = run.curves.get(name)
        if values is not None and len(values) == len(x) and np.isfinite(values).any():
            at, y = thinned(x, values)
            found["loss_train" if name == "loss" else name] = {"x": at, "y": [float(f"{v:.7g}") for v in y]}
    return found


def confusion(fit, X, y):
    """(classes, classes) counts: the true class along the rows, the predicted one along the columns."""
    count = max(2, len(fit.W))
    scores = fit.scores(X)
    predicted = scores.argmax(axis=1) if len(fit.W) > 1 else (scores[:, 0] > 0).astype(int)
    table = np.zeros((count, count), int)
    np.add.at(table, (np.asarray(y, int), predicted), 1)
    return table


def curves_of_thresholds(fit, X, y, most=THRESHOLDS):
    """For each class: thresholds of its score (its probability where there are some), rows above them that are of
    the class and that are not, and how many of each there are: what ROC and sensitivity are made of."""
    scores = fit.predict_proba(X) if hasattr(fit.loss, "probabilities") else fit.scores(X)
    scores = np.asarray(scores, float)
    if scores.shape[1] == 1:
        scores = np.column_stack([-scores[:, 0], scores[:, 0]])
    found = []
    for c in range(scores.shape[1]):
        s, positive = scores[:, c], np.asarray(y) == c
        order = np.argsort(-s, kind="stable")
        ends = np.append(np.flatnonzero(np.diff(s[order])), len(s) - 1)  # after the last of equal scores
        hits, alarms = np.cumsum(positive[order])[ends], np.cumsum(~positive[order])[ends]
        area = float(np.trapezoid(np.append(0, hits), np.append(0, alarms))) / max(1, hits[-1] * alarms[-1])
        few = np.unique(np.linspace(0, len(ends) - 1, most).astype(int))
        found.append(
            {
                "thresholds": [float(f"{v:.9g}") for v in s[order][ends[few]]],
                "hits": hits[few], "alarms": alarms[few], "positive": int(positive.sum()),
                "negative": int((~positive).sum()), "area": area if 0 < positive.sum() < len(s) else None,
            }
        )  # fmt: skip
    return found


def image_shape(features, shape=None):
    """(height, width, channels) where the features are pixels: the given one, or a square of 16 to 4,096 pixels."""
    if shape is not None:
        height, width, *rest = shape
        channels = rest[0] if rest else 1
        if height * width * channels != features:
            raise ValueError(
                f"shape {tuple(shape)} has {height * width * channels} pixels, the model {features} features"
            )
        return height, width, channels
    for channels in (1, 3):
        side = int(round((features / channels) ** 0.5))
        if side * side * channels == features and side >= 4:
            return side, side, channels
    return None


def templates(fit, shape):
    """The weights of each class as bytes -127..127, row by row; of colours the mean."""
    height, width, channels = shape
    images = []
    for w in np.asarray(fit.W[:IMAGES], float):
        grey = w.reshape(height, width, channels).mean(axis=2)
        images.append(np.round(127 * grey / max(np.abs(grey).max(), 1e-300)).astype(int).ravel())
    return {"height": height, "width": width, "images": images}


def largest(fit, names):
    """For each row of W its LARGEST most negative and most positive coefficients, by name."""
    found = []
    for w in np.asarray(fit.W, float)[:IMAGES]:
        order = np.argsort(w)
        chosen = order if len(w) <= 2 * LARGEST else np.concatenate([order[:LARGEST], order[-LARGEST:]])
        found.append([[str(names[i]), float(f"{w[i]:.6g}")] for i in chosen[::-1]])
    return found
