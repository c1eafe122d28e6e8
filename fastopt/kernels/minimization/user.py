"""A user's compiled functions behind wrappers of one signature, so that solvers reach them by address.

`Problem` is a type that names the functions by a digest of their code: a wrapper is compiled once for
a function and kept on disk, and an edited function is another type. Derivatives that are not given are
differences (fastopt/algorithms/differences.py).
"""

import numpy as np
from numba.core import types
from numba.extending import NativeValue, models, overload, register_jitable, register_model, unbox

from fastopt.algorithms import differences
from fastopt.fingerprint import digest
from fastopt.kernels.language.compile import kernel
from fastopt.kernels.minimization.arguments import DATA_NEARBY, arguments, read_integer
from fastopt.kernels.minimization.calls import array_at, constant_at, matrix_at

_FUNCTIONS: dict = {}
for _function in (differences.step, differences.along, differences.ends, differences.beyond):
    register_jitable(_function)


class Problem(types.Type):
    """fun, jac, hess, hessp of a problem in `dtype` with arguments of the types `args`.

    jac: "given", "into" (it takes the array to fill), "both" (fun returns both), "none", "complex".
    rows: for each argument, whether each problem has a row of it. mutable: the functions get a copy of
    x that they may change; else an array that cannot be written.
    """

    def __init__(self, reference, dtype, args, rows, jac, mutable):
        self.reference, self.element, self.args, self.rows = reference, getattr(types, dtype), args, rows
        self.jac, self.mutable = jac, mutable
        super().__init__(name=f"Problem({reference}, {dtype}, {args}, {rows}, {jac}, {mutable})")

    def function(self, name):
        return _FUNCTIONS[self.reference].get(name)


register_model(Problem)(models.OpaqueModel)


@unbox(Problem)
def _unbox(typ, obj, c):
    return NativeValue(c.context.get_dummy_value())


def reference(functions):
    """Remember the functions (a dict of dispatchers) under a name that holds a digest of their code."""
    given = {name: f for name, f in functions.items() if f is not None}
    options = {f"{name}_options": repr(sorted(f.targetoptions.items())) for name, f in given.items()}
    first = next(iter(given.values())).py_func
    result = f"{first.__module__}.{first.__qualname__}#{digest(type('Functions', (), {**given, **options}))}"
    _FUNCTIONS.setdefault(result, given)
    return result


def point(h, x):
    raise NotImplementedError


@overload(point)
def _point(h, x):
    """x as the user's function gets it."""
    return (lambda h, x: x.copy()) if h.mutable else (lambda h, x: x)


def call_fun(h, x, a):
    raise NotImplementedError


@overload(call_fun)
def _call_fun(h, x, a):
    fun = h.function("fun")
    if h.jac == "both":
        return lambda h, x, a: np.float64(fun(point(h, x), *a)[0])
    return lambda h, x, a: np.float64(fun(point(h, x), *a))


def taker(name):
    """put(d, g): copy what the user's function `name` returned. A message put together at run time takes 1 s to compile."""
    message = f"{name} must return an array of the shape that belongs to x"

    def put(d, g):
        raise NotImplementedError

    @overload(put)
    def _put(d, g):
        if not isinstance(d, types.Array):
            return None
        if d.ndim != g.ndim:

            def copy(d, g):
                raise ValueError(message)

        elif g.ndim == 1:

            def copy(d, g):
                if d.size != g.size:
                    raise ValueError(message)
                for i in range(g.size):
                    g[i] = d[i]

        else:

            def copy(d, g):
                if d.shape[0] != g.shape[0] or d.shape[1] != g.shape[1]:
                    raise ValueError(message)
                for i in range(g.shape[0]):
                    for j in range(g.shape[1]):
                        g[i, j] = d[i, j]

        return copy

    return put


put_fun, put_jac, put_hess, put_hessp, put_residual = map(taker, ("fun", "jac", "hess", "hessp", "residual"))


@register_jitable
def copied(x):
    """x to be changed; an assignment to a slice takes 1 s to compile, for its message about shapes."""
    result = np.empty(x.size, x.dtype)
    for i in range(x.size):
        result[i] = x[i]
    return result


