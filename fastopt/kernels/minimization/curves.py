"""Very many fits of a curve y = f(t, *p): Levenberg and Marquardt's method, one problem a vector lane.

Curves that do not compile for vectors run by the same text on numbers, a vector of one lane.

A lane that is done takes the next problem, so none waits for the slowest, and what a lane computes does
not depend on the others: results are the same for any number of threads. Small normal equations are
solved by LDL' in registers; the number of parameters is known when the kernel is compiled, so loops over
them are written out (`_written`).
"""

import functools

import numpy as np
from numba import njit
from numba.core import types
from numba.core.errors import NumbaError
from numba.extending import NativeValue, models, overload, register_model, unbox

from fastopt.kernels.language.compile import entry, kernel
from fastopt.kernels.language.lanes import Lanes, load_lanes, same_lanes, store_lanes, sum_lanes
from fastopt.kernels.language.memory import lane_count, read_element, write_element
from fastopt.kernels.language.vectors import VECTOR_BYTES
from fastopt.kernels.minimization.user import _FUNCTIONS, reference

ROUNDING = 16.0  # a sum of squares below this many times that of y's roundings is 0


class Curve(types.Type):
    """fun(t, *p), its derivatives jac(t, *p) -> tuple or None, the number of parameters, what there is a row of."""

    def __init__(self, reference, dtype, parameters, own_t, weighted, lanes):
        self.reference, self.element, self.parameters = reference, getattr(types, dtype), parameters
        self.own_t, self.weighted, self.lanes = own_t, weighted, lanes
        super().__init__(name=f"Curve({reference}, {dtype}, {parameters}, {own_t}, {weighted}, {lanes})")

    def function(self, name):
        return _FUNCTIONS[self.reference].get(name)


register_model(Curve)(models.OpaqueModel)


@unbox(Curve)
def _unbox(typ, obj, c):
    return NativeValue(c.context.get_dummy_value())


def _written(text, **scope):
    """The function `written` of a text."""
    exec(text, scope)
    return scope["written"]


def _listed(pattern, count):
    """ "a0, a1, " from "a{i}"."""
    return "".join(pattern.format(i=i) + ", " for i in range(count))


def width_of(h):
    raise NotImplementedError


@overload(width_of)
def _width_of(h):
    return (lambda h: lane_count(h)) if h.lanes else (lambda h: 1)


def ones(h):
    raise NotImplementedError


@overload(ones)
def _ones(h):
    element = h.element
    return (lambda h: same_lanes(h, 1.0)) if h.lanes else (lambda h: element(1.0))


def load(h, where, index, end):
    raise NotImplementedError


@overload(load)
def _load(h, where, index, end):
    if h.lanes:
        return lambda h, where, index, end: load_lanes(h, where, index, end)
    return lambda h, where, index, end: read_element(h, where, index)


def store(h, where, index, end, value):
    raise NotImplementedError


@overload(store)
def _store(h, where, index, end, value):
    if h.lanes:
        return lambda h, where, index, end, value: store_lanes(h, where, index, end, value)
    return lambda h, where, index, end, value: write_element(h, where, index, value)


def total(values):
    raise NotImplementedError


@overload(total)
def _total(values):
    return (lambda values: sum_lanes(values)) if isinstance(values, Lanes) else (lambda values: values)


def pick(mask, a, b):
    raise NotImplementedError


@overload(pick)
def _pick(mask, a, b):
    if isinstance(mask, types.Boolean):
        return lambda mask, a, b: a if mask else b
    return lambda mask, a, b: np.where(mask, a, b)


def value_and_slopes(h, t, p, one, step):
    raise NotImplementedError


@overload(value_and_slopes)
def _value_and_slopes(h, t, p, one, step):
    k, fun, jac = h.parameters, h.function("fun"), h.function("jac")
    names = _listed("p{i}", k)
    lines = [f"    {names} = p", f"    f = fun(t, {names}) * one"]
    if jac is not None:
        lines += [f"    j = jac(t, {names})", f"    return f, ({_listed('j[{i}] * one', k)})"]
    else:
        for i in range(k):
            moved = "".join(f"q{i}, " if j == i else f"p{j}, " for j in range(k))
            lines += [
                f"    q{i} = p{i} + (np.abs(p{i}) + one * step) * step",
                f"    j{i} = (fun(t, {moved}) * one - f) / (q{i} - p{i})",
            ]
        lines += [f"    return f, ({_listed('j{i}', k)})"]
    return _written("def written(h, t, p, one, step):\n" + "\n".join(lines), fun=fun, jac=jac, np=np)


