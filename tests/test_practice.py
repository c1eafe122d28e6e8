"""What a long run needs around a step: gradients left out, arrays added, nested parameters."""

import copy

import numpy as np
import pytest

import fastopt as fo

RULES = [fo.Adam(0.1), fo.NAdam(0.1), fo.Averaged(fo.Momentum(0.1)), fo.LAMB(0.1), fo.PlainAdafactor(0.1)]


def alone(p, rule, gradients, **options):
    """What the steps with these gradients give for one array on its own."""
    p = p.copy(order="K")
    opt = fo.Optimizer(p, rule, **options)
    for g in gradients:
        opt.step(g)
    return p, opt.state


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("rule", RULES, ids=lambda r: type(r).__name__)
def test_an_array_without_gradient_takes_no_step(rule, threads, backend, monkeypatch):
    """Each array's numbers are those of its own steps alone."""
    rng = np.random.default_rng(0)
    if not fo.rules.is_elementwise(rule) and backend == "c":
        backend = "auto"
    monkeypatch.setattr("fastopt.engines.choose.PARALLEL_NUMBERS", 1000)  # two threads share the steps
    params = [rng.standard_normal(s) for s in ((400, 100 if threads == 2 else 1), (7,), (5, 3))]
    starts = [p.copy() for p in params]
    opt = fo.Optimizer(params, rule, backend=backend, threads=threads)
    taken: list = [[] for _ in params]
    for missing in ((), (1,), (0, 2), (1,), (1,), (0, 1, 2), (2,), ()):
        grads = [None if i in missing else rng.standard_normal(p.shape) for i, p in enumerate(params)]
        opt.step(grads)
        for mine, g in zip(taken, grads, strict=True):
            mine += [] if g is None else [g]
    assert opt.t == 8
    for p, start, grads, state in zip(params, starts, taken, opt.state, strict=True):
        expected, slots = alone(start, rule, grads, backend=backend, threads=threads)
        assert p.tobytes() == expected.tobytes()
        assert all(state[name].tobytes() == slots[name].tobytes() for name in slots)


def test_clipping_leaves_out_what_is_missing(backend):
    p, q = np.zeros(4), np.zeros(3)
    opt = fo.Optimizer({"p": p, "q": q}, fo.SGD(1.0), clip=1.0, backend=backend)
    opt.step({"p": np.full(4, 2.0), "q": None})
    assert (p == -0.5).all() and (q == 0).all()
    with pytest.raises(FloatingPointError, match="'p'"):
        opt.step({"p": np.full(4, np.nan), "q": None})
    opt.step({"p": None, "q": np.array([3.0, 0, 4])})
    np.testing.assert_allclose(q, [-0.6, 0, -0.8])
    assert (p == -0.5).all()


def test_schedules_go_on_while_an_array_is_left_out():
    p, q = np.zeros(1), np.zeros(1)
    opt = fo.Optimizer([p, q], fo.SGD(1.0), schedules={"lr": lambda t, base: t + 1.0})
    opt.step([np.ones(1), None])
    opt.step([np.ones(1), np.ones(1)])
    assert p[0] == -3 and q[0] == -2


def test_one_array_needs_its_gradient():
    with pytest.raises(TypeError, match="must be a NumPy array, not NoneType"):
        fo.Optimizer(np.zeros(3), fo.SGD()).step(None)
    with pytest.raises(TypeError, match="opt.step"):
        fo.Optimizer(np.zeros(3), fo.SGD()).step()


@pytest.mark.parametrize("rule", RULES, ids=lambda r: type(r).__name__)
def test_arrays_added_later(rule):
    rng = np.random.default_rng(1)
    a, b, c = rng.standard_normal((3, 6, 2))
    starts = [x.copy() for x in (a, b, c)]
    ga, gb, gc = (rng.standard_normal((6, 6, 2)) for _ in range(3))
    opt = fo.Optimizer({"a": a, "b": b}, rule)
    for i in range(3):
        opt.step({"a": ga[i], "b": gb[i]})
    opt.add_params({"c": c})
    for i in range(3):
        opt.step({"a": ga[3 + i], "b": gb[3 + i], "c": gc[i]})
    assert opt.t == 6 and list(opt.params) == ["a", "b", "c"]
    for p, start, grads in zip((a, b, c), starts, (ga, gb, gc[:3]), strict=True):
        assert p.tobytes() == alone(start, rule, grads)[0].tobytes()


