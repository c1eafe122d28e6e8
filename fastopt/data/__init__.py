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
    divisor = float(found.get("divisor", 255.0))
    if {"x_train", "y_train", "x_test", "y_test"} <= found.keys():
        parts = [found[key] for key in ("x_train", "y_train", "x_test", "y_test")]
    elif {"X", "y"} <= found.keys():
        parts = _split(found["X"], found["y"], seed, name)
    else:
        raise ValueError(f"{name} has {sorted(found)}; x_train, y_train, x_test, y_test or X, y are needed")
    return _dataset(name, *parts, 1 / divisor)


def _split(X, y, seed, name):
    if len(X) != len(y):
        raise ValueError(f"{name}: X has {len(X)} rows, y {len(y)}")
    order = np.random.default_rng(seed).permutation(len(X))
    test, training = order[: len(X) // 5], order[len(X) // 5 :]
    return X[training], y[training], X[test], y[test]


def _dataset(name, x_train, y_train, x_test, y_test, scale):
    x_train, x_test = (_features(x, name) for x in (x_train, x_test))
    for x, y, part in ((x_train, y_train, "training"), (x_test, y_test, "test")):
        if np.ndim(y) != 1 or len(x) != len(y):
            raise ValueError(f"{name}: {len(x)} {part} rows, but labels of shape {np.shape(y)}")
    if not len(x_train):
        raise ValueError(f"{name} has no rows to train on")
    if x_train.shape[1] != x_test.shape[1]:
        raise ValueError(f"{name}: {x_train.shape[1]} features to train on, {x_test.shape[1]} to test on")
    classes = np.unique(np.concatenate([y_train, y_test]))
    numbers = [np.searchsorted(classes, y).astype(np.int64) for y in (y_train, y_test)]
    scale = scale if x_train.dtype == np.uint8 else 1.0
    return Dataset(name, x_train, numbers[0], x_test, numbers[1], classes, scale)


def _features(x, name):
    """Rows x features, one row an example, in a dtype that the kernels read."""
    x = np.ascontiguousarray(x)
    x = x.reshape(len(x), math.prod(x.shape[1:]))
    if x.dtype in (np.uint8, np.float32, np.float64):
        return x
    if x.dtype.kind in "iufb":
        return x.astype(np.float32)
    raise ValueError(f"{name}: features of type {x.dtype} cannot be used; numbers are needed")
