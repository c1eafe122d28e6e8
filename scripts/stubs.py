"""Write fastopt/__init__.pyi, which tells editors and mypy what the public names are.

    python scripts/stubs.py            write it (from a folder other than the clone's root: see CONTRIBUTING.md)
    python scripts/stubs.py --check    exit 1 where it is not what would be written

It is generated because names come on first use, which no tool can follow, and because fields of a rule or
loss stand beside class attributes that mypy takes for fields. Types of arguments are those of the code,
else of PARAMETERS by the argument's name; a test checks that every public argument has one.
"""

import inspect
import sys
import types
from pathlib import Path

import fastopt as fo

OUT = Path(__file__).parents[1] / "fastopt" / "__init__.pyi"

HEAD = '''"""Types of the public names: written by scripts/stubs.py."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from os import PathLike
from typing import Any, Literal, NamedTuple, Protocol, TypeAlias

from numpy.typing import ArrayLike, NDArray

from fastopt import functions as functions
from fastopt import jit as jit
from fastopt import losses as losses
from fastopt import penalties as penalties
from fastopt import rules as rules
from fastopt import schedules as schedules
from fastopt import testing as testing

__version__: str

Array: TypeAlias = NDArray[Any]
Arrays: TypeAlias = Array | Sequence[Array] | Mapping[str, Array]
Matrix: TypeAlias = Any  # a NumPy array or a scipy CSR matrix
Path: TypeAlias = str | PathLike[str]
Backend: TypeAlias = Literal["auto", "numba", "c", "numpy"]
Schedule: TypeAlias = Any  # of fastopt.schedules, or a function of t and the base value
Solver: TypeAlias = Literal["sgd", "auto", "lbfgs", "newton", "prox-newton", "dual"]

class Rule(Protocol):
    """Any of fastopt's rules, or one of your own."""

    @staticmethod
    def coefficients(h: Any, t: Any, /) -> Any: ...

class Loss(Protocol):
    """Any of fastopt's losses, or one of your own."""

    @staticmethod
    def rows(k: Any, s: Any, y: Any, out: Any, /) -> Any: ...

class Penalty(Protocol):
    """fo.L1, fo.L2 or fo.ElasticNet."""

    def value(self, W: Any, /) -> Any: ...
'''

# By the argument's name, where the code does not say.
PARAMETERS = {
    "X": "Matrix", "y": "ArrayLike", "W": "Array", "b": "Array | None", "V": "Array", "c": "Array | None",
    "x": "Any", "x0": "Any", "X0": "ArrayLike", "loss": "Loss", "rule": "Rule", "base": "Rule", "penalty": "Penalty | None",
    "params": "Arrays", "grads": "Arrays", "epochs": "int", "batch_size": "int | None", "l1": "float", "l2": "float",
    "lr": "float", "seed": "int", "threads": "int | None", "backend": "Backend", "sampling": "Literal['shuffle', 'replacement', 'sequential']",
    "validation": "tuple[Matrix, ArrayLike] | float | None", "checkpoint": "Path | None", "path": "Path",
    "scale": "float | None", "classes": "ArrayLike | None", "sample_weight": "ArrayLike | None",
    "class_weight": "Literal['balanced'] | Mapping[Any, float] | ArrayLike | None", "early_stopping": "bool | int | None",
    "start": "Any", "solver": "Solver", "tol": "float | None", "max_iter": "int", "max_seconds": "float | None",
    "standardize": "bool", "fit_intercept": "bool", "schedule": "Schedule | Mapping[str, Schedule] | None",
    "schedules": "Schedule | Mapping[str, Schedule] | None", "groups": "Any", "clip": "float | None",
    "nonfinite": "Literal['raise', 'skip', 'allow']", "state_dtype": "Any", "progress": "Callable[[Any], Any] | None",
    "watch": "Callable[..., Any] | None", "log": "Any", "out": "Any", "interrupted": "bool", "steps": "int",
    "history": "Mapping[str, Array] | None", "as_json": "bool", "kernels": "bool", "background": "bool",
    "rules": "Iterable[Rule]", "losses": "Iterable[Loss]", "dtypes": "Iterable[str]", "name": "str",
    "f": "Callable[..., Any]", "fun": "Callable[..., Any]", "grad": "Callable[..., Any] | None", "hess": "Any",
    "jac": "Any", "residual": "Callable[..., Any]", "function": "Callable[..., Any]", "closure": "Callable[..., Any]",
    "fn": "Callable[..., Any]", "args": "Any", "bounds": "Any", "method": "str", "options": "Any", "callback": "Callable[..., Any] | None",
    "eps": "Any", "atol": "float | None", "rtol": "float", "mode": "str", "raise_exception": "bool", "verbose": "Any",
}  # fmt: skip
RETURNS = {
    "train": "Fit", "value_and_grad": "tuple[float, Array, Array | None]", "set_backend": "None",
    "numeric_gradient": "Any", "minimize": "Any", "Fit.load": "Fit", "Fit.predict": "Array", "Fit.scores": "Array",
    "Fit.predict_proba": "Array", "Fit.evaluate": "tuple[float, float]", "Fit.save": "None",
    "Optimizer.step": "None", "Optimizer.ascend": "None", "Optimizer.state_dict": "dict[str, Any]",
    "Optimizer.load_state_dict": "None", "Optimizer.save": "None", "Optimizer.load": "Optimizer",
    "Objective.value": "float", "Objective.value_and_grad": "tuple[float, Array, Array | None]",
    "Objective.scores": "Array", "Objective.gradient_sums": "tuple[float, Array, Array | None, float]",
}  # fmt: skip


