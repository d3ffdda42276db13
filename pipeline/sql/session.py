"""DuckDB with one table, `results`, and nothing else to read: bind a query, type its fields, run it."""

import json
import re
import resource
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import duckdb
import polars as pl

from pipeline.errors import BadRequestError
from pipeline.sql.fields import RESULT, TABLE, Field, Fields, Node, walk
from pipeline.units import MIB

EXAMPLE = "SELECT label, count(*) AS n FROM results GROUP BY label ORDER BY n DESC"
TABLE_FUNCTIONS = frozenset({"generate_series", "json_each", "json_tree", "range", "unnest"})
# Of these duckdb_functions() does not say that they differ from run to run.
UNSTABLE = frozenset({"age", "ago", "current_user", "today"})
# They are parsed as columns.
TIMES = frozenset({"current_date", "current_time", "current_timestamp", "localtime", "localtimestamp"})
UNSTABLE_ROWS = """
    SELECT function_name FROM duckdb_functions() WHERE list_contains(?::VARCHAR[], function_name)
    GROUP BY function_name HAVING bool_or(stability = 'VOLATILE') OR bool_and(stability = 'CONSISTENT_WITHIN_QUERY')
"""
# Python, polars and the allocator need the rest of the memory limit.
DUCKDB_SHARE = 0.6
# Types that Parquet lacks, or that its readers know by other names.
AS_TEXT = re.compile(r'JSON|UUID|BIT|INTERVAL|"NULL"|ENUM.*|TIME WITH TIME ZONE')
AS_JSON = re.compile(r"HUGEINT|JSON|UUID|BIT\b|INTERVAL|NULL|ENUM|MAP|UNION|VARIANT|TIME WITH TIME ZONE")
DURATIONS = {"ms": 0.001, "us": 1, "ns": 1000}
LARGE = frozenset({"HUGEINT", "UHUGEINT", "UBIGINT"})


def parse(connection: duckdb.DuckDBPyConnection, sql: str, columns: Sequence[str] = ()) -> Node:
    """Return the tree of one SELECT that reads `results` only, and gives the same answer whenever it runs.

    `columns` are those of the table. Raises BadRequestError, and as DuckDB.
    """
    statements = connection.extract_statements(sql)
    if len(statements) != 1 or statements[0].type != duckdb.StatementType.SELECT:
        raise BadRequestError(f"it is not one SELECT: expected for example {EXAMPLE}")
    (text,) = connection.execute("SELECT json_serialize_sql(?::VARCHAR)", [sql]).fetchone() or ("",)
    tree: Node = json.loads(text)
    if tree["error"]:
        raise BadRequestError(tree["error_message"])
    nodes = [node for node, _ in walk(tree)]
    tables = {TABLE, *(entry["key"].lower() for node in nodes for entry in node.get("cte_map", {}).get("map", ()))}
    for node in nodes:
        _check_source(node, tables)
    called = {node["function_name"].lower() for node in nodes if "function_name" in node}
    unstable = {name for (name,) in connection.execute(UNSTABLE_ROWS, [sorted(called)]).fetchall()} | called & UNSTABLE
    unstable |= {name for node in nodes for name in node.get("column_names", ()) if name.lower() in TIMES - {*columns}}
    if unstable:
        raise BadRequestError(f"{min(unstable)} differs from run to run: write the value itself")
    return tree


def _check_source(node: Node, tables: set[str]) -> None:
    """Raise BadRequestError for a node that reads another table than these."""
    kind = node.get("type")
    if kind == "TABLE_FUNCTION" and (name := node["function"]["function_name"].lower()) not in TABLE_FUNCTIONS:
        raise BadRequestError(f"{name}() is not allowed in FROM; allowed are: {', '.join(sorted(TABLE_FUNCTIONS))}")
    if kind == "BASE_TABLE" and (node["schema_name"] or node["table_name"].lower() not in tables):
        raise BadRequestError(f"there is no table {node['table_name'][:80]!r}; there are: {', '.join(sorted(tables))}")
    if kind == "SHOW_REF":
        raise BadRequestError(f"it is not one SELECT: expected for example {EXAMPLE}")
    if node.get("sample") and not node["sample"]["repeatable"]:
        raise BadRequestError("a sample differs from run to run: expected REPEATABLE (seed)")


