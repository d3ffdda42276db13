"""What the names of a SELECT may mean. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from sqlglot import exp

from pipeline.errors import BadRequestError
from pipeline.sql.dialect import SHOWN
from pipeline.sql.functions import AGGREGATES
from pipeline.sql.syntax import references

RESULTS = "results"
RESULT = "result"
_SHOWN_COLUMNS = 50


@dataclass(frozen=True)
class Source:
    """A table as a SELECT sees it: its columns, and whether it is the table of results."""

    columns: Sequence[str]
    is_results: bool


@dataclass
class Scope:
    """What the names of one SELECT may mean. `taken` are the names that its rows have got so far."""

    sources: dict[str, Source]
    aliases: dict[str, exp.Expr]
    using: frozenset[str]
    outer: "Scope | None"
    taken: set[str] = field(default_factory=set)


def table_of(name: str, scope: Scope | None) -> Source | None:
    """Return the table of this name, in the SELECT itself or in one around it."""
    while scope is not None:
        if name in scope.sources:
            return scope.sources[name]
        scope = scope.outer
    return None


def no_table(name: str, scope: Scope) -> BadRequestError:
    """Say that there is no such table."""
    name, there = name[:SHOWN], ", ".join(filter(None, scope.sources)) or "none"
    return BadRequestError(f"sql: there is no table {name!r} here; there are: {there}; a field is {RESULT}.{name}")


def is_aggregated(node: exp.Expr) -> bool:
    """Say whether this stands in what many rows are made one by."""
    parent = node.parent
    while parent is not None and not isinstance(parent, exp.Query):
        if isinstance(parent, exp.Anonymous) and parent.name.lower() in AGGREGATES:
            return True
        parent = parent.parent
    return False


def mentions(root: exp.Expr, name: str) -> bool:
    """Say whether a plain name stands in an expression."""
    return any(isinstance(node, exp.Column) and node.name == name and not node.table for node in references(root))


def listed(names: Sequence[str]) -> str:
    """List names, not too many and none too long."""
    shown_names = [name[:SHOWN] for name in names[:_SHOWN_COLUMNS]]
    return ", ".join(shown_names + ["..."] * (len(names) > _SHOWN_COLUMNS))


def check_spelling(name: str | int, names: Sequence[str]) -> None:
    """Raise BadRequestError for a name that is one of these but for its capitals."""
    near = [each for each in names if each.lower() == str(name).lower()]
    if near and name not in near:
        raise BadRequestError(
            f"sql: there is no column {name!r}, did you mean {near[0]!r}? Capitals make a difference; "
            f"a field of the results is {RESULT}.{name}"
        )
