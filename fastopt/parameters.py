"""The form in which a user keeps parameters: one array, a sequence, or a dict of arrays."""

from collections.abc import Mapping, Sequence

import numpy as np

from fastopt import arrays


class Parameters:
    """The arrays in order, with the names by which errors speak of them."""

    def __init__(self, params):
        if isinstance(params, Mapping):
            self.kind, self.keys, self.arrays = "dict", list(params), list(params.values())
        elif isinstance(params, Sequence) and not isinstance(params, str):
            self.kind, self.keys, self.arrays = "sequence", list(range(len(params))), list(params)
        else:
            self.kind, self.keys, self.arrays = "array", [None], [params]
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
        if self.kind == "array":
            return [grads]
        if self.kind == "dict":
            if not isinstance(grads, Mapping):
                raise TypeError(f"{what} must be a dict like params, not {type(grads).__name__}")
            missing = [k for k in self.keys if k not in grads]
            unknown = [k for k in grads if k not in self.keys] if len(grads) != len(self.keys) else []
            if missing or unknown:
                raise ValueError(f"{what} must have the keys of params; missing {missing}, unknown {unknown}")
            return [grads[k] for k in self.keys]
        if isinstance(grads, (np.ndarray, Mapping)) or not hasattr(grads, "__len__"):
            raise TypeError(f"{what} must be a sequence like params, not {type(grads).__name__}")
        if len(grads) != len(self.keys):
            raise ValueError(f"{what} has {len(grads)} arrays, params {len(self.keys)}")
        return list(grads)

    def in_form(self, values):
        """A value per parameter, in the form of the parameters."""
        if self.kind == "array":
            return values[0]
        return dict(zip(self.keys, values, strict=True)) if self.kind == "dict" else list(values)
