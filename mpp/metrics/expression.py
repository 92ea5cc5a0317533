"""Quantities written as arithmetic over field names, such as ``0.5*density*velocity_x**2``.

The text is parsed by Python's own parser into a tree, of which only numbers, names, ``+ - * / **``
and a few functions of one argument are taken. Nothing of it is ever executed as Python.
"""

import ast
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from mpp.errors import InputError

LONGEST, DEEPEST, LARGEST = 1000, 60, 1e300
"""Characters of a text, levels of its tree and size of a number up to which it is read."""
BINARY: dict[type[ast.operator], Callable[[Tensor, Tensor], Tensor]] = {
    ast.Add: torch.add,
    ast.Sub: torch.sub,
    ast.Mult: torch.mul,
    ast.Div: torch.div,
    ast.Pow: torch.pow,
}
UNARY: dict[type[ast.unaryop], Callable[[Tensor], Tensor]] = {
    ast.UAdd: torch.positive,
    ast.USub: torch.neg,
}
FUNCTIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "abs": torch.abs,
    "cos": torch.cos,
    "exp": torch.exp,
    "log": torch.log,
    "sin": torch.sin,
    "sqrt": torch.sqrt,
}
ALLOWED = f"numbers, field names, + - * / **, parentheses and {', '.join(FUNCTIONS)}"


@dataclass(frozen=True)
class Expression:
    """Arithmetic over names that was found harmless.

    Args:
        text: As the user wrote it.
        names: The names in it, sorted.
        tree: What the parser made of it.

    Examples:
        >>> energy = Expression.parse("0.5 * (u**2 + v**2)")
        >>> energy({"u": torch.tensor(3.0), "v": torch.tensor(4.0)}).item()
        12.5
    """

    text: str
    names: tuple[str, ...]
    tree: ast.expr

    @classmethod
    def parse(cls, text: str) -> "Expression":
        """Read a text.

        Raises:
            InputError: It is no arithmetic over names, or too long.
        """
        if len(text) > LONGEST:
            raise InputError(f"an expression of {len(text)} characters; write at most {LONGEST}")
        try:
            tree = ast.parse(text.strip(), mode="eval").body
        except (SyntaxError, ValueError, MemoryError, RecursionError) as error:
            raise InputError(f"{text!r} is no arithmetic; write it with {ALLOWED}") from error
        names: set[str] = set()
        _check(tree, text, names, 1)
        if not names:
            raise InputError(f"{text!r} names no field; write it with {ALLOWED}")
        return cls(text, tuple(sorted(names)), tree)

    def __call__(self, values: Mapping[str, Tensor]) -> Tensor:
        """Its value where every name has one; what is undefined, such as 1/0, is not finite.

        Raises:
            InputError: A name without a value.
        """
        missing = [name for name in self.names if name not in values]
        if missing:
            raise InputError(
                f"{self.text!r} names {', '.join(missing)}; there are {', '.join(values)}"
            )
        return _value(self.tree, values)


def _check(node: ast.AST, text: str, names: set[str], depth: int) -> None:
    """Refuse everything but arithmetic, before anything is computed."""
    if depth > DEEPEST:
        raise InputError(f"{text[:40]!r}... is nested more than {DEEPEST} deep; simplify it")
    if isinstance(node, ast.Name):
        names.add(node.id)
    elif isinstance(node, ast.BinOp) and type(node.op) in BINARY:
        _check(node.left, text, names, depth + 1)
        _check(node.right, text, names, depth + 1)
    elif isinstance(node, ast.UnaryOp) and type(node.op) in UNARY:
        _check(node.operand, text, names, depth + 1)
    elif isinstance(node, ast.Call):
        function = node.func
        known = isinstance(function, ast.Name) and function.id in FUNCTIONS
        if not known or len(node.args) != 1 or node.keywords:
            raise InputError(f"{text!r}: {ast.unparse(node)!r} is not allowed; use {ALLOWED}")
        _check(node.args[0], text, names, depth + 1)
    elif isinstance(node, ast.Constant) and type(node.value) in (int, float):
        if not abs(node.value) < LARGEST:  # type: ignore[operator]  # a real number, just checked
            raise InputError(f"{text[:40]!r}...: it holds a number beyond {LARGEST:g}")
    else:
        raise InputError(f"{text!r}: {ast.unparse(node)!r} is not allowed; use {ALLOWED}")


def _value(node: ast.AST, values: Mapping[str, Tensor]) -> Tensor:
    if isinstance(node, ast.Name):
        return values[node.id].double()
    if isinstance(node, ast.BinOp):
        return BINARY[type(node.op)](_value(node.left, values), _value(node.right, values))
    if isinstance(node, ast.UnaryOp):
        return UNARY[type(node.op)](_value(node.operand, values))
    if isinstance(node, ast.Call):
        assert isinstance(node.func, ast.Name)
        return FUNCTIONS[node.func.id](_value(node.args[0], values))
    assert isinstance(node, ast.Constant)
    return torch.tensor(float(node.value), dtype=torch.float64)  # type: ignore[arg-type]
