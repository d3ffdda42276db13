"""The measurement of the outputs, and what it has to say of a million rows."""

import csv
from pathlib import Path

import pytest
from typer.testing import CliRunner

from bench.data.made_batch import made_batch
from bench.data.outputs import CASES, FORMATS, app, write_outputs

GIGABYTE = 1024


def test_each_output_is_measured(tmp_path: Path) -> None:
    result = CliRunner().invoke(app, ["--items", "2000", "--repeats", "1", "--out", str(tmp_path)])
    assert result.exit_code == 0, result.output
    with (tmp_path / "outputs.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["outputs"] for row in rows] == list(CASES)
    assert all(float(row["seconds"]) > float(row["join_seconds"]) >= 0 for row in rows)
    sizes = {row["outputs"]: float(row["size_mb"]) for row in rows}
    assert sizes["none"] < min(sizes[name] for name in FORMATS)
    assert sizes["all"] > max(sizes[name] for name in FORMATS)
    page = (tmp_path / "outputs.md").read_text()
    assert [line for line in page.splitlines() if line.startswith("| ndjson | ")]


@pytest.mark.asyncio
async def test_a_million_rows_are_written_in_bounded_memory() -> None:
    async with made_batch(1_000_000) as source:
        found = await write_outputs(source, FORMATS, summary=True)
    results = {f"results.{name}" for name in FORMATS}
    assert set(found.sizes) == {*results, "failures.csv", "failures.parquet", "summary.json"}
    assert found.before_rss_mb < found.peak_rss_mb < GIGABYTE
