"""torch's CPU tensors as NumPy arrays of the same memory. torch is looked at only where a program has imported it."""

import sys
from typing import Any

from fastopt import arrays


def is_tensor(given: Any) -> bool:
    """Whether this is a tensor of torch."""
    torch = sys.modules.get("torch")
    return torch is not None and isinstance(given, getattr(torch, "Tensor", ()))


def parameter_view(tensor, name):
    """A parameter's memory as an array; an error says what tensor cannot be updated in place."""
    if tensor.requires_grad and not tensor.is_leaf:
        raise ValueError(
            f"{name} is a result of autograd, no leaf: pass the tensor that it was computed from"
        )
    if tensor.is_neg() or tensor.is_conj():
        raise TypeError(f"{name} is a view of negated numbers: pass t.resolve_neg()")
    return _view(tensor, name)


def gradient_view(gradient, name):
    """A gradient's memory as an array, if it is a tensor; anything else as it is."""
    return _view(gradient, name) if is_tensor(gradient) else gradient


def _view(tensor, name):
    try:
        return tensor.numpy()
    except (RuntimeError, TypeError):
        torch = sys.modules["torch"]
    if tensor.device.type != "cpu":
        what = f"on the device {tensor.device!s}: an Optimizer works on memory of the CPU"
        raise TypeError(f"{name} is {what}; pass t.cpu()")
    if tensor.layout != torch.strided:
        raise TypeError(f"{name} is sparse ({tensor.layout}): pass t.to_dense()")
    tensor = tensor.detach().resolve_neg()
    if tensor.dtype == torch.bfloat16:
        return arrays.bfloat16_view(tensor.view(torch.int16).numpy())
    try:
        return tensor.numpy()
    except (RuntimeError, TypeError) as error:
        raise TypeError(f"{name} is a tensor of {tensor.dtype}: {error}; pass t.float()") from None


def moved(tensors, known):
    """Whether one of them has its memory elsewhere: `tensor.data = other` and `model.share_memory()` move it."""
    return [tensor.data_ptr() for tensor in tensors] != known


def forget_gradients(tensors, set_to_none):
    """As torch's zero_grad: .grad is None, or filled with 0."""
    for tensor in tensors:
        if set_to_none or tensor.grad is None:
            tensor.grad = None
        else:
            tensor.grad = tensor.grad.detach().zero_()


def mark_changed(tensors):
    """Tell autograd that these are written to, so that a backward() through their old values is an error."""
    increment = sys.modules["torch"].autograd.graph.increment_version
    for tensor in tensors:
        if not tensor.is_inference():
            increment(tensor)


def tensor_like(array, tensor):
    """The array as a tensor; 16 bits for a tensor of bfloat16 are such numbers."""
    torch = sys.modules["torch"]
    if tensor.dtype == torch.bfloat16 and array.dtype.itemsize == 2:
        return torch.from_numpy(array.view("i2")).view(torch.bfloat16)
    return torch.from_numpy(array)
