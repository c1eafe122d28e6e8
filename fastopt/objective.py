"""fo.Objective: data, loss and penalty of a linear model, checked and bound once."""

import functools
import threading

import numpy as np

from fastopt import losses, penalties
from fastopt.arrays import check_float, check_parameter, checked_l2, is_plain, meet, span
from fastopt.engines import choose, parted
from fastopt.engines.numpy import BLOCK, block_scores
from fastopt.parts import is_source, rows_of
from fastopt.rows import checked_rows
from fastopt.threads import checked_threads

ALONE = 1 << 20  # multiply-adds below which it takes longer to ask how many threads there are (60 us)


class Objective:
    """sum_i w_i L_i / sum_i w_i + penalty(W) of the scores X W^T + b, as a function of (W, b).

    loss: one of fastopt.losses, or an own. X: (n, features) float32, float64 or uint8 (multiplied by `scale`,
        1/255), C-ordered, or scipy CSR. y: (n,) class numbers, or real targets for regression; with Softmax and
        Logistic also soft labels, (n, classes) probabilities.
        Or X: a source (fo.source), which holds y and weights too and is read part by part at every call.
    penalty: fo.L1, fo.L2, fo.ElasticNet or None; l2 is added to it. b is never penalised.
    sample_weight: (n,), 1 each without. fit_intercept=False: there is no b, and None is passed for it.
    classes: rows of W where y does not say (a class without a row): 1 for two classes with a "binary" loss
        (Logistic, Hinge) and for regression, else one a class.

    W: (classes, features), b: (classes,), of `dtype`: X's, float32 for uint8. X, y and the weights are
    checked and kept, not copied where they fit: do not change them. X is read once a call, in blocks; sums
    do not depend on `threads`. Raises TypeError or ValueError naming the argument that does not fit. One
    objective may be called by several threads; they wait for each other.
    """

    def __init__(
        self, loss, X, y=None, *, l2=0.0, penalty=None, sample_weight=None, fit_intercept=True, scale=None,
        classes=None, backend="auto", threads=None,
    ):  # fmt: skip
        losses.checked(loss)
        if is_source(X):
            rows = rows_of(X, loss, y, classes=classes, scale=scale, weight=sample_weight)
        else:
            rows = checked_rows(loss, X, y, classes=classes, scale=scale, weight=sample_weight)
        penalty = penalties.checked(penalty, checked_l2(l2))
        self._bind(loss, rows, penalty, fit_intercept, backend, threads, False)

    @classmethod
    def of_rows(
        cls, loss, rows, penalty=None, *, fit_intercept=True, backend="auto", threads=None, unchecked=False
    ):
        """The same of Rows that are checked; unchecked: but for the column numbers of CSR (Numba)."""
        self = cls.__new__(cls)
        self._bind(loss, rows, penalties.checked(penalty), fit_intercept, backend, threads, unchecked)
        return self

    def _bind(self, loss, rows, penalty, fit_intercept, backend, threads, unchecked):
        self.loss, self.rows, self.penalty = loss, rows, penalty
        formula = loss if rows.is_remote else rows.formula(loss)
        self.fit_intercept, self.asked = bool(fit_intercept), backend
        self.backend = choose.resolve(backend, loss=formula)
        self.n, self.classes, self.features, self.dtype = rows.n, rows.classes, rows.features, rows.dtype
        if threads is None and rows.entries * rows.classes < ALONE:
            threads = 1
        self.threads = checked_threads(threads)
        self.weight = rows.weight_sum
        self._l2, self._rest = _split(penalty)
        self._factor = rows.one_over_weights
        self._shape, self._bias_shape = (self.classes, self.features), (self.classes,)
        self.engine = self.backend if rows.is_remote else choose.of_run(backend, formula)
        self._run = parted.bind_gradient(self.engine, loss, rows, self.threads, unchecked)
        self._lock, self._spans, self._known = threading.Lock(), None, None

    def __repr__(self):
        return (
            f"Objective({self.loss}, {self.penalty}, X {self.n}x{self.features} {self.dtype}, "
            f"{self.classes} row{'s' * (self.classes > 1)} of W, {self.backend})"
        )

    def zeros(self):
        """(W, b) of zeros; b is None without an intercept."""
        return np.zeros(self._shape, self.dtype), (
            np.zeros(self._bias_shape, self.dtype) if self.fit_intercept else None
        )

    def value(self, W, b=None):
        """The value, penalty included, as a float."""
        W, b = self._checked(W, b)
        return self._evaluate(W, b, *self._room())

    def value_and_grad(self, W, b=None, out=None):
        """(value, dW, db), or (value, dW) without an intercept; out: (dW, db), or dW, to write to.

        With an l1 the value is the whole one and dW the gradient of the rest, as proximal steps want it.
        """
        W, b = self._checked(W, b)
        if out is None:
            dW, db = self._room()
        else:
            dW, db = self._outputs(out, W, b)
        value = self._evaluate(W, b, dW, db)
        return (value, dW) if b is None else (value, dW, db)

    def _room(self):
        """Memory for dW and db."""
        dW = np.empty(self._shape, self.dtype)
        return dW, np.empty(self._bias_shape, self.dtype) if self.fit_intercept else None

    def _evaluate(self, W, b, dW, db):
        with self._lock:
            value = self._run(W, b, dW, db, self._factor, self._l2)
        if self._rest is None:
            return value
        self._rest.add_gradient(W, dW)
        return value + self._rest.value(W)

    def gradient_sums(self, W, b=None):
        """(sum_i w_i L_i, its dW, its db, sum_i w_i): neither divided nor penalised; db is None without b.

        What objectives of parts of the data add up: value = sum of losses / sum of weights + penalty.
        """
        W, b = self._checked(W, b)
        dW, db = self._room()
        with self._lock:
            loss = self._run(W, b, dW, db, 1.0, 0.0)
        return loss, dW, db, self.weight

    def scores(self, W, b=None):
        """X W^T + b: (n, classes)."""
        W, b = self._checked(W, b)
        found = list(self.rows.map(functools.partial(_scores_of, W=W, b=b)))
        return found[0] if len(found) == 1 else np.concatenate(found)

    def hessian_product(self, W, b, V, c=None):
        """(HV, Hc), the second derivative of the smooth part at (W, b) times (V, c); HV alone without b.

        At a kink of the gradient it is that of the side where the gradient is taken. ValueError where the
        loss has no `curvature`.
        """
        W, b = self._checked(W, b)
        V, c = self._checked(V, c, "V", "c")
        self._check_curvature()
        HV, Hc = np.zeros_like(W), None if b is None else np.zeros_like(b)
        product = functools.partial(_product_of, loss=self.loss, W=W, b=b, V=V, c=c)
        for own_HV, own_Hc in self.rows.map(product):
            HV += own_HV
            if Hc is not None:
                Hc += own_Hc
        HV *= self.dtype.type(self._factor)
        self.penalty.add_gradient(V, HV)
        if Hc is None:
            return HV
        Hc *= self.dtype.type(self._factor)
        return HV, Hc

    def hessian(self, W, b=None):
        """The second derivative of the smooth part, (p, p), p = classes * features + classes with a b:
        W row by row, then b. For small models: p products with unit vectors.
        """
        W, b = self._checked(W, b)
        p = W.size + (0 if b is None else b.size)
        result, unit = np.empty((p, p), self.dtype), np.zeros(p, self.dtype)
        for i in range(p):
            unit[i] = 1
            V, c = unit[: W.size].reshape(W.shape), None if b is None else unit[W.size :]
            product = self.hessian_product(W, b, V, c)
            result[i] = product.reshape(-1) if b is None else np.concatenate([p.reshape(-1) for p in product])
            unit[i] = 0
        return (result + result.T) / 2

    def _check_curvature(self):
        if not losses.has_curvature(self.loss):
            raise ValueError(
                f"{self.loss} has no second derivative in the scores (`curvature`, see fastopt.losses): "
                "use a method that needs the gradient only"
            )

    def fitting(self, W, b=None):
        """(W, b) as arrays of the objective's shapes and dtype; TypeError or ValueError where they do not fit."""
        return self._checked(W, b)

    def _checked(self, W, b, W_name="W", b_name="b"):
        if type(W) is not np.ndarray or W.shape != self._shape or W.dtype != self.dtype or not is_plain(W):
            W = _fitting(W, W_name, self._shape, self.dtype)
        if not self.fit_intercept:
            if b is not None:
                raise ValueError(f"{b_name} must be None: the objective was made with fit_intercept=False")
            return W, None
        if b is None:
            raise ValueError(f"{b_name} is missing: pass one, or make the objective with fit_intercept=False")
        if (
            type(b) is not np.ndarray
            or b.shape != self._bias_shape
            or b.dtype != self.dtype
            or not is_plain(b)
        ):
            b = _fitting(b, b_name, self._bias_shape, self.dtype)
        return W, b

    def _outputs(self, out, W, b):
        """dW and db of the user's, checked; the same arrays as last time are not looked at again."""
        given = (out,) if isinstance(out, np.ndarray) else tuple(out)
        wanted = (W,) if b is None else (W, b)
        now = (*given, *wanted)
        if self._known is not None and len(now) == len(self._known):
            for x, y in zip(now, self._known, strict=True):
                if x is not y:
                    break
            else:
                return given if b is not None else (given[0], None)
        if len(given) != len(wanted):
            raise ValueError(f"out must be {'dW' if b is None else '(dW, db)'}, not {len(given)} arrays")
        if self._spans is None:
            self._spans = [span(array) for array in self.rows.arrays()]
        _check_outputs(given, wanted, self._spans)
        self._known = now
        return given if b is not None else (given[0], None)


