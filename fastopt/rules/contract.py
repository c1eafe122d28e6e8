"""What a rule declares, tested once a class, with the same words on every back end.

The formula is called on two elements together and on each alone, in both dtypes, with arrays that
cannot be written to and with an h that has no fields: what NumPy would let pass and a kernel would
not, or would compute otherwise, is found here, before anything is compiled.
"""

import linecache
import traceback
import types
import weakref
from inspect import signature
from numbers import Real

import numpy as np

_ARGUMENTS = {"update": ["h", "k", "p", "g", "s"], "coefficients": ["h", "t"], "initial": ["h"]}
_T = (1.0, 2.0, 1000.0)
_tested: weakref.WeakKeyDictionary = weakref.WeakKeyDictionary()  # class -> (its functions, dtypes) tested


def test(rule, dtype="float64"):
    """Raise TypeError or ValueError where the rule does not keep what it declares; once a class and dtype."""
    cls, dtype = type(rule), np.dtype(dtype)
    functions = tuple(getattr(cls, name, None) for name in ("update", "coefficients", "initial", "slots"))
    known, dtypes = _tested.get(cls, (None, ()))
    if known != functions:
        _test_declared(rule)
        _test_coefficients(rule)
        if declares_linear(cls):
            _test_linear(rule)
        dtypes = ()
    if dtype not in dtypes:
        _test_update(rule, dtype)
        _tested[cls] = functions, (*dtypes, dtype)


def declares_linear(cls):
    """Whether `linear` was declared for the update that the class has, not for one that it replaced."""
    if not getattr(cls, "linear", False):
        return False
    for parent in cls.__mro__:
        if "linear" in vars(parent):
            return True
        if "update" in vars(parent) or "coefficients" in vars(parent):
            return False
    return False


# ---- what stands in the class ----


def _test_declared(rule):
    cls, name = type(rule), type(rule).__name__
    for needed in ("_fields", "slots", "coefficients", "update"):
        if not hasattr(rule, needed):
            raise TypeError(f"{name} is no rule: it has no {needed} (see fastopt.rules)")
    for method in ("update", "coefficients", "initial"):
        if hasattr(cls, method):
            _test_method(cls, method)
    slots = cls.slots
    if isinstance(slots, str) or not isinstance(slots, (tuple, list)):
        mend = f"slots = ({slots!r},)" if isinstance(slots, str) else 'slots = ("v",)'
        raise TypeError(f"{name}.slots must be a tuple of names, not {slots!r}: write {mend}")
    if not all(isinstance(s, str) and s for s in slots) or len(set(slots)) != len(slots):
        raise TypeError(f"{name}.slots must be different names, not {slots!r}")
    for field in cls._fields:
        home = next(parent for parent in cls.__mro__ if field in vars(parent))
        if "_fields" not in vars(home):
            raise TypeError(
                f"{name}.{field} = {vars(home)[field]!r} in the class hides the field {field}, which the rule "
                f"computes with: write {home.__name__}({field}=...), or a function that returns that"
            )


def _test_method(cls, method):
    given = inspect_static(cls, method)
    wanted = _ARGUMENTS[method]
    if not isinstance(given, staticmethod):
        raise TypeError(f"{cls.__name__}.{method} must be a static method of ({', '.join(wanted)}): "
                        f"write @staticmethod above def {method}")  # fmt: skip
    names = list(signature(given.__func__).parameters)
    if method == "update" and names != wanted:
        raise TypeError(f"{cls.__name__}.update must be a static method of (h, k, p, g, s), not {names}")
    if len(names) != len(wanted):
        raise TypeError(
            f"{cls.__name__}.{method} must be a static method of ({', '.join(wanted)}), not {names}"
        )


def inspect_static(cls, name):
    """What the class or a parent has under the name, as it stands there."""
    return next(vars(parent)[name] for parent in cls.__mro__ if name in vars(parent))


# ---- once a step ----


