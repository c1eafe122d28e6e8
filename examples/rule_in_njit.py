"""Rules inside a loop that Numba compiles: a thousand small problems, each with its own Adam, no Python between."""

import numba
import numpy as np

import fastopt as fo

RULE = fo.Adam(lr=0.05)


@numba.njit(parallel=True)
def solve_all(targets, steps):
    """Minimize |p - target|^2 for every row of targets; where each ended."""
    found, gradients = np.zeros_like(targets), np.empty_like(targets)
    for i in numba.prange(len(targets)):
        p, g = found[i], gradients[i]
        state = fo.jit.state(RULE, p)
        for t in range(1, steps + 1):
            g[:] = 2 * (p - targets[i])
            fo.jit.step(RULE, p, g, state, t)
    return found


targets = np.random.default_rng(0).normal(size=(1000, 3))
found = solve_all(targets, 500)
print("largest distance:", np.abs(found - targets).max())
assert np.abs(found - targets).max() < 1e-3

p = np.zeros(3)  # the same steps as the optimizer takes, with the same bits
optimizer = fo.Optimizer(p, RULE)
for _ in range(500):
    optimizer.step(2 * (p - targets[0]))
assert (p == found[0]).all()
