"""A rule inside a loop that Numba compiles: a thousand small problems, each with its own Adam, no Python between."""

import numba
import numpy as np

import fastopt as fo

coefficients = numba.njit(fo.Adam.coefficients)
update = numba.njit(fo.Adam.update)


@numba.njit
def solve_all(targets, rule, steps):
    """Minimize |p - target|^2 for every row of targets; where each ended."""
    found = np.zeros_like(targets)
    for i in range(len(targets)):
        m, v = np.zeros(targets.shape[1]), np.zeros(targets.shape[1])
        for t in range(1, steps + 1):
            k = coefficients(rule, float(t))
            for j in range(targets.shape[1]):
                gradient = 2 * (found[i, j] - targets[i, j])
                found[i, j], (m[j], v[j]) = update(rule, k, found[i, j], gradient, (m[j], v[j]))
    return found


targets = np.random.default_rng(0).normal(size=(1000, 3))
found = solve_all(targets, fo.Adam(lr=0.05), 500)
print("largest distance:", np.abs(found - targets).max())
assert np.abs(found - targets).max() < 1e-3

p = np.zeros(3)  # the same steps as the optimizer takes
optimizer = fo.Optimizer(p, fo.Adam(lr=0.05))
for _ in range(500):
    optimizer.step(2 * (p - targets[0]))
assert np.allclose(p, found[0], rtol=1e-12)
