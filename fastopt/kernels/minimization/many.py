"""Very many problems by any solver, one after the other without Python between; threads take ranges of them."""

import numpy as np
from numba.core import types
from numba.extending import NativeValue, models, overload, register_model, unbox

from fastopt.algorithms import state
from fastopt.kernels.language.compile import entry, kernel
from fastopt.kernels.minimization.arguments import DATA_ROW
from fastopt.kernels.minimization.solvers import ADDRESSES, solver_kernel
from fastopt.kernels.minimization.spans import bounds_of, span_of


class Solver(types.Type):
    """Which solver, and the dtype; nothing at run time."""

    def __init__(self, method, dtype):
        self.method, self.element = method, getattr(types, dtype)
        super().__init__(name=f"Solver({method}, {dtype})")


register_model(Solver)(models.OpaqueModel)


@unbox(Solver)
def _unbox(typ, obj, c):
    return NativeValue(c.context.get_dummy_value())


def solve(h, fun, x, g, bounds, head, work):
    raise NotImplementedError


@overload(solve)
def _solve(h, fun, x, g, bounds, head, work):
    solver = solver_kernel(h.method)

    def call(h, fun, x, g, bounds, head, work):
        solver(fun, span_of(x), span_of(g), bounds_of(bounds), span_of(head), span_of(work))

    return call


@kernel(counted=False)
def minimize_range(
    h, fun, data, begin, end, X, g, bounds, near, template, head, work, F, codes, counts, norms
):
    """Minimize problems begin to end: rows of X hold the starts and then the results.

    bounds (2, n), or (problems, 2, n) where each has its own, or (2, 0); near: (3, n), see user.nearby.
    counts: iterations, evaluations, gradients, Hessians. data[DATA_ROW] tells which one runs. Returns the problem
    that is under way after template[STRETCH] iterations in all, with its state in head, or `end`.
    """
    n, left = X.shape[1], template[state.STRETCH]
    for k in range(begin, end):
        data[DATA_ROW] = k
        limits = bounds[k if bounds.shape[0] > 1 else 0]
        if head[state.STATUS] != state.RUNNING:
            for i in range(template.size):
                head[i] = template[i]
            for i in range(n):
                size = abs(X[k, i])
                near[2, i] = size if 0.0 < size < np.inf else 1.0
                if bounds.shape[2]:
                    near[0, i], near[1, i] = limits[0, i], limits[1, i]
            head[state.STATUS] = state.NEW
        while head[state.STATUS] == state.NEW or head[state.STATUS] == state.RUNNING:
            if left <= 0 and head[state.STATUS] == state.RUNNING:
                return k
            before = head[state.ITERATIONS]
            head[state.STRETCH] = max(left, 1.0)
            solve(h, fun, X[k], g, limits, head, work)
            left -= max(head[state.ITERATIONS] - before, 1.0)
        F[k], codes[k], norms[k] = head[state.F], int(head[state.STATUS]), head[state.NORM]
        counts[k, 0], counts[k, 1] = int(head[state.ITERATIONS]), int(head[state.EVALUATIONS])
        counts[k, 2], counts[k, 3] = int(head[state.GRADIENTS]), int(head[state.HESSIANS])
        if left <= 0:
            return k + 1
    return end


def many_entry(method, dtype):
    """(minimize_range to be called directly, its h)."""
    element = getattr(types, dtype)
    a1, a2, a3 = (types.Array(element, d, "C") for d in (1, 2, 3))
    f1, i8 = types.Array(types.float64, 1, "C"), types.int64
    i1, i2 = types.Array(i8, 1, "C"), types.Array(i8, 2, "C")
    h = Solver(method, dtype)
    given = (h, ADDRESSES, i1, i8, i8, a2, a1, a3, a2, f1, f1, a1, f1, i1, i2, f1)
    return entry(minimize_range, *given), h
