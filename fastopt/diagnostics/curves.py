"""Detectors that look at curves: the loss, the validation loss, the learning rate, the gradient's norm."""

import numpy as np

from fastopt.diagnostics.case import LEAST
from fastopt.diagnostics.finding import detector


def means(values, window):
    """Means over windows that follow each other; the last one ends at the end."""
    count = max(1, len(values) // window)
    return np.array([np.mean(part) for part in np.array_split(values, count)])


def trend(values):
    """(slope a point, deviation around the straight line)."""
    x = np.arange(len(values)) - (len(values) - 1) / 2
    slope = float(np.dot(x, values) / np.dot(x, x))
    return slope, float(np.std(values - values.mean() - slope * x))


def peak_share(values):
    """The share of the variance around a parabola that one frequency holds, and its period in points."""
    n = len(values)
    x = np.linspace(-1, 1, n)
    rest = values - np.polynomial.polynomial.polyval(x, np.polynomial.polynomial.polyfit(x, values, 2))
    power = np.abs(np.fft.rfft(rest)) ** 2
    power[:3] = 0  # slower than three periods is a trend
    if not power.sum() > 0:
        return 0.0, np.inf
    k = int(power.argmax())
    return float(power[max(0, k - 1) : k + 2].sum() / power.sum()), n / k


@detector(
    "instability",
    rule="the loss is not finite, or a tenth of the run gave back 20 % of what had been gained, or it ends above its start",
    window="the last tenth of the run, at least 2 points, against the best tenth",
    cure="lower the learning rate below 2/largest curvature, or warm it up; clip gradients",
    needs=("loss",),
)
def instability(case):
    loss = case.loss
    if not np.isfinite(loss).all():
        return f"the loss stops being finite at point {int(np.argmin(np.isfinite(loss))) + 1}{_rate(case)}"
    if len(loss) < LEAST:
        return None
    parts = means(loss, max(2, len(loss) // 10))
    last = float(np.mean(loss[-max(2, len(loss) // 10) :]))
    best, first = parts.min(), loss[0]
    if last > first + 0.02 * abs(first):
        return f"the loss grew from {first:.3g} to {last:.3g}{_rate(case)}"
    if last - best > 0.2 * (first - best) and last > 1.02 * best:
        return f"the loss fell to {best:.3g} and rose to {last:.3g}{_rate(case)}"
    return None


def _rate(case):
    """How far the rate is above 2/largest curvature, where both are known."""
    if case.lr is None or (found := case.curvature()) is None or not found[1] > 0:
        return ""
    lr = np.nanmax(case.lr)
    return f"; the learning rate {lr:.3g} is {lr * found[1] / 2:.3g} times 2/largest curvature"


@detector(
    "oscillations",
    rule="gradients of steps that follow each other point against each other (mean cosine below -0.5), or one "
    "frequency holds half of what is left of the log loss beside its trend, 5 periods or more, 5 % high, and the loss "
    "falls by less than 40 % a period",
    window="the last half of the gradients, the last two thirds of the loss, 24 points at least",
    cure="lower the learning rate a little, or the momentum; standardise the features",
    needs=("loss",),
)
def oscillations(case):
    if case.cosine is not None:
        cosine = case.cosine[len(case.cosine) // 2 :]
        if len(cosine) >= LEAST and np.nanmean(cosine) < -0.5:
            return f"each gradient points against the one before: mean cosine {np.nanmean(cosine):.2f}"
    loss = case.finite
    half = loss[len(loss) // 3 :]
    if len(half) < 24 or not (half > 0).all():
        return None
    values = np.log(half)
    share, period = peak_share(values)
    height = np.std(np.diff(values)) * max(1.0, period / 6)
    lasting = np.exp(trend(values)[0] * period) > 0.6
    if share > 0.5 and len(half) / period >= 5 and height > 0.05 and lasting:
        return f"the loss swings with a period of {period:.3g} points ({100 * share:.0f} % of its variation)"
    return None


@detector(
    "fluctuations",
    rule="no trend in a third of the run (it falls by less than twice its own deviation) while the loss jumps by 1 % of all that "
    "was gained and 2 % of its level, or by 20 % of a level that is 0.2 % of what was gained; no frequency stands out",
    window="the last third of the run, 10 points at least",
    cure="decay the learning rate, average the parameters, or take larger batches",
    needs=("loss",),
)
def fluctuations(case):
    loss = case.finite
    third = loss[-max(10, len(loss) // 3) :]
    if len(loss) < 16 or len(third) < 10:
        return None
    slope, deviation = trend(third)
    gained = loss[0] - third.mean()
    quiet = abs(slope) * len(third) < 2 * deviation
    level = abs(float(third.mean()))
    large = (deviation > 0.01 * gained and deviation > 0.02 * level) or (
        deviation > 0.2 * level and level > 0.002 * gained
    )
    if quiet and gained > 0 and large:
        if peak_share(third)[0] > 0.6:
            return None
        return f"the loss stays at {third.mean():.3g} and jumps by {deviation:.2g} from point to point"
    return None


@detector(
    "slow progress",
    rule="the second half of the run gains at least 60 % of what the first half gains, in a straight line "
    "(deviation below 8 % of the gain), and less than 70 % of the loss is gone",
    window="the whole run, 8 points at least",
    cure="raise the learning rate (fo.lr_range_test finds one), use momentum, standardise the features",
    needs=("loss",),
)
def slow_progress(case):
    loss = case.finite
    if len(loss) < LEAST:
        return None
    parts = means(loss, max(1, len(loss) // 16))
    middle = len(parts) // 2
    first, second = parts[0] - parts[middle], parts[middle] - parts[-1]
    gained = parts[0] - parts[-1]
    if not (gained > 0 and first > 0 and 0.6 * first <= second <= 1.6 * first):
        return None
    _, deviation = trend(parts)
    steady = np.mean(np.diff(parts) < 0) >= 0.8
    if steady and deviation < 0.08 * gained and gained < 0.7 * abs(parts[0]):
        return f"the loss falls in a straight line, by {100 * gained / abs(parts[0]):.2g} % in the whole run"
    return None


@detector(
    "plateau",
    rule="for a fifth of the run or longer nearly nothing is gained (1 % of the whole), and a tenth of the whole later",
    window="the whole run, 20 points at least",
    cure="raise the learning rate there, use a rule with a step of its own (Adam, RMSProp) or momentum; start elsewhere",
    needs=("loss",),
)
def plateau(case):
    loss = case.finite
    if len(loss) < 20:
        return None
    smooth = means(loss, max(1, len(loss) // 40))
    whole = smooth[0] - smooth.min()
    if not whole > 0:
        return None
    width = max(3, len(smooth) // 5)
    for begin in range(len(smooth) - width):
        end = begin + width
        flat = (
            abs(smooth[begin] - smooth[end - 1]) < 0.01 * whole and np.ptp(smooth[begin:end]) < 0.02 * whole
        )
        if flat and smooth[end - 1] - smooth[end:].min() > 0.1 * whole:
            share = len(loss) / len(smooth)
            return (
                f"between points {int(begin * share) + 1} and {int(end * share)} the loss stays at {smooth[begin]:.3g}, "
                "and falls afterwards"
            )
    return None


@detector(
    "over-fitting",
    rule="the validation loss is up from its lowest by 5 % of what it had gained and 2 % of its level, and has "
    "been rising over the last quarter, while the training loss fell",
    window="the epochs since the lowest validation loss, 3 at least",
    cure="stop at the lowest (early_stopping), raise l2, get more data or augment it",
    needs=("loss", "validation"),
)
def over_fitting(case):
    held, loss = case.validation, case.loss
    if len(held) < LEAST or not np.isfinite(held).all():
        return None
    at = int(held.argmin())
    last = float(held[-2:].mean())
    rise = last - held[at]
    quarter = held[-max(3, len(held) // 4) :]
    long_enough = len(held) - at > max(3, len(held) // 10)
    risen = long_enough and rise > 0.05 * (held[0] - held[at]) and rise > 0.02 * abs(held[at])
    if risen and trend(quarter)[0] >= 0 and loss[-1] < loss[at]:
        return (
            f"the validation loss was lowest at epoch {at + 1} ({held[at]:.4g}) and is {last:.4g} now, while the "
            f"training loss fell from {loss[at]:.4g} to {loss[-1]:.4g}"
        )
    return None


@detector(
    "rate decayed too early",
    rule="where the learning rate first is below a fifth of its largest, the loss was falling by 2 % of all that was gained "
    "in a tenth of the run; from there on its pace is below a third of that; the gradient kept 30 % of its norm",
    window="a tenth of the run before the decay, and all after it (40 % of the run at least)",
    cure="decay later or more slowly: hold the rate until the loss stops falling",
    needs=("loss", "lr"),
)
def early_decay(case):
    loss, lr = case.finite, case.lr[: len(case.finite)]
    if len(loss) < 16 or not np.isfinite(lr).all():
        return None
    top = int(lr.argmax())
    low = np.flatnonzero(lr[top:] < 0.2 * lr[top])
    if not len(low):
        return None
    at, width = top + int(low[0]), max(3, len(loss) // 10)
    if at < width + 1 or len(loss) - at < 0.4 * len(loss):
        return None
    before = (loss[at - width : at].mean() - loss[max(0, at - 2 * width) : at - width].mean()) if at >= 2 * width else (
        loss[at - 1] - loss[at - width]
    )  # fmt: skip
    pace = -before / width
    after = (loss[at] - loss[-1]) / (len(loss) - at)
    gained = loss[0] - loss[-1]
    if not (gained > 0 and pace * width > 0.02 * gained and after < pace / 3):
        return None
    if case.gradient_norm is not None and len(case.gradient_norm) >= len(loss):
        norms = case.gradient_norm
        if np.median(norms[-width:]) < 0.3 * np.median(norms[at - width : at]):
            return None
    return f"the rate fell below a fifth at point {at + 1}, where the loss was falling by {pace:.2g} a point; since then by {after:.2g}"
