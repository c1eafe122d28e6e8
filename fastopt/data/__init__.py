"""The data set that comes with the package, for examples, tests and benchmarks."""

from typing import NamedTuple

import numpy as np


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
    """The Dataset "digits", or that of a file which the command line takes, prepared as it does.

    A fifth of the rows, drawn with seed, is for testing where the file has no test part. Raises
    ValueError, saying what the file lacks.
    """
    from fastopt.readers import open_data
    from fastopt.readers.dataset import training_set

    found = training_set(open_data(str(name)), seed=seed)
    return Dataset(found.name, *found[1:5], found.classes, found.scale)
