"""Changes that cosmic-ray lacks, as operators of its own kind: of the text of Lua, and a dropped call in Python."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import parso
from cosmic_ray.operators.operator import Operator
from parso.python.tree import Keyword

if TYPE_CHECKING:
    from collections.abc import Iterator

Span = tuple[tuple[int, int], tuple[int, int]]

_SWAPS = tuple(
    (re.compile(pattern), new)
    for pattern, new in (
        *((r"==", "~="), (r"~=", "=="), (r"<=", "<"), (r">=", ">")),
        *((r"(?<![<>~=-])<(?!=)", "<="), (r"(?<![<>~=-])>(?!=)", ">=")),
        *((r" \+ ", " - "), (r" - ", " + "), (r" \* ", " / ")),
        *((r"\band\b", "or"), (r"\bor\b", "and"), (r"\bnot ", "")),
        *((r"\btrue\b", "false"), (r"\bfalse\b", "true")),
        *((r"math\.max\b", "math.min"), (r"math\.min\b", "math.max")),
        # Not an index, nor a digit of another number.
        *((r"(?<![\w\[.])1(?![\w.])", "2"), (r"(?<![\w\[.])0(?![\w.])", "1")),
    )
)
# The match that begins first contains the other.
_QUOTED_OR_COMMENT = re.compile(r"'[^']*'|\"[^\"]*\"|--.*")
_STATEMENT = re.compile(r"\s*([a-z_]+\(.*\)|if .* end)\n")
_GOES_ON = re.compile(r"([(,=+*{-]|\b(and|or|not|return))\s*$")


class LuaChange(Operator):  # type: ignore[misc]
    """A change of one line; to cosmic-ray a script is a file of Python that it cannot parse, but can write back."""

    def mutation_positions(self, node: Any) -> Iterator[Span]:
        """Yield the places of all changes, which are those of the whole file."""
        if node.type == "file_input":
            yield from (span for span, _ in lua_changes(node.get_code()))

    def mutate(self, node: Any, index: int) -> Any:
        """Return the file with one change."""
        codes = [code for _, code in lua_changes(node.get_code())]
        return parso.parse(codes[index])  # type: ignore[no-untyped-call]

    @classmethod
    def examples(cls) -> tuple[()]:
        """Return none: cosmic-ray parses examples."""
        return ()


class DropCall(LuaChange):
    """`pass` where a statement of Python is a call for its effect."""

    def mutation_positions(self, node: Any) -> Iterator[Span]:
        """Yield the place of a node that is such a call."""
        if node.type == "atom_expr" and node.parent.type == "simple_stmt":
            yield node.start_pos, node.end_pos

    def mutate(self, node: Any, index: int) -> Any:  # noqa: ARG002
        """Return the statement that does nothing."""
        return Keyword("pass", node.start_pos, prefix=node.get_first_leaf().prefix)


def lua_changes(code: str) -> Iterator[tuple[Span, str]]:
    """Yield the place of each change of a script, and the script with it."""
    lines = ["", *code.splitlines(keepends=True)]
    for number in range(1, len(lines)):
        line = lines[number]
        for start, end, new in _line_changes(line, lines[number - 1]):
            changed = "".join([*lines[:number], line[:start], new, line[end:], *lines[number + 1 :]])
            yield ((number, start), (number, end)), changed


def _line_changes(line: str, before: str) -> Iterator[tuple[int, int, str]]:
    """Yield the columns of each change of a line, and the text that comes there.

    A sign, word or number becomes another, except in quotes and comments; a line that is a whole statement goes.
    """
    quoted = [match.span() for match in _QUOTED_OR_COMMENT.finditer(line)]
    for pattern, new in () if "local function" in line else _SWAPS:
        for match in pattern.finditer(line):
            if not any(match.start() < end and match.end() > start for start, end in quoted):
                yield match.start(), match.end(), new
    if _STATEMENT.fullmatch(line) and line.count("(") == line.count(")") and not _GOES_ON.search(before):
        yield 0, len(line) - 1, ""
