"""torch on the CPU: its own optimizers (fused where there is such a kernel), autograd, a training loop."""

import contextlib

import torch
import torch.nn.functional as F

_RULES: dict[str, tuple[str, dict]] = {
    "SGD": ("SGD", {"fused": True}),
    "Momentum": ("SGD", {"momentum": 0.9, "fused": True}),
    "Nesterov": ("SGD", {"momentum": 0.9, "nesterov": True, "fused": True}),
    "AdaGrad": ("Adagrad", {"fused": True}),
    "RMSProp": ("RMSprop", {}),
    "CenteredRMSProp": ("RMSprop", {"centered": True}),
    "Adam": ("Adam", {"fused": True}),
    "AdamW": ("AdamW", {"fused": True}),
    "AMSGrad": ("Adam", {"amsgrad": True, "fused": True}),
    "AdaDelta": ("Adadelta", {}),
    "Adamax": ("Adamax", {}),
    "NAdam": ("NAdam", {}),
}


@contextlib.contextmanager
def threads(count):
    """A context in which torch computes with this many threads."""
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def bind(rule, params):
    """step(grads) on the memory of NumPy arrays; LookupError where torch lacks the rule."""
    name, options = _RULES[type(rule).__name__]
    tensors = [torch.from_numpy(p) for p in params]
    optimizer = getattr(torch.optim, name)(tensors, lr=rule.lr, **options)

    def step(grads):
        for tensor, grad in zip(tensors, grads, strict=True):
            tensor.grad = grad
        optimizer.step()

    return step


def as_given(grads):
    """Gradients as this peer takes them: tensors on the same memory."""
    return [torch.from_numpy(g) for g in grads]


def _loss(name):
    if name == "Softmax":
        return F.cross_entropy
    if name == "MulticlassHinge":
        return lambda s, y: F.multi_margin_loss(s, y) * s.shape[1]  # torch divides by the classes

    def hinge(s, y):
        z = torch.full_like(s, -1.0)
        z[torch.arange(len(y)), y] = 1.0
        return (1 - z * s).clamp_min(0).sum(dim=1).mean()

    return hinge


def gradient(problem, loss):
    X, y, W, b = map(torch.from_numpy, problem)
    W.requires_grad_(), b.requires_grad_()
    value_of = _loss(loss)

    def run():
        W.grad = b.grad = None
        value = value_of(F.linear(X, W, b), y)
        value.backward()
        return value.item(), W.grad, b.grad

    return run


def epoch(problem, loss, batch, lr=0.01, momentum=0.9):
    """One epoch of fused SGD over shuffled mini-batches, autograd and all."""
    problem = problem._replace(W=problem.W.copy(), b=problem.b.copy())
    X, y, W, b = map(torch.from_numpy, problem)
    W.requires_grad_(), b.requires_grad_()
    optimizer = torch.optim.SGD([W, b], lr=lr, momentum=momentum, fused=True)
    value_of = _loss(loss)

    def run():
        for which in torch.randperm(len(y)).split(batch):
            optimizer.zero_grad(set_to_none=True)
            value_of(F.linear(X[which], W, b), y[which]).backward()
            optimizer.step()

    return run