def _test_coefficients(rule):
    name = type(rule).__name__
    counts = set()
    for t in _T:
        k = _called(rule, "coefficients", rule, t)
        check_coefficients(rule, k)
        counts.add(len(k))
    if len(counts) > 1:
        raise ValueError(
            f"{name}.coefficients must return as many numbers at every step, not {sorted(counts)}"
        )
    start = _called(rule, "initial", rule) if hasattr(rule, "initial") else (0.0,) * len(rule.slots)
    if not isinstance(start, (tuple, list)) or not all(isinstance(v, Real) for v in start):
        raise TypeError(f"{name}.initial must return a tuple of numbers, one a slot, not {start!r:.60}")
    if len(start) != len(rule.slots):
        raise ValueError(
            f"{name}.initial returns {len(start)} numbers, and there are {len(rule.slots)} slots: {rule.slots}"
        )


def check_coefficients(rule, k, count=None):
    """Raise unless these are what `coefficients` must return."""
    name = type(rule).__name__
    if not isinstance(k, (tuple, list)):
        raise TypeError(f"{name}.coefficients must return a tuple of numbers, not {k!r:.60}: "
                        "write a comma behind a single one, (h.lr,)")  # fmt: skip
    for value in k:
        if not isinstance(value, Real):
            raise TypeError(f"{name}.coefficients must return a tuple of numbers, not one with {value!r:.60}")
    if count is not None and len(k) != count:
        raise ValueError(
            f"{name}.coefficients returned {len(k)} numbers, and {count} at the first step: "
            "their number must stay the same"
        )


# ---- once an element ----


class _NoFields:
    """Stands for h in `update`: a kernel has none of its fields."""

    def __init__(self, name):
        self._name = name

    def __getattr__(self, field):
        raise _ReadsField(f"h.{field}")

    def __getitem__(self, i):
        raise _ReadsField(f"h[{i!r}]")

    def __iter__(self):
        raise _ReadsField("h")


class _ReadsField(Exception):
    pass


class _Strict(np.ndarray):
    """An array on which a number that is written in the formula is an error.

    NumPy lets float32 * 0.5 be float32, a kernel has float64 numbers there.
    """

    def __array_ufunc__(self, ufunc, method, *inputs, **options):
        self._look(ufunc.__name__, inputs)
        plain = [np.asarray(v) if isinstance(v, _Strict) else v for v in inputs]
        result = getattr(ufunc, method)(*plain, **options)
        return np.asarray(result).view(_Strict) if isinstance(result, (np.ndarray, np.generic)) else result

    def __array_function__(self, function, kinds, args, options):
        if function.__name__ in ("where", "clip"):
            self._look(function.__name__, (*args, *options.values()))
        return super().__array_function__(function, kinds, args, options)

    def _look(self, name, inputs):
        if name in _TAKE_LITERALS or self.dtype == bool:
            return
        for value in inputs:
            if type(value) in (int, float):
                raise _HasLiteral(repr(value))


# Whose result does not take on the number's type.
_TAKE_LITERALS = {
    "power",
    "greater",
    "greater_equal",
    "less",
    "less_equal",
    "equal",
    "not_equal",
    "sum",
    "mean",
}


class _HasLiteral(Exception):
    pass


def _test_literals(rule, k, p, g, s):
    strict = [a.view(_Strict) for a in (p, g, *s)]
    k = tuple(np.array(v).view(_Strict) for v in k)
    function = type(rule).update
    try:
        with np.errstate(all="ignore"):
            function(_NoFields(""), k, strict[0], strict[1], tuple(strict[2:]))
    except _HasLiteral as error:
        raise TypeError(
            f"{type(rule).__name__}.update has the number {error}{_where(function, error)}: a literal turns "
            "float32 into float64; make it a coefficient: return it from coefficients and take it from k"
        ) from None
    except Exception:  # found and told below, or a compiled function that takes no such arrays
        return


def _test_update(rule, dtype):
    k = tuple(np.array(_called(rule, "coefficients", rule, 2.0), np.float64).astype(dtype))
    if getattr(type(rule), "whole", False):
        _test_whole(rule, dtype, k)
        return
    p, g, s = _two_elements(rule, dtype)
    if dtype == np.float32:
        _test_literals(rule, (*k, *_numbers(rule, k)), p, g, s)
    if hasattr(rule, "measure"):
        with np.errstate(all="ignore"):
            values = [_measured(rule, dtype, k, p, g, s, (2,))]
            values += [_measured(rule, dtype, k, p[i], g[i], tuple(v[i] for v in s), ()) for i in (0, 1)]
        _compare(rule, "measure", [f"value {i}" for i in range(rule.measures)], *values)
        k = (*k, *(dtype.type(v) for v in _numbers(rule, k)))
    with np.errstate(all="ignore"):
        together = _result(rule, dtype, k, p, g, s, (2,))
        apart = [_result(rule, dtype, k, p[i], g[i], tuple(v[i] for v in s), ()) for i in (0, 1)]
    _compare(rule, "update", ("p", *rule.slots), together, *apart)


