"""Data sets: the digits that come with the package, and users' .npz files."""

import math
from pathlib import Path
from typing import NamedTuple

import numpy as np

from fastopt import checkpoint


class Dataset(NamedTuple):
    """Rows of features with class numbers; classes[y] is what the file called them.

    scale multiplies integer features inside the loops, so that they need not be converted.
    """

    name: str
    x_train: np.ndarray
    y_train: np.ndarray
    x_test: np.ndarray
    y_test: np.ndarray
    classes: np.ndarray
    scale: float


def load(name, seed=0):
    """The data set "digits", or the one in an .npz file.

    "digits": 1,797 rows of 8x8 pixels 0..16 (Alpaydin & Kaynak 1998, UCI "Optical Recognition of
        Handwritten Digits", its test part); every fifth row is for testing.
    An .npz file: arrays x_train, y_train, x_test, y_test; or X, y, of which a fifth, drawn with
        seed, is for testing. uint8 features are divided by 255 (by the file's `divisor`, where it
        has one), others taken as float32 or float64 as they are.
    Raises FileNotFoundError or ValueError, saying what the file lacks.
    """
    if name == "digits":
        with np.load(Path(__file__).with_name("digits.npz")) as file:
            X, y = file["X"], file["y"]
        test = np.arange(len(X)) % 5 == 4
        return _dataset(name, X[~test], y[~test], X[test], y[test], 1 / 16)
    path = Path(name)
    if not path.is_file():
        raise FileNotFoundError(f"{name}: no such file (DATA is 'digits' or an .npz file)")
    try:
        found = checkpoint.load(path)
    except (ValueError, OSError) as error:
        raise ValueError(f"{name} cannot be read: {error}") from error
    if not isinstance(found, dict):
        raise ValueError(f"{name} is an .npy file, one array; an .npz file with X and y is needed")
    divisor = _divisor(found.get("divisor", 255.0), name)
    if {"x_train", "y_train", "x_test", "y_test"} <= found.keys():
        parts = [found[key] for key in ("x_train", "y_train", "x_test", "y_test")]
    elif {"X", "y"} <= found.keys():
        parts = _split(found["X"], found["y"], seed, name)
    else:
        raise ValueError(f"{name} has {sorted(found)}; x_train, y_train, x_test, y_test or X, y are needed")
    return _dataset(name, *parts, 1 / divisor)


def _divisor(value, name):
    """What uint8 features are divided by, as a number above 0."""
    value = np.asarray(value)
    if value.shape != () or value.dtype.kind not in "iuf" or not 0 < value < np.inf:
        raise ValueError(f"{name}: divisor must be one number above 0, not {value!r:.60}")
    return float(value)


def _split(X, y, seed, name):
    if not np.ndim(X) or np.ndim(y) != 1:
        raise ValueError(
            f"{name}: X has the shape {np.shape(X)}, y {np.shape(y)}: rows and a vector are needed"
        )
    if len(X) != len(y):
        raise ValueError(f"{name}: X has {len(X)} rows, y {len(y)}")
    order = np.random.default_rng(seed).permutation(len(X))
    test, training = order[: len(X) // 5], order[len(X) // 5 :]
    return X[training], y[training], X[test], y[test]


def _dataset(name, x_train, y_train, x_test, y_test, scale):
    x_train, x_test = (_features(x, name) for x in (x_train, x_test))
    y_train, y_test = (_names(y, name) for y in (y_train, y_test))
    for x, y, part in ((x_train, y_train, "training"), (x_test, y_test, "test")):
        if len(x) != len(y):
            raise ValueError(f"{name}: {len(x)} {part} rows, but labels of shape {np.shape(y)}")
    if not len(x_train):
        raise ValueError(f"{name} has no rows to train on")
    if x_train.shape[1] != x_test.shape[1]:
        raise ValueError(f"{name}: {x_train.shape[1]} features to train on, {x_test.shape[1]} to test on")
    if y_train.dtype.kind != y_test.dtype.kind and "U" in (y_train.dtype.kind, y_test.dtype.kind):
        raise ValueError(f"{name}: labels of {y_train.dtype} to train on, of {y_test.dtype} to test on")
    classes = np.unique(np.concatenate([y_train, y_test]))
    numbers = [np.searchsorted(classes, y).astype(np.int64) for y in (y_train, y_test)]
    scale = scale if x_train.dtype == np.uint8 else 1.0
    return Dataset(name, x_train, numbers[0], x_test, numbers[1], classes, scale)


def _names(y, name):
    """Labels as a vector of numbers or text."""
    y = np.asarray(y)
    if y.ndim != 1:
        raise ValueError(f"{name}: labels of shape {y.shape}; a vector, one entry a row, is needed")
    if y.dtype.kind == "S":
        y = y.astype(str)
    if y.dtype.kind not in "biufU":
        raise ValueError(f"{name}: labels of type {y.dtype}; numbers or text are needed")
    if y.dtype.kind == "f" and not np.isfinite(y).all():
        raise ValueError(f"{name}: the label of row {int(np.argmin(np.isfinite(y)))} is NaN or inf")
    return y


def _features(x, name):
    """Rows x features, one row an example, in a dtype that the kernels read."""
    x = np.asarray(x)
    if not x.ndim:
        raise ValueError(f"{name}: features are one number; rows of them are needed")
    x = np.ascontiguousarray(x).reshape(len(x), math.prod(x.shape[1:]))
    if not x.shape[1]:
        raise ValueError(f"{name}: there are no features, X has the shape {x.shape}")
    if not x.dtype.isnative:
        x = x.astype(x.dtype.newbyteorder("="))
    if x.dtype in (np.uint8, np.float32, np.float64):
        return x
    if x.dtype.kind not in "iufb":
        raise ValueError(f"{name}: features of type {x.dtype} cannot be used; numbers are needed")
    with np.errstate(over="ignore"):
        return x.astype(np.float32)
