"""What a run of a solver remembers between two stretches of iterations: numbers in `head`, arrays in `work`.

Everything in this package that is called by a solver is written so that Numba compiles it as it stands
(kernels/minimization/): scalars, arrays, plain loops. `head` is float64; `x`, `g` and `work` have the
dtype of the problem. `work` begins with the best point seen and the gradient there.
"""

import numpy as np

from fastopt.algorithms.calls import evaluate
from fastopt.algorithms.vectors import copy, copy_clipped, largest, part, projected_norm

# Fields of head. The limits are set by the caller, the others by the solver.
(
    STATUS, ITERATIONS, EVALUATIONS, GRADIENTS, HESSIANS, F, BEST, NORM,
    GTOL, FTOL, XTOL, TARGET, MAX_ITERATIONS, MAX_EVALUATIONS, STRETCH, BOUNDED,
    MEMORY, PAIRS, NEWEST, SCALE, RADIUS, RESTARTS, ROWS, EPS,
    STEP, STALLED, F_BEFORE, DAMPING, SECOND_COST, SIMPLEX_BEFORE, ENOUGH, EXPECTED,
    FORWARD, ROW, STEEPEST,
) = range(35)  # fmt: skip
HEAD = 35

AGAIN, NEW, RUNNING = -3, -2, -1  # AGAIN: from here with what is known, but another gradient
GRADIENT, FUNCTION, STEP_SMALL, REACHED, SIMPLEX = range(5)  # success
(
    ITERATION_LIMIT, EVALUATION_LIMIT, TIME_LIMIT, PRECISION, NOT_FINITE,
    UNBOUNDED, STOPPED, INTERRUPTED, RAISED,
    DIVERGED,
) = range(5, 15)  # fmt: skip

MESSAGES = {
    GRADIENT: "the gradient is below gtol",
    FUNCTION: "a step lowers the function by no more than ftol or rounding allows",
    STEP_SMALL: "the last step was shorter than xtol allows",
    REACHED: "the target was reached",
    SIMPLEX: "the simplex is smaller than xtol and ftol",
    ITERATION_LIMIT: "the limit of iterations was reached",
    EVALUATION_LIMIT: "the limit of evaluations was reached",
    TIME_LIMIT: "the limit of seconds was reached",
    PRECISION: "no step lowers the function any more, and the gradient is not below gtol: rounding, a kink, "
    "or a gradient that does not belong to the function",
    NOT_FINITE: "this point, or the function or its derivative there, is NaN or inf",
    UNBOUNDED: "the function seems to have no lower bound",
    STOPPED: "the callback ended the run",
    INTERRUPTED: "interrupted; this is the best point so far",
    RAISED: "the function raised an exception",
    DIVERGED: "the steps led to NaN or inf: this is the best point before; a smaller lr helps",
    RUNNING: "the run is not over",
}

LOWEST = -1e100  # a function below this has no lower bound
ROUNDING = 10.0  # units in the last place of the function's value that are its rounding
KINK = 1e-3  # a gradient with this share of the steepest has not vanished: at a kink a model promises nothing either
PATIENCE = 20  # iterations without a new best value: its changes are rounding


def succeeded(status):
    """Of a number or an array."""
    return (status >= GRADIENT) & (status <= SIMPLEX)


def best_point(work, n):
    return part(work, 0, n), part(work, n, n)


def begin(fun, x, g, bounds, head, work):
    """Evaluate the start, moved inside the bounds.

    ENOUGH, where it is not 0: a gradient is small against the start's, so that a function in other units ends at
    the same point; where rounding ends the run before, one below ENOUGH will do, and so will a model that EXPECTS
    no more of the best step than rounding, if the gradient has vanished beside the STEEPEST of the run.
    """
    n = x.size
    if head[BOUNDED]:
        copy_clipped(x, bounds, x)
    f = evaluate(fun, x, g)
    again = head[STATUS] == AGAIN
    head[EVALUATIONS] = head[EVALUATIONS] + 1 if again else 1
    head[F], head[BEST], head[F_BEFORE] = f, f, np.inf
    copy(x, part(work, 0, n))
    copy(g, part(work, n, n))
    norm = projected_norm(x, g, bounds, head[BOUNDED])
    head[NORM] = norm
    head[STEEPEST] = max(head[STEEPEST], norm) if again else norm
    if head[ENOUGH] > 0 and not again:
        head[GTOL] = head[ENOUGH] * min(norm, 1.0)
    head[STATUS] = RUNNING
    head[STEP], head[EXPECTED] = np.inf, np.inf
    if not (np.isfinite(f) and np.isfinite(norm) and np.isfinite(largest(x))):
        head[STATUS] = NOT_FINITE


def note(f, x, g, head, work):
    """Keep the point if it is the best seen; a NaN is never better."""
    if f < head[BEST]:
        n = x.size
        head[BEST] = f
        head[STALLED] = -1
        copy(x, part(work, 0, n))
        copy(g, part(work, n, n))


