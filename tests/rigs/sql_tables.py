"""Joined tables, and queries of them in this process."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import duckdb
import polars as pl

from pipeline.sql.check import Order
from pipeline.sql.child import Answer, run_query
from pipeline.sql.runner import CHECK, RUN
from pipeline.sql.session import Session
from pipeline.store.columns import table_schema

INPUT: Mapping[str, pl.DataType] = {"url": pl.String(), "n": pl.Int64(), "k": pl.String(), "size": pl.String()}
SCHEMA = table_schema(INPUT)
LABELS = ["espresso", "tripod", "Egyptian cat", "moped"]
# The fields of the results as columns, as DuckDB extracts them from the same table.
FIELDS = """
    result ->> '$.label' AS label, CAST(result ->> '$.score' AS DOUBLE) AS score,
    CAST(result ->> '$.rank' AS BIGINT) AS rank, CAST(result ->> '$.ok' AS BOOLEAN) AS ok, result ->> '$.day' AS day,
    CAST(result ->> '$.deep.a[0].b' AS BIGINT) AS deep_b, result ->> '$.mixed' AS mixed
"""


def result_of(row: int) -> str | None:
    """Return the result of a row: some rows have none, some lack a field, and some are not an object."""
    if row % 11 == 5:
        return None
    if row % 13 == 7:
        return '"no object"'
    score = "null" if row % 7 == 3 else f"{(row % 16) / 8 - 0.5}"
    label = "" if row % 17 == 9 else f'"label": "{LABELS[row % 4]}", '
    mixed = f'"m{row % 3}"' if row % 2 else str(row % 3)
    return (
        f'{{{label}"score": {score}, "rank": {row % 5}, "ok": {"true" if row % 3 else "false"}, '
        f'"day": "2024-0{row % 9 + 1}-1{row % 10}", "deep": {{"a": [{{"b": {row % 6}}}]}}, "mixed": {mixed}}}'
    )


def table(rows: int, results: Sequence[str | None]) -> pl.DataFrame:
    """Return a joined table of these results."""
    columns: dict[str, Sequence[Any]] = {
        "url": [f"http://host-{row % 10}/{row:04d}.jpg" for row in range(rows)],
        "n": [None if row % 9 == 4 else row - 20 for row in range(rows)],
        "k": [None if row % 8 == 2 else "abcdeé"[row % 6] for row in range(rows)],
        "size": [str(row * 7 % 100) for row in range(rows)],
        "status": ["succeeded" if row % 10 else "failed" for row in range(rows)],
        "status_code": [200 if row % 10 else 422 for row in range(rows)],
        "result": results,
        "attempts": [1 + row % 2 for row in range(rows)],
        "duration": [row / 100 for row in range(rows)],
        "call_id": [f"call-{row}" for row in range(rows)],
        "result_ref": [None] * rows,
        "encoding": [None] * rows,
    }
    return pl.DataFrame(columns, schema=SCHEMA)


def write_pieces(folder: Path, frame: pl.DataFrame, size: int = 20_000) -> list[Path]:
    """Write a table as pieces, as the reduce does."""
    paths = []
    for start in range(0, max(1, frame.height), size):
        paths.append(folder / f"piece-{start:09d}.parquet")
        frame.slice(start, size).write_parquet(paths[-1])
    return paths


def ask(folder: Path, text: str, frame: pl.DataFrame) -> tuple[Answer, pl.DataFrame]:
    """Run a query of a table in this process; returns the answer and all its rows."""
    pieces = write_pieces(folder, frame, size=97)
    answer = run_query(Order(sql=text, limits=RUN, pieces=[str(piece) for piece in pieces], folder=str(folder)))
    return answer, pl.read_parquet(folder / "sql.parquet")


def fields_of(folder: Path, text: str, columns: Sequence[str]) -> list[str]:
    """Return the paths of the fields that a query reads of a table with these columns, as DuckDB spells them."""
    piece = folder / "empty.parquet"
    pl.DataFrame(schema=dict.fromkeys(columns, pl.String())).write_parquet(piece)
    _, fields = Session([str(piece)], CHECK, {}).bind(text)
    return [field.json_path for field in fields.by_column.values()]


def ask_duckdb(path: Path, text: str) -> list[tuple[Any, ...]]:
    """Run a query of the table in this file with DuckDB."""
    with duckdb.connect() as connection:
        connection.execute(f"CREATE VIEW results AS SELECT *, {FIELDS} FROM read_parquet('{path}')")
        return connection.execute(text).fetchall()