def sums(h, t, blocks, m, width, p, one, step):
    raise NotImplementedError


@overload(sums)
def _sums(h, t, blocks, m, width, p, one, step):
    """(sum of squares, upper half of J'J by rows, J'r) of all lanes; blocks: y, then weights, then t."""
    k = h.parameters
    pairs = [(i, j) for i in range(k) for j in range(i, k)]
    zeros = "zero, " * (1 + len(pairs) + k)
    names = "c, " + "".join(f"a{i}{j}, " for i, j in pairs) + _listed("b{i}", k)
    position = 1
    lines = ["    zero, end = one * 0.0, m * width", f"    {names} = {zeros}", "    for i in range(m):"]
    lines.append("        r = load(h, blocks, i * width, end)")
    weight = ""
    if h.weighted:
        lines.append(f"        w = load(h, blocks + {position} * stride, i * width, end)")
        position, weight = position + 1, "w * "
    if h.own_t:
        lines.append(f"        at = load(h, blocks + {position} * stride, i * width, end)")
    else:
        lines.append("        at = t[i]")
    lines.append(f"        f, ({_listed('j{i}', k)}) = value_and_slopes(h, at, p, one, step)")
    lines += ["        r = r - f", f"        c = c + {weight}r * r"]
    for i in range(k):
        lines.append(f"        w{i} = {weight}j{i}")
        lines += [f"        a{i}{j} = a{i}{j} + w{i} * j{j}" for j in range(i, k)]
        lines.append(f"        b{i} = b{i} + w{i} * r")
    upper = "".join(f"a{i}{j}, " for i, j in pairs)
    lines.append(f"    return c, ({upper}), ({_listed('b{i}', k)})")
    head = "def written(h, t, blocks, m, width, p, one, step):\n    stride = m * width * size(h)\n"
    scope = dict(load=load, value_and_slopes=value_and_slopes, size=_size)
    return _written(head + "\n".join(lines), **scope)


def _size(h):
    raise NotImplementedError


@overload(_size)
def _size_of(h):
    size = h.element.bitwidth // 8
    return lambda h: size


def step_of(a, b, damping, tiny):
    raise NotImplementedError


@overload(step_of)
def _step_of(a, b, damping, tiny):
    """d with (A + damping diag A) d = b, by LDL'; an empty row gives 0."""
    k = len(b)
    lines = ["    scale = damping + 1.0"]
    pairs = [(i, j) for i in range(k) for j in range(i, k)]
    lines.append("    " + "".join(f"a{i}{j}, " for i, j in pairs) + "= a")
    lines.append(f"    {_listed('b{i}', k)} = b")
    for j in range(k):
        products = "".join(f" - l{j}{q} * l{j}{q} * d{q}" for q in range(j))
        lines.append(f"    d{j} = np.maximum(a{j}{j} * scale + tiny{products}, a{j}{j} * 1e-15 + tiny)")
        lines.append(f"    v{j} = 1.0 / d{j}")
        for i in range(j + 1, k):
            products = "".join(f" - l{i}{q} * l{j}{q} * d{q}" for q in range(j))
            lines.append(f"    l{i}{j} = (a{j}{i}{products}) * v{j}")
    for i in range(k):
        lines.append(f"    z{i} = b{i}" + "".join(f" - l{i}{q} * z{q}" for q in range(i)))
    for i in reversed(range(k)):
        lines.append(f"    x{i} = z{i} * v{i}" + "".join(f" - l{q}{i} * x{q}" for q in range(i + 1, k)))
    lines.append(f"    return ({_listed('x{i}', k)})")
    return _written("def written(a, b, damping, tiny):\n" + "\n".join(lines), np=np)


def excess(a, b, c, share):
    raise NotImplementedError


@overload(excess)
def _excess(a, b, c, share):
    """At most 0 where every cosine between residuals and a column is at most sqrt(share)."""
    k = len(b)
    diagonal = [sum(k - q for q in range(i)) for i in range(k)]
    terms = [f"b[{i}] * b[{i}] - a[{diagonal[i]}] * c * share" for i in range(k)]
    text = terms[0]
    for term in terms[1:]:
        text = f"np.maximum({text}, {term})"
    return _written(f"def written(a, b, c, share):\n    return {text}", np=np)


