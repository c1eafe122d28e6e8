"""The parameters of an optimizer, in the form in which their user keeps them."""

from collections.abc import Mapping, Sequence

import numpy as np

from fastopt import arrays
from fastopt.structure import Structure


class Parameters:
    """The arrays in order, with the names by which errors speak of them."""

    def __init__(self, params):
        sequence = isinstance(params, Sequence) and not isinstance(params, str)
        self._structure, self.arrays = Structure.of(params, "list" if sequence else None)
        self.kind, self.keys = self._structure
        if not self.arrays:
            raise ValueError("params is empty: there is nothing to update")
        names = [self.name(i) for i in range(len(self.arrays))]
        if self.kind == "dict" and any(
            params[k] is not a for k, a in zip(self.keys, self.arrays, strict=True)
        ):
            raise TypeError(
                f"params ({type(params).__name__}) makes a new array at every look-up, which nobody would see updated: "
                "pass dict(params), and use the arrays in it"
            )
        for array, name in zip(self.arrays, names, strict=True):
            arrays.check_parameter(array, name)
        arrays.check_apart(self.arrays, names)

    def name(self, i, what="params"):
        return what if self.kind == "array" else f"{what}[{self.keys[i]!r}]"

    def gradients(self, grads, what="grads"):
        """The gradients in the order of the parameters; only the form is checked here."""
        parts = self._structure.parts(grads)
        if parts is None:
            self._refuse(grads, what)
        return parts

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
        return self._structure.pack(values)
