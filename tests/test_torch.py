"""fo.Optimizer on torch's tensors: no copy, autograd left alone, frozen where there is no gradient."""

import copy

import numpy as np
import pytest

import fastopt as fo

torch = pytest.importorskip("torch")


def two_layers(seed=0, dtype=torch.float32):
    torch.manual_seed(seed)
    return torch.nn.Sequential(torch.nn.Linear(20, 32), torch.nn.Tanh(), torch.nn.Linear(32, 3)).to(dtype)


def batches(steps, dtype=torch.float32):
    generator = torch.Generator().manual_seed(1)
    X = torch.randn(256, 20, generator=generator, dtype=dtype)
    y = (X[:, 0] > 0).long() + (X[:, 1] > 0).long()
    for i in range(steps):
        part = slice(32 * (i % 8), 32 * (i % 8) + 32)
        yield X[part], y[part]


def train(model, opt, steps=200, dtype=torch.float32):
    losses = []
    for X, y in batches(steps, dtype):
        opt.zero_grad()
        loss = torch.nn.functional.cross_entropy(model(X), y)
        loss.backward()
        opt.step()
        losses.append(loss.item())
    return np.array(losses)


@pytest.mark.parametrize("threads", [1, 2])
def test_two_layers_as_with_torchs_adamw(backend, threads):
    theirs, ours = two_layers(), two_layers()
    expected = train(theirs, torch.optim.AdamW(theirs.parameters(), lr=3e-3))
    opt = fo.Optimizer(ours.named_parameters(), fo.AdamW(lr=3e-3), backend=backend, threads=threads)
    found = train(ours, opt)
    assert found[-1] < 0.5 * found[0]
    np.testing.assert_allclose(found, expected, atol=1e-5, rtol=0)


def test_same_gradients_same_losses():
    """Each step from torch's own gradients: what is left is the update alone."""
    theirs, ours = two_layers(), two_layers()
    reference = torch.optim.AdamW(theirs.parameters(), lr=1e-2)
    opt = fo.Optimizer(list(ours.parameters()), fo.AdamW(lr=1e-2))
    for X, y in batches(200):
        reference.zero_grad()
        loss = torch.nn.functional.cross_entropy(theirs(X), y)
        loss.backward()
        with torch.no_grad():
            assert abs(torch.nn.functional.cross_entropy(ours(X), y).item() - loss.item()) < 1e-5
        opt.step([p.grad for p in theirs.parameters()])
        reference.step()


@pytest.mark.parametrize("form", ["tensor", "list", "dict", "nested", "generator", "named", "named list"])
def test_forms(form):
    W, b = torch.zeros(3, 2, requires_grad=True), torch.zeros(2)
    module = torch.nn.Module()
    module.W, module.b = torch.nn.Parameter(torch.zeros(3, 2)), torch.nn.Parameter(torch.zeros(2))
    params = {
        "tensor": W, "list": [W, b], "dict": {"W": W, "b": b}, "nested": {"layer": [W, {"b": b}]},
        "generator": module.parameters(), "named": module.named_parameters(),
        "named list": list(module.named_parameters()),
    }[form]  # fmt: skip
    opt = fo.Optimizer(params, fo.SGD(0.5))
    one, two = torch.ones(3, 2), torch.ones(2)
    named = form.startswith("named")
    grads = {"tensor": one, "list": [one, two], "nested": {"layer": (one, {"b": two})}}.get(
        form, {"W": one, "b": two} if named or form == "dict" else [one, two]
    )
    opt.step(grads)
    if form in ("generator", "named", "named list"):
        W, b = module.W, module.b
    assert (W.detach() == -0.5).all() and W.is_leaf
    assert form == "tensor" or (b == -0.5).all()


def test_numpy_parameters_take_torch_gradients():
    p, g = np.zeros(3), torch.ones(3, dtype=torch.float64, requires_grad=True)
    opt = fo.Optimizer(p, fo.SGD(1.0))
    for _ in range(2):
        opt.step(g)
    assert (p == -2).all()


def test_memory_is_shared_both_ways():
    t = torch.arange(4.0, requires_grad=True)
    opt = fo.Optimizer(t, fo.SGD(1.0))
    with torch.no_grad():
        t.fill_(7.0)
    opt.step(torch.ones(4))
    assert (t.detach() == 6).all() and opt.params is t and t.requires_grad


def test_autograd_notices_the_step():
    t = torch.ones(3, requires_grad=True)
    loss = (t**3).sum()
    fo.Optimizer(t, fo.SGD(0.1)).step(torch.ones(3))
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        loss.backward()


@pytest.mark.parametrize("order", ["transposed", "strided", "expanded gradient"])
def test_layouts(order):
    if order == "transposed":
        t, g = torch.zeros(3, 5).t(), torch.ones(3, 5).t()
    elif order == "strided":
        t, g = torch.zeros(5, 6)[:, ::2], torch.ones(5, 3)
    else:
        t, g = torch.zeros(5, 3), torch.ones(1).expand(5, 3)
    opt = fo.Optimizer(t, fo.Momentum(0.1))
    opt.step(g)
    opt.step(g)
    assert torch.allclose(t, torch.full_like(t, -0.29))


