"""DuckDB with one table, `results`, and nothing else to read: bind a query, type its fields, run it."""

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import duckdb

from pipeline.sandbox.child import Limits
from pipeline.sql.tree import RESULT, TABLE, Field, Fields, parse
from pipeline.units import MIB

# Python, polars and the allocator need the rest of the memory limit.
DUCKDB_SHARE = 0.6
# Types that Parquet lacks, or that its readers know by other names.
AS_TEXT = re.compile(r"HUGEINT|JSON|UUID|BIT\b|INTERVAL|NULL|ENUM|MAP|UNION|VARIANT|TIME WITH TIME ZONE")
GROUP_ROWS = 20_480
LARGE = frozenset({"HUGEINT", "UHUGEINT", "UBIGINT"})
DURATIONS = {"ms": 0.001, "us": 1, "ns": 1000}
# The types of fields, by the kinds of their values; values of other kinds together are text.
TYPES = {
    "BOOLEAN": {"BOOLEAN"},
    "BIGINT": {"BIGINT"},
    "DOUBLE": {"BIGINT", "DOUBLE"},
    "JSON": {"ARRAY", "OBJECT"},
}


class Session:
    """The table `results` over Parquet files, within limits; an `output` is a file to write, and lets DuckDB spill.

    `durations` are the units (ms, us, ns) of the columns that are durations, which are numbers to DuckDB.
    """

    def __init__(
        self, pieces: Sequence[str], limits: Limits, durations: Mapping[str, str], output: Path | None = None
    ) -> None:
        settings: dict[str, str | bool | int | float | list[str]] = {
            "temp_directory": str(output.with_name("spill")) if output else "",
            "max_temp_directory_size": f"{(limits.file_bytes or 0) // MIB} MiB",
            "memory_limit": f"{int(limits.memory * DUCKDB_SHARE) // MIB} MiB",
            # Rows without ORDER BY keep the table's order, and sums of fractions are the same each time.
            "threads": 1,
            "autoinstall_known_extensions": False,
            "autoload_known_extensions": False,
            "python_enable_replacements": False,
        }
        self.connection = duckdb.connect(config=settings)
        paths = [*pieces, str(output)] if output else [*pieces]
        self._rows(f"SET allowed_paths = {paths}; SET TimeZone = 'UTC'")
        self._rows("SET enable_external_access = false; SET lock_configuration = true")
        self._output, self._pieces = output, f"read_parquet({[*pieces]})"
        names = [row[0] for row in self._rows(f"DESCRIBE SELECT * FROM {self._pieces}")]
        self._columns = [name.lower() for name in names]
        self._own = [_own_column(name, durations.get(name)) for name in names]
        self._create_table({})

    def bind(self, sql: str) -> tuple[str, Fields]:
        """Return the query over the table with a column a field, and the fields. Raises BadRequestError, and as DuckDB.

        A name that DuckDB does not know is taken for a field, one after the other. The query has a line of its own in
        each statement, so that DuckDB marks the place of an error in it.
        """
        tree, fields = parse(self.connection, sql, self._columns), Fields(self._columns)
        fields.use_columns(tree)
        while True:
            fields.hide_from_stars(tree)
            self._create_table(dict.fromkeys(fields.by_column.values(), "NULL"))
            text = str(self._rows("SELECT json_deserialize_sql(?::JSON)", json.dumps(tree))[0][0])
            try:
                self._rows(f"DESCRIBE\n{text}")
            except duckdb.BinderException as error:
                if not fields.add_unknown(tree, str(error)):
                    raise
            else:
                return text, fields

    def type_fields(self, fields: Fields) -> list[str]:
        """Give each field's column the type that all its values have; returns the fields that no result has."""
        ordered = list(fields.by_column.values())
        kinds = self._rows(f"SELECT {', '.join(map(_kinds, ordered))} FROM {TABLE}")[0] if ordered else ()
        held = {each: set(row or ()) - {None, "NULL"} for each, row in zip(ordered, kinds, strict=True)}
        self._create_table({each: _typed(each, kinds) for each, kinds in held.items()})
        return [each.path for each in ordered if not held[each]]

    def write(self, text: str, most_rows: int) -> int:
        """Write the first rows of a query to the output, as Parquet; returns their number."""
        answer = f"FROM (\n{text}\n)"
        columns = [row[:2] for row in self._rows(f"DESCRIBE {answer}")]
        large = {name: "BIGINT" for name, kind in columns if kind in LARGE}

        def copy() -> int:
            stored = ", ".join(_stored(name, large.get(name, kind)) for name, kind in columns)
            rows = f"SELECT {stored} {answer} LIMIT {most_rows}"
            options = f"FORMAT parquet, USE_TMP_FILE false, ROW_GROUP_SIZE {GROUP_ROWS}"
            return int(self._rows(f"COPY ({rows}) TO '{self._output}' ({options})")[0][0])

        try:
            return copy()
        except duckdb.ConversionException:
            if not large:
                raise
            for name in large:
                column = _quoted(name)
                fits = f"SELECT count({column}) = count(TRY_CAST({column} AS BIGINT)) {answer}"
                large[name] = "BIGINT" if self._rows(fits)[0][0] else "DOUBLE"
            return copy()

    def _create_table(self, fields: Mapping[Field, str]) -> None:
        typed = [f"{value} AS {_quoted(each.column)}" for each, value in fields.items()]
        self._rows(f"CREATE OR REPLACE VIEW {TABLE} AS SELECT {', '.join(self._own + typed)} FROM {self._pieces}")

    def _rows(self, statement: str, *parameters: Any) -> list[tuple[Any, ...]]:
        return self.connection.execute(statement, list(parameters)).fetchall()


def _own_column(name: str, unit: str | None) -> str:
    """Return the expression of a column of the table: what Parquet has no type for gets its type back."""
    column = _quoted(name)
    if name == RESULT:
        return f"CAST({column} AS JSON) AS {column}"
    if unit:
        return f"to_microseconds(CAST({column} / {DURATIONS[unit]} AS BIGINT)) AS {column}"
    return column


def _stored(name: str, kind: str) -> str:
    """Return the expression that writes a column as a type that each reader of Parquet knows."""
    column = value = _quoted(name)
    if kind in {"BIGINT", "DOUBLE", "JSON"}:
        value = f"CAST({column} AS {kind.replace('JSON', 'VARCHAR')})"
    elif AS_TEXT.search(kind):
        value = f"to_json({column}) ->> '$'"
    return f"{value} AS {column}"


def _kinds(field: Field) -> str:
    """Return the expression for the kinds of a field's values; a whole number beyond 64 bits counts as a fraction."""
    path = _literal(field.json_path)
    kind, text = f"json_type({RESULT}, {path})", f"json_extract_string({RESULT}, {path})"
    whole = f"CASE WHEN TRY_CAST({text} AS BIGINT) IS NULL THEN 'DOUBLE' ELSE 'BIGINT' END"
    return f"list(DISTINCT CASE {kind} WHEN 'UBIGINT' THEN {whole} ELSE {kind} END)"


def _typed(field: Field, kinds: set[str]) -> str:
    """Return the expression of a field's values of these kinds, with the type that fits them all."""
    kind = next((kind for kind, fitting in TYPES.items() if kinds <= fitting), "VARCHAR")
    extract = "json_extract" if kind == "JSON" else "json_extract_string"
    return f"CAST({extract}({RESULT}, {_literal(field.json_path)}) AS {kind})" if kinds else "NULL"


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _literal(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"
