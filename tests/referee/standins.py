"""Our classifier with the arguments of LogisticRegression, LinearSVC and SGDClassifier."""

import numpy as np
import sklearn.linear_model
import sklearn.svm

import fastopt as fo

THEIRS = {
    "LogisticRegression": sklearn.linear_model.LogisticRegression,
    "LinearSVC": sklearn.svm.LinearSVC,
    "SGDClassifier": sklearn.linear_model.SGDClassifier,
}


class _Standin(fo.LinearClassifier):
    """Arguments are theirs, kept as they are; what fo.LinearClassifier reads of itself follows from them."""

    rule = schedule = None
    standardize = early_stopping = average = warm_start = False
    validation_fraction, n_iter_no_change = 0.1, 5
    epochs, batch_size, n_threads, class_weight, random_state, verbose, total = (
        20,
        128,
        None,
        None,
        None,
        0,
        1.0,
    )

    def _weights(self, y, weight):
        """As ours; their sum is what turns C into l2."""
        weight = super()._weights(y, weight)
        self.total = float(len(y) if weight is None else np.sum(weight))
        return weight

    @property
    def _penalty(self):
        """(l1, l2) for C sum_i w_i L_i + r |w|_1 + (1 - r) |w|^2 / 2."""
        r = {"l1": 1.0, "l2": 0.0}.get(getattr(self, "penalty", "l2"), getattr(self, "l1_ratio", 0.0) or 0.0)
        return r / (self.C * self.total), (1 - r) / (2 * self.C * self.total)

    l1 = property(lambda self: self._penalty[0])
    l2 = property(lambda self: self._penalty[1])


def _arguments_of(theirs):
    """A class whose __init__ takes the arguments of `theirs`."""

    def made(cls):
        import inspect

        parameters = list(inspect.signature(theirs).parameters.values())
        positional = [p for p in parameters if p.kind is p.POSITIONAL_OR_KEYWORD]
        named = [p for p in parameters if p.kind is p.KEYWORD_ONLY]
        text = ", ".join(f"{p.name}={p.default!r}" for p in positional)
        text += ", *, " + ", ".join(f"{p.name}={p.default!r}" for p in named) if named else ""
        body = "\n".join(f"    self.{p.name} = {p.name}" for p in parameters)
        scope = {}
        exec(f"def __init__(self, {text}):\n{body}", scope)  # noqa: S102
        cls.__init__ = scope["__init__"]
        cls.__name__ = cls.__qualname__ = theirs.__name__
        return cls

    return made


@_arguments_of(THEIRS["LogisticRegression"])
class LogisticRegression(_Standin):
    loss = "softmax"

    def _fit(self, *arguments):
        """By our choice of solver, whichever of theirs is asked for; their tol is another measure, and means more digits."""
        theirs, self.solver, self.tol = (self.solver, self.tol), "auto", 1e-3 * self.tol
        try:
            return super()._fit(*arguments)
        finally:
            self.solver, self.tol = theirs


@_arguments_of(THEIRS["LinearSVC"])
class LinearSVC(_Standin):
    solver = "auto"

    def __getattribute__(self, name):
        if name == "loss" and self.multi_class == "crammer_singer":
            return "crammer_singer"
        return super().__getattribute__(name)


@_arguments_of(THEIRS["SGDClassifier"])
class SGDClassifier(_Standin):
    def __getattribute__(self, name):
        value = super().__getattribute__(name)
        return "logistic" if name == "loss" and value == "log_loss" else value

    solver, batch_size, C = "sgd", 1, 1.0
    epochs = property(lambda self: self.max_iter)
    n_threads = 1

    @property
    def _penalty(self):
        r = {"l1": 1.0, "l2": 0.0, None: 0.0}.get(self.penalty, self.l1_ratio)
        alpha = 0.0 if self.penalty is None else self.alpha
        return alpha * r, alpha * (1 - r) / 2

    @property
    def rule(self):
        return fo.SGD(self.eta0 or 0.01)

    @property
    def schedule(self):
        if self.learning_rate == "optimal":
            return fo.schedules.InverseTime(
                k=self.alpha * _first_rate(self.alpha), start=_first_rate(self.alpha)
            )
        return None


def _first_rate(alpha):
    """Bottou's: that of a typical weight, 1 / sqrt(sqrt(alpha)), for hinge and logistic losses."""
    return alpha**-0.25


STANDINS = {c.__name__: c for c in (LogisticRegression, LinearSVC, SGDClassifier)}
