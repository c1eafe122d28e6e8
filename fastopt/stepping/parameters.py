"""The parameters of an optimizer, in the form in which their user keeps them."""

import copy
from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from fastopt import arrays
from fastopt.stepping import tensors
from fastopt.stepping.nested import Tree, is_nested
from fastopt.structure import Structure


class Parameters:
    """The arrays in order, with the names by which errors speak of them.

    given: what the user holds, arrays or tensors of torch; arrays: their memory. tensors: those that are tensors.
    """

    def __init__(self, params):
        params = _collected(params)
        sequence = isinstance(params, Sequence) and not isinstance(params, str)
        self._tree = None
        if (sequence or isinstance(params, Mapping)) and is_nested(params):
            self._tree = Tree(params)
            self.kind, self.keys, self.given = "nested", self._tree.names, self._tree.leaves
        else:
            self._structure, self.given = Structure.of(params, "list" if sequence else None)
            self.kind, self.keys = self._structure
        if not self.given:
            raise ValueError("params is empty: there is nothing to update")
        if self.kind == "dict" and any(
            params[k] is not a for k, a in zip(self.keys, self.given, strict=True)
        ):
            raise TypeError(
                f"params ({type(params).__name__}) makes a new array at every look-up, which nobody would see updated: "
                "pass dict(params), and use the arrays in it"
            )
        names = [self.name(i) for i in range(len(self.given))]
        self.tensors = [given for given in self.given if tensors.is_tensor(given)]
        self.look()
        for array, name in zip(self.arrays, names, strict=True):
            arrays.check_parameter(array, name, halves=True)
        arrays.check_apart(self.arrays, names)

    def look(self):
        """Note where the memory of the parameters is."""
        self.arrays = [
            tensors.parameter_view(given, self.name(i)) if tensors.is_tensor(given) else given
            for i, given in enumerate(self.given)
        ]
        self._places = [tensor.data_ptr() for tensor in self.tensors]

    def moved(self):
        """Whether a tensor has its memory elsewhere than at the last look."""
        return tensors.moved(self.tensors, self._places)

    def looked_anew(self):
        """The same parameters where their memory is now; ValueError where one has another shape or dtype."""
        now = copy.copy(self)
        now.look()
        for i, (have, had) in enumerate(zip(now.arrays, self.arrays, strict=True)):
            if have.shape != had.shape or have.dtype != had.dtype:
                raise ValueError(
                    f"{self.name(i)} was {had.dtype}{had.shape} when the Optimizer was made and is now "
                    f"{have.dtype}{have.shape}: make a new Optimizer"
                )
        arrays.check_apart(now.arrays, [self.name(i) for i in range(len(self.given))])
        return now

    def with_more(self, params):
        """These and more, which come behind them."""
        params, mine = _collected(params), self.in_form(self.given)
        if isinstance(mine, dict) and isinstance(params, Mapping):
            if taken := [key for key in params if key in mine]:
                raise ValueError(f"params has {taken[0]!r} already")
            return Parameters({**mine, **params})
        if isinstance(mine, (list, tuple)) and isinstance(params, Sequence) and not isinstance(params, str):
            return Parameters([*mine, *params])
        form = "a dict" if isinstance(mine, dict) else "a sequence"
        if self.kind == "array":
            raise TypeError(
                "this Optimizer has one array, to which none can be added: make it with a list or a dict"
            )
        raise TypeError(
            f"params must be {form} of arrays like those that are there, not {type(params).__name__}"
        )

    def orders(self):
        """For each parameter the order of its axes in memory, slowest first; C's where it lies in several pieces."""
        axes = [arrays.axes_in_memory(array) for array in self.arrays]
        return [list(range(a.ndim)) if x is None else list(x) for a, x in zip(self.arrays, axes, strict=True)]

    def need_floats(self, what):
        """TypeError where a parameter has 16 bits."""
        for i, array in enumerate(self.arrays):
            if half := arrays.half_of(array.dtype):
                raise TypeError(f"{self.name(i)} is {half}: {what} float32 and float64 parameters only")

    def name(self, i, what="params"):
        return what if self.kind == "array" else f"{what}[{self.keys[i]!r}]"

    @property
    def names(self):
        """By which groups select: keys, the way to an array in nested ones, positions."""
        return [i if key is None else key for i, key in enumerate(self.keys)]

    def gradients(self, grads, what="grads"):
        """The gradients in the order of the parameters; only the form is checked here."""
        if self.kind == "array" and not self.tensors:
            return [grads]
        parts = self._tree.parts(grads, what) if self._tree is not None else self._structure.parts(grads)
        if parts is None:
            self._refuse(grads, what)
        if self.tensors:
            return [tensors.gradient_view(g, self.name(i, what)) for i, g in enumerate(parts)]
        return parts

    def own_gradients(self):
        """What backward() left in .grad of each tensor."""
        if len(self.tensors) < len(self.given):
            raise TypeError("step() without gradients takes them from .grad, which only torch's tensors have: "
                            "pass them, opt.step(grads)")  # fmt: skip
        found = [tensor.grad for tensor in self.tensors]
        return [tensors.gradient_view(g, self.name(i, "grads")) for i, g in enumerate(found)]

    def may_miss(self):
        """Whether None may stand for a gradient: not for that of one NumPy array, where it is a mistake."""
        return self.kind != "array" or bool(self.tensors)

    def _refuse(self, grads, what):
        if self.kind == "dict":
            if not isinstance(grads, Mapping):
                raise TypeError(f"{what} must be a dict like params, not {type(grads).__name__}")
            missing = [k for k in self.keys if k not in grads]
            unknown = [k for k in grads if k not in self.keys] if len(grads) != len(self.keys) else []
            raise ValueError(f"{what} must have the keys of params; missing {missing}, unknown {unknown}")
        if isinstance(grads, (np.ndarray, Mapping)) or not hasattr(grads, "__len__"):
            raise TypeError(f"{what} must be a sequence like params, not {type(grads).__name__}")
        raise ValueError(f"{what} has {len(grads)} arrays, params {len(self.keys)}")

    def in_form(self, values):
        """A value per parameter, in the form of the parameters."""
        return (self._tree or self._structure).pack(values)

    def in_kind(self, values):
        """The same of arrays, as tensors where the parameters are tensors."""
        pairs = zip(values, self.given, strict=True)
        return self.in_form([tensors.tensor_like(v, g) if tensors.is_tensor(g) else v for v, g in pairs])


def _collected(params):
    """An iterator or a view of a dict as a list; pairs (name, array), as of named_parameters(), as a dict."""
    if hasattr(params, "named_parameters"):
        raise TypeError(f"params is a {type(params).__name__}: pass its named_parameters() or parameters()")
    if isinstance(params, Iterable) and not isinstance(
        params, (Sequence, Mapping, np.ndarray, np.generic)
    ) and not tensors.is_tensor(params) and not hasattr(params, "__getitem__"):  # fmt: skip
        params = list(params)
    if not isinstance(params, list) or not params or not all(map(_is_named, params)):
        return params
    if len({name for name, _ in params}) < len(params):
        raise ValueError("params has two arrays of one name")
    return dict(params)


def _is_named(item):
    return isinstance(item, tuple) and len(item) == 2 and isinstance(item[0], str)