def test_what_is_added_is_looked_at_first():
    p = np.zeros(3)
    opt = fo.Optimizer({"p": p}, fo.Adam(), groups=[("p*", {"weight_decay": 0.5})])
    for more, words in (
        ({"p": np.zeros(2)}, "has 'p' already"),
        ([np.zeros(2)], "must be a dict"),
        ({"q": p}, "overlap"),
        ({"q": np.zeros(2, int)}, "float"),
    ):
        with pytest.raises((TypeError, ValueError), match=words):
            opt.add_params(more)
    with pytest.raises(TypeError, match="one array"):
        fo.Optimizer(p, fo.SGD()).add_params([np.zeros(2)])
    q, r = np.ones(2), np.ones(2)
    opt.add_params({"p2": q})
    opt.add_params({"r": r}, "frozen")
    opt.step({"p": np.zeros(3), "p2": np.zeros(2), "r": np.ones(2)})
    assert (q < 1).all() and (r == 1).all()  # the group's decay holds for what its pattern selects


def nested():
    return {
        "layers": [
            {"W": np.zeros((2, 3)), "bias": np.zeros(2)},
            {"W": np.zeros((1, 2)), "bias": np.zeros(1)},
        ],
        "scale": np.zeros(()),
        "pair": (np.zeros(2), np.zeros(3)),
    }


def like(tree, value):
    if isinstance(tree, dict):
        return {k: like(v, value) for k, v in tree.items()}
    if isinstance(tree, (list, tuple)):
        return type(tree)(like(v, value) for v in tree)
    return np.full_like(tree, value)


def test_nested_parameters():
    params = nested()
    opt = fo.Optimizer(
        params,
        fo.SGD(1.0, weight_decay=0.5),
        groups=[
            ("*.bias", {"lr": 0.5}),
            ("layers.1.*", "frozen"),
            (lambda name, array: array.ndim == 0, {"lr": 0.25}),
        ],
    )
    opt.step(like(params, 1.0))
    assert (params["layers"][0]["W"] == -1).all() and (params["layers"][0]["bias"] == -0.5).all()
    assert (
        (params["layers"][1]["W"] == 0).all() and params["scale"] == -0.25 and (params["pair"][1] == -1).all()
    )
    state = fo.Optimizer(nested(), fo.Momentum()).state
    assert state["layers"][1]["W"]["v"].shape == (1, 2) and isinstance(state["pair"], tuple)
    grads = like(params, 1.0)
    grads["layers"] = None
    opt.step(grads)
    assert (params["layers"][0]["W"] == -1).all() and (params["pair"][0] == -1.5).all()


def test_nested_gradients_of_another_form():
    opt = fo.Optimizer(nested(), fo.SGD())
    grads = like(nested(), 1.0)
    del grads["layers"][1]["bias"]
    with pytest.raises(
        ValueError, match=r"grads\['layers'\]\[1\] must have the keys of params; missing \['bias'\]"
    ):
        opt.step(grads)
    grads = like(nested(), 1.0)
    grads["layers"].pop()
    with pytest.raises(ValueError, match=r"grads\['layers'\] has 1 entries, params 2"):
        opt.step(grads)
    grads = like(nested(), 1.0)
    grads["pair"] = np.ones(5)
    with pytest.raises(TypeError, match=r"grads\['pair'\] must be a sequence"):
        opt.step(grads)
    with pytest.raises(ValueError, match="two arrays are named 'a.b'"):
        fo.Optimizer({"a": {"b": np.zeros(1)}, "a.b": np.zeros(1)}, fo.SGD())
    assert opt.t == 0


