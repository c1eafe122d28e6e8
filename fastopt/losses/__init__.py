"""Losses of a linear model: one class a formula. LOSSES is the one registry.

A loss is a NamedTuple whose fields are its hyperparameters (numbers or flags), with
    one_row          what y means to a model of one row of scores: "class" (nothing special),
                     "binary" (y is 0 or 1) or "real" (y is a number of X's dtype)
    rows(k, s, y, d) the loss of each row, returned; its derivatives by the scores, written to d
k holds the fields as floats. s[c] are the scores of class c, len(s) the number of classes and y the
labels, each of them a vector over rows: an array in the NumPy back end, a register of 8 or 16 rows
in the kernels. So `rows` is made of arithmetic, comparisons, np.where, np.maximum, np.minimum,
np.abs, np.exp, np.log, np.log1p, np.sqrt, vocabulary.zeros and loops over the classes, and branches
only on k and len(s).
d[c] may be read once it is written; s must not be written.

A loss may have, written in the same way,
    curvature(k, s, y, v, d)   its second derivative by the scores times v, written to d
which Newton's methods need; where the gradient has a kink it is that of the side that `rows` takes.

With one row of scores a "binary" loss sees y - 1 for y, so that `y == c` marks the positive rows
there too.

Softmax and Logistic take soft labels as well, a probability of each class: OF_SHARES has the formulas, with
one_row = "shares", that stand for them; y[c] is then the share of class c.
"""

from math import isfinite

from fastopt.losses import contract
from fastopt.losses.logistic import Logistic, LogisticOfShares
from fastopt.losses.robust import EpsilonInsensitive, Huber, Poisson, Quantile
from fastopt.losses.softmax import Softmax, SoftmaxOfShares
from fastopt.losses.squared import SquaredError
from fastopt.losses.svm import CrammerSinger, Hinge, ModifiedHuber, MulticlassHinge, SquaredHinge

POSITIVE = ("margin", "delta", "epsilon", "quantile")  # fields that are not negative

IN_C = (
    Softmax, MulticlassHinge, SquaredError, Logistic, Hinge, SquaredHinge, ModifiedHuber, Huber,
    EpsilonInsensitive, Quantile, Poisson,
)  # fmt: skip
LOSSES = (*IN_C, CrammerSinger)  # the C library has the others, in this order
OF_SHARES = {Softmax: SoftmaxOfShares(), Logistic: LogisticOfShares()}

__all__ = ["IN_C", "LOSSES", *(loss.__name__ for loss in LOSSES)]


def checked(loss):
    """The loss, or TypeError/ValueError where it is none or a number of it is impossible."""
    if isinstance(loss, type):
        raise TypeError(f"loss must be a value: write {loss.__name__}(), not {loss.__name__}")
    for needed in ("_fields", "one_row", "rows"):
        if not hasattr(loss, needed):
            raise TypeError(f"{type(loss).__name__} is no loss: it has no {needed} (see fastopt.losses)")
    for field, value in loss._asdict().items():
        out_of_range = (field in POSITIVE and value < 0) or (field == "quantile" and value > 1)
        if not isfinite(value) or out_of_range:
            raise ValueError(f"{type(loss).__name__}({field}={value!r}) is impossible")
    if type(loss) not in LOSSES:
        contract.test(loss)
    return loss


def has_curvature(loss):
    """Whether Newton's methods can use the loss: the hinges that are not squared have none but 0."""
    return hasattr(loss, "curvature") and bool(getattr(loss, "squared", True))


def by_name(name):
    """The built-in loss class of this name."""
    for loss in LOSSES:
        if loss.__name__ == name:
            return loss
    raise ValueError(f"there is no loss {name!r}; there are {', '.join(x.__name__ for x in LOSSES)}")