def _blocks(rows):
    """Slices of up to BLOCK rows."""
    return (slice(begin, min(begin + BLOCK, rows.n)) for begin in range(0, rows.n, BLOCK))


def _scores_of(rows, W, b):
    result = np.empty((rows.n, rows.classes), rows.dtype)
    for part in _blocks(rows):
        result[part] = block_scores(rows.matrix(part), W, b).T
    return result


def _product_of(rows, loss, W, b, V, c):
    """(HV, Hc or None): sums over the rows of the loss's second derivative at (W, b) times (V, c)."""
    k, curvature = tuple(map(float, loss)), rows.formula(loss).curvature
    HV, Hc = np.zeros_like(W), None if b is None else np.zeros_like(b)
    with np.errstate(all="ignore"):
        for part in _blocks(rows):
            X = rows.matrix(part)
            s, v = block_scores(X, W, b), block_scores(X, V, c)
            d = np.empty_like(s)
            curvature(k, s, rows.labels(loss, part), v, d)
            if rows.weight is not None:
                d *= rows.weight[part]
            HV += (X.T @ d.T).T
            if Hc is not None:
                Hc += d.sum(axis=1)
    return HV, Hc


def _split(penalty):
    """(l2, the rest of the penalty or None): l2 is added where the gradient is summed up."""
    if type(penalty) not in penalties.PENALTIES:
        return 0.0, penalty
    return float(penalty.l2), penalties.L1(penalty.l1) if penalty.l1 else None


def _fitting(array, name, shape, dtype):
    """The array in C order, or an error that says what it must be."""
    if not isinstance(array, np.ndarray) or array.shape != shape:
        raise ValueError(f"{name} must be an array {shape}, not {type(array).__name__} {np.shape(array)}")
    check_float(array, name)
    if array.dtype != dtype:
        raise TypeError(f"{name} is {array.dtype}, the objective {dtype}: convert one of them")
    return np.ascontiguousarray(array)


def _check_outputs(given, wanted, spans):
    spans = [*spans, *map(span, wanted)]
    for name, array, like in zip(("dW", "db"), given, wanted, strict=False):
        check_parameter(array, f"out: {name}")
        if array.shape != like.shape or array.dtype != like.dtype or not array.flags.c_contiguous:
            raise ValueError(f"out: {name} must be C-ordered {like.dtype}{like.shape}")
        own = span(array)
        if any(meet(own, other) for other in spans):
            raise ValueError(f"out: {name} overlaps W, b, X, y or sample_weight in memory")
    if len(given) > 1 and meet(span(given[0]), span(given[1])):
        raise ValueError("out: dW and db overlap in memory")
