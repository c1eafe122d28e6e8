"""A step along a line that fulfils the strong Wolfe conditions, or Hager and Zhang's approximate ones.

Moré & Thuente 1994 (their safeguarded interpolation and auxiliary function). A trial at which the
function is NaN or inf counts as too long. Near a minimum, where differences of the function are
rounding, slopes alone decide (Hager & Zhang 2005, equation 4.1).
"""

import math

from fastopt.algorithms.calls import evaluate
from fastopt.algorithms.state import EPS, EVALUATIONS, FORWARD, MAX_EVALUATIONS, note
from fastopt.algorithms.vectors import dot, move, norm

ARMIJO = 1e-4
MOST_TRIALS = 40
MOST_FORWARD = 6  # with gradients by one-sided differences, which central ones replace where they do not belong to f any more
FIRST = 1.5  # length of the very first trial; with 1 more evaluations over Moré and Wild's problems, with 3 other minima
LONGEST = 1e20  # times the first trial: a function that still falls there has no lower bound
SHORTEST_SHARE, LONGEST_SHARE = 1e-2, 10.0  # of the lengths that a problem shows at its start


def in_units(length, x, f, slope):
    """A first length for x of any unit: kept between what |x| and |f| / |g| = |f| / slope suggest, where these are not 0."""
    size, fall = norm(x), abs(f) / slope if slope > 0.0 else 0.0
    least = SHORTEST_SHARE * min(size, fall) if size > 0.0 else 1e-6 * fall  # the value may hold a constant
    length = max(length, least)
    most = LONGEST_SHARE * max(size, fall)
    return min(length, most) if most > 0.0 else length


def cubic(a, fa, ga, b, fb, gb):
    """The minimum of the cubic through values and slopes at a and b."""
    theta = 3.0 * (fa - fb) / (b - a) + ga + gb
    s = max(abs(theta), abs(ga), abs(gb))
    if s == 0.0:
        s = 1.0
    gamma = s * math.sqrt(max(0.0, (theta / s) * (theta / s) - (ga / s) * (gb / s)))
    if b < a:
        gamma = -gamma
    p, q = (gamma - ga) + theta, ((gamma - ga) + gamma) + gb
    return a + (p / q) * (b - a) if q != 0.0 else 0.5 * (a + b)


def interpolate(best, fb, gb, other, fo, go, t, f, g, bracketed, low, high):
    """The next trial and interval from one trial: MINPACK-2's dcstep.

    best, other: ends of the interval with values and slopes. Returns the new ones, whether the
    interval holds a minimum, and the next trial.
    """
    opposite = g * (gb / abs(gb)) < 0.0 if gb != 0.0 else False
    far = high if t > best else low
    if f > fb:  # a higher value: a minimum is between
        step = cubic(best, fb, gb, t, f, g)
        curve = (fb - f) / (t - best) + gb
        quadratic = best + (gb / curve / 2.0) * (t - best) if curve != 0.0 else step
        if not abs(step - best) < abs(quadratic - best):
            step = step + (quadratic - step) / 2.0
        bracketed = True
    elif opposite:  # a lower value and a slope of the other sign
        step, secant = cubic(t, f, g, best, fb, gb), t + (g / (g - gb)) * (best - t)
        if not abs(step - t) > abs(secant - t):
            step = secant
        bracketed = True
    elif abs(g) < abs(gb):  # a flatter slope of the same sign
        step, secant = cubic(t, f, g, best, fb, gb), t + (g / (g - gb)) * (best - t)
        if not (step - t) * (t - best) > 0.0:  # the cubic has no minimum beyond t
            step = far
        if (
            abs(step - t) < abs(secant - t)
        ) != bracketed:  # the nearer one inside an interval, else the farther one
            step = secant
        if bracketed:
            edge = t + 0.66 * (other - t)
            step = min(edge, step) if t > best else max(edge, step)
        else:
            step = max(low, min(high, step))
    else:  # a lower value, a slope no flatter
        step = cubic(t, f, g, other, fo, go) if bracketed else far
    if f > fb:
        other, fo, go = t, f, g
    else:
        if opposite:
            other, fo, go = best, fb, gb
        best, fb, gb = t, f, g
    return best, fb, gb, other, fo, go, bracketed, step


def line_search(fun, x, g, x0, d, slope0, t, t_max, f0, curvature, head, work):
    """(t, f) with x = x0 + t*d and g its gradient; t = 0 where no step lowers the function.

    slope0 = d'g at x0, negative; t: the first trial; curvature: the slope may keep this share of slope0.
    """
    noise = head[EPS] * abs(f0)
    best, fb, gb = 0.0, f0, slope0
    other, fo, go = 0.0, f0, slope0
    bracketed, first_stage = False, True
    low, high = 0.0, min(5.0 * t, t_max)
    width, width_before = t_max, 2.0 * t_max
    wall = math.inf  # the function is not finite there
    t = min(t, t_max)
    f = f0
    for _ in range(MOST_FORWARD if head[FORWARD] > 0 else MOST_TRIALS):
        if head[EVALUATIONS] >= head[MAX_EVALUATIONS]:
            break
        move(x0, t, d, x)
        f = evaluate(fun, x, g)
        head[EVALUATIONS] += 1
        slope = dot(d, g)
        if not (math.isfinite(slope) and math.isfinite(f)):
            if f == -math.inf:
                return t, f
            wall = t
            t_max = min(t_max, t)
            t = best + 0.1 * (t - best) if best == 0.0 else best + 0.5 * (t - best)
            if not t > best or wall <= 1e-300:
                break
            low, high = best, t_max
            continue
        note(f, x, g, head, work)
        bound = f0 + t * ARMIJO * slope0
        if f <= bound and abs(slope) <= -curvature * slope0:
            return t, f
        if f <= f0 + noise and curvature * slope0 <= slope <= (2.0 * ARMIJO - 1.0) * slope0:
            return t, f
        if t >= t_max and wall == math.inf and f <= bound and slope <= ARMIJO * slope0:
            return t, f
        if first_stage and f <= bound and slope >= 0.0:
            first_stage = False
        if t == best or (bracketed and (t <= low or t >= high)):
            break
        # one call: compiled, it is inlined wherever it is called
        c = ARMIJO * slope0 if first_stage and f <= fb and f > bound else 0.0
        best, fb, gb, other, fo, go, bracketed, step = interpolate(
            best, fb - best * c, gb - c, other, fo - other * c, go - c, t, f - t * c, slope - c,
            bracketed, low, high,
        )  # fmt: skip
        fb, gb, fo, go = fb + best * c, gb + c, fo + other * c, go + c
        t = step
        if bracketed:
            if abs(other - best) >= 0.66 * width_before:
                t = best + 0.5 * (other - best)
            width_before, width = width, abs(other - best)
            low, high = min(best, other), max(best, other)
            if width <= 1e-15 * high:
                break
        else:
            low, high = t + 1.1 * (t - best), t + 4.0 * (t - best)
        if wall <= t < math.inf:
            t = best + 0.5 * (wall - best)
        t = max(0.0, min(t, t_max))
        if not math.isfinite(t):
            break
    if (
        best > 0.0 and fb < f0 and head[EVALUATIONS] < head[MAX_EVALUATIONS]
    ):  # the best of the trials lowers the function
        move(x0, best, d, x)
        f = evaluate(fun, x, g)
        head[EVALUATIONS] += 1
        return best, f
    return 0.0, f0
