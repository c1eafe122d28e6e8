"""Losses of the estimators by name."""

from fastopt import losses
from fastopt.losses import (
    CrammerSinger,
    EpsilonInsensitive,
    Hinge,
    Huber,
    Logistic,
    ModifiedHuber,
    MulticlassHinge,
    Poisson,
    Quantile,
    Softmax,
    SquaredError,
    SquaredHinge,
)

# name: (the loss of two classes, that of more). With two classes a model has one row of weights; the softmax of
# two scores is the logistic function of their difference, and the multiclass hinge the hinge of it.
CLASSIFICATION = {
    "softmax": (Logistic(), Softmax()),
    "logistic": (Logistic(), Logistic()),
    "hinge": (Hinge(), Hinge()),
    "squared_hinge": (SquaredHinge(), SquaredHinge()),
    "modified_huber": (ModifiedHuber(), ModifiedHuber()),
    "multiclass_hinge": (Hinge(), MulticlassHinge()),
    "crammer_singer": (Hinge(), CrammerSinger()),
    "multiclass_squared_hinge": (SquaredHinge(), MulticlassHinge(squared=True)),
}
REGRESSION = {
    "squared_error": SquaredError(),
    "huber": Huber(),
    "epsilon_insensitive": EpsilonInsensitive(),
    "squared_epsilon_insensitive": EpsilonInsensitive(squared=True),
    "quantile": Quantile(),
    "poisson": Poisson(),
}


def classification(loss, count):
    """(the loss, rows of W) for so many classes, by name or as it is given."""
    if isinstance(loss, str):
        if loss not in CLASSIFICATION:
            raise ValueError(f"loss must be one of {', '.join(CLASSIFICATION)}, or a loss, not {loss!r}")
        loss = CLASSIFICATION[loss][count > 2]
    losses.checked(loss)
    return loss, 1 if count == 2 and loss.one_row == "binary" else count


def regression(loss):
    """The loss, by name or as it is given."""
    if isinstance(loss, str):
        if loss not in REGRESSION:
            raise ValueError(f"loss must be one of {', '.join(REGRESSION)}, or a loss, not {loss!r}")
        loss = REGRESSION[loss]
    losses.checked(loss)
    if loss.one_row != "real":
        raise ValueError(f"loss {loss} is one of classes: LinearClassifier takes it")
    return loss