class Session:
    """The table `results` over Parquet files; `folder` holds what DuckDB spills, and the file that it may write."""

    def __init__(self, pieces: Sequence[str], folder: Path, output: Path) -> None:
        self.connection = duckdb.connect()
        self._pieces = f"read_parquet({list(pieces)!r})"
        memory, size = (resource.getrlimit(limit)[0] for limit in (resource.RLIMIT_DATA, resource.RLIMIT_FSIZE))
        settings = {
            "allowed_paths": repr([*pieces, str(output)]),
            "temp_directory": f"'{folder}/spill'",
            "max_temp_directory_size": f"'{size // MIB if size > 0 else 1024} MiB'",
            "memory_limit": f"'{int(memory * DUCKDB_SHARE) // MIB if memory > 0 else 512} MiB'",
            # Rows without ORDER BY keep the table's order, and sums of fractions are the same each time.
            "threads": "1",
            "TimeZone": "'UTC'",
            "autoinstall_known_extensions": "false",
            "autoload_known_extensions": "false",
            "enable_external_access": "false",
        }
        for name, value in settings.items():
            self.connection.execute(f"SET {name} = {value}")
        kinds = pl.read_parquet_schema(pieces[0]).values()
        self._names = [row[0] for row in self._rows(f"DESCRIBE SELECT * FROM {self._pieces}")]
        self._own = [_own_column(*column) for column in zip(self._names, kinds, strict=True)]
        self._create_table({})
        self.connection.execute("SET lock_configuration = true")

    def bind(self, sql: str) -> tuple[str, Fields]:
        """Return the query over the table with a column a field, and the fields. Raises BadRequestError, and as DuckDB.

        A name that DuckDB does not know is taken for a field, one after the other.
        """
        columns = [name.lower() for name in self._names]
        tree, fields = parse(self.connection, sql, columns), Fields(columns)
        fields.use_columns(tree)
        while True:
            text = self._text(tree, fields)
            self._create_table(dict.fromkeys(fields.by_column.values(), "NULL"))
            try:
                self._rows(f"DESCRIBE {text}")
            except duckdb.BinderException as error:
                name = fields.unknown_name(tree, str(error))
                if name is None:
                    raise
                fields.add(name, (name,))
            else:
                return text, fields

    def _text(self, tree: Node, fields: Fields) -> str:
        shown: Node = json.loads(json.dumps(tree))
        fields.hide_from_stars(shown)
        return str(self._rows("SELECT json_deserialize_sql(?::JSON)", json.dumps(shown))[0][0])

    def type_fields(self, fields: Fields) -> list[str]:
        """Give each field's column the type that all its values have; returns the fields that no result has."""
        ordered = list(fields.by_column.values())
        if not ordered:
            return []
        (row,) = self._rows(
            f"SELECT {', '.join(map(_kinds, ordered))} FROM "
            f"(SELECT CAST({RESULT} AS JSON) AS {RESULT} FROM {self._pieces})"
        )
        types = {each: _type_of(set(row[2 * place] or ()), row[2 * place + 1]) for place, each in enumerate(ordered)}
        self._create_table({each: _typed(each, kind) for each, kind in types.items()})
        return [str(each) for each, kind in types.items() if not kind]

    def write(self, text: str, path: Path, most_rows: int) -> int:
        """Write the query's rows as Parquet, at most one more than `most_rows`; returns their number."""
        self.connection.sql(text).limit(most_rows + 1).create("answer")
        columns = ", ".join(self._stored(row[0], row[1]) for row in self._rows("DESCRIBE answer"))
        self._rows(f"COPY (SELECT {columns} FROM answer) TO '{path}' (FORMAT parquet, USE_TMP_FILE false)")
        return int(self._rows("SELECT count(*) FROM answer")[0][0])

    def _stored(self, name: str, kind: str) -> str:
        """Return the expression that writes a column of the answer as a type that every reader of Parquet knows."""
        column, target = _quoted(name), ""
        if kind in LARGE:
            fits = self._rows(f"SELECT count({column}) = count(TRY_CAST({column} AS BIGINT)) FROM answer")[0][0]
            target = f"CAST({column} AS {'BIGINT' if fits else 'DOUBLE'})"
        elif AS_TEXT.fullmatch(kind):
            target = f"CAST({column} AS VARCHAR)"
        elif AS_JSON.search(kind):
            target = f"CAST(to_json({column}) AS VARCHAR)"
        return f"{target} AS {column}" if target else column

    def _create_table(self, fields: Mapping[Field, str]) -> None:
        typed = [f"{value} AS {_quoted(each.column)}" for each, value in fields.items()]
        self._rows(f"CREATE OR REPLACE VIEW {TABLE} AS SELECT {', '.join(self._own + typed)} FROM {self._pieces}")

    def _rows(self, statement: str, *parameters: Any) -> list[tuple[Any, ...]]:
        return self.connection.execute(statement, list(parameters)).fetchall()


def _own_column(name: str, kind: pl.DataType) -> str:
    """Return the expression of a column of the table: what Parquet has no type for gets its type back."""
    column = _quoted(name)
    if name == RESULT:
        return f"CAST({column} AS JSON) AS {column}"
    if isinstance(kind, pl.Duration):
        return f"to_microseconds(CAST({column} / {DURATIONS[kind.time_unit]} AS BIGINT)) AS {column}"
    return column


def _kinds(field: Field) -> str:
    """Return expressions for the kinds of a field's values, and whether a whole number is beyond 64 bits."""
    path = _literal(field.json_path)
    kind, text = f"json_type({RESULT}, {path})", f"json_extract_string({RESULT}, {path})"
    return (
        f"list(DISTINCT {kind}) FILTER ({kind} <> 'NULL'), "
        f"bool_or(TRY_CAST({text} AS BIGINT) IS NULL) FILTER ({kind} IN ('BIGINT', 'UBIGINT'))"
    )


def _type_of(kinds: set[str], is_beyond: object) -> str:
    """Return the type of a column that holds values of these kinds, '' where there are none."""
    by_kinds = {
        frozenset({"BOOLEAN"}): "BOOLEAN",
        frozenset({"BIGINT", "UBIGINT"}): "DOUBLE" if is_beyond else "BIGINT",
    }
    by_kinds |= {frozenset({"BIGINT", "UBIGINT", "DOUBLE"}): "DOUBLE", frozenset({"ARRAY", "OBJECT"}): "JSON"}
    return next((kind for held, kind in by_kinds.items() if kinds <= held), "VARCHAR") if kinds else ""


def _typed(field: Field, kind: str) -> str:
    """Return the expression of a field's value as this type."""
    if not kind:
        return "NULL"
    extract = "json_extract" if kind == "JSON" else "json_extract_string"
    return f"CAST({extract}({RESULT}, {_literal(field.json_path)}) AS {kind})"


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _literal(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"
