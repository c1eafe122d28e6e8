"""fo.jit.value_and_grad: the gradient of a linear model in a user's own compiled code, with the bits of fo.value_and_grad.

The tables that kernels read are filled in the user's code, in memory that he may pass; the kernels are linked into
his library, and their addresses are taken there (see kernels/step/inside.py).
"""

import numpy as np
from llvmlite import ir
from numba.core import types
from numba.core.errors import TypingError
from numba.core.registry import cpu_target
from numba.extending import intrinsic, overload, register_jitable

from fastopt.kernels.gradient import linear, sizes
from fastopt.kernels.gradient.division import MOST, row_groups
from fastopt.kernels.gradient.groups import finish_gradient
from fastopt.kernels.language.formula import formula_type
from fastopt.kernels.language.memory import element_type, write
from fastopt.kernels.language.table import arguments
from fastopt.kernels.minimization.calls import start_of
from fastopt.kernels.step.inside import as_elements, as_floats, value_of
from fastopt.kernels.tables import PROBLEM, SIDE, WORKER

BY_PYTHON: list = []  # fo.value_and_grad, for calls that are not compiled: set by fastopt/jit.py, which stands above it
LINE = 64
FIXED = 8 * (len(PROBLEM.fields) + len(WORKER.fields) + 2 * MOST + MOST + 32) + 3 * LINE

for _function in (sizes.widened_stride, sizes.scratch_bytes, sizes.block_rows, row_groups):
    register_jitable(_function)


@register_jitable
def _sizes(n, classes, features, itemsize, x_kind):
    """(groups, rows in each, bytes of scratch, bytes of partial gradients)"""
    elements = classes * features + classes
    groups, rows = row_groups(n, elements * itemsize, False)
    scratch = sizes.scratch_bytes(classes, features, itemsize, x_kind, classes, 0)
    return groups, rows, scratch + LINE, ((groups - 1) * elements + LINE) * itemsize


def gradient_workspace(W, X):
    """Memory for the `work` of value_and_grad: uint8, for rows like X and a model like W. From Python or @njit code."""
    return np.empty(_bytes(len(X), W.shape[0], W.shape[1], W.itemsize, int(X.itemsize == 1)), np.uint8)


@register_jitable
def _bytes(n, classes, features, itemsize, x_kind):
    _, _, scratch, partials = _sizes(n, classes, features, itemsize, x_kind)
    return FIXED + scratch + partials


@overload(gradient_workspace)
def _gradient_workspace(W, X):
    return lambda W, X: np.empty(
        _bytes(len(X), W.shape[0], W.shape[1], W.itemsize, int(X.itemsize == 1)), np.uint8
    )


def value_and_grad(loss, W, X, y, b, dW, db, l2=0.0, work=None, scale=1 / 255):
    """mean_i L_i + l2*sum(W**2) of the scores X W^T + b; writes its gradient to dW and db. Inside @njit code, prange too.

    loss: one of fastopt.losses or an own, as a value. W, dW: (classes, features) float32 or float64; X: (n, features) of W's
    dtype, or uint8 (multiplied by scale, with a float32 W); b, db: (classes,), or None both; all C-contiguous. y: (n,)
    int64 class numbers, or targets of W's dtype for regression. X[i:j] and y[i:j] are a batch, without a copy.
    work: from fo.jit.gradient_workspace(W, X), of as many rows or more: nothing is allocated then. Each thread needs its own.
    The bits are those of fo.value_and_grad. Raises TypingError at compilation where types do not fit, ValueError for
    shapes, class numbers that W has no row for, or a work that is too small.
    """
    given = {"out": dW if b is None else (dW, db), "l2": l2, "scale": scale if X.dtype == np.uint8 else None}
    return BY_PYTHON[0](loss, W, X, y, b, **given)[0]


# ---- what the types must be ----


