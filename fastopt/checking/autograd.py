"""A function of torch tensors or JAX arrays, and its automatic gradient, as gradcheck takes them: of NumPy arrays by name.

Differences see the function as a user calls it; the gradient is what the framework's reverse mode says. Both are
evaluated in double precision where the function takes it.
"""

import inspect
import sys
from collections.abc import Mapping

import numpy as np

from fastopt.functions.point import Point


class NamedPoint(Point):
    """A point whose arrays are called by their names alone."""

    def title(self, k):
        return self.names[k]


class Problem:
    """f and grad of {name: array}, the point, and what the report should say of them."""

    def __init__(self, func, inputs, projection, seed):
        if not callable(func):
            raise TypeError(f"f must be a function, not {type(func).__name__}")
        self._func, self._inputs, self._projection = func, inputs, projection
        self._leaves = dict(_leaves(inputs, _names_of(func, inputs)))
        self._with = framework = _framework(self._leaves.values())
        arrays = {name: leaf for name, leaf in self._leaves.items() if framework.is_array(leaf)}
        self._moved = framework.moved(arrays)
        self.point = NamedPoint({name: framework.numpy(arrays[name], name) for name in self._moved})
        self._seed, self._unused = seed, set()
        arrays = self.point.pack(self.point.arrays)
        outputs = self._run(arrays, lambda: self._outputs(self._arguments(arrays)))
        self._shapes = [tuple(output.shape) for output in outputs]
        self._v, self._said = self._weights()

    def f(self, arrays):
        return self._run(arrays, lambda: self._with.value(self._seen(self._arguments(arrays))))

    def grad(self, arrays):
        jacobian = isinstance(self._projection, str) and self._projection == "jacobian"
        found = self._run(
            arrays, lambda: self._with.gradient(self._seen, self._arguments(arrays), self._moved, jacobian)
        )
        for name, g in found.items():
            if g is None:
                self._unused.add(name)
        rows = (sum(map(_size, self._shapes)),) if jacobian else ()
        nothing = {name: np.zeros(rows + arrays[name].shape, arrays[name].dtype) for name in self._moved}
        return {name: nothing[name] if g is None else g for name, g in found.items()}

    def notes(self):
        fixed = [name for name in self._leaves if name not in self._moved]
        found = [self._said] if self._said else []
        if fixed:
            found.append(f"held fixed: {', '.join(fixed)}")
        if self._unused:
            found.append(
                f"autograd sees no way from {', '.join(sorted(self._unused))} to the output: gradient 0"
            )
        return found

    def _run(self, arrays, work):
        return self._with.run(_widest(arrays), work)

    def _arguments(self, arrays):
        """The leaves of the inputs with these arrays in the places of those that are moved."""
        dtype = _widest(arrays)
        leaves = {name: self._with.fixed(leaf, dtype) for name, leaf in self._leaves.items()}
        return leaves | {name: self._with.array(a, self._leaves[name]) for name, a in arrays.items()}

    def _outputs(self, leaves):
        result = self._func(*_spread(self._inputs, leaves))
        outputs = [leaf for _, leaf in _leaves(result, "output") if self._with.is_array(leaf)]
        if any(self._with.is_complex(o) for o in outputs):
            raise TypeError("f returned complex numbers; check their real and imaginary part apart")
        outputs = [o for o in outputs if self._with.is_float(o)]
        if not outputs:
            raise TypeError(f"f returned {type(result).__name__} without a floating {self._with.word}")
        return outputs

    def _seen(self, leaves):
        """What is differentiated: a number, or a vector of all outputs."""
        outputs = self._outputs(leaves)
        if isinstance(self._projection, str) and self._projection == "jacobian":
            return self._with.joined([o.reshape(-1) for o in outputs])
        if self._v is None:
            return outputs[0].reshape(())
        parts = [(o * self._with.weights(v, o)).sum() for o, v in zip(outputs, self._v, strict=True)]
        return sum(parts[1:], parts[0])

    def _weights(self):
        """(a weight for each number of the outputs, or None; what to say of it)"""
        what = ", ".join(map(str, self._shapes))
        if isinstance(self._projection, str) and self._projection == "jacobian":
            return None, ""
        if self._projection is None or isinstance(self._projection, str):
            if self._projection not in (None, "random"):
                raise ValueError(
                    f'projection must be "random", "jacobian" or arrays, not {self._projection!r}'
                )
            if self._projection is None and len(self._shapes) == 1 and _size(self._shapes[0]) == 1:
                return None, ""
            rng = np.random.default_rng(self._seed)
            drawn = [rng.uniform(0.5, 1.5, s) * rng.choice([-1.0, 1.0], s) for s in self._shapes]
            return drawn, (f"the output {what} is seen as sum(v * output), v random with sizes of 0.5 to 1.5 (seed "
                           f'{self._seed}); projection="jacobian" looks at each number of it')  # fmt: skip
        given = [leaf for _, leaf in _leaves(self._projection, "projection")]
        given = [np.asarray(self._with.plain(v), np.float64) for v in given]
        if [v.shape for v in given] != self._shapes:
            shapes = ", ".join(str(v.shape) for v in given)
            raise ValueError(f"projection has the shapes {shapes}, the output {what}")
        return given, f"the output {what} is seen as sum(v * output), v as given"


