"""What a rule declares is tested: broken rules, and what their author is told, on every back end."""

from typing import NamedTuple

import numpy as np
import pytest

import fastopt as fo
from fastopt import rules
from fastopt.rules import contract

SOURCE = """
from typing import NamedTuple
import numpy as np
TABLE = {"share": 0.5}

class Mine(NamedTuple):
    lr: float = 0.1
    slots = SLOTS
    EXTRA

    @staticmethod
    def coefficients(h, t):
        return COEFFICIENTS

    @staticmethod
    def update(h, k, p, g, s):
        BODY
"""


def made(body="return p - k[0] * g, ()", slots="()", coefficients="(h.lr,)", extra="pass"):
    """The class of a rule, from a file of its own so that errors can show its lines."""
    text = SOURCE.replace("SLOTS", slots).replace("COEFFICIENTS", coefficients).replace("EXTRA", extra)
    scope = {"__name__": "mine"}
    exec(compile(text.replace("BODY", body.replace("\n", "\n        ")), "mine.py", "exec"), scope)
    return scope["Mine"]


BROKEN = {
    "h inside update": (dict(body="return p - h.lr * g, ()"), TypeError, r"update reads h\.lr .*line 17.*from coefficients"),
    "h taken apart": (dict(body="(lr,) = h\nreturn p - lr * g, ()"), TypeError, "update reads h .*line 17"),
    "a sum over the array": (
        dict(body="return p - k[0] * g / np.sqrt(np.sum(g * g)), ()"), ValueError, "two elements together.*measure"),
    "the neighbour": (dict(body="return p - k[0] * np.roll(g, 1), ()"), ValueError, "two elements together"),
    "not linear": (
        dict(body="return p - k[0] * np.sign(g), ()", extra="linear = True"), ValueError, "linear is set, but.*Take `linear` away"),
    "an offset is not linear": (
        dict(body="return p - k[0] * g - k[0], ()", extra="linear = True"), ValueError, "linear is set, but"),
    "linear with slots": (
        dict(body="return p - k[0] * s[0], s", slots='("v",)', extra="linear = True"), ValueError, "linear is set, but it has slots"),
    "p alone": (dict(body="return p - k[0] * g"), TypeError, r"must return \(p, slots\) with 0 slots.*return p, \(\)"),
    "a slot too few": (dict(slots='("m", "v")', body="return p - k[0] * g, (s[0],)"), TypeError, "with 2 slots, not 1"),
    "slots as text": (dict(slots='"velocity"'), TypeError, r"slots must be a tuple.*slots = \('velocity',\)"),
    "two slots of a name": (dict(slots='("v", "v")', body="return p - k[0] * g, s"), TypeError, "different names"),
    "a literal": (dict(body="return p - 0.5 * k[0] * g, ()"), TypeError, "has the number 0.5.*line 17.*coefficient"),
    "an integer": (dict(body="return p - k[0] * g / 2, ()"), TypeError, "has the number 2 .*coefficient"),
    "another dtype": (dict(body="return p - np.float64(2) * g, ()"), TypeError, "all float32, but p is float64"),
    "a branch": (dict(body="if g > p:\n    return p, ()\nreturn p - k[0] * g, ()"), TypeError, "no branches.*np.where"),
    "g changed in place": (dict(body="g *= k[0]\nreturn p - g, ()"), TypeError, r"line 17.*leave its arguments alone"),
    "a slot changed in place": (
        dict(slots='("v",)', body="v = s[0]\nv += g\nreturn p - k[0] * v, (v,)"), TypeError, "line 18.*leave its arguments alone"),
    "a number for coefficients": (dict(coefficients="h.lr"), TypeError, r"coefficients must return a tuple.*\(h\.lr,\)"),
    "text among coefficients": (dict(coefficients="(h.lr, 'x')"), TypeError, "one with 'x'"),
    "more coefficients later": (dict(coefficients="(h.lr,) * int(t)"), ValueError, "as many numbers at every step"),
    "coefficients that fail": (dict(coefficients="(h.rate,)"), TypeError, "coefficients raised AttributeError.*line 13"),
    "k taken apart wrongly": (dict(body="lr, decay = k\nreturn p - lr * g, ()"), TypeError, "raised ValueError.*k has what"),
    "a number for initial": (
        dict(slots='("v",)', body="return p - k[0] * g, s", extra="initial = staticmethod(lambda h: 1.0)"),
        TypeError, "initial must return a tuple"),
    "initial of another length": (
        dict(slots='("v",)', body="return p - k[0] * g, s", extra="initial = staticmethod(lambda h: ())"),
        ValueError, "initial returns 0 numbers.*1 slots"),
    "not static": (dict(extra="coefficients = lambda h, t: (h.lr,)"), None, None),
    "no update": (dict(extra="pass"), None, None),
}  # fmt: skip
TOLD = {name: row for name, row in BROKEN.items() if row[1] is not None}