def _check_types(loss, W, X, y, b, dW, db):
    """The loss's class; TypingError where a type does not fit."""
    name = "fo.jit.value_and_grad"
    if not isinstance(loss, types.BaseNamedTuple) or not hasattr(loss.instance_class, "rows"):
        raise TypingError(f"{name}: loss must be a loss such as fo.Softmax(), not {loss}")
    cls = loss.instance_class
    if not hasattr(cls, "one_row"):
        raise TypingError(f"{name}: {cls.__name__} is no loss: it has no one_row (see fastopt.losses)")
    if not isinstance(W, types.Array) or W.ndim != 2 or W.dtype not in (types.float32, types.float64):
        raise TypingError(f"{name}: W must be a matrix of float32 or float64, not {W}")
    x_kinds = (W.dtype, types.uint8) if W.dtype == types.float32 else (W.dtype,)
    if not isinstance(X, types.Array) or X.ndim != 2 or X.dtype not in x_kinds:
        raise TypingError(f"{name}: X must be a matrix of {' or '.join(map(str, x_kinds))}, not {X}")
    wanted = W.dtype if cls.one_row == "real" else types.int64
    if not isinstance(y, types.Array) or y.ndim != 1 or y.dtype not in (wanted, types.int64):
        raise TypingError(f"{name}: y must be a vector of {wanted} for {cls.__name__}, not {y}")
    if cls.one_row == "real" and y.dtype != wanted:
        raise TypingError(f"{name}: y must be a vector of {wanted} for {cls.__name__}, not {y}: convert it")
    _check_outputs(name, W, b, dW, db)
    for what, a in (("W", W), ("X", X), ("y", y), ("b", b), ("dW", dW), ("db", db)):
        if isinstance(a, types.Array) and a.layout != "C":
            raise TypingError(f"{name}: {what} must be C-contiguous, not {a}")
    return cls


def _check_outputs(name, W, b, dW, db):
    none = types.none, types.Omitted(None)
    if (b in none) != (db in none):
        raise TypingError(f"{name}: pass b and db, or None for both")
    for what, a, ndim in (("dW", dW, 2), ("b", b, 1), ("db", db, 1)):
        if a in none:
            continue
        if not isinstance(a, types.Array) or a.ndim != ndim or a.dtype != W.dtype:
            raise TypingError(f"{name}: {what} must be an array of {W.dtype} with {ndim} axes, not {a}")
        if what != "b" and not a.mutable:
            raise TypingError(f"{name}: {what} must be an array that can be written to")


# ---- in the user's code ----


def _linked(loss_type, dtype):
    """An intrinsic: the addresses of the kernels for such a loss, linked into this code, as `call` takes them."""

    @intrinsic
    def kernels(typing):
        h = element_type(dtype)
        needed = (
            (linear.block_loss, (loss_type, *arguments(PROBLEM, 6))),
            (linear.add_rows, (h, *arguments(PROBLEM, 7, SIDE))),
            (linear.block_scores, (h, *arguments(PROBLEM, 6))),
            (linear.block_gradient, (h, *arguments(PROBLEM, 8))),
        )
        compiled = []
        for kernel, kinds in needed:
            kernel.compile(kinds)
            compiled.append(kernel.overloads[kinds])
        result = types.UniTuple(types.int64, len(compiled))

        def codegen(context, builder, signature, args):
            items = []
            for one in compiled:
                context.add_linking_libs([one.library])
                function = context.declare_function(builder.module, one.fndesc)
                items.append(builder.ptrtoint(function, ir.IntType(64)))
            return context.make_tuple(builder, result, items)

        return result(), codegen

    return kernels


def _table_at(kind):
    """An intrinsic: an address as that of such a table."""

    @intrinsic
    def table_at(typing, address):
        return kind(types.int64), lambda context, builder, signature, args: args[0]

    return table_at


problem_at, worker_at = _table_at(PROBLEM.type), _table_at(WORKER.type)


@intrinsic
def _start_or_zero(typing, array):
    """The address of an array's first element; 0 for None."""
    if isinstance(array, types.Array):
        return types.int64(array), start_of._defn(typing, array)[1]
    return types.int64(array), lambda *_: ir.Constant(ir.IntType(64), 0)


def _fits(array, n):
    """Whether there is no array, or one of n numbers."""


@overload(_fits)
def _fits_in_code(array, n):
    if isinstance(array, types.Array):
        return lambda array, n: array.size == n
    return lambda array, n: True


def _check_labels(y, classes):
    """ValueError for class numbers without a row of W."""


