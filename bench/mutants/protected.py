"""The parts of a Python module that are not changed, since they do not affect its behaviour."""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

Place = tuple[int, int]


def protected(tree: ast.Module) -> list[tuple[Place, Place]]:
    """Return the ranges, as lines and columns, in which nothing is changed.

    These are annotations and Literal types, log calls, and the options of dataclass decorators.
    """
    return [
        ((node.lineno, node.col_offset), (node.end_lineno or node.lineno, node.end_col_offset or node.col_offset))
        for node in _protected_nodes(tree)
    ]


def statements(tree: ast.Module) -> list[ast.Expr]:
    """Return the statements that can be dropped: calls for their effect, except log calls."""
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


def _protected_nodes(tree: ast.Module) -> Iterator[ast.expr]:
    for node in ast.walk(tree):
        annotations = (getattr(node, "annotation", None), getattr(node, "returns", None))
        yield from filter(None, annotations)
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
                call for call in node.decorator_list if isinstance(call, ast.Call) and _name(call.func) == "dataclass"
            )


def _is_log_call(node: ast.expr) -> bool:
    return isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and _name(node.func.value) == "log"


def _name(node: ast.expr) -> str:
    return node.id if isinstance(node, ast.Name) else ""
