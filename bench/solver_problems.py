"""The problems of bench/solvers.py: data, loss, penalty."""

import io
import lzma

import numpy as np

import fastopt as fo


def labels_of(path):
    from sklearn.datasets import load_svmlight_file

    with lzma.open(path) as file:
        X, y = load_svmlight_file(io.BytesIO(file.read()), n_features=123)
    X.indices, X.indptr = X.indices.astype(np.int32), X.indptr.astype(np.int32)
    return X, (y > 0).astype(int)


def letter(folder):
    lines = (folder / "letter.csv").read_text().splitlines()[1:]
    table = [line.split(",") for line in lines]
    X = np.array([row[:16] for row in table], float) / 15
    return X, np.array([ord(row[16].strip()) - ord("A") for row in table])


def mnist(folder, count):
    with np.load(folder / "mnist.npz") as file:
        return file["x_train"][:count].reshape(count, -1) / 255.0, file["y_train"][:count].astype(int)


def small(name, standard=True):
    from sklearn import datasets

    X, y = getattr(datasets, f"load_{name}")(return_X_y=True)
    return ((X - X.mean(axis=0)) / np.maximum(X.std(axis=0), 1e-12) if standard else X / 16), y


def made(n, features, seed=0):
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n, features))
    return X, (X[:, : min(10, features)].sum(axis=1) / 2 + rng.logistic(size=n) > 0).astype(int)


def wide(n, features, a_row, seed=0):
    """Sparse rows; some features are in many rows, most in few."""
    from scipy.sparse import csr_matrix

    rng = np.random.default_rng(seed)
    columns = (features * rng.random((n, a_row)) ** 3).astype(np.int32)
    X = csr_matrix(
        (np.abs(rng.normal(size=n * a_row)), columns.reshape(-1), np.arange(0, n * a_row + 1, a_row)),
        (n, features),
    )
    X.sum_duplicates()
    w = np.zeros(features)
    w[rng.integers(0, 2000, 200)] = rng.normal(size=200) * 3
    return X, (X @ w + rng.logistic(size=n) > 0).astype(int)


def problems(folder):
    """{name: (a function that gives X and y, loss, l1 * n, l2 * 2 n)}: the last two are 1 / C of scikit-learn."""
    return {
        "digits, softmax, L2": (lambda: small("digits", False), fo.Softmax(), 0, 1),
        "digits, softmax, L1": (lambda: small("digits", False), fo.Softmax(), 1, 0),
        "cancer, logistic, L2": (lambda: small("breast_cancer"), fo.Logistic(), 0, 1),
        "100,000 x 50, logistic, L2": (lambda: made(100_000, 50), fo.Logistic(), 0, 1),
        "10,000 x 10, logistic, L1": (lambda: made(10_000, 10), fo.Logistic(), 10, 0),
        "1,000 x 100,000 sparse, logistic, L1": (lambda: wide(1000, 100_000, 100), fo.Logistic(), 1, 0),
        "5,000 x 50,000 sparse, logistic, L1": (lambda: wide(5000, 50_000, 60), fo.Logistic(), 2, 0),
        "5,000 x 50,000 sparse, hinge, L2": (lambda: wide(5000, 50_000, 60), fo.Hinge(), 0, 1),
        "a9a, logistic, L2": (lambda: labels_of(folder / "a9a.svm.xz"), fo.Logistic(), 0, 1),
        "a9a, logistic, L1": (lambda: labels_of(folder / "a9a.svm.xz"), fo.Logistic(), 1, 0),
        "a9a, logistic, elastic net": (lambda: labels_of(folder / "a9a.svm.xz"), fo.Logistic(), 0.5, 0.5),
        "a9a, squared hinge, L2": (lambda: labels_of(folder / "a9a.svm.xz"), fo.SquaredHinge(), 0, 1),
        "a9a, hinge, L2": (lambda: labels_of(folder / "a9a.svm.xz"), fo.Hinge(), 0, 100),
        "a9a, hinge, L2, C = 1": (lambda: labels_of(folder / "a9a.svm.xz"), fo.Hinge(), 0, 1),
        "letter, softmax, L2": (lambda: letter(folder), fo.Softmax(), 0, 1),
        "MNIST 5,000, softmax, L2": (lambda: mnist(folder, 5000), fo.Softmax(), 0, 1),
        "MNIST 60,000, softmax, L2": (lambda: mnist(folder, 60_000), fo.Softmax(), 0, 1),
    }