@overload(_check_labels)
def _check_labels_in_code(y, classes):
    if not isinstance(y.dtype, types.Integer):
        return lambda y, classes: None

    def check(y, classes):
        low, high = np.int64(0), np.int64(0)
        for i in range(len(y)):
            low, high = min(low, y[i]), max(high, y[i])
        if low < 0 or high >= max(classes, 2):
            raise ValueError("fo.jit.value_and_grad: y has a class number that W has no row for")

    return check


@overload(value_and_grad)
def _value_and_grad(loss, W, X, y, b, dW, db, l2=0.0, work=None, scale=1 / 255):
    cls = _check_types(loss, W, X, y, b, dW, db)
    dtype, own_work = W.dtype.name, isinstance(work, types.Array)
    if own_work and (work.dtype != types.uint8 or work.ndim != 1 or work.layout != "C" or not work.mutable):
        raise TypingError(f"fo.jit.value_and_grad: work must be from fo.jit.gradient_workspace, not {work}")
    fields = len(cls._fields)
    kernels, h_of, wide_of = (
        _linked(formula_type(cls, dtype, fields), dtype),
        value_of(element_type(dtype)),
        value_of(element_type("float64")),
    )
    y_kind, x_kind = (8 if isinstance(y.dtype, types.Integer) else 0), int(X.dtype == types.uint8)
    binary, itemsize = cls.one_row == "binary", W.dtype.bitwidth // 8

    def run(loss, W, X, y, b, dW, db, l2=0.0, work=None, scale=1 / 255):
        (n, features), classes = X.shape, W.shape[0]
        if W.shape[1] != features or dW.shape != W.shape or len(y) != n:
            raise ValueError(
                "fo.jit.value_and_grad: W and dW must be (classes, features), X (n, features), y (n,)"
            )
        if not _fits(b, classes) or not _fits(db, classes) or classes == 0:
            raise ValueError("fo.jit.value_and_grad: b and db must be (classes,)")
        _check_labels(y, classes)
        groups, group_rows, scratch, partials = _sizes(n, classes, features, itemsize, x_kind)
        space = work if own_work else np.empty(FIXED + scratch + partials, np.uint8)
        if len(space) < FIXED + scratch + partials:
            raise ValueError("fo.jit.value_and_grad: work is too small: fo.jit.gradient_workspace(W, X)")
        at = (start_of(space) + LINE - 1) // LINE * LINE
        for j in range(FIXED // 8 - LINE // 8):
            write(at, j, np.int64(0))
        worker = at + 8 * len_problem
        sources = worker + 8 * len_worker
        group_losses = sources + 16 * MOST
        counter = group_losses + 8 * MOST
        numbers = counter + 8
        memory = (numbers + 8 * 31 + LINE - 1) // LINE * LINE
        write(numbers, 0, np.float64(scale) if x_kind else 1.0)
        if fields:
            k = as_elements(wide_of(), as_floats(loss))
            for j in range(fields):
                write(numbers, 1 + j, k[j])
        p, w = problem_at(at), worker_at(worker)
        p.W, p.b, p.X, p.y = start_of(W), _start_or_zero(b), start_of(X), start_of(y)
        p.x_stride, p.x_kind, p.y_kind = features * (1 if x_kind else itemsize), x_kind, y_kind
        p.y_shift = 1 if binary and classes == 1 else 0
        p.classes, p.features, p.width, p.w_stride = classes, features, classes, features * itemsize
        p.numbers, p.block_rows = numbers, sizes.block_rows(features * itemsize)
        p.loss, p.add_rows, p.scores, p.gradient = kernels()
        w.batch, w.n, w.group_rows = n, n, group_rows
        w.first, w.first_bias = start_of(dW), _start_or_zero(db)
        w.sources, w.losses, w.scratch, w.partials = sources, group_losses, memory, memory + scratch
        return finish_gradient(h_of(), p, w, counter, 1.0 / n if n else 0.0, float(l2))

    return run


len_problem, len_worker = len(PROBLEM.fields), len(WORKER.fields)

# User code may be the first to import this module, while Numba types it: it learns of overloads at a refresh.
cpu_target.typing_context.refresh()