@pytest.mark.parametrize("name", TOLD)
def test_broken_rules(name, backend):
    """The same words on every back end, before anything is compiled or changed."""
    given, error, message = TOLD[name]
    cls = made(**given)
    if backend == "c":
        backend = "auto"  # the C library has no rules of users' own
    p = np.ones(3, "f4")
    with pytest.raises(error, match=f"(?s)^Mine.*{message}") as caught:
        fo.Optimizer(p, cls(), backend=backend).step(np.ones(3, "f4"))
    assert len(str(caught.value)) < 500 and (p == 1).all()


def test_a_rule_that_keeps_its_contract_is_tested_once(monkeypatch):
    cls = made(
        slots='("v",)', body="v = s[0] + g * g\nreturn p - k[0] * np.where(g > p, g, -g) / np.sqrt(v), (v,)"
    )
    rules.checked(cls())
    monkeypatch.setattr(contract, "_test_update", None)
    rules.checked(cls(0.5))  # not again
    cls.update = staticmethod(lambda h, k, p, g, s: (p, s))
    with pytest.raises(TypeError, match="NoneType"):
        rules.checked(cls())  # another formula: again


def test_a_method_that_is_not_static():
    for method, function in (
        ("update", lambda h, k, p, g, s: (p, s)),
        ("coefficients", lambda h, t: (h.lr,)),
    ):
        cls = made()
        setattr(cls, method, function)
        with pytest.raises(TypeError, match=f"Mine.{method} must be a static method of .*@staticmethod"):
            rules.checked(cls())


def test_what_a_rule_is_not():
    for wrong in (3, "Adam", None, lambda p, g: p - g):
        with pytest.raises(TypeError, match="no rule"):
            fo.Optimizer(np.zeros(2), wrong)
    with pytest.raises(TypeError, match=r"write Adam\(...\)"):
        fo.Optimizer(np.zeros(2), fo.Adam)
    cls = made()
    del cls.update
    with pytest.raises(TypeError, match="it has no update"):
        rules.checked(cls())


def test_a_default_that_hides_a_field():
    class Fast(fo.SGD):
        lr = 0.5

    with pytest.raises(TypeError, match=r"Fast.lr = 0.5 in the class hides the field lr.*Fast\(lr=...\)"):
        rules.checked(Fast())


# ------------------------------------------------------------------- inherited


class Signed(fo.SGD):
    """Its own update: not linear, whatever SGD says of its."""

    @staticmethod
    def update(h, k, p, g, s):
        return p - k[0] * np.sign(g), ()


class Doubled(fo.SGD):
    """Its own coefficients only."""

    @staticmethod
    def coefficients(h, t):
        return 2 * h.lr, h.weight_decay


class Renamed(fo.SGD):
    """All of SGD."""


class Declared(fo.SGD):
    linear = True

    @staticmethod
    def update(h, k, p, g, s):
        return p - k[0] * (g + g), ()


def test_linear_is_not_inherited_by_another_update():
    kept = [rules.is_linear(rules.checked(cls())) for cls in (fo.SGD, Signed, Doubled, Renamed, Declared)]
    assert kept == [True, False, False, True, True]


