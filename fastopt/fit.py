"""A trained linear model: scores, predictions, probabilities, its file."""

import sys
import weakref

import numpy as np

from fastopt import checkpoint, losses
from fastopt.arrays import FLOATS
from fastopt.engines.scores import row_scores
from fastopt.fingerprint import digest
from fastopt.parts import is_source, rows_of
from fastopt.rows import Rows, check_finite, checked_labels, checked_matrix, checked_rows, checked_scale

ROWS = 8192  # rows at once, so that neither a sparse X nor rows by their numbers are copied whole
_OWN_LOSSES = weakref.WeakValueDictionary()  # (module, class) -> losses of models that this process saved
LARGEST_COUNT = 1 << 53  # of steps in a file: what a float64 counts exactly


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


def class_numbers(y, classes):
    """The number of each label of y in the vector `classes`; ValueError for a label that is none of them."""
    order = np.argsort(classes, kind="stable")
    try:
        place = np.searchsorted(classes, y, sorter=order)
        number = order[np.minimum(place, len(classes) - 1)]
        known = classes[number] == y
    except TypeError:
        known = np.zeros(len(y), bool)
    if not np.all(known):
        at = int(np.argmin(known)) if np.ndim(known) else 0
        label = y[at].item() if isinstance(y[at], np.generic) else y[at]
        raise ValueError(f"y[{at}] is {label!r}, which is none of the {len(classes)} classes")
    return number.astype(np.int64)