def _widest(arrays):
    return max((a.dtype for a in arrays.values()), key=lambda d: d.itemsize)


def _size(shape):
    return int(np.prod(shape, dtype=np.int64))


# ---- nested inputs and outputs ----


def _names_of(func, inputs):
    """The names of the inputs: those of the function's arguments where a tuple is spread over them."""
    if not isinstance(inputs, tuple) or hasattr(inputs, "_fields"):
        return "" if isinstance(inputs, (Mapping, list)) else _argument_names(func, 1)[0]
    return _argument_names(func, len(inputs))


def _argument_names(func, count):
    try:
        parameters = list(inspect.signature(func).parameters.values())
    except (TypeError, ValueError):
        parameters = []
    positional = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    names = [p.name for p in parameters if p.kind in positional][:count]
    rest = range(len(names), count)
    return names + (["x"] if count == 1 and not names else [f"inputs[{i}]" for i in rest])


def _leaves(value, name):
    """(name, leaf) of all that a nest of tuples, lists and dicts holds; name: of it, or of each of its parts."""
    if isinstance(value, Mapping):
        for key, part in value.items():
            yield from _leaves(part, f"{name}[{key!r}]" if name else str(key))
    elif isinstance(value, (tuple, list)):
        names = name if isinstance(name, list) else [f"{name or 'x'}[{i}]" for i in range(len(value))]
        for part, one in zip(value, names, strict=True):
            yield from _leaves(part, one)
    else:
        yield name, value


def _spread(inputs, leaves):
    """The arguments of the function: a tuple's parts, else the one thing; leaves in their order."""
    order = iter(leaves.values())

    def build(value):
        if isinstance(value, Mapping):
            return {key: build(part) for key, part in value.items()}
        if isinstance(value, (tuple, list)):
            parts = [build(part) for part in value]
            return type(value)(*parts) if hasattr(value, "_fields") else type(value)(parts)
        return next(order)

    built = build(inputs)
    return built if isinstance(inputs, tuple) and not hasattr(inputs, "_fields") else (built,)


# ---- the frameworks ----


def _present():
    return [kind for module, kind in (("torch", Torch), ("jax", Jax)) if module in sys.modules]


def _framework(leaves):
    leaves = list(leaves)
    for kind in _present():
        if any(map(kind.is_array, leaves)):
            return kind()
    raise TypeError(
        "gradcheck(f, inputs) compares the automatic gradient of torch tensors or JAX arrays, and inputs has none; "
        "for NumPy arrays pass the gradient too: gradcheck(f, grad, x)"
    )


def _checked_dtype(name, dtype):
    if str(dtype).rpartition(".")[2] not in ("float32", "float64"):
        raise TypeError(f"{name} is {dtype}: gradcheck takes float32 and float64; convert it for the check")


