"""Newton's method: the Hessian and its Cholesky factor where the model is small, else conjugate gradients."""

import functools

import numpy as np

from fastopt.solvers.dots import dot
from fastopt.solvers.factors import solved
from fastopt.solvers.precondition import precondition
from fastopt.solvers.searches import Patience, falls, search

# Steps that did not halve the gradient, after which the Hessian's sums, of float32 and equal numbers, are not trusted
# (a9a, squared hinge: their error is that of the smallest eigenvalues); then its factor is a preconditioner.
SLOW, REFINED = 5, 20
# Of the slope along a step, how much its end may have left without a search along it, which reads no X: a logistic loss bends less and
# less on the way (cancer, l2 = 1e-3: 6 steps instead of 9). With more than BENT left the step is of a Hessian that knows nothing (Huber's tails).
LEFT, BENT = 0.1, 0.9
FACTORED = 2500  # entries of (W, b) up to which the Hessian is formed: 50 MB


def newton(problem, x, state):
    """Iterates (x, f, g), from x or a State on: quadratic convergence near the optimum.

    Where the Hessian is singular (b of a softmax, separable data) a little of the unit matrix is added. A step of 1 is tried first, as in lbfgs, and kept where it is about the best along its
    direction. Source: Nocedal & Wright 2006, algorithms 3.2 and 7.1.
    """
    kept, trial = problem.slot(), problem.slot()
    inverse = precondition(problem, x) if problem.size > FACTORED else None
    if state.found:
        x, f, g, patience, kept = state.taken_up(problem)
        slow = int(state.found["slow"])
    else:
        f, g = problem.evaluate(x, kept)
        patience, slow = Patience(f, g, 3), 0
        state.at(x, f, g, patience, kept, slow=slow)
        yield x, f, g
    while True:
        if problem.size <= FACTORED:
            H = grounded(problem, problem.hessian(kept))
            if slow < SLOW:
                d = -solved(H, g, problem.rounding)
            else:
                d = _conjugate(
                    problem, kept, g, functools.partial(solved, H, least=problem.rounding), REFINED
                )
        else:
            d = _conjugate(problem, kept, g, inverse or (lambda v: v))
        slope = dot(d, g)
        if not slope < 0:
            return
        x_new = x + d
        f_new, g_new = problem.evaluate(x_new, trial)
        end = dot(d, g_new)
        lower = falls(f_new, end, f, slope, 1.0, problem.rounding)
        if lower and (abs(end) <= LEFT * -slope or end < BENT * slope):
            kept, trial = trial, kept
        else:
            problem.of_direction(x, d, kept, trial)
            t = _searched(problem, problem.along(x, d, kept, trial), f, slope, end, lower)
            if t is None:
                return
            problem.move(kept, trial, t)
            x_new = x + t * d
            f_new, g_new = problem.gradient_at(x_new, kept)
        if patience.is_over(f_new, g_new):
            return
        slow += np.abs(g_new).max() > 0.5 * np.abs(g).max()
        x, f, g = x_new, f_new, g_new
        state.at(x, f, g, patience, kept, slow=slow)
        yield x, f, g


def _searched(problem, phi, f, slope, end, lower):
    """How far to go along a step, whose slope at 1 is `end`; None where nothing is lower."""
    if not lower:
        found = search(phi, f, slope, 0.5, rounding=problem.rounding)
        return None if found is None else found[0]
    found = search(phi, f, slope, slope / (slope - end), rounding=problem.rounding, curvature=LEFT)
    return 1.0 if found is None else found[0]


def grounded(problem, H):
    """H, not singular where the loss does not change with a number added to every b (softmax): no step has one."""
    b = H[problem.count :, problem.count :]
    if len(b) > 1 and np.abs(b.sum(axis=1)).max() <= 1e-6 * np.trace(b):
        b += np.trace(b) / len(b) ** 2
    return H


def _conjugate(problem, kept, g, inverse, most=200):
    """An approximate -H^-1 g by preconditioned conjugate gradients: a residual of min(1/2, sqrt|g|)|g|."""
    size = dot(g, g) ** 0.5
    enough = min(0.5, size**0.5) * size
    d, r = np.zeros_like(g), -g
    z = inverse(r)
    p, product = z, dot(r, z)
    for _ in range(most):
        if dot(r, r) ** 0.5 <= enough:
            break
        Hp = problem.hessian_product(kept, p)
        bend = dot(p, Hp)
        if bend <= 1e-15 * dot(p, p):
            break
        a = product / bend
        d += a * p
        r -= a * Hp
        z = inverse(r)
        new = dot(r, z)
        p = z + new / product * p
        product = new
    return d if d.any() else -inverse(g)
