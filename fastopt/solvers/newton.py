"""Newton's method: the Hessian and its Cholesky factor where the model is small, else conjugate gradients."""

import numpy as np

from fastopt.solvers.factors import solved
from fastopt.solvers.searches import search

FACTORED = 2500  # entries of (W, b) up to which the Hessian is formed: 50 MB


def newton(problem, x):
    """Iterates (x, f, g), from x on: quadratic convergence near the optimum.

    Where the Hessian is singular (b of a softmax, separable data) a little of the unit matrix is added. A step of 1 is tried first, as in lbfgs. Source: Nocedal & Wright 2006, algorithms 3.2 and 7.1.
    """
    kept, trial = problem.slot(), problem.slot()
    f, g = problem.evaluate(x, kept)
    yield x, f, g
    while True:
        d = (
            -solved(_grounded(problem, problem.hessian(kept)), g)
            if problem.size <= FACTORED
            else _conjugate(problem, kept, g)
        )
        slope = float(d @ g)
        if not slope < 0:
            return
        x_new = x + d
        f_new, g_new = problem.evaluate(x_new, trial)
        if f_new <= f + 1e-4 * slope:
            kept, trial = trial, kept
        else:
            trial -= kept
            found = search(problem.along(x, d, kept, trial), f, slope, 0.5)
            if found is None:
                return
            trial *= trial.dtype.type(found[0])
            kept += trial
            x_new = x + found[0] * d
            f_new, g_new = problem.gradient_at(x_new, kept)
        if not f_new < f and float(np.abs(g_new).max()) >= float(np.abs(g).max()):
            return
        x, f, g = x_new, f_new, g_new
        yield x, f, g


def _grounded(problem, H):
    """H, not singular where the loss does not change with a number added to every b (softmax): no step has one."""
    b = H[problem.count :, problem.count :]
    if len(b) > 1 and np.abs(b.sum(axis=1)).max() <= 1e-6 * np.trace(b):
        b += np.trace(b) / len(b) ** 2
    return H


def _conjugate(problem, kept, g, most=200):
    """An approximate -H^-1 g: a residual of min(1/2, sqrt|g|)|g|."""
    size = float(np.sqrt(g @ g))
    enough = min(0.5, size**0.5) * size
    d, r = np.zeros_like(g), -g
    p, square = r.copy(), float(g @ g)
    for _ in range(most):
        if square**0.5 <= enough:
            break
        Hp = problem.hessian_product(kept, p)
        bend = float(p @ Hp)
        if bend <= 1e-15 * float(p @ p):
            break
        a = square / bend
        d += a * p
        r -= a * Hp
        new = float(r @ r)
        p = r + new / square * p
        square = new
    return d if d.any() else -g
