"""Arrays, gradients and runs for the tests of the naive rules."""

import numpy as np
import pytest

STEPS = 50
TOLERANCE = 1e-12
SHAPE = (5, 4)


def float64_torch():
    """torch with float64 as its default type: it keeps scalars like NAdam's product in the default type."""
    module = pytest.importorskip("torch", reason="torch is not installed")
    before = module.get_default_dtype()
    module.set_default_dtype(module.float64)
    yield module
    module.set_default_dtype(before)


def start(shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape)


def gradient(p, t):
    """A noisy, badly scaled gradient; zero in some places at some steps."""
    rng = np.random.default_rng(1000 + t)
    scale = np.exp(np.linspace(-3, 3, p.size)).reshape(p.shape)
    g = scale * p + 0.5 * rng.normal(size=p.shape)
    return np.where(rng.random(p.shape) < 0.1, 0.0, g)


def run(rule, p, steps=STEPS):
    path = []
    for t in range(steps):
        p = rule.step(p, gradient(p, t))
        path.append(p.copy())
    return np.array(path)


def run_torch(torch, make, p, steps=STEPS, before=None):
    w = torch.nn.Parameter(torch.tensor(p))
    optimizer = make([w])
    path = []
    for t in range(steps):
        w.grad = torch.tensor(gradient(w.detach().numpy(), t))
        if before:
            before(w)
        optimizer.step()
        path.append(w.detach().numpy().copy())
    return np.array(path), optimizer, w


def same(a, b, tolerance=TOLERANCE):
    np.testing.assert_allclose(a, b, rtol=tolerance, atol=tolerance)
