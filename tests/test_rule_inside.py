"""fo.jit.step: rules inside a user's compiled code, with the bits of fo.Optimizer, cached, without allocation."""

import platform
from typing import NamedTuple

import numpy as np
import pytest

import fastopt as fo
from fastopt import rules

pytest.importorskip("numba")
from numba import njit  # noqa: E402
from numba.core.errors import TypingError  # noqa: E402


class Own(NamedTuple):
    lr: float = 0.1
    power: int = 1

    slots = ("last",)

    @staticmethod
    def initial(h):
        return (0.5,)

    @staticmethod
    def coefficients(h, t):
        return _rate(h.lr, t) / h.power, 0.25

    @staticmethod
    def update(h, k, p, g, s):
        rate, share = k
        mixed = g + share * s[0]
        return p - rate * mixed, (mixed,)


def _rate(lr, t):  # an ordinary function, as in any Python code
    return lr / np.sqrt(t)


@njit
def steps(rule, p, G, state):
    for t in range(len(G)):
        fo.jit.step(rule, p, G[t], state, t + 1)


@njit
def state_of(rule, p):
    return fo.jit.state(rule, p)


def gradients(shape, dtype, count=12):
    rng = np.random.default_rng(3)
    G = (rng.standard_normal((count, *shape)) * 10.0 ** rng.integers(-6, 6, (count, *shape))).astype(dtype)
    G[2].flat[0], G[3].flat[0] = 1e-42, 0
    return rng.standard_normal(shape).astype(dtype), G


def same_bits(rule, dtype, shape=(37,)):
    start, G = gradients(shape, dtype)
    known = start.copy()
    optimizer = fo.Optimizer(known, rule, backend="numpy", threads=1)
    for g in G:
        optimizer.step(g)
    p, state = start.copy(), fo.jit.state(rule, start)
    np.testing.assert_array_equal(state_of(rule, start), state)
    steps(rule, p, G, state)
    assert p.tobytes() == known.tobytes()
    for mine, slot in zip(state, optimizer.state.values(), strict=True):
        assert mine.tobytes() == slot.tobytes()
    return p, state


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_bits(dtype):
    same_bits(fo.Adam(lr=0.05), dtype)
    same_bits(Own(), dtype)


ELEMENTWISE = [
    cls(**({"lr": 0.05} if "lr" in cls._fields else {}))
    for cls in rules.RULES + rules.FURTHER
    if not (rules.is_whole(cls) or rules.has_norms(cls))
]
MORE = [
    fo.Adam(1, bias_correction=False),
    fo.AdEMAMix(warmup=5),
    fo.ScheduleFreeSGD(0.1, warmup=4),
    fo.Averaged(fo.Adam(), decay=0.9, begin=2),
    fo.Lookahead(fo.AdaGrad(), every=3),
    fo.SGD(np.float32(0.1), 1),
]


@pytest.mark.long
@pytest.mark.parametrize("i", range(len(ELEMENTWISE + MORE)))
def test_bits_of_all_rules(i):
    same_bits((ELEMENTWISE + MORE)[i], ("float32", "float64")[i % 2])


def test_forms_of_arrays():
    """Matrices in both orders, columns, 0-d and empty arrays, tuples of slots, the gradient that is p."""
    rule = fo.Momentum(0.1)
    p, _ = same_bits(rule, "float64", (3, 4))
    start, G = gradients((3, 4), "float64")
    fortran, v = np.asfortranarray(start), np.zeros((3, 4), order="F")
    for t, g in enumerate(G):
        columns(rule, fortran, np.asfortranarray(g), (v,), t + 1)
    np.testing.assert_array_equal(fortran, p)

    P, S, target = np.ones((5, 2)), np.zeros((1, 5, 2)), np.arange(10.0).reshape(5, 2)
    known, slot = P[:, 1].copy(), np.zeros((1, 5))
    for t in (1, 2, 3):
        columns(rule, P[:, 1], target[::-1, 0], S[:, :, 1], t)
        columns(rule, known, target[::-1, 0].copy(), slot, t)
    np.testing.assert_array_equal(P[:, 1], known)
    np.testing.assert_array_equal(P[:, 0], 1)
    np.testing.assert_array_equal(S[0, :, 1], slot[0])

    point = np.array(2.0)
    columns(fo.SGD(0.5), point, np.array(1.0), (), 1)
    assert point == 1.5
    columns(fo.SGD(0.5), np.empty(0), np.empty(0), (), 1)
    x = np.array([1.0, -2.0])
    columns(fo.SGD(0.25), x, x, (), 1)
    np.testing.assert_array_equal(x, [0.75, -1.5])


@njit
def columns(rule, p, g, state, t):
    fo.jit.step(rule, p, g, state, t)


def test_goes_on_from_an_optimizer():
    start, G = gradients((9,), "float32")
    p, q = start.copy(), start.copy()
    whole, half = fo.Optimizer(q, fo.Adam()), fo.Optimizer(p, fo.Adam())
    for g in G:
        whole.step(g)
    for g in G[:5]:
        half.step(g)
    for t in range(5, len(G)):
        columns(half.rule, p, G[t], tuple(half.state.values()), t + 1)
    np.testing.assert_array_equal(p, q)