class Fit:
    """What `fo.train` returns.

    W (rows, features), b (rows,): a row a class, or one row where a binary loss has two classes
        and for regression. history: dict of arrays, one entry an epoch. classes: what the class
        numbers stand for, or None. scale: the factor that uint8 features are multiplied by.
    interrupted: whether Ctrl-C ended the run before its last epoch. steps: updates made.
    order: the version of the order of operations by which Numba and the C library computed it, with the same bits on
        every machine (docs/decisions/order.md); None for NumPy, whose sums are its own, and for solvers.
    average: which average of a run's parameters W and b are, in words, or None: those of its last step.
    report: of a solver, how it ended (fastopt.solvers.Report); None after epochs of a rule and in a file.
    seconds, seconds_preparing: what the run took, and what it waited for kernels besides (the import of Numba,
        compilation); backend: which one computed. None in a model from a file.
    preparation: how the columns of a file became X, as a dict that JSON can hold, or None; the command line
        sets and reads it (fastopt.readers), so that it can take the raw file again.
    """

    def __init__(self, W, b, loss, *, scale=1.0, classes=None, history=None, steps=0, interrupted=False):
        self.W, self.b, self.loss, self.scale = W, b, loss, scale
        self.classes, self.history = checked_classes(classes), history or {}
        self.steps, self.interrupted = steps, interrupted
        self.preparation = self.report = self.average = self.order = None
        self.seconds = self.seconds_preparing = self.backend = None

    def __repr__(self):
        rows, features = self.W.shape
        return f"Fit({self.loss}, W {rows}x{features} {self.W.dtype}, {self.steps} steps)"

    def scores(self, X):
        """X W^T + b, (n, rows). X: (n, features) numbers, dense or scipy CSR; ValueError where a row has NaN.

        Those of a row do not depend on the rows beside it, to the last bit (with NumPy's engine: but for rounding).
        """
        X, sparse = checked_matrix(X)
        if X.shape[1] != self.W.shape[1]:
            raise ValueError(
                f"X must be (n, {self.W.shape[1]}), not {X.shape}: the model has so many features"
            )
        scale = self.scale if X.dtype == np.uint8 and sparse is None else 1.0
        dtype = self.W.dtype if X.dtype == np.uint8 and sparse is None else X.dtype
        dense = X if sparse is None else None
        rows = Rows(dense, sparse, np.empty(0), None, X.shape[0], X.shape[1], len(self.W), dtype, scale)
        return self._scores_of(rows, np.s_[:])

    def _scores_of(self, rows, numbers):
        """Of these rows (row numbers, or [:] for all), block by block."""
        in_order = isinstance(numbers, slice)
        count = rows.n if in_order else len(numbers)
        size = max(1, count) if in_order and rows.sparse is None else ROWS
        out = np.empty((count, len(self.W)), self.W.dtype)
        for begin in range(0, count, size):
            end = min(begin + size, count)
            which = slice(begin, end) if in_order else numbers[begin:end]
            with np.errstate(all="ignore"):
                if rows.sparse is None:
                    out[begin:end] = row_scores(rows.X[which], self.W, self.b, rows.scale)
                else:
                    out[begin:end] = rows.matrix(which) @ self.W.T + self.b
            if not np.isfinite(out[begin:end]).all():
                check_finite(rows, which)
                if np.isnan(out[begin:end]).any():
                    raise ValueError("the scores of X are beyond the range of its dtype: scale its features")
        return out

    def predict(self, X):
        """The class of each row of X (its number where `classes` is None); regression: the value."""
        return self._decide(self.scores(X))

    def _decide(self, scores):
        if self._is_regression():
            return scores[:, 0]
        number = self._numbers(scores)
        return number if self.classes is None else self.classes[number]

    def _is_regression(self):
        return len(self.W) == 1 and self.loss.one_row == "real"

    def _numbers(self, scores):
        if len(self.W) > 1:
            return scores.argmax(axis=1)
        return (scores[:, 0] > 0).astype(np.int64)

    def predict_proba(self, X):
        """(n, classes): the probability of each class of each row; rows sum to 1.

        Softmax gives those of its model, Logistic its sigmoids (with more than two classes one against the
        rest, divided by their sum, as in scikit-learn). TypeError for losses without probabilities.
        """
        if not hasattr(self.loss, "probabilities"):
            raise TypeError(
                f"{type(self.loss).__name__} has scores, no probabilities: train with Softmax or Logistic, "
                "or calibrate the scores (sklearn.calibration)"
            )
        scores = self.scores(X)
        return np.asarray(self.loss.probabilities(scores.T)).T

    def evaluate(self, X, y=None):
        """(mean loss without penalty, accuracy) for labels y; accuracy is NaN in regression.

        X: rows as in `scores`, or a source with labels (fo.source), read part by part.
        y: class numbers, labels that are among `classes`, or soft labels (n, classes).
        """
        if is_source(X):
            return self.evaluate_rows(rows_of(X, self.loss, y, classes=len(self.W)), np.s_[:])
        _, sparse = checked_matrix(X)
        scale = checked_scale(self.scale if X.dtype == np.uint8 and sparse is None else 1.0, X.dtype)
        if (
            self.classes is not None
            and getattr(y, "ndim", 1) != 2
            and checked_labels(y).dtype.kind not in "iub"
        ):
            y = class_numbers(checked_labels(y), self.classes)
        rows = checked_rows(self.loss, X, y, classes=len(self.W), scale=scale)
        if rows.features != self.W.shape[1]:
            raise ValueError(f"X has {rows.features} features, the model {self.W.shape[1]}")
        return self.evaluate_rows(rows, np.s_[:])

    def evaluate_rows(self, rows, numbers):
        """As `evaluate`, of some of the rows that `checked_rows` gave: row numbers, or [:] for all.

        Rows of a source: all of them, part by part.
        """
        if not rows.in_memory:
            found = [(part.n, *self.evaluate_rows(part, numbers)) for _, part in rows.parts()]
            counts = [n for n, _, _ in found]
            return tuple(float(np.average([f[i] for f in found], weights=counts)) for i in (1, 2))
        scores, y = self._scores_of(rows, numbers), rows.class_numbers(numbers)
        k, labels = tuple(map(float, self.loss)), rows.labels(self.loss, numbers)
        formula = rows.formula(self.loss)
        total = 0.0
        for begin in range(0, len(y), ROWS):
            s = np.ascontiguousarray(scores[begin : begin + ROWS].T, np.float64)
            with np.errstate(all="ignore"):
                of_rows = formula.rows(k, s, labels[..., begin : begin + ROWS], np.empty_like(s))
            total += float(of_rows.sum())
        mean = total / max(1, len(y))
        if self._is_regression() or not len(y):
            return mean, float("nan")
        return mean, float((self._numbers(scores) == y).mean())

    def save(self, path):
        """Write the model into an .npz file, whole or not at all.

        OSError names the file where it cannot be written; one that was there is then still whole. ValueError
        where W or b is none of a model.
        """
        if self.classes is not None and self.classes.dtype.hasobject:
            raise TypeError(
                "classes is an array of Python objects, which no file takes; use strings or numbers"
            )
        _checked_weights(np.asarray(self.W), np.asarray(self.b))
        meta = {
            "kind": "model",
            "loss": type(self.loss).__name__,
            "hyperparameters": self.loss._asdict(),
            "scale": float(self.scale),
            "steps": self.steps,
            "average": self.average,
            "order": self.order,
            "preparation": self.preparation,
        }
        if type(self.loss) not in losses.LOSSES:
            meta |= _place_of(type(self.loss))
        arrays = {"W": self.W, "b": self.b}
        if self.classes is not None:
            arrays["classes"] = self.classes
        arrays |= {f"history_{key}": value for key, value in self.history.items()}
        checkpoint.write(path, meta, arrays)

    @classmethod
    def load(cls, path, loss=None):
        """The model of a file that `save` wrote; ValueError for any other, and for a damaged one.

        loss: the loss it was trained with, where that is a user's own and its module is not imported.
        """
        meta, arrays = checkpoint.read(path, "model")
        try:
            return _checked_model(cls, meta, arrays, loss)
        except (KeyError, TypeError, ValueError, OverflowError, AttributeError) as error:
            lacks = f"it has no {error}" if isinstance(error, KeyError) else str(error)
            raise ValueError(f"{path} holds no sound model: {lacks}") from error


