"""How a run ends before its last epoch: it diverges, or the validation loss does not fall any more."""

from typing import NamedTuple

import numpy as np

# The mean loss of an epoch, against that at the start. A rate that is far too large for a squared loss
# multiplies it in every epoch; hinges and softmax settle at a loss in proportion to the rate, and learn.
GROWN, TIMES = 1e3, 10.0  # so much larger than at the start, and so much than in the epoch before
LOST = 1e12
SAMPLE = 256  # rows that the loss at the start is taken of


class Diverged(FloatingPointError):
    """The loss became NaN or infinite, or grew beyond all bounds.

    step and lr say where; fit has the last good parameters.
    """

    def __init__(self, step, lr, fit, reason="the loss is not finite"):
        self.step, self.lr, self.fit, self.reason = step, lr, fit, reason
        super().__init__(
            f"training diverged at step {step} with learning rate {lr:g}: {reason}. "
            "The last good parameters are in this error's .fit; try a smaller learning rate"
        )

    def __reduce__(self):
        return type(self), (self.step, self.lr, self.fit, self.reason)


def loss_of_zeros(loss, rows, chosen):
    """The mean loss where all scores are 0: of all rows in regression, else of some."""
    numbers = np.arange(rows.n) if chosen is None else chosen
    if rows.soft or rows.y.dtype.kind != "f":
        numbers = numbers[:: -(-len(numbers) // SAMPLE)]
    y, formula = rows.labels(loss, numbers), rows.formula(loss)
    s = np.zeros((rows.classes, len(numbers)))
    with np.errstate(all="ignore"):
        return float(np.mean(formula.rows(tuple(map(float, loss)), s, y, np.empty_like(s))))


def has_grown(mean, first, previous):
    """What to say of a mean loss that grows beyond all bounds, or None.

    first: the loss at the start. previous: that of the epoch before, or None.
    """
    least = max(first, np.finfo(np.float32).tiny)
    if mean > LOST * least or (previous is not None and mean > GROWN * least and mean > TIMES * previous):
        return f"the loss has grown from {first:.3g} to {mean:.3g}"
    return None


class Best(NamedTuple):
    """The parameters of the epoch with the lowest validation loss, and the epochs since."""

    loss: float
    W: np.ndarray
    b: np.ndarray
    epochs_since: int

    def after(self, loss, W, b):
        """What is best after another epoch."""
        if loss < self.loss:
            return Best(loss, W.copy(), b.copy(), 0)
        return self._replace(epochs_since=self.epochs_since + 1)


NOTHING_YET = Best(float("inf"), np.zeros(0), np.zeros(0), 0)
