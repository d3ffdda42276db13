"""Mutants of a Lua script, made in its text: there is no library for them."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from bench.mutants.cases import Mutant

if TYPE_CHECKING:
    from collections.abc import Iterator

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
_DROPPED = re.compile(
    r"(call|set_expiry|start_closing|start_reduce|drop_task|release|fill_window|declare_lost)\(.*\)|if .* end"
)


def lua_mutants(path: str, source: str) -> list[Mutant]:
    """Return every change to a script, in the order of its lines; nothing in quotes or comments is touched."""
    lines = source.splitlines(keepends=True)
    mutants = []
    for number, line in enumerate(lines, 1):
        for new, what in (*_swapped(line), *_dropped(line)):
            code = "".join([*lines[: number - 1], new, *lines[number:]])
            mutants.append(Mutant(path, number, range(number, number + 1), what, source, code))
    return mutants


def _swapped(line: str) -> Iterator[tuple[str, str]]:
    """Yield the line with each swap, and the description of the swap."""
    if "local function" in line:
        return
    quoted = [match.span() for match in _QUOTED_OR_COMMENT.finditer(line)]
    for pattern, new in _SWAPS:
        for match in pattern.finditer(line):
            if not any(match.start() < end and match.end() > start for start, end in quoted):
                what = f"{match.group().strip()} to {new.strip() or 'nothing'}"
                yield line[: match.start()] + new + line[match.end() :], what


def _dropped(line: str) -> Iterator[tuple[str, str]]:
    """Yield an empty line for one that is a whole statement."""
    statement = line.strip()
    if _DROPPED.fullmatch(statement) and statement.count("(") == statement.count(")"):
        yield "\n", "line dropped"
