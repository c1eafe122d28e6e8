"""The C library: the only place that imports the cffi module fastopt._native.

Arrays are validated before they come here; addresses go as integers, which the module takes fastest.
"""

import contextlib
import functools
import sys

import numpy as np

from fastopt.rules.wrappers import made
from fastopt.threads import share

try:
    from fastopt._native import ffi, lib
except ImportError:  # a source tree that was never built
    ffi = lib = None

LOSSES = (
    "Softmax", "MulticlassHinge", "SquaredError", "Logistic", "Hinge", "SquaredHinge", "ModifiedHuber", "Huber",
    "EpsilonInsensitive", "Quantile", "Poisson", "SoftmaxOfShares", "LogisticOfShares",
)  # fmt: skip
DENSE, UINT8, CSR32, CSR64 = range(4)
_NO_MEMORY = -1
STORED = (
    "stored"  # in the place of a dtype: a table whose numbers are kept in other forms (fastopt/storage.py)
)
_SUFFIX = {np.dtype(np.float32): "f32", np.dtype(np.float64): "f64", STORED: STORED}


def available() -> bool:
    """Whether the C library was built."""
    return lib is not None


def version() -> str:
    """That of the C library, which is the package's."""
    return ffi.string(lib.fo_version()).decode()


def features() -> str:
    """The instruction set in use: "plain", "avx2" or "avx512"."""
    return ffi.string(lib.fo_features()).decode()


def select_features(disabled: str = "") -> str:
    """Choose the instruction set anew without the ones named (comma list); returns the one in use."""
    return ffi.string(lib.fo_select_features(disabled.encode())).decode()


def function(name, dtype):
    """The function of this name for arrays of a dtype."""
    return getattr(lib, f"{name}_{_SUFFIX[np.dtype(dtype)]}")


# ---- update rules ----


def rules() -> list[str]:
    """The rules' names; a rule's number is its place."""
    return [ffi.string(lib.fo_rule_name(j)).decode() for j in range(lib.fo_rule_count())]


WRAPPERS = ("Averaged", "Lookahead", "ScheduleFree", "Cautious")  # numbered from 1 as in fastopt.h


def rule_number(rule) -> int:
    """The library's number of a rule that it has (rules.is_in_c)."""
    return _rule_number(type(rule))  # type: ignore[arg-type]


@functools.lru_cache(maxsize=256)
def _rule_number(cls):
    wrapper, base = made(cls)
    if wrapper is None:
        return lib.fo_rule_by_name(cls.__name__.encode())
    return lib.fo_rule_around(1 + WRAPPERS.index(wrapper), _rule_number(base))


def coefficients_function():
    """fill(rule number, h, t, k): Rule.coefficients bit for bit; h and k addresses of float64."""
    return lib.coefficients


def coefficient_table(rule, h, t, steps):
    """The coefficients of the steps t, t+1, ...: (steps, k) float64. h: (steps, fields) float64, or one row."""
    k = np.empty((steps, lib.fo_rule_coefficients(rule)))
    lib.coefficient_table(rule, address(h), h.shape[1] if len(h) > 1 else 0, t, steps, address(k))
    return k


def step_function(dtype):
    """step(plan, check, begin, end) -> -1, or, where `check` is set and a gradient has NaN or inf, that
    array's number, and nothing is done. plan: the address of a table's plan (stepping/table.py).
    """
    return getattr(lib, f"step_{_SUFFIX[dtype]}")


def step_together_function(dtype):
    """step_together(plan, check, chunks, board): what each thread of a shared step does.

    board: the address of a board (threads.py), where the first chunk with NaN or inf is then found.
    """
    return getattr(lib, f"step_together_{_SUFFIX[dtype]}")


def whole_function(dtype):
    """step(plan, which, check, forms, chunks), see csrc/prelude.h."""
    return getattr(lib, f"whole_{_SUFFIX[dtype]}")


def measure_function(dtype):
    """measure(plan, out, begin, end): for each chunk the sums of squares of what the rule measures, a row at address out."""
    return getattr(lib, f"measure_{_SUFFIX[dtype]}")


def squares_function(dtype):
    """squares(plan, unit, out, begin, end): for each chunk the sum of (g * unit)^2, float64, at address out."""
    return getattr(lib, f"squares_{_SUFFIX[dtype]}")


def climb_function(dtype):
    """climb(to, from, g, unit, length, n): to = from + g * unit * length of n elements at these addresses."""
    return getattr(lib, f"climb_{_SUFFIX[dtype]}")


