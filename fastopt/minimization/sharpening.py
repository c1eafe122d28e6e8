"""Gradients of differences: to one side while these will do, central ones from where they lead.

n + 1 evaluations a gradient instead of 2n + 1. Where the run would end with gradients of the first kind, or no step
lowers the function, it goes on from there with what it knows of the curvature; so its end is tested with a central one.
"""

import math

from fastopt.algorithms.state import (
    AGAIN,
    EVALUATIONS,
    FORWARD,
    FUNCTION,
    GRADIENT,
    MAX_EVALUATIONS,
    PRECISION,
    RESTARTS,
    STALLED,
    STATUS,
    STEP_SMALL,
)

_ENDS = (GRADIENT, FUNCTION, STEP_SMALL, PRECISION)


class Sharpening:
    """sizes: (n,) of the entries as differences take them, below 0 for one side. maxfev: of fun."""

    def __init__(self, sizes, head, maxfev):
        self.sizes, self.maxfev, self.calls, self.before = sizes, maxfev, 0, 0
        self.cost = sizes.size + 1
        sizes *= -1
        head[FORWARD] = 1.0
        head[MAX_EVALUATIONS] = self.allowed()

    def allowed(self):
        if self.maxfev == math.inf:
            return math.inf
        return self.before + max(1.0, (self.maxfev - self.calls) // self.cost)

    def calls_of(self, head):
        """Calls of fun so far."""
        return self.calls + (int(head[EVALUATIONS]) - self.before) * self.cost

    def __call__(self, head):
        if not head[FORWARD] > 0 or head[STATUS] not in _ENDS:
            return False
        self.calls, self.before = self.calls_of(head), int(head[EVALUATIONS])
        self.cost = 2 * self.sizes.size + 1
        if self.calls + self.cost > self.maxfev:
            return False
        self.sizes *= -1
        head[FORWARD], head[STALLED], head[RESTARTS] = -1.0, 0.0, 0.0
        head[STATUS], head[MAX_EVALUATIONS] = AGAIN, self.allowed()
        return True
