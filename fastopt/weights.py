"""Weights of rows, and of classes."""

import numpy as np

from fastopt.arrays import checked_number


def _in_range(weight, dtype):
    """Weights whose sum, or one over it, would leave the dtype's range are taken times a power of two."""
    weight = np.asarray(weight)
    largest = float(weight.max(initial=0)) if weight.dtype.kind in "fiub" else 0.0
    exponent = int(np.frexp(largest)[1])
    if not 0 < largest < np.inf or abs(exponent) < (100 if dtype == np.float32 else 900):
        return weight
    return np.ldexp(weight.astype(np.float64), -exponent)


def checked_weights(weight, n, dtype, whole=True):
    """weight as a vector of dtype. whole: whether these are all there are; of some of them all may be 0."""
    if weight is None:
        return None
    try:
        weight = np.ascontiguousarray(_in_range(weight, dtype) if whole else weight, dtype)
    except (TypeError, ValueError) as error:
        raise TypeError(f"sample_weight must be a vector of numbers: {error}") from error
    if weight.shape != (n,):
        raise ValueError(f"sample_weight must have shape ({n},), not {weight.shape}")
    if not (np.isfinite(weight) & (weight >= 0)).all():
        at = int(np.argmin(np.isfinite(weight) & (weight >= 0)))
        raise ValueError(f"sample_weight[{at}] is {weight[at]}; weights are finite and not negative")
    if whole and n and not weight.sum() > 0:
        raise ValueError("sample_weight is 0 everywhere: there is no mean to take")
    return weight


def class_weights(class_weight, counts, classes):
    """The weight of each class number, float64; counts: the rows of each. classes: their names, or None."""
    count = len(counts)
    if isinstance(class_weight, str):
        if class_weight != "balanced":
            raise ValueError(
                f'class_weight must be "balanced", a dict or a weight a class, not {class_weight!r}'
            )
        return counts.sum() / (np.count_nonzero(counts) * np.maximum(counts, 1.0))
    weights = np.ones(count)
    if isinstance(class_weight, dict):
        for label, value in class_weight.items():
            weights[_class_number(label, count, classes)] = checked_number(value, "class_weight")
    else:
        try:
            weights = np.asarray(class_weight, np.float64)
        except (TypeError, ValueError) as error:
            raise TypeError(f"class_weight must hold a number a class: {error}") from error
    if weights.shape != (count,) or not (np.isfinite(weights) & (weights >= 0)).all():
        raise ValueError(f"class_weight must be {count} finite numbers, at least 0, not {class_weight!r:.60}")
    return weights


def _class_number(label, count, classes):
    if classes is None:
        known, numbers = range(count), [label]
    else:
        known, numbers = classes.tolist(), np.flatnonzero(classes == label).tolist()
    if not numbers or numbers[0] not in range(count):
        raise ValueError(f"class_weight names {label!r:.60}; the classes are {list(known)!r:.200}")
    return int(numbers[0])
