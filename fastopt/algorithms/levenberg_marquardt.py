"""Sums of squares: Levenberg and Marquardt's step in Moré's form (1978), as in MINPACK's lmder.

The value is half the sum of squares. gtol bounds the largest cosine between the residuals and a column
of the Jacobian, which no scale of the parameters or the data changes. With bounds, entries that a
bound holds stay where they are, and a step ends at the bounds.
"""

import math

from fastopt.algorithms.calls import jacobian, residuals
from fastopt.algorithms.state import (
    BEST,
    BOUNDED,
    DAMPING,
    EPS,
    EVALUATION_LIMIT,
    EVALUATIONS,
    EXPECTED,
    FTOL,
    FUNCTION,
    GRADIENT,
    GRADIENTS,
    GTOL,
    ITERATION_LIMIT,
    ITERATIONS,
    MAX_EVALUATIONS,
    MAX_ITERATIONS,
    NEW,
    NORM,
    NOT_FINITE,
    PRECISION,
    RADIUS,
    REACHED,
    ROUNDING,
    ROWS,
    RUNNING,
    SCALE,
    SECOND_COST,
    STATUS,
    STEP_SMALL,
    STRETCH,
    TARGET,
    XTOL,
    F,
)  # fmt: skip
from fastopt.algorithms.vectors import (
    copy,
    copy_clipped,
    dot,
    factorize,
    fill,
    hold,
    largest,
    move,
    norm,
    part,
    subtract,
    transposed_times,
)  # fmt: skip

FACTOR = 1.0  # the first radius, in lengths of the scaled start
MOST_REJECTIONS = 60


def levenberg_size(n, memory, rows):
    return 2 * n + 9 * n + 2 * n * n + rows * n + 2 * rows


def half_square(r):
    """Half the sum of squares; NaN where a residual is."""
    size = norm(r)
    return 0.5 * size * size


def damped(R, q, n, scales, damping, S, z, row):
    """Rotate sqrt(damping) * diag(scales) into R: S and z so that S p = -z is the damped step."""
    copy(R, S)
    copy(q, z)
    root = math.sqrt(damping)
    for k in range(n):
        fill(0.0, row)
        row[k] = root * scales[k]
        rotate(row, 0.0, S, z, n, k)


def rotate(row, last, S, z, n, start):
    """Rotate one more equation row'p = -last, of which the first entries are 0, into S p = -z."""
    for j in range(start, n):
        if row[j] == 0.0:
            continue
        a = S[j * n + j]
        length = math.sqrt(a * a + row[j] * row[j])
        c, s = a / length, row[j] / length
        for i in range(j, n):
            above, below = S[j * n + i], row[i]
            S[j * n + i] = c * above + s * below
            row[i] = c * below - s * above
        z[j], last = c * z[j] + s * last, c * last - s * z[j]


def fold(R, q, n, held, row):
    """Rows of R whose column is held and empty: their equations go to the rows below, and p_j = 0 into their place."""
    for j in range(n):
        if held[j] == 0.0:
            copy(part(R, j * n, n), row)
            for i in range(j + 1):
                row[i] = 0.0
            fill(0.0, part(R, j * n, n))
            rotate(row, q[j], R, q, n, j + 1)
            R[j * n + j] = 1.0
            q[j] = 0.0


def back_substitute(S, n, z, p):
    """p = -S^-1 z; 0 from the first row on that has no diagonal. Whether all have one."""
    full = True
    for i in range(n - 1, -1, -1):
        if S[i * n + i] == 0.0:
            full = False
            p[i] = 0.0
            continue
        total = -z[i]
        for j in range(i + 1, n):
            total -= S[i * n + j] * p[j]
        p[i] = total / S[i * n + i]
    return full


def scaled_norm(scales, p):
    total = 0.0
    for i in range(p.size):
        total += (scales[i] * p[i]) ** 2
    return math.sqrt(total)


def newton_correction(S, n, scales, p, length, w):
    """|S'^-1 D^2 p / |D p||^2, which is how fast the length falls with the damping."""
    for i in range(n):
        total = scales[i] * (scales[i] * p[i] / length)
        for j in range(i):
            total -= S[j * n + i] * w[j]
        w[i] = total / S[i * n + i] if S[i * n + i] != 0.0 else 0.0
    return dot(w, w)


def choose_step(R, q, n, scales, g, held, radius, damping, S, z, p, w):
    """The damping for which |D p| is the radius within a tenth; 0 where the full step is short enough."""
    full = back_substitute(R, n, q, p)
    length = scaled_norm(scales, p)
    excess = length - radius
    if full and excess <= 0.1 * radius:
        return 0.0
    low = 0.0
    if full and excess > 0.0:
        slope = newton_correction(R, n, scales, p, length, w)
        low = excess / radius / slope if slope > 0.0 else 0.0
    high = 0.0
    for i in range(n):
        high = math.hypot(high, g[i] * held[i] / scales[i])
    high = high / radius
    if high == 0.0:
        high = 1e-300 / min(radius, 0.1)
    damping = min(max(damping, low), high)
    if damping == 0.0:
        damping = 0.001 * high
    for _ in range(10):
        damped(R, q, n, scales, damping, S, z, w)
        back_substitute(S, n, z, p)
        length = scaled_norm(scales, p)
        before, excess = excess, length - radius
        if abs(excess) <= 0.1 * radius or (low == 0.0 and excess <= before and before < 0.0):
            break
        slope = newton_correction(S, n, scales, p, length, w)
        if excess > 0.0:
            low = max(low, damping)
        elif excess < 0.0:
            high = min(high, damping)
        if not slope > 0.0:
            break
        damping = max(low, damping + excess / radius / slope)
    return damping