@pytest.mark.parametrize("shape", [(64, 48), (5, 7, 3)])
def test_fortran_order_is_as_good(shape, backend):
    """The same bits, whichever order p and g lie in."""
    rng = np.random.default_rng(2)
    p, gradients = rng.standard_normal(shape), rng.standard_normal((4, *shape))
    expected, _ = alone(p, fo.Adam(0.1), gradients, backend=backend)
    fortran = np.asfortranarray(p)
    opt = fo.Optimizer(fortran, fo.Adam(0.1), backend=backend)
    for i, g in enumerate(gradients):
        opt.step(np.asfortranarray(g) if i % 2 else g)
        assert opt._tables[0].uneven == (i % 2 == 0)  # where both agree nothing is copied
    assert fortran.tobytes(order="C") == expected.tobytes() and fortran.flags.f_contiguous


# ---- options of a step ----


def run(gradients, rule=None, p=None, **options):
    p = np.ones(5) if p is None else p
    opt = fo.Optimizer(p, rule or fo.Adam(0.1, weight_decay=0.1), **options)
    for g in gradients:
        opt.step(g)
    return p, opt


def gradients(n, seed=3):
    return list(np.random.default_rng(seed).standard_normal((n, 5)))


def test_maximize(backend):
    p, opt = run(gradients(4), maximize=True, backend=backend)
    assert p.tobytes() == run([-g for g in gradients(4)], backend=backend)[0].tobytes()
    opt.maximize = False
    p = np.ones(5)
    opt = fo.Optimizer(p, fo.SGD(1.0), maximize=True)
    opt.step(np.ones(5))
    opt.maximize = False
    opt.step(np.ones(5))
    assert (p == 1).all()


@pytest.mark.parametrize("clip", [None, 0.5])
def test_accumulation_is_a_step_with_the_mean(backend, clip):
    parts = gradients(12)
    p, opt = run(parts, accumulate=4, clip=clip, backend=backend)
    means = [sum(parts[i : i + 4]) / 4 for i in (0, 4, 8)]
    q, other = run(means, clip=clip, track_norm=True, backend=backend)
    np.testing.assert_allclose(p, q, rtol=1e-12)
    assert opt.t == 3 and opt.accumulate == 4
    if clip is not None:
        np.testing.assert_allclose(opt.gradient_norm, other.gradient_norm, rtol=1e-12)


def test_accumulation_takes_the_buffer_that_is_written_to_again():
    p, g = np.zeros(3), np.empty(3)
    opt = fo.Optimizer(p, fo.SGD(1.0), accumulate=2)
    for i in range(4):
        g[:] = i
        opt.step(g)
    assert (p == -(0.5 + 2.5)).all()


def test_accumulation_of_some_arrays_and_a_bad_one():
    p, q = np.zeros(2), np.zeros((3, 2), order="F")
    opt = fo.Optimizer([p, q], fo.SGD(1.0), accumulate=2)
    opt.step([np.ones(2), None])
    with pytest.raises(FloatingPointError, match="grads"):
        opt.step([np.full(2, np.inf), None])
    assert opt.t == 0
    opt.step([np.ones(2), None])
    assert opt.t == 1 and (p == -1).all() and (q == 0).all()
    opt.step([None, np.ones((3, 2))])
    opt.step([None, np.ones((3, 2))])
    assert (q == -1).all() and (p == -1).all()
    with pytest.raises(ValueError, match="accumulate"):
        fo.Optimizer(p, fo.SGD(), accumulate=0)
    with pytest.raises(ValueError, match="SAM"):
        fo.Optimizer(p, fo.SAM(fo.SGD()), accumulate=2)


@pytest.mark.parametrize("dtype", ["f4", "f8"])
def test_gradient_norm(dtype, backend):
    p = [np.zeros(3, dtype), np.zeros((2, 2), dtype)]
    opt = fo.Optimizer(p, fo.SGD(1e-3), track_norm=True, backend=backend)
    assert opt.gradient_norm is None
    opt.step([np.full(3, 2, dtype), np.full((2, 2), 1, dtype)])
    assert opt.gradient_norm == 4
    opt.step([np.full(3, 1e30, dtype), None])
    np.testing.assert_allclose(opt.gradient_norm, 3**0.5 * 1e30, rtol=1e-6)


