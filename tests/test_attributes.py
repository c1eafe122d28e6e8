"""Attributes of an Optimizer that are assigned, states that are refused, what surrounds it: errors, environments."""

import pickle
import warnings
from modulefinder import ModuleFinder
from typing import NamedTuple

import numpy as np
import pytest

import fastopt as fo
from fastopt.fingerprint import digest


def stepped(backend, **options):
    p = np.zeros(4)
    opt = fo.Optimizer(p, fo.SGD(1.0), backend=backend, **options)
    return p, opt


def test_clip_may_be_assigned(backend):
    p, opt = stepped(backend)
    opt.clip = 2.0
    opt.step(np.full(4, 100.0))
    np.testing.assert_allclose(p, -1)
    assert opt.clip == 2.0
    opt.clip = None
    opt.step(np.full(4, 100.0))
    np.testing.assert_allclose(p, -101)
    for wrong in (-1.0, 0, float("nan")):
        with pytest.raises(ValueError, match="clip"):
            opt.clip = wrong
    for wrong in ("much", [1.0]):
        with pytest.raises(TypeError, match="clip"):
            opt.clip = wrong
    assert opt.clip is None


def test_lr_and_schedules_may_be_assigned(backend):
    p, opt = stepped(backend)
    opt.lr = 0.5
    opt.step(np.ones(4))
    assert (p == -0.5).all() and opt.lr == 0.5 and opt.rule == fo.SGD(0.5)
    opt.schedules = {"lr": lambda t, base: base * t}
    opt.step(np.ones(4))
    assert (p == -1.0).all() and set(opt.schedules) == {"lr"}
    opt.schedules = None
    opt.step(np.ones(4))
    assert (p == -1.5).all()
    with pytest.raises(ValueError, match="lr"):
        opt.lr = -1
    with pytest.raises(ValueError, match="momentum"):
        opt.schedules = {"momentum": fo.schedules.Constant()}


def test_policy_may_be_assigned_and_the_rest_not(backend):
    p, opt = stepped(backend)
    opt.nonfinite = "skip"
    opt.step(np.full(4, np.nan))
    assert opt.skipped == 1 and not p.any()
    with pytest.raises(ValueError, match="nonfinite"):
        opt.nonfinite = "bogus"
    for name in ("momentum", "weight_decay", "threads", "learning_rate"):
        with pytest.raises(AttributeError, match=name):
            setattr(opt, name, 1)
    with pytest.raises(AttributeError):
        opt.backend = "c"
    for wrong in (-1, 0.5, "two", None, 10**30):
        with pytest.raises(ValueError, match="t must be"):
            opt.t = wrong


WRONG_STATES = {
    "t": (None, "3", -1, 1.5, 10**30, np.nan, True),
    "skipped": (None, -1, "many"),
    "hyperparameters": (None, 3, {"lr": 1.0}, {"lr": "fast"}),
    "state": (None, 3, [], {"v": 1}),
    "rule": (None, "SGD", 3),
}


@pytest.mark.parametrize("key", WRONG_STATES)
def test_a_state_that_is_refused_changes_nothing(key):
    opt = fo.Optimizer({"w": np.zeros(2), "b": np.zeros(3)}, fo.Adam())
    opt.step({"w": np.ones(2), "b": np.ones(3)})
    before = pickle.dumps(opt.state_dict())
    for wrong in WRONG_STATES[key]:
        saved = opt.state_dict()
        for each in saved["state"].values():
            for array in each.values():
                array[:] = 7
        with pytest.raises(ValueError, match="state"):
            opt.load_state_dict({**saved, key: wrong})
        assert pickle.dumps(opt.state_dict()) == before
    for wrong in (None, 3, [], {}):
        with pytest.raises(ValueError, match="state_dict"):
            opt.load_state_dict(wrong)


def test_what_the_caller_has_set_of_errors(backend):
    with np.errstate(all="raise"):
        for dtype, values in (("f4", [1e30, 1e-30]), ("f8", [1.0, 1e-200]), ("f8", [1e300, 1e-300])):
            for rule in (fo.SGD(1.0), fo.Adam()):
                p = np.zeros(2, dtype)
                opt = fo.Optimizer(p, rule, clip=1.0, backend=backend)
                opt.step(np.array(values, dtype))
                assert np.isfinite(p).all() and p.any()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for value in (np.inf, np.nan):
            p = np.zeros(2)
            opt = fo.Optimizer(p, fo.SGD(1.0), clip=1.0, nonfinite="allow", backend=backend)
            opt.step(np.array([value, 1.0]))
            assert not np.isfinite(p).all()


