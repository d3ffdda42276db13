"""Run one query within limits: the work of a child process."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec
import polars as pl

from pipeline.sql.check import Order, errors_in_words, too_large
from pipeline.sql.session import GROUP_ROWS, Session
from pipeline.store.text_formats import to_csv, to_ndjson

MOST_ROWS = 1_000_000
FIRST_ROWS = 10
FIRST_COLUMNS = 50
CELL = 200
# The largest whole number that a reader of JSON with doubles, such as a browser, keeps exactly.
EXACT = 2**53
OUTPUTS = ("sql.parquet", "sql.csv", "sql.json")


class Answer(msgspec.Struct, frozen=True):
    """The answer to a query: the number of its rows, at most 50 columns, its first 10 rows at most, or its error.

    `missing` are fields that no result has.
    """

    rows: int = 0
    columns: list[str] = []
    first: list[list[Any]] = []
    error: str | None = None
    missing: list[str] = []


def run_query(order: Order) -> Answer:
    """Run a query, and write OUTPUTS to its folder; raises BadRequestError in the words of DuckDB."""
    paths = [Path(order.folder) / name for name in OUTPUTS]
    with errors_in_words(order.limits, pl.exceptions.PolarsError):
        session = Session(order.pieces, order.limits, durations(pl.read_parquet_schema(order.pieces[0])), paths[0])
        text, fields = session.bind(order.sql)
        missing = session.type_fields(fields)
        rows = session.write(text, MOST_ROWS + 1)
        session.connection.close()
        if rows > MOST_ROWS:
            return Answer(error=f"the answer has more than {MOST_ROWS} rows: expected LIMIT, or GROUP BY")
        table = pl.scan_parquet(paths[0], glob=False)
        _write_texts(table, rows, *paths[1:], csv_safe=order.csv_safe)
        names = table.collect_schema().names()[:FIRST_COLUMNS]
        lines = to_ndjson(table.head(FIRST_ROWS).select(pl.nth(range(len(names)))).collect(), frozenset())
        if order.limits.file_bytes and sum(path.stat().st_size for path in paths) > order.limits.file_bytes:
            return Answer(error=too_large(order.limits))
    first = [[_cell(value) for value in json.loads(line).values()] for line in lines.splitlines()]
    return Answer(rows, [name[:CELL] for name in names], first, missing=missing)


def durations(schema: Mapping[str, pl.DataType]) -> dict[str, str]:
    """Return the units of the columns that are durations: Parquet has no type for them, and DuckDB sees numbers."""
    return {name: kind.time_unit for name, kind in schema.items() if isinstance(kind, pl.Duration)}


def _write_texts(table: pl.LazyFrame, rows: int, csv: Path, array: Path, *, csv_safe: bool) -> None:
    """Write a table as CSV, and as one JSON array of objects, some rows at a time."""
    with csv.open("wb") as cells, array.open("wb") as objects:
        for start in range(0, max(1, rows), GROUP_ROWS):
            frame = table.slice(start, GROUP_ROWS).collect()
            cells.write(to_csv(frame, header=not start, safe=csv_safe))
            lines = to_ndjson(frame, frozenset()).rstrip(b"\n").replace(b"\n", b",\n")
            objects.write((b",\n" if start else b"[\n" if lines else b"[") + lines)
        objects.write(b"\n]\n" if rows else b"]\n")


def _cell(value: Any) -> Any:
    """Return a value for the status: nested ones and numbers that a double would round as text, and a long text cut."""
    if isinstance(value, dict | list):
        value = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    if type(value) is int and abs(value) > EXACT:
        return str(value)
    return value[: CELL - 1] + "…" if isinstance(value, str) and len(value) > CELL else value