def test_some_bad_steps_in_a_row_are_tolerated():
    bad, good = np.full(5, np.nan), np.ones(5)
    p, opt = run([good, bad, bad, good, bad, bad], nonfinite="skip", max_skips=2)
    assert opt.t == 2 and opt.skipped == 4
    with pytest.raises(FloatingPointError, match="3 times in a row; max_skips is 2"):
        opt.step(bad)
    opt.step(good)
    opt.step(bad)
    assert opt.t == 3


def test_loss_scale(backend):
    grads = gradients(6)
    p, opt = run([g * 1024 for g in grads], loss_scale=1024, clip=1.0, backend=backend)
    q, other = run(grads, clip=1.0, backend=backend)
    assert p.tobytes() == q.tobytes() and opt.loss_scale == 1024 and opt.gradient_norm == other.gradient_norm
    with pytest.raises(FloatingPointError):
        opt.step(np.full(5, np.inf))
    with pytest.raises(ValueError, match="allow"):
        fo.Optimizer(p, fo.SGD(), loss_scale=2.0, nonfinite="allow")
    with pytest.raises(ValueError, match="scale > 0"):
        fo.LossScale(0)


def test_a_loss_scale_that_adapts():
    """As torch.amp.GradScaler: half after inf, double after some good steps; the steps are those without it."""
    p, q = np.ones(5), np.ones(5)
    scale = fo.LossScale(8.0, growth_interval=2)
    opt, plain = fo.Optimizer(p, fo.Adam(0.1), loss_scale=scale), fo.Optimizer(q, fo.Adam(0.1))
    seen = []
    for i, g in enumerate(gradients(7)):
        seen.append(opt.loss_scale)
        if i == 3:
            opt.step(np.full(5, np.inf))
            continue
        opt.step(g * opt.loss_scale)
        plain.step(g)
    assert seen == [8, 8, 16, 16, 8, 8, 16] and opt.skipped == 1 and p.tobytes() == q.tobytes()


@pytest.mark.parametrize("halves", [True, False])
def test_options_are_saved(tmp_path, halves):
    """Also amid the micro-batches of a step."""
    path, grads = tmp_path / "run.safetensors", gradients(9)
    options = dict(accumulate=3, maximize=True, loss_scale=fo.LossScale(4.0, growth_interval=1), max_skips=3)
    p, opt = run(grads[:4], **options)
    opt.save(path)
    again = fo.Optimizer.load(path) if halves else copy.deepcopy(opt)
    for g in grads[4:]:
        opt.step(g), again.step(g)
    assert again.params.tobytes() == p.tobytes() and again.loss_scale == opt.loss_scale == 32 and again.t == 3


def test_attributes_work_or_are_refused():
    p = np.ones(5)
    opt = fo.Optimizer(p, fo.SGD(1.0))
    opt.lr = 0.5
    opt.step(np.ones(5))
    assert (p == 0.5).all()
    opt.clip = 1e-3
    opt.step(np.ones(5))
    assert (p > 0.49).all()
    opt.clip, opt.schedules = None, {"lr": lambda t, base: 2 * base}
    p[:] = 1
    opt.step(np.ones(5))
    assert (p == 0).all()
    opt.schedules = None
    opt.rule = fo.SGD(0.25)
    opt.step(np.ones(5))
    assert (p == -0.25).all()
    for name in ("weight_decay", "momentum", "accumulate", "params", "state", "t_max"):
        with pytest.raises(AttributeError):
            setattr(opt, name, 0.5)


def clipped_by_hand(grads, clip, by):
    """float64, in the words of the docstring."""
    if by == "value":
        return [np.minimum(np.maximum(g, -clip), clip) for g in grads]
    norms = [np.linalg.norm(g.astype(np.float64)) for g in grads]
    if by == "norm":
        norms = [np.sqrt(sum(n**2 for n in norms))] * len(grads)
    return [g * (clip / n) if n > clip else g for g, n in zip(grads, norms, strict=True)]


