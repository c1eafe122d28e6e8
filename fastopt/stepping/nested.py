"""Dicts, lists and tuples in one another: their arrays in order, named by the way to them ("layers.0.bias")."""

from collections.abc import Mapping, Sequence
from numbers import Real

NODES = (Mapping, list, tuple)
_LEAF = object()


def is_nested(given):
    """Whether a container holds other containers."""
    inner = given.values() if isinstance(given, Mapping) else given
    return any(map(_is_node, inner))


def _is_node(item):
    """Whether it holds arrays: a list of numbers is a mistake for an array."""
    if isinstance(item, Mapping):
        return True
    return isinstance(item, NODES) and not (item and all(isinstance(value, Real) for value in item))


class Tree:
    """The form of what was given; `names` and `leaves` of its arrays in order."""

    def __init__(self, given):
        self.names: list[str] = []
        self.leaves: list = []
        self._form = self._walk(given, ())
        if len(set(self.names)) < len(self.names):
            twice = next(name for name in self.names if self.names.count(name) > 1)
            raise ValueError(f"params: two arrays are named {twice!r}: a key has a '.' where another nests")

    def _walk(self, node, way):
        if not _is_node(node):
            self.names.append(".".join(map(str, way)))
            self.leaves.append(node)
            return _LEAF
        if hasattr(node, "_fields"):
            return type(node), {f: self._walk(v, (*way, f)) for f, v in zip(node._fields, node, strict=True)}
        if isinstance(node, Mapping):
            return dict, {key: self._walk(value, (*way, key)) for key, value in node.items()}
        return type(node), {i: self._walk(value, (*way, i)) for i, value in enumerate(node)}

    def parts(self, given, what):
        """The leaves of something in this form, in order; TypeError or ValueError naming the place where it is not."""
        found: list = []
        self._collect(self._form, given, what, found)
        return found

    def _collect(self, form, given, what, found):
        if form is _LEAF:
            found.append(given)
            return
        kind, children = form
        if given is None:  # all below it are frozen for this step
            for child in children.values():
                self._collect(child, None, what, found)
            return
        if kind is dict:
            if not isinstance(given, Mapping):
                raise TypeError(f"{what} must be a dict like params, not {type(given).__name__}")
            missing = [key for key in children if key not in given]
            unknown = [key for key in given if key not in children]
            if missing or unknown:
                raise ValueError(f"{what} must have the keys of params; missing {missing}, unknown {unknown}")
            items = [given[key] for key in children]
        else:
            if not isinstance(given, Sequence) or isinstance(given, str):
                raise TypeError(f"{what} must be a sequence like params, not {type(given).__name__}")
            items = list(given)
            if len(items) != len(children):
                raise ValueError(f"{what} has {len(items)} entries, params {len(children)}")
        for (key, child), item in zip(children.items(), items, strict=True):
            self._collect(child, item, f"{what}[{key!r}]", found)

    def pack(self, values):
        """A value a leaf, in this form."""
        return self._packed(self._form, iter(values))

    def _packed(self, form, values):
        if form is _LEAF:
            return next(values)
        kind, children = form
        made = {key: self._packed(child, values) for key, child in children.items()}
        if kind is dict:
            return made
        return kind(*made.values()) if hasattr(kind, "_fields") else kind(made.values())
