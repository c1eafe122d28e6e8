"""Data of given sizes: made up, or real where it is found."""

import functools
import os
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np


class Linear(NamedTuple):
    """A classification problem: X (n, features) dense or CSR, y (n,) class numbers, W and b to start from."""

    X: Any
    y: np.ndarray
    W: np.ndarray
    b: np.ndarray

    @property
    def operations(self):
        """Of scores and gradient: a multiplication and an addition, twice."""
        entries = self.X.nnz if hasattr(self.X, "nnz") else self.X.size
        return 4 * entries * len(self.W)

    @property
    def bytes(self):
        """X read once."""
        if hasattr(self.X, "nnz"):
            return self.X.data.nbytes + self.X.indices.nbytes + self.X.indptr.nbytes
        return self.X.nbytes


def step(size, dtype="float32", arrays=1, scale=1.0, seed=0):
    """(parameters, gradients): lists of `arrays` arrays of `size` normal numbers, the gradients times scale."""
    rng = np.random.default_rng(seed)
    parameters, grads = ([rng.standard_normal(size, dtype) for _ in range(arrays)] for _ in range(2))
    if scale != 1:
        for g in grads:
            g *= g.dtype.type(scale)
    return parameters, grads


def linear(n, features, classes, dtype="float32", seed=0):
    """Dense and normal; labels from a random model with noise, so that training has something to do."""
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((n, features), dtype)
    return Linear(X, *_labels(rng, X, classes, dtype))


def pixels(n, features, classes, seed=0):
    """uint8 rows like those of pictures: four fifths of them 0."""
    rng = np.random.default_rng(seed)
    X = rng.integers(0, 256, (n, features), np.uint8)
    X[rng.random((n, features), np.float32) < 0.8] = 0
    return Linear(X, *_labels(rng, X, classes, "float32"))


def sparse(n, features, entries, classes, dtype="float32", index="int32", seed=0):
    """CSR with `entries` non-zeros in each row, in columns drawn evenly."""
    from scipy.sparse import csr_array

    rng = np.random.default_rng(seed)
    width = features // entries  # one column out of each stretch: sorted, and none twice
    columns = rng.integers(0, width, (n, entries)) + np.arange(entries) * width
    indptr = np.arange(0, n * entries + 1, entries, dtype=index)
    values = rng.standard_normal(n * entries, dtype)
    X = csr_array((values, columns.reshape(-1).astype(index), indptr), shape=(n, features))
    return Linear(X, *_labels(rng, X, classes, dtype))


def _labels(rng, X, classes, dtype):
    n, features = X.shape
    true = rng.standard_normal((features, classes)).astype(dtype)
    scores = np.empty((n, classes), dtype)
    for begin in range(0, n, 8192):
        rows = X[begin : begin + 8192]
        scores[begin : begin + 8192] = (rows.astype(dtype) if rows.dtype == np.uint8 else rows) @ true
    scores += scores.std() * rng.standard_normal(scores.shape, dtype)
    W = (0.01 * rng.standard_normal((classes, features))).astype(dtype)
    return scores.argmax(axis=1).astype(np.int64), W, np.zeros(classes, dtype)


def data_file(name):
    """The path of a real data set, or None: $FASTOPT_DATA, or ../shared/data next to a clone."""
    folders = [Path(os.environ["FASTOPT_DATA"])] if "FASTOPT_DATA" in os.environ else []
    for folder in [*folders, Path.cwd().parent / "shared" / "data"]:
        if (folder / name).is_file():
            return folder / name
    return None


@functools.cache
def mnist(dtype="float32"):
    """MNIST where it is found, else rows of its shape; float32 in 0..1 or uint8."""
    path = data_file("mnist.npz")
    if path is None:
        made = pixels(60_000, 784, 10)
        X, y = made.X, made.y
    else:
        with np.load(path) as file:
            X, y = file["x_train"].reshape(60_000, 784), file["y_train"].astype(np.int64)
    X = np.ascontiguousarray(X) if dtype == "uint8" else X.astype(dtype) / np.dtype(dtype).type(255)
    return Linear(X, y, np.zeros((10, 784), np.float32), np.zeros(10, np.float32))


def mnist_csr():
    """The same without its zeros, four fifths of it."""
    from scipy.sparse import csr_array

    dense = mnist()
    return dense._replace(X=csr_array(dense.X))


@functools.cache
def a9a(dtype="float32"):
    """UCI Adult as CSR where it is found, else rows of its shape."""
    path = data_file("a9a.svm.xz")
    if path is None:
        return sparse(32_561, 123, 14, 2, dtype)
    import lzma

    from scipy.sparse import csr_array

    labels, columns, indptr = [], [], [0]
    with lzma.open(path, "rt") as file:
        for line in file:
            label, *entries = line.split()
            labels.append(int(label) > 0)
            columns.extend(int(entry.split(":")[0]) - 1 for entry in entries)  # every value is 1
            indptr.append(len(columns))
    numbers = np.array(columns, np.int32)
    X = csr_array(
        (np.ones(len(columns), dtype), numbers, np.array(indptr, np.int32)), shape=(len(labels), 123)
    )
    y = np.array(labels, np.int64)
    return Linear(X, y, np.zeros((2, 123), dtype), np.zeros(2, dtype))
