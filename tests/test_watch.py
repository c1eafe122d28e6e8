"""Arrays that change under an optimizer that knows them: resized, retyped, read-only, moved."""

import numpy as np
import pytest

import fastopt as fo
from fastopt import native


@pytest.fixture(params=["c", "documented"])
def heads(request, need, monkeypatch):
    """Heads of arrays read in C, and as NumPy documents it."""
    if request.param == "c":
        need("c")
    else:
        monkeypatch.setattr(native, "_KNOWN", False)


def retyped(a):
    a.dtype = "f4" if a.dtype == np.float64 else "i4"


def reshaped(a):
    a.shape = (2, -1)


def readonly(a):
    a.flags.writeable = False


def resized(a):
    a.resize(5000, refcheck=False)


CHANGES = {
    "dtype": retyped,
    "shape": reshaped,
    "resized": resized,
    "strides": lambda a: a.resize(7, refcheck=False),
}


@pytest.mark.parametrize("change", [*CHANGES, "read-only"])
@pytest.mark.parametrize("form", ["array", "list"])
def test_parameter(change, form, heads, backend):
    p, other = np.zeros(1000), np.zeros(10)
    params, grads = (p, np.ones(1000)) if form == "array" else ([other, p], [np.ones(10), np.ones(1000)])
    opt = fo.Optimizer(params, fo.Momentum(1.0), backend=backend)
    opt.step(grads)
    (readonly if change == "read-only" else CHANGES[change])(p)
    name = "params" if form == "array" else r"params\[1\]"
    for _ in range(2):
        with pytest.raises(ValueError, match=f"{name} is not what it was.*changed"):
            opt.step(grads)
    assert opt.t == 1 and (opt.state["v"] if form == "array" else opt.state[0]["v"])[0] == 1
    assert form == "array" or (other == -1).all()
    if change in ("read-only", "shape"):
        p.flags.writeable, p.shape = True, 1000
        opt.step(grads)
        assert opt.t == 2


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("form", ["array", "list"])
def test_gradient(change, form, heads, backend):
    """The same gradient object, looked at again at every step."""
    p, g = np.zeros(1000), np.ones(1000)
    opt = fo.Optimizer(p if form == "array" else [p], fo.SGD(1.0), backend=backend)
    grads = g if form == "array" else [g]
    opt.step(grads)
    CHANGES[change](g)
    for _ in range(2):
        with pytest.raises((TypeError, ValueError), match="grads.*(dtype|float32|shape)"):
            opt.step(grads)
    assert opt.t == 1 and (p == -1).all()
    opt.step(np.ones(1000) if form == "array" else [np.ones(1000)])
    assert (p == -2).all()


def test_gradient_that_moved(heads, backend):
    """In place of its memory another one of the same form: its new numbers are taken."""
    p, g = np.zeros(3000), np.ones(3000)
    opt = fo.Optimizer(p, fo.SGD(1.0), backend=backend)
    opt.step(g)
    g.resize(3_000_000, refcheck=False)
    g[:] = 2
    g.resize(3000, refcheck=False)
    opt.step(g)
    assert (p == -3).all()


def test_gradient_made_readonly_is_read(heads, backend):
    p, g = np.zeros(5), np.ones(5)
    opt = fo.Optimizer(p, fo.SGD(1.0), backend=backend)
    for _ in range(3):
        opt.step(g)
        g.flags.writeable = False
    assert (p == -3).all()


ORDERS = {
    "C": lambda a: np.ascontiguousarray(a),
    "F": lambda a: np.asfortranarray(a),
    "middle axis last": lambda a: np.ascontiguousarray(a.transpose(0, 2, 1)).transpose(0, 2, 1),
    "a row of one": lambda a: a[:1, ::2, ::2],
    "last axis first": lambda a: np.ascontiguousarray(a.transpose(2, 0, 1)).transpose(1, 2, 0),
}


@pytest.mark.parametrize("of_p", ORDERS)
@pytest.mark.parametrize("of_g", ORDERS)
def test_any_order_of_the_axes(of_p, of_g, heads, rng, backend):
    a, gradients = rng.standard_normal((4, 6, 8)), rng.standard_normal((3, 4, 6, 8))
    p = ORDERS[of_p](a.copy())
    if of_p == "a row of one" or of_g == "a row of one":
        p = ORDERS[of_p](a.copy())[:1, :3, :4]
        gradients = gradients[:, :1, :3, :4]
    plain = np.array(p, order="C")
    opt, expected = (fo.Optimizer(x, fo.Adam(0.1), backend=backend) for x in (p, plain))
    for g in gradients:
        given = np.broadcast_to(0.0, p.shape) + (ORDERS[of_g](g) if of_g != "a row of one" else g)
        opt.step(given)
        expected.step(np.array(g, order="C"))
    np.testing.assert_array_equal(p, plain)
    np.testing.assert_array_equal(opt.state["m"], expected.state["m"])
    assert opt.state["m"].shape == p.shape


def test_layouts_that_agree_are_not_copied(need):
    need("c")
    p = np.zeros((30, 40), order="F")
    opt = fo.Optimizer(p, fo.SGD(1.0))
    opt.step(np.ones((30, 40), order="F"))
    assert opt._plain and not opt._tables[0].refreshed and not opt._tables[0].copied
    opt.step(np.ones((30, 40)))  # C order beside F order is brought into its order
    assert (p == -2).all()


def test_masked_arrays_are_refused():
    masked = np.ma.masked_array(np.zeros(3), mask=[0, 1, 0])
    for params in (masked, [np.zeros(2), masked], {"w": masked}):
        with pytest.raises(TypeError, match="params.*masked array.*filled"):
            fo.Optimizer(params, fo.SGD())
    p = np.zeros(3)
    opt = fo.Optimizer({"w": p}, fo.SGD())
    with pytest.raises(TypeError, match=r"grads\['w'\] is a masked array"):
        opt.step({"w": masked})
    opt.step({"w": np.ones(3)})
    with pytest.raises(ValueError, match="masked"):
        opt = fo.Optimizer(p, fo.Momentum())
        opt.load_state_dict({**opt.state_dict(), "state": {"v": masked}})


def test_a_mapping_that_makes_its_arrays_anew_is_refused(tmp_path):
    np.savez(tmp_path / "w.npz", W=np.zeros(3))
    with np.load(tmp_path / "w.npz") as file, pytest.raises(TypeError, match=r"NpzFile.*dict\(params\)"):
        fo.Optimizer(file, fo.SGD())
    with np.load(tmp_path / "w.npz") as file:
        params = dict(file)
    fo.Optimizer(params, fo.SGD(1.0)).step({"W": np.ones(3)})
    assert (params["W"] == -1).all()
