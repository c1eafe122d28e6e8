"""The same bits on every back end, with any number of threads; and how the kernels are compiled."""

import platform
import re

import numpy as np
import pytest

import fastopt as fo
from fastopt.engines import choose
from fastopt.rules import RULES
from fastopt.stepping.table import CHUNK

SIZES = (0, 1, 2, 7, 15, 17, 33, 1003)
LARGE = 2 * CHUNK + 5


def gradients(sizes, dtype, steps):
    """Gradients of many magnitudes, with zeros of both signs; the same at every call."""
    rng = np.random.default_rng(7)
    for _ in range(steps):
        values = [rng.standard_normal(n) * 10.0 ** rng.uniform(-3, 3, n) for n in sizes]
        for v in values:
            v[3::11], v[5::13] = 0.0, -0.0
        yield [v.astype(dtype) for v in values]


def run(rule, dtype, sizes, backend, threads=1, steps=50):
    """Parameters and state after some steps, as one flat list of arrays."""
    rng = np.random.default_rng(11)
    params = [rng.standard_normal(n).astype(dtype) for n in sizes]
    opt = fo.Optimizer(params, rule, backend=backend, threads=threads)
    for g in gradients(sizes, dtype, steps):
        opt.step(g)
    return params + [s for each in opt.state for s in each.values()]


def assert_same_bits(ours, theirs):
    for a, b in zip(ours, theirs, strict=True):
        assert a.dtype == b.dtype
        assert a.tobytes() == b.tobytes()  # NaN equals itself, 0.0 is not -0.0


def ruled(cls):
    return cls(weight_decay=0.01) if "weight_decay" in cls._fields else cls()


rules = pytest.mark.parametrize("cls", RULES, ids=lambda c: c.__name__)
dtypes = pytest.mark.parametrize("dtype", ["float32", "float64"])


@rules
@dtypes
@pytest.mark.parametrize("other", ["numba", "c"])
def test_backend_equals_numpy(cls, dtype, other, need):
    need(other)
    reference = run(ruled(cls), dtype, SIZES, "numpy")
    assert np.isfinite(reference[-1]).all()
    assert_same_bits(run(ruled(cls), dtype, SIZES, other), reference)


def case(cls, dtype):
    quick = dtype == "float32" or cls is fo.Adam  # compiling takes a second each
    return pytest.param(cls, dtype, marks=() if quick else pytest.mark.long)


@pytest.mark.parametrize("cls, dtype", [case(c, d) for c in RULES for d in ("float32", "float64")])
def test_parallel_equals_serial(cls, dtype, many_threads, numba):
    sizes = (3, LARGE, 0, 17)
    ours = run(ruled(cls), dtype, sizes, "numba", threads=2, steps=5)
    assert_same_bits(ours, run(ruled(cls), dtype, sizes, "numba", threads=1, steps=5))
    assert_same_bits(ours, run(ruled(cls), dtype, sizes, "numpy", steps=5))


@pytest.mark.parametrize("threads", [1, 2, 3])
def test_c_on_threads_equals_numpy(threads, many_threads, need):
    need("c")
    ours = run(fo.Adam(), "float32", (3, LARGE, 0, 17), "c", threads=threads, steps=5)
    assert_same_bits(ours, run(fo.Adam(), "float32", (3, LARGE, 0, 17), "numpy", steps=5))


@dtypes
def test_fifty_large_steps_on_threads(dtype, need):
    """Above the measured size, without any help from the test."""
    need("numba")
    size = (choose.shared_from(fo.Adam()) + 3,)
    ours = run(fo.Adam(), dtype, size, "numba", threads=2)
    assert_same_bits(ours, run(fo.Adam(), dtype, size, "numpy"))


@rules
def test_not_finite_is_the_same_everywhere(cls, backend):
    """nonfinite="allow": NaN and inf come out as the formula says, and stay where they are."""

    def once(backend):
        p = np.ones(40, "f4")
        g = np.linspace(-1, 1, 40, dtype="f4")
        g[[3, 20, 39]] = np.nan, np.inf, -np.inf
        opt = fo.Optimizer(p, ruled(cls), backend=backend, nonfinite="allow")
        opt.step(g)
        opt.step(g)
        return np.nan_to_num(np.stack([p, *opt.state.values()]), nan=123.0)  # any NaN is the same

    ours = once(backend)
    assert (ours[0] == 123.0).any()
    assert_same_bits([ours], [once("numpy")])


@pytest.mark.parametrize("features", ["avx512", "avx512,avx2"])
@pytest.mark.parametrize("cls", [fo.Adam, fo.CenteredRMSProp, fo.Lion])
def test_c_instruction_sets(features, cls, need, python):
    """With CPU features turned off the C library takes other code, to the same bits."""
    need("c")
    code = f"""
import hashlib, numpy as np, fastopt as fo
p = np.random.default_rng(1).standard_normal(1003).astype("f4")
g = np.random.default_rng(2).standard_normal(1003).astype("f4")
opt = fo.Optimizer(p, fo.{cls.__name__}(weight_decay=0.01), backend="c")
for _ in range(50):
    opt.step(g)
print(hashlib.sha256(p.tobytes()).hexdigest())
"""
    assert python(code, FASTOPT_DISABLE_CPU_FEATURES=features) == python(code)


PARTS = 14
SOME = [
    pytest.param(part, marks=[pytest.mark.long] if part != 8 else []) for part in range(PARTS)
]  # each compiles anew
ASSEMBLY = """
import fastopt as fo
from fastopt.kernels.step import elementwise
from fastopt.kernels.language.formula import formula_type
from fastopt.rules import RULES
for cls in RULES[{part}::{parts}]:
    h = cls()
    for name in ("step", "step_together"):
        getattr(elementwise, name + "_entry")(formula_type(cls, "float32", len(h.coefficients(h, 1.0))))
        kernel = getattr(elementwise, name)
        print("RULE", cls.__name__)
        print(kernel.inspect_asm(kernel.signatures[-1]))
"""


@pytest.mark.parametrize("part", SOME)
def test_kernels_are_packed_single_precision(part, python, numba, tmp_path):
    """float32 kernels: whole vectors at a time, no arithmetic in float64, no fused multiply-add."""
    if not re.search("x86|amd64", platform.machine(), re.IGNORECASE):
        pytest.skip("the names of instructions are those of x86")
    listing = python(ASSEMBLY.format(part=part, parts=PARTS), NUMBA_CACHE_DIR=str(tmp_path)).split("RULE ")[
        1:
    ]
    assert len(listing) == 2 * len(RULES[part::PARTS])
    for text in listing:
        name, code = text.split("\n", 1)
        found = set(re.findall(r"^\s+(v?[a-z]+[0-9]*[a-z]*)\b", code, re.MULTILINE))
        base = {i.removeprefix("v") for i in found}
        assert {"mulps", "subps", "addps"} & base, name
        if "v" in getattr(fo, name).slots and "sqrt" in getattr(fo, name).update.__code__.co_names:
            assert {"sqrtps", "divps"} <= base, name
        double = {i for i in base if re.fullmatch(r"(add|sub|mul|div|sqrt|max|min|f[n]?m\w+)[ps]d", i)}
        assert not double, f"{name}: {double}"
        assert not {i for i in base if re.match(r"fn?m(add|sub)", i)}, name