def _two_elements(rule, dtype):
    """p, g and slots of two elements, which cannot be written to."""
    rng = np.random.default_rng(0)
    p, g, *s = rng.uniform(0.5, 1.5, (2 + len(rule.slots), 2)).astype(dtype)
    g = g * np.array([-1, 1], dtype)
    for array in (p, g, *s):
        array.flags.writeable = False
    return p, g, tuple(s)


def _compare(rule, method, names, together, one, two):
    close = 1e-4 if together[0].dtype == np.float32 else 1e-10  # NumPy takes x**2 of a number by other code
    for what, both, *apart in zip(names, together, one, two, strict=True):
        if not np.allclose(both, apart, rtol=close, atol=0, equal_nan=True):
            raise ValueError(
                f"{type(rule).__name__}.{method} gives another {what} for two elements together than for each alone"
                f"{_where(getattr(type(rule), method))}: it is called once an element, so a sum, mean, norm or index "
                "over the array means another thing there. For norms over the array see `measure` in fastopt.rules"
            )


def _numbers(rule, k):
    """What `from_norms` gives for norms of 1; () for a rule without norms."""
    if not hasattr(rule, "measure"):
        return ()
    name = type(rule).__name__
    for attribute in ("measures", "numbers"):
        if not isinstance(getattr(rule, attribute, None), int):
            raise TypeError(
                f"{name}.{attribute} must be a whole number: how many norms, and how many numbers of them"
            )
    numbers = _called(rule, "from_norms", rule, tuple(map(float, k)), [1.0] * rule.measures, 2)
    if not isinstance(numbers, (tuple, list)) or len(numbers) != rule.numbers:
        raise TypeError(
            f"{name}.from_norms must return a tuple of {rule.numbers} numbers, not {numbers!r:.60}"
        )
    return tuple(map(float, numbers))


def _measured(rule, dtype, k, p, g, s, shape):
    values, name = _called(rule, "measure", _NoFields(""), k, p, g, s), type(rule).__name__
    if not isinstance(values, tuple) or len(values) != rule.measures:
        raise TypeError(f"{name}.measure must return a tuple of {rule.measures} values, not {values!r:.60}")
    for value in values:
        if getattr(value, "dtype", None) != dtype or np.shape(value) != shape:
            raise TypeError(
                f"{name}.measure must return values of the elements, all {dtype}, not {value!r:.60}"
            )
    return values


def _test_whole(rule, dtype, k):
    name, shape = type(rule).__name__, (2, 3)
    shapes = _called(rule, "slot_shapes", rule, shape)
    if len(shapes) != len(rule.slots):
        raise ValueError(
            f"{name}.slot_shapes returns {len(shapes)} shapes, and there are {len(rule.slots)} slots"
        )
    p, g = np.random.default_rng(0).uniform(0.5, 1.5, (2, *shape)).astype(dtype)
    with np.errstate(all="ignore"):
        result = _called(rule, "update", rule, k, p, g, tuple(np.ones(s, dtype) for s in shapes))
    if not isinstance(result, tuple) or len(result) != 2 or len(result[1]) != len(rule.slots):
        raise TypeError(f"{name}.update must return (p, slots) with {len(rule.slots)} slots")
    for what, value, wanted in zip(
        ("p", *rule.slots), (result[0], *result[1]), (shape, *shapes), strict=True
    ):
        if getattr(value, "dtype", None) != dtype or np.shape(value) != tuple(wanted):
            found = f"{getattr(value, 'dtype', type(value).__name__)}{np.shape(value)}"
            raise TypeError(f"{name}.update must return {what} as {dtype}{tuple(wanted)}, not {found}")


