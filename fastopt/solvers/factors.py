"""Positive definite systems: the C library's Cholesky factor, LAPACK's for large ones."""

import numpy as np

from fastopt import native

OWN = 1000  # rows up to which one thread of ours is not slower than LAPACK's


def factored(A, ridge=0.0):
    """A function v -> (A + ridge I)^-1 v; None where A + ridge I is not positive definite."""
    if native.available() and len(A) <= OWN:
        return native.cholesky(A, ridge)
    try:
        L = np.linalg.cholesky(A + ridge * np.eye(len(A)) if ridge else A)
    except np.linalg.LinAlgError:
        return None
    inverse = np.linalg.inv(L)
    return lambda v: inverse.T @ (inverse @ v)


def solved(A, v, least=0.0):
    """(A + r D)^-1 v, D the diagonal of A, with the smallest r tried for which it is one, and its residual is small;
    else v.

    least: where r begins, the rounding of v: without a penalty all classes may move together, along which v is rounding alone and
    a smaller r made steps of 400 from it. A is scaled to a diagonal of ones first: features in other units leave the step as it is.
    """
    diagonal = A.diagonal()
    if not 0 < diagonal.max(initial=0.0) < np.inf:
        return v.copy()
    unit = np.where(diagonal > 0, diagonal, 1.0) ** -0.5
    A, v_scaled, ridge = A * unit, v * unit, least
    A *= unit[:, None]
    enough = 0.1 * max(v_scaled.max(), -v_scaled.min())
    while ridge <= 1:
        solve = factored(A, ridge)
        if solve is not None:
            x = solve(v_scaled)
            left = np.einsum("ij,j", A, x)
            left -= v_scaled
            if max(left.max(), -left.min()) <= enough:  # NaN is not
                return x * unit
        ridge = max(100 * ridge, 1e-10)
    return v.copy()


def inverse_of(A):
    """A^-1, or None where A is not positive definite."""
    try:
        L = _lower_inverse(np.linalg.cholesky(A))
    except np.linalg.LinAlgError:
        return None
    return L.T @ L


def _lower_inverse(L):
    """By halves: NumPy's inverse does not know of the zeros and takes five times as long (785 x 785)."""
    half = len(L) // 2
    if half < 32:
        return np.tril(np.linalg.inv(L))
    inverse = np.zeros_like(L)
    upper, lower = _lower_inverse(L[:half, :half]), _lower_inverse(L[half:, half:])
    inverse[:half, :half], inverse[half:, half:] = upper, lower
    inverse[half:, :half] = -lower @ (L[half:, :half] @ upper)
    return inverse
