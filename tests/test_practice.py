"""What a long run needs around a step: gradients left out, arrays added, nested parameters."""

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
