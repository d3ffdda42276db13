"""Compares the outputs with the input; each file is read by a library that is not the pipeline."""

from __future__ import annotations

from typing import TYPE_CHECKING

import duckdb
import pandas as pd
import polars as pl
from polars.testing import assert_frame_equal

from bench.data.roundtrip.dataset import NESTED
from bench.data.roundtrip.labels import LABELS, SCORES
from bench.kit.errors import BenchError

if TYPE_CHECKING:
    from pathlib import Path

OUTCOMES = {
    "status": pl.String,
    "status_code": pl.Int64,
    "result": pl.String,
    "attempts": pl.Int64,
    "duration": pl.Float64,
    "call_id": pl.String,
    "result_ref": pl.String,
    "encoding": pl.String,
}
SQL = (
    "SELECT label, count(*) AS n, avg(score) AS mean FROM results WHERE status = 'succeeded' "
    "GROUP BY label ORDER BY n DESC, label"
)
ORACLE = (
    "SELECT result ->> '$.label' AS label, count(*) AS n, avg(CAST(result ->> '$.score' AS DOUBLE)) AS mean "
    "FROM read_parquet(?) WHERE status = 'succeeded' GROUP BY 1 ORDER BY n DESC, label"
)
CLOSE = 1e-12


def check_parquet(path: Path, expected: pl.DataFrame) -> pl.DataFrame:
    """Return the table in results.parquet; raises BenchError unless polars, pandas and DuckDB read the expected one."""
    actual = pl.read_parquet(path)
    _same("results.parquet", actual.select(expected.columns), expected)
    _same("the columns of the outcomes", actual.select(*OUTCOMES).head(0), pl.DataFrame(schema=OUTCOMES))
    _same("the results", _decoded(actual), _answers(expected))
    _same("pandas", pl.from_pandas(pd.read_parquet(path), schema_overrides=dict(actual.schema)), actual)
    with duckdb.connect() as connection:
        read = connection.sql("SELECT * FROM read_parquet(?)", params=[str(path)]).pl()
    _same("DuckDB", read.cast(dict(actual.schema)), actual)
    return actual


def check_csv(path: Path, table: pl.DataFrame) -> None:
    """Raise BenchError unless results.csv holds the table."""
    flat = table.schema[NESTED] == pl.String
    types = {name: pl.String if name == NESTED else kind for name, kind in table.schema.items()}
    actual = pl.read_csv(path, schema=types)
    if not flat:
        actual = actual.with_columns(pl.col(NESTED).str.json_decode(pl.List(pl.String)))
    _same("results.csv", actual, table)


def check_ndjson(path: Path, table: pl.DataFrame, *, from_json: bool) -> None:
    """Raise BenchError unless results.ndjson holds the table, with each result as JSON and not as text.

    `from_json`: so are the lists, which were JSON in the input.
    """
    if from_json:
        table = table.with_columns(pl.col(NESTED).str.json_decode(pl.List(pl.String)))
    result = pl.Struct({"label": pl.String, "score": pl.Float64})
    types = {name: pl.String if kind == pl.Date else kind for name, kind in table.schema.items()}
    actual = pl.read_ndjson(path, schema={**types, "result": result})
    dates = [pl.col(name).str.to_date() for name, kind in table.schema.items() if kind == pl.Date]
    _same("results.ndjson", actual.drop("result").with_columns(*dates), table.drop("result"))
    _same("its results", actual.get_column("result").struct.unnest(), _decoded(table))


def check_sql(path: Path, table: Path) -> None:
    """Raise BenchError unless the answer to the query is DuckDB's over the same table."""
    with duckdb.connect() as connection:
        expected = connection.sql(ORACLE, params=[str(table)]).pl()
    _same("the query", pl.read_parquet(path).cast(dict(expected.schema)), expected)


def _decoded(table: pl.DataFrame) -> pl.DataFrame:
    kind = pl.Struct({"label": pl.String, "score": pl.Float64})
    return table.get_column("result").str.json_decode(kind).struct.unnest()


def _answers(rows: pl.DataFrame) -> pl.DataFrame:
    """Return the answers that the model function has to give."""
    number = rows.get_column("id").cast(pl.Int64)
    return pl.DataFrame({"label": pl.Series(LABELS).gather(number % len(LABELS)), "score": number % SCORES / SCORES})


def _same(name: str, actual: pl.DataFrame, expected: pl.DataFrame) -> None:
    try:
        assert_frame_equal(actual, expected, abs_tol=CLOSE)
    except AssertionError as error:
        raise BenchError(f"{name}: {' '.join(str(error).split())}") from error
