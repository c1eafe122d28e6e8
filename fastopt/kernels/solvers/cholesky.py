"""The Cholesky factor of a matrix, on one thread: no pool of a BLAS, which spins where CPUs are busy.

124 x 124: 0.2 ms; LAPACK's two threads took 5 ms on a busy machine.
"""

import functools

import numpy as np
from numba.core import types

from fastopt.kernels.language.compile import entry, kernel


@kernel(reassociate=True)
def _dot(a, b, count):
    total = 0.0
    for i in range(count):
        total += a[i] * b[i]
    return total


@kernel(reassociate=True)
def factor(A, ridge):
    """Write L with L L' = A + ridge * I to A's lower triangle; False where A is not positive definite."""
    for i in range(A.shape[0]):
        for j in range(i):
            A[i, j] = (A[i, j] - _dot(A[i], A[j], j)) / A[j, j]
        left = A[i, i] + ridge - _dot(A[i], A[i], i)
        if not left > 0:
            return False
        A[i, i] = np.sqrt(left)
    return True


@kernel(reassociate=True)
def substitute(L, x):
    """x = (L L')^-1 x."""
    n = L.shape[0]
    for i in range(n):
        x[i] = (x[i] - _dot(L[i], x, i)) / L[i, i]
    for i in range(n - 1, -1, -1):
        x[i] /= L[i, i]
        for j in range(i):
            x[j] -= L[i, j] * x[i]
    return 0


@functools.cache
def _entries():
    matrix, vector = types.Array(types.float64, 2, "C"), types.Array(types.float64, 1, "C")
    return entry(factor, matrix, types.float64), entry(substitute, matrix, vector)


def cholesky(A, ridge=0.0):
    """A function v -> (A + ridge I)^-1 v, or None where there is no factor. A (n, n), float64."""
    L = np.array(A, np.float64, order="C")
    do_factor, do_substitute = _entries()
    if not do_factor(L, float(ridge)):
        return None

    def solve(v):
        x = np.array(v, np.float64)
        do_substitute(L, x)
        return x

    return solve
