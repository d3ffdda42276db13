"""The fields of the JSON results that a query reads, in the tree of DuckDB's own parser.

A field is written `result.a[0].b`, or bare as `label` where no column has that name. To DuckDB it would be JSON: a
score of `'9'` that is more than `'100'`, and a label in its quotes. So the table gets a typed column for each field,
and the query reads that column.
"""

import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from typing import Any

from pipeline.errors import BadRequestError

RESULT = "result"
TABLE = "results"
MOST_FIELDS = 100
MOST_STEPS = 32

Node = dict[str, Any]
Path = tuple[str | int, ...]


@dataclass(frozen=True)
class Field:
    """One field: the name of its column, and its path in a result."""

    column: str
    path: Path

    @property
    def json_path(self) -> str:
        """The path as DuckDB's JSON functions read it; a negative position counts from the end."""
        steps = (f'."{step}"' if isinstance(step, str) else f"[{'#' if step < 0 else ''}{step}]" for step in self.path)
        return "$" + "".join(steps)

    def __str__(self) -> str:
        """Return the path as a query spells it."""
        steps = (f".{step}" if isinstance(step, str) else f"[{step}]" for step in self.path)
        return "".join(steps).removeprefix(".")


@dataclass
class Fields:
    """The fields of one query, by the lower case of their columns; `columns` are those of the table, in lower case."""

    columns: Collection[str]
    by_column: dict[str, Field] = field(default_factory=dict)

    def add(self, column: str, path: Path) -> str:
        """Add a field, and return the name of its column; raises BadRequestError for too many fields or steps."""
        if len(path) > MOST_STEPS or any('"' in step for step in path if isinstance(step, str)):
            raise BadRequestError(f"{column[:80]}: expected at most {MOST_STEPS} steps to a field, without quotes")
        while column.lower() in self.columns:
            column += "_"
        self.by_column.setdefault(column.lower(), Field(column, path))
        if len(self.by_column) > MOST_FIELDS:
            raise BadRequestError(f"it reads more than {MOST_FIELDS} fields of the results")
        return column

    def use_columns(self, tree: Node) -> None:
        """Replace each `result.a[0].b` in a tree by the column of its field."""
        for node, parent in walk(tree):
            if (reference := _reference(node)) is None:
                continue
            qualifier, path = reference
            column = self.add(f"{RESULT}.{Field('', path)}", path)
            alias = node["alias"]
            if not alias and any(node is item for item in parent.get("select_list", ())):
                alias = next((step for step in reversed(path) if isinstance(step, str)), column)
            place = {name: node[name] for name in ("query_location", "query_location_length")}
            names = [*qualifier, column]
            node.clear()
            node.update({"class": "COLUMN_REF", "type": "COLUMN_REF", "alias": alias, "column_names": names} | place)

    def hide_from_stars(self, tree: Node) -> None:
        """Let `*` stand for the table's own columns; raises BadRequestError for a NATURAL join, which compares all."""
        hidden = [each.column for each in self.by_column.values()]
        for node, _ in walk(tree):
            if hidden and node.get("ref_type") == "NATURAL":
                raise BadRequestError("NATURAL joins are not supported with fields of the results: write JOIN ... ON")
            tables = {name.lower() for name in _tables(node.get("from_table"))}
            for item in node.get("select_list", ()) if tables else ():
                if item["class"] == "STAR" and item["relation_name"].lower() in {"", *tables}:
                    item["exclude_list"] += hidden

    def unknown_name(self, tree: Node, message: str) -> str | None:
        """Return a bare name in a tree that an error of DuckDB's binder may be about, None for another error.

        Of a name in a subquery, the error may only have the table before it.
        """
        first_line = message.partition("\n")[0]
        references = [node["column_names"] for node, _ in walk(tree) if "column_names" in node]
        bare = [names for names in references if names[-1].lower() not in {*self.columns, *self.by_column}]
        named = [
            names[-1] for names in bare if re.search(rf'"{re.escape(names[-1])}"| {re.escape(names[-1])} ', first_line)
        ]
        named += [names[-1] for names in bare if f'"{names[0]}"' in first_line]
        return str(named[0]) if named else None


def walk(tree: Node) -> Iterator[tuple[Node, Node]]:
    """Yield each node of a tree with its parent, from the top; without recursion, since a tree may be deep."""
    waiting: list[tuple[Any, Node]] = [(tree, {})]
    while waiting:
        value, parent = waiting.pop()
        if isinstance(value, dict):
            yield value, parent
            waiting += [(part, value) for part in value.values()]
        elif isinstance(value, list):
            waiting += [(part, parent) for part in value]


def _reference(node: Node) -> tuple[list[str], Path] | None:
    """Return the qualifier and the path of `r.result.a[0].b`, None for another node."""
    steps: list[str | int] = []
    while node.get("class") == "OPERATOR" and node["type"] in {"STRUCT_EXTRACT", "ARRAY_EXTRACT"}:
        node, step = node["children"]
        literal = step.get("literal", {})
        if literal.get("kind") not in {"STRING", "INTEGER"}:
            return None
        steps.insert(0, literal["text"] if literal["kind"] == "STRING" else int(literal["text"]))
    names = node.get("column_names", [])
    place = next((place for place, name in enumerate(names[:2]) if name.lower() == RESULT), None)
    if place is None or not names[place + 1 :] + steps:
        return None
    return names[:place], (*names[place + 1 :], *steps)


def _tables(source: Node | None) -> Iterator[str]:
    """Yield the names that the joined table has in FROM."""
    waiting = [source] if source else []
    while waiting:
        node = waiting.pop()
        if node.get("type") == "BASE_TABLE" and node["table_name"].lower() == TABLE:
            yield node["alias"] or node["table_name"]
        waiting += [node[side] for side in ("left", "right") if isinstance(node.get(side), dict)]