def test_from_python():
    start, G = gradients((7,), "float32")
    p, q, rule = start.copy(), start.copy(), fo.AdamW(0.01)
    mine, theirs = fo.jit.state(rule, p), fo.jit.state(rule, p)
    steps(rule, q, G, theirs)
    for t, g in enumerate(G):
        fo.jit.step(rule, p, g, mine, t + 1)
    np.testing.assert_array_equal(p, q)
    np.testing.assert_array_equal(mine, theirs)
    with pytest.raises(ValueError, match="t counts from 1"):
        fo.jit.step(rule, p, G[0], mine, 0)
    with pytest.raises(ValueError, match="shape of p"):
        fo.jit.step(rule, p, G[0][:3], mine, 1)
    with pytest.raises(TypeError, match="LARS looks at whole arrays"):
        fo.jit.state(fo.LARS(), p)
    with pytest.raises(ValueError, match="beta1"):
        fo.jit.state(fo.Adam(beta1=1.5), p)


def test_rule_made_in_the_code():
    @njit
    def warmed(p, G, state):
        for t in range(len(G)):
            fo.jit.step(fo.Adam(lr=0.1 / (t + 1)), p, G[t], state, t + 1)

    start, G = gradients((5,), "float64")
    p, q = start.copy(), start.copy()
    optimizer = fo.Optimizer(q, fo.Adam(), schedules={"lr": lambda t, base: 0.1 / (t + 1)})
    for g in G:
        optimizer.step(g)
    warmed(p, G, fo.jit.state(fo.Adam(), p))
    np.testing.assert_array_equal(p, q)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (lambda p: (fo.Adam, p, p, p, 1), r"write Adam\(\.\.\.\)"),
        (lambda p: (3.0, p, p, p, 1), "rule must be a rule such as"),
        (lambda p: (fo.LAMB(), p, p, p, 1), "LAMB looks at whole arrays"),
        (lambda p: (fo.Adafactor(), p, p, p, 1), "Adafactor looks at whole arrays"),
        (lambda p: (fo.SGD(), p.astype(int), p, (), 1), "p must be an array of float32 or float64"),
        (lambda p: (fo.SGD(), p, p.astype("float32"), (), 1), "g must be an array like p"),
        (lambda p: (fo.Adam(), p, p, (p,), 1), r"state has 1 arrays, Adam has 2 \(m, v\)"),
        (lambda p: (fo.Adam(), p, p, p, 1), r"must be an array \(slots, \*p.shape\)"),
        (lambda p: (fo.SGD(), p, p, 1.0, 1), "state must be from fo.jit.state"),
        (lambda p: (fo.SGD(), p, p, (), "one"), "t must be the number of the step"),
        (lambda p: (fo.SGD(), np.ones((4, 4))[:, :2], np.ones((4, 2)), (), 1), "C-contiguous"),
        (lambda p: (fo.Momentum(), p, p, (_read_only(p),), 1), "can be written to"),
        (lambda p: (fo.SGD(lr="a"), p, p, (), 1), r"SGD\(lr=...\) is unicode_type, not a number"),
    ],
)
def test_errors_of_compilation(arguments, words):
    with pytest.raises(TypingError, match=words):
        columns(*arguments(np.ones(4)))


def _read_only(p):
    p = p.copy()
    p.flags.writeable = False
    return p


def test_errors_before_anything_is_changed():
    memory, rule = np.arange(12.0), fo.Momentum()
    kept = memory.copy()
    for p, g, v, t, words in (
        (memory[:4], np.ones(3), np.ones(4), 1, "shape of p"),
        (memory[:4], np.ones(4), np.ones(5), 1, "shape of p"),
        (memory[:4], np.ones(4), np.ones(4), 0, "t counts from 1"),
        (memory[:4], np.ones(4), np.ones(4), np.nan, "t counts from 1"),
        (memory[:4], memory[1:5], np.ones(4), 1, "overlap"),
        (memory[:4], np.ones(4), memory[:4], 1, "overlap"),
        (memory[:8:2], np.ones(4), memory[2:10:2], 1, "overlap"),
        (memory[:4], memory[3::-1], np.ones(4), 1, "overlap"),
    ):
        with pytest.raises(ValueError, match=words):
            columns(rule, p, g, (v,), t)
        np.testing.assert_array_equal(memory, kept)
    with pytest.raises(ValueError, match="shape of p"):
        columns(rule, memory[:4], np.ones(4), np.zeros((2, 4)), 1)
    columns(rule, memory[:8:2], np.ones(4), (memory[1:9:2],), 1)  # between each other, none twice


