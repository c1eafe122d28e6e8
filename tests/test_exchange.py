"""Runs of torch and optax that go on in fastopt, and back: the numbers of a run that never changed hands."""

import importlib

import numpy as np
import pytest

import fastopt as fo


def gradients(n, shapes=((4, 3), (5,))):
    rng = np.random.default_rng(0)
    return [[rng.standard_normal(s) for s in shapes] for _ in range(n)]


TORCH = {
    "sgd": ("SGD", dict(lr=0.1, weight_decay=0.1)),
    "momentum": ("SGD", dict(lr=0.1, momentum=0.9, dampening=0.5)),
    "nesterov": ("SGD", dict(lr=0.1, momentum=0.9, nesterov=True)),
    "adam": ("Adam", dict(lr=0.1, betas=(0.8, 0.95), weight_decay=0.1)),
    "adamw": ("AdamW", dict(lr=0.1, weight_decay=0.1)),
    "adam decoupled": ("Adam", dict(lr=0.1, weight_decay=0.1, decoupled_weight_decay=True)),
    "amsgrad": ("Adam", dict(lr=0.1, amsgrad=True, maximize=True)),
    "amsgradw": ("AdamW", dict(lr=0.1, amsgrad=True)),
    "rmsprop": ("RMSprop", dict(lr=0.1)),
    "centered": ("RMSprop", dict(lr=0.1, centered=True)),
    "rmsprop momentum": ("RMSprop", dict(lr=0.1, momentum=0.9)),
    "centered momentum": ("RMSprop", dict(lr=0.1, momentum=0.9, centered=True)),
    "adagrad": ("Adagrad", dict(lr=0.1, initial_accumulator_value=0.5)),
    "adadelta": ("Adadelta", dict(lr=0.5)),
    "adamax": ("Adamax", dict(lr=0.1)),
    "nadam": ("NAdam", dict(lr=0.1)),
    "nadamw": ("NAdam", dict(lr=0.1, weight_decay=0.1, decoupled_weight_decay=True)),
    "radam": ("RAdam", dict(lr=0.1)),
    "rprop": ("Rprop", dict(lr=0.1, etas=(0.4, 1.3))),
    "asgd": ("ASGD", dict(lr=0.1, t0=3)),
    "adafactor": ("Adafactor", dict(lr=0.1, eps=(1e-30, 1e-3), weight_decay=0.1, d=1.5)),
}


@pytest.mark.parametrize("begin", [0, 4])
@pytest.mark.parametrize("case", TORCH)
def test_torch_there_and_back(case, begin):
    torch = pytest.importorskip("torch")
    kind, settings = TORCH[case]
    start = [torch.ones(4, 3, dtype=torch.float64), torch.ones(5, dtype=torch.float64)]
    plain, mine = [[torch.nn.Parameter(p.clone()) for p in start] for _ in range(2)]
    groups = lambda ps: [{"params": ps[:1]}, {"params": ps[1:], "lr": 0.05}]  # noqa: E731
    reference, theirs = (getattr(torch.optim, kind)(groups(ps), **settings) for ps in (plain, mine))

    def step(optimizer, params, grads, some):
        for i, (p, g) in enumerate(zip(params, grads, strict=True)):
            p.grad = torch.tensor(g) if some or i == 0 else None
        optimizer.step()

    opt = None
    for i, grads in enumerate(gradients(12)):
        if i == begin:
            opt = fo.from_torch(theirs)
        if i == 8:
            theirs = fo.to_torch(opt)
        step(reference, plain, grads, i != 2)
        step(opt if begin <= i < 8 else theirs, mine, grads, i != 2)
    # torch keeps the product of NAdam's momenta and ASGD's rate in float32
    close = 1e-7 if kind in ("NAdam", "ASGD") else 3e-13
    for a, b in zip(plain, mine, strict=True):
        np.testing.assert_allclose(b.detach(), a.detach(), rtol=close, atol=1e-14)


def test_muon_there_and_back(monkeypatch):
    torch = pytest.importorskip("torch")
    monkeypatch.setattr(torch.Tensor, "bfloat16", lambda self: self.clone())  # which is 1 % off
    plain, mine = (torch.nn.Parameter(torch.ones(4, 3, dtype=torch.float64)) for _ in range(2))
    reference, theirs = (torch.optim.Muon([p], lr=0.1, ns_steps=4) for p in (plain, mine))
    for i, (g, _) in enumerate(gradients(12)):
        opt = fo.from_torch(theirs) if i == 4 else None if i < 4 else opt  # noqa: F821
        theirs = fo.to_torch(opt) if i == 8 else theirs
        plain.grad, mine.grad = torch.tensor(g), torch.tensor(g)
        reference.step()
        (opt if 4 <= i < 8 else theirs).step()
    np.testing.assert_allclose(mine.detach(), plain.detach(), rtol=1e-5)


def test_adagrads_lr_decay_there_and_back():
    torch = pytest.importorskip("torch")
    plain, mine = (torch.nn.Parameter(torch.ones(3, dtype=torch.float64)) for _ in range(2))
    reference, theirs = (torch.optim.Adagrad([p], lr=0.1, lr_decay=0.3) for p in (plain, mine))
    for i in range(12):
        opt = fo.from_torch(theirs) if i == 4 else None if i < 4 else opt  # noqa: F821
        theirs = fo.to_torch(opt) if i == 8 else theirs
        plain.grad = mine.grad = torch.full((3,), 1.0 + i % 3, dtype=torch.float64)
        reference.step()
        (opt if 4 <= i < 8 else theirs).step()
    np.testing.assert_allclose(mine.detach(), plain.detach(), rtol=1e-13)


