"""Compares the outputs with the input; each file is read by a library that is not the pipeline."""

from pathlib import Path

import duckdb
import pandas as pd
import polars as pl
from polars.testing import assert_frame_equal

from bench.data.dataset import NESTED
from bench.data.labels import LABELS, SCORES
from bench.kit.errors import BenchError

OUTPUTS = ("results.parquet", "results.csv", "results.ndjson", "sql.parquet")
OUTCOMES = {
    **dict.fromkeys(("status", "result", "call_id", "result_ref", "encoding"), pl.String),
    **dict.fromkeys(("status_code", "attempts"), pl.Int64),
    "duration": pl.Float64,
}
RESULT = pl.Struct({"label": pl.String, "score": pl.Float64})
SQL = (
    "SELECT label, count(*) AS n, avg(score) AS mean FROM results WHERE status = 'succeeded' "
    "GROUP BY label ORDER BY n DESC, label"
)
CLOSE = 1e-12


def check_outputs(folder: Path, expected: pl.DataFrame, *, from_json: bool) -> None:
    """Raise BenchError unless the files hold the expected rows; `from_json`: lists were JSON in the input."""
    table = check_parquet(folder / "results.parquet", expected)
    check_csv(folder / "results.csv", table)
    check_ndjson(folder / "results.ndjson", table, from_json=from_json)
    check_sql(folder / "sql.parquet", expected)


def check_parquet(path: Path, expected: pl.DataFrame) -> pl.DataFrame:
    """Return the table in results.parquet; raises BenchError unless polars, pandas and DuckDB read the expected one."""
    actual = pl.read_parquet(path)
    same_rows("results.parquet", actual.select(expected.columns), expected)
    same_rows("the columns of the outcomes", actual.select(*OUTCOMES).head(0), pl.DataFrame(schema=OUTCOMES))
    same_rows("the results", _decoded(actual), _answers(expected))
    same_rows("pandas", pl.from_pandas(pd.read_parquet(path), schema_overrides=dict(actual.schema)), actual)
    with duckdb.connect() as connection:
        read = connection.sql("SELECT * FROM read_parquet(?)", params=[str(path)]).pl()
    same_rows("DuckDB", read.cast(dict(actual.schema)), actual)
    return actual


def check_csv(path: Path, table: pl.DataFrame) -> None:
    """Raise BenchError unless results.csv holds the table."""
    actual = pl.read_csv(path, schema={**table.schema, NESTED: pl.String})
    if table.schema[NESTED] != pl.String:
        actual = actual.with_columns(_lists())
    same_rows("results.csv", actual, table)


def check_ndjson(path: Path, table: pl.DataFrame, *, from_json: bool) -> None:
    """Raise BenchError unless results.ndjson holds the table, with each result, and lists from JSON, as JSON."""
    if from_json:
        table = table.with_columns(_lists())
    dates = [name for name, kind in table.schema.items() if kind == pl.Date]
    actual = pl.read_ndjson(path, schema={**table.schema, **dict.fromkeys(dates, pl.String), "result": RESULT})
    typed = actual.drop("result").with_columns(pl.col(dates).str.to_date() if dates else [])
    same_rows("results.ndjson", typed, table.drop("result"))
    same_rows("its results", actual.get_column("result").struct.unnest(), _decoded(table))


def check_sql(path: Path, rows: pl.DataFrame) -> None:
    """Raise BenchError unless the file has the answer to the query over the results of these rows."""
    groups = _answers(rows).group_by("label").agg(n=pl.len().cast(pl.Int64), mean=pl.col("score").mean())
    same_rows("the query", pl.read_parquet(path), groups.sort("n", "label", descending=[True, False]))


def _lists() -> pl.Expr:
    return pl.col(NESTED).str.json_decode(pl.List(pl.String))


def _decoded(table: pl.DataFrame) -> pl.DataFrame:
    return table.get_column("result").str.json_decode(RESULT).struct.unnest()


def _answers(rows: pl.DataFrame) -> pl.DataFrame:
    """Return the answers that the model function has to give."""
    number = rows.get_column("id").cast(pl.Int64)
    return pl.DataFrame({"label": pl.Series(LABELS).gather(number % len(LABELS)), "score": number % SCORES / SCORES})


def same_rows(name: str, actual: pl.DataFrame, expected: pl.DataFrame) -> None:
    """Raise BenchError unless two tables are the same, but for the last digits of fractions."""
    try:
        assert_frame_equal(actual, expected, abs_tol=CLOSE)
    except AssertionError as error:
        raise BenchError(f"{name}: {' '.join(str(error).split())}") from error