def finite_function(dtype):
    """first_nonfinite(plan, begin, end) -> the first array with NaN or inf in these chunks, or -1."""
    return getattr(lib, f"first_nonfinite_{_SUFFIX[dtype]}")


@contextlib.contextmanager
def denormals_flushed():
    """Count subnormal numbers as zero in this thread, as every kernel of a rule does."""
    if lib is None:
        yield
        return
    control = lib.denormals_control()  # before anything changes: Ctrl-C may fall on the end of any call
    try:
        lib.flush_denormals()
        yield
    finally:
        lib.restore_denormals(control)


def all_finite(x: np.ndarray) -> bool:
    """Whether a C-contiguous float array holds neither inf nor NaN."""
    pointer = "float[]" if x.dtype == np.float32 else "double[]"
    return bool(function("fo_all_finite", x.dtype)(ffi.from_buffer(pointer, x), x.size))


# ---- array objects ----

# NumPy's ABI fixes the fields behind an array object's header. Reading them takes 0.1 us an array;
# __array_interface__ takes 1.6 us. Tried out below; the documented way is the fallback.
_HEADER = object.__basicsize__


def address(array: np.ndarray) -> int:
    """The address of an array's first element."""
    return lib.array_address(id(array) + _HEADER)


def _documented_address(array):
    return array.__array_interface__["data"][0]


_WRITEABLE, _ALIGNED = 0x400, 0x100
_GRADIENTS = 4  # where a watch's numbers have the address of the gradients (csrc/prelude.h)
SAME, PARAMETER_CHANGED = -1, -2


class Watch:
    """Looks, before every step, at the heads of all parameters and gradients of a table: 10 ns an array.

    parameters: the user's arrays. gradient_strides: of the gradients that need no copy. spans: rows (begin, end) of memory that gradients must not meet, sorted
    and disjoint. out: the int64 array for the addresses of gradients that have their parameter's form.
    """

    def __init__(self, parameters, gradient_strides, spans, out):
        n = len(parameters)
        self._parameters, self._known = list(parameters), [_head(p) for p in parameters]
        forms, sizes = [], []
        for p, strides in zip(parameters, gradient_strides, strict=True):
            need = _WRITEABLE | (_ALIGNED if p.flags.aligned else 0)
            forms.append((id(p.dtype), p.ndim, len(sizes), p.nbytes, need))
            sizes += [*p.shape, *p.strides, *strides]
        self._tables = [np.array(v, np.int64) for v in ([id(p) for p in parameters], forms, sizes or [0])]
        self._tables.append(np.array([_documented_address(p) for p in parameters], np.int64))
        self._tables.append(np.array(spans, np.int64).reshape(-1, 2))
        ids, forms, sizes, where, spans = (_documented_address(t) for t in self._tables)
        numbers = [n, _HEADER, id(np.ndarray), ids, 0, forms, sizes, where, spans, len(self._tables[-1])]
        self._plan = np.array([*numbers, _documented_address(out)], np.int64)
        self._numbers, self._given = self._plan.data, None
        if _KNOWN:
            self.again = functools.partial(  # type: ignore[method-assign]
                lib.watch, _documented_address(self._plan)
            )

    def again(self, first):
        """SAME; PARAMETER_CHANGED since it was made; or the first gradient, from this one on, that differs.

        Of the gradients given last. The addresses of those that do not differ are written. `first` is 0 at first.
        """
        if first == 0 and self.changed() is not None:
            return PARAMETER_CHANGED
        return first if first < len(self._parameters) else SAME

    def look(self, gradients):
        """The same, of new gradients: a list that is held, and must stay as it is, until the next look."""
        self._given = gradients
        if lib is not None:
            self._numbers[_GRADIENTS] = lib.list_items(id(gradients), _HEADER)
        return self.again(0)

    def changed(self):
        """The first parameter that is another than it was, as (position, what was changed), or None."""
        for i, (p, known) in enumerate(zip(self._parameters, self._known, strict=True)):
            for what, now, before in zip(_HEAD, _head(p), known, strict=True):
                if now != before:
                    return i, what
        return None


_HEAD = ("dtype", "shape", "memory layout", "memory", "flag writeable")


def _head(array):
    return array.dtype, array.shape, array.strides, _documented_address(array), array.flags.writeable


