"""What of a Python module is worth changing: not what says nothing about how it behaves."""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

Place = tuple[int, int]


def protected(tree: ast.Module) -> list[tuple[Place, Place]]:
    """Return from where to where, as lines and columns, nothing is to be changed.

    These are annotations and Literal types, log calls, and the options of dataclass decorators.
    """
    return [
        ((node.lineno, node.col_offset), (node.end_lineno or node.lineno, node.end_col_offset or node.col_offset))
        for node in _kept(tree)
    ]


def statements(tree: ast.Module) -> list[ast.Expr]:
    """Return the statements that can be dropped: what is called for its effect, log calls aside."""
    return [
        node
        for node in ast.walk(tree)
        if isinstance(node, ast.Expr)
        and not isinstance(node.value, ast.Constant | ast.Yield)
        and not _is_log_call(node.value)
    ]


def statement_lines(tree: ast.Module, line: int) -> range:
    """Return the lines of the innermost statement around a line; of one with a body, those of its head."""
    around = [
        node
        for node in ast.walk(tree)
        if isinstance(node, ast.stmt) and node.lineno <= line <= (node.end_lineno or node.lineno)
    ]
    if not around:
        return range(line, line + 1)
    inner = max(around, key=lambda node: (node.lineno, node.col_offset))
    body: list[ast.stmt] = getattr(inner, "body", [])
    end = body[0].lineno if body else (inner.end_lineno or inner.lineno) + 1
    return range(inner.lineno, max(end, line + 1))


def _kept(tree: ast.Module) -> Iterator[ast.expr]:
    for node in ast.walk(tree):
        yield from (kept for kept in (getattr(node, "annotation", None), getattr(node, "returns", None)) if kept)
        if (
            isinstance(node, ast.Assign)
            and isinstance(node.value, ast.Subscript)
            and _name(node.value.value) == "Literal"
        ):
            yield node.value
        if isinstance(node, ast.Call) and _is_log_call(node):
            yield node
        if isinstance(node, ast.ClassDef):
            yield from (
                each for each in node.decorator_list if isinstance(each, ast.Call) and _name(each.func) == "dataclass"
            )


def _is_log_call(node: ast.expr) -> bool:
    return isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and _name(node.func.value) == "log"


def _name(node: ast.expr) -> str:
    return node.id if isinstance(node, ast.Name) else ""