@pytest.mark.parametrize("cls", [Signed, Doubled, Renamed, Declared])
@pytest.mark.parametrize("batch", [1, 20])
def test_inherited_rules_train_on_sparse_rows(cls, batch, numba, rng):
    sparse = pytest.importorskip("scipy.sparse")
    X = rng.standard_normal((120, 9)) * (rng.random((120, 9)) < 0.4)
    y = rng.integers(0, 3, 120)
    fits = [
        fo.train(data, y, rule=cls(0.05), epochs=2, batch_size=batch, backend=backend).W
        for data, backend in ((sparse.csr_array(X), "numba"), (X, "numba"), (X, "numpy"))
    ]
    np.testing.assert_allclose(fits[0], fits[2], rtol=1e-6, atol=1e-9)
    np.testing.assert_allclose(fits[1], fits[2], rtol=1e-6, atol=1e-9)


class FirstStep(NamedTuple):
    """Twice the rate in the first step."""

    lr: float = 0.1
    slots = ()

    @staticmethod
    def coefficients(h, t):
        return (2 * h.lr if t == 1 else h.lr,)

    @staticmethod
    def update(h, k, p, g, s):
        return p - k[0] * g, ()


def test_coefficients_that_look_at_t_are_asked_at_every_step(rng, backend):
    assert rules.looks_at_t(FirstStep()) and rules.looks_at_t(fo.Adam()) and not rules.looks_at_t(fo.SGD())
    X, y = rng.standard_normal((40, 4)), rng.integers(0, 2, 40)
    W, b = np.zeros((2, 4)), np.zeros(2)
    opt = fo.Optimizer([W, b], FirstStep())
    for _ in range(3):
        _, dW, db = fo.value_and_grad(fo.Softmax(), W, X, y, b)
        opt.step([dW, db])
    own = "numpy" if backend == "c" else backend
    fit = fo.train(X, y, rule=FirstStep(), epochs=3, batch_size=None, backend=own)
    np.testing.assert_allclose(fit.W, W, rtol=1e-9)


# ---------------------------------------------------------- what Numba refuses


REFUSED = {
    "a dict": ("return p - TABLE['share'] * k[0] * g, ()", "line 17"),
    "a method of arrays": ("return p - k[0] * g.clip(p, g), ()", "clip.*line 17|line 17.*clip"),
    "a function that is not there": ("return p - k[0] * np.float_power(g, p).astype(g.dtype), ()", "line 17"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_numpy_runs_and_numba_does_not(name, numba):
    body, message = REFUSED[name]
    cls = made(body=body)
    p = np.ones(3)
    fo.Optimizer(p, cls(), backend="numpy").step(np.ones(3))
    assert (p != 1).any()
    with pytest.raises(
        TypeError, match=f'(?s)Mine: NumPy runs this formula, Numba does not.*{message}.*backend="numpy"'
    ) as e:
        fo.Optimizer(np.ones(3), cls(), backend="numba").step(np.ones(3))
    assert len(str(e.value)) < 600 and e.value.__cause__ is not None


# -------------------------------------------------------------------- numbers


@pytest.mark.parametrize("cls", rules.RULES, ids=lambda c: c.__name__)
@pytest.mark.parametrize("eps", [1e-40])
def test_an_eps_that_is_0_in_the_dtype(cls, eps, backend):
    """0/(0 + eps) is 0, not NaN."""
    if "eps" not in cls._fields:
        pytest.skip("it has no eps")
    p = np.ones(4, "f4")
    opt = fo.Optimizer(p, cls(eps=eps)._replace(weight_decay=0.0), backend=backend)
    for _ in range(3):
        opt.step(np.zeros(4, "f4"))
    assert (p == 1).all()


@pytest.mark.parametrize("cls", rules.RULES, ids=lambda c: c.__name__)
def test_large_gradients_do_not_freeze_a_parameter(cls, backend):
    """float32 follows float64 beyond g of 2e19, where g*g is no float32."""
    for g in (1e15, 1e18, 3e19, 5e19):
        p, wide = np.zeros(2, "f4"), np.zeros(2)
        options = {"lr": 1e-20} if not {"eps", "beta2"} & set(cls._fields) else {}
        ours = fo.Optimizer(p, cls(**options), backend=backend)
        theirs = fo.Optimizer(wide, cls(**options), backend="numpy")
        for value in (g, 1.0, -1.0):
            ours.step(np.full(2, value, "f4"))
            theirs.step(np.full(2, float(np.float32(value))))
        np.testing.assert_allclose(p, wide, rtol=2e-3)
        assert all(np.isfinite(s).all() for s in ours.state.values())
