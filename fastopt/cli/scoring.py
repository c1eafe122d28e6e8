"""How good predictions are, on rows that the model has not seen where that can be known."""

from typing import Any

import click
import numpy as np

from fastopt.readers import labels
from fastopt.readers.dataset import Digest, split
from fastopt.readers.sources import ReadError


class Tally:
    """Right predictions and errors of regression, added up part by part.

    Beside all rows those are counted that the model file says were held out; whether these are the
    same data is known at the end, by their digest.
    """

    def __init__(self, fit):
        self.fit, self.rows, self.labelled = fit, 0, True
        self.regression = fit.classes is None and fit.loss.one_row == "real" and len(fit.W) == 1
        self.all, self.held = _Sums(), _Sums()
        self.held_out: Any = (fit.preparation or {}).get("held_out")
        self.digest: Any = None
        self.mask: Any = None
        if self.held_out is not None:
            self.digest, self.mask = Digest(), np.zeros(self.held_out["rows"], bool)
            self.mask[split(self.held_out["rows"], self.held_out["seed"], self.held_out["share"])[1]] = True

    def add(self, X, y, scores, whole):
        """The next rows: prepared features, raw labels or None, scores, which rows are whole."""
        self.rows += X.shape[0]
        if y is None:
            self.labelled = False
            return
        right, there = self._right(y, scores)
        keep = np.flatnonzero(there & whole)
        self.all.add(right[keep])
        if self.mask is None or self.all.count > len(self.mask):  # more rows than the model was trained on
            return
        self.digest.add(X[keep], [y[i] for i in keep])
        held = self.mask[self.all.count - len(keep) : self.all.count]
        self.held.add(right[keep[: len(held)]][held])

    def _right(self, y, scores):
        """(1 where right, or the squared error; which rows have a label)."""
        if self.regression:
            values = np.array([np.nan if v is None else _number(v) for v in y], np.float64)
            return np.square(scores[:, 0] - values), np.isfinite(values)
        classes = np.arange(max(2, len(self.fit.W))) if self.fit.classes is None else self.fit.classes
        numbers = labels.class_numbers(y, classes)
        there = np.array([v is not None for v in y]) if isinstance(y, list) else np.ones(len(y), bool)
        predicted = scores.argmax(axis=1) if scores.shape[1] > 1 else scores[:, 0] > 0
        return (predicted == numbers).astype(np.float64), there

    def same(self):
        """Whether these are the rows that the model was trained on and its test rows, in order."""
        return self.digest is not None and self.all.count == len(self.mask) and (
            self.digest.value() == self.held_out["digest"]
        )  # fmt: skip

    def _scored(self):
        return self.held if self.same() else self.all

    def record(self):
        """What --json says: accuracy, or rmse, on `scored` rows."""
        found: dict[str, Any] = {"rows": self.rows, "scored": 0, "accuracy": None, "rmse": None, "on": None}
        if not self.labelled or self.rows == 0:
            return found
        sums = self._scored()
        found["scored"] = sums.count
        found["on"] = "held-out rows" if self.same() else "all rows"
        found["rmse" if self.regression else "accuracy"] = sums.root() if self.regression else sums.mean()
        return found

    def line(self):
        """The same as a line for people; empty without labels."""
        found = self.record()
        if found["on"] is None:
            return ""
        where = f"on {found['scored']:,} rows"
        if self.same():
            where = f"on the {found['scored']:,} rows that were held out; the model was trained on the others"
        if found["scored"] == 0:
            return "no accuracy: the model was trained on all of these rows" if self.same() else ""
        if self.regression:
            return f"error {found['rmse']:.4g} (root of the mean square) {where}"
        return f"accuracy {found['accuracy']:.4f} {where}"


def _number(value):
    try:
        return float(value)
    except ValueError:
        raise ReadError(f"the label {value!r} is no number, as the model's are") from None


class _Sums:
    def __init__(self):
        self.count, self.total = 0, 0.0

    def add(self, values):
        self.count += len(values)
        self.total += float(values.sum())

    def mean(self):
        return self.total / self.count if self.count else None

    def root(self):
        return (self.total / self.count) ** 0.5 if self.count else None


WITH_PROBABILITIES = ("Softmax", "Logistic")


def refuse_without_probabilities(fit):
    if type(fit.loss).__name__ not in WITH_PROBABILITIES:
        raise click.ClickException(
            f"a model trained with {type(fit.loss).__name__} has scores, no probabilities: train with "
            "--loss softmax or logistic"
        )


def probabilities(fit, scores):
    """(n, classes): of softmax; of one logistic model a class, divided by their sum."""
    s = scores.astype(np.float64)
    if type(fit.loss).__name__ == "Softmax":
        e = np.exp(s - s.max(axis=1, keepdims=True))
        return e / e.sum(axis=1, keepdims=True)
    with np.errstate(over="ignore"):
        p = 1 / (1 + np.exp(-s))
    return np.hstack([1 - p, p]) if p.shape[1] == 1 else p / np.maximum(p.sum(axis=1, keepdims=True), 1e-300)