CODE = """
import numpy as np, fastopt as fo
from numba import njit, prange
from ownrule import Signed

RULE, FAST = fo.Adam(lr=0.05), fo.Lookahead(fo.SGD(1.0), every=2)

@njit(cache=True)
def fit(targets, steps):
    p, g = np.zeros_like(targets), np.empty_like(targets)
    state = fo.jit.state(RULE, p)
    for t in range(1, steps + 1):
        g[:] = 2 * (p - targets)
        fo.jit.step(RULE, p, g, state, t)
    return p

@njit(cache=True, parallel=True)
def many(targets, steps, P, G, S):
    for i in prange(len(targets)):
        for t in range(1, steps + 1):
            G[i] = 2 * (P[i] - targets[i])
            fo.jit.step(RULE, P[i], G[i], S[i], t)

@njit(cache=True)
def given(rule, p, g, state, steps):
    for t in range(1, steps + 1):
        fo.jit.step(rule, p, g, state, t)

@njit(cache=True)
def wrapped(p, g, state):
    for t in (1, 2):
        fo.jit.step(FAST, p, g, state, t)
"""

OWN = """
from typing import NamedTuple
import numpy as np

class Signed(NamedTuple):
    lr: float = 1.0
    slots = ()

    @staticmethod
    def coefficients(h, t):
        return (h.lr / t,)

    @staticmethod
    def update(h, k, p, g, s):
        return p - k[0] * np.sign(g), ()
"""

RUN = """
import sys
sys.path.insert(0, {folder!r})
import numpy as np, fastopt as fo, usercode as m
targets = np.random.default_rng(0).standard_normal((40, 3))
ends = np.array([m.fit(row, 300) for row in targets[:5]])
P, G, S = np.zeros_like(targets), np.empty_like(targets), np.zeros((40, 2, 3))
m.many(targets, 300, P, G, S)
assert (P[:5] == ends).all()
p = np.zeros(3)
optimizer = fo.Optimizer(p, fo.Adam(lr=0.05))
for _ in range(300):
    optimizer.step(2 * (p - targets[0]))
assert (p == ends[0]).all(), p - ends[0]
x = np.zeros(2)
m.given(m.Signed(), x, np.array([1.0, -2.0]), (), 3)
assert np.allclose(x, [-1 - 1 / 2 - 1 / 3, 1 + 1 / 2 + 1 / 3])
y, z = np.zeros(2), np.zeros(2)
m.wrapped(y, np.ones(2), np.zeros((1, 2)))
assert np.allclose(y, -1)
import numba.core.runtime as runtime
before = runtime.rtsys.get_allocation_stats().alloc
state = fo.jit.state(fo.Adam(), z)
m.given(fo.Adam(), z, np.ones(2), state, 1)
start = runtime.rtsys.get_allocation_stats().alloc
m.given(fo.Adam(), z, np.ones(2), state, 1000)
assert runtime.rtsys.get_allocation_stats().alloc - start < 9
print(*(sum(f.stats.cache_misses.values()) for f in (m.fit, m.many, m.given, m.wrapped)))
"""


def test_in_cached_code(numba, python, tmp_path):
    (tmp_path / "usercode.py").write_text(CODE)
    (tmp_path / "ownrule.py").write_text(OWN)
    code = RUN.format(folder=str(tmp_path))
    options = {"NUMBA_CACHE_DIR": str(tmp_path / "cache"), "NUMBA_NRT_STATS": "1"}
    assert python(code, timeout=600, **options) == "1 1 2 1\n"
    assert python(code, timeout=600, **options) == "0 0 0 0\n"


@njit
def steps_with_one_switch(rule, p, G, state):
    before = fo.jit.flush_subnormals()
    for t in range(len(G)):
        fo.jit.step(rule, p, G[t], state, t + 1)
    fo.jit.restore_subnormals(before)


@njit
def halved(x):
    return x * 0.5


@njit
def halved_within(x, out):
    before = fo.jit.flush_subnormals()
    out[0] = x[0] * 0.5
    fo.jit.restore_subnormals(before)


@pytest.mark.parametrize("rule", [fo.SGD(0.1, 0.1), fo.Momentum(0.1), fo.Adam(0.1)])
def test_one_switch_for_many_steps(rule):
    """Gradients and parameters around the smallest normal number, where a switch that is not set shows."""
    start, G = gradients((37,), "float64")
    found = []
    for loop in (steps, steps_with_one_switch):
        p, state = start * 1e-308, fo.jit.state(rule, start)
        loop(rule, p, G * 1e-306, state)
        found.append((p.tobytes(), np.asarray(state).tobytes()))
    assert found[0] == found[1]


def test_the_switch_is_put_back():
    tiny, out = np.full(1, 2.0**-1022), np.ones(1)
    halved_within(tiny, out)
    assert out[0] == (0 if platform.machine() in ("x86_64", "AMD64") else 2.0**-1023)
    assert halved(tiny[0]) == 2.0**-1023 and tiny[0] * 0.5 == 2.0**-1023
    assert (
        fo.jit.flush_subnormals() == 0 and fo.jit.restore_subnormals(0) is None
    )  # nothing outside compiled code