def first_scales(norms, x, scales, eps):
    """The norms of the columns; what the others suggest, in units of its parameter, for one that is lost beside them.

    MINPACK takes 1 for a column of zeros, and one of 1e-35 as it is: its parameter then goes 1e35 far.
    """
    change, biggest = 0.0, 0.0
    for j in range(x.size):
        change = max(change, norms[j] * abs(x[j]))
        biggest = max(biggest, norms[j])
    for j in range(x.size):
        scale = norms[j]
        if scale == 0.0 or scale * abs(x[j]) < eps * change:
            scale = change / abs(x[j]) if change > 0.0 and x[j] != 0.0 else biggest
        scales[j] = scale if 0.0 < scale < math.inf else 1.0


def linearize(fun, x, g, bounds, r, J, R, q, norms, held, spare, w, head):
    """Jacobian, gradient and triangular factor at x, without the columns that a bound holds."""
    n, m = x.size, r.size
    if head[GRADIENTS] > 0 and head[EVALUATIONS] + head[SECOND_COST] > head[MAX_EVALUATIONS]:
        head[STATUS], head[NORM] = EVALUATION_LIMIT, math.nan
        return
    head[EVALUATIONS] += head[SECOND_COST]
    jacobian(fun, x, r, J)
    head[GRADIENTS] += 1
    transposed_times(J, m, n, r, g)
    fill(1.0, held)
    if head[BOUNDED]:
        hold(x, g, bounds, held)
        for j in range(n):
            if held[j] == 0.0:
                for i in range(m):
                    J[i * n + j] = 0.0
    factorize(J, m, n, r, R, q, norms, spare)
    if head[BOUNDED]:
        fold(R, q, n, held, w)
    size = norm(r)
    biggest = 0.0
    for j in range(n):
        biggest = max(biggest, abs(g[j] * held[j]))
        if not (math.isfinite(norms[j]) and math.isfinite(g[j])):
            biggest = math.nan
    head[NORM] = biggest
    cosine = 0.0
    for j in range(n):
        if held[j] != 0.0 and norms[j] > 0.0 and size > 0.0:
            cosine = max(cosine, abs(g[j]) / norms[j] / size)
    head[EXPECTED] = 0.5 * (cosine * size) ** 2  # of the best step along one parameter
    if not math.isfinite(biggest):
        head[STATUS] = NOT_FINITE
    elif cosine <= head[GTOL]:
        head[STATUS] = GRADIENT


def keep(x, g, f, head, work):
    n = x.size
    head[F], head[BEST] = f, f
    copy(x, part(work, 0, n))


def levenberg_marquardt(fun, x, g, bounds, head, work):
    """Iterations until head[STATUS] tells why it is over, at most head[STRETCH]."""
    n, m = x.size, int(head[ROWS])
    x0, p, q, scales = part(work, 2 * n, n), part(work, 3 * n, n), part(work, 4 * n, n), part(work, 5 * n, n)
    norms, held, z, w = part(work, 6 * n, n), part(work, 7 * n, n), part(work, 8 * n, n), part(work, 9 * n, n)
    at = 11 * n
    R, S = part(work, at, n * n), part(work, at + n * n, n * n)
    at += 2 * n * n
    r, trial, J = part(work, at, m), part(work, at + m, m), part(work, at + 2 * m, m * n)
    if head[STATUS] == NEW:
        if head[BOUNDED]:
            copy_clipped(x, bounds, x)
        residuals(fun, x, r)
        head[EVALUATIONS] = 1
        keep(x, g, half_square(r), head, work)
        head[SCALE] = head[F]
        head[STATUS] = RUNNING if math.isfinite(head[F]) and math.isfinite(largest(x)) else NOT_FINITE
        if head[STATUS] == RUNNING:
            linearize(fun, x, g, bounds, r, J, R, q, norms, held, trial, w, head)
            first_scales(norms, x, scales, head[EPS])
            length = scaled_norm(scales, x)
            head[RADIUS] = FACTOR * length if length > 0.0 else FACTOR
        copy(g, part(work, n, n))
    for _ in range(int(head[STRETCH])):
        if head[STATUS] == RUNNING:
            limits(head)
        if head[STATUS] != RUNNING:
            break
        copy(x, x0)
        for j in range(n):
            scales[j] = max(scales[j], norms[j])
        moved = False
        for _ in range(MOST_REJECTIONS):
            moved = try_step(fun, x, x0, g, bounds, R, q, scales, S, z, p, w, held, r, trial, head)
            if moved or head[STATUS] != RUNNING:
                break
        if moved:
            head[ITERATIONS] += 1
            keep(x, g, head[F], head, work)
            linearize(fun, x, g, bounds, r, J, R, q, norms, held, trial, w, head)
            copy(g, part(work, n, n))
        elif head[STATUS] == RUNNING:
            head[STATUS] = PRECISION
        # All that the linear model promises, in a ball of any radius and whatever the Jacobian's sign; or one parameter
        # by itself, since of a Jacobian that is singular where r is not 0 it promises what no step brings.
        promise = min(0.5 * dot(q, q), head[EXPECTED])
        if head[STATUS] == PRECISION and promise <= ROUNDING * head[EPS] * head[F]:
            head[STATUS] = FUNCTION
    return head[F]


