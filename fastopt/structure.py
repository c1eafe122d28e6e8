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
        kind = type(given)  # isinstance(given, Mapping) takes 0.3 us
        if self.kind == "dict":
            fits = kind is dict or isinstance(given, Mapping)
        else:
            fits = kind in (list, tuple) or _is_sequence(given)
        if not fits or len(given) != len(self.names):
            return None
        if self.kind != "dict":
            return list(given)
        return [given[name] for name in self.names] if all(map(given.__contains__, self.names)) else None


def _is_sequence(given):
    return hasattr(given, "__len__") and not isinstance(given, (np.ndarray, Mapping))
