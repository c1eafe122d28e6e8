"""Python formulas as JavaScript, so that a page computes by the engine's own text.

`rule_script` translates a rule's `initial`, `coefficients` and `update`; `function_script` a function of
x = (x[0], x[1]), with numbers that carry their two derivatives (dual.js), so that its gradient is exact;
`program_script` a function of numbers and arrays with all that it calls, such as the solvers of algorithms/.
Knows arithmetic, comparisons, assignment, slices of vectors, if, while, for over range, and the functions of
FUNCTIONS, from math or NumPy; helper functions and constants come along. Raises Untranslatable elsewhere.
"""

import ast
import inspect
import textwrap
from typing import Any

FUNCTIONS = {
    "sqrt": "sqrt", "exp": "exp", "log": "log", "log1p": "log1p", "expm1": "expm1", "sin": "sin", "cos": "cos",
    "tan": "tan", "tanh": "tanh", "sinh": "sinh", "cosh": "cosh", "arctan": "atan", "atan": "atan", "abs": "abs",
    "fabs": "abs", "absolute": "abs", "sign": "sign", "square": "square", "maximum": "max", "minimum": "min",
    "max": "max", "min": "min", "floor": "floor", "power": "pow", "pow": "pow", "hypot": "hypot",
    "float": "", "float64": "", "asarray": "", "array": "", "where": "where", "int": "trunc",
    "isfinite": "Number.isFinite", "isnan": "Number.isNaN",
}  # fmt: skip
VECTORS = "fastopt.algorithms.vectors"  # what works on whole arrays is written by hand: vectors.js
_OPERATORS = {ast.Add: "+", ast.Sub: "-", ast.Mult: "*", ast.Div: "/", ast.Pow: "**"}
_DUAL = {ast.Add: "add", ast.Sub: "sub", ast.Mult: "mul", ast.Div: "div", ast.Pow: "pow"}
_COMPARISONS = {ast.Lt: "<", ast.LtE: "<=", ast.Gt: ">", ast.GtE: ">=", ast.Eq: "===", ast.NotEq: "!=="}


class Untranslatable(ValueError):
    """The function uses something that the page's script has no word for."""


def rule_script(rule):
    """A rule class as the text of a JavaScript object: fields, slots, initial, coefficients, update, and what
    rules with norms over an array have besides. Raises Untranslatable for rules of whole arrays."""
    if getattr(rule, "whole", False) or hasattr(rule, "ascent"):
        raise Untranslatable(f"{rule.__name__} is no rule of single elements")
    fields = ", ".join(f"{name}: {_literal(value)}" for name, value in rule._field_defaults.items())
    parts = [f'name: "{rule.__name__}"', f"fields: {{{fields}}}", f"slots: {list(rule.slots)}"]
    parts.append(f"copies: {list(getattr(rule, 'copies', ()))}")
    for name in ("initial", "coefficients", "update", "measure", "from_norms"):
        if hasattr(rule, name):
            parts.append(f"{name}: {_Translator(getattr(rule, name)).function()}")
    return "{" + ",\n".join(parts) + "}"


def function_script(function):
    """f(x), x of two numbers, as the text of a JavaScript function of dual numbers [value, d0, d1]."""
    return _Translator(function, dual=True).function()


def program_script(function, name):
    """`const name = ...;` for a function and, before it, all that it calls."""
    helpers = {}
    text = _Translator(function, helpers=helpers).function()
    return "".join(f"const {n} = {t};\n" for n, t in helpers.items()) + f"const {name} = {text};\n"


def _literal(value):
    if isinstance(value, bool):
        return "true" if value else "false"
    return repr(float(value)).replace("inf", "Infinity").replace("nan", "NaN")