@pytest.mark.parametrize("dtype", ["f4", "f8"])
@pytest.mark.parametrize("size", [1e-300, 1e-30, 1.0, 1e30, 1e37, 1e300])
@pytest.mark.parametrize("limit", [1e-30, 1.0, 1e6])
def test_clipping_at_any_scale(size, limit, dtype, backend, rng):
    """Against the norm in long double, and the same bits on every engine."""
    if size not in (1e-300, 1e300) or dtype == "f8":
        g = (rng.standard_normal(5000) * size).astype(dtype)
        p = np.zeros(5000, dtype)
        fo.Optimizer(p, fo.SGD(1.0), clip=limit, backend=backend).step(g)
        wide = g.astype(np.longdouble)
        norm = np.sqrt(np.sum(wide * wide))
        expected = -wide * min(np.longdouble(1), np.longdouble(limit) / norm)
        tiny = np.finfo(dtype).tiny * 2e3
        np.testing.assert_allclose(
            p.astype(np.longdouble), expected, rtol=2e-6 if dtype == "f4" else 1e-12, atol=tiny
        )
        reference = np.zeros(5000, dtype)
        fo.Optimizer(reference, fo.SGD(1.0), clip=limit, backend="numpy").step(g)
        assert p.tobytes() == reference.tobytes()


def test_clipping_makes_no_copy_and_reads_once(need, monkeypatch):
    need("c")
    p, g = [np.zeros(100_000, "f4") for _ in range(2)], [np.ones(100_000, "f4") for _ in range(2)]
    opt = fo.Optimizer(p, fo.SGD(1.0), clip=1.0, backend="c")
    opt.step(g)
    import tracemalloc

    tracemalloc.start()
    opt.step(g)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 50_000  # bytes; the gradients have 800,000


# ------------------------------------------------------------------ environment


def test_without_numbas_compiler(python, need):
    need("c")
    code = """
import numpy as np, fastopt as fo
p = np.zeros(3)
opt = fo.Optimizer(p, fo.SGD(1.0)); opt.step(np.ones(3))
print(p[0], opt.backend)
try:
    fo.Optimizer(p, fo.SGD(), backend="numba")
except ImportError as error:
    print("NUMBA_DISABLE_JIT" in str(error))
"""
    assert python(code, NUMBA_DISABLE_JIT="1").split() == ["-1.0", "c", "True"]


def test_a_wrong_name_in_the_environment_is_named(monkeypatch):
    monkeypatch.setenv("FASTOPT_BACKEND", "nunba")
    with pytest.raises(ValueError, match="environment variable FASTOPT_BACKEND must be one of .*'nunba'"):
        fo.Optimizer(np.zeros(2), fo.SGD())
    fo.Optimizer(np.zeros(2), fo.SGD(), backend="numpy")


class _OwnModules(ModuleFinder):
    """Follows imports as tools that freeze programs do, but into no other package."""

    def import_module(self, partname, fqname, parent):
        own = fqname.partition(".")[0] == "fastopt"
        return super().import_module(partname, fqname, parent) if own else None


def test_tools_that_follow_imports_find_every_public_module(tmp_path):
    (tmp_path / "app.py").write_text("import fastopt\n")
    finder = _OwnModules()
    finder.run_script(str(tmp_path / "app.py"))
    missing = {f"fastopt.{home}" for home in fo._HOME.values()} - set(finder.modules)
    assert not missing
    assert {"fastopt.engines.numba", "fastopt.kernels.step.elementwise"} <= set(finder.modules)


def test_diverged_can_be_pickled(rng):
    X, y = rng.standard_normal((50, 3)) * 1e3, np.arange(50) % 2
    with pytest.raises(fo.Diverged) as caught:
        fo.train(X, y, fo.SquaredError(), fo.SGD(1e6), epochs=20)
    again = pickle.loads(pickle.dumps(caught.value))
    assert str(again) == str(caught.value) and again.step == caught.value.step
    np.testing.assert_array_equal(again.fit.W, caught.value.fit.W)