def call_evaluate(h, x, g, near, a):
    raise NotImplementedError


@overload(call_evaluate)
def _call_evaluate(h, x, g, near, a):
    fun, jac = h.function("fun"), h.function("jac")
    if h.jac == "both":

        def evaluate(h, x, g, near, a):
            f, d = fun(point(h, x), *a)
            put_fun(d, g)
            return np.float64(f)

    elif h.jac == "into":

        def evaluate(h, x, g, near, a):
            jac(point(h, x), *a, g)
            return np.float64(fun(point(h, x), *a))

    elif h.jac == "given":

        def evaluate(h, x, g, near, a):
            f = np.float64(fun(point(h, x), *a))
            put_jac(jac(point(h, x), *a), g)
            return f

    else:
        evaluate = by_differences
    return evaluate


@register_jitable
def by_differences(h, x, g, near, a):
    n = x.size
    moved = copied(x)
    if near[2, 0] < 0.0:
        f = call_fun(h, x, a)
        root = np.finfo(x.dtype).eps ** 0.5
        for i in range(n):
            moved[i] = differences.beyond(
                x[i], differences.step(x[i], -near[2, i], root), near[0, i], near[1, i]
            )
            g[i] = (call_fun(h, moved, a) - f) / (moved[i] - x[i]) if moved[i] != x[i] else 0.0
            moved[i] = x[i]
        return f
    root = np.finfo(x.dtype).eps ** (1 / 3)
    for i in range(n):
        up, down = differences.ends(x[i], differences.step(x[i], near[2, i], root), near[0, i], near[1, i])
        moved[i] = up
        up = moved[i]
        plus = call_fun(h, moved, a)
        moved[i] = down
        down = moved[i]
        minus = call_fun(h, moved, a)
        moved[i] = x[i]
        g[i] = (plus - minus) / (up - down) if up > down else 0.0
    return call_fun(h, x, a)


def call_hessian(h, x, H, row, near, a):
    raise NotImplementedError


@overload(call_hessian)
def _call_hessian(h, x, H, row, near, a):
    """The next row to come."""
    hess = h.function("hess")
    if hess is not None:

        def hessian(h, x, H, row, near, a):
            put_hess(hess(point(h, x), *a), H)
            return x.size

        return hessian
    return hessian_row_by_differences


@register_jitable
def hessian_row_by_differences(h, x, H, row, near, a):
    n = x.size
    moved, plus, minus = copied(x), np.empty(n, x.dtype), np.empty(n, x.dtype)
    root = np.finfo(x.dtype).eps ** (1 / 3)
    up, down = differences.ends(
        x[row], differences.step(x[row], near[2, row], root), near[0, row], near[1, row]
    )
    moved[row] = up
    up = moved[row]
    call_evaluate(h, moved, plus, near, a)
    moved[row] = down
    down = moved[row]
    call_evaluate(h, moved, minus, near, a)
    for j in range(n):
        H[row, j] = (plus[j] - minus[j]) / (up - down) if up > down else 0.0
    if row == n - 1:
        for k in range(n):
            for j in range(k):
                H[k, j] = H[j, k] = (H[k, j] + H[j, k]) / 2
    return row + 1


def call_product(h, x, v, out, near, a):
    raise NotImplementedError


@overload(call_product)
def _call_product(h, x, v, out, near, a):
    hessp, hess = h.function("hessp"), h.function("hess")
    if hessp is not None:

        def product(h, x, v, out, near, a):
            put_hessp(hessp(point(h, x), point(h, v), *a), out)

    elif hess is not None:

        def product(h, x, v, out, near, a):
            H = hess(point(h, x), *a)
            for i in range(x.size):
                s = 0.0
                for j in range(x.size):
                    s += H[i, j] * v[j]
                out[i] = s

    else:
        product = product_by_differences
    return product


