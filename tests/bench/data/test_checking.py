"""A difference between the outputs of a batch and its input is seen."""

from pathlib import Path

import polars as pl
import pytest

from bench.data.checking import check_csv, check_ndjson, check_parquet, check_sql
from bench.data.dataset import as_stored, make_rows
from bench.kit.errors import BenchError

ROWS = 40


def results(rows: pl.DataFrame) -> pl.DataFrame:
    """Make the table that has to come out of these rows."""
    labels = pl.Series(["espresso", "tripod", "tabby", "moped", "disk brake", "jinrikisha", "Egyptian cat"])
    number = rows.get_column("id").cast(pl.Int64)
    text = pl.DataFrame({"label": labels.gather(number % 7), "score": number / 1000}).select(
        pl.struct("label", "score").struct.json_encode()
    )
    return rows.with_columns(
        *(pl.lit("succeeded").alias("status"), pl.lit(200, pl.Int64).alias("status_code")),
        *(text.to_series().alias("result"), pl.lit(1, pl.Int64).alias("attempts")),
        *(pl.lit(0.5).alias("duration"), pl.lit("an-id").alias("call_id")),
        *(pl.lit(None, pl.String).alias("result_ref"), pl.lit(None, pl.String).alias("encoding")),
    )


@pytest.mark.parametrize("form", ["csv", "tsv.zst", "parquet", "ndjson.gz", "json"])
def test_a_table_as_it_has_to_be_passes(form: str, tmp_path: Path) -> None:
    rows = as_stored(make_rows(ROWS), form)
    results(rows).write_parquet(tmp_path / "results.parquet")
    table = check_parquet(tmp_path / "results.parquet", rows)
    assert table.columns[: len(rows.columns)] == rows.columns


@pytest.mark.parametrize(
    ("column", "value"),
    [("id", 4), ("note", ""), ("colour", None), ("result", '{"label":"tripod","score":0.5}')],
)
def test_one_cell_that_differs_is_seen(column: str, value: object, tmp_path: Path) -> None:
    rows = make_rows(ROWS)
    table = results(rows)
    wrong = table.with_columns(
        pl.when(pl.int_range(pl.len()) == 5)
        .then(pl.lit(value, table.schema[column]))
        .otherwise(pl.col(column))
        .alias(column)
    )
    wrong.write_parquet(tmp_path / "results.parquet")
    with pytest.raises(BenchError):
        check_parquet(tmp_path / "results.parquet", rows)


def test_rows_in_another_order_are_seen(tmp_path: Path) -> None:
    rows = make_rows(ROWS)
    results(rows).reverse().write_parquet(tmp_path / "results.parquet")
    with pytest.raises(BenchError, match=r"results\.parquet"):
        check_parquet(tmp_path / "results.parquet", rows)


def test_a_cell_that_differs_in_the_csv_or_ndjson_is_seen(tmp_path: Path) -> None:
    table = results(as_stored(make_rows(ROWS), "csv"))
    wrong = table.with_columns(note=pl.col("note").fill_null(""))
    wrong.write_csv(tmp_path / "results.csv")
    with pytest.raises(BenchError, match=r"results\.csv"):
        check_csv(tmp_path / "results.csv", table)
    # The results stand there as text, and not as JSON.
    table.write_ndjson(tmp_path / "results.ndjson")
    with pytest.raises((BenchError, pl.exceptions.PolarsError)):
        check_ndjson(tmp_path / "results.ndjson", table, from_json=False)


def test_a_query_that_counts_otherwise_is_seen(tmp_path: Path) -> None:
    pl.DataFrame({"label": ["espresso"], "n": [ROWS], "mean": [0.5]}).write_parquet(tmp_path / "sql.parquet")
    with pytest.raises(BenchError, match="the query"):
        check_sql(tmp_path / "sql.parquet", make_rows(ROWS))
