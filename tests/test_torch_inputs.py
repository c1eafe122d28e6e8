"""The configurations that torch tests its own optimizers with: those that have a meaning here, step by step."""

import numpy as np
import pytest

import fastopt as fo

STEPS = 20
# torch's optimizers that are no rule here, and why.
NOT_MAPPED = {
    "LBFGS": "asks for the loss several times a step, so it is no update rule: fo.minimize has L-BFGS, with its own line search",
    "SparseAdam": "takes sparse gradients only, and steps the rows they name: gradients here are dense, or None for a whole array",
}


def inputs():
    """(torch's class, settings) of every configuration; none where torch or expecttest is missing."""
    try:
        from torch.testing._internal.common_optimizers import optim_db
    except ImportError:
        return []
    return [
        (info.optim_cls, given.kwargs) for info in optim_db for given in info.optim_inputs_func(device="cpu")
    ]


CASES = inputs()


def name_of(case):
    cls, kwargs = case
    return f"{cls.__name__}({', '.join(f'{k}={v}' for k, v in kwargs.items())})"


def start(cls, torch):
    rng = np.random.default_rng(0)
    shapes = [(6, 4), (3, 5)] + ([] if cls.__name__ == "Muon" else [(7,)])
    return [torch.tensor(rng.standard_normal(shape)) for shape in shapes]


@pytest.mark.skipif(not CASES, reason="torch or expecttest is not installed")
@pytest.mark.parametrize("case", [c for c in CASES if c[0].__name__ not in NOT_MAPPED], ids=name_of)
def test_twenty_steps_as_torch(case, monkeypatch):
    import torch

    cls, kwargs = case
    monkeypatch.setattr(torch.Tensor, "bfloat16", lambda self: self.clone())  # Muon's, which is 1 % off
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)  # in which torch keeps NAdam's product
    try:
        reference = [torch.nn.Parameter(p.clone()) for p in start(cls, torch)]
        mine = [torch.nn.Parameter(p.clone()) for p in start(cls, torch)]
        theirs, opt = cls(reference, **kwargs), fo.from_torch(cls(mine, **kwargs))
        rng = np.random.default_rng(1)
        for _ in range(STEPS):
            for p, q in zip(reference, mine, strict=True):
                p.grad = torch.tensor(rng.standard_normal(p.shape) * 10.0 ** rng.uniform(-2, 1, p.shape))
                q.grad = p.grad.clone()
            theirs.step()
            opt.step()
    finally:
        torch.set_default_dtype(before)
    close = (
        1e-6 if cls.__name__ == "Muon" else 1e-12
    )  # an eps of 1e-7 added to the norm there, its floor here
    for p, q, begun in zip(reference, mine, start(cls, torch), strict=True):
        np.testing.assert_allclose(q.detach(), p.detach(), rtol=close, atol=close)
        assert float((begun - q.detach()).abs().max()) > 1e-4


@pytest.mark.skipif(not CASES, reason="torch or expecttest is not installed")
def test_what_is_not_mapped_is_refused():
    import torch

    assert {cls.__name__ for cls, _ in CASES} >= NOT_MAPPED.keys()
    for cls, kwargs in CASES:
        if cls.__name__ in NOT_MAPPED:
            with pytest.raises(TypeError, match="no rule here"):
                fo.from_torch(cls([torch.nn.Parameter(torch.ones(3))], **kwargs))