def chosen(mask, new, old):
    raise NotImplementedError


@overload(chosen)
def _chosen(mask, new, old):
    items = _listed("pick(mask, new[{i}], old[{i}])", len(new))
    return _written(f"def written(mask, new, old):\n    return ({items})", pick=pick)


def added(p, d):
    raise NotImplementedError


@overload(added)
def _added(p, d):
    return _written(f"def written(p, d):\n    return ({_listed('p[{i}] + d[{i}]', len(p))})")


def loaded(h, where, row, width):
    raise NotImplementedError


@overload(loaded)
def _loaded(h, where, row, width):
    items = _listed("load(h, where, (row + {i}) * width, (row + {i} + 1) * width)", h.parameters)
    return _written(f"def written(h, where, row, width):\n    return ({items})", load=load)


def stored(h, where, row, width, p):
    raise NotImplementedError


@overload(stored)
def _stored(h, where, row, width, p):
    lines = [
        f"    store(h, where, (row + {i}) * width, (row + {i} + 1) * width, p[{i}])"
        for i in range(h.parameters)
    ]
    return _written("def written(h, where, row, width, p):\n" + "\n".join(lines), store=store)


def filled_upper(h, value):
    raise NotImplementedError


@overload(filled_upper)
def _filled_upper(h, value):
    return _written(
        f"def written(h, value):\n    return ({'value, ' * (h.parameters * (h.parameters + 1) // 2)})"
    )


def filled_row(h, value):
    raise NotImplementedError


@overload(filled_row)
def _filled_row(h, value):
    return _written(f"def written(h, value):\n    return ({'value, ' * h.parameters})")


def take(h, row, lane, width, m, t, Y, W, P, blocks, state):
    raise NotImplementedError


@overload(take)
def _take(h, row, lane, width, m, t, Y, W, P, blocks, state):
    """Give problem `row` to a lane."""
    k, weighted, own_t = h.parameters, h.weighted, h.own_t

    def give(h, row, lane, width, m, t, Y, W, P, blocks, state):
        squares = 0.0
        for i in range(m):
            blocks[i * width + lane] = Y[row, i]
            squares += (W[row, i] if weighted else 1.0) * Y[row, i] ** 2
        state[(2 * k + 4) * width + lane] = squares * ROUNDING * np.finfo(Y.dtype).eps ** 2
        first = m * width
        if weighted:
            for i in range(m):
                blocks[first + i * width + lane] = W[row, i]
            first += m * width
        if own_t:
            for i in range(m):
                blocks[first + i * width + lane] = t[row, i]
        for j in range(k):
            state[j * width + lane] = state[(k + j) * width + lane] = P[row, j]
        state[2 * k * width + lane] = np.inf
        state[(2 * k + 1) * width + lane] = 1.0
        state[(2 * k + 2) * width + lane] = 0.0

    return give


