"""A trained linear model: scores, predictions, its file."""

import numpy as np

from fastopt import checkpoint, losses
from fastopt.rows import checked_rows

ROWS = 8192  # rows scored at once, so that a uint8 or sparse X is never converted whole


def checked_classes(classes):
    """As a vector; strings kept as objects (what pandas gives) become strings that a file can hold."""
    if classes is None:
        return None
    classes = np.asarray(classes)
    if classes.ndim != 1:
        raise ValueError(f"classes must be a vector, a name for each class number, not {classes.shape}")
    if classes.dtype.hasobject and all(isinstance(c, str) for c in classes):
        classes = classes.astype(str)
    return classes


class Fit:
    """What `fo.train` returns.

    W (rows, features), b (rows,): a row a class, or one row where a binary loss has two classes
        and for regression. history: dict of arrays, one entry an epoch. classes: what the class
        numbers stand for, or None. scale: the factor that uint8 features are multiplied by.
    interrupted: whether Ctrl-C ended the run before its last epoch. steps: updates made.
    preparation: how the columns of a file became X, as a dict that JSON can hold, or None; the command line
        sets and reads it (fastopt.readers), so that it can take the raw file again.
    """

    def __init__(self, W, b, loss, *, scale=1.0, classes=None, history=None, steps=0, interrupted=False):
        self.W, self.b, self.loss, self.scale = W, b, loss, scale
        self.classes, self.history = checked_classes(classes), history or {}
        self.steps, self.interrupted = steps, interrupted
        self.preparation = None

    def __repr__(self):
        rows, features = self.W.shape
        return f"Fit({self.loss}, W {rows}x{features} {self.W.dtype}, {self.steps} steps)"

    def scores(self, X):
        """X W^T + b, (n, rows). X: (n, features), dense or scipy CSR."""
        if not hasattr(X, "dtype") or not hasattr(X, "ndim"):
            raise TypeError(f"X must be a NumPy array or a scipy CSR matrix, not {type(X).__name__}")
        if X.ndim != 2 or X.shape[1] != self.W.shape[1]:
            raise ValueError(f"X must be (n, {self.W.shape[1]}), not {X.shape}")
        out = np.empty((X.shape[0], len(self.W)), self.W.dtype)
        for begin in range(0, len(out), ROWS):
            rows = X[begin : begin + ROWS]
            if rows.dtype == np.uint8:
                rows = rows * self.W.dtype.type(self.scale)
            out[begin : begin + ROWS] = rows @ self.W.T + self.b
        return out

    def predict(self, X):
        """The class of each row of X (its number where `classes` is None); regression: the value."""
        return self._decide(self.scores(X))

    def _decide(self, scores):
        if len(self.W) > 1:
            number = scores.argmax(axis=1)
        elif self.loss.one_row == "real":
            return scores[:, 0]
        else:
            number = (scores[:, 0] > 0).astype(np.int64)
        return number if self.classes is None else self.classes[number]

    def evaluate(self, X, y):
        """(mean loss without penalty, accuracy) for class numbers y; accuracy is NaN in regression."""
        scores = self.scores(X)
        rows = checked_rows(self.loss, X, y, classes=len(self.W), dtype=self.W.dtype)
        k, labels = tuple(map(float, self.loss)), rows.labels(self.loss)
        total = 0.0
        for begin in range(0, rows.n, ROWS):
            s = np.ascontiguousarray(scores[begin : begin + ROWS].T, np.float64)
            total += float(self.loss.rows(k, s, labels[begin : begin + ROWS], np.empty_like(s)).sum())
        if rows.y.dtype.kind == "f":
            return total / max(1, rows.n), float("nan")
        number = scores.argmax(axis=1) if len(self.W) > 1 else scores[:, 0] > 0
        return total / max(1, rows.n), float((number == rows.y).mean()) if rows.n else float("nan")

    def save(self, path):
        """Write the model into an .npz file, whole or not at all."""
        if self.classes is not None and self.classes.dtype.hasobject:
            raise TypeError(
                "classes is an array of Python objects, which no file takes; use strings or numbers"
            )
        meta = {
            "kind": "model",
            "loss": type(self.loss).__name__,
            "hyperparameters": self.loss._asdict(),
            "scale": float(self.scale),
            "steps": self.steps,
            "preparation": self.preparation,
        }
        arrays = {"W": self.W, "b": self.b}
        if self.classes is not None:
            arrays["classes"] = self.classes
        arrays |= {f"history_{key}": value for key, value in self.history.items()}
        checkpoint.write(path, meta, arrays)

    @classmethod
    def load(cls, path):
        """The model of a file that `save` wrote; ValueError for any other."""
        meta, arrays = checkpoint.read(path, "model")
        loss = losses.by_name(meta["loss"])(**meta["hyperparameters"])
        history = {k.removeprefix("history_"): v for k, v in arrays.items() if k.startswith("history_")}
        fit = cls(
            arrays["W"],
            arrays["b"],
            loss,
            scale=meta["scale"],
            classes=arrays.get("classes"),
            history=history,
            steps=meta["steps"],
        )
        fit.preparation = meta.get("preparation")
        return fit
