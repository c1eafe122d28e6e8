"""What a loss declares, tested once a class, with the same words on every back end.

The formula is called on rows together and on each alone, in float32 and float64, with scores that cannot be
written to: what NumPy would let pass and a kernel would not, or would compute otherwise, is found here.
"""

import linecache
import traceback
import weakref
from inspect import signature

import numpy as np

KINDS = ("class", "binary", "real")
_tested: weakref.WeakKeyDictionary = weakref.WeakKeyDictionary()  # class -> the functions that were tested


def test(loss):
    """Raise TypeError or ValueError where the loss does not keep what fastopt.losses says of one."""
    cls = type(loss)
    functions = tuple(
        cls.__dict__.get(name) or getattr(cls, name, None) for name in ("rows", "curvature", "one_row")
    )
    if _tested.get(cls) == functions:
        return
    if loss.one_row not in KINDS:
        raise ValueError(
            f"{cls.__name__}.one_row must be one of {', '.join(map(repr, KINDS))}, not {loss.one_row!r}"
        )
    for name, wanted in (("rows", "k, s, y, d"), ("curvature", "k, s, y, v, d")):
        if hasattr(cls, name):
            _test_method(cls, name, wanted)
    # of one score: one for regression may know no other
    for classes in {"real": (1,), "binary": (1, 3), "class": (3,)}[loss.one_row]:
        for dtype in (np.float64, np.float32):
            _test_rows(loss, classes, np.dtype(dtype))
    _tested[cls] = functions


def _test_method(cls, name, wanted):
    given = next(vars(parent)[name] for parent in cls.__mro__ if name in vars(parent))
    if not isinstance(given, staticmethod):
        raise TypeError(
            f"{cls.__name__}.{name} must be a static method of ({wanted}): write @staticmethod above def {name}"
        )
    if len(signature(given.__func__).parameters) != wanted.count(",") + 1:
        raise TypeError(
            f"{cls.__name__}.{name} must be a static method of ({wanted}), not {signature(given.__func__)}"
        )


def _test_rows(loss, classes, dtype):
    name = f"{type(loss).__name__}.rows"
    rng = np.random.default_rng(classes)
    scores = rng.normal(size=(classes, 4)).astype(dtype)
    y = np.array([0, 1, 2, 1])
    if classes == 1:
        y = {"real": np.array([0.5, -1, 2, 0], dtype), "binary": np.array([0, -1, 0, -1])}.get(
            loss.one_row, y * 0
        )
    together, d = _called(loss, scores, y)
    if getattr(together, "shape", None) != (4,):
        shape = getattr(together, "shape", type(together).__name__)
        raise TypeError(
            f"{name} must return a loss for each row, {(4,)} for 4 rows, not {shape}: no np.sum or np.mean"
        )
    if together.dtype != dtype:
        raise TypeError(
            f"{name} must return {dtype} for {dtype} scores, not {together.dtype}: a float64 array in it?"
        )
    if np.isnan(d).any() and not np.isnan(together).any():
        missing = sorted({int(c) for c in np.argwhere(np.isnan(d))[:, 0]})
        raise ValueError(
            f"{name} does not write d[{missing[0]}] for {classes} classes: write d[c] for every c"
        )
    for i in range(4):
        alone, slope = _called(loss, scores[:, i : i + 1], y[i : i + 1])
        if not (_near(alone, together[i : i + 1]) and _near(slope, d[:, i : i + 1])):
            raise ValueError(
                f"{name} gives {alone[0]:.6g} for a row alone and {together[i]:.6g} for the same row among "
                "others: each row must stand for itself, with no sum, maximum or mean over rows (np.maximum of two "
                "classes is meant, not np.max)"
            )


def _near(a, b):
    return np.allclose(a, b, rtol=1e-5, atol=1e-6, equal_nan=True)


def _called(loss, scores, y):
    """(losses, derivatives) of scores that cannot be written to."""
    s, d = np.ascontiguousarray(scores), np.full(scores.shape, np.nan, scores.dtype)
    s.flags.writeable = False
    try:
        with np.errstate(all="ignore"):
            return loss.rows(tuple(map(float, loss)), s, y, d), d
    except Exception as error:  # an author's formula may raise anything
        raise TypeError(_explained(loss, error)) from error


def _explained(loss, error):
    """The method, the line that is wrong and what to write instead."""
    name = f"{type(loss).__name__}.rows"
    frames = [f for f in traceback.extract_tb(error.__traceback__) if f.name == "rows"]
    line = (
        (frames[-1].line or linecache.getline(frames[-1].filename, frames[-1].lineno or 0)).strip()
        if frames
        else ""
    )
    where = f" in line {frames[-1].lineno}, `{line}`" if frames else ""
    text = str(error)
    if "read-only" in text:
        mend = "s belongs to the caller: write to d, not to s"
    elif "truth value" in text:
        mend = "s[c] holds many rows: write np.where(condition, a, b) instead of if"
    elif isinstance(error, AttributeError) and "tuple" in text:
        mend = f"k is a tuple of the loss's fields {type(loss)._fields}: unpack it, `{', '.join(type(loss)._fields)}, = k`"
    else:
        mend = "see fastopt.losses for what a formula may use"
    return f"{name} raises {type(error).__name__}: {text}{where}: {mend}"