def _place_of(loss_type):
    """Where an own loss is found again, and the digest of its code."""
    _OWN_LOSSES[loss_type.__module__, loss_type.__qualname__] = loss_type
    return {"module": loss_type.__module__, "class": loss_type.__qualname__, "formula": digest(loss_type)}


def _checked_model(cls, meta, arrays, loss):
    W, b = _checked_weights(arrays.pop("W"), arrays.pop("b"))
    classes = arrays.pop("classes", None)
    history = {k.removeprefix("history_"): v for k, v in arrays.items() if k.startswith("history_")}
    if len(history) != len(arrays):
        raise ValueError("it has arrays that no model has")
    if not all(v.dtype.kind in "iuf" and v.ndim == 1 for v in history.values()):
        raise ValueError("its history is not of vectors of numbers")
    scale, steps = meta["scale"], meta["steps"]
    if not isinstance(scale, float) or not np.isfinite(scale) or scale == 0:
        raise ValueError(f"its scale is {scale!r}")
    if isinstance(steps, bool) or not isinstance(steps, int) or not 0 <= steps <= LARGEST_COUNT:
        raise ValueError(f"its number of steps is {steps!r:.60}")
    loss = _loss_of(meta) if loss is None else losses.checked(loss)
    _check_class_count(loss, W, classes)
    fit = cls(W, b, loss, scale=scale, classes=classes, history=history, steps=steps)
    fit.average = meta.get("average")
    if not isinstance(fit.average, (str, type(None))):
        raise ValueError(f"its average is {fit.average!r:.60}, not words")
    fit.order = meta.get("order")
    if fit.order is not None and (
        isinstance(fit.order, bool) or not isinstance(fit.order, int) or fit.order < 1
    ):
        raise ValueError(f"its order of operations is {fit.order!r:.60}, not a version")
    fit.preparation = meta.get("preparation")
    if not isinstance(fit.preparation, (dict, type(None))):
        raise ValueError("its preparation is no dict")
    return fit


def _checked_weights(W, b):
    if W.ndim != 2 or not W.size or W.dtype not in FLOATS or not W.dtype.isnative:
        raise ValueError(f"its W is {W.dtype}{W.shape}, not a matrix of float32 or float64")
    if b.shape != W.shape[:1] or b.dtype != W.dtype:
        raise ValueError(f"its b is {b.dtype}{b.shape} beside a W of {W.dtype}{W.shape}")
    if not (np.isfinite(W).all() and np.isfinite(b).all()):
        raise ValueError("its W or b has NaN or inf")
    return np.ascontiguousarray(W), b


def _check_class_count(loss, W, classes):
    count = 2 if len(W) == 1 and loss.one_row == "binary" else len(W)
    if len(W) == 1 and loss.one_row == "class":
        raise ValueError(f"its W has one row, and {type(loss).__name__} needs a row a class")
    most = {count, 1} if count == 2 else {count}  # y of one class has a second one that nobody named
    if classes is not None and (classes.ndim != 1 or len(classes) not in most):
        raise ValueError(f"it has {classes.shape} names for {count} classes")


def _loss_of(meta):
    """The loss that the file names: a built-in one, or one of a module that is imported."""
    values, name = meta["hyperparameters"], meta["loss"]
    if not isinstance(values, dict) or not isinstance(name, str):
        raise ValueError("its loss is described by no name and numbers")
    if "module" not in meta:
        return losses.checked(losses.by_name(name)(**values))
    found = sys.modules.get(meta["module"])
    for part in meta["class"].split("."):
        found = getattr(found, part, None)
    found = _OWN_LOSSES.get((meta["module"], meta["class"]), found)
    where = f"{meta['module']}.{meta['class']}"
    if not isinstance(found, type):
        raise ValueError(f"its loss is {where}, which is not imported: import it, or pass it as loss=")
    if digest(found) != meta["formula"]:
        raise ValueError(f"its loss {where} has another formula now: pass the one to use as loss=")
    return losses.checked(found(**values))