def test_weights_of_any_size_are_only_compared(rng, backend):
    X, y, w = rng.standard_normal((30, 4)), np.arange(30) % 3, rng.random(30) + 0.1
    W = rng.standard_normal((3, 4))
    expected, dW = fo.value_and_grad(fo.Softmax(), W, X, y, sample_weight=w, backend=backend)
    for scale in (1e-307, 1e307):
        value, d = fo.value_and_grad(fo.Softmax(), W, X, y, sample_weight=w * scale, backend=backend)
        assert value == pytest.approx(expected, rel=1e-9)
        np.testing.assert_allclose(d, dW, rtol=1e-8, atol=1e-12)
    value, _ = fo.value_and_grad(fo.Softmax(), W, X, y, sample_weight=np.full(30, 1e-320), backend=backend)
    even, _ = fo.value_and_grad(fo.Softmax(), W, X, y, backend=backend)
    assert value == pytest.approx(even)


# ---------------------------------------------------------------------- digests

SHELL = """
from typing import NamedTuple
HELPER

class Base(NamedTuple):
    lr: float = 1.0
    slots = ()

    @staticmethod
    def coefficients(h, t):
        return (h.lr,)

    @staticmethod
    def update(h, k, p, g, s):
        return p - k[0] * helper(g), ()

class Mine(Base):
    pass
"""
HELPERS = {
    "inherited": "def helper(x): return BODY",
    "njit": "import numba\n@numba.njit\ndef helper(x): return BODY",
    "njit of njit": "import numba\n@numba.njit\ndef inner(x): return BODY\n@numba.njit\ndef helper(x): return inner(x)",
    "vectorize": "import numba\n@numba.vectorize\ndef helper(x): return BODY",
    "cfunc": "import numba\n@numba.cfunc('f8(f8)')\ndef helper(x): return BODY",
    "overload": "from numba.extending import overload\ndef helper(x): pass\n@overload(helper)\ndef _(x):\n    return lambda x: BODY",
    "intrinsic": "from numba.extending import intrinsic\n@intrinsic\ndef helper(typing, x):\n    return x(x), lambda c, b, s, a: BODY",
    "register_jitable": "from numba.extending import register_jitable\n@register_jitable\ndef helper(x): return BODY",
    "partial": "import functools\ndef inner(y, x): return BODY\nhelper = functools.partial(inner, 2)",
    "partial's argument": "import functools\ndef inner(y, x): return x * y\nhelper = functools.partial(inner, len('BODY'))",
    "closure": "def make():\n    c = len('BODY')\n    def helper(x): return c * x\n    return helper\nhelper = make()",
    "default": "def helper(x, c=len('BODY')): return c * x",
    "keyword default": "def helper(x, *, c=len('BODY')): return c * x",
    "dict": "TABLE = {'c': len('BODY')}\ndef helper(x): return x * TABLE['c']",
    "array": "import numpy as np\nTABLE = np.full(2, len('BODY'))\ndef helper(x): return x * TABLE[0]",
    "enum": "import enum\nclass E(enum.Enum):\n    A = len('BODY')\ndef helper(x): return x * E.A.value",
    "callable object": "class H:\n    def __call__(self, x): return BODY\nhelper = H()",
    "class of constants": "class C:\n    A = len('BODY')\ndef helper(x): return x * C.A",
}  # fmt: skip


@pytest.mark.parametrize("name", HELPERS)
def test_an_edited_helper_is_another_formula(name, numba):
    def made(body):
        scope = {"__name__": "mine"}
        exec(SHELL.replace("HELPER", HELPERS[name].replace("BODY", body)), scope)
        return digest(scope["Mine"])

    assert made("x + x") != made("x * 3 + x")
    if name != "callable object":  # what cannot be read is another one in every session
        assert made("x + x") == made("x + x")


def test_a_formula_given_to_a_parent_class_later_is_computed():
    class Parent(NamedTuple):
        lr: float = 1.0
        slots = ()

        @staticmethod
        def coefficients(h, t):
            return (h.lr,)

        @staticmethod
        def update(h, k, p, g, s):
            return p - k[0] * g - 0.0078125, ()  # in no cache

    class Between(Parent):
        pass

    class Child(Between):
        pass

    def twice(h, k, p, g, s):
        return p - 2 * k[0] * g, ()

    def stepped():
        p = np.zeros(3)
        fo.Optimizer(p, Child()).step(np.ones(3))
        return p[0]

    assert stepped() == -1.0078125
    Between.update = staticmethod(twice)
    assert stepped() == -2
    del Between.update
    assert stepped() == -1.0078125