@pytest.mark.parametrize("by", ["norm", "array norm", "value"])
@pytest.mark.parametrize(
    "rule", [fo.Momentum(0.1), fo.LAMB(0.1), fo.Adafactor(0.1)], ids=lambda r: type(r).__name__
)
def test_clipping_by_norm_array_norm_and_value(rule, by, need):
    """What is clipped on the way is what was clipped beforehand; the same bits from all engines."""
    found = {}
    for backend in ("numpy", "numba", "c"):
        if backend == "c" and not fo.rules.is_in_c(rule):
            continue
        need(backend)
        rng = np.random.default_rng(0)
        start = [rng.standard_normal(s) for s in ((40, 3), (5000,), (7,))]
        mine, theirs = [p.copy() for p in start], [p.copy() for p in start]
        opt = fo.Optimizer(mine, rule, clip=2.0, clip_by=by, maximize=True, loss_scale=4.0, backend=backend)
        plain = fo.Optimizer(theirs, rule, backend=backend)
        for scale in (1e-3, 1.0, 1e3):
            grads = [scale * rng.standard_normal(p.shape) for p in start]
            opt.step([4 * g for g in grads])
            plain.step([-g for g in clipped_by_hand(grads, 2.0, by)])
        for p, q in zip(mine, theirs, strict=True):
            np.testing.assert_allclose(p, q, rtol=1e-12, atol=1e-14)
        found[backend] = [p.tobytes() for p in mine]
    assert len(set(map(tuple, found.values()))) == 1


@pytest.mark.parametrize("state_dtype", [None, "bfloat16", "float8"])
@pytest.mark.parametrize("dtype", ["f4", "bf2"])
def test_clipping_of_small_state_has_the_same_bits(state_dtype, dtype, need):
    from fastopt import arrays, rounding

    found = []
    for by in ("array norm", "value"):
        results = set()
        for backend in ("numpy", "numba", "c"):
            need(backend)
            rng = np.random.default_rng(0)
            as_kind = (lambda x: x) if dtype == "f4" else lambda x: arrays.bfloat16_view(rounding.split(x)[0])
            sizes = (300, 1000)
            params = [as_kind(rng.standard_normal(n).astype("f4")) for n in sizes]
            opt = fo.Optimizer(
                params, fo.AdamW(0.1), clip=0.5, clip_by=by, state_dtype=state_dtype, backend=backend
            )
            for _ in range(3):
                opt.step([as_kind(rng.standard_normal(n).astype("f4")) for n in sizes])
            results.add(tuple(p.tobytes() for p in params))
        assert len(results) == 1
        found.append(results.pop())
    assert found[0] != found[1]


def test_clip_by_may_be_assigned_saved_and_is_checked(tmp_path):
    p = np.ones(3)
    opt = fo.Optimizer(p, fo.SGD(1.0), clip=0.5)
    opt.clip_by = "value"
    opt.step(np.array([2.0, -0.1, -3.0]))
    assert p.tolist() == [0.5, 1.1, 1.5] and opt.gradient_norm is None
    opt.save(tmp_path / "run.safetensors")
    assert fo.Optimizer.load(tmp_path / "run.safetensors").clip_by == "value"
    opt.clip = None
    opt.step(np.array([2.0, 0, 0]))
    assert p[0] == -1.5
    with pytest.raises(ValueError, match="clip_by must be one of 'norm', 'array norm', 'value'"):
        opt.clip_by = "element"


def test_extreme_norms_of_arrays(need):
    """Squares that leave float64's range, beside ordinary ones."""
    p = [np.zeros(4), np.zeros(4), np.zeros(4)]
    grads = [np.full(4, 1e200), np.full(4, 1e-200), np.full(4, 10.0)]
    fo.Optimizer(p, fo.SGD(1.0), clip=1e-190, clip_by="array norm").step(grads)
    assert np.allclose(p[0], -0.5e-190, rtol=1e-12, atol=0) and np.allclose(
        p[2], -0.5e-190, rtol=1e-12, atol=0
    )
    assert np.array_equal(p[1], -grads[1])
