"""Optimizer: the forms of parameters, odd arrays, policies, state."""

import functools

import naive
import numpy as np
import pytest

import fastopt as fo
from fastopt import native, threads
from fastopt.stepping import table


def snapshot(opt):
    """Everything that a refused step must leave alone, as bytes."""
    state = [a.tobytes() for each in opt._states() for a in each.values()]
    return [p.tobytes() for p in opt._params.arrays], state, opt.t


def adam_steps(p, gradients, **options):
    """What a run on a plain copy gives."""
    p = np.array(p, order="C")
    opt = fo.Optimizer(p, fo.Adam(0.1), **options)
    for g in gradients:
        opt.step(np.array(g, order="C"))
    return p


@pytest.mark.parametrize("form", ["array", "list", "tuple", "dict"])
def test_forms(form, rng, backend):
    values = [rng.standard_normal(4), rng.standard_normal((2, 3))][: 1 if form == "array" else 2]
    make = {
        "array": lambda v: v[0],
        "list": list,
        "tuple": tuple,
        "dict": lambda v: dict(zip("ab", v, strict=True)),
    }
    params = [v.copy() for v in values]
    opt = fo.Optimizer(make[form](params), fo.Adam(0.1), backend=backend)
    for _ in range(3):
        opt.step(make[form]([2 * np.ones_like(v) for v in values]))
    for p, v in zip(params, values, strict=True):
        np.testing.assert_array_equal(p, adam_steps(v, [2 * np.ones_like(v)] * 3))
    assert type(opt.state) is {"array": dict, "list": list, "tuple": list, "dict": dict}[form]
    state = {"array": lambda s: s, "dict": lambda s: s["a"]}.get(form, lambda s: s[0])(opt.state)
    assert set(state) == {"m", "v"} and state["m"].shape == (4,)
    assert opt.t == 3


def test_dict_gradients_may_come_in_another_order():
    a, b = np.zeros(2), np.zeros(3)
    fo.Optimizer({"a": a, "b": b}, fo.SGD(1)).step({"b": np.ones(3), "a": 2 * np.ones(2)})
    assert (a == -2).all() and (b == -1).all()


@pytest.mark.parametrize("shape", [(), (0,), (3, 0, 2), (1,), (2, 3, 4)])
def test_shapes(shape, backend):
    p = np.ones(shape)
    opt = fo.Optimizer(p, fo.Momentum(0.5), backend=backend)
    opt.step(np.ones(shape))
    opt.step(np.ones(shape))
    np.testing.assert_array_equal(p, np.full(shape, 1 - 0.5 - 0.5 * 1.9))
    assert opt.state["v"].shape == shape


def test_scalar_gradients():
    p = np.array(1.0, "f4")
    opt = fo.Optimizer(p, fo.SGD(0.5))
    for _ in range(2):
        opt.step(np.float32(1))  # 0-d arithmetic gives NumPy scalars
    assert p == 0


def strided(a):
    wide = np.full((a.shape[0], a.shape[1] * 2), 99.0)
    wide[:, ::2] = a
    return wide[:, ::2], wide


class Subclass(np.ndarray):
    """Another type of array, such as a library's own."""


ODD = {
    "every other": lambda a: strided(a)[0],
    "fortran": np.asfortranarray,
    "transposed": lambda a: np.ascontiguousarray(a.T).T,
    "reversed": lambda a: np.ascontiguousarray(a[::-1])[::-1],
    "unaligned": lambda a: np.frombuffer(bytearray(b"x" + a.tobytes()), a.dtype, offset=1).reshape(a.shape),
    "readonly": lambda a: np.frombuffer(a.tobytes(), a.dtype).reshape(a.shape),
    "subclass": lambda a: a.copy().view(Subclass),
}


@pytest.mark.parametrize("of_p, of_g", [(p, g) for p in ODD for g in ODD if p != "readonly"])
def test_odd_arrays(of_p, of_g, rng):
    a, gradients = rng.standard_normal((4, 6)), rng.standard_normal((3, 4, 6))
    p = ODD[of_p](a)
    opt = fo.Optimizer(p, fo.Adam(0.1))
    for g in gradients:
        opt.step(ODD[of_g](g))
    np.testing.assert_array_equal(np.asarray(p), adam_steps(a, gradients))


def test_strided_parameters_leave_the_rest_alone(rng):
    p, wide = strided(rng.standard_normal((4, 6)))
    p[...] += 1
    opt = fo.Optimizer(p, fo.SGD(0.1))
    opt.step(np.ones((4, 6)))
    assert (wide[:, 1::2] == 99).all()
    before = p.copy()
    p += 1  # the user may change a parameter between steps
    opt.step(np.ones((4, 6)))
    np.testing.assert_allclose(p, before + 1 - 0.1)


def test_mixed_dtypes(rng, backend):
    params = [rng.standard_normal(5).astype(d) for d in ("f4", "f8", "f4", "f8")]
    expected = [adam_steps(p, [np.ones_like(p)] * 4) for p in params]
    opt = fo.Optimizer(params, fo.Adam(0.1), backend=backend)
    for _ in range(4):
        opt.step([np.ones_like(p) for p in params])
    for p, e, s in zip(params, expected, opt.state, strict=True):
        np.testing.assert_array_equal(p, e)
        assert s["m"].dtype == p.dtype