def limits(head):
    if head[F] <= head[TARGET]:
        head[STATUS] = REACHED
    elif head[ITERATIONS] >= head[MAX_ITERATIONS]:
        head[STATUS] = ITERATION_LIMIT
    elif head[EVALUATIONS] >= head[MAX_EVALUATIONS]:
        head[STATUS] = EVALUATION_LIMIT


def try_step(fun, x, x0, g, bounds, R, q, scales, S, z, p, w, held, r, trial, head):
    """One trial: x and r move if the sum of squares falls. Sets the radius and, where it ends, the status."""
    n, f0 = x.size, head[F]
    damping = 0.0
    for _ in range(n + 1):
        damping = choose_step(R, q, n, scales, g, held, head[RADIUS], head[DAMPING], S, z, p, w)
        if not (head[BOUNDED] and hold_more(x0, p, bounds, held, R, q, S, z, w)):
            break
    for j in range(n):
        p[j] *= held[j]
    move(x0, 1.0, p, x)
    if head[BOUNDED]:
        copy_clipped(x, bounds, x)
        subtract(x, x0, p)
    length = scaled_norm(scales, p)
    linear = half_change(R, n, p)
    predicted = -dot(g, p) - linear if head[BOUNDED] else linear + damping * length * length
    if head[ITERATIONS] == 0:
        head[RADIUS] = min(head[RADIUS], length)
    residuals(fun, x, trial)
    head[EVALUATIONS] += 1
    f = half_square(trial)
    actual = f0 - f if math.isfinite(f) else -math.inf
    ratio = actual / predicted if predicted > 0.0 else 0.0
    if not ratio > 0.25:
        shrink = 0.5 if actual >= 0.0 else 0.1
        if math.isfinite(f) and actual < 0.0:
            slope = dot(g, p)
            shrink = 0.5 * slope / (slope + actual) if slope + actual < 0.0 else 0.1
            shrink = max(0.1, min(0.5, shrink))
        head[RADIUS] = shrink * min(head[RADIUS], 10.0 * length)
        head[DAMPING] = damping / shrink
    elif damping == 0.0 or ratio >= 0.75:
        head[RADIUS] = 2.0 * length
        head[DAMPING] = 0.5 * damping
    else:
        head[DAMPING] = damping
    moved = ratio >= 1e-4 and actual > 0.0
    if moved:
        head[F] = f
        copy(trial, r)
    else:
        copy(x0, x)
    judge(actual, predicted, ratio, f0, scaled_norm(scales, x), head)
    return moved


def hold_more(x, p, bounds, held, R, q, S, z, w):
    """Hold the entries at a bound that the step leads out of: without their columns in R. Whether there are any."""
    n, found = x.size, False
    for j in range(n):
        out = (p[j] < 0.0 and x[j] <= bounds[0, j]) or (p[j] > 0.0 and x[j] >= bounds[1, j])
        if held[j] != 0.0 and out:
            held[j], found = 0.0, True
    if found:
        copy(R, S)
        for j in range(n):
            if held[j] == 0.0:
                for i in range(n):
                    S[i * n + j] = 0.0
        factorize(S, n, n, q, R, q, z, w)
        fold(R, q, n, held, w)
    return found


def half_change(R, n, p):
    """|R p|^2 / 2."""
    total = 0.0
    for i in range(n):
        row = dot(part(R, i * n + i, n - i), part(p, i, n - i))
        total += row * row
    return 0.5 * total


def judge(actual, predicted, ratio, f0, length, head):
    """MINPACK's tests on the change of the function and the length of the step."""
    small = abs(actual) <= head[FTOL] * f0 and 0.0 <= predicted <= head[FTOL] * f0 and ratio <= 2.0
    if small and head[FTOL] > 0:
        head[STATUS] = FUNCTION
    elif head[RADIUS] <= head[XTOL] * length:
        # After steps that promised more than rounding and brought nothing the Jacobian is wrong, or f has a kink.
        kept = ratio >= 1e-4 or predicted <= head[EPS] * head[SCALE]
        head[STATUS] = STEP_SMALL if kept else PRECISION
    elif (
        abs(actual) <= head[EPS] * f0
        and 0.0 <= predicted <= head[EPS] * f0
        or head[RADIUS] <= head[EPS] * length
    ):
        head[STATUS] = PRECISION
    elif head[EVALUATIONS] >= head[MAX_EVALUATIONS]:
        head[STATUS] = EVALUATION_LIMIT