class Torch:
    word = "tensor"

    def __init__(self):
        import torch

        self.torch = torch

    @staticmethod
    def is_array(leaf):
        return isinstance(leaf, sys.modules["torch"].Tensor)

    def is_float(self, t):
        return t.is_floating_point()

    def is_complex(self, t):
        return t.is_complex()

    def moved(self, tensors):
        """Names of the tensors that are differentiated: those that ask for it, or else all floating ones."""
        names = [name for name, t in tensors.items() if t.requires_grad]
        names = names or [name for name, t in tensors.items() if t.is_floating_point() or t.is_complex()]
        if not names:
            raise TypeError("inputs has no floating tensor: there is nothing to differentiate")
        return names

    def numpy(self, t, name):
        _checked_dtype(name, t.dtype)
        return np.array(t.detach().cpu().numpy())

    def plain(self, v):
        return v.detach().cpu().numpy() if self.is_array(v) else v

    def array(self, a, like):
        return self.torch.from_numpy(a).to(like.device).requires_grad_(True)

    def fixed(self, leaf, dtype):
        """A leaf that is not moved; a float32 tensor as float64 beside inputs that are."""
        if self.is_array(leaf) and leaf.dtype == self.torch.float32 and dtype == np.float64:
            return leaf.detach().double()
        return leaf

    def run(self, dtype, work):
        return work()

    def weights(self, v, output):
        return self.torch.as_tensor(v, dtype=output.dtype, device=output.device)

    def joined(self, outputs):
        return self.torch.cat(outputs)

    def value(self, seen):
        return seen.detach().cpu().numpy()

    def gradient(self, seen, leaves, names, jacobian):
        result = seen(leaves)
        if not result.requires_grad:
            raise ValueError(
                "the output has no graph: autograd sees no way from the inputs to it (is there a detach(), item(), "
                "numpy(), torch.no_grad() or torch.tensor(x) inside?)"
            )
        tensors = [leaves[name] for name in names]
        rows = result.reshape(-1) if jacobian else [result]
        found = [self.torch.autograd.grad(row, tensors, retain_graph=True, allow_unused=True) for row in rows]
        if not jacobian:
            return dict(zip(names, map(self._plain_or_none, found[0]), strict=True))
        return {name: self._stacked([row[j] for row in found], t) for j, (name, t) in enumerate(zip(names, tensors, strict=True))}  # fmt: skip

    def _plain_or_none(self, g):
        return None if g is None else g.detach().to_dense().cpu().numpy()

    def _stacked(self, rows, t):
        if all(g is None for g in rows):
            return None
        return np.stack([np.zeros(t.shape) if g is None else self._plain_or_none(g) for g in rows])


class Jax:
    word = "array"

    def __init__(self):
        import jax

        self.jax = jax
        place = jax if hasattr(jax, "enable_x64") else jax.experimental  # of versions below 0.8
        self._wide = place.enable_x64

    @staticmethod
    def is_array(leaf):
        return isinstance(leaf, sys.modules["jax"].Array)

    def is_float(self, a):
        return self.jax.numpy.issubdtype(a.dtype, np.floating)

    def is_complex(self, a):
        return self.jax.numpy.issubdtype(a.dtype, np.complexfloating)

    def moved(self, arrays):
        """Names of the arrays that are differentiated: the floating ones."""
        names = [name for name, a in arrays.items() if self.is_float(a) or self.is_complex(a)]
        if not names:
            raise TypeError("inputs has no floating array: there is nothing to differentiate")
        return names

    def numpy(self, a, name):
        _checked_dtype(name, a.dtype)
        return np.array(a)

    def plain(self, v):
        return np.asarray(v)

    def array(self, a, like):
        """A copy: JAX may keep a NumPy array's memory, which moves on."""
        return self.jax.numpy.array(a, copy=True)

    def fixed(self, leaf, dtype):
        """A leaf that is not moved; a float32 array as float64 beside inputs that are."""
        if self.is_array(leaf) and leaf.dtype == np.float32 and dtype == np.float64:
            return self.jax.numpy.asarray(leaf, dtype)
        return leaf

    def weights(self, v, output):
        return self.jax.numpy.asarray(v, output.dtype)

    def joined(self, outputs):
        return self.jax.numpy.concatenate(outputs)

    def value(self, seen):
        return np.asarray(seen)

    def gradient(self, seen, leaves, names, jacobian):
        """By reverse mode; seen is traced as a function of the leaves that are moved."""

        def of_moved(*values):
            return seen({**leaves, **dict(zip(names, values, strict=True))})

        values = [leaves[name] for name in names]
        take = (self.jax.jacrev if jacobian else self.jax.grad)(of_moved, tuple(range(len(names))))
        return {name: np.asarray(g) for name, g in zip(names, take(*values), strict=True)}

    def run(self, dtype, work):
        """work(), with 64-bit numbers where the inputs have such, whatever the process is set to."""
        if dtype != np.float64:
            return work()
        with self._wide(True):
            return work()