def test_memmap(tmp_path):
    p = np.memmap(tmp_path / "p", "f4", "w+", shape=(3, 5))
    opt = fo.Optimizer(p, fo.SGD(1))
    opt.step(np.ones((3, 5), "f4"))
    p.flush()
    assert (np.fromfile(tmp_path / "p", "f4") == -1).all()


def test_many_arrays():
    params = [np.full(i % 7, float(i)) for i in range(500)]
    fo.Optimizer(params, fo.SGD(1)).step([np.ones_like(p) for p in params])
    assert all((p == i - 1).all() for i, p in enumerate(params))


# ----------------------------------------------------------------- gradients


def test_new_gradients_and_the_same_one_changed_in_place(rng):
    gradients, a = rng.standard_normal((20, 9)), rng.standard_normal(9)
    p, buffer = a.copy(), np.empty(9)
    opt = fo.Optimizer(p, fo.Adam(0.1))
    for g in gradients:
        buffer[...] = g
        opt.step(buffer)
    np.testing.assert_array_equal(p, adam_steps(a, gradients))
    q, pair = a.copy(), [np.empty(9)]
    opt = fo.Optimizer([q], fo.Adam(0.1))
    for g in gradients:
        pair[0] = g.copy()  # the same list with another array in it
        opt.step(pair)
    np.testing.assert_array_equal(q, p)


@pytest.mark.parametrize("which", ["p", "shifted p", "reversed p", "m"])
@pytest.mark.parametrize("large", [False, True])
def test_gradient_that_shares_memory(which, large, rng):
    n = 100_001 if large else 9
    buffer = rng.standard_normal(n + 1)

    def run(alias):
        memory = buffer.copy()
        p = memory[1:]
        opt = fo.Optimizer(p, fo.Adam(0.1))
        views = {"p": p, "shifted p": memory[:-1], "reversed p": p[::-1], "m": opt.state["m"]}
        for _ in range(4):
            opt.step(views[which] if alias else views[which].copy())
        return p

    np.testing.assert_array_equal(run(True), run(False))


def test_gradient_that_shares_memory_across_dtypes():
    def run(alias):
        a, b = np.arange(1, 5, dtype="f4"), np.ones(2)
        opt = fo.Optimizer([a, b], fo.SGD(0.5))
        other = a.view("f8")
        opt.step([np.ones(4, "f4"), other if alias else other.copy()])
        return b

    np.testing.assert_array_equal(run(True), run(False))


@pytest.mark.parametrize("tables", [1, 2])
@pytest.mark.parametrize("odd", [False, True])
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_nonfinite(value, tables, odd, backend, rng):
    last = strided(rng.standard_normal((3, 2)))[0] if odd else rng.standard_normal((3, 2))
    params = {"w": rng.standard_normal(40).astype("f4" if tables == 2 else "f8"), "b": last}
    good = {k: np.ones_like(p, order="C") for k, p in params.items()}
    bad = {k: g.copy() for k, g in good.items()}
    bad["b"][2, 1] = value

    for clip in (None, 1.0):
        opt = fo.Optimizer(params, fo.Adam(0.1), backend=backend, clip=clip)
        opt.step(good)
        before = snapshot(opt)
        with pytest.raises(FloatingPointError, match=r"grads\['b'\].*step 2"):
            opt.step(bad)
        assert snapshot(opt) == before
        opt.step(good)
        assert opt.t == 2

        opt = fo.Optimizer(params, fo.Adam(0.1), nonfinite="skip", backend=backend, clip=clip)
        opt.step(good)
        before = snapshot(opt)
        opt.step(bad)
        assert snapshot(opt) == before and opt.skipped == 1
        opt.step(good)
        assert opt.t == 2 and opt.skipped == 1

    opt = fo.Optimizer(params, fo.Adam(0.1), nonfinite="allow", backend=backend)
    opt.step(bad)
    # Adam takes an infinite gradient for the largest that it can use (rules/limits.py)
    assert np.isnan(params["b"][2, 1]) == np.isnan(value) and np.isfinite(np.delete(params["b"], 5)).all()


@pytest.mark.parametrize("dtype, most", [("f4", 2.0**63), ("f8", 2.0**511)])
def test_allowed_inf_is_the_largest_gradient_of_a_rule_with_second_moments(dtype, most, backend):
    for rule in (fo.Adam(0.1), fo.RMSProp(0.1), fo.AdaGrad(0.1)):
        with_inf, with_most = np.ones(3, dtype), np.ones(3, dtype)
        for p, g in ((with_inf, np.inf), (with_most, most)):
            opt = fo.Optimizer(p, rule, nonfinite="allow", backend=backend)
            opt.step(np.array([1, g, -g], dtype))
            opt.step(np.ones(3, dtype))
        assert np.isfinite(with_inf).all() and with_inf.tobytes() == with_most.tobytes()
    p = np.ones(2, dtype)
    fo.Optimizer(p, fo.SGD(0.1), nonfinite="allow", backend=backend).step(np.array([np.inf, np.nan], dtype))
    assert p[0] == -np.inf and np.isnan(p[1])


