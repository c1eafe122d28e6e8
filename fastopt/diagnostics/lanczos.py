"""Extreme curvatures from products of the Hessian with vectors."""

import numpy as np


def lanczos(product, n, *, steps=24, seed=0):
    """(smallest, largest, error) eigenvalue of a symmetric matrix of which product(v) -> A v is known.

    steps products; v is kept orthogonal to all before it. error: a bound of how far the two are from some
    eigenvalue. The smallest one found is never below the true one. Source: Golub & Van Loan 2013, 10.1.
    """
    steps = min(steps, n)
    rng = np.random.default_rng(seed)
    v = rng.normal(size=n)
    v /= np.linalg.norm(v)
    V, diagonal, beside = [v], [], []
    for _ in range(steps):
        w = np.asarray(product(V[-1]), float)
        diagonal.append(float(V[-1] @ w))
        for u in V:  # twice is enough (Parlett): once here, once below
            w = w - (u @ w) * u
        for u in V:
            w = w - (u @ w) * u
        size = float(np.linalg.norm(w))
        beside.append(size)
        if not size > 1e-12 * max(map(abs, diagonal)):
            break
        V.append(w / size)
    T = np.diag(diagonal) + np.diag(beside[:-1], 1) + np.diag(beside[:-1], -1)
    values, vectors = np.linalg.eigh(T)
    error = beside[-1] * np.abs(vectors[-1, [0, -1]])
    return float(values[0]), float(values[-1]), float(error.max())
