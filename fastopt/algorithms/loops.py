"""vectors.py as loops: what is compiled, and what Python runs, with the same bits, until it is."""

import math

import numpy as np


def dot(a, b):
    s = 0.0
    for i in range(a.size):
        s += a[i] * b[i]
    return s


def norm(a):
    biggest = 0.0
    total = 0.0
    for i in range(a.size):
        v = np.float64(a[i])
        total += v * v
        size = abs(v)
        if not size <= biggest:
            biggest = size
    if 1e-290 < total < 1e300 or biggest == 0.0 or not math.isfinite(biggest):
        return math.sqrt(total) if math.isfinite(biggest) else biggest
    total = 0.0
    for i in range(a.size):
        total += (a[i] / biggest) ** 2
    return biggest * math.sqrt(total)


def copy(a, out):
    for i in range(a.size):
        out[i] = a[i]


def copy_clipped(a, bounds, out):
    for i in range(a.size):
        out[i] = min(max(a[i], bounds[0, i]), bounds[1, i])


def fill(value, out):
    for i in range(out.size):
        out[i] = value


def move(a, t, d, out):
    for i in range(out.size):
        out[i] = a[i] + t * d[i]


def move_dot(a, t, d, b):
    s = 0.0
    for i in range(a.size):
        a[i] += t * d[i]
        s += a[i] * b[i]
    return s


def subtract(a, b, out):
    for i in range(out.size):
        out[i] = a[i] - b[i]


def scale(t, out):
    for i in range(out.size):
        out[i] *= t


def same(a, b):
    for i in range(a.size):
        if a[i] != b[i]:
            return False
    return True


def largest(a):
    result = 0.0
    for i in range(a.size):
        size = abs(a[i])
        if not size <= result:
            result = size
            if size != size:
                break
    return np.float64(result)


def largest_relative(d, x):
    result = 0.0
    for i in range(d.size):
        result = max(result, abs(d[i]) / max(1.0, abs(x[i])))
    return result


def projected_norm(x, g, bounds, bounded):
    result = 0.0
    for i in range(x.size):
        v = np.float64(g[i])
        if bounded:
            v = min(v, x[i] - bounds[0, i]) if v > 0 else max(v, x[i] - bounds[1, i])
        size = abs(v)
        if not size <= result:
            result = size
            if size != size:
                break
    return result


def boxed(x, bounds):
    for i in range(x.size):
        if not (math.isfinite(bounds[0, i]) and math.isfinite(bounds[1, i])):
            return False
    return True


def hold(x, g, bounds, out):
    for i in range(x.size):
        stays = (x[i] <= bounds[0, i] and g[i] > 0) or (x[i] >= bounds[1, i] and g[i] < 0)
        out[i] = 0.0 if stays else 1.0


def lead_out(x, d, g, bounds, free, out):
    for i in range(x.size):
        end = x[i] + d[i]
        inner = min(max(end, bounds[0, i]), bounds[1, i])
        leaves = free[i] > 0 and inner != end and g[i] * d[i] < 0
        out[i] = inner - x[i] if leaves else 0.0
        if leaves:
            free[i] = 0.0


def multiply(a, b, out):
    for i in range(out.size):
        out[i] = a[i] * b[i]


def to_bounds(x, d, bounds):
    result = math.inf
    for i in range(x.size):
        if d[i] > 0:
            result = min(result, (bounds[1, i] - x[i]) / d[i])
        elif d[i] < 0:
            result = min(result, (bounds[0, i] - x[i]) / d[i])
    return result


def matvec(A, x, out):
    n = x.size
    for i in range(n):
        s = 0.0
        for j in range(n):
            s += A[i * n + j] * x[j]
        out[i] = s


def set_diagonal(value, n, A):
    for i in range(n * n):
        A[i] = 0.0
    for i in range(n):
        A[i * n + i] = value


def update_inverse(H, s, y, hy, sy, yhy):
    n = s.size
    c = (1.0 + yhy / sy) / sy
    for i in range(n):
        cs, si, hi = c * s[i], s[i] / sy, hy[i] / sy
        for j in range(n):
            H[i * n + j] += cs * s[j] - (hi * s[j] + si * hy[j])


def cholesky(A, shift, L, n):
    for j in range(n):
        s = A[j * n + j] + shift
        for k in range(j):
            s -= L[j * n + k] * L[j * n + k]
        if not (s > 0.0 and math.isfinite(s)):
            return j
        root = math.sqrt(s)
        L[j * n + j] = root
        for i in range(j + 1, n):
            t = np.float64(A[i * n + j])
            for k in range(j):
                t -= L[i * n + k] * L[j * n + k]
            L[i * n + j] = t / root
    return n


def solve_lower(L, n, b):
    for i in range(n):
        s = np.float64(b[i])
        for k in range(i):
            s -= L[i * n + k] * b[k]
        b[i] = s / L[i * n + i]


def solve_upper(L, n, b):
    for i in range(n - 1, -1, -1):
        s = b[i] / L[i * n + i]
        b[i] = s
        for k in range(i):
            b[k] -= L[i * n + k] * s


def factorize(J, m, n, r, R, q, norms, spare):
    for i in range(n * n):
        R[i] = 0.0
    for i in range(m):
        spare[i] = r[i]
    for j in range(n):
        q[j] = 0.0
        s = 0.0
        for i in range(m):
            s += J[i * n + j] * J[i * n + j]
        norms[j] = math.sqrt(s)
    for j in range(min(m, n)):
        reflect_column(J, m, n, j, spare)
        for k in range(j, n):
            R[j * n + k] = J[j * n + k]
        q[j] = spare[j]


def reflect_column(J, m, n, j, b):
    """Householder: rotate the rest of column j into its diagonal, and the other columns and b likewise."""
    s = 0.0
    for i in range(j, m):
        s += J[i * n + j] * J[i * n + j]
    if s == 0.0:
        return
    first = J[j * n + j]
    diagonal = -math.copysign(math.sqrt(s), first)
    head = first - diagonal  # v = (head, the rest of the column), v'v = -2 diagonal * head
    for k in range(j + 1, n):
        t = head * J[j * n + k]
        for i in range(j + 1, m):
            t += J[i * n + j] * J[i * n + k]
        t /= diagonal * head
        J[j * n + k] += t * head
        for i in range(j + 1, m):
            J[i * n + k] += t * J[i * n + j]
    t = head * b[j]
    for i in range(j + 1, m):
        t += J[i * n + j] * b[i]
    t /= diagonal * head
    b[j] += t * head
    for i in range(j + 1, m):
        b[i] += t * J[i * n + j]
    J[j * n + j] = diagonal


def transposed_times(J, m, n, r, out):
    for j in range(n):
        out[j] = 0.0
    for i in range(m):
        for j in range(n):
            out[j] += J[i * n + j] * r[i]
