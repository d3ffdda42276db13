"""The tree of a query, as DuckDB's own parser makes it: its checks, and the fields of the results that it reads.

A field is written `result.a[0].b`, or bare as `label` where no column has that name. To DuckDB it would be JSON: a
score of `'9'` that is more than `'100'`, and a label in its quotes. So the table gets a typed column for each field,
and the query reads that column.
"""

import json
import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from typing import Any

import duckdb

from pipeline.errors import BadRequestError

TABLE, RESULT = "results", "result"
MOST_FIELDS = 100
MOST_STEPS = 32
NOT_ONE_SELECT = (
    "it is not one SELECT: expected for example SELECT label, count(*) AS n FROM results GROUP BY label ORDER BY n DESC"
)
# The other nodes write, such as COPY_QUERY_NODE in WITH.
READING_NODES = frozenset({"CTE_NODE", "RECURSIVE_CTE_NODE", "SELECT_NODE", "SET_OPERATION_NODE"})
TABLE_FUNCTIONS = frozenset({"generate_series", "json_each", "json_tree", "range", "unnest"})
# DuckDB takes such a name for a value of its own where no column has it, and never for a field.
BARE_VALUES = frozenset(
    {"current_catalog", "current_date", "current_role", "current_schema", "current_time", "current_timestamp"}
    | {"current_user", "localtime", "localtimestamp", "session_user", "user"}
)
# duckdb_functions() calls age(TIMESTAMP) consistent, though it counts from today. A macro is unstable if a name in its
# definition is, or reads a table of DuckDB's.
UNSTABLE = BARE_VALUES | {"age"}
UNSTABLE_CALLS = """
    WITH RECURSIVE named(call, name) AS (
        SELECT unnest($calls), unnest($calls)
        UNION SELECT call, unnest(regexp_extract_all(macro_definition, '\\w+'))
        FROM named JOIN duckdb_functions() ON function_name = name AND function_type = 'macro'
    )
    SELECT call FROM named LEFT JOIN duckdb_functions() ON function_name = name
    WHERE name <> 'error' GROUP BY call, name
    HAVING list_contains($unstable, name) OR bool_or(stability = 'VOLATILE')
        OR bool_and(stability = 'CONSISTENT_WITHIN_QUERY')
        OR (call <> name AND name <> 'unnest' AND bool_and(function_type = 'table'))
"""
# DuckDB's words for a name that is no column; of one in a subquery it may name the table before it only.
UNKNOWN = re.compile(
    r"Binder Error: (?:Referenced column|(Referenced table)|Column|Alias with name|.* does not have a column named)"
    r' "?(.+?)"?(?: not found| referenced| exists| does not|$)',
    re.MULTILINE,
)

Node = dict[str, Any]


def parse(connection: duckdb.DuckDBPyConnection, sql: str, columns: Collection[str] = ()) -> Node:
    """Return the tree of one SELECT that reads `results` only, and gives the same answer whenever it runs.

    `columns` are those of the table, in lower case. Raises BadRequestError, and as DuckDB.
    """
    statements = connection.extract_statements(sql)
    if len(statements) != 1 or statements[0].type != duckdb.StatementType.SELECT:
        raise BadRequestError(NOT_ONE_SELECT)
    (text,) = connection.execute("SELECT json_serialize_sql(?::VARCHAR)", [sql]).fetchone() or ("",)
    tree: Node = json.loads(text)
    if tree["error"]:
        raise BadRequestError(tree["error_message"])
    nodes = list(walk(tree))
    tables = {TABLE, *(entry["key"].lower() for node in nodes for entry in node.get("cte_map", {}).get("map", ()))}
    for node in nodes:
        _check_node(node, tables, columns)
    calls = sorted({node["function_name"].lower() for node in nodes if "function_name" in node})
    unstable = connection.execute(UNSTABLE_CALLS, {"calls": calls, "unstable": sorted(UNSTABLE)}).fetchone()
    if unstable:
        raise BadRequestError(f"{unstable[0]} differs from run to run: write the value itself")
    return tree


def walk(tree: Node) -> Iterator[Node]:
    """Yield each node of a tree from the top; without recursion, since a tree may be deep."""
    waiting: list[Any] = [tree]
    while waiting:
        value = waiting.pop()
        if isinstance(value, dict):
            yield value
            waiting += value.values()
        elif isinstance(value, list):
            waiting += value