@register_jitable
def product_by_differences(h, x, v, out, near, a):
    n = x.size
    moved, plus, minus = np.empty(n, x.dtype), np.empty(n, x.dtype), np.empty(n, x.dtype)
    out[:] = 0.0
    step = differences.along(x, v, near[2], np.finfo(x.dtype).eps ** (1 / 3))
    if step == 0.0:
        return
    for i in range(n):
        moved[i] = x[i] + step * v[i]
    call_evaluate(h, moved, plus, near, a)
    for i in range(n):
        moved[i] = x[i] - step * v[i]
    call_evaluate(h, moved, minus, near, a)
    for i in range(n):
        out[i] = (plus[i] - minus[i]) / (2 * step)


def call_residuals(h, x, r, a):
    raise NotImplementedError


@overload(call_residuals)
def _call_residuals(h, x, r, a):
    fun = h.function("fun")

    def residuals(h, x, r, a):
        put_residual(fun(point(h, x), *a), r)

    return residuals


def call_jacobian(h, x, r, J, near, a):
    raise NotImplementedError


@overload(call_jacobian)
def _call_jacobian(h, x, r, J, near, a):
    jac, fun = h.function("jac"), h.function("fun")
    if h.jac == "into":

        def jacobian(h, x, r, J, near, a):
            jac(point(h, x), *a, J)

    elif h.jac == "given":

        def jacobian(h, x, r, J, near, a):
            put_jac(jac(point(h, x), *a), J)

    elif h.jac == "complex":

        def jacobian(h, x, r, J, near, a):
            z = np.empty(x.size, np.complex128)
            for j in range(x.size):
                z[j] = x[j]
            for j in range(x.size):
                z[j] = complex(x[j], 1e-200)
                d = fun(z, *a)
                for i in range(r.size):
                    J[i, j] = d[i].imag / 1e-200
                z[j] = x[j]

    else:
        jacobian = jacobian_by_differences
    return jacobian


@register_jitable
def jacobian_by_differences(h, x, r, J, near, a):
    n, m = x.size, r.size
    moved, plus, minus = copied(x), np.empty(m, x.dtype), np.empty(m, x.dtype)
    root = np.finfo(x.dtype).eps ** (1 / 3)
    for j in range(n):
        up, down = differences.ends(x[j], differences.step(x[j], near[2, j], root), near[0, j], near[1, j])
        moved[j] = up
        up = moved[j]
        call_residuals(h, moved, plus, a)
        moved[j] = down
        down = moved[j]
        call_residuals(h, moved, minus, a)
        moved[j] = x[j]
        for i in range(m):
            J[i, j] = (plus[i] - minus[i]) / (up - down) if up > down else 0.0


@register_jitable
def nearby(h, n, data):
    """(3, n): low and high bounds and the sizes of x's entries, for differences."""
    return matrix_at(h, read_integer(data, DATA_NEARBY), 3, n)


@kernel
def value_at(h, x, n, data):
    return call_fun(h, constant_at(h, x, n), arguments(h, data))


@kernel
def evaluate_at(h, x, g, n, data):
    given = arguments(h, data)
    return call_evaluate(h, constant_at(h, x, n), array_at(h, g, n), nearby(h, n, data), given)


@kernel
def hessian_at(h, x, H, row, n, data):
    given = arguments(h, data)
    rows = call_hessian(h, constant_at(h, x, n), matrix_at(h, H, n, n), row, nearby(h, n, data), given)
    return float(rows)


@kernel
def product_at(h, x, v, out, n, data):
    given, near = arguments(h, data), nearby(h, n, data)
    call_product(h, constant_at(h, x, n), constant_at(h, v, n), array_at(h, out, n), near, given)
    return 0.0


@kernel
def residuals_at(h, x, r, n, m, data):
    call_residuals(h, constant_at(h, x, n), array_at(h, r, m), arguments(h, data))
    return 0.0


@kernel
def jacobian_at(h, x, r, J, n, m, data):
    given, near = arguments(h, data), nearby(h, n, data)
    call_jacobian(h, constant_at(h, x, n), array_at(h, r, m), matrix_at(h, J, m, n), near, given)
    return 0.0