def _layout_is_known():
    """Try the layout on arrays of which everything is known."""
    base, out = np.arange(24, dtype=np.float32), np.zeros(1, np.int64)
    like = np.empty((3, 4), np.float32)
    look = Watch([like], [like.strides], [(0, 1)], out).look
    good = base[4:16].reshape(3, 4)
    bad = [base[:12].reshape(4, 3), base[::2].reshape(3, 4), np.empty((3, 4)), base[:12], None, 1.0]
    bad.append(good.view(type("Other", (np.ndarray,), {})))
    known = (
        look([good]) == SAME
        and out[0] == _documented_address(good) == lib.array_address(id(good) + _HEADER)
        and all(look([b]) == 0 for b in bad)
    )
    like.flags.writeable = False
    return known and look([good]) == PARAMETER_CHANGED


_KNOWN = lib is not None
_KNOWN = _KNOWN and sys.implementation.name == "cpython" and _layout_is_known()
if not _KNOWN:
    address = _documented_address


# ---- what solvers do between passes over the rows ----


def cholesky(A: np.ndarray, ridge: float = 0.0):
    """A function v -> (A + ridge I)^-1 v, or None where there is no factor. A (n, n), float64; one order of operations on
    every machine, one thread: no pool of a BLAS, which spins where CPUs are busy.
    """
    n = len(A)
    L = np.zeros((n + 1, -(-n // 16) * 16))  # whole lanes, and a row for the diagonal
    L[:n, :n] = A
    if not lib.cholesky(address(L), n, float(ridge)):
        return None

    def solve(v):
        x = np.zeros(L.shape[1])
        x[:n] = v
        lib.substitute(address(L), n, address(x))
        return x[:n]

    return solve


def descend(H, q, z, l1, low, high, tol, most) -> int:
    """Coordinate descent of solvers/quadratic.py, whose arrays are float64 and C-ordered: the passes that it took."""
    used = np.empty(len(z), np.int64)
    return lib.descend(len(z), *map(address, (H, q, z, l1, low, high, used)), tol, most)


# ---- linear models ----


class Data:
    """The rows of a linear model for the C library; keeps alive what the struct points to.

    X: (n, features) C-ordered of W's dtype, or uint8 with `scale`; or the CSR triple (data, indices,
    indptr). y int64, or targets of W's dtype; weight of W's dtype or None; order int64 or None.
    loss: a number into LOSSES; hyperparameters: the loss's fields as floats.
    """

    def __init__(self, loss, hyperparameters, X, y, features, classes, *, weight=None, order=None, scale=1.0):
        struct = ffi.new("fo_data *")
        self.struct, self._kept = struct, [X, y, weight, order]
        h = self._keep(ffi.new("double[]", [*map(float, hyperparameters), 0.0]))
        struct.loss, struct.h, struct.scale = loss, h, scale
        struct.features, struct.classes = features, classes
        if isinstance(X, tuple):
            values, indices, indptr = X
            if indices.dtype != indptr.dtype:
                raise TypeError(f"indices are {indices.dtype}, indptr {indptr.dtype}: make them the same")
            struct.storage = CSR32 if indices.dtype.itemsize == 4 else CSR64
            struct.x, struct.indices, struct.indptr = map(self._buffer, (values, indices, indptr))
        else:
            struct.storage = UINT8 if X.dtype == np.uint8 else DENSE
            struct.x = self._buffer(X)
        if y is not None and y.dtype != np.int64:
            struct.targets = self._buffer(y)
        elif y is not None:
            struct.y = ffi.cast("int64_t *", self._buffer(y))
        if weight is not None:
            struct.weight = self._buffer(weight)
        self.set_order(order)

    def _keep(self, cdata):
        self._kept.append(cdata)
        return cdata

    def _buffer(self, array):
        return self._keep(ffi.from_buffer("char[]", array))

    def set_order(self, order):
        """The rows to take, in this order; None for all as they stand."""
        self._order = None if order is None else ffi.from_buffer("int64_t[]", order)
        self.struct.order = ffi.NULL if order is None else self._order


def _values(array, writable=False):
    if array is None:
        return ffi.NULL
    return ffi.from_buffer("float[]" if array.dtype == np.float32 else "double[]", array, writable)


def rows(data: Data, W, b, begin: int, end: int, dW, db) -> float:
    """Add the gradient of positions [begin, end) to dW and db; returns the sum of the weighted losses."""
    loss = ffi.new("double *")
    pointers = _values(dW, True), _values(db, True)
    _good(function("fo_rows", W.dtype)(data.struct, _values(W), _values(b), begin, end, *pointers, loss))
    return loss[0]


def row_scores(X, W, b, scale, block_rows, begin, end, out):
    """out[begin:end] = X[begin:end] W^T + b, C-ordered, of one dtype; X may be uint8, whose numbers are multiplied by scale."""
    run = function("row_scores", out.dtype)
    x, w, at, bias = address(X), address(W), address(out), 0 if b is None else address(b)
    _good(run(x, X.shape[1], X.itemsize, w, bias, len(W), scale, block_rows, begin, end, at))


def _good(status):
    """The status of a C function, or the exception that it stands for."""
    if status == _NO_MEMORY:
        raise MemoryError("no memory for a block of rows")
    if status < 0:
        raise ValueError(f"the C library refuses: {ffi.string(lib.fo_message(status)).decode()}")
    return status


_PARTIALS_BYTES = 16 << 20
_GROUPS = 16


def group_rows(n: int, size_bytes: int) -> int:
    """Rows of a group: a function of the shapes alone, so that sums do not depend on threads."""
    groups = max(1, min(_GROUPS, _PARTIALS_BYTES // max(1, size_bytes), n // 512))
    per_group = -(-n // groups)
    return max(32, -(-per_group // 32) * 32)


def gradient(data: Data, W, b, n: int, dW, db, threads: int = 1) -> float:
    """Sum over all n positions into dW and db (overwritten); the same bits for any number of threads.

    Groups of rows each have a partial gradient; partials are added in order.
    """
    step = group_rows(n, W.nbytes)
    starts = range(0, n, step)

    def partial(start):
        w = np.zeros_like(W)
        v = None if b is None else np.zeros_like(b)
        return rows(data, W, b, start, min(start + step, n), w, v), w, v

    dW[...] = 0
    if db is not None:
        db[...] = 0
    total = 0.0
    for loss, w, v in share(partial, starts, threads):
        total += loss
        dW += w
        if db is not None:
            db += v
    return total


class Training:
    """W and b with their rule and state for `epoch`. Coefficients: float64 (steps, coefficients)."""

    def __init__(self, rule, coefficients, batch, rows, l2, W, b, W_slots, b_slots):
        self.dtype = W.dtype
        self.struct = struct = ffi.new("fo_training *")
        self._kept = [coefficients, W, b, W_slots, b_slots]
        struct.rule, struct.batch, struct.rows, struct.l2 = rule, batch, rows, l2
        struct.coefficients = self._keep(ffi.from_buffer("double[]", coefficients))
        struct.W = self._keep(_values(W, True))
        struct.W_slots = self._slots(W_slots)
        if b is not None:
            struct.b = self._keep(_values(b, True))
            struct.b_slots = self._slots(b_slots)

    def _keep(self, cdata):
        self._kept.append(cdata)
        return cdata

    def _slots(self, slots):
        return self._keep(ffi.new("void *[]", [self._keep(_values(s, True)) for s in slots] or [ffi.NULL]))

    @property
    def loss(self) -> float:
        """The sum of the values of the batches so far."""
        return self.struct.loss

    @property
    def gradient_norm(self) -> float:
        """2-norm of the last batch's gradient."""
        return self.struct.gradient_norm


def epoch(data: Data, training: Training, begin: int, end: int) -> int:
    """Steps [begin, end); returns end, or the step whose value was not finite and was not taken."""
    return _good(function("fo_epoch", training.dtype)(data.struct, training.struct, begin, end))


class ScaledTraining:
    """SGD on CSR rows for `scaled_epoch`: W is alpha * V, V is (features, classes), b may be None.

    coefficients: float64 (steps, 3), see fo_scaled_training in fastopt.h. squares: the sum of V's squares.
    """

    def __init__(self, coefficients, batch, rows, l2, V, b, alpha, squares, loss=0.0):
        self.dtype = V.dtype
        self.struct = struct = ffi.new("fo_scaled_training *")
        self._kept = [ffi.from_buffer("double[]", coefficients), _values(V, True), _values(b, True)]
        struct.coefficients, struct.V, struct.b = self._kept
        struct.batch, struct.rows, struct.l2 = batch, rows, l2
        struct.alpha, struct.squares, struct.loss = alpha, squares, loss


def scaled_epoch(data: Data, training: ScaledTraining, begin: int, end: int) -> int:
    """As `epoch`; V, b, alpha, squares, loss and gradient_norm of the struct change."""
    return _good(function("fo_scaled_epoch", training.dtype)(data.struct, training.struct, begin, end))
