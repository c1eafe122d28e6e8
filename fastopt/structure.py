"""The forms in which arrays are kept together: one array, a sequence or a dict of them."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np


class Structure(NamedTuple):
    """kind: "array", "tuple", "list" or "dict". names: of the arrays in order: None, numbers or keys."""

    kind: str
    names: list

    @classmethod
    def of(cls, given, sequence=None):
        """The structure of what was given, and its arrays in order.

        sequence: "tuple" or "list", if what is no mapping is one; else it is one array.
        """
        if isinstance(given, Mapping):
            return cls("dict", list(given)), list(given.values())
        if sequence is not None:
            return cls(sequence, list(range(len(given)))), list(given)
        return cls("array", [None]), [given]

    def pack(self, values: Sequence) -> Any:
        """A value for each array, in this structure."""
        if self.kind == "array":
            return values[0]
        if self.kind == "dict":
            return dict(zip(self.names, values, strict=True))
        return tuple(values) if self.kind == "tuple" else list(values)

    def parts(self, given):
        """The arrays in order of something in this structure; None where it has another one."""
        if self.kind == "array":
            return [given]
        if isinstance(given, Mapping) != (self.kind == "dict") or isinstance(given, np.ndarray):
            return None
        if not hasattr(given, "__len__") or len(given) != len(self.names):
            return None
        if self.kind != "dict":
            return list(given)
        return [given[name] for name in self.names] if all(name in given for name in self.names) else None
