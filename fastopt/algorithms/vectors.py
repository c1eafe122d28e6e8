"""What solvers do with whole arrays: here in NumPy, as loops in loops.py, which are compiled."""

import math
from typing import Any

import numpy as np


def dot(a, b):
    return float(np.dot(a, b))


def norm(a):
    """The 2-norm, without overflow."""
    largest = float(np.max(np.abs(a), initial=0.0))
    if largest == 0.0 or not math.isfinite(largest):
        return largest
    return largest * math.sqrt(float(np.sum(np.square(a / largest))))


def part(a, begin, size):
    """`size` entries of a, which the caller knows to be there: a slice takes longer to compile and to make."""
    return a[begin : begin + size]


def copy(a, out):
    out[:] = a


def copy_clipped(a, bounds, out):
    out[:] = np.minimum(np.maximum(a, bounds[0]), bounds[1])


def fill(value, out):
    out[:] = value


def move(a, t, d, out):
    """out = a + t*d."""
    out[:] = a + t * d


def move_dot(a, t, d, b):
    """a = a + t*d; returns a'b."""
    a += t * d
    return float(np.dot(a, b))


def subtract(a, b, out):
    np.subtract(a, b, out=out)


def scale(t, out):
    out *= t


def same(a, b):
    return bool(np.array_equal(a, b))


def largest(a):
    """The largest |a_i|; NaN if one is."""
    return float(np.max(np.abs(a), initial=0.0))


def largest_relative(d, x):
    """The largest |d_i| / max(1, |x_i|)."""
    return float(np.max(np.abs(d) / np.maximum(1.0, np.abs(x)), initial=0.0))


def projected_norm(x, g, bounds, bounded):
    """The largest |g_i|, where a step along -g_i is possible; NaN if one is."""
    if not bounded:
        return largest(g)
    low, high = bounds
    return largest(np.where(g > 0, np.minimum(g, x - low), np.maximum(g, x - high)))


def boxed(x, bounds):
    """Whether every entry has both bounds."""
    return bool(np.isfinite(bounds).all())


def hold(x, g, bounds, out):
    """out_i = 0 where x_i is at a bound and -g_i leads out, else 1."""
    low, high = bounds
    out[:] = ~(((x <= low) & (g > 0)) | ((x >= high) & (g < 0)))


def lead_out(x, d, g, bounds, free, out):
    """out_i leads to the bound that x + d oversteps downhill, and free_i = 0; elsewhere out_i = 0."""
    end, inner = x + d, np.minimum(np.maximum(x + d, bounds[0]), bounds[1])
    leave = (free > 0) & (inner != end) & (g * d < 0)
    out[:] = np.where(leave, inner - x, 0)
    free[leave] = 0


def multiply(a, b, out):
    np.multiply(a, b, out=out)


def to_bounds(x, d, bounds):
    """The largest t for which x + t*d is inside the bounds."""
    with np.errstate(divide="ignore", invalid="ignore"):
        room = np.where(d > 0, (bounds[1] - x) / d, np.where(d < 0, (bounds[0] - x) / d, np.inf))
    return float(np.min(room, initial=np.inf))


def matvec(A, x, out):
    """out = A x for a square A of which `A` is the flat array."""
    n = x.size
    np.dot(A.reshape(n, n), x, out=out)


def set_diagonal(value, n, A):
    A[:] = 0.0
    A[:: n + 1] = value


def update_inverse(H, s, y, hy, sy, yhy):
    """BFGS: H += (1 + y'Hy/s'y) ss'/s'y - (Hy s' + s (Hy)')/s'y; hy = Hy."""
    n = s.size
    s, hy = s / sy, hy.copy()
    cross = np.outer(hy, s)
    H.reshape(n, n)[...] += (sy + yhy) * np.outer(s, s) - (cross + cross.T)


def cholesky(A, shift, L, n):
    """L L' = A + shift*I in the lower half of L, both flat; the first row that fails, or n."""
    A, L = A.reshape(n, n), L.reshape(n, n)
    for j in range(n):
        s = A[j, j] + shift - np.dot(L[j, :j], L[j, :j])
        if not (s > 0.0 and math.isfinite(s)):
            return j
        L[j, j] = root = math.sqrt(s)
        L[j + 1 :, j] = (A[j + 1 :, j] - L[j + 1 :, :j] @ L[j, :j]) / root
    return n


def solve_lower(L, n, b):
    """b = L^-1 b."""
    L = L.reshape(n, n)
    for i in range(n):
        b[i] = (b[i] - np.dot(L[i, :i], b[:i])) / L[i, i]


def solve_upper(L, n, b):
    """b = L'^-1 b."""
    L = L.reshape(n, n)
    for i in range(n - 1, -1, -1):
        b[i] = (b[i] - np.dot(L[i + 1 :, i], b[i + 1 :])) / L[i, i]


def factorize(J, m, n, r, R, q, norms, spare):
    """J = QR by reflections: R (n, n) upper, q = the first n of Q'r, norms of J's columns; J may be overwritten."""
    A = J.reshape(m, n)
    norms[:] = np.sqrt(np.sum(np.square(A), axis=0))
    upper: Any = np.linalg.qr(np.column_stack([A, r]), mode="r")
    k = min(m, n)
    square = R.reshape(n, n)
    square[...], q[:] = 0.0, 0.0
    square[:k], q[:k] = upper[:k, :n], upper[:k, n]


def transposed_times(J, m, n, r, out):
    """out = J' r."""
    np.dot(J.reshape(m, n).T, r, out=out)
