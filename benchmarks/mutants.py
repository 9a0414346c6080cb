"""Small mutations of a source file: one operator, number, call or statement of it is another one."""

from __future__ import annotations

import ast
import copy
from collections.abc import Iterator
from typing import NamedTuple

COMPARED: dict[type[ast.cmpop], type[ast.cmpop]] = {
    ast.Lt: ast.LtE, ast.LtE: ast.Lt, ast.Gt: ast.GtE, ast.GtE: ast.Gt, ast.Eq: ast.NotEq, ast.NotEq: ast.Eq,
    ast.Is: ast.IsNot, ast.IsNot: ast.Is, ast.In: ast.NotIn, ast.NotIn: ast.In,
}  # fmt: skip
CALCULATED: dict[type[ast.operator], type[ast.operator]] = {
    ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.Div, ast.Div: ast.Mult, ast.FloorDiv: ast.Mult,
    ast.Mod: ast.Add, ast.Pow: ast.Mult, ast.BitAnd: ast.BitOr, ast.BitOr: ast.BitAnd,
}  # fmt: skip
FIRST = {"min", "max", "mean", "total", "total_with_gradient"}  # f(x, …) becomes x
RECEIVER = {
    "clamp", "clamp_max", "clamp_min", "clone", "cpu", "detach", "double", "eval", "float", "long", "requires_grad_",
    "round", "sqrt", "square", "to", "where",
}  # fmt: skip


class Mutant(NamedTuple):
    """A changed file, and what differs."""

    line: int
    what: str
    tree: ast.Module


def of(source: str) -> list[Mutant]:
    """Every mutation of a file."""
    tree = ast.parse(source)
    nodes = [node for node in _computing(tree) if isinstance(node, (ast.expr, ast.stmt))]
    found = []
    for node in nodes:
        for changed in _changes(node):
            before, after = ast.unparse(node), ast.unparse(changed)
            if before == after:
                continue
            # The copy of a tree keeps its order, so a node is found in it by its number among all.
            number = next(i for i, other in enumerate(ast.walk(tree)) if other is node)
            mutated = copy.deepcopy(tree)
            target = next(other for i, other in enumerate(ast.walk(mutated)) if i == number)
            mutated = ast.fix_missing_locations(_Replace(target, changed).visit(mutated))
            found.append(Mutant(node.lineno, f"{_short(before)} → {_short(after)}", mutated))
    return found


def _short(text: str) -> str:
    first, *rest = text.splitlines()
    return first + (" …" if rest else "")


class _Replace(ast.NodeTransformer):
    def __init__(self, target: ast.AST, by: ast.AST) -> None:
        self.target, self.by = target, by

    def visit(self, node: ast.AST) -> ast.AST:
        return ast.copy_location(copy.deepcopy(self.by), node) if node is self.target else self.generic_visit(node)


def _computing(node: ast.AST) -> Iterator[ast.AST]:
    """The nodes below that compute something: no annotations, docstrings, words of errors or imports."""
    for name, value in ast.iter_fields(node):
        if name in ("annotation", "returns", "decorator_list", "bases") or isinstance(
            node, (ast.JoinedStr, ast.Assert)
        ):
            continue
        for child in value if isinstance(value, list) else [value]:
            words = isinstance(child, ast.Expr) and isinstance(child.value, ast.Constant)
            if not isinstance(child, ast.AST) or words or isinstance(child, (ast.Import, ast.ImportFrom)):
                continue
            if _is_types(child):
                continue
            yield child
            yield from _computing(child) if not isinstance(child, ast.Raise) else ()


def _is_types(node: ast.AST) -> bool:
    """``Buffers = Literal[…]`` and the like."""
    return isinstance(node, ast.Assign) and ast.unparse(node.value).startswith(("Literal[", "TypeVar("))


def _changes(node: ast.expr | ast.stmt) -> Iterator[ast.AST]:
    nothing = ast.Pass()
    match node:
        case ast.Compare(ops=[*operators]):
            for i, operator in enumerate(operators):
                changed = copy.deepcopy(node)
                changed.ops[i] = COMPARED[type(operator)]()
                yield changed
        case ast.BinOp(op=operator) if type(operator) in CALCULATED:
            yield ast.BinOp(node.left, CALCULATED[type(operator)](), node.right)
        case ast.AugAssign(op=operator) if type(operator) in CALCULATED:
            yield ast.AugAssign(node.target, CALCULATED[type(operator)](), node.value)
        case ast.BoolOp(values=values):
            yield from (ast.BoolOp(node.op, [v for v in values if v is not gone]) if len(values) > 2 else
                        next(v for v in values if v is not gone) for gone in values)  # fmt: skip
        case ast.UnaryOp(operand=operand):
            yield operand
        case ast.Constant(value=bool(value)):
            yield ast.Constant(not value)
        case ast.Constant(value=int(value) | float(value)):
            yield ast.Constant(value + 1)
        case ast.Call(func=ast.Name(id=name), args=[first, *_]) if name in FIRST:
            yield first
        case ast.Call(func=ast.Attribute(value=receiver, attr=name)) if name in RECEIVER:
            yield receiver
        case ast.IfExp(body=body, orelse=other):
            yield body
            yield other
        case ast.If():
            yield ast.If(ast.UnaryOp(ast.Not(), node.test), node.body, node.orelse)
        case ast.Expr() | ast.Raise() if not ast.unparse(node).startswith("super()"):
            yield nothing