def test_no_gradient_is_no_step(backend):
    """As in torch: state and count of the array stay where they were."""
    ours, theirs = two_layers(), two_layers()
    opt = fo.Optimizer(ours.named_parameters(), fo.Adam(1e-2), backend=backend)
    reference = torch.optim.Adam(theirs.parameters(), lr=1e-2)
    for i, (X, y) in enumerate(batches(30)):
        for model, optimizer in ((ours, opt), (theirs, reference)):
            optimizer.zero_grad()
            torch.nn.functional.cross_entropy(model(X), y).backward()
            if 5 <= i < 12:
                model[0].weight.grad = None
            if i % 3:
                model[2].bias.grad = None
            optimizer.step()
    for a, b in zip(ours.parameters(), theirs.parameters(), strict=True):
        np.testing.assert_allclose(a.detach(), b.detach(), atol=2e-6)


def test_frozen_layers_take_no_step():
    model = two_layers()
    model[0].requires_grad_(False)
    before = model[0].weight.clone()
    opt = fo.Optimizer(model.named_parameters(), fo.AdamW(0.1, weight_decay=1.0))
    train(model, opt, 3)
    assert torch.equal(before, model[0].weight)


def test_zero_grad():
    model = two_layers()
    opt = fo.Optimizer(model.parameters(), fo.SGD(0.1))
    train(model, opt, 1)
    opt.zero_grad(set_to_none=False)
    assert all((p.grad == 0).all() for p in model.parameters())
    opt.zero_grad()
    assert all(p.grad is None for p in model.parameters())
    with pytest.raises(TypeError, match="no .grad"):
        fo.Optimizer(np.zeros(2), fo.SGD()).zero_grad()


def test_memory_that_moved_is_followed():
    """model.share_memory(), vector_to_parameters and p.data = ... put other memory behind a parameter."""
    ours, theirs = two_layers(), two_layers()
    opt = fo.Optimizer(ours.parameters(), fo.Adam(1e-2))
    reference = torch.optim.Adam(theirs.parameters(), lr=1e-2)
    for _ in range(3):
        train(ours, opt, 4), train(theirs, reference, 4)
        for model in (ours, theirs):
            vector = torch.nn.utils.parameters_to_vector(model.parameters()).detach().clone()
            torch.nn.utils.vector_to_parameters(vector, model.parameters())
    for a, b in zip(ours.parameters(), theirs.parameters(), strict=True):
        np.testing.assert_allclose(a.detach(), b.detach(), atol=2e-6)
    for p in ours.parameters():
        p.data = p.data.double()
    with pytest.raises(
        ValueError, match=r"was float32\(32, 20\) when the Optimizer was made and is now float64"
    ):
        opt.step([torch.zeros_like(p) for p in ours.parameters()])


REFUSED = {
    "no leaf": (lambda: torch.zeros(3, requires_grad=True) * 2, ValueError, "no leaf"),
    "meta": (lambda: torch.zeros(3, device="meta"), TypeError, "device meta"),
    "sparse": (lambda: torch.eye(3).to_sparse(), TypeError, "sparse"),
    "whole numbers": (lambda: torch.zeros(3, dtype=torch.int64), TypeError, "int64"),
    "complex": (lambda: torch.zeros(3, dtype=torch.complex64), TypeError, "complex64"),
    "expanded": (lambda: torch.zeros(1).expand(3), ValueError, "overlaps itself"),
    "model": (two_layers, TypeError, "named_parameters"),
    "twice": (lambda: [t := torch.zeros(3), t], ValueError, "overlap"),
}


@pytest.mark.parametrize("what", REFUSED)
def test_refused(what):
    make, error, words = REFUSED[what]
    with pytest.raises(error, match=words):
        fo.Optimizer(make(), fo.SGD())


def test_gradients_that_do_not_fit():
    p = torch.zeros(3)
    opt = fo.Optimizer({"p": p}, fo.SGD(1.0))
    for g, words in (
        (torch.ones(3, dtype=torch.float64), r"grads\['p'\] is float64"),
        (torch.ones(4), "shape"),
        (torch.eye(3).to_sparse()[0], "sparse"),
    ):
        with pytest.raises((TypeError, ValueError), match=words):
            opt.step({"p": g})
    with pytest.raises(TypeError, match="opt.step"):
        fo.Optimizer([np.zeros(2), p], fo.SGD()).step()
    assert (p == 0).all() and opt.t == 0


def test_a_closure_of_torch():
    model, plain = two_layers(), two_layers()
    opt = fo.Optimizer(model.parameters(), fo.SAM(fo.SGD(0.1), rho=1e-12))
    reference = torch.optim.SGD(plain.parameters(), lr=0.1)
    for X, y in batches(5):

        def closure(X=X, y=y):
            opt.zero_grad()
            loss = torch.nn.functional.cross_entropy(model(X), y)
            loss.backward()
            return loss

        assert opt.step_closure(closure).item() > 0
    train(plain, reference, 5)
    for a, b in zip(model.parameters(), plain.parameters(), strict=True):
        np.testing.assert_allclose(a.detach(), b.detach(), atol=1e-6)


def test_averaged_parameters_are_tensors():
    model = two_layers()
    opt = fo.Optimizer(dict(model.named_parameters()), fo.Averaged(fo.SGD(0.1)))
    train(model, opt, 3)
    averaged = opt.averaged()
    copy.deepcopy(model).load_state_dict(averaged)
    assert not torch.equal(averaged["0.weight"], model[0].weight)


def test_torch_is_not_imported(python):
    code = """
import sys, numpy as np, fastopt as fo
fo.Optimizer([np.zeros(3)], fo.SGD()).step([np.ones(3)])
print("torch" in sys.modules)
"""
    assert python(code) == "False\n"