@pytest.mark.parametrize("threads", [1, 2])
def test_the_first_parameter_with_nan_is_named(threads, backend, many_threads):
    params = [np.zeros(40_000) for _ in range(6)]
    opt = fo.Optimizer(params, fo.SGD(), backend=backend, threads=threads)
    gradients = [np.ones(40_000) for _ in params]
    for j in (5, 3, 1):
        gradients[j][39_999] = np.nan
        with pytest.raises(FloatingPointError, match=rf"grads\[{j}\]"):
            opt.step(gradients)
    assert not any(p.any() for p in params)


def test_nonfinite_in_a_large_array_on_threads(backend, many_threads):
    p = np.zeros(200_001, "f4")
    opt = fo.Optimizer([np.ones(3, "f4"), p], fo.Adam(), backend=backend, threads=2)
    for at in (0, 40_000, 100_000, 200_000):
        g = np.ones_like(p)
        g[at] = np.inf
        with pytest.raises(FloatingPointError, match=r"grads\[1\]"):
            opt.step([np.ones(3, "f4"), g])
    assert not p.any() and opt.t == 0


@pytest.mark.parametrize("taken", [0, 1, 2])
@pytest.mark.parametrize("backend", ["numba", "c"])
def test_what_another_thread_took_and_does_not_look_at_is_looked_at(taken, backend, need):
    """A helper whose CPU was taken away is not waited for, and its chunk is not believed to be finite."""
    need(backend)
    p, g = np.ones(table.CHUNK + 9, "f4"), np.ones(table.CHUNK + 9, "f4")
    opt = fo.Optimizer(p, fo.SGD(0.5), backend=backend, threads=1)
    opt.step(g)
    plan = opt._tables[0].plan
    if backend == "numba":
        from fastopt.kernels.language.formula import formula_type
        from fastopt.kernels.step.elementwise import step_together_entry

        compiled = step_together_entry(formula_type(fo.SGD, "float32", opt._tables[0].k.shape[1]))
        together = functools.partial(compiled, None, True, plan)
    else:
        together = functools.partial(native.step_together_function(p.dtype), plan, True)
    for bad in (None, 0, 1):
        p[...], g[...] = 1, 1
        if bad is not None:
            g[bad * table.CHUNK + 3] = np.nan
        board = np.zeros(threads.SEEN // 8 + 2, np.int64)
        board[threads.BAD // 8], board[threads.LOOK // 8] = -1, taken
        together(2, native.address(board))
        assert board[threads.BAD // 8] == (-1 if bad is None else bad)
        assert (p == (0.5 if bad is None else 1)).all()


@pytest.mark.parametrize("scale", [0.01, 1.0, 1e30, 1e200])
def test_clip(scale, rng, backend):
    gradients = [scale * rng.standard_normal(n) for n in (3, 40)]
    kept = [g.copy() for g in gradients]
    params = [np.zeros(3), np.zeros(40)]
    opt = fo.Optimizer(params, fo.SGD(1.0), clip=1.0, backend=backend)
    opt.step(gradients)
    norm = scale * np.linalg.norm(np.concatenate(gradients) / scale)
    for p, g, k in zip(params, gradients, kept, strict=True):
        np.testing.assert_allclose(p, -g / max(norm, 1.0), rtol=1e-12)
        np.testing.assert_array_equal(g, k)  # the user's gradients are left as they are
    before = [p.copy() for p in params]
    for g in gradients:
        g[...] = 0.001
    opt.step(gradients)  # the same objects with small values: not clipped any more
    for p, b in zip(params, before, strict=True):
        np.testing.assert_allclose(p, b - 0.001, rtol=1e-12)


def test_schedules_in_a_step():
    p = np.array([1.0])
    rates = {"lr": fo.schedules.Exponential(0.5), "momentum": fo.schedules.Linear(10, end=0.99)}
    opt = fo.Optimizer(p, fo.Momentum(0.1, momentum=0.5), schedules=rates)
    expected, state = p.copy(), naive.initial("Momentum", 1)
    for t in range(12):
        lr, momentum = naive.exponential(0.1, 0.5)(t), naive.linear(0.5, 0.99, 10)(t)
        expected, state = naive.momentum(expected, [1.0], state, t + 1, lr=lr, momentum=momentum)
        opt.step(np.ones(1))
    np.testing.assert_allclose(p, expected, rtol=1e-13)
    assert opt.rule == fo.Momentum(0.1, momentum=0.5)  # the base values stay


def test_rule_can_be_changed_on_the_way():
    p = np.zeros(2)
    opt = fo.Optimizer(p, fo.SGD(1.0))
    opt.step(np.ones(2))
    opt.rule = opt.rule._replace(lr=10)
    opt.step(np.ones(2))
    assert (p == -11).all()
    with pytest.raises(TypeError, match="state is that of SGD"):
        opt.rule = fo.Adam()
    with pytest.raises(ValueError, match="lr"):
        opt.rule = fo.SGD(-1)