class _Translator:
    """One function and the helpers that it calls."""

    def __init__(self, function, dual=False, helpers=None):
        function = getattr(function, "py_func", function)  # Numba keeps the Python function there
        try:
            source = textwrap.dedent(inspect.getsource(function))
        except (OSError, TypeError) as error:
            raise Untranslatable(f"the source of {function!r} is not to be had") from error
        self.tree: Any = next(
            (n for n in ast.walk(ast.parse(source)) if isinstance(n, ast.FunctionDef)), None
        )
        if self.tree is None:
            raise Untranslatable(f"{function!r} is no function with a name of its own")
        self.names = {**function.__globals__, **inspect.getclosurevars(function).nonlocals}
        self.dual = dual
        self.helpers, self.outside = ({}, False) if helpers is None else (helpers, True)

    def function(self):
        arguments = [a.arg for a in self.tree.args.args]
        assigned = sorted(
            {n.id for n in ast.walk(self.tree) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)}
            - set(arguments)
        )
        self.local = set(arguments) | set(assigned)
        body = self.block(self.tree.body)
        let = f"let {', '.join(assigned)};\n" if assigned else ""
        own = {} if self.outside else self.helpers
        helpers = "".join(f"const {name} = {text};\n" for name, text in own.items())
        return f"({', '.join(arguments)}) => {{\n{helpers}{let}{body}\n}}"

    def block(self, nodes):
        return "\n".join(filter(None, map(self.statement, nodes)))

    def statement(self, node):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
            return ""  # a docstring
        if isinstance(node, ast.Expr):
            return f"{self.expression(node.value)};"
        if isinstance(node, (ast.Break, ast.Continue)):
            return f"{type(node).__name__.lower()};"
        if isinstance(node, ast.Assign):
            return f"{' = '.join(map(self.target, node.targets))} = {self.expression(node.value)};"
        if isinstance(node, ast.AugAssign):
            name = self.target(node.target)
            return f"{name} = {self.binary(type(node.op), name, self.expression(node.value))};"
        if isinstance(node, ast.Return):
            return "return;" if node.value is None else f"return {self.expression(node.value)};"
        if isinstance(node, ast.If):
            other = f" else {{\n{self.block(node.orelse)}\n}}" if node.orelse else ""
            return f"if ({self.expression(node.test)}) {{\n{self.block(node.body)}\n}}{other}"
        if isinstance(node, ast.While) and not node.orelse:
            return f"while ({self.expression(node.test)}) {{\n{self.block(node.body)}\n}}"
        if isinstance(node, ast.For) and not node.orelse:
            return self.loop(node)
        raise Untranslatable(f"line {node.lineno}: {ast.unparse(node)}")

    def loop(self, node):
        call = node.iter
        if not (isinstance(call, ast.Call) and getattr(call.func, "id", "") == "range"):
            raise Untranslatable(f"line {node.lineno}: for loops go over range(...) only")
        begin, end = ([ast.Constant(0)] + call.args)[-2:] if len(call.args) < 3 else call.args[:2]
        step = self.expression(call.args[2]) if len(call.args) == 3 else "1"
        sign = ">" if step.startswith("(-") else "<"
        i = self.target(node.target)
        head = f"{i} = {self.expression(begin)}; {i} {sign} {self.expression(end)}; {i} = {i} + {step}"
        return f"for ({head}) {{\n{self.block(node.body)}\n}}"

    def target(self, node):
        if isinstance(node, ast.Name):
            return node.id
        if isinstance(node, (ast.Tuple, ast.List)):
            return f"[{', '.join(map(self.target, node.elts))}]"
        if isinstance(node, ast.Subscript) and not self.dual:
            return self.expression(node)
        raise Untranslatable(f"line {node.lineno}: assignment to {ast.unparse(node)}")

    def expression(self, node):
        method = getattr(self, f"_{type(node).__name__.lower()}", None)
        if method is None:
            raise Untranslatable(f"line {node.lineno}: {ast.unparse(node)}")
        return method(node)

    def binary(self, operator, left, right):
        if operator is ast.Mod and not self.dual:
            return f"((({left}) % ({right})) + ({right})) % ({right})"
        if operator not in _OPERATORS:
            raise Untranslatable(f"the operator {operator.__name__}")
        if self.dual:
            return f"D.{_DUAL[operator]}({left}, {right})"
        return f"({left} {_OPERATORS[operator]} {right})"

    def _binop(self, node):
        return self.binary(type(node.op), self.expression(node.left), self.expression(node.right))

    def _unaryop(self, node):
        value = self.expression(node.operand)
        if isinstance(node.op, ast.USub):
            return f"D.neg({value})" if self.dual else f"(-{value})"
        return f"(!{value})" if isinstance(node.op, ast.Not) else value

    def _compare(self, node):
        values = [self.expression(v) for v in (node.left, *node.comparators)]
        if self.dual:
            values = [f"D.value({v})" for v in values]
        pairs = zip(values, node.ops, values[1:], strict=False)
        try:
            return "(" + " && ".join(f"{a} {_COMPARISONS[type(op)]} {b}" for a, op, b in pairs) + ")"
        except KeyError:
            raise Untranslatable(f"line {node.lineno}: {ast.unparse(node)}") from None

    def _boolop(self, node):
        sign = " && " if isinstance(node.op, ast.And) else " || "
        return "(" + sign.join(map(self.expression, node.values)) + ")"

    def _ifexp(self, node):
        test, yes, no = map(self.expression, (node.test, node.body, node.orelse))
        return f"({test} ? {yes} : {no})"

    def _constant(self, node):
        if isinstance(node.value, (bool, int, float)):
            return _literal(node.value)
        raise Untranslatable(f"line {node.lineno}: {node.value!r}")

    def _tuple(self, node):
        return f"[{', '.join(map(self.expression, node.elts))}]"

    _list = _tuple

    def _starred(self, node):
        return f"...{self.expression(node.value)}"

    def _subscript(self, node):
        value, index = self.expression(node.value), node.slice
        if isinstance(index, ast.Constant) and isinstance(index.value, int) and index.value >= 0:
            return f"{value}[{index.value}]"
        if isinstance(index, ast.Slice) and not self.dual and index.step is None:
            low = "0" if index.lower is None else self.expression(index.lower)
            high = "" if index.upper is None else f", {self.expression(index.upper)}"
            return f"{value}.subarray({low}{high})"
        if isinstance(index, (ast.Slice, ast.Tuple)):
            raise Untranslatable(f"line {node.lineno}: {ast.unparse(node)}")
        return f"{value}[{self.expression(index)}]"

    def _name(self, node):
        if node.id in self.local:
            return node.id
        value = self.names.get(node.id)
        if isinstance(value, (int, float)):
            return _literal(value)
        raise Untranslatable(f"line {node.lineno}: {node.id}")

    def _attribute(self, node):
        value = self.names.get(getattr(node.value, "id", None))
        if inspect.ismodule(value):
            constant = getattr(value, node.attr, None)
            if isinstance(constant, (int, float)):
                return _literal(constant)
            raise Untranslatable(f"line {node.lineno}: {ast.unparse(node)}")
        attribute = "length" if node.attr == "size" else node.attr
        return f"{self.expression(node.value)}.{attribute}"

    def _call(self, node):
        if node.keywords:
            raise Untranslatable(f"line {node.lineno}: {ast.unparse(node)}: arguments by name")
        values = [self.expression(a) for a in node.args]
        called: Any = node.func.id if isinstance(node.func, ast.Name) else getattr(node.func, "attr", None)
        own = self.names.get(called) if isinstance(node.func, ast.Name) else None
        if inspect.isfunction(own) and not getattr(own, "__module__", "").startswith("numpy"):
            return self.helper(own, called, values)
        owner = getattr(getattr(node.func, "value", None), "id", None)
        if isinstance(node.func, ast.Attribute) and owner in self.local:
            return f"{owner}.{called}({', '.join(values)})"
        name = FUNCTIONS.get(called)
        if name is None:
            raise Untranslatable(f"line {node.lineno}: {ast.unparse(node)}")
        if name == "":
            return values[0]
        if name == "where":
            return f"({values[0]} ? {values[1]} : {values[2]})"
        if name == "square" and not self.dual:
            return f"(({values[0]}) ** 2.0)"
        if "." in name:
            return f"{name}({', '.join(values)})"
        return f"{'D' if self.dual else 'Math'}.{name}({', '.join(values)})"

    def helper(self, function, called, values):
        """A call of another function, which comes along."""
        if function.__module__ == VECTORS:
            return f"V.{called}({', '.join(values)})"
        if called not in self.helpers:
            text = _Translator(function, self.dual, self.helpers if self.outside else None).function()
            self.helpers[called] = text
        return f"{called}({', '.join(values)})"
