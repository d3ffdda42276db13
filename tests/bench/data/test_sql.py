"""The measurement of queries, and what it has to say of a million rows."""

import csv
from pathlib import Path

import pytest
from typer.testing import CliRunner

from bench.data.made_batch import made_batch
from bench.data.sql import QUERIES, app, is_duckdbs, query

GIGABYTE = 1024


def test_each_query_is_measured_and_answered_as_by_duckdb(tmp_path: Path) -> None:
    result = CliRunner().invoke(app, ["--items", "2000", "--repeats", "1", "--out", str(tmp_path)])
    assert result.exit_code == 0, result.output
    with (tmp_path / "sql.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["query"] for row in rows] == list(QUERIES)
    assert {row["as_duckdb"] for row in rows} == {"True"}
    assert [row["query"] for row in rows if not int(row["rows"])] == ["top"]
    assert all(float(row["query_peak_rss_mb"]) > 0 for row in rows)
    page = (tmp_path / "sql.md").read_text()
    assert [line for line in page.splitlines() if line.startswith("| all rows | 1,980 | ")]
    assert "Queries whose rows differ from DuckDB's over `results.parquet`: none." in page


@pytest.mark.asyncio
async def test_a_million_rows_are_asked_in_bounded_memory(tmp_path: Path) -> None:
    async with made_batch(1_000_000) as source:
        found = await query(source, QUERIES["groups"], tmp_path)
    assert is_duckdbs(tmp_path, QUERIES["groups"])
    # Both at once, though the reduce waits while the query runs.
    assert 0 < found.peak_rss_mb + found.query_peak_rss_mb < GIGABYTE