def _check_node(node: Node, tables: Collection[str], columns: Collection[str]) -> None:
    """Raise BadRequestError for a node that writes, reads another table, or differs from run to run."""
    kind = str(node.get("type"))
    if kind == "SHOW_REF" or (kind.endswith("_NODE") and kind not in READING_NODES):
        raise BadRequestError(NOT_ONE_SELECT)
    if kind == "TABLE_FUNCTION" and (name := node["function"]["function_name"].lower()) not in TABLE_FUNCTIONS:
        raise BadRequestError(f"{name}() is not allowed in FROM; allowed are: {', '.join(sorted(TABLE_FUNCTIONS))}")
    if kind == "BASE_TABLE" and (node["schema_name"] or node["table_name"].lower() not in tables):
        name = ".".join(node["qualified_name"]["path"])
        raise BadRequestError(f"there is no table {name[:80]!r}; there are: {', '.join(sorted(tables))}")
    if node.get("sample") and not node["sample"]["repeatable"]:
        raise BadRequestError("a sample differs from run to run: expected REPEATABLE (seed)")
    names = [name.lower() for name in node.get("column_names", ())]
    if len(names) == 1 and names[0] in BARE_VALUES - {*columns}:
        raise BadRequestError(f"{names[0]} is a value of SQL: write the value itself, or result.{names[0]} for a field")


@dataclass(frozen=True)
class Field:
    """A field: the name of its column, and its path as a query and as DuckDB's JSON functions spell it."""

    column: str
    path: str
    json_path: str


@dataclass
class Fields:
    """The fields of one query, by the lower case of their columns; `columns` are those of the table, in lower case."""

    columns: Collection[str]
    by_column: dict[str, Field] = field(default_factory=dict)

    def add(self, steps: list[str | int], prefix: str = "") -> str:
        """Add a field, and return the name of its column; raises BadRequestError for too many fields or steps."""
        path = "".join(f".{step}" if isinstance(step, str) else f"[{step}]" for step in steps).removeprefix(".")
        column = prefix + path
        if len(steps) > MOST_STEPS or '"' in path:
            raise BadRequestError(f"{column[:80]}: expected at most {MOST_STEPS} steps to a field, without quotes")
        while column.lower() in self.columns:
            column += "_"
        # A negative position counts from the end.
        places = [f'."{step}"' if isinstance(step, str) else f"[{'#' * (step < 0)}{step}]" for step in steps]
        self.by_column.setdefault(column.lower(), Field(column, path, "$" + "".join(places)))
        if len(self.by_column) > MOST_FIELDS:
            raise BadRequestError(f"it reads more than {MOST_FIELDS} fields of the results")
        return column

    def add_unknown(self, tree: Node, error: str) -> bool:
        """Add the bare name in a tree that an error of DuckDB's binder is about; returns False for another error."""
        is_table, name = match.groups() if (match := UNKNOWN.match(error)) else (None, "")
        references = [node["column_names"] for node in walk(tree) if is_table and "column_names" in node]
        names = [names[-1] for names in references if names[0].lower() == name.lower()] if is_table else [name]
        new = next((name for name in names if name.lower() not in {"", *self.columns, *self.by_column}), None)
        if new is not None:
            self.add([new])
        return new is not None

    def use_columns(self, tree: Node) -> None:
        """Replace each `result.a[0].b` in a tree by the column of its field."""
        for node in walk(tree):
            for item in node.get("select_list", ()):
                names = [step for step in (_reference(item) or ([], []))[1] if isinstance(step, str)]
                item["alias"] = item["alias"] or "".join(names[-1:])
            if reference := _reference(node):
                qualifier, steps = reference
                names = [*qualifier, self.add(steps, f"{RESULT}.")]
                alias = node["alias"]
                node.clear()
                node |= {"class": "COLUMN_REF", "type": "COLUMN_REF", "alias": alias, "column_names": names}

    def hide_from_stars(self, tree: Node) -> None:
        """Let `*` stand for the table's own columns; raises BadRequestError for a NATURAL join, which compares all."""
        for node in walk(tree):
            if self.by_column and node.get("ref_type") == "NATURAL":
                raise BadRequestError("NATURAL joins are not supported with fields of the results: write JOIN ... ON")
            tables = _tables(node.get("from_table"))
            for item in node.get("select_list", ()) if tables else ():
                if item["class"] == "STAR" and item["relation_name"].lower() in {"", *tables}:
                    hidden = item["exclude_list"]
                    hidden += [each.column for each in self.by_column.values() if each.column not in hidden]


def _reference(node: Node) -> tuple[list[str], list[str | int]] | None:
    """Return the qualifier and the steps of `r.result.a[0].b`, None for another node."""
    steps: list[str | int] = []
    while node.get("class") == "OPERATOR" and node["type"] in {"STRUCT_EXTRACT", "ARRAY_EXTRACT"}:
        node, step = node["children"]
        literal = step.get("literal", {})
        if literal.get("kind") not in {"STRING", "INTEGER"}:
            return None
        steps.insert(0, literal["text"] if literal["kind"] == "STRING" else int(literal["text"]))
    names = node.get("column_names", [])
    place = next((place for place, name in enumerate(names[:2]) if name.lower() == RESULT), len(names))
    steps = names[place + 1 :] + steps
    return (names[:place], steps) if place < len(names) and steps else None


def _tables(source: Node | None) -> set[str]:
    """Return the names that the joined table has in FROM, in lower case."""
    if not source:
        return set()
    if source.get("type") == "BASE_TABLE" and source["table_name"].lower() == TABLE:
        return {(source["alias"] or TABLE).lower()}
    return _tables(source.get("left")) | _tables(source.get("right"))