def annotation(parameter):
    """The type of an argument as text."""
    given = parameter.annotation
    if given is not inspect.Parameter.empty:
        text = given if isinstance(given, str) else inspect.formatannotation(given)
    elif parameter.name in PARAMETERS:
        text = PARAMETERS[parameter.name]
    elif isinstance(parameter.default, bool):
        text = "bool"
    elif type(parameter.default) in (int, float, str):
        text = "float" if isinstance(parameter.default, float) else type(parameter.default).__name__
    else:
        text = "Any"
    if parameter.default is None and "None" not in text and text not in ("Any", "ArrayLike"):
        text += " | None"
    return text.replace("typing.", "")


def arguments(function, method):
    """The text between the brackets."""
    found, starred = [], False
    for i, p in enumerate(inspect.signature(function).parameters.values()):
        if method and i == 0:
            found.append(p.name)
        elif p.kind is p.VAR_POSITIONAL:
            found.append(f"*{p.name}: Any")
            starred = True
        elif p.kind is p.VAR_KEYWORD:
            found.append(f"**{p.name}: Any")
        else:
            if p.kind is p.KEYWORD_ONLY and not starred:
                found.append("*")
                starred = True
            found.append(f"{p.name}: {annotation(p)}" + ("" if p.default is p.empty else " = ..."))
    return ", ".join(found)


def returned(function, name):
    given = inspect.signature(function).return_annotation
    if given is inspect.Signature.empty:
        return RETURNS.get(name, "Any")
    return given if isinstance(given, str) else inspect.formatannotation(given).replace("typing.", "")


def function_stub(name, function, owner="", indent=""):
    full = f"{owner}.{name}" if owner else name
    return f"{indent}def {name}({arguments(function, bool(owner))}) -> {returned(function, full)}: ...\n"


def field_type(cls, field):
    """A float takes whole numbers too; a rule in a rule is a Rule."""
    kind = cls.__annotations__.get(field, "Any") if hasattr(cls, "__annotations__") else "Any"
    text = kind if isinstance(kind, str) else inspect.formatannotation(kind)
    return text.replace("typing.", "") if text in ("float", "bool", "int", "str") else "Any"


def value_stub(name, cls):
    """A rule, loss or penalty: its fields, and its formulas as static methods."""
    lines = [f"class {name}(NamedTuple):\n"]
    for field in cls._fields:
        default = " = ..." if field in cls._field_defaults else ""
        lines.append(f"    {field}: {field_type(cls, field)}{default}\n")
    for method, value in sorted(vars(cls).items()):
        if method.startswith("_"):
            continue
        if isinstance(value, staticmethod):
            lines.append(
                f"    @staticmethod\n    def {method}({arguments(value.__func__, False)}) -> Any: ...\n"
            )
        elif isinstance(value, types.FunctionType):
            lines.append(f"    def {method}({arguments(value, True)}) -> Any: ...\n")
    return "".join(lines) if len(lines) > 1 else lines[0] + "    pass\n"


def class_stub(name, cls):
    base = "Exception" if issubclass(cls, Exception) else ""
    for kind in (FloatingPointError, AssertionError, ValueError, RuntimeError):
        base = kind.__name__ if issubclass(cls, kind) else base
    lines = [f"class {name}({base}):\n" if base else f"class {name}:\n"]
    if cls.__init__ is not object.__init__:
        lines.append(f"    def __init__({arguments(cls.__init__, True)}) -> None: ...\n")
    for method in sorted(m for m in dir(cls) if not m.startswith("_") and not (base and m in dir(Exception))):
        value = inspect.getattr_static(cls, method)
        if isinstance(value, property):
            lines.append(f"    @property\n    def {method}(self) -> Any: ...\n")
        elif isinstance(value, classmethod):
            lines.append("    @classmethod\n" + function_stub(method, value.__func__, name, "    "))
        elif isinstance(value, types.FunctionType):
            lines.append(function_stub(method, value, name, "    "))
        elif not callable(value):
            lines.append(f"    {method}: Any\n")
    lines.append("    def __getattr__(self, name: str) -> Any: ...  # what is set when it is made\n")
    return "".join(lines)


def stub():
    """The whole file."""
    parts = [HEAD]
    for name in fo.__all__:
        value = getattr(fo, name)
        if isinstance(value, types.ModuleType):
            continue
        if inspect.isclass(value):
            parts.append((value_stub if hasattr(value, "_fields") else class_stub)(name, value))
        else:
            parts.append(function_stub(name, value))
    return "\n".join(parts)


if __name__ == "__main__":
    text = stub()
    if "--check" in sys.argv:
        sys.exit(OUT.read_text() != text)
    OUT.write_text(text)
