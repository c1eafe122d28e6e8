"""Optima on a9a, letter and MNIST, by a certificate: one Newton step of float64 NumPy from what a solver returns.

Near an optimum that step is what is missing: its entries are the errors of the coefficients, and half its product with
the gradient is that of the objective. Nothing of the package is asked but the weights and what the report says.
"""

import io
import lzma

import numpy as np
import pytest

import fastopt as fo
from fastopt.solvers import solve

pytest.importorskip("scipy")


def a9a(find):
    datasets = pytest.importorskip("sklearn.datasets")
    with lzma.open(find("a9a.svm.xz")) as file:
        X, y = datasets.load_svmlight_file(io.BytesIO(file.read()), n_features=123)
    return X, (y > 0).astype(int), fo.Logistic()


def letter(find):
    table = [line.split(",") for line in find("letter.csv").read_text().splitlines()[1:]]
    X = np.array([row[:16] for row in table], float) / 15
    return X, np.array([ord(row[16].strip()) - ord("A") for row in table]), fo.Softmax()


def mnist(find):
    with np.load(find("mnist.npz")) as file:
        return (
            file["x_train"][:5000].reshape(5000, -1) / 255.0,
            file["y_train"][:5000].astype(int),
            fo.Softmax(),
        )


SETS = {"a9a": a9a, "letter": letter, "MNIST 5,000": mnist}


def model(X, y, W, b):
    """(mean loss, dscores, d -> curvature times d), all by row; one row of W is the second of two classes."""
    s = X @ W.T + b
    s = s if len(W) > 1 else np.column_stack([np.zeros(len(y)), s])
    log_p = s - np.logaddexp.reduce(s, axis=1)[:, None]
    P, n = np.exp(log_p), len(y)
    own = slice(None) if len(W) > 1 else slice(1, None)
    slopes = (P - np.eye(s.shape[1])[y])[:, own] / n

    def curved(v):
        v = v if len(W) > 1 else np.column_stack([np.zeros(n), v])
        return (P * (v - (P * v).sum(axis=1)[:, None]))[:, own] / n

    return -log_p[np.arange(n), y].mean(), slopes, curved


def what_is_missing(X, y, W, b, l2):
    """(the Newton step, half its product with the gradient, the objective), by conjugate gradients to 1e-4."""
    loss, slopes, curved = model(X, y, W, b)
    joined = lambda D, c: np.concatenate([np.ravel(D), c])  # noqa: E731

    def product(d):
        V, c = d[: W.size].reshape(W.shape), d[W.size :]
        D = curved(X @ V.T + c)
        return joined((X.T @ D).T + 2 * l2 * V, D.sum(axis=0))

    g = joined((X.T @ slopes).T + 2 * l2 * W, slopes.sum(axis=0))
    # the diagonal of X'X for a preconditioner
    squares = np.asarray(
        X.multiply(X).mean(axis=0) if hasattr(X, "multiply") else (X**2).mean(axis=0)
    ).reshape(-1)
    M = joined(np.tile(squares / 4 + 2 * l2, (len(W), 1)), np.full(len(W), 0.25))
    d, r = np.zeros_like(g), -g
    p, product_r = r / M, r @ (r / M)
    first = product_r
    for _ in range(2000):
        if product_r <= 1e-8 * first:
            break
        Hp = product(p)
        step = product_r / (p @ Hp)
        d, r = d + step * p, r - step * Hp
        before, product_r = product_r, r @ (r / M)
        p = r / M + product_r / before * p
    return d, abs(g @ d) / 2, loss + l2 * (W**2).sum()


@pytest.mark.long
@pytest.mark.parametrize("name", SETS)
def test_optima_at_the_default_tolerance(name, data):
    X, y, loss = SETS[name](data)
    l2 = 1 / (2 * len(y))
    for solver in ("auto", "lbfgs", "newton"):
        objective = fo.Objective(loss, X, y, l2=l2)
        if solver == "newton" and objective.classes * objective.features > 2500:
            continue  # by conjugate gradients: 40 s
        W, b, report = solve(objective, solver, max_iter=5000)
        step, missing, value = what_is_missing(X, y, W, b, l2)
        assert report.converged and report.objective == pytest.approx(value, rel=1e-12)
        assert np.abs(step[: W.size]).max() < 1e-5 and missing < 1e-9 * value, str(report)


@pytest.mark.long
@pytest.mark.parametrize("name", ["a9a", "letter"])
@pytest.mark.parametrize("l2", [0.0, 5e-4])
def test_conditions_of_l1_entry_by_entry(name, l2, data):
    X, y, loss = SETS[name](data)
    l1 = 1e-3
    for solver in (
        ("auto", "lbfgs", "prox-newton") if name == "a9a" else ("auto", "prox-newton")
    ):  # OWL-QN stops at 2e-9
        W, b, report = solve(fo.Objective(loss, X, y, penalty=fo.ElasticNet(l1, l2)), solver, max_iter=5000)
        value, slopes, _ = model(X, y, W, b)
        g = (X.T @ slopes).T + 2 * l2 * W
        off = np.where(W != 0, np.abs(g + l1 * np.sign(W)), np.maximum(np.abs(g) - l1, 0))
        assert report.converged and off.max() <= 2e-9 and np.abs(slopes.sum(axis=0)).max() <= 2e-9, str(
            report
        )
        assert report.objective == pytest.approx(value + l2 * (W**2).sum() + l1 * np.abs(W).sum(), rel=1e-12)
        assert 0 < (W == 0).sum() < W.size and np.abs(W[W != 0]).min() > 1e-7
