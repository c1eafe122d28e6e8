"""Learning rates that train: a rule's usual one, made smaller where a few rows show that it diverges."""

import warnings

import numpy as np

import fastopt as fo
from fastopt.readers.sources import in_parts

# A learning rate that trains most data scaled to 0..1; what is not named keeps the rule's own. Those of papers are for deep
# networks: 40 epochs of letter (softmax) by them and by these got 59 and 73 % right with Adam, 36 and 73 % with Lion.
USUAL = {
    **dict.fromkeys(("SGD", "SGDW", "ASGD"), 0.5),
    **dict.fromkeys(("Momentum", "MomentumW", "ClassicalMomentum", "Nesterov"), 0.1),
    **dict.fromkeys(("Adam", "AdamW", "AMSGrad", "AMSGradW", "AdEMAMix", "PlainAdafactor"), 0.01),
    **dict.fromkeys(("Adamax", "NAdam", "NAdamW", "LAMB"), 0.02),
    **dict.fromkeys(("RAdam", "RAdamW", "ScheduleFreeAdamW"), 0.03),
    "AdaGrad": 0.05, "Lion": 0.003, "Muon": 0.06, "LARS": 1.0, "Adafactor": 0.3,
}  # fmt: skip
SAMPLE = 2048  # rows of a trial
STEPS = 32  # of a trial at least
FACTOR = 3.0
RUNGS = 16


def chosen(rule, lr, found, loss, batch, l2, seed, epochs=50):
    """(the rule with its learning rate, a line that says how it was found or None).

    lr: what the user gave, which is kept. Else from the usual one downwards by thirds, until the loss of
    some rows ends below that of weights of 0 and does not rise from epoch to epoch; then one step
    further, if that is better: the largest that does not diverge is often not the best.
    """
    if lr is not None or "lr" not in base(rule)._fields:
        return rule, None
    first = _with_lr(rule, USUAL.get(_kind(rule).__name__, base(rule).lr))
    usual = base(first).lr
    sample, start = _sample(found, seed), loss_of_zeros(found, loss)
    best, ends = None, []
    for rung in range(RUNGS):
        now = _with_lr(first, usual / FACTOR**rung)
        end, good = _trial(now, sample, found, loss, batch, l2, start, epochs)
        ends.append((end, now))
        if best is None and good and rung == 0:
            return now, None
        if best is not None and not end < best[1]:
            break
        if good:
            best = (now, end)
    if best is None:
        lowest = min(end for end, _ in ends)
        least = next(now for end, now in ends if end <= 1.01 * lowest)
        return least, (f"no learning rate from {usual:g} down comes below the loss of weights of 0 on a sample of the rows: "
                       f"{base(least).lr:.3g} is near it")  # fmt: skip
    return best[0], (f"learning rate {base(best[0]).lr:.3g}: at the usual {usual:g} a sample of "
                     f"{len(sample[1]):,} rows diverges")  # fmt: skip


def base(rule):
    """The rule that takes the step: of SAM its base."""
    return rule.base if isinstance(rule, fo.SAM) else rule


def _kind(rule):
    """The class of the innermost rule."""
    kind = type(base(rule))
    return getattr(kind, "base", kind)  # Averaged and Lookahead make a class


def _with_lr(rule, lr):
    if isinstance(rule, fo.SAM):
        return rule._replace(base=rule.base._replace(lr=lr))
    return rule._replace(lr=lr)


def _sample(found, seed):
    n = found.x_train.shape[0]
    if n <= SAMPLE:
        return found.x_train, found.y_train
    rows = np.sort(np.random.default_rng([seed, 7]).choice(n, SAMPLE, replace=False))
    return found.x_train[rows], found.y_train[rows]


def _trial(rule, sample, found, loss, batch, l2, start, of_run):
    """(the last epoch's loss, whether the trial trained)."""
    X, y = sample
    if batch is None:  # an epoch is a step, and what the first few do may be far from the end
        batch, epochs = len(y), max(3, min(STEPS, of_run))
    else:
        batch = min(batch, len(y))
        epochs = max(3, -(-STEPS * batch // len(y)))
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            fit = fo.train(X, y, loss=loss, rule=rule, epochs=epochs, batch_size=batch, l2=l2, scale=found.scale,
                           classes=found.classes)  # fmt: skip
    except fo.Diverged:
        return np.inf, False
    losses = fit.history["loss_train"]
    return losses[-1], bool(losses[-1] < start and losses[-1] <= 1.02 * losses[0])


def loss_of_zeros(found, loss):
    """The mean loss where all weights are 0."""
    total, W = 0.0, np.zeros((_model_rows(loss, found.classes), 1))
    for _, y in in_parts(found.y_train[:, None], found.y_train):
        total += len(y) * float(fo.value_and_grad(loss, W, np.zeros((len(y), 1)), y, backend="numpy")[0])
    return total / max(1, found.x_train.shape[0])


def _model_rows(loss, classes):
    if classes is None:
        return 1
    return 1 if loss.one_row == "binary" and len(classes) <= 2 else max(2, len(classes))