def running(x, g, bounds, head, work):
    """Whether to go on from the accepted point x; sets the status."""
    norm = projected_norm(x, g, bounds, head[BOUNDED])
    head[NORM] = norm
    head[STEEPEST] = max(head[STEEPEST], norm)
    f = head[F]
    if norm <= head[GTOL]:
        head[STATUS] = GRADIENT
    elif -np.inf < f <= head[TARGET]:
        head[STATUS] = REACHED
    elif f < LOWEST:
        head[STATUS] = UNBOUNDED
    elif head[ITERATIONS] > 0 and head[STEP] <= head[XTOL] and head[XTOL] > 0:
        head[STATUS] = STEP_SMALL
    elif head[FTOL] > 0 and abs(head[F_BEFORE] - f) <= head[FTOL] * max(abs(f), abs(head[F_BEFORE]), 1.0):
        head[STATUS] = FUNCTION
    elif head[STALLED] >= PATIENCE:
        head[STATUS] = PRECISION
    elif head[ITERATIONS] >= head[MAX_ITERATIONS]:
        head[STATUS] = ITERATION_LIMIT
    elif head[EVALUATIONS] >= head[MAX_EVALUATIONS]:
        head[STATUS] = EVALUATION_LIMIT
    return head[STATUS] == RUNNING


def accept(f, head):
    """Go on from a point with this value."""
    head[F_BEFORE], head[F] = head[F], f
    head[STALLED] += 1
    head[ITERATIONS] += 1


def stuck(head):
    """No step lowers the function: or there was no evaluation left to find one."""
    spent = head[EVALUATIONS] >= head[MAX_EVALUATIONS]
    head[STATUS] = EVALUATION_LIMIT if spent else PRECISION


def doubtful(head):
    """Whether gradients are differences, to one side (FORWARD 1) or central (-1), and a step promises no more than their errors."""
    units = 100.0 if head[FORWARD] > 0 else 1.0
    return head[FORWARD] != 0 and head[EXPECTED] <= units * head[EPS] * abs(head[F])


def affords(head, evaluations):
    """Whether so many more evaluations, and one at the step they lead to, are within the limit; sets the status."""
    if head[EVALUATIONS] + evaluations >= head[MAX_EVALUATIONS]:
        head[STATUS] = EVALUATION_LIMIT
        return False
    return True


def to_best(x, g, bounds, head, work):
    """Go back to the best point seen."""
    n = x.size
    copy(part(work, 0, n), x)
    copy(part(work, n, n), g)
    head[F] = head[BEST]
    head[NORM] = projected_norm(x, g, bounds, head[BOUNDED])


def go_on(head):
    """Whether the run goes on from here, with nothing known of the curvature: twice at most."""
    if head[RESTARTS] >= 2:
        return False
    head[RESTARTS] += 1
    head[PAIRS] = 0
    head[STATUS] = RUNNING
    head[F_BEFORE] = np.inf
    head[STALLED] = 0
    return True


def forget(x, g, bounds, head, work):
    """Where PATIENCE iterations brought no lower value: try the gradient itself from the best point, if it is not small.

    What is known of the curvature may make steps so short in one direction that all is rounding: exp(10 x) seen at
    x = 8 says 1e-70 of a direction that only x's neighbours were moved in.
    """
    if head[STATUS] == PRECISION and head[PAIRS] > 0:
        to_best(x, g, bounds, head, work)
        if head[NORM] > max(head[GTOL], head[ENOUGH]):
            go_on(head)


def rounded(x, g, head):
    """Whether the best step's promise is lost in the rounding of f and of x, and the gradient shows no kink."""
    change = 0.0  # what one unit in the last place of every x_i changes, where f itself may be 0
    for i in range(x.size):
        change += abs(x[i] * g[i])
    promises = head[EXPECTED] > ROUNDING * head[EPS] * (abs(head[F]) + change)
    return head[EXPECTED] > 0.0 and not promises and head[NORM] <= KINK * head[STEEPEST]


def finish(x, g, bounds, head, work):
    """Put the best point into x and g. Whether the run is over: not if its gradient contradicts the status.

    The point that passed the gradient's test may lie higher than another one, by rounding. Then that
    one is returned if it passes too; if not, the run goes on from there, twice at most.
    """
    if head[STATUS] == RUNNING:
        return False
    if head[BEST] < head[F] or head[STATUS] == EVALUATION_LIMIT or head[STATUS] == PRECISION:
        to_best(x, g, bounds, head, work)
        if head[NORM] <= head[GTOL]:
            head[STATUS] = GRADIENT
        elif head[STATUS] == GRADIENT:
            if go_on(head):
                return False
            head[STATUS] = PRECISION
    if head[STATUS] == PRECISION and head[ENOUGH] > 0:
        if head[NORM] <= head[ENOUGH]:
            head[STATUS] = GRADIENT
        elif rounded(x, g, head):
            head[STATUS] = FUNCTION
    return True