def test_what_torch_and_fastopt_do_not_share():
    torch = pytest.importorskip("torch")
    p = torch.nn.Parameter(torch.ones(3))
    q = torch.nn.Parameter(torch.ones(3, 3))
    with pytest.raises(ValueError, match="Muon with .*nesterov=False.* is no rule here"):
        fo.from_torch(torch.optim.Muon([q], nesterov=False))
    with pytest.raises(ValueError, match="lr_decay becomes a schedule"):
        fo.from_torch(torch.optim.Adagrad([{"params": [p]}, {"params": [q], "lr": 0.3}], lr_decay=0.1))
    with pytest.raises(TypeError, match="matrices only"):
        fo.to_torch(fo.Optimizer(p, fo.Muon()))
    with pytest.raises(TypeError, match="LBFGS"):
        fo.from_torch(torch.optim.LBFGS([p]))
    with pytest.raises(TypeError, match="torch.optim has no Lion"):
        fo.to_torch(fo.Optimizer(p, fo.Lion()))
    with pytest.raises(TypeError, match="torch's tensors"):
        fo.to_torch(fo.Optimizer(np.ones(3), fo.SGD()))
    with pytest.raises(TypeError, match="undamped_start"):
        fo.to_torch(fo.Optimizer(p, fo.Momentum(dampening=0.5)))


OPTAX = {
    "sgd": (lambda o: o.sgd(0.1), lambda: fo.SGD(0.1)),
    "momentum": (lambda o: o.sgd(0.1, momentum=0.9), lambda: fo.Momentum(0.1)),
    "nesterov": (lambda o: o.sgd(0.1, momentum=0.9, nesterov=True), lambda: fo.Nesterov(0.1)),
    "adam": (lambda o: o.adam(0.1), lambda: fo.Adam(0.1)),
    "adamw": (lambda o: o.adamw(0.1, weight_decay=0.1), lambda: fo.AdamW(0.1, weight_decay=0.1)),
    "clipped": (lambda o: o.chain(o.clip_by_global_norm(1.0), o.adam(0.1)), lambda: fo.Adam(0.1)),
    "lion": (lambda o: o.lion(0.1, weight_decay=0.0), lambda: fo.Lion(0.1)),
    "adadelta": (lambda o: o.adadelta(0.1, rho=0.9, eps=1e-6), lambda: fo.AdaDelta(0.1, rho=0.9, eps=1e-6)),
    "classical": (lambda o: o.chain(o.scale(-0.1), o.trace(0.9)), lambda: fo.ClassicalMomentum(0.1)),
    "momentumw": (
        lambda o: o.chain(o.trace(0.9), o.add_decayed_weights(0.1), o.scale(-0.1)),
        lambda: fo.MomentumW(0.1, weight_decay=0.1),
    ),
    "centered": (lambda o: o.rmsprop(0.1, eps_in_sqrt=False, centered=True), lambda: fo.CenteredRMSProp(0.1)),
    "lamb": (lambda o: o.lamb(0.1, weight_decay=0.1), lambda: fo.LAMB(0.1, weight_decay=0.1)),
    "ademamix": (lambda o: contrib().ademamix(0.1), lambda: fo.AdEMAMix(0.1)),
    # eps is beside another root there
    "radam": (lambda o: o.radam(0.1, eps=1e-300), lambda: fo.RAdam(0.1, eps=1e-300)),
    "radamw": (
        lambda o: o.chain(o.scale_by_radam(eps=1e-300), o.add_decayed_weights(0.1), o.scale(-0.1)),
        lambda: fo.RAdamW(0.1, eps=1e-300, weight_decay=0.1),
    ),
}


def contrib():
    return importlib.import_module("optax.contrib")


@pytest.mark.parametrize("case", OPTAX)
def test_optax_there_and_back(case):
    optax, jax = pytest.importorskip("optax"), pytest.importorskip("jax")
    with jax.enable_x64(True):  # in float32 optax' own RAdam is some per cent from the paper's
        _optax_there_and_back(case, OPTAX[case][0](optax), OPTAX[case][1]())


def _optax_there_and_back(case, transformation, rule):
    def steps(params, state, grads):
        for g in grads:
            updates, state = transformation.update(dict(zip("ab", g, strict=True)), state, params)
            params = {k: np.array(params[k] + updates[k]) for k in params}
        return params, state

    grads = gradients(12)
    start = {"a": np.ones((4, 3)), "b": np.ones(5)}
    expected, _ = steps(start, transformation.init(start), grads)
    params, state = steps(start, transformation.init(start), grads[:4])
    opt = fo.from_optax(params, state, rule, clip=1.0 if case == "clipped" else None)
    for g in grads[4:8]:
        opt.step(dict(zip("ab", g, strict=True)))
    found, _ = steps(params, fo.to_optax(opt, state), grads[8:])
    for k in "ab":
        np.testing.assert_allclose(found[k], expected[k], rtol=1e-12, atol=1e-13)


def test_a_state_of_another_rule():
    optax = pytest.importorskip("optax")
    p = np.ones(3, np.float32)
    state = optax.sgd(0.1, momentum=0.9).init(p)
    with pytest.raises(ValueError, match=r"no part with the fields \['mu', 'nu'\] of Adam"):
        fo.from_optax(p, state, fo.Adam())
    with pytest.raises(TypeError, match="PlainAdafactor"):
        fo.from_optax(p, state, fo.PlainAdafactor())