@kernel
def fit_range(h, begin, end, t, Y, W, P, costs, codes, counts, numbers, blocks, state, rows):
    """Fit problems begin to end: P holds the starts and then the results.

    numbers: share of the cosine's square, most evaluations, step of differences, the smallest number.
    blocks, state, rows: workspace.
    """
    share, limit, step, tiny = numbers[0], numbers[1], numbers[2], numbers[3]
    width, m, k = width_of(h), Y.shape[1], P.shape[1]
    one = ones(h)
    zero = one * 0.0
    where, first = state.ctypes.data, blocks.ctypes.data
    coming, live = begin, 0
    for lane in range(width):
        rows[lane] = -1
        if coming < end:
            rows[lane], live = coming, live + 1
            coming += 1
        take(h, max(rows[lane], begin), lane, width, m, t, Y, W, P, blocks, state)
    p = loaded(h, where, 0, width)
    q = p
    c, damping, tried = one * np.inf, one, zero
    floor = load(h, where, (2 * k + 4) * width, (2 * k + 5) * width)
    a, b = filled_upper(h, one), filled_row(h, zero)
    while live > 0:
        c_new, a_new, b_new = sums(h, t, first, m, width, q, one, step)
        tried = tried + 1.0
        better = c_new < c
        p, a, b = chosen(better, q, p), chosen(better, a_new, a), chosen(better, b_new, b)
        c = pick(better, c_new, c)
        damping = pick(better, damping * 0.1, damping * 10.0)
        done = pick(tried >= limit, one * 3.0, zero)
        done = pick(damping > 1e12, one * 2.0, done)
        done = pick(c < np.inf, pick(excess(a, b, c, share) <= 0.0, one, done), done)
        done = pick(c <= floor, one, done)
        q = added(p, step_of(a, b, damping, tiny))
        if total(done) > 0:
            stored(h, where, 0, width, p)
            stored(h, where, k, width, q)
            store(h, where, 2 * k * width, (2 * k + 1) * width, c)
            store(h, where, (2 * k + 1) * width, (2 * k + 2) * width, damping)
            store(h, where, (2 * k + 2) * width, (2 * k + 3) * width, tried)
            store(h, where, (2 * k + 3) * width, (2 * k + 4) * width, done)
            for lane in range(width):
                row, code = rows[lane], int(state[(2 * k + 3) * width + lane])
                if code > 0 and row >= 0:
                    for j in range(k):
                        P[row, j] = state[j * width + lane]
                    costs[row], codes[row] = state[2 * k * width + lane], code
                    counts[row] = int(state[(2 * k + 2) * width + lane])
                    if coming < end:
                        rows[lane] = coming
                        take(h, coming, lane, width, m, t, Y, W, P, blocks, state)
                        coming += 1
                    else:
                        rows[lane] = -1
                        live -= 1
            p, q = loaded(h, where, 0, width), loaded(h, where, k, width)
            c = load(h, where, 2 * k * width, (2 * k + 1) * width)
            damping = load(h, where, (2 * k + 1) * width, (2 * k + 2) * width)
            tried = load(h, where, (2 * k + 2) * width, (2 * k + 3) * width)
            floor = load(h, where, (2 * k + 4) * width, (2 * k + 5) * width)
    return 0


@functools.lru_cache(maxsize=64)
def bind_curve(names, functions, dtype, parameters, own_t, weighted):
    """(entry(h, begin, end, ...), h, width): of lanes where the curve compiles for them."""
    name = reference(dict(zip(names, functions, strict=True)))
    for lanes in (True, False):
        h = Curve(name, dtype, parameters, own_t, weighted, lanes)
        element, i8 = h.element, types.int64
        a1, a2 = types.Array(element, 1, "C"), types.Array(element, 2, "C")
        integers, numbers = types.Array(i8, 1, "C"), types.Array(types.float64, 1, "C")
        t = a2 if own_t else a1
        given = (h, i8, i8, t, a2, a2, a2, a1, integers, integers, numbers, a1, a1, integers)
        try:
            return entry(fit_range, *given), h, VECTOR_BYTES * 8 // element.bitwidth if lanes else 1
        except NumbaError as error:
            if not lanes:
                _check_returns(h)
                raise TypeError(f"the curve does not compile: {error}") from error


def _check_returns(h):
    """TypeError where the curve or its derivatives do not compile alone, or return something else than is needed."""
    k, numbers = h.parameters, (h.element,) * (1 + h.parameters)
    for name, needed in (("fun", "a number"), ("jac", f"a tuple of {k} derivatives")):
        function = h.function(name)
        if function is None:
            continue
        try:
            function.compile(numbers)
        except NumbaError as error:
            raise TypeError(f"{name} does not compile for {1 + k} numbers (t, ...): {error}") from error
        returned = function.overloads[numbers].signature.return_type
        good = (
            isinstance(returned, types.Number) if name == "fun" else len(getattr(returned, "types", ())) == k
        )
        if not good:
            raise TypeError(f"{name} must return {needed}, not {returned}")


@functools.lru_cache(maxsize=64)
def residual_functions(fun, jac, parameters, weighted):
    """residual(p, t, y[, root]) and its Jacobian (by filling), for a curve fun(t, *p) and jac(t, *p)."""
    items = _listed("p[{i}]", parameters)
    root, factor = (", root", " * root[i]") if weighted else ("", "")
    residual = f"""
def written(p, t, y{root}):
    r = np.empty(y.size, y.dtype)
    for i in range(y.size):
        r[i] = (fun(t[i], {items}) - y[i]){factor}
    return r
"""
    slopes = "".join(f"\n        out[i, {j}] = d[{j}]{factor}" for j in range(parameters))
    filling = f"""
def written(p, t, y{root}, out):
    for i in range(y.size):
        d = jac(t[i], {items}){slopes}
"""
    make = njit(nogil=True, error_model="numpy")
    return make(_written(residual, fun=fun, np=np)), jac and make(_written(filling, jac=jac))
