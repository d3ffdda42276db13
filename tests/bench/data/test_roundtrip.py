"""Each input format goes through a real stack into each output format, and a difference is seen."""

import csv
from pathlib import Path

import polars as pl
import pytest
from typer.testing import CliRunner

from bench.data.roundtrip.__main__ import app
from bench.data.roundtrip.checking import check_csv, check_ndjson, check_parquet, check_sql
from bench.data.roundtrip.dataset import FORMS, Form, as_stored, make_rows, write_rows
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


def test_a_small_run_of_every_form_is_checked_and_written_down(tmp_path: Path) -> None:
    ended = CliRunner().invoke(app, ["--items", "3000", "--out", str(tmp_path)])
    assert ended.exit_code == 0, ended.output
    with (tmp_path / "roundtrip.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["form"] for row in rows] == [form.name for form in FORMS]
    assert {row["items"] for row in rows} == {"3000"}
    assert all(float(row["peak_rss_mb"]) > float(row["input_mb"]) for row in rows)
    page = (tmp_path / "roundtrip.md").read_text()
    assert page in ended.output
    assert "| tsv.zst |" in page


def test_a_form_that_there_is_not_is_refused() -> None:
    ended = CliRunner().invoke(app, ["--form", "xml"])
    assert ended.exit_code == 2
    assert "csv, tsv.zst, parquet, ndjson.gz, json" in " ".join(ended.output.replace("│", " ").split())


@pytest.mark.parametrize("form", FORMS, ids=lambda form: form.name)
def test_a_table_as_it_has_to_be_passes(form: Form, tmp_path: Path) -> None:
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
    table = results(as_stored(make_rows(ROWS), Form("csv")))
    wrong = table.with_columns(note=pl.col("note").fill_null(""))
    wrong.write_csv(tmp_path / "results.csv")
    with pytest.raises(BenchError, match=r"results\.csv"):
        check_csv(tmp_path / "results.csv", table)
    # The results stand there as text, and not as JSON.
    table.write_ndjson(tmp_path / "results.ndjson")
    with pytest.raises((BenchError, pl.exceptions.PolarsError)):
        check_ndjson(tmp_path / "results.ndjson", table, from_json=False)


def test_a_query_that_counts_otherwise_is_seen(tmp_path: Path) -> None:
    results(make_rows(ROWS)).write_parquet(tmp_path / "results.parquet")
    pl.DataFrame({"label": ["espresso"], "n": [ROWS], "mean": [0.5]}).write_parquet(tmp_path / "sql.parquet")
    with pytest.raises(BenchError, match="the query"):
        check_sql(tmp_path / "sql.parquet", tmp_path / "results.parquet")


def test_a_json_array_holds_all_rows(tmp_path: Path) -> None:
    rows = make_rows(60_000)
    write_rows(rows, Form("json"), tmp_path / "rows.json")
    found = pl.read_json(tmp_path / "rows.json")
    assert found.height == rows.height
    assert found.get_column("id").to_list() == rows.get_column("id").to_list()