def _result(rule, dtype, k, p, g, s, shape):
    """The new p and slots as a flat tuple, or an error that says what update should have returned."""
    name, count = type(rule).__name__, len(rule.slots)
    result = _called(rule, "update", _NoFields(name), k, p, g, s)
    form = f"{name}.update must return (p, slots) with {count} slots"
    if not isinstance(result, tuple) or len(result) != 2 or not isinstance(result[1], (tuple, list)):
        shown = type(result).__name__ if not isinstance(result, tuple) else f"a tuple of {len(result)}"
        mend = "return p, ()" if not count else f"return p, ({', '.join(rule.slots)},)"
        raise TypeError(f"{form}, not {shown}: write {mend}")
    if len(result[1]) != count:
        raise TypeError(f"{form}, not {len(result[1])}: as many as `slots` names, {tuple(rule.slots)}")
    values = (result[0], *result[1])
    for what, value in zip(("p", *rule.slots), values, strict=True):
        if getattr(value, "dtype", None) != dtype or np.shape(value) != shape:
            found = getattr(value, "dtype", type(value).__name__)
            other = "" if np.shape(value) == shape else f" of shape {np.shape(value)} for {shape}"
            raise TypeError(
                f"{form}, all {dtype}, but {what} is {found}{other}: a literal or an integer in the "
                "formula changes the type; make it a coefficient"
            )
    return values


def _called(rule, method, *args):
    """The method's result; what it raises is said in words that name it, the line and the mend."""
    name, function = type(rule).__name__, getattr(type(rule), method)
    try:
        return function(*args)
    except _ReadsField as error:
        raise TypeError(
            f"{name}.update reads {error}{_where(function, error)}: hyperparameters reach it as coefficients. "
            f"Return {error} from coefficients and take it from k"
        ) from None
    except Exception as error:
        raise TypeError(
            f"{name}.{method} raised {type(error).__name__}: {_short(error)}{_where(function, error)}{_mend(error)}"
        ) from error


def _short(error):
    lines = str(error).strip().splitlines() or [""]
    return lines[0] if len(lines[0]) < 200 else lines[0][:200] + "..."


def _mend(error):
    text = str(error)
    if "read-only" in text:
        return ": it must leave its arguments alone; write g = g + ..., not g += ..."
    if "truth value" in text:
        return ": update has no branches on elements; write np.where(condition, a, b)"
    if "unpack" in text:
        return ": k has what coefficients returns, s what slots names"
    return ""


def _where(function, error=None):
    """ " (file, line N: `text`)" of the line in which the function failed, or of the function."""
    code = getattr(function, "__code__", None)
    if not isinstance(code, types.CodeType):
        return ""
    line = code.co_firstlineno
    if error is not None:
        lines = [n for f, n in traceback.walk_tb(error.__traceback__) if f.f_code is code]
        line = lines[-1] if lines else line
    text = linecache.getline(code.co_filename, line).strip()
    return f" ({code.co_filename.rpartition('/')[2]}, line {line}{f': `{text}`' if text else ''})"


# ---- what linear means ----


def _test_linear(rule):
    name = type(rule).__name__
    if rule.slots:
        raise ValueError(f"{name}.linear is set, but it has slots: a linear rule has none, p = a*p + b*g")
    rng = np.random.default_rng(1)
    k = tuple(np.float64(v) for v in rule.coefficients(rule, 3.0))
    p, q, g, d = rng.standard_normal((4, 16)) * 10.0 ** rng.integers(-3, 4, (4, 16))

    def update(p, g):
        return rule.update(rule, k, p, g, ())[0]

    with np.errstate(all="ignore"):
        sides = update(p + q, g + d), update(p, g) + update(q, d)
        halves = update(-0.5 * p, -0.5 * g), -0.5 * update(p, g)
        scale = np.abs(p) + np.abs(q) + np.abs(g) + np.abs(d)
    for a, b in (sides, halves):
        if not (np.abs(a - b) <= 1e-9 * scale * max(1.0, *map(abs, k))).all():
            raise ValueError(
                f"{name}.linear is set, but update is not linear{_where(type(rule).update)}: it must be "
                "p = a*p + b*g with a and b from the coefficients alone. Take `linear` away, or set it to False"
            )
