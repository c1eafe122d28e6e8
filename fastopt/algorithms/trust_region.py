"""The step that minimizes a quadratic model in a ball, and what its outcome says about the ball.

Moré & Sorensen 1983: (A + shift I) p = -g with a shift for which A + shift I has a Cholesky factor and
|p| is the radius; p lies inside where A itself is positive definite and its Newton step short enough.
"""

import math

from fastopt.algorithms.vectors import (
    cholesky,
    copy,
    dot,
    move,
    norm,
    part,
    scale,
    solve_lower,
    solve_upper,
)

MOST_SHIFTS = 30
HARD = (
    0.2  # by this share the model's decrease may fall short of the best one, where p + t w goes to the edge
)


def exact_step(A, L, n, g, radius, p, w):
    """p for the flat symmetric A; returns the decrease that the model predicts (NaN where A is not finite)."""
    smallest, size = gershgorin(A, n)
    length = norm(g)
    low = max(0.0, -smallest_diagonal(A, n), length / radius - size)
    high = length / radius + max(size, -smallest)
    shift = 0.0 if low == 0.0 else low
    for _ in range(MOST_SHIFTS):
        if cholesky(A, shift, L, n) < n:
            low = max(low, shift)
            shift = max(math.sqrt(low * high), low + 0.01 * (high - low))
            if not high > low:
                break
            continue
        copy(g, p)
        solve_lower(L, n, p)
        solve_upper(L, n, p)
        scale(-1.0, p)
        length = norm(p)
        if length <= radius * 1.1 and (shift == 0.0 or length >= 0.9 * radius):
            break
        if length > radius:
            low = max(low, shift)
        else:
            high = min(high, shift)
            t = to_the_edge(L, n, p, w, radius)
            bend = curvature(A, n, w) + shift
            close = t * t * bend <= HARD * (shift * radius * radius - dot(g, p))
            if close or high - low <= 1e-3 * high or shift <= 1e-14 * size:
                if math.isfinite(t):
                    move(p, t, w, p)
                break
            if bend > 0.0:
                low = max(low, shift - bend)
        copy(p, w)
        solve_lower(L, n, w)
        shift += (length / norm(w)) ** 2 * (length - radius) / radius
        if not low < shift < high:
            shift = max(math.sqrt(low * high), low + 0.01 * (high - low))
    return -dot(g, p) - 0.5 * curvature(A, n, p)


def to_the_edge(L, n, p, w, radius):
    """w: a direction of least curvature, by inverse iteration; the t for which |p + t w| is the radius, or NaN."""
    for i in range(n):
        w[i] = 1.0 + 0.37 * ((7 * i) % 5)
    for _ in range(4):
        solve_lower(L, n, w)
        solve_upper(L, n, w)
        length = norm(w)
        if not (length > 0.0 and math.isfinite(length)):
            return math.nan
        scale(1.0 / length, w)
    along, room = dot(p, w), radius * radius - dot(p, p)
    root = math.sqrt(max(0.0, along * along + room))
    return -along - root if along > 0.0 else -along + root


def smallest_diagonal(A, n):
    least = A[0]
    for i in range(n):
        least = min(least, A[i * n + i])
    return least


def gershgorin(A, n):
    """Bounds of the eigenvalues: the lowest, and the largest absolute row sum."""
    lowest, size = math.inf, 0.0
    for i in range(n):
        total = 0.0
        for j in range(n):
            total += abs(A[i * n + j])
        size = max(size, total)
        lowest = min(lowest, A[i * n + i] - (total - abs(A[i * n + i])))
    return lowest, size


def curvature(A, n, p):
    """p'Ap."""
    total = 0.0
    for i in range(n):
        total += p[i] * dot(part(A, i * n, n), p)
    return total


def new_radius(radius, length, actual, predicted):
    """From the ratio of the decreases: Nocedal & Wright 2006, algorithm 4.1."""
    if not actual >= 0.25 * predicted:
        return 0.25 * min(length, radius)
    if actual > 0.75 * predicted and length >= 0.8 * radius:
        return 2.0 * radius
    return radius
